"""What a monthly report of a site reads: the views, with the tenant in every question."""

from datetime import date, datetime

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.errors import unavailable_is_named

_LEDGER = """
SELECT * EXCEPT (tenant_id, site_id, span)
FROM v_ledger
WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND span = {span:String}
    AND first_day BETWEEN {first:Date} AND {last:Date}
ORDER BY first_day
"""

_CARBON = """
SELECT sum(export_kwh) AS export_kwh, sum(emitted_kg) AS scope_2_location_based_kg,
    sum(market_emitted_kg) AS scope_2_market_based_kg, sum(import_kwh_without_factor) AS import_kwh_without_factor,
    sum(import_kwh_without_market_factor) AS import_kwh_without_market_factor, sum(windows) AS windows,
    sum(windows_not_measured) AS windows_not_measured, sum(windows_missing_meters) AS windows_missing_meters
FROM v_site_15min
WHERE tenant_id = {tenant:String} AND site_id = {site:String}
    AND window_start >= {start:DateTime('UTC')} AND window_start < {end:DateTime('UTC')}
"""

_METERS = """
SELECT meter_id, any(meter_kind) AS meter_kind, sum(import_kwh) AS import_kwh, sum(export_kwh) AS export_kwh,
    sum(windows) AS windows, sum(windows_estimated) AS windows_estimated, sum(windows_partial) AS windows_partial
FROM v_energy_15min
WHERE tenant_id = {tenant:String} AND site_id = {site:String}
    AND window_start >= {start:DateTime('UTC')} AND window_start < {end:DateTime('UTC')}
GROUP BY meter_id
ORDER BY import_kwh DESC NULLS LAST, meter_id
"""

_DISTRIBUTION = """
SELECT dimension, name, kwh, share, from_generation_kwh, cost_cny, emitted_kg
FROM v_distribution_month
WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND local_month = {month:Date}
ORDER BY dimension, kwh DESC, name
"""

_BALANCE = """
SELECT generation_kwh, self_use_kwh, load_kwh, minutes_without_load
FROM v_balance_month
WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND local_month = {month:Date} AND part = 'site'
"""

_DEMAND = """
SELECT ts, demand_kw
FROM v_demand
WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND counts_as_peak
    AND ts >= {start:DateTime('UTC')} AND ts < {end:DateTime('UTC')}
ORDER BY demand_kw DESC, ts
LIMIT 5
"""


def ledger(client: Client, tenant: str, site: str, span: str, days: tuple[date, date]) -> pl.DataFrame:
    """Return the bill of days or months, in their order.

    Parameters
    ----------
    client
        A migrated database.
    tenant, site
        Whose.
    span
        `day` or `month`.
    days
        Between which the spans begin, both included.
    """
    return _asked(client, _LEDGER, tenant=tenant, site=site, span=span, first=days[0], last=days[1])


def carbon(client: Client, tenant: str, site: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Return one row with energy, both Scope 2 lines and what they leave out, from a moment to before another."""
    return _asked(client, _CARBON, tenant=tenant, site=site, start=start, end=end)


def meters(client: Client, tenant: str, site: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Return the energy of each meter, the largest first."""
    return _asked(client, _METERS, tenant=tenant, site=site, start=start, end=end)


def distribution(client: Client, tenant: str, site: str, month: date) -> pl.DataFrame:
    """Return who used what in a local month, by every dimension, the largest first."""
    found = _asked(client, _DISTRIBUTION, tenant=tenant, site=site, month=month)
    return found.with_columns(pl.col(pl.Decimal).cast(pl.Float64))


def balance(client: Client, tenant: str, site: str, month: date) -> pl.DataFrame:
    """Return one row with generation, self-use and load of a local month, none where nothing is stored."""
    found = _asked(client, _BALANCE, tenant=tenant, site=site, month=month)
    return found.with_columns(pl.col(pl.Decimal).cast(pl.Float64))


def largest_demands(client: Client, tenant: str, site: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Return the five largest quarter hours that can be a peak."""
    return _asked(client, _DEMAND, tenant=tenant, site=site, start=start, end=end)


def _asked(client: Client, query: str, **values: object) -> pl.DataFrame:
    with unavailable_is_named("reading what a report needs"):
        found = client.query(query, parameters=values)
    return pl.DataFrame(found.result_rows, schema=list(found.column_names), orient="row", infer_schema_length=None)
