"""What ingest read and has not committed yet, as ranges of offsets with what became of them.

A range ends where the arrival minute of the messages changes, and where offsets are committed. Whoever reads on after a
crash begins at a commit, so the ranges of one process go on where those of another ended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from schemas.accounting import INGEST, Caused
from schemas.topics import METER_READINGS
from streams.accounting.segment import MINUTE_MS, Segment, Tally
from streams.ingest.decode import Decoded
from streams.ingest.validate import Validated


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive messages of a poll that arrived in the same minute."""

    partition: int
    first_offset: int
    last_offset: int
    arrived_at: int  # of the last one [ms UTC]
    messages: int
    used: int
    refused: int
    register_checksum: float


def runs_of(decoded: Decoded, validated: Validated) -> Iterator[Run]:
    """Count what became of a poll, per partition and arrival minute, in the order of the poll.

    Parameters
    ----------
    decoded, validated
        The poll.
    """
    places = validated.places
    minutes, partitions = places["arrived_at"] // MINUTE_MS, places["raw_partition"]
    begins = [0, *((minutes != minutes.shift(1)) | (partitions != partitions.shift(1))).arg_true().to_list()]
    ends = [*begins[1:], places.height]
    borders = pl.Series([*begins, places.height], dtype=pl.Int64)
    # Both are in the order of the poll, so the rows of a run lie between two places.
    used = validated.accepted["message"].search_sorted(borders, side="left").to_list()
    accepted = validated.accepted
    registers = accepted["import_kwh"] if "import_kwh" in accepted.columns else pl.zeros(accepted.height, eager=True)
    undecoded = pl.Series([one.message for one in decoded.refused], dtype=pl.Int64)
    refused = pl.concat([undecoded, validated.refused["message"]]).sort()
    refusals = refused.search_sorted(borders, side="left").to_list()
    offsets, arrivals = places["raw_offset"], places["arrived_at"]
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        rows = used[number + 1] - used[number]
        yield Run(
            partitions[begin],
            offsets[begin],
            offsets[end - 1],
            arrivals[end - 1],
            end - begin,
            rows,
            refusals[number + 1] - refusals[number],
            float(registers.slice(used[number], rows).sum()),
        )


@dataclass(slots=True)
class Ranges:
    """The ranges of every partition of a topic that are not committed.

    Examples
    --------
    >>> ranges = Ranges()
    >>> ranges.begin(3, 10)
    >>> ranges.add([Run(3, 10, 14, 60_000, 5, 4, 1, 8.0), Run(3, 15, 15, 119_999, 1, 1, 0, 2.0)], Caused())
    >>> ranges.add([Run(3, 16, 17, 120_000, 2, 2, 0, 4.0)], Caused())
    >>> [(one.first_offset, one.last_offset, one.tally.received) for one in ranges.take()]
    [(10, 15, 6), (16, 17, 2)]
    >>> ranges.take()
    []
    """

    topic: str = METER_READINGS.name
    generation: int = 0  # grows whenever what was read may be read again
    _next: dict[int, int] = field(default_factory=dict)  # where the next range begins
    _polled: dict[int, int] = field(default_factory=dict)  # what the next poll should bring
    _log_start: dict[int, int] = field(default_factory=dict)
    _open: list[Segment] = field(default_factory=list)
    _last: dict[int, int] = field(default_factory=dict)  # index of the open range of a partition

    def knows(self, partition: int) -> bool:
        """Whether it is known where the ranges of a partition begin."""
        return partition in self._next

    def begin(self, partition: int, offset: int) -> None:
        """Begin the ranges of a partition."""
        self._next[partition] = self._polled[partition] = offset

    def poll(self, partition: int, first_offset: int, last_offset: int) -> bool:
        """Note what a poll brought; return whether it left offsets out, so that it must be found out why."""
        left_out = first_offset > self._polled[partition]
        self._polled[partition] = last_offset + 1
        return left_out

    def log_begins(self, partition: int, offset: int) -> None:
        """Note what the broker has deleted: a range must not cover it. Other offsets left out are control records."""
        self._log_start[partition] = offset

    def add(self, runs: Sequence[Run], caused: Caused) -> None:
        """Add what became of a poll, once the broker has all that followed from it.

        Parameters
        ----------
        runs
            The poll.
        caused
            The last messages that followed from it.
        """
        for run in runs:
            place = self._last.get(run.partition)
            begins = min(run.first_offset, max(self._next[run.partition], self._log_start.get(run.partition, 0)))
            joins = begins == self._next[run.partition]
            if place is None or not joins or self._open[place].arrived_at // MINUTE_MS != run.arrived_at // MINUTE_MS:
                self._last[run.partition] = place = len(self._open)
                tally = Tally(import_register_checksum=0.0)
                self._open.append(self._segment(run, begins, tally))
            before = self._open[place]
            tally = before.tally
            tally.messages += run.messages
            tally.received += run.used + run.refused
            tally.refused += run.refused
            tally.import_register_checksum = (tally.import_register_checksum or 0.0) + run.register_checksum
            if run.used or run.refused:
                tally.rows_until = run.last_offset
            for (topic, partition), offset in caused.items():
                tally.caused.reach(topic, partition, offset)
            self._open[place] = self._segment(run, before.first_offset, tally)
            self._next[run.partition] = run.last_offset + 1

    def take(self) -> list[Segment]:
        """Return the ranges, to be sent and then committed; the next ones begin behind them."""
        taken, self._open = self._open, []
        self._last.clear()
        return taken

    def forget(self) -> None:
        """Drop everything: it is read again, by whomever."""
        self.generation += 1
        self._open = []
        for memory in (self._next, self._polled, self._log_start, self._last):
            memory.clear()

    def _segment(self, run: Run, first_offset: int, tally: Tally) -> Segment:
        return Segment(INGEST, self.topic, run.partition, first_offset, run.last_offset, run.arrived_at, tally)
