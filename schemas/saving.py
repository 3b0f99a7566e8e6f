"""What a measure saves, as one record a day on savings.v1: shown, or not shown yet."""

from enum import StrEnum

import polars as pl


class Method(StrEnum):
    """How a saving is measured; a downstream contract, so the words never change their meaning."""

    SWITCHBACK = "switchback"  # blocks of days with and without the measure, drawn by chance
    BASELINE = "baseline"  # days with the measure against a model of the days before it


class SavingState(StrEnum):
    """Whether a saving is claimed."""

    SHOWN = "shown"  # the interval excludes that nothing is saved
    NOT_SHOWN_YET = "not_shown_yet"  # `share` and its interval are an estimate, and no energy is claimed


# One record per site or zone and local day; `ts` is the midnight at which the newest of its days ended, in ms UTC.
SAVING_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: savings/site/<site>/<ts> or savings/zone/<site>/<zone>/<ts>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "zone_id": pl.String(),  # null for the whole site
    "ts": pl.Int64(),
    "method": pl.String(),
    "state": pl.String(),
    "reason": pl.String(),  # why: a slug
    "more_days": pl.Int32(),  # until it is expected to be shown; 0 when it is, null when that is not in sight
    "from_day": pl.String(),  # first and last local day with (or, in an experiment, with and without) the measure
    "to_day": pl.String(),
    "share": pl.Float64(),  # saved energy / energy without the measure; null while nothing can be said
    "share_low": pl.Float64(),  # its 95 % interval
    "share_high": pl.Float64(),
    "saved_kwh": pl.Float64(),  # of the days with the measure; this and what follows is null unless shown
    "saved_kwh_low": pl.Float64(),
    "saved_kwh_high": pl.Float64(),
    "saved_cny": pl.Float64(),  # null also where a price is not known
    "saved_kg": pl.Float64(),  # location-based
    "market_saved_kg": pl.Float64(),  # market-based
    "used_kwh": pl.Float64(),  # of the days with the measure
    "cv_rmse": pl.Float64(),  # of the baseline model, as Guideline 14; null for switchback
    "nmbe": pl.Float64(),
    "fractional_uncertainty": pl.Float64(),  # at 68 %; null where nothing is saved
    "baseline_days": pl.Int32(),  # learnt by the baseline model; null for switchback
    "measured_days": pl.Int32(),  # compared with it; null for switchback
    "experiment": pl.String(),  # names the sequence of blocks; null for a baseline
    "pairs": pl.Int32(),  # of blocks that count; null for a baseline
    "blocks_on": pl.Int32(),  # with and without the measure, in these pairs
    "blocks_off": pl.Int32(),
    "message_en": pl.String(),
    "message_zh": pl.String(),
    "model_version": pl.String(),
}
