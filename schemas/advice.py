"""A measure that would save energy, money or carbon at a site, told as one life on advice.v1.

It is proposed once, updated while what it would save changes, answered by people (`schemas.feedback`), and after it was
done held against what the meters say. All records of one life carry the same `advice_id`; the newest one (highest
`sequence`) says all there is to say. Savings are ranges for a year and rest on the assumptions beside them.
"""

from enum import StrEnum

import polars as pl


class MeasureKind(StrEnum):
    """What could be done; a downstream contract, so the words never change their meaning."""

    SHUT_DOWN = "shut_down"  # switch a machine off when nobody works, as on its best days
    SHIFT_LOAD = "shift_load"  # move work out of sharp and peak hours
    DEMAND_CAP = "demand_cap"  # keep the few highest quarter hours of a month lower
    CONTRACT_DEMAND = "contract_demand"  # have the basic fee charged in another way
    PV = "pv"  # solar modules on the roof, as many as the site itself can use
    SET_POINT = "set_point"  # cool less deeply
    POWER_FACTOR = "power_factor"  # compensate reactive power


class AdviceStatus(StrEnum):
    """Where in its life a measure is."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    DONE = "done"  # people say so; what meters say is in measured_*
    VERIFIED = "verified"  # meters show it
    NOT_SHOWN = "not_shown"  # meters did not show it within half a year
    WITHDRAWN = "withdrawn"  # it was not answered, and the load no longer gives a reason for it


RULE_VERSION = "1"

# One record per change of a measure on advice.v1; `ts` is when it was found or answered, in ms UTC.
ADVICE_RECORD: dict[str, pl.DataType] = {
    "id": pl.String(),  # deterministic: <advice_id>/<sequence>
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "meter_id": pl.String(),  # null where it concerns the whole site
    "ts": pl.Int64(),
    "advice_id": pl.String(),  # deterministic: advice/<kind>/<site>/<meter, or site>/<proposed_at>
    "sequence": pl.Int32(),  # 0 when it is proposed; the highest one replaces the others
    "kind": pl.String(),
    "status": pl.String(),
    "proposed_at": pl.Int64(),  # ms UTC
    "answered_at": pl.Int64(),  # when people said what the status says, ms UTC
    "answered_by": pl.String(),
    "why": pl.String(),  # what they said with it, e.g. why it was declined
    "evidence_from": pl.Int64(),  # what it was found in, ms UTC
    "evidence_until": pl.Int64(),  # exclusive
    "evidence_days": pl.Int32(),  # of them known
    # Savings of a year; money and carbon are null where a price or factor is not known.
    "saved_kwh_low": pl.Float64(),
    "saved_kwh_high": pl.Float64(),
    "saved_cny_low": pl.Float64(),
    "saved_cny_high": pl.Float64(),
    "saved_kg_low": pl.Float64(),
    "saved_kg_high": pl.Float64(),
    "investment_cny_low": pl.Float64(),  # null where nothing is to be bought, or it cannot be said
    "investment_cny_high": pl.Float64(),
    "payback_years_low": pl.Float64(),  # null with the investment
    "payback_years_high": pl.Float64(),
    "evidence": pl.String(),  # name=value pairs, with units in the names, comma-separated
    "assumptions_en": pl.String(),
    "assumptions_zh": pl.String(),
    # What meters say, from when it was done; all null before. Weeks are whole ones, Monday to Sunday local.
    "measured": pl.String(),  # the measure, with its unit: closed_kwh_per_week, dear_share, highest_kw, ...
    "measured_before": pl.Float64(),  # mean of the weeks before
    "measured_after": pl.Float64(),
    "measured_change_low": pl.Float64(),  # after less before, at 95 % however often it is looked at
    "measured_change_high": pl.Float64(),
    "weeks_before": pl.Int32(),
    "weeks_after": pl.Int32(),
    "weeks_needed": pl.Int32(),  # more of them until it would show, if it goes on like this; null: cannot be said
    "rule_version": pl.String(),
    "message_en": pl.String(),
    "message_zh": pl.String(),
}
