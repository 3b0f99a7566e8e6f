"""A segment: what one station made of a contiguous range of one partition, and its message on accounting.v1."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import polars as pl

from schemas.accounting import ACCOUNT_RECORD, FLAGGED, Caused, Outcomes
from schemas.flow import Outcome
from schemas.rejection import Reason
from schemas.topics import ACCOUNTING
from streams.frame.codec import Envelope
from streams.metrics import METRICS

MINUTE_MS = 60_000
ENERGY = "import_kwh"  # rows with this column are readings, windows or emission records: those that are accounted for
_STARTS = ("window_start", "ts")


def minute_of(arrived_at: int) -> int:
    """Return the minute of an arrival, as both are written. [ms UTC]"""
    return arrived_at // MINUTE_MS * MINUTE_MS


@dataclass(slots=True)
class Tally:
    """What is counted of a segment while it grows; the fields are those of `ACCOUNT_RECORD`."""

    messages: int = 0
    received: int = 0
    late: int = 0
    refused: int = 0
    flagged: int = 0
    duplicates: int = 0
    sent_rows: int = 0
    sent_import_kwh: float = 0.0
    sent_export_kwh: float = 0.0
    sent_from: int | None = None
    sent_until: int | None = None
    import_register_checksum: float | None = None
    partial: bool = False
    rows_until: int | None = None
    caused: Caused = field(default_factory=Caused)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it that another station could miss."""
        return not (self.received or self.duplicates or self.late or self.refused or self.flagged or self.sent_rows)

    def take(self, offset: int, rows: int, fresh: int) -> None:
        """Count a message of `rows` rows, of which `fresh` were not seen before."""
        self.messages += 1
        self.received += fresh
        self.duplicates += rows - fresh
        if fresh:
            self.rows_until = offset

    def follow(self, outcome: Outcome) -> None:
        """Count what an agent made of it."""
        if outcome.rejected is not None:
            for reason, rows in outcome.rejected["reason"].value_counts().iter_rows():
                if reason in FLAGGED:
                    self.flagged += rows
                elif reason == Reason.LATE.value:
                    self.late += rows
                else:
                    self.refused += rows
        for output in outcome.outputs:
            if output.rows is not None and ENERGY in output.rows.columns and output.rows.height:
                self._send(output.rows)

    def _send(self, rows: pl.DataFrame) -> None:
        start = next(rows[name] for name in _STARTS if name in rows.columns).to_physical().to_numpy()
        first, last = int(start.min()), int(start.max())
        self.sent_rows += rows.height
        self.sent_import_kwh += float(rows[ENERGY].sum())
        self.sent_export_kwh += float(rows["export_kwh"].sum()) if "export_kwh" in rows.columns else 0.0
        self.sent_from = first if self.sent_from is None else min(self.sent_from, first)
        self.sent_until = last if self.sent_until is None else max(self.sent_until, last)


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of one partition, read by one station, and what was counted.

    Parameters
    ----------
    station
        Who read it.
    topic
        Name in the catalogue.
    partition, first_offset, last_offset
        The range, both ends included.
    arrived_at
        Arrival of its last message. [ms UTC]
    tally
        The counts.
    """

    station: str
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    arrived_at: int
    tally: Tally

    @property
    def id(self) -> str:
        """The same for the same range, whoever counted it."""
        return f"accounting/{self.station}/{self.topic}/{self.partition}/{self.first_offset}-{self.last_offset}"

    def record(self) -> dict[str, object]:
        """Return the record, in the order of its contract."""
        counted = self.tally
        values: dict[str, object] = {
            one.name: getattr(part, one.name) for part in (self, counted) for one in fields(part)
        }
        values |= {
            "id": self.id,
            "ts": minute_of(self.arrived_at),
            "used": counted.received - counted.late - counted.refused,
            "caused": str(counted.caused),
        }
        return {name: values[name] for name in ACCOUNT_RECORD}

    def envelope(self) -> Envelope:
        """Return the message; it belongs on the partition of the same number on accounting.v1."""
        headers = [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_type", ACCOUNTING.name.encode()),
            ("ce_source", f"wattloop/{self.station}".encode()),
            ("ce_id", self.id.encode()),
        ]
        key = f"{self.station}/{self.partition}".encode()
        return Envelope(ACCOUNTING.name, key, json.dumps(self.record()).encode(), self.arrived_at, headers)


def note(segments: Iterable[Segment], now_s: float) -> None:
    """Add segments that the broker has to the metrics.

    Parameters
    ----------
    segments
        What was sent.
    now_s
        When. [s since 1970]
    """
    for one in segments:
        counted = one.tally
        for outcome, rows in (
            (Outcomes.USED, counted.received - counted.late - counted.refused),
            (Outcomes.LATE, counted.late),
            (Outcomes.REFUSED, counted.refused),
            (Outcomes.DUPLICATE, counted.duplicates),
            (Outcomes.SENT, counted.sent_rows),
        ):
            METRICS.accounted_rows_total.labels(one.station, one.topic, outcome.value).inc(max(rows, 0))
        METRICS.accounted_timestamp_seconds.labels(one.station).set(now_s)
