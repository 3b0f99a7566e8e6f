"""Emissions and live figures of a site: flat JSON for people and services."""

import polars as pl

PERIODS = ("sharp", "peak", "flat", "valley", "deep_valley")

# One record per site and minute on emissions.v1; `ts` is the start of the minute, in ms UTC.
EMISSION_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: emissions/<site>/<ts>/<revision>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": pl.Int64(),
    "window_s": pl.Int32(),
    "import_kwh": pl.Float64(),  # sum over the site's grid meters
    "export_kwh": pl.Float64(),
    "emitted_kg": pl.Float64(),  # location-based; null when no checked factor is known
    "factor_kg_per_kwh": pl.Float64(),
    "factor_region": pl.String(),
    "factor_year": pl.Int32(),
    "factor_kind": pl.String(),
    "tariff_id": pl.String(),
    "period": pl.String(),  # sharp | peak | flat | valley | deep_valley; null without a valid tariff edition
    "price_cny_per_kwh": pl.Float64(),
    "cost_cny": pl.Float64(),  # energy part only; null when the price is not known
    "quality": pl.String(),  # the worst of the meters: measured | estimated | partial
    "meters": pl.Int32(),  # grid meters in the sum
    "meters_missing": pl.Int32(),  # grid meters that had not reported this minute
    "reference_version": pl.String(),
    "revision": pl.Int32(),
    "factor_source": pl.String(),  # who published it
    # Market-based, before certificates and contracts of so many kWh a year: those are settled when the year is known.
    "market_emitted_kg": pl.Float64(),  # null when no factor is known for a part of the energy
    "market_factor_kg_per_kwh": pl.Float64(),  # contracts and the rest together
    "market_contract_share": pl.Float64(),  # of the energy, under contracts
    "market_rest_kg_per_kwh": pl.Float64(),  # factor of what is under no contract
    "market_rest_kind": pl.String(),  # supplier | residual | average (no residual mix is published); contract: no rest
    "market_rest_region": pl.String(),
    "market_rest_year": pl.Int32(),
    "market_rest_source": pl.String(),
}

# One record per site that moved, at most once a second, on site.live.v1; `ts` is the newest reading, in ms UTC.
LIVE_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": pl.Int64(),
    "power_kw": pl.Float64(),
    "kg_per_h": pl.Float64(),
    "cny_per_h": pl.Float64(),
    "period": pl.String(),
    "day": pl.String(),  # the site's local day the totals belong to, ISO 8601
    "today_kwh": pl.Float64(),  # closed windows only, so that it can be recomputed from history
    "today_kg": pl.Float64(),
    "today_cny": pl.Float64(),
    "month_kwh": pl.Float64(),
    "month_kg": pl.Float64(),
    "month_cny": pl.Float64(),
    "settled_until": pl.Int64(),  # end of the newest closed window in the totals, ms UTC
    "open_kwh": pl.Float64(),  # provisional energy after `settled_until`
    "market_kg_per_h": pl.Float64(),  # market-based, before certificates
    "today_market_kg": pl.Float64(),
    "month_market_kg": pl.Float64(),
}
