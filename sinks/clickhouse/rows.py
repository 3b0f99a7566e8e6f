"""Messages to rows: what each table takes from its topic.

A decoder is given messages of one partition in the order of the log and returns the rows of its table with
`topic_offset` and the origin columns. Control records and other kinds give no rows. What cannot be decoded is
a bug of ours, since only Wattloop writes these topics, and is raised with its place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import polars as pl

from schemas.emission import EMISSION_RECORD
from schemas.flow import HEADER_KIND, HEADER_ORIGIN, Kind
from schemas.reading import MEASURES, TELEMETRY_ROWS, TIMESTAMP
from schemas.topics import EMISSIONS, ENERGY, TELEMETRY
from schemas.window import WINDOW_ROWS
from sinks.clickhouse.origins import INDEX, MESSAGE, OFFSET, SOURCE
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rollups import EMISSION_ROLLUPS, ENERGY_ROLLUPS, Rollups

_EMISSION_REQUIRED = (
    "id",
    "tenant_id",
    "site_id",
    "ts",
    "window_s",
    "quality",
    "meters",
    "meters_missing",
    "revision",
)

_WINDOW_OPTIONAL = ("import_kwh", "export_kwh", "import_kvarh", "previous_import_kwh")

_NO_ORIGIN = (-1, -1, -1)

Decoder = Callable[[Source, Sequence[Record]], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table and how it is filled.

    Parameters
    ----------
    topic
        Name of the topic in the catalogue.
    table
        Name of the table.
    time_column
        Event time; its month is the table partition.
    columns
        Columns the decoder fills.
    decode
        Makes the rows.
    rollups
        What is summed from the table, None for nothing.
    """

    topic: str
    table: str
    time_column: str
    columns: tuple[str, ...]
    decode: Decoder
    rollups: Rollups | None = None

    @property
    def holds_energy(self) -> bool:
        """Whether its `import_kwh` is the energy of an interval, which may be summed, and no register."""
        return "window_s" in self.columns


def with_origin(rows: pl.DataFrame, source: str | int, offset: int, index: int) -> pl.DataFrame:
    """Add one origin to all rows."""
    kind = pl.String() if isinstance(source, str) else pl.Int32()
    return rows.with_columns(
        pl.lit(source, dtype=kind).alias(SOURCE),
        pl.lit(offset, dtype=pl.Int64).alias(OFFSET),
        pl.lit(index, dtype=pl.Int64).alias(INDEX),
    )


def telemetry_rows(source: Source, records: Sequence[Record]) -> pl.DataFrame:
    """Return the readings in batches of telemetry.v1; their origin is the raw partition and offset."""
    required = [column for column in TELEMETRY_ROWS if column not in MEASURES]
    batches = [record for record in records if record.headers.get(HEADER_KIND) == Kind.READINGS.encode()]
    if not batches:
        return pl.DataFrame()
    return _rows_of(source, batches, TELEMETRY_ROWS, required)[0].with_columns(
        pl.col("raw_partition").alias(SOURCE),
        pl.col("raw_offset").alias(OFFSET),
        pl.lit(0, dtype=pl.Int64).alias(INDEX),
    )


def window_rows(source: Source, records: Sequence[Record]) -> pl.DataFrame:
    """Return the closed windows in batches of energy.v1."""
    required = [column for column in WINDOW_ROWS if column not in _WINDOW_OPTIONAL]
    return batch_rows(source, records, kind=Kind.WINDOWS, columns=WINDOW_ROWS, required=required)


def batch_rows(
    source: Source,
    records: Sequence[Record],
    *,
    kind: Kind,
    columns: dict[str, pl.DataType],
    required: Sequence[str],
) -> pl.DataFrame:
    """Return the rows in Arrow batches of an agent.

    Parameters
    ----------
    source, records
        Messages of one partition, and where they are from.
    kind
        What the batches hold; other messages give no rows.
    columns
        The contract of the topic.
    required
        Columns that must not be missing.
    """
    batches = [record for record in records if record.headers.get(HEADER_KIND) == kind.encode()]
    if not batches:
        return pl.DataFrame()
    rows, heights = _rows_of(source, batches, columns, required)
    origins = np.repeat(np.array([_origin(source, record) for record in batches], dtype=np.int64), heights, axis=0)
    return rows.with_columns(
        pl.Series(SOURCE, origins[:, 0], dtype=pl.Int64).cast(pl.Int32),
        pl.Series(OFFSET, origins[:, 1]),
        pl.Series(INDEX, origins[:, 2]),
    )


