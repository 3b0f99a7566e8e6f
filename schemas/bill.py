"""Demand and the running bill of a site: flat JSON for people, services and auditors."""

import polars as pl

from schemas.emission import PERIODS

DEMAND_WINDOW_S = 900
DEMAND_WINDOW_MIN = 15

# One record per site and closed quarter hour on demand.v1; `ts` is its start, in ms UTC.
DEMAND_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: demand/<site>/<ts>/<revision>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": pl.Int64(),
    "window_s": pl.Int32(),
    "import_kwh": pl.Float64(),  # sum over the site's grid meters; null when nothing is known
    "demand_kw": pl.Float64(),  # mean power; null when a minute of a meter is missing
    "quality": pl.String(),  # the worst of its minutes: measured | estimated | partial
    "counts_as_peak": pl.Boolean(),  # only what was measured all along can be the month's maximum
    "windows": pl.Int32(),  # minutes of meters in the sum
    "windows_missing": pl.Int32(),
    "billing_month": pl.String(),  # local, YYYY-MM
    "month_max_kw": pl.Float64(),  # largest demand of the month so far that counts; null when there is none
    "month_max_at": pl.Int64(),  # start of that quarter hour, ms UTC
    "revision": pl.Int32(),
}

# One record per site that moved, at most one per tick, on demand.live.v1; `ts` is the newest reading, in ms UTC.
DEMAND_LIVE_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": pl.Int64(),
    "window_start": pl.Int64(),  # the running quarter hour, ms UTC
    "window_s": pl.Int32(),
    "elapsed_s": pl.Float64(),
    "power_kw": pl.Float64(),
    "so_far_kwh": pl.Float64(),  # null in the first quarter hour after a meter appeared
    "so_far_kw": pl.Float64(),  # mean power of what has elapsed
    "forecast_kw": pl.Float64(),  # demand of the whole quarter hour, if power stays as it is
    "forecast_low_kw": pl.Float64(),  # 90 % of quarter hours end between low and high
    "forecast_high_kw": pl.Float64(),
    "limit_kw": pl.Float64(),
    "limit_kind": pl.String(),  # own | contract | month_maximum
    "shed_kw": pl.Float64(),  # to take off for the rest of the quarter hour, so that the forecast meets the limit
    "shed_safe_kw": pl.Float64(),  # the same for the upper end of the forecast
    "can_be_met": pl.Boolean(),  # false when what was drawn already exceeds the limit
    "month_max_kw": pl.Float64(),
    "month_max_at": pl.Int64(),
}

# One record per site and local day or billing month on ledger.v1; `ts` is the start of the span, in ms UTC.
LEDGER_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: ledger/<site>/<span>/<first_day>/<revision>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "ts": pl.Int64(),
    "span": pl.String(),  # day | month
    "first_day": pl.String(),  # local, ISO 8601
    "last_day": pl.String(),
    "settled_until": pl.Int64(),  # all grid meters have reported until then, ms UTC; null while one never did
    "is_final": pl.Boolean(),  # the span has passed for all grid meters; only a correction changes it now
    "energy_kwh": pl.Float64(),
    **{f"{period}_kwh": pl.Float64() for period in PERIODS},
    "no_period_kwh": pl.Float64(),  # on days without a valid tariff
    **{f"{period}_cny": pl.Float64() for period in PERIODS},  # null when the price of a part is not known
    "energy_cny": pl.Float64(),  # by the site's prices; null when the price of a part is not known
    "kwh_without_price": pl.Float64(),
    "network_cny": pl.Float64(),  # added where the prices do not contain it
    "kwh_without_network_price": pl.Float64(),
    "funds_cny": pl.Float64(),  # added where the prices do not contain them
    "kwh_without_funds_price": pl.Float64(),
    "network_in_energy_cny": pl.Float64(),  # part of energy_cny, told apart; not to be added
    "funds_in_energy_cny": pl.Float64(),
    "demand_mode": pl.String(),
    "max_demand_kw": pl.Float64(),  # of the span
    "max_demand_at": pl.Int64(),
    "billed_demand_kw": pl.Float64(),
    "excess_demand_kw": pl.Float64(),
    "basic_fee_month_cny": pl.Float64(),  # of the whole month, if it ended with this maximum
    "basic_fee_cny": pl.Float64(),  # its share until settled_until, by time; of a day, the day's share
    "reactive_kvarh": pl.Float64(),
    "power_factor": pl.Float64(),  # mean of the month so far
    "power_factor_source": pl.String(),  # measured | registry | not_measured
    "power_factor_share": pl.Float64(),  # of the month so far: added to the bill, negative is a bonus
    "power_factor_cny": pl.Float64(),
    "total_cny": pl.Float64(),  # null when a part is not known
    "known_cny": pl.Float64(),  # the parts that are known
    "windows": pl.Int64(),  # minutes of grid meters
    "windows_not_measured": pl.Int64(),  # estimated or partial
    "windows_without_energy": pl.Int64(),
    "windows_uncorrected": pl.Int64(),  # revised too late, without saying what they replace
    "reference_version": pl.String(),
    "revision": pl.Int32(),
}
