"""Quarter hours of a site's meters, as a detector would have seen them: what of each was measured."""

from datetime import datetime

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.errors import unavailable_is_named

# A quarter hour of which less was measured has no power: as agents/anomalies/quarters.py has it.
LEAST_MINUTES = 10

_QUARTERS = """
SELECT meter_id, toUnixTimestamp64Milli(toDateTime64(toStartOfFifteenMinutes(window_start), 3, 'UTC')) AS ts,
    countIf(quality = 'measured' AND isNotNull(import_kwh)) AS minutes,
    if(minutes >= {least:UInt8}, sumIf(import_kwh, quality = 'measured') * 60 / minutes, NULL) AS power_kw
FROM energy_windows FINAL
WHERE tenant_id = {tenant:String} AND site_id = {site:String} AND window_s = 60
    AND window_start >= {start:DateTime('UTC')} AND window_start < {end:DateTime('UTC')}
GROUP BY meter_id, ts
ORDER BY ts, meter_id
"""
_COLUMNS = {"meter_id": pl.String(), "ts": pl.Int64(), "power_kw": pl.Float64()}


def quarters(client: Client, tenant: str, site: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Return what the meters of a site drew in each quarter hour of a period, in the order of time.

    Parameters
    ----------
    client
        A migrated database.
    tenant, site
        Whose.
    start, end
        From, and to before. (UTC)

    Returns
    -------
    pl.DataFrame
        `meter_id`, `ts` (start, ms UTC) and `power_kw` (mean of the minutes that were measured; null where they are
        fewer than ten).
    """
    values = {"tenant": tenant, "site": site, "start": start, "end": end, "least": LEAST_MINUTES}
    with unavailable_is_named("reading quarter hours"):
        found = client.query(_QUARTERS, parameters=values)
    rows = [(meter, ts, power_kw) for meter, ts, _, power_kw in found.result_rows]
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")
