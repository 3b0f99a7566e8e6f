"""Reading the archive: what counts at this moment, and rows by place on the topic or by event time."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from sinks.clickhouse.origins import MESSAGE
from sinks.parquet.manifest import FileEntry, Held, Part, PartitionManifest, partitions_of
from sinks.parquet.rows import COLUMNS, TIME, scanned

_ATTEMPTS = 5


@dataclass(slots=True)
class LogReader:
    """One partition of one log.

    Parameters
    ----------
    manifest
        Which one.
    """

    manifest: PartitionManifest
    held: Held = field(init=False)

    def __post_init__(self) -> None:
        """Look at what counts."""
        self.held = self.manifest.load()

    def files(
        self,
        part: Part,
        *,
        times: tuple[int, int] | None = None,
        offsets: tuple[int, int] | None = None,
        sites: Collection[str] | None = None,
    ) -> Iterator[FileEntry]:
        """Yield the files that may hold such rows; ranges include their ends.

        Parameters
        ----------
        part
            What they hold.
        times
            Event time (readings) or arrival (the others). [ms UTC]
        offsets
            Offsets on telemetry.v1.
        sites
            Only of these sites.
        """
        for file in self.held.files:
            if file.part is not part or (sites is not None and file.site is not None and file.site not in sites):
                continue
            if times is not None and (file.ts_last < times[0] or file.ts_first > times[1]):
                continue
            if offsets is not None and (file.offset_last < offsets[0] or file.offset_first > offsets[1]):
                continue
            yield file

    def rows(
        self,
        part: Part,
        *,
        times: tuple[int, int] | None = None,
        offsets: tuple[int, int] | None = None,
        sites: Collection[str] | None = None,
        reduce: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda rows: rows,
    ) -> pl.DataFrame:
        """Return rows, in no particular order; parameters as for `files`.

        Parameters
        ----------
        reduce
            What to make of the rows while they are read.
        """
        wanted = pl.lit(True)
        if times is not None:
            wanted &= pl.col(TIME[part]).dt.epoch("ms").is_between(*times)
        if offsets is not None:
            wanted &= pl.col(MESSAGE).is_between(*offsets)
        if sites is not None and "site_id" in COLUMNS[part]:
            wanted &= pl.col("site_id").is_in(list(sites))
        for attempt in range(_ATTEMPTS):
            paths = [self.manifest.root / f.path for f in self.files(part, times=times, offsets=offsets, sites=sites)]
            found = scanned(paths, part) if paths else pl.LazyFrame(schema=COLUMNS[part])
            try:
                return reduce(found.filter(wanted)).collect()
            except FileNotFoundError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                self.held = self.manifest.load()  # a compaction has put these files into others
        raise AssertionError("not reached")


def lanes_of(root: Path) -> dict[int, list[LogReader]]:
    """Return the logs of each partition, in the order in which they began."""
    lanes: dict[int, list[LogReader]] = {}
    for manifest in partitions_of(root):
        lanes.setdefault(manifest.partition, []).append(LogReader(manifest))
    return dict(sorted(lanes.items()))


def sites_held(logs: Sequence[LogReader]) -> pl.DataFrame:
    """Return `tenant_id`, `site_id`, `first`, `last` (ms UTC) and `rows`: the readings held of each site."""
    moment = pl.col("ts").dt.epoch("ms")

    def extents(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.group_by("tenant_id", "site_id").agg(first=moment.min(), last=moment.max(), rows=pl.len())

    parts = [log.rows(Part.READINGS, reduce=extents) for log in logs]
    schema = {"tenant_id": pl.String(), "site_id": pl.String(), "first": pl.Int64(), "last": pl.Int64()}
    return (
        pl.concat([pl.DataFrame(schema={**schema, "rows": pl.get_index_type()}), *parts], how="vertical_relaxed")
        .group_by("tenant_id", "site_id")
        .agg(pl.col("first").min(), pl.col("last").max(), pl.col("rows").sum())
        .sort("tenant_id", "site_id")
    )
