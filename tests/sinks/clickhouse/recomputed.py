"""The sums of the views, against the same sums taken from the base tables."""

from clickhouse_connect.driver.client import Client

from tests.sinks.clickhouse.builders import rows_of

SECONDS = {"15min": 900, "hour": 3600, "day": 86_400}

_ENERGY = """
SELECT
    tenant_id, site_id, meter_id,
    toDateTime(intDiv(toUnixTimestamp(window_start), {s:UInt32}) * {s:UInt32}, 'UTC') AS start,
    argMax(meter_kind, energy_windows.window_start), toFloat64(sum(toDecimal128(import_kwh, 15))),
    toFloat64(sum(toDecimal128(export_kwh, 15))), toFloat64(sum(toDecimal128(covered_s, 15))),
    count(), countIf(quality = 'estimated'), countIf(quality = 'partial')
FROM energy_windows FINAL
GROUP BY ALL ORDER BY ALL
"""
_ENERGY_VIEW = """
SELECT
    tenant_id, site_id, meter_id, window_start, meter_kind, import_kwh, export_kwh, covered_s, windows,
    windows_estimated, windows_partial
FROM {view:Identifier} ORDER BY ALL
"""
_SITE = """
SELECT
    tenant_id, site_id, toDateTime(intDiv(toUnixTimestamp(ts), {s:UInt32}) * {s:UInt32}, 'UTC') AS start,
    toFloat64(sum(toDecimal128(import_kwh, 15))), toFloat64(sum(toDecimal128(emitted_kg, 15))),
    toFloat64(sum(toDecimal128(cost_cny, 15))), count(), countIf(emitted_kg IS NULL), countIf(cost_cny IS NULL),
    countIf(quality != 'measured'), countIf(meters_missing > 0),
    toFloat64(ifNull(sumIf(toDecimal128(import_kwh, 15), cost_cny IS NULL), 0)),
    toFloat64(sum(toDecimal128(market_emitted_kg, 15))), countIf(market_emitted_kg IS NULL),
    toFloat64(ifNull(sumIf(toDecimal128(import_kwh, 15), market_emitted_kg IS NULL), 0))
FROM emissions FINAL
GROUP BY ALL ORDER BY ALL
"""
_SITE_VIEW = """
SELECT
    tenant_id, site_id, toDateTime({start:Identifier}, 'UTC'), import_kwh, emitted_kg, cost_cny, windows,
    windows_without_factor, windows_without_price, windows_not_measured, windows_missing_meters,
    import_kwh_without_price, market_emitted_kg, windows_without_market_factor, import_kwh_without_market_factor
FROM {view:Identifier} ORDER BY ALL
"""
_PERIOD = """
SELECT
    tenant_id, site_id, toDateTime(intDiv(toUnixTimestamp(ts), {s:UInt32}) * {s:UInt32}, 'UTC') AS start, period,
    toFloat64(sum(toDecimal128(import_kwh, 15))), toFloat64(sum(toDecimal128(cost_cny, 15))), count(),
    toFloat64(sum(toDecimal128(market_emitted_kg, 15)))
FROM emissions FINAL
GROUP BY ALL ORDER BY ALL
"""
_PERIOD_VIEW = """
SELECT tenant_id, site_id, toDateTime({start:Identifier}, 'UTC'), period, import_kwh, cost_cny, windows,
    market_emitted_kg
FROM {view:Identifier} ORDER BY ALL
"""


def assert_sums_are_those_of_the_windows(client: Client) -> None:
    """Every view of energy, at every length."""
    for level, s in SECONDS.items():
        assert rows_of(client, _ENERGY_VIEW, view=f"v_energy_{level}") == rows_of(client, _ENERGY, s=s), level


def assert_sums_are_those_of_the_emissions(client: Client) -> None:
    """Every view of sites and tariff periods, at every length."""
    for level, s in SECONDS.items():
        start = "day_utc" if level == "day" else "window_start"
        assert rows_of(client, _SITE_VIEW, view=f"v_site_{level}", start=start) == rows_of(client, _SITE, s=s), level
        shown = rows_of(client, _PERIOD_VIEW, view=f"v_period_{level}", start=start)
        assert shown == rows_of(client, _PERIOD, s=s), level
