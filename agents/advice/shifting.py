"""Load that could be moved out of sharp and peak hours: what the site itself has shown, and what it has room for."""

import numpy as np

from agents.advice.findings import NO_ENERGY, YEAR_DAYS, Finding, Range, View, Words, number, span
from agents.advice.loads import HOURS, Floats
from schemas.advice import MeasureKind

_BEST_QUANTILE = 0.25  # of working days, by the share of dear hours: what was reached on a quarter of them
_FLEXIBLE = 0.5  # of what is drawn in dear hours above the least of the day
_RUNNING = 0.5  # of the way from the least to the usual highest: hours in which people are there anyway
_HIGHEST_QUANTILE = 0.95
_LEAST_WORKING_DAYS = 12
_USUAL = Range(0.8, 1.05)  # times the median energy of a day: what is left on at night makes no good example
_LEAST_SAVING = 0.01  # of the energy cost
_DRIVERS = 3


def dear_share(total_kw: Floats, dear: Floats) -> float | None:
    """Return which part of the energy falls into sharp and peak hours; None where less than half is known."""
    known = np.isfinite(total_kw) & np.isfinite(dear)
    if known.mean() < 0.5 or total_kw[known].sum() <= 0:
        return None
    return float((total_kw * dear)[known].sum() / total_kw[known].sum())


def shift_load(view: View) -> list[Finding]:
    """Return what moving load to cheaper hours would save."""
    total, dear, price = view.load.sum_kw(view.grid), view.load.dear, view.load.price
    whole = (np.isfinite(total) & np.isfinite(price)).all(axis=1) & view.works & (dear.sum(axis=1) > 0)
    if whole.sum() < _LEAST_WORKING_DAYS:
        return []
    total, dear, price = (table[whole].astype(np.float64) for table in (total, dear, price))
    sums = total.sum(axis=1)
    if (sums <= 0).any():
        return []
    share = (total * dear).sum(axis=1) / sums
    cost = float((total * price).sum())
    usual = (sums >= _USUAL.low * np.median(sums)) & (sums <= _USUAL.high * np.median(sums))
    best = float(np.quantile(share[usual], _BEST_QUANTILE))
    shown_kwh = np.where(usual, np.maximum(share - best, 0) * sums, 0)
    room = np.array([_room(*day) for day in zip(total, dear, strict=True)])
    gain = np.array([_dearer(*day) for day in zip(total, dear, price, strict=True)])
    possible_kwh = np.maximum(room, shown_kwh)
    days = int(whole.sum())
    working_days = YEAR_DAYS * float(view.works.mean())
    moved = Range(float(shown_kwh.sum()), float(possible_kwh.sum())).times(working_days / days, working_days / days)
    cny = Range(float((shown_kwh * gain).sum()), float((possible_kwh * gain).sum()))
    if cny.low <= 0 or cny.high < _LEAST_SAVING * cost:
        return []
    cny = cny.times(working_days / days, working_days / days)
    now = float((total * dear).sum() / sums.sum())
    drivers = _drivers(view, whole, dear)
    drivers_en = f" Most of what is above the least of the day comes from {drivers}." if drivers else ""
    drivers_zh = f"其中可调部分主要来自{drivers}。" if drivers else ""
    return [
        Finding(
            MeasureKind.SHIFT_LOAD,
            None,
            NO_ENERGY,
            cny,
            NO_ENERGY,
            {
                "dear_share": now,
                "best_dear_share": best,
                "moved_kwh_low": moved.low,
                "moved_kwh_high": moved.high,
                "working_days_counted": days,
            },
            Words(
                f"At least: every working day becomes like the best quarter of the last {days} (share {100 * best:.1f} "
                f"%). At most: half of what sharp and peak hours have above the least of the day moves into cheaper "
                f"hours in which work goes on anyway, without a new highest hour. {working_days:.0f} working "
                "days a year; "
                "no energy is saved, and the grid's factor is the same at all hours.",
                f"下限：每个工作日都达到最近{days}天中最好四分之一的水平（占比{100 * best:.1f}%）。"
                "上限：尖峰时段高于当日最低负荷部分的一半移至本已开工的低价时段，且不产生新的最高负荷。"
                f"按每年{working_days:.0f}个工作日计；不节约电量，碳排放不变。",
            ),
            Words(
                f"{view.site_name.en}: {100 * now:.1f} % of working days' energy falls into sharp and peak hours. "
                f"Moving {span(moved)} kWh a year to cheaper hours would save {span(cny)} CNY.{drivers_en}",
                f"{view.site_name.zh}：工作日用电中尖峰时段占{100 * now:.1f}%。每年将{span(moved)} kWh移至低价时段，"
                f"可节省{span(cny)}元。{drivers_zh}",
            ),
            days,
        )
    ]


def _room(total: Floats, dear: Floats) -> float:
    """Return what of a day could be moved into cheaper hours in which work goes on. [kWh]."""
    least, highest = float(total.min()), float(np.quantile(total, _HIGHEST_QUANTILE))
    is_dear = dear > 0
    flexible = float(((total - least) * dear).sum()) * _FLEXIBLE
    runs = ~is_dear & (total > least + _RUNNING * (highest - least))
    return min(flexible, float(np.maximum(highest - total, 0)[runs].sum()))


def _dearer(total: Floats, dear: Floats, price: Floats) -> float:
    """Return how much dearer the dear hours of a day were than its other ones, by what was drawn. [CNY/kWh]."""
    in_dear, elsewhere = total * dear, total * (1 - dear)
    if in_dear.sum() <= 0 or elsewhere.sum() <= 0:
        return 0.0
    return max(0.0, float((in_dear * price).sum() / in_dear.sum() - (elsewhere * price).sum() / elsewhere.sum()))


def _drivers(view: View, whole: Floats, dear: Floats) -> str:
    """Return the machines with most in dear hours above their own least of the day."""
    found = []
    for meter in view.machines:
        if meter.id in view.grid:
            continue
        power = view.load.hours_kw(meter.id)[whole]
        known = np.isfinite(power).sum(axis=1) == HOURS
        if known.any():
            above = power[known] - power[known].min(axis=1, keepdims=True)
            found.append((float((above * dear[known]).sum() / known.sum()), meter.id))
    largest = sorted(found, reverse=True)[:_DRIVERS]
    return ", ".join(f"{view.name(meter)} ({number(kwh)} kWh/d)" for kwh, meter in largest if kwh > 0)
