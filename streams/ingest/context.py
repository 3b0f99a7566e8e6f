"""Validation of weather, production, feedback, zones and history: which rows are taken, and why the others are not."""

from collections.abc import Iterable, Sequence

import polars as pl

from schemas.advice import MeasureKind
from schemas.anomaly import AnomalyKind
from schemas.feedback import FEEDBACK_ROWS, LONGEST_MUTE_MS, OF_ADVICE, FeedbackVerdict
from schemas.flow import SiteRecord
from schemas.history import HISTORY_ROWS
from schemas.production import LONGEST_INTERVAL_S, PRODUCTION_ROWS
from schemas.reading import TIMESTAMP
from schemas.rejection import Reason
from schemas.weather import WEATHER_RANGES, WEATHER_ROWS
from schemas.zone import ZONE_MEASURES, ZONE_RANGES, ZONE_ROWS
from streams.broker import partition_for
from streams.ingest.decode import Decoded
from streams.ingest.poll import Poll
from streams.ingest.validate import Bounds, Validated

_ANOMALY_ID = rf"^anomalies/({'|'.join(AnomalyKind)})/[^/]+/[^/]+/\d+$"
_ADVICE_ID = rf"^advice/({'|'.join(MeasureKind)})/[^/]+/[^/]+/\d+$"

_QUARTER_MS = 900_000

Rule = tuple[pl.Expr, Reason]  # what is broken where it is true


def known_sites(records: Iterable[SiteRecord], partitions: int) -> pl.DataFrame:
    """Return every site of the registry with what weather, production, feedback and zones are judged by."""
    return pl.DataFrame(
        [
            (
                record.site.id,
                record.site.tenant,
                partition_for(record.site.id, partitions),
                record.site.time_zone,
                record.site.production_unit or None,
                [machine.id for machine in record.site.equipment],
                [shift.name for shift in record.site.shifts],
                [meter.id for meter in record.site.meters],
                [zone.id for zone in record.site.zones],
            )
            for record in records
        ],
        schema={
            "site_id": pl.String,
            "tenant_id": pl.String,
            "partition": pl.Int32,
            "time_zone": pl.String,
            "unit": pl.String,
            "lines": pl.List(pl.String),
            "shifts": pl.List(pl.String),
            "meters": pl.List(pl.String),
            "zones": pl.List(pl.String),
        },
        orient="row",
    )


def validate_weather(decoded: Decoded, poll: Poll, sites: pl.DataFrame, bounds: Bounds) -> Validated:
    """Judge every decoded row of weather.v1.

    Parameters
    ----------
    decoded, poll
        What was read, and where it comes from.
    sites
        As `known_sites` returns them.
    bounds
        Allowances around the arrival of each message.
    """
    measures = pl.col(list(WEATHER_RANGES))
    possible = [pl.col(name).is_between(low, high).fill_null(True) for name, (low, high) in WEATHER_RANGES.items()]
    missing = pl.any_horizontal(pl.col("site_id", "ts").is_null()) | pl.all_horizontal(measures.is_null())
    rules = (
        (missing, Reason.MISSING_FIELD),
        (pl.any_horizontal(~measures.is_finite().fill_null(True)), Reason.NOT_FINITE),
        (pl.col("tenant_id").is_null(), Reason.UNKNOWN_SITE),
        (~pl.all_horizontal(possible), Reason.OUT_OF_RANGE),
        *_in_time(bounds, pl.col("ts")),
    )
    return _judged(decoded, poll, sites, rules, tuple(WEATHER_ROWS))


def validate_production(decoded: Decoded, poll: Poll, sites: pl.DataFrame, bounds: Bounds) -> Validated:
    """Judge every decoded row of production.v1; parameters as of `validate_weather`."""
    length, units = pl.col("interval_s"), pl.col("units_made")
    rules = (
        (pl.any_horizontal(pl.col("site_id", "ts", "interval_s", "units_made").is_null()), Reason.MISSING_FIELD),
        (~units.is_finite(), Reason.NOT_FINITE),
        (pl.col("tenant_id").is_null(), Reason.UNKNOWN_SITE),
        (~pl.col("line_id").is_in(pl.col("lines")), Reason.UNKNOWN_LINE),
        (~pl.col("shift").is_in(pl.col("shifts")), Reason.UNKNOWN_SHIFT),
        ((units < 0) | ~length.is_between(1, LONGEST_INTERVAL_S), Reason.OUT_OF_RANGE),
        *_in_time(bounds, pl.col("ts") + length * 1000),  # what was made is known when the interval has ended
    )
    return _judged(decoded, poll, sites, rules, tuple(PRODUCTION_ROWS))


