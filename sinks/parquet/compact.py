"""Compaction: the many files of a day that is over become one per site, and one of site records and one of ticks.

New files are written under new names, then the day's record is created and counts from that moment; only then is what
it replaces deleted. Whatever stops it leaves either the old files or the new ones to count, never both.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from sinks.clickhouse.origins import MESSAGE
from sinks.parquet.files import unavailable_disk
from sinks.parquet.manifest import ArchiveDay, FileEntry, Held, Part, PartitionManifest
from sinks.parquet.paths import escaped, log_key, partition_name
from sinks.parquet.rows import scanned, write_rows

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MANY_FILES = 16  # what a busy day, such as one that is being backfilled, may gather before it is compacted anyway
_READ_ROWS = 2_000_000  # of how many rows sites are taken together


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compacting did: days made, files and bytes before and after."""

    days: int = 0
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    def __add__(self, other: "Compacted") -> "Compacted":
        """Add two up."""
        return Compacted(
            self.days + other.days,
            self.files_before + other.files_before,
            self.files_after + other.files_after,
            self.bytes_before + other.bytes_before,
            self.bytes_after + other.bytes_after,
        )


def due_days(held: Held, now: int, *, quiet_ms: int = HOUR_MS) -> Iterator[tuple[Part, str]]:
    """Yield the days that are over and have files of cuts, once nothing more comes for them or many have gathered.

    Parameters
    ----------
    held
        What counts.
    now
        The present. [ms UTC]
    quiet_ms
        How long nothing may have come for a day. [ms]
    """
    fresh: dict[tuple[Part, str], tuple[int, int]] = {}
    for cut in held.cuts:
        for file in cut.files:
            if not held.absorbed(cut, file):
                count, _ = fresh.get((file.part, file.day), (0, 0))
                fresh[file.part, file.day] = (count + 1, cut.arrived_last)
    for (part, day), (count, newest) in sorted(fresh.items()):
        over = _end_of(day) + HOUR_MS <= now
        if over and (count >= MANY_FILES or newest + quiet_ms <= now):
            yield part, day


def compact(manifest: PartitionManifest, now: int, *, most: int | None = None, quiet_ms: int = HOUR_MS) -> Compacted:
    """Compact the days of one partition of one log that are due.

    Parameters
    ----------
    manifest
        Which one.
    now
        The present. [ms UTC]
    most
        How many days at most; None for all.
    quiet_ms
        See `due_days`. [ms]

    Raises
    ------
    Fenced
        When another process compacted the same day; what counts is what that one made.
    SinkUnavailable
        When the file system cannot do it now.
    """
    done = Compacted()
    with unavailable_disk(f"compacting the archive {manifest.root}"):
        for part, day in list(due_days(manifest.load(), now, quiet_ms=quiet_ms))[:most]:
            done += _compact_day(manifest, manifest.load(), part, day)
        _forget_spent(manifest)
    return done


def _compact_day(manifest: PartitionManifest, held: Held, part: Part, day: str) -> Compacted:
    before = held.days.get((part, day))
    fresh = [
        file
        for cut in held.cuts
        for file in cut.files
        if (file.part, file.day) == (part, day) and not held.absorbed(cut, file)
    ]
    newest = held.newest
    if newest is None or not fresh:
        return Compacted()
    old = () if before is None else before.files
    made, kept = _of_sites(manifest, day, fresh, old, newest.last_offset) if part is Part.READINGS else ([], [])
    if part is not Part.READINGS:
        made = [_in_one(manifest, part, day, [*old, *fresh], newest.last_offset)]
    generation = 1 if before is None else before.generation + 1
    files = tuple(sorted((*made, *kept), key=lambda file: file.path))
    manifest.commit_day(ArchiveDay(part, day, generation, newest.last_offset, files))
    gone = [file for file in (*old, *fresh) if file not in kept]
    for path in list(manifest.old_days()):
        path.unlink(missing_ok=True)
    for file in gone:
        (manifest.root / file.path).unlink(missing_ok=True)
    log.info(
        "archive_day_compacted",
        extra={"part": part.value, "day": day, "partition": manifest.partition, "from": len(gone), "to": len(made)},
    )
    return Compacted(1, len(gone), len(made), sum(one.bytes for one in gone), sum(one.bytes for one in made))


def _of_sites(
    manifest: PartitionManifest, day: str, fresh: Sequence[FileEntry], old: Sequence[FileEntry], through: int
) -> tuple[list[FileEntry], list[FileEntry]]:
    """Write one file per site that has fresh rows; return them, and the files of the other sites."""
    root = manifest.root
    paths = [root / file.path for file in fresh]
    counts = scanned(paths, Part.READINGS).group_by("site_id").agg(pl.len()).sort("site_id").collect()
    of_site = {file.site: file for file in old}
    made: list[FileEntry] = []
    for sites in _bundles(counts):
        mine = scanned(paths, Part.READINGS).filter(pl.col("site_id").is_in(sites)).collect()
        for site in sites:
            rows = mine.filter(pl.col("site_id") == site)
            if site in of_site:
                rows = pl.concat([scanned([root / of_site[site].path], Part.READINGS).collect(), rows])
            path = f"readings/day={day}/site={escaped(site)}/{_name(manifest, through)}"
            made.append(write_rows(root, Part.READINGS, path, rows, site))
    written = {file.site for file in made}
    return made, [file for file in old if file.site not in written]


def _bundles(counts: pl.DataFrame) -> Iterator[list[str]]:
    """Yield sites so that not too many rows are read at a time."""
    bundle: list[str] = []
    held = 0
    for site, rows in counts.iter_rows():
        if bundle and held + rows > _READ_ROWS:
            yield bundle
            bundle, held = [], 0
        bundle.append(str(site))
        held += rows
    if bundle:
        yield bundle


def _in_one(manifest: PartitionManifest, part: Part, day: str, files: Sequence[FileEntry], through: int) -> FileEntry:
    rows = scanned([manifest.root / file.path for file in files], part).collect()
    if part is Part.SITES:
        # Each ingest process sends the record of a site again; a repetition changes nothing.
        rows = rows.sort(MESSAGE).unique(["site_id", "revision"], keep="first", maintain_order=True)
    return write_rows(manifest.root, part, f"{part}/day={day}/{_name(manifest, through)}", rows)


def _name(manifest: PartitionManifest, through: int) -> str:
    return f"{log_key(manifest.log_id)}-{partition_name(manifest.partition)}-through-{through:016d}.parquet"


def _forget_spent(manifest: PartitionManifest) -> None:
    """Delete the records of cuts whose files are all compacted.

    Not those of the last day: a writer that slept must find that another cut follows its predecessor.
    """
    held = manifest.load()
    if held.newest is None:
        return
    for cut in list(held.spent()):
        if cut.arrived_last < held.newest.arrived_last - DAY_MS:
            manifest.cut_path(cut).unlink(missing_ok=True)


def orphans(root: Path, counted: Sequence[Held]) -> Iterator[Path]:
    """Yield data files that no record names: left by a writer or a compaction that was stopped.

    A file may also be about to be named by a writer at work, so delete only old ones.
    """
    named = {root / file.path for held in counted for file in (*held.files, *held.superseded())}
    for top in ("fresh", "readings", "sites", "ticks"):
        for path in sorted((root / top).rglob("*")):
            if path.is_file() and path not in named:
                yield path


def _end_of(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000) + DAY_MS
