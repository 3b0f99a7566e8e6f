"""The writer of the archive: messages of telemetry.v1 in, files and a cut out, every reading once.

Files are written first, whole, under names made of log, partition and offset range; the cut that names them is created
last, and exclusively. Until then a reader does not see them, and a writer that starts over goes on behind the last cut.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from schemas.topics import TELEMETRY
from sinks.clickhouse.errors import Fenced, LogMismatch, OffsetGap, SinkUnavailable
from sinks.clickhouse.origins import MESSAGE, Place, new_rows
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.writer import BlockResult, Resume
from sinks.parquet.compact import compact
from sinks.parquet.files import unavailable_disk
from sinks.parquet.manifest import START, ArchiveCut, FileEntry, Gap, Part, PartitionManifest, partitions_of
from sinks.parquet.rows import ARCHIVE, TIME, arrival, site_rows, tick_rows, write_rows

log = logging.getLogger(__name__)

_DAYS_AT_A_TIME = 8  # a month that is backfilled must not hold the next cut up


@dataclass(slots=True)
class _Partition:
    """A partition being archived: what follows its last cut."""

    manifest: PartitionManifest
    last: ArchiveCut | None
    first_offset: int
    next_offset: int
    applied: Mapping[str, Place]
    frames: dict[Part, list[pl.DataFrame]] = field(default_factory=dict)
    arrived_first: int | None = None
    arrived_last: int = 0
    rows: int = 0
    duplicates: int = 0
    bytes_held: int = 0


class ArchiveWriter:
    """Fills the archive from telemetry.v1; `streams.storing` drives it as it drives the writers of tables.

    Parameters
    ----------
    root
        Directory of the archive, the same for all workers.
    log_id
        Names the incarnation of the broker's log: offsets are comparable only within one.
    """

    spec = ARCHIVE

    def __init__(self, root: Path, log_id: str) -> None:
        self.root = root
        self._log_id = log_id
        self._partitions: dict[int, _Partition] = {}
        self._tidied: set[int] = set()

    def open(
        self, partition: int, *, log_start: int = 0, log_end: int | None = None, committed: int | None = None
    ) -> Resume:
        """Take over a partition and say where to read from.

        Parameters
        ----------
        partition
            Partition of telemetry.v1.
        log_start
            First offset the broker still holds. Where it is past what comes next, the archive goes on there: the hole
            is recorded, and a replay says so.
        log_end
            Offset the broker will give next, None to leave it unchecked.
        committed
            Not used: the manifest says where to go on.

        Raises
        ------
        LogMismatch
            When the topic is shorter than what was archived of it.
        SinkUnavailable
            When the file system cannot answer now.
        """
        manifest = PartitionManifest(self.root, self._log_id, partition)
        with unavailable_disk(f"opening the archive {self.root}"):
            last = manifest.load().newest
        if last is not None and log_end is not None and last.last_offset >= log_end:
            raise LogMismatch(
                f"{Source(TELEMETRY.name, partition)} ends at offset {log_end}, but offsets up to {last.last_offset} "
                f"were archived under log id {self._log_id!r}: the topic was created anew or truncated and needs "
                "another log id"
            )
        next_offset = log_start if last is None else max(log_start, last.last_offset + 1)
        applied = {} if last is None else last.applied
        self._partitions[partition] = _Partition(manifest, last, next_offset, next_offset, applied)
        return Resume(next_offset, None)

    def close(self, partition: int) -> None:
        """Let go of a partition; what was not flushed is read again by the next owner."""
        self._partitions.pop(partition, None)

    def settle(self, *, everything: bool) -> bool:
        """Say that nothing waits: nothing is computed from what is archived."""
        del everything
        return True

    def add(self, partition: int, records: Iterable[Record]) -> None:
        """Take messages in offset order; those before the next offset are skipped.

        Raises
        ------
        OffsetGap
            When an offset is left out: seek back. What came before it is taken.
        Undecodable
            When a message does not hold what its contract says; nothing of this call is taken.
        """
        state = self._partitions[partition]
        source = Source(TELEMETRY.name, partition)
        fresh: list[Record] = []
        gap: OffsetGap | None = None
        next_offset = state.next_offset
        for record in records:
            if record.offset > next_offset:
                gap = OffsetGap(f"{source} (archive)", next_offset, record.offset)
                break
            if record.offset == next_offset:
                fresh.append(record)
                next_offset += 1
        if fresh:
            self._take(state, source, fresh)
        if gap is not None:
            raise gap

    def rows_pending(self, partition: int) -> int:
        """Return the readings of the cut being gathered."""
        return self._partitions[partition].rows

    def bytes_pending(self, partition: int) -> int:
        """Return the message bytes of the cut being gathered. [bytes]"""
        return self._partitions[partition].bytes_held

    def flush(self, partition: int) -> BlockResult | None:
        """Write what was gathered, and let it count.

        Returns
        -------
        BlockResult | None
            None when there is nothing.

        Raises
        ------
        SinkUnavailable
            The disk is full or away; nothing counts: flush again.
        Fenced
            Another writer owns the partition now: close it.
        """
        state = self._partitions[partition]
        last_offset = state.next_offset - 1
        if last_offset < state.first_offset:
            return None
        with unavailable_disk(f"archiving {TELEMETRY.name}[{partition}]"):
            self._not_replaced(state)
            files = tuple(self._written(state, part, last_offset) for part in Part if state.frames.get(part))
            cut = self._cut(state, last_offset, tuple(file for of_part in files for file in of_part))
            state.manifest.commit(cut)
        result = BlockResult(state.rows, state.duplicates, state.first_offset, last_offset)
        self._partitions[partition] = _Partition(state.manifest, cut, last_offset + 1, last_offset + 1, state.applied)
        self._tidy(partition, cut.arrived_last)
        return result

    def _tidy(self, partition: int, now: int) -> None:
        """Compact what is due; a failure here costs nothing but small files."""
        state = self._partitions[partition]
        manifests = [state.manifest]
        if partition not in self._tidied:  # nobody writes the logs of earlier brokers any more, so their files wait
            manifests += [one for one in partitions_of(self.root) if one.partition == partition]
        self._tidied.add(partition)
        for manifest in manifests:
            try:
                compact(manifest, now, most=_DAYS_AT_A_TIME)
            except (Fenced, SinkUnavailable) as error:
                log.warning("archive_compaction_postponed", extra={"partition": partition, "error": str(error)})

    def _take(self, state: _Partition, source: Source, records: list[Record]) -> None:
        arrivals = {record.offset: arrival(source, record) for record in records}
        decoded = ARCHIVE.decode(source, records)
        rows, applied = new_rows(decoded, state.applied)
        found = {
            Part.READINGS: rows,
            Part.SITES: site_rows(source, records, self._log_id),
            Part.TICKS: tick_rows(source, records, self._log_id),
        }
        if not rows.is_empty():
            arrived = pl.DataFrame(
                {MESSAGE: list(arrivals), "arrived_at": list(arrivals.values())}, schema_overrides={MESSAGE: pl.Int64()}
            ).with_columns(pl.col("arrived_at").cast(pl.Datetime("ms", "UTC")))
            found[Part.READINGS] = (
                rows.select(*ARCHIVE.columns, MESSAGE)
                .join(arrived, on=MESSAGE, how="left", maintain_order="left")
                .with_columns(log_id=pl.lit(self._log_id), topic_partition=pl.lit(source.partition, pl.Int32()))
            )
        for part, frame in found.items():
            if not frame.is_empty():
                state.frames.setdefault(part, []).append(frame)
        state.applied = applied
        state.rows += rows.height
        state.duplicates += decoded.height - rows.height
        state.bytes_held += sum(len(record.value) for record in records)
        state.next_offset = records[-1].offset + 1
        if state.arrived_first is None:
            state.arrived_first = arrivals[records[0].offset]
        state.arrived_last = max(state.arrived_last, *arrivals.values())

    def _not_replaced(self, state: _Partition) -> None:
        """Look before writing, so that a writer that slept leaves as few files behind as it can."""
        newest = state.manifest.load().newest
        known = START if state.last is None else state.last.last_offset
        if newest is not None and newest.last_offset > known:
            raise Fenced(
                f"{TELEMETRY.name}[{state.manifest.partition}]: the archive goes up to offset {newest.last_offset}, "
                f"but this writer left it at {known}"
            )

    def _cut(self, state: _Partition, last_offset: int, files: tuple[FileEntry, ...]) -> ArchiveCut:
        before = state.last
        arrived_first = state.arrived_first or 0
        after_offset = START if before is None else before.last_offset
        gaps = () if before is None else before.gaps
        if before is not None and state.first_offset > after_offset + 1:
            gaps = (*gaps, Gap(after_offset, state.first_offset, before.arrived_last, arrived_first))
        return ArchiveCut(
            self._log_id,
            after_offset,
            state.first_offset,
            last_offset,
            arrived_first,
            state.arrived_last,
            state.first_offset if before is None else before.began_offset,
            arrived_first if before is None else before.began_at,
            gaps,
            state.applied,
            files,
        )

    def _written(self, state: _Partition, part: Part, last_offset: int) -> list[FileEntry]:
        rows = pl.concat(state.frames[part])
        stem = state.manifest.stem(state.first_offset, last_offset)
        days = rows.with_columns(pl.col(TIME[part]).dt.date().cast(pl.String).alias("day")).partition_by(
            "day", as_dict=True, include_key=False
        )
        return [
            write_rows(self.root, part, f"fresh/{part}/day={day}/{stem}.parquet", mine)
            for (day,), mine in sorted(days.items(), key=lambda one: str(one[0]))
        ]
