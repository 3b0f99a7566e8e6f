"""Restatements: what an edition of the reference data changes about figures that were computed with another one."""

import polars as pl

# One record per site and local month on restatements.v1; `ts` is the start of the month, in ms UTC.
RESTATEMENT_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: restatement/<site>/<period>/<reference_version>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": pl.Int64(),
    "period": pl.String(),  # local month, ISO 8601
    "reference_version": pl.String(),  # the edition it is restated with
    "former_version": pl.String(),  # what it was restated with before; null: as it was computed at first
    "known_from": pl.Int64(),  # since when the edition is known here, ms UTC
    "import_kwh": pl.Float64(),
    # null where a part of the energy has no factor or price
    "emitted_kg": pl.Float64(),
    "former_emitted_kg": pl.Float64(),
    "difference_kg": pl.Float64(),
    "market_emitted_kg": pl.Float64(),
    "former_market_emitted_kg": pl.Float64(),
    "difference_market_kg": pl.Float64(),
    "cost_cny": pl.Float64(),
    "former_cost_cny": pl.Float64(),
    "difference_cny": pl.Float64(),
    "import_kwh_without_factor": pl.Float64(),
    "import_kwh_without_market_factor": pl.Float64(),
    "import_kwh_without_price": pl.Float64(),
}

# A quarter hour as an edition has it.
RESTATED_ROW: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "window_start": pl.Datetime("ms", "UTC"),
    "reference_version": pl.String(),
    "known_from": pl.Datetime("ms", "UTC"),
    "import_kwh": pl.Float64(),
    "emitted_kg": pl.Float64(),
    "factor_kg_per_kwh": pl.Float64(),
    "factor_region": pl.String(),
    "factor_year": pl.Int32(),
    "factor_kind": pl.String(),
    "factor_source": pl.String(),
    "market_emitted_kg": pl.Float64(),
    "market_factor_kg_per_kwh": pl.Float64(),
    "market_contract_share": pl.Float64(),
    "market_rest_kind": pl.String(),
    "market_rest_region": pl.String(),
    "market_rest_year": pl.Int32(),
    "market_rest_source": pl.String(),
    "tariff_id": pl.String(),
    "period": pl.String(),
    "price_cny_per_kwh": pl.Float64(),
    "cost_cny": pl.Float64(),
}
