"""The balance of a site: what came in, what was used, and what each meter accounts for."""

import polars as pl

from schemas.reading import TIMESTAMP

SITE = "site"
METER = "meter"
VIRTUAL = "virtual"

# One row per site and minute, per meter that is not of kind generation, and per virtual meter (messages of kind
# `balance` on balance.v1). Energies, money and carbon are whole multiples of 1e-9.
BALANCE_ROWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "part": pl.String(),  # site | meter | virtual
    "name": pl.String(),  # of the meter; empty for the site
    "meter_kind": pl.String(),  # the attributes are those of the registry when the row was made
    "equipment_class": pl.String(),
    "area": pl.String(),
    "window_start": TIMESTAMP,
    "window_s": pl.Int32(),
    "local_day": pl.Date(),  # of the site
    "period": pl.String(),  # of its tariff
    "import_kwh": pl.Float64(),  # of the site, over its grid meters; null in other rows
    "export_kwh": pl.Float64(),
    "generation_kwh": pl.Float64(),
    "self_use_kwh": pl.Float64(),  # generation that was not exported; storage-free
    "load_kwh": pl.Float64(),  # site: import + generation - export; else import - export of the meter
    "rest_kwh": pl.Float64(),  # a meter with meters below it, less those; null when one of them is missing
    "own_kwh": pl.Float64(),  # what no meter below accounts for; over all rows of a site and minute: its load
    "own_from_grid_kwh": pl.Float64(),
    "own_from_generation_kwh": pl.Float64(),
    "cost_cny": pl.Float64(),  # energy part, of `own_kwh`
    "emitted_kg": pl.Float64(),  # location-based, of `own_kwh`
    "market_emitted_kg": pl.Float64(),
    "quality": pl.String(),  # the worst of what went into the row
    "meters_missing": pl.Int32(),  # site: of the grid and generation; meter: directly below it; virtual: of its parts
    "flag": pl.String(),  # negative_rest | negative_load | export_above_generation | export_not_measured
    "revision": pl.Int32(),
}
