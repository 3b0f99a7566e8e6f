"""Intensity of grids by hour, as it was published: what the carbon-free score by hour is computed with."""

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.client import insert
from sinks.clickhouse.errors import unavailable_is_named

_HOURS = """
SELECT region_code, toDateTime64(hour, 3, 'UTC') AS hour, grid_share, grid_kg_per_kwh
FROM v_grid_intensity
WHERE toYear(hour) BETWEEN {year:UInt16} - 1 AND {year:UInt16} + 1
ORDER BY region_code, hour
"""
_NOW = "SELECT toUnixTimestamp64Milli(now64(3))"


def store_intensity(client: Client, hours: pl.DataFrame) -> None:
    """Store hours of grids; an hour that is there is replaced.

    Parameters
    ----------
    client
        A migrated database.
    hours
        `region_code`, `hour` (a moment), `grid_share` (carbon-free, 0 to 1) and `grid_kg_per_kwh`; [1], [kg/kWh].
    """
    with unavailable_is_named("asking for the time"):
        now = int(client.query(_NOW).result_rows[0][0])
    stamped = hours.select(
        "region_code",
        pl.col("hour").dt.cast_time_unit("ms"),
        "grid_share",
        "grid_kg_per_kwh",
        pl.lit(now, pl.Int64()).cast(pl.Datetime("ms", "UTC")).alias("written_at"),
    )
    insert(client, "grid_intensity", stamped, f"intensity:{now}")


def stored_intensity(client: Client, year: int) -> pl.DataFrame | None:
    """Return the hours that a local year anywhere may reach into; None where none are stored."""
    with unavailable_is_named("reading the intensity of grids"):
        found = pl.DataFrame(pl.from_arrow(client.query_arrow(_HOURS, parameters={"year": year})))
    return None if found.is_empty() else found.with_columns(pl.col("hour").cast(pl.Datetime("ms", "UTC")))
