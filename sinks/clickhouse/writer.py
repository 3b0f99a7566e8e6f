"""The writer of one table: messages in, blocks out, every row stored once in effect."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.blocks import START, Cut, Ledger
from sinks.clickhouse.client import insert
from sinks.clickhouse.errors import LogMismatch, OffsetGap, unavailable_is_named
from sinks.clickhouse.origins import MESSAGE, Place, new_rows
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import TableSpec
from sinks.clickhouse.summing import Summing

# Rows of a block in one table partition: they are one insert, so one of them proves all.
_IS_STORED = """
SELECT 1
FROM {table:Identifier}
WHERE log_id = {log_id:String} AND topic_partition = {partition:Int32}
    AND topic_offset BETWEEN {first_offset:Int64} AND {last_offset:Int64}
    AND written_at = fromUnixTimestamp64Milli({written_at:Int64}, 'UTC')
    AND toYYYYMM({time_column:Identifier}) = {month:UInt32}
LIMIT 1
"""

# Where a row that is stored without them has null.
_NULL_UNLESS_SENT = """
SELECT name
FROM system.columns
WHERE database = currentDatabase() AND table = {table:String} AND default_kind = '' AND type LIKE '%Nullable(%'
"""

# A range without rows (ticks) is recorded only when re-reading it after a restart would begin to cost.
EMPTY_CUT_OFFSETS = 1000


@dataclass(frozen=True, slots=True)
class Resume:
    """Where to read a partition from.

    Parameters
    ----------
    next_offset
        The first offset the writer takes.
    must_end_at
        Last offset of a block that is recorded but perhaps not stored; None when there is none. The writer
        cuts there by itself, whatever it is given.
    """

    next_offset: int
    must_end_at: int | None


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a flush did.

    Parameters
    ----------
    rows
        Rows the block holds.
    duplicates
        Rows left out because their origin had been applied before.
    first_offset, last_offset
        The range it covers: everything up to `last_offset` is dealt with and may be committed.
    cut
        Whether the range is recorded; if not, it is part of the next block.
    import_kwh
        Energy of the rows, None where the table holds registers or none. [kWh]
    """

    rows: int
    duplicates: int
    first_offset: int
    last_offset: int
    cut: bool = True
    import_kwh: float | None = None


@dataclass(slots=True)
class _Partition:
    """A partition being written: an open block that grows, or a recorded one that has to be stored first."""

    source: Source
    after_offset: int
    first_offset: int
    next_offset: int
    applied: Mapping[str, Place]  # before the block
    applied_next: Mapping[str, Place]  # after what is in the block
    cut: Cut | None = None  # set = the range is fixed
    frames: list[pl.DataFrame] = field(default_factory=list)
    rows: int = 0
    duplicates: int = 0
    bytes_held: int = 0
    waiting: deque[Record] = field(default_factory=deque)  # beyond a fixed range


def _opened(
    source: Source, after_offset: int, first_offset: int, applied: Mapping[str, Place], cut: Cut | None = None
) -> _Partition:
    return _Partition(source, after_offset, first_offset, first_offset, applied, applied, cut)


