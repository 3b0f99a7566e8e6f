"""The days of a site: energy, weather and production beside each other."""

from datetime import date

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.errors import unavailable_is_named

_DAYS = """
SELECT e.first_day AS local_day, e.energy_kwh AS energy_kwh, w.outdoor_c AS outdoor_c, p.units_made AS units_made
FROM v_site_span AS e
LEFT JOIN
(
    SELECT local_day, outdoor_c
    FROM v_weather_day
    WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND local_day BETWEEN {first:Date} AND {last:Date}
) AS w ON w.local_day = e.first_day
LEFT JOIN
(
    SELECT local_day, toNullable(units_made) AS units_made
    FROM v_production_day
    WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND unit = {unit:String}
        AND local_day BETWEEN {first:Date} AND {last:Date}
) AS p ON p.local_day = e.first_day
WHERE e.tenant_id = {tenant:String} AND e.site_id = {site:String} AND e.span = 'day'
    AND e.first_day BETWEEN {first:Date} AND {last:Date}
ORDER BY local_day
"""


def days(client: Client, tenant: str, site: str, unit: str, between: tuple[date, date]) -> pl.DataFrame:
    """Return the local days with energy: `local_day`, `energy_kwh`, `outdoor_c`, `units_made`; null is not known.

    Parameters
    ----------
    client
        A migrated database.
    tenant, site
        Whose.
    unit
        Unit of production; that of other units is left out.
    between
        First and last day.
    """
    values = {"tenant": tenant, "site": site, "unit": unit, "first": between[0], "last": between[1]}
    with unavailable_is_named("reading the days of a site"):
        found = client.query(_DAYS, parameters=values)
    columns = {"local_day": pl.Date, "energy_kwh": pl.Float64, "outdoor_c": pl.Float64, "units_made": pl.Float64}
    return pl.DataFrame(found.result_rows, schema=columns, orient="row")
