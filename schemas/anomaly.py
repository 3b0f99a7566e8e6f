"""An anomaly: energy that is drawn where it should not be, told as one life on anomalies.v1.

It is opened once, updated while it lasts, and ends once: closed, or suppressed where it turned out to be wanted. All
records of one life carry the same `anomaly_id`; the newest one (highest `sequence`) says all there is to say.
"""

from enum import StrEnum

import polars as pl


class AnomalyKind(StrEnum):
    """What was found; a downstream contract, so the words never change their meaning."""

    LEFT_ON = "left_on"  # draws on in hours in which it is usually off or on stand-by
    PEAK_SURGE = "peak_surge"  # draws far more than usual while electricity is dear
    STANDBY_CREEP = "standby_creep"  # the least it draws, day and night, has grown for weeks
    PEAK_SHARE = "peak_share"  # a larger part of a week's energy falls into sharp and peak hours than in weeks before
    DAY_SURGE = "day_surge"  # a day drew far more than expected of such a day
    DAY_SAG = "day_sag"  # a day drew far less
    DRIFT = "drift"  # days have drawn more than expected for so long that the level has risen


class Status(StrEnum):
    """Where in its life an anomaly is."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"
    SUPPRESSED = "suppressed"  # it was wanted: something was made meanwhile, or people said so


class Severity(StrEnum):
    """How far beyond its limit it is: up to 1.5 times, up to 3 times, more."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


RULE_VERSION = "3"

# One record per change of an anomaly on anomalies.v1; `ts` is the end of the quarter hour that caused it, in ms UTC.
ANOMALY_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: <anomaly_id>/<sequence>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "ts": pl.Int64(),
    "anomaly_id": pl.String(),  # deterministic: anomalies/<kind>/<site>/<meter>/<opened_at>
    "sequence": pl.Int32(),  # 0 when it is opened; the highest one replaces the others
    "kind": pl.String(),
    "status": pl.String(),
    "severity": pl.String(),
    "began_at": pl.Int64(),  # when the unusual began, ms UTC
    "opened_at": pl.Int64(),  # when it was known to be unusual, ms UTC
    "ended_at": pl.Int64(),  # ms UTC; null while it is open
    # null while open: stopped | usual_hours | normal_again | new_normal | production | said_normal | fixed | muted
    "end_reason": pl.String(),
    "observed_kw": pl.Float64(),  # mean since it began
    "expected_kw": pl.Float64(),  # of the same hours, learnt
    "expected_high_kw": pl.Float64(),  # what would just not count as unusual
    "expected_low_kw": pl.Float64(),  # of whole days: what would just not count as too little; null else
    # Of whole days, the comparison: observed = before + weather + production + what is not explained; null else.
    "before_kw": pl.Float64(),  # mean power of the days of the same sort (`drift`: all) of the four weeks before
    "weather_kw": pl.Float64(),  # more than then because of the weather; null when that is not known
    "production_kw": pl.Float64(),  # more than then because of what was made; null when that is not known
    "observed_share": pl.Float64(),  # of peak_share, where powers are null: of sharp and peak hours, 0 to 1
    "expected_share": pl.Float64(),
    "score": pl.Float64(),  # largest so far
    "limit": pl.Float64(),  # the score it had to exceed, learnt from the meter itself
    "confidence": pl.Float64(),  # n / (n + 1), where none of n comparable spans was like this
    "compared_with": pl.Int32(),  # n
    "learnt_days": pl.Int32(),  # days the expectation was learnt from
    "wasted_kwh": pl.Float64(),  # above what was expected; of peak_share: drawn at dearer hours; of day_sag: 0
    "wasted_cny": pl.Float64(),  # at the energy price of each quarter hour; null when a price is not known
    "wasted_kg": pl.Float64(),  # location-based; null when no factor is known
    "quarters": pl.Int32(),  # quarter hours it is made of
    "drivers": pl.String(),  # of a site's meter: the meters below that account for it, largest first
    "feedback": pl.String(),  # normal | right | fixed, as it was said last; null while nothing was
    "feedback_by": pl.String(),  # who said it
    "rule_version": pl.String(),
    "message_en": pl.String(),
    "message_zh": pl.String(),
}