def validate_feedback(decoded: Decoded, poll: Poll, sites: pl.DataFrame, bounds: Bounds) -> Validated:
    """Judge every decoded row of anomaly.feedback.v1; parameters as of `validate_weather`."""
    verdict, until, about, measure = (pl.col(name) for name in ("verdict", "until", "anomaly_id", "advice_id"))
    is_mute = verdict == FeedbackVerdict.MUTED.value
    is_of_advice = verdict.is_in([one.value for one in OF_ADVICE])
    needed = (
        pl.when(is_mute).then(until.is_null()).when(is_of_advice).then(measure.is_null()).otherwise(about.is_null())
    )
    possible = pl.all_horizontal(
        verdict.is_in([one.value for one in FeedbackVerdict]),
        pl.col("kind").is_in([one.value for one in AnomalyKind]).fill_null(True),
        until.is_between(pl.col("ts"), pl.col("ts") + LONGEST_MUTE_MS).fill_null(True),
        is_mute | is_of_advice | about.str.contains(_ANOMALY_ID).fill_null(True),
        ~is_of_advice | measure.str.contains(_ADVICE_ID).fill_null(True),
    )
    rules = (
        (pl.any_horizontal(pl.col("site_id", "ts", "verdict").is_null()) | needed, Reason.MISSING_FIELD),
        (pl.col("tenant_id").is_null(), Reason.UNKNOWN_SITE),
        (~pl.col("meter_id").is_in(pl.col("meters")), Reason.UNKNOWN_METER),
        (~possible, Reason.INVALID_FEEDBACK),
        *_in_time(bounds, pl.col("ts")),
    )
    return _judged(decoded, poll, sites, rules, tuple(FEEDBACK_ROWS))


def validate_zones(decoded: Decoded, poll: Poll, sites: pl.DataFrame, bounds: Bounds) -> Validated:
    """Judge every decoded row of zone.readings.v1; parameters as of `validate_weather`."""
    measures = pl.col(list(ZONE_RANGES))
    possible = [pl.col(name).is_between(low, high).fill_null(True) for name, (low, high) in ZONE_RANGES.items()]
    nothing = pl.all_horizontal(pl.col(ZONE_MEASURES).is_null())
    rules = (
        (pl.any_horizontal(pl.col("site_id", "zone_id", "ts").is_null()) | nothing, Reason.MISSING_FIELD),
        (pl.any_horizontal(~measures.is_finite().fill_null(True)), Reason.NOT_FINITE),
        (pl.col("tenant_id").is_null(), Reason.UNKNOWN_SITE),
        (~pl.col("zone_id").is_in(pl.col("zones")), Reason.UNKNOWN_ZONE),
        (~pl.all_horizontal(possible), Reason.OUT_OF_RANGE),
        *_in_time(bounds, pl.col("ts")),
    )
    return _judged(decoded, poll, sites, rules, tuple(ZONE_ROWS))


def validate_history(decoded: Decoded, poll: Poll, sites: pl.DataFrame, bounds: Bounds) -> Validated:
    """Judge every decoded row of meter.history.v1; parameters as of `validate_weather`."""
    ts, until, power = pl.col("ts"), pl.col("until"), pl.col("power_kw")
    ends = pl.col("meter_id").is_null()
    possible = (
        (ts % _QUARTER_MS == 0) & (until % _QUARTER_MS == 0) & pl.when(ends).then(ts == until).otherwise(ts < until)
    )
    rules = (
        (pl.any_horizontal(pl.col("site_id", "ts", "until").is_null()), Reason.MISSING_FIELD),
        (~power.is_finite().fill_null(True), Reason.NOT_FINITE),
        (pl.col("tenant_id").is_null(), Reason.UNKNOWN_SITE),
        (~pl.col("meter_id").is_in(pl.col("meters")), Reason.UNKNOWN_METER),
        (~possible, Reason.OUT_OF_RANGE),
        *_in_time(bounds, until),
    )
    return _judged(decoded, poll, sites, rules, tuple(HISTORY_ROWS))


def _in_time(bounds: Bounds, end: pl.Expr) -> tuple[Rule, Rule]:
    arrival = pl.col("arrived_at")
    return (
        (end > arrival + bounds.future_ms, Reason.FUTURE_TIMESTAMP),
        (pl.col("ts") < arrival - bounds.past_ms, Reason.TOO_OLD),
    )


def _judged(
    decoded: Decoded, poll: Poll, sites: pl.DataFrame, rules: Sequence[Rule], columns: Sequence[str]
) -> Validated:
    """Apply rules; of several that are broken the first one is the reason."""
    places = poll.places()
    judged = (
        decoded.rows.join(places, on="message", how="left", maintain_order="left")
        .with_columns(pl.coalesce("site_id", "key").alias("site_id"))
        .join(sites, on="site_id", how="left", maintain_order="left")
        .with_columns(reason=pl.coalesce(*(pl.when(broken).then(pl.lit(why.value)) for broken, why in rules)))
    )
    accepted = judged.filter(pl.col("reason").is_null()).with_columns(
        pl.col("ts").cast(TIMESTAMP), raw_index=pl.col("index")
    )
    return Validated(
        _with_local_day(accepted).select(*columns, "partition", "message"),
        judged.filter(pl.col("reason").is_not_null()).select("message", "index", "reason"),
        places,
    )


def _with_local_day(rows: pl.DataFrame) -> pl.DataFrame:
    """Say on which day of its site a row is."""
    zones = rows["time_zone"].unique().to_list()
    day = pl.lit(None, dtype=pl.Date)
    for zone in zones:
        there = pl.col("ts").dt.convert_time_zone(zone).dt.date()
        day = pl.when(pl.col("time_zone") == zone).then(there).otherwise(day)
    return rows.with_columns(local_day=day)
