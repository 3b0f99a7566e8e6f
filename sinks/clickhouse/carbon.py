"""Activities in the history, and the energy that a carbon statement is made of."""

from collections.abc import Sequence

import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.activity import ACTIVITY_RECORD
from sinks.clickhouse.client import insert
from sinks.clickhouse.errors import unavailable_is_named

_DAYS = """
SELECT
    s.site_id AS site_id, toDate32(s.window_start, {zone:String}) AS local_day, sum(s.import_kwh) AS import_kwh,
    CAST(NULL, 'Nullable(Float64)') AS self_use_kwh
FROM v_site_15min AS s
WHERE s.site_id IN {sites:Array(String)} AND toYear(s.window_start, {zone:String}) = {year:UInt16}
GROUP BY site_id, local_day
ORDER BY site_id, local_day
"""
_HOURS = """
SELECT
    site_id, toDateTime64(h.window_start, 3, 'UTC') AS window_start, h.load_kwh, h.carbon_free_kwh, h.self_use_kwh
FROM v_carbon_free_hour AS h
WHERE site_id IN {sites:Array(String)} AND toYear(h.window_start, {zone:String}) = {year:UInt16}
ORDER BY site_id, window_start
"""
_ACTIVITIES = """
SELECT site_id, scope, gas, sum(emitted_kg) AS emitted_kg, count() AS activities
FROM v_activities
WHERE site_id IN {sites:Array(String)} AND toYear(first_day) = {year:UInt16}
GROUP BY site_id, scope, gas
ORDER BY site_id, scope, gas
"""


def energy_of_days(client: Client, sites: Sequence[str], zone: str, year: int) -> pl.DataFrame:
    """Return `agents.pricing.settlement.DAYS` of sites in one time zone, without self-use."""
    return _asked(client, _DAYS, sites, zone, year)


def energy_of_hours(client: Client, sites: Sequence[str], zone: str, year: int) -> pl.DataFrame:
    """Return load, carbon-free energy and self-use of each hour of sites in one time zone."""
    return _asked(client, _HOURS, sites, zone, year)


def emitted_by_activities(client: Client, sites: Sequence[str], year: int) -> pl.DataFrame:
    """Return the sums of activities that began in a year, by site, scope and gas."""
    return _asked(client, _ACTIVITIES, sites, "UTC", year)


def store_activities(client: Client, rows: pl.DataFrame) -> None:
    """Store `ACTIVITY_RECORD`; an id that is there is replaced."""
    with unavailable_is_named("asking for the time"):
        now = int(client.query("SELECT toUnixTimestamp64Milli(now64(3))").result_rows[0][0])
    moment = pl.Datetime("ms", "UTC")
    stamped = rows.select(*ACTIVITY_RECORD, written_at=pl.lit(now, pl.Int64()).cast(moment)).with_columns(
        pl.col("ts").cast(moment), pl.col("first_day", "last_day").str.to_date()
    )
    insert(client, "activities", stamped, f"activities:{now}")


def _asked(client: Client, query: str, sites: Sequence[str], zone: str, year: int) -> pl.DataFrame:
    with unavailable_is_named("reading energy"):
        found = client.query_arrow(query, parameters={"sites": list(sites), "zone": zone, "year": year})
    return pl.DataFrame(pl.from_arrow(found))
