"""Blocks: contiguous ranges of a partition, cut once, recorded before their rows are stored.

A cut that is recorded is a promise: whoever owns the partition next stores exactly this range first, with the
same tokens, and the table drops what it has already. Cuts form a chain: each names the last offset of the one
before it, and only one cut can follow another. A writer that slept through a rebalance finds its successor's
cut instead of its own and is fenced before it has stored a row.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.client import insert
from sinks.clickhouse.errors import Fenced, unavailable_is_named
from sinks.clickhouse.origins import Place
from sinks.clickhouse.records import Source

# `after_offset` of the first cut of a partition.
START = -1

_LAST_CUT = """
SELECT after_offset, first_offset, last_offset, applied, applied_after
FROM sink_blocks
WHERE log_id = {log_id:String} AND topic = {topic:String} AND partition = {partition:Int32}
ORDER BY last_offset DESC
LIMIT 1
"""

# Of two cuts with the same predecessor the table keeps the first: this shows which.
_FOLLOWERS = """
SELECT first_offset, last_offset, toUnixTimestamp64Milli(min(recorded_at))
FROM sink_blocks
WHERE log_id = {log_id:String} AND topic = {topic:String} AND partition = {partition:Int32}
    AND last_offset > {after_offset:Int64}
GROUP BY first_offset, last_offset
ORDER BY first_offset
LIMIT 9
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """A block's range, and what was applied before it.

    Parameters
    ----------
    source
        Topic and partition.
    after_offset
        Last offset of the cut before this one, `START` for none.
    first_offset, last_offset
        The range, both ends included.
    applied
        Highest origin applied per source before the block, so that a repetition drops the same duplicates.
    applied_after
        The same after the block.
    """

    source: Source
    after_offset: int
    first_offset: int
    last_offset: int
    applied: Mapping[str, Place]
    applied_after: Mapping[str, Place]

    def token(self, log_id: str, month: int) -> str:
        """Return the deduplication token of the block's rows in one table partition.

        Parameters
        ----------
        log_id
            Incarnation of the broker's log.
        month
            Table partition, as `toYYYYMM` writes it.
        """
        topic, partition = self.source
        return f"{log_id}:{topic}:{partition}:{self.first_offset}-{self.last_offset}:{month}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The recorded cuts of one incarnation of the broker's log (table `sink_blocks`)."""

    client: Client
    log_id: str

    def last(self, source: Source) -> Cut | None:
        """Return the newest cut of a partition, None when there is none.

        Raises
        ------
        SinkUnavailable
            When ClickHouse cannot answer now.
        """
        rows = self._select(_LAST_CUT, source)
        if not rows:
            return None
        after, first, last, applied, applied_after = rows[0]
        return Cut(source, _int(after), _int(first), _int(last), _places(applied), _places(applied_after))

    def record(self, cut: Cut) -> int:
        """Record a cut unless it is recorded already, and return when it was. [ms UTC, ClickHouse's clock]

        Raises
        ------
        SinkUnavailable
            When it is unknown whether it is recorded: record the same cut again.
        Fenced
            When another cut follows the same predecessor.
        """
        topic, partition = cut.source
        row = pl.DataFrame(
            {
                "log_id": [self.log_id],
                "topic": [topic],
                "partition": pl.Series([partition], dtype=pl.Int32),
                "after_offset": [cut.after_offset],
                "first_offset": [cut.first_offset],
                "last_offset": [cut.last_offset],
                "applied": [json.dumps(cut.applied, sort_keys=True)],
                "applied_after": [json.dumps(cut.applied_after, sort_keys=True)],
            }
        )
        followers: list[tuple[object, ...]] = []

        def is_recorded() -> bool:
            # Of two cuts with the same predecessor the table kept the first: look which.
            followers[:] = self._select(_FOLLOWERS, cut.source, after_offset=cut.after_offset)
            return bool(followers)

        token = f"{self.log_id}:{topic}:{partition}:after {cut.after_offset}"
        insert(self.client, "sink_blocks", row, token, is_recorded)
        if [row[:2] for row in followers] != [(cut.first_offset, cut.last_offset)]:
            found = ", ".join(f"{first}..{last}" for first, last, _ in followers) or "nothing"
            raise Fenced(
                f"{cut.source}: offsets {cut.first_offset}..{cut.last_offset} were to be stored, "
                f"but another writer has recorded {found}"
            )
        return _int(followers[0][2])

    def _select(self, query: str, source: Source, **values: int) -> list[tuple[object, ...]]:
        names = {"log_id": self.log_id, "topic": source.topic, "partition": source.partition, **values}
        with unavailable_is_named(f"reading the cuts of {source}"):
            return [tuple(row) for row in self.client.query(query, parameters=names).result_rows]


def _places(text: object) -> dict[str, Place]:
    return {source: (offset, index) for source, (offset, index) in json.loads(str(text)).items()}


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"sink_blocks holds {value!r} where a number belongs")
    return value