def emission_rows(source: Source, records: Sequence[Record]) -> pl.DataFrame:
    """Return the records of emissions.v1, one row each."""
    return flat_rows(source, records, columns=EMISSION_RECORD, required=_EMISSION_REQUIRED, times=("ts",))


def flat_rows(
    source: Source,
    records: Sequence[Record],
    *,
    columns: dict[str, pl.DataType],
    required: Sequence[str],
    times: Sequence[str],
    has_origin: bool = True,
) -> pl.DataFrame:
    """Return flat JSON records of an agent, one row each.

    Parameters
    ----------
    source, records
        Messages of one partition, and where they are from.
    columns
        The contract of the topic.
    required
        Columns that must not be missing.
    times
        Columns of milliseconds since 1970 UTC.
    has_origin
        Whether each says which message it was made from.
    """
    if not records:
        return pl.DataFrame()
    rows = json_rows(source, records, columns)
    for name in required:
        missing = rows[name].is_null().arg_true()
        if missing.len():
            raise source.undecodable(records[missing[0]], f"{name} must not be missing")
    origins = [_origin(source, record) if has_origin else _NO_ORIGIN for record in records]
    return rows.with_columns(
        pl.col(times).cast(TIMESTAMP),
        pl.Series(MESSAGE, [record.offset for record in records], dtype=pl.Int64),
        pl.Series(SOURCE, [origin[0] for origin in origins], dtype=pl.Int32),
        pl.Series(OFFSET, [origin[1] for origin in origins], dtype=pl.Int64),
        pl.Series(INDEX, [origin[2] for origin in origins], dtype=pl.Int64),
    )


def _rows_of(
    source: Source, records: Sequence[Record], columns: dict[str, pl.DataType], required: Sequence[str]
) -> tuple[pl.DataFrame, list[int]]:
    """Read Arrow batches; return their rows, with `topic_offset`, and how many each has."""
    batches = [_batch(source, record, columns) for record in records]
    heights = [batch.height for batch in batches]
    rows = pl.concat(batches)
    if any(rows[name].null_count() for name in required):
        for record, batch in zip(records, batches, strict=True):
            empty = [name for name in required if batch[name].null_count()]
            if empty:
                raise source.undecodable(record, f"{', '.join(empty)} must not be missing")
    offsets = np.repeat(np.array([record.offset for record in records], dtype=np.int64), heights)
    return rows.with_columns(pl.Series(MESSAGE, offsets)), heights


def _batch(source: Source, record: Record, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    """Read one Arrow batch; a schema may gain or lose optional columns, so unknown ones are left out."""
    try:
        rows = pl.read_ipc_stream(BytesIO(record.value))
        if rows.schema == columns:
            return rows
        return rows.select(
            pl.col(name).cast(dtype) if name in rows.columns else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in columns.items()
        )
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise source.undecodable(record, f"not the Arrow batch of its contract: {error}") from error


def json_rows(source: Source, records: Sequence[Record], columns: dict[str, pl.DataType]) -> pl.DataFrame:
    """Read messages of one JSON object each."""
    for record in records:
        if not record.value.strip() or b"\n" in record.value:
            raise source.undecodable(record, "not one JSON object on one line")
    try:
        return pl.read_ndjson(b"\n".join(record.value for record in records), schema=columns)
    except pl.exceptions.PolarsError:
        for record in records:
            try:
                pl.read_ndjson(record.value, schema=columns)
            except pl.exceptions.PolarsError as error:
                raise source.undecodable(record, f"not the JSON object of its contract: {error}") from error
        raise


def _origin(source: Source, record: Record) -> tuple[int, int, int]:
    try:
        partition, offset, index = (int(part) for part in record.headers[HEADER_ORIGIN].split(b":"))
    except (KeyError, ValueError) as error:
        why = f"header {HEADER_ORIGIN} must be <partition>:<offset>:<index>"
        raise source.undecodable(record, why) from error
    return partition, offset, index


READINGS_TABLE = TableSpec(TELEMETRY.name, "readings", "ts", tuple(TELEMETRY_ROWS), telemetry_rows)
WINDOWS_TABLE = TableSpec(
    ENERGY.name, "energy_windows", "window_start", (*WINDOW_ROWS, OFFSET), window_rows, ENERGY_ROLLUPS
)
EMISSIONS_TABLE = TableSpec(
    EMISSIONS.name, "emissions", "ts", (*EMISSION_RECORD, OFFSET), emission_rows, EMISSION_ROLLUPS
)
