"""Accounting: what a station made of a contiguous range of messages, and what it sent on for it.

A record is a segment: the messages `first_offset` to `last_offset` of one partition of one topic, all of them and
nothing else. Segments of a station are edges from `first_offset` to `last_offset + 1`; docs/adr/0016 says how overlaps
of killed workers are resolved.
"""

from enum import StrEnum

import polars as pl

from schemas.rejection import Reason

INGEST = "ingest"  # the other stations are the agents, by name, and:
HISTORY = "history"

# Told by a letter although it was taken: a register that went back is measured from, and what was said of something
# that is not there is kept with the rest of what was said.
FLAGGED = frozenset({Reason.REGISTER_DECREASED.value, Reason.UNKNOWN_ANOMALY.value, Reason.UNKNOWN_ADVICE.value})

# One record per segment on accounting.v1; `ts` is the minute of its arrival, in ms UTC. Sums of nothing are 0.
ACCOUNT_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: accounting/<station>/<topic>/<partition>/<first>-<last>
    "ts": pl.Int64(),
    "station": pl.String(),  # ingest | metering | emissions | history
    "topic": pl.String(),  # where the messages were read
    "partition": pl.Int32(),
    "first_offset": pl.Int64(),
    "last_offset": pl.Int64(),
    "messages": pl.Int64(),  # of those that hold something; at most the length of the range
    "received": pl.Int64(),  # rows, without duplicates = used + late + refused
    "used": pl.Int64(),  # rows passed on (ingest), worked with (agents), stored (history)
    "late": pl.Int64(),
    "refused": pl.Int64(),  # for any other reason
    "flagged": pl.Int64(),  # rows that were used although a letter says that something is wrong with them
    "duplicates": pl.Int64(),  # rows dropped because their origin had been seen
    "sent_rows": pl.Int64(),  # rows of energy that followed: windows, emission records
    "sent_import_kwh": pl.Float64(),
    "sent_export_kwh": pl.Float64(),
    "sent_from": pl.Int64(),  # earliest and latest start of these, ms UTC; null without any
    "sent_until": pl.Int64(),
    "import_register_checksum": pl.Float64(),  # ingest: sum of the registers used. No energy, only a checksum
    "partial": pl.Boolean(),  # a site was left out, because its snapshot had this already: another segment says all
    "rows_until": pl.Int64(),  # last offset that held rows; null without any
    "caused": pl.String(),  # last message on each topic that followed: "telemetry.v1/3@1207 dead-letters.v1/3@88"
}


class Caused(dict[tuple[str, int], int]):
    """Last offset by topic (name in the catalogue) and partition, as the text of a record.

    Examples
    --------
    >>> caused = Caused()
    >>> caused.reach("telemetry.v1", 3, 1207)
    >>> caused.reach("telemetry.v1", 3, 1100)
    >>> str(caused)
    'telemetry.v1/3@1207'
    >>> Caused.parse(str(caused)) == caused
    True
    """

    def reach(self, topic: str, partition: int, offset: int) -> None:
        """Note a message."""
        self[topic, partition] = max(offset, self.get((topic, partition), -1))

    def __str__(self) -> str:
        return " ".join(f"{topic}/{partition}@{offset}" for (topic, partition), offset in sorted(self.items()))

    @classmethod
    def parse(cls, text: str) -> "Caused":
        """Read the text of a record."""
        found = cls()
        for place in text.split():
            where, offset = place.rsplit("@", 1)
            topic, partition = where.rsplit("/", 1)
            found[topic, int(partition)] = int(offset)
        return found


class Outcomes(StrEnum):
    """What became of a row, as the metric `wattloop_accounted_rows_total` counts it."""

    USED = "used"
    LATE = "late"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    SENT = "sent"
