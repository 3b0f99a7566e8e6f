"""Messages of telemetry.v1 to the rows of the archive, and back to the order they had on the topic."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from schemas.flow import HEADER_ARRIVED_AT, HEADER_KIND, Kind
from schemas.reading import TELEMETRY_ROWS, TIMESTAMP
from schemas.topics import TELEMETRY
from sinks.clickhouse.origins import MESSAGE
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import TableSpec, telemetry_rows
from sinks.parquet.files import write_whole
from sinks.parquet.manifest import FileEntry, Part

PLACE: dict[str, pl.DataType] = {
    "log_id": pl.String(),
    "topic_partition": pl.Int32(),
    "topic_offset": pl.Int64(),
    "arrived_at": TIMESTAMP,
}
READING_ROWS: dict[str, pl.DataType] = {**TELEMETRY_ROWS, **PLACE}
SITE_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "revision": pl.Int64(),
    "record": pl.String(),  # JSON, as on telemetry.v1
    **PLACE,
}
TICK_ROWS: dict[str, pl.DataType] = PLACE

COLUMNS: Mapping[Part, dict[str, pl.DataType]] = {
    Part.READINGS: READING_ROWS,
    Part.SITES: SITE_ROWS,
    Part.TICKS: TICK_ROWS,
}
ORDER: Mapping[Part, tuple[str, ...]] = {
    Part.READINGS: ("site_id", "meter_id", "ts", MESSAGE),
    Part.SITES: ("site_id", MESSAGE),
    Part.TICKS: (MESSAGE,),
}
TIME: Mapping[Part, str] = {Part.READINGS: "ts", Part.SITES: "arrived_at", Part.TICKS: "arrived_at"}

_ROW_GROUP = 65_536  # rows are sorted by site, so a reader of one site skips the others

# What the archive takes from telemetry.v1 as rows of readings; everything else of it are control records.
ARCHIVE = TableSpec(TELEMETRY.name, "archive", "ts", tuple(TELEMETRY_ROWS), telemetry_rows)


def arrival(source: Source, record: Record) -> int:
    """Return when a message arrived. [ms UTC].

    Raises
    ------
    Undecodable
        When it does not say.
    """
    try:
        return int(record.headers[HEADER_ARRIVED_AT])
    except (KeyError, ValueError) as error:
        raise source.undecodable(record, f"header {HEADER_ARRIVED_AT} must be a time in ms") from error


def site_rows(source: Source, records: Sequence[Record], log_id: str) -> pl.DataFrame:
    """Return the site records among messages."""
    rows = []
    for record in records:
        if record.headers.get(HEADER_KIND) != Kind.SITE.encode():
            continue
        try:
            found = json.loads(record.value)
            about = (found["site"]["tenant"], found["site"]["id"], found["revision"])
        except (ValueError, KeyError, TypeError) as error:
            raise source.undecodable(record, "not a site record") from error
        rows.append((*about, record.value.decode(), *_place(source, record, log_id)))
    return pl.DataFrame(rows, schema=SITE_ROWS, orient="row")


def tick_rows(source: Source, records: Sequence[Record], log_id: str) -> pl.DataFrame:
    """Return the ticks among messages."""
    ticks = [_place(source, one, log_id) for one in records if one.headers.get(HEADER_KIND) == Kind.TICK.encode()]
    return pl.DataFrame(ticks, schema=TICK_ROWS, orient="row")


def as_parquet(rows: pl.DataFrame, part: Part) -> bytes:
    """Return a file; equal rows give equal bytes."""
    body = io.BytesIO()
    rows.select(*COLUMNS[part]).sort(*ORDER[part], maintain_order=True).rechunk().write_parquet(
        body, compression="zstd", statistics=True, row_group_size=_ROW_GROUP
    )
    return body.getvalue()


def scanned(paths: list[Path], part: Part) -> pl.LazyFrame:
    """Return the rows of files, at least one; what a file of an older release does not have is null.

    Parameters
    ----------
    paths
        The files.
    part
        What they hold.
    """
    return pl.scan_parquet(
        paths, schema=COLUMNS[part], missing_columns="insert", extra_columns="ignore", hive_partitioning=False
    )


def write_rows(root: Path, part: Part, path: str, rows: pl.DataFrame, site: str | None = None) -> FileEntry:
    """Write one file of the archive, whole, and describe it.

    Parameters
    ----------
    root
        The archive.
    part, site
        What it holds; see `FileEntry`. The rows are all of one day.
    path
        Where, relative to the archive.
    rows
        Its rows, not none.
    """
    content = as_parquet(rows, part)
    write_whole(root / path, content)
    moment = rows[TIME[part]].dt.epoch("ms")
    raw: dict[str, tuple[int, int]] = {}
    if part is Part.READINGS:
        ranges = rows.group_by("raw_partition").agg(first=pl.col("raw_offset").min(), last=pl.col("raw_offset").max())
        raw = {str(number): (first, last) for number, first, last in ranges.sort("raw_partition").iter_rows()}
    extent = rows.select(
        pl.col(MESSAGE).min().alias("first"), pl.col(MESSAGE).max().alias("last"), low=moment.min(), high=moment.max()
    ).row(0)
    day = rows[TIME[part]].dt.date().cast(pl.String)[0]
    digest = hashlib.sha256(content).hexdigest()
    first, last, low, high = (int(number) for number in extent)
    return FileEntry(part, day, path, rows.height, len(content), digest, low, high, first, last, raw, site)


def _place(source: Source, record: Record, log_id: str) -> tuple[str, int, int, int]:
    return log_id, source.partition, record.offset, arrival(source, record)
