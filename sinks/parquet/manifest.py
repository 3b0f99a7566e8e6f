"""The manifest: which files of the archive count, and how far each partition of telemetry.v1 has been archived.

Per log and partition there are two kinds of small JSON files below `manifest/`:

* a **cut** per flush, named by the last offset of the cut before it and created exclusively, so that only one cut can
  follow another and a writer that was replaced finds its successor's cut instead of its own;
* a **day** per compacted day and kind, with a generation in its name and created exclusively for the same reason. It
  holds everything of that day up to an offset; files of cuts up to there do not count any more.

A file that neither names does not exist for a reader. Readers list the cuts first and the days after them: what a
compaction deletes it has put into a day before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from sinks.clickhouse.errors import SinkMisconfigured
from sinks.clickhouse.origins import Place
from sinks.parquet.files import create_whole
from sinks.parquet.paths import escaped, log_key, partition_name

SCHEMA_VERSION = 1
START = -1  # `after_offset` of the first cut


class Part(StrEnum):
    """What a file holds."""

    READINGS = "readings"
    SITES = "sites"  # site records, which travel in front of the readings they govern
    TICKS = "ticks"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file.

    Parameters
    ----------
    part
        What it holds.
    day
        Event day (readings) or day of arrival (the others), UTC, ISO 8601.
    path
        Relative to the archive.
    rows, bytes, sha256
        Its content.
    ts_first, ts_last
        Range of event time (readings) or arrival (the others). [ms UTC]
    offset_first, offset_last
        Range of offsets on telemetry.v1; the file need not hold all of them.
    raw
        Raw partition -> first and last raw offset in it.
    site
        The site all rows are of, None when there are several.
    """

    part: Part
    day: str
    path: str
    rows: int
    bytes: int
    sha256: str
    ts_first: int
    ts_last: int
    offset_first: int
    offset_last: int
    raw: Mapping[str, tuple[int, int]]
    site: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets that the broker had deleted before they were archived."""

    after_offset: int
    next_offset: int
    arrived_after: int  # [ms UTC]
    arrived_until: int  # [ms UTC]


@dataclass(frozen=True, slots=True)
class ArchiveCut:
    """A contiguous range of a partition, and its files.

    Parameters
    ----------
    log_id
        Incarnation of the broker's log.
    after_offset
        Last offset of the cut before this one, `START` for none.
    first_offset, last_offset
        The range, both ends included.
    arrived_first, arrived_last
        Arrival of the first and the last message. [ms UTC]
    began_offset, began_at
        First offset of this log that was ever archived, and its arrival: what came before is not known.
    gaps
        What was deleted in between before it was archived.
    applied
        Highest raw place archived per raw partition after this cut.
    files
        What was written.
    """

    log_id: str
    after_offset: int
    first_offset: int
    last_offset: int
    arrived_first: int
    arrived_last: int
    began_offset: int
    began_at: int
    gaps: tuple[Gap, ...]
    applied: Mapping[str, Place]
    files: tuple[FileEntry, ...]
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class ArchiveDay:
    """A compacted day: everything of one part and day up to an offset."""

    part: Part
    day: str
    generation: int
    through_offset: int
    files: tuple[FileEntry, ...]
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Held:
    """What counts of one partition of one log."""

    cuts: tuple[ArchiveCut, ...]
    days: Mapping[tuple[Part, str], ArchiveDay]

    @cached_property
    def files(self) -> tuple[FileEntry, ...]:
        """Files a reader reads."""
        compacted = [file for day in self.days.values() for file in day.files]
        return (*compacted, *(file for cut, file in self._of_cuts() if not self.absorbed(cut, file)))

    @property
    def newest(self) -> ArchiveCut | None:
        """The last cut, None for an empty partition."""
        return self.cuts[-1] if self.cuts else None

    def superseded(self) -> Iterator[FileEntry]:
        """Yield files of cuts that are in a compacted day."""
        return (file for cut, file in self._of_cuts() if self.absorbed(cut, file))

    def spent(self) -> Iterator[ArchiveCut]:
        """Yield the cuts of which no file counts; never the newest, which says where to go on."""
        return (cut for cut in self.cuts[:-1] if all(self.absorbed(cut, file) for file in cut.files))

    def _of_cuts(self) -> Iterator[tuple[ArchiveCut, FileEntry]]:
        return ((cut, file) for cut in self.cuts for file in cut.files)

    def absorbed(self, cut: ArchiveCut, file: FileEntry) -> bool:
        """Return whether a file of a cut is in a compacted day."""
        day = self.days.get((file.part, file.day))
        return day is not None and cut.last_offset <= day.through_offset


@dataclass(frozen=True, slots=True)
class PartitionManifest:
    """The manifest of one partition of one log.

    Parameters
    ----------
    root
        The archive.
    log_id
        Incarnation of the broker's log.
    partition
        Partition of telemetry.v1.
    """

    root: Path
    log_id: str
    partition: int

    @property
    def directory(self) -> Path:
        """Where its JSON files are."""
        return self.root / "manifest" / f"log={escaped(self.log_id)}" / partition_name(self.partition)

    def stem(self, first_offset: int, last_offset: int) -> str:
        """Return the name of what is written for a range, without its suffix."""
        return f"{log_key(self.log_id)}-{partition_name(self.partition)}-{first_offset:016d}-{last_offset:016d}"

    def load(self) -> Held:
        """Read what counts now.

        Raises
        ------
        SinkMisconfigured
            When it was written by a newer release.
        """
        for _ in range(10):
            try:
                return self._loaded()
            except FileNotFoundError:
                continue  # a compaction replaced it in between
        return self._loaded()

    def commit(self, cut: ArchiveCut) -> None:
        """Let a cut count.

        Raises
        ------
        Fenced
            When another cut follows the same predecessor.
        """
        create_whole(self.cut_path(cut), _CUT.dump_json(cut))

    def commit_day(self, day: ArchiveDay) -> None:
        """Let a compacted day count in place of what it was made from.

        Raises
        ------
        Fenced
            When another process compacted the same day meanwhile.
        """
        create_whole(self.day_path(day), _DAY.dump_json(day))

    def cut_path(self, cut: ArchiveCut) -> Path:
        """Return where a cut is recorded."""
        return self.directory / "cuts" / f"after-{cut.after_offset + 1:016d}.json"

    def day_path(self, day: ArchiveDay) -> Path:
        """Return where a compacted day is recorded."""
        return self.directory / "days" / f"{day.part}-{day.day}-{day.generation:08d}.json"

    def old_days(self) -> Iterator[Path]:
        """Yield the records of days that have a newer generation."""
        newest: dict[str, Path] = {}
        for path in sorted((self.directory / "days").glob("*.json")):
            key = path.stem.rsplit("-", 1)[0]
            if key in newest:
                yield newest[key]
            newest[key] = path

    def _loaded(self) -> Held:
        cuts = [_read(_CUT, path) for path in sorted((self.directory / "cuts").glob("after-*.json"))]
        newest = {path.stem.rsplit("-", 1)[0]: path for path in sorted((self.directory / "days").glob("*.json"))}
        days = [_read(_DAY, path) for path in newest.values()]
        return Held(tuple(cuts), {(day.part, day.day): day for day in days})


def partitions_of(root: Path) -> list[PartitionManifest]:
    """Return every partition of every log in an archive, in the order in which the logs began."""
    found: list[tuple[int, PartitionManifest]] = []
    for directory in (root / "manifest").glob("log=*/p*"):
        newest = max((directory / "cuts").glob("after-*.json"), default=None)
        if newest is not None:
            cut = _read(_CUT, newest)
            found.append((cut.began_at, PartitionManifest(root, cut.log_id, int(directory.name[1:]))))
    return [one for _, one in sorted(found, key=lambda entry: (entry[0], entry[1].log_id, entry[1].partition))]


_CUT = TypeAdapter(ArchiveCut)
_DAY = TypeAdapter(ArchiveDay)
Recorded = TypeVar("Recorded", ArchiveCut, ArchiveDay)


def _read(kind: TypeAdapter[Recorded], path: Path) -> Recorded:
    try:
        found = kind.validate_json(path.read_bytes())
    except ValidationError as error:
        raise SinkMisconfigured(f"{path} is not a record of an archive manifest: {error}") from error
    if found.schema_version > SCHEMA_VERSION:
        raise SinkMisconfigured(
            f"{path} was written by a newer release (schema {found.schema_version}, known is {SCHEMA_VERSION})"
        )
    return found
