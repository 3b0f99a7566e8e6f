"""Shut-down routine: what a machine draws while nobody works, above what it draws then on its best days.

Nights and free days on which it was left on are the anomalies `left_on`, a stand-by that has grown is `standby_creep`;
both are here as what they cost in weeks, against what the same machine has reached in the same weeks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.advice.findings import LEAST_DAYS, Finding, Range, View, Words, number, span
from agents.advice.loads import HOURS, Floats
from agents.advice.work_days import shift_hours
from schemas.advice import MeasureKind

Mask = NDArray[np.bool_]

_OFF_BELOW = 0.25  # of the way from the least to the running level
_LEAST_CONTRAST = 0.3  # between them, of the running level: below, the machine is never off
_RUNNING_QUANTILE, _LEAST_QUANTILE = 0.85, 0.1
_BEST_QUANTILE = 0.2  # of the days: what was reached on a fifth of them can be reached
_LEAST_SHARE = 0.1  # of the running level, above which a day counts as left on
_LEAST_CLOSED_HOURS = 3  # known, of a day that counts
_LEAST_LEFT_ON = 3  # days, in two weeks at least
_LEAST_WASTE = 0.01  # of what the machine draws
_AVOIDED = Range(0.5, 1.0)
_WEEKS = Range(50.0, 52.0)  # of a year that are like these


def shut_down(view: View) -> list[Finding]:
    """Return the machines that are worth switching off."""
    return [found for meter in view.machines if (found := _of(view, meter.id)) is not None]


def closed_hours(view: View, power_kw: Floats) -> Mask:
    """Return the hours in which a machine should be off, on days off and on working days, shape (2, 24).

    Those outside of the site's shifts; where it has none, those in which the machine usually is off.
    """
    by_shift = shift_hours(view.site, range(view.today - len(power_kw), view.today))
    if by_shift is not None:
        return ~by_shift
    known = np.isfinite(power_kw).any(axis=0)
    works = view.works
    if works.sum() < 5 or (~works).sum() < 2 or not known.all():
        return np.zeros((2, HOURS), bool)
    usual = np.array([np.nanmedian(power_kw[~works], axis=0), np.nanmedian(power_kw[works], axis=0)])
    running, least = np.quantile(usual[1], _RUNNING_QUANTILE), np.quantile(usual, _LEAST_QUANTILE)
    if not np.isfinite(running) or running - least <= _LEAST_CONTRAST * running:
        return np.zeros((2, HOURS), bool)
    off: Mask = usual < least + _OFF_BELOW * (running - least)
    return off


def closed_kwh(power_kw: Floats, works: Sequence[bool], closed: Sequence[Sequence[bool]]) -> float | None:
    """Return what is drawn in closed hours of days, None where less than three quarters of them are known. [kWh]."""
    is_closed = np.array(closed, bool)[np.array(works, int)]
    known = np.isfinite(power_kw) & is_closed
    if not is_closed.any() or known.sum() < 0.75 * is_closed.sum():
        return None
    return float(power_kw[known].sum() / known.sum() * is_closed.sum())


def _of(view: View, meter: str) -> Finding | None:
    power_kw = view.load.hours_kw(meter)
    is_known = np.isfinite(power_kw).sum(axis=1) >= HOURS / 2
    if is_known.sum() < LEAST_DAYS:
        return None
    closed = closed_hours(view, power_kw)
    works = view.works
    in_closed = closed[works.astype(int)] & np.isfinite(power_kw) & (view.load.made == 0)
    counts = in_closed.sum(axis=1) >= _LEAST_CLOSED_HOURS
    mean_kw = np.where(in_closed, power_kw, 0).sum(axis=1) / np.maximum(in_closed.sum(axis=1), 1)
    if not np.isfinite(power_kw[works]).any():
        return None
    running_kw = float(np.nanquantile(power_kw[works], _RUNNING_QUANTILE))
    above = np.zeros_like(power_kw)
    left_on: list[int] = []
    best_kw: list[float] = []
    for of in (False, True):
        mine = counts & (works == of)
        if mine.sum() < 4:
            continue
        best = float(np.quantile(mean_kw[mine], _BEST_QUANTILE))
        best_kw.append(best)
        over = mine & (mean_kw > best + _LEAST_SHARE * running_kw)
        left_on += np.flatnonzero(over).tolist()
        above[over] = np.where(in_closed[over], np.maximum(power_kw[over] - best, 0), 0)
    wasted_kwh = float(above.sum())
    weeks = {(view.today - len(works) + day - 1) // 7 for day in left_on}
    total_kwh = float(np.nansum(power_kw))
    if len(left_on) < _LEAST_LEFT_ON or len(weeks) < 2 or wasted_kwh < _LEAST_WASTE * total_kwh:
        return None
    days = int(is_known.sum())
    per_week = wasted_kwh * 7 / days
    kwh = Range(per_week, per_week).times(_AVOIDED.low * _WEEKS.low, _AVOIDED.high * _WEEKS.high)
    priced = np.isfinite(view.load.price) & (above > 0)
    price = float((above * view.load.price)[priced].sum() / above[priced].sum()) if priced.any() else None
    name, best = view.name(meter), min(best_kw)
    cny = None if price is None else kwh.times(price, price)
    money_en = "" if cny is None else f" ({span(cny)} CNY)"
    money_zh = "" if cny is None else f"（{span(cny)}元）"
    return Finding(
        MeasureKind.SHUT_DOWN,
        meter,
        kwh,
        cny,
        view.kg(kwh),
        {
            "days_left_on": len(left_on),
            "days_counted": int(counts.sum()),
            "wasted_kwh_per_week": per_week,
            "best_kw": best,
            "running_kw": running_kw,
        },
        Words(
            f"Half to all of it is avoided, in {_WEEKS.low:.0f} to {_WEEKS.high:.0f} weeks a year like the last "
            f"{days} days. The machine reached it on a fifth of its closed nights and days ({number(best)} kW).",
            f"假设可避免其中一半至全部，且全年有{_WEEKS.low:.0f}至{_WEEKS.high:.0f}周与最近{days}天相同；"
            f"目标为该设备在五分之一的非工作时段已达到的水平（{number(best)} kW）。",
        ),
        Words(
            f"{name}: switch it off when work ends. On {len(left_on)} of {int(counts.sum())} days it drew more "
            f"in closed hours than on its best days, {number(per_week)} kWh a week. A routine would save {span(kwh)} "
            f"kWh{money_en} a year.",
            f"{name}：下班后应及时关停。{int(counts.sum())}天中有{len(left_on)}天在非工作时段多耗电，"
            f"每周约{number(per_week)} kWh。建立关停制度每年可节电{span(kwh)} kWh{money_zh}。",
        ),
        days,
        memory={"closed": closed.tolist()},
    )
