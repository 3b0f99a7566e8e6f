"""Weather, production and what sites are compared by: records to rows."""

from collections.abc import Sequence
from functools import partial

import polars as pl

from schemas.production import PRODUCTION_RECORD
from schemas.profile import PROFILE_RECORD
from schemas.topics import SITE_PRODUCTION, SITE_PROFILE, SITE_WEATHER
from schemas.weather import WEATHER_RANGES, WEATHER_RECORD
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import TableSpec, flat_rows

_PRODUCTION_OPTIONAL = ("line_id", "unit", "shift")
_PROFILE_OPTIONAL = ("sector", "floor_area_m2", "production_unit")


def day_rows(
    source: Source, records: Sequence[Record], *, columns: dict[str, pl.DataType], optional: Sequence[str]
) -> pl.DataFrame:
    """Return records that say on which local day they are, one row each."""
    required = tuple(name for name in columns if name not in optional)
    rows = flat_rows(source, records, columns=columns, required=required, times=("ts",))
    return rows if rows.is_empty() else rows.with_columns(pl.col("local_day").str.to_date())


WEATHER_TABLE = TableSpec(
    SITE_WEATHER.name,
    "weather",
    "ts",
    (*WEATHER_RECORD, OFFSET),
    partial(day_rows, columns=WEATHER_RECORD, optional=tuple(WEATHER_RANGES)),
)
PRODUCTION_TABLE = TableSpec(
    SITE_PRODUCTION.name,
    "production",
    "ts",
    (*PRODUCTION_RECORD, OFFSET),
    partial(day_rows, columns=PRODUCTION_RECORD, optional=_PRODUCTION_OPTIONAL),
)
PROFILES_TABLE = TableSpec(
    SITE_PROFILE.name,
    "site_profiles",
    "ts",
    (*PROFILE_RECORD, OFFSET),
    partial(
        flat_rows,
        columns=PROFILE_RECORD,
        required=tuple(name for name in PROFILE_RECORD if name not in _PROFILE_OPTIONAL),
        times=("ts",),
    ),
)