class TableWriter:
    """Fills one table from one topic.

    Parameters
    ----------
    client
        A migrated database. Calls block; one thread at a time.
    spec
        The table and how it is filled.
    log_id
        Names the incarnation of the broker's log: offsets are comparable only within one. A broker that
        forgets its topics, a topic that is created anew and another topic prefix each need another id.
    sums_every_s
        How long sums may wait for more blocks; with 0 they are computed with each block. [s]

    Notes
    -----
    The loop that feeds it::

        resume = writer.open(partition, log_start=…)    # on assignment; seek to resume.next_offset
        writer.add(partition, records)                  # while rows_pending is below the block size
        result = writer.flush(partition)                # on SinkUnavailable: pause, wait, flush again
        commit(result.last_offset + 1)                  # for lag: the table is what counts
        writer.close(partition)                         # on revocation, or after Fenced
    """

    def __init__(self, client: Client, spec: TableSpec, log_id: str, sums_every_s: float = 0.0) -> None:
        self.spec = spec
        self._client = client
        self._log_id = log_id
        self._ledger = Ledger(client, log_id)
        self._partitions: dict[int, _Partition] = {}
        self._null_unless_sent: frozenset[str] | None = None  # asked for when first needed
        self._sums = (
            None
            if spec.rollups is None
            else Summing(client, spec.table, spec.time_column, spec.rollups, log_id, sums_every_s)
        )

    def open(
        self,
        partition: int,
        *,
        log_start: int = 0,
        log_end: int | None = None,
        committed: int | None = None,
        accept_gap: bool = False,
    ) -> Resume:
        """Take over a partition and say where to read from.

        Parameters
        ----------
        partition
            Partition of the topic; open it when it is assigned.
        log_start
            First offset the broker still holds.
        log_end
            Offset the broker will give next, None to leave it unchecked.
        committed
            Offset the group has committed, None for none. The table says where to go on; this only proves
            that the last block was stored when the broker no longer holds it.
        accept_gap
            Go on at `log_start` although offsets before it were deleted unseen. An operator's decision.

        Raises
        ------
        LogMismatch
            When the log no longer holds what is next.
        SinkUnavailable
            When ClickHouse cannot answer now.
        """
        source = Source(self.spec.topic, partition)
        cut = self._ledger.last(source)
        if cut is not None and self._sums is not None:
            self._sums.find(source)
        if cut is None:
            self._partitions[partition] = _opened(source, START, log_start, {})
            return Resume(log_start, None)
        if log_end is not None and cut.last_offset >= log_end:
            raise LogMismatch(
                f"{source} ends at offset {log_end}, but offsets up to {cut.last_offset} were stored under "
                f"log id {self._log_id!r}: the topic was created anew or truncated and needs another log id"
            )
        if cut.first_offset < log_start:
            return self._go_on_after(cut, log_start, committed, accept_gap)
        self._partitions[partition] = _opened(source, cut.after_offset, cut.first_offset, cut.applied, cut)
        return Resume(cut.first_offset, cut.last_offset)

    def close(self, partition: int) -> None:
        """Let go of a partition; what was not flushed is forgotten here and read again by the next owner."""
        self._partitions.pop(partition, None)

    def add(self, partition: int, records: Iterable[Record]) -> None:
        """Take messages in offset order; those before the next offset are skipped, so re-reading is harmless.

        Raises
        ------
        OffsetGap
            When an offset is left out: seek back. What came before it is taken.
        Undecodable
            When a message does not hold what its contract says; nothing of this call is taken.
        """
        state = self._partitions[partition]
        next_offset = state.waiting[-1].offset + 1 if state.waiting else state.next_offset
        fresh: list[Record] = []
        gap: OffsetGap | None = None
        for record in records:
            if record.offset > next_offset:
                gap = OffsetGap(str(state.source), next_offset, record.offset)
                break
            if record.offset == next_offset:
                fresh.append(record)
                next_offset += 1
        self._take(state, fresh)
        if gap is not None:
            raise gap

    def rows_pending(self, partition: int) -> int:
        """Return the rows of the block being filled, without messages that wait behind it."""
        return self._partitions[partition].rows

    def bytes_pending(self, partition: int) -> int:
        """Return what is held for a partition, messages that wait included: what to bound. [bytes]"""
        state = self._partitions[partition]
        return state.bytes_held + sum(len(record.value) for record in state.waiting)

    def flush(self, partition: int) -> BlockResult | None:
        """Store what is pending as one block.

        Returns
        -------
        BlockResult | None
            None when there is nothing to store, or when a recorded block has not been read to its end.

        Raises
        ------
        SinkUnavailable
            The block stays as it is: flush again. Messages added meanwhile wait behind it.
        Fenced
            Another writer owns the partition now: close it.
        """
        state = self._partitions[partition]
        last_offset = state.next_offset - 1
        if last_offset < state.first_offset or (state.cut and last_offset < state.cut.last_offset):
            return None
        repeated = state.cut is not None
        if state.cut is None:
            if not state.rows and last_offset - state.first_offset + 1 < EMPTY_CUT_OFFSETS:
                return BlockResult(state.rows, state.duplicates, state.first_offset, last_offset, cut=False)
            # From here on the range is fixed, because it may be recorded even if no answer comes back.
            state.cut = Cut(
                state.source,
                state.after_offset,
                state.first_offset,
                last_offset,
                state.applied,
                state.applied_next,
            )
        written_at = self._ledger.record(state.cut)
        result = BlockResult(state.rows, state.duplicates, state.first_offset, last_offset)
        if state.rows:
            rows = pl.concat(state.frames)
            self._store(state.cut, rows, written_at, repeated=repeated)
            if self.spec.holds_energy:
                result = replace(result, import_kwh=float(rows["import_kwh"].sum()))
        following = _opened(state.source, last_offset, last_offset + 1, state.applied_next)
        self._partitions[partition] = following
        self._take(following, list(state.waiting))
        return result

    def settle(self, *, everything: bool) -> bool:
        """Compute the sums that have waited long enough, or all; return whether none waits now.

        Raises
        ------
        SinkUnavailable
            When ClickHouse cannot answer now: call it again.
        """
        if self._sums is None:
            return True
        self._sums.settle(everything=everything)
        return self._sums.is_settled

    def _store(self, cut: Cut, rows: pl.DataFrame, written_at: int, *, repeated: bool) -> None:
        stamped = rows.select(
            *self._filled(rows),
            # A text that is the same in all rows is written once.
            pl.lit(self._log_id).cast(pl.Enum([self._log_id])).alias("log_id"),
            pl.lit(cut.source.partition, dtype=pl.Int32).alias("topic_partition"),
            MESSAGE,
            pl.lit(written_at, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC")).alias("written_at"),
        )
        for month, part in self._by_month(stamped):
            # The table forgets tokens while other partitions go on; a block of a quiet one may be weeks old.
            is_stored = partial(self._is_stored, cut, written_at, month) if repeated else None
            if is_stored is not None and is_stored():
                continue
            insert(self._client, self.spec.table, part, cut.token(self._log_id, month), is_stored)
        if self._sums is not None:
            # For a repeated block too: it may have stopped between its rows and their sums.
            self._sums.touch(cut.source, rows, cut.last_offset, written_at)
            # And now: who opened the partition before may have found a part of it, and recorded it as summed. Once
            # another block follows, nobody looks for the rest.
            self._sums.settle(everything=repeated)

    def _filled(self, rows: pl.DataFrame) -> list[str]:
        """Return the columns to be sent: one of nulls only need not be where the table itself would put null."""
        empty = {name for name in self.spec.columns if rows[name].null_count() == rows.height}
        if empty and self._null_unless_sent is None:
            with unavailable_is_named(f"asking for the columns of {self.spec.table}"):
                found = self._client.query(_NULL_UNLESS_SENT, parameters={"table": self.spec.table}).result_rows
            self._null_unless_sent = frozenset(str(name) for (name,) in found)
        return [name for name in self.spec.columns if name not in empty or name not in (self._null_unless_sent or ())]

    def _by_month(self, rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield month, as `toYYYYMM` writes it, and rows of each table partition."""
        time = pl.col(self.spec.time_column)
        month = time.dt.year().cast(pl.Int32) * 100 + time.dt.month().cast(pl.Int32)
        first, last = rows.select(month.min().alias("first"), month.max().alias("last")).row(0)
        if first == last:
            yield first, rows
            return
        for (number,), part in rows.group_by(month.alias("month"), maintain_order=True):
            yield int(str(number)), part

    def _is_stored(self, cut: Cut, written_at: int, month: int) -> bool:
        values = {
            "table": self.spec.table,
            "time_column": self.spec.time_column,
            "log_id": self._log_id,
            "partition": cut.source.partition,
            "first_offset": cut.first_offset,
            "last_offset": cut.last_offset,
            "written_at": written_at,
            "month": month,
        }
        with unavailable_is_named(f"looking for a block of {cut.source}"):
            return bool(self._client.query(_IS_STORED, parameters=values).result_rows)

    def _take(self, state: _Partition, records: Sequence[Record]) -> None:
        """Decode messages into the block, up to the end of its range if that is fixed."""
        end = state.cut.last_offset if state.cut else None
        inside = [record for record in records if end is None or record.offset <= end]
        if inside:
            decoded = self.spec.decode(state.source, inside)
            rows, state.applied_next = new_rows(decoded, state.applied_next)
            if rows.height:
                kept = rows.select(*self.spec.columns, MESSAGE)
                state.frames.append(kept)
                state.bytes_held += int(kept.estimated_size())
            state.rows += rows.height
            state.duplicates += decoded.height - rows.height
            state.next_offset = inside[-1].offset + 1
        state.waiting.extend(records[len(inside) :])

    def _go_on_after(self, cut: Cut, log_start: int, committed: int | None, accept_gap: bool) -> Resume:
        """Resume behind a block the broker no longer holds, if it is sure that nothing was lost."""
        gap = log_start - (cut.last_offset + 1)
        stored = committed is not None and committed > cut.last_offset
        # a few control records may have been committed without a cut of their own
        nothing_unread = gap <= 0 or (committed is not None and log_start <= committed and gap < EMPTY_CUT_OFFSETS)
        if not (accept_gap or (stored and nothing_unread)):
            raise LogMismatch(
                f"{cut.source} begins at offset {log_start}, but what was to be stored last is "
                f"{cut.first_offset}..{cut.last_offset}: the broker has deleted messages before they "
                "were known to be stored"
            )
        next_offset = max(log_start, cut.last_offset + 1)
        self._partitions[cut.source.partition] = _opened(cut.source, cut.last_offset, next_offset, cut.applied_after)
        return Resume(next_offset, None)
