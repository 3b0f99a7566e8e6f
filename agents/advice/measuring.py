"""The figure of a week by which each kind of measure is verified."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from agents.advice.cooling import WARM_C, cooling_meters
from agents.advice.findings import View
from agents.advice.shifting import dear_share
from agents.advice.shutting import closed_kwh
from schemas.advice import MeasureKind
from schemas.registry import MeterKind

_WEEK = 7
_LEAST_WARM_K_DAYS = 7.0  # of a week whose cooling says something


class Week(NamedTuple):
    """A whole week of a site, as places among its kept days."""

    view: View
    days: slice


class Measured(NamedTuple):
    """What is measured, and in which direction it is meant to go."""

    name: str  # with its unit
    rises: bool
    of: Callable[[Week, str | None, Mapping[str, Any]], float | None]
    zh: str


def week_before(view: View, weeks_ago: int) -> Week | None:
    """Return a week that ended, the newest one with 0; None where it is not kept as a whole."""
    kept = len(view.load.works)
    until_monday = (view.today - 1) % _WEEK  # the first day of all was a Monday
    end = kept - until_monday - _WEEK * weeks_ago
    return Week(view, slice(end - _WEEK, end)) if end >= _WEEK else None


def _closed(week: Week, meter: str | None, memory: Mapping[str, Any]) -> float | None:
    if meter is None:
        return None
    load = week.view.load
    return closed_kwh(load.hours_kw(meter)[week.days], load.works[week.days], memory["closed"])


def _share(week: Week, _meter: str | None, _memory: Mapping[str, Any]) -> float | None:
    load = week.view.load
    return dear_share(load.sum_kw(week.view.grid)[week.days], load.dear[week.days])


def _highest(week: Week, _meter: str | None, _memory: Mapping[str, Any]) -> float | None:
    peaks = [kw for kw in week.view.load.peaks_kw[week.days] if np.isfinite(kw)]
    return max(peaks) if len(peaks) >= 5 else None


def _made(week: Week, _meter: str | None, _memory: Mapping[str, Any]) -> float | None:
    makers = [meter.id for meter in week.view.site.meters if meter.kind is MeterKind.GENERATION]
    if not makers:
        return 0.0
    power = week.view.load.sum_kw(makers)[week.days]
    known = np.isfinite(power)
    return float(power[known].mean() * _WEEK * 24) if known.mean() >= 0.75 else None


def _cooling(week: Week, _meter: str | None, _memory: Mapping[str, Any]) -> float | None:
    outdoor = np.array(week.view.load.outdoor_c[week.days])
    power = week.view.load.sum_kw(cooling_meters(week.view.site))[week.days]
    warm = np.where(np.isfinite(outdoor), np.maximum(outdoor - (WARM_C - 4), 0), 0)
    known = np.isfinite(power).all(axis=1) & (warm > 0)
    kelvin_days = float(warm[known].sum())
    return float(power[known].sum()) / kelvin_days if kelvin_days >= _LEAST_WARM_K_DAYS else None


def _factor(week: Week, _meter: str | None, _memory: Mapping[str, Any]) -> float | None:
    active, reactive = np.array(week.view.load.reactive[week.days]).sum(axis=0)
    apparent = float(np.hypot(active, reactive))
    return float(active) / apparent if apparent > 0 else None


MEASURED: Mapping[MeasureKind, Measured] = {
    MeasureKind.SHUT_DOWN: Measured("closed_kwh_per_week", False, _closed, "非工作时段周用电kWh"),
    MeasureKind.SHIFT_LOAD: Measured("dear_share", False, _share, "尖峰用电占比"),
    MeasureKind.DEMAND_CAP: Measured("highest_kw_of_week", False, _highest, "每周最大需量kW"),
    MeasureKind.PV: Measured("generated_kwh_per_week", True, _made, "每周发电kWh"),
    MeasureKind.SET_POINT: Measured("cooling_kwh_per_kelvin_day", False, _cooling, "每度日制冷用电kWh"),
    MeasureKind.POWER_FACTOR: Measured("power_factor", True, _factor, "功率因数"),
}
