"""Advice that begins with the history: quarter hours of before are folded like days that were lived through.

What the history does not hold (weather, reactive energy, production) stays unknown for these days. Days that were lived
through keep what is known of them.
"""

import numpy as np

from agents.advice.loads import KEPT_DAYS, KEPT_MONTHS, KEPT_TOPS, NANO, MonthLoad
from agents.advice.site import SiteAdvice
from agents.pricing.editions import EditionPricing
from schemas.registry import MeterKind

_QUARTER_H, _QUARTER_MIN = 0.25, 15


def remember(state: SiteAdvice, until: int, meter: str, place: tuple[int, int, int], power_kw: float | None) -> None:
    """Take in a quarter hour of the history; one that ends at another time begins anew.

    Parameters
    ----------
    state
        The site.
    until
        End of the history. [ms UTC]
    meter
        The meter.
    place
        Ordinal of the local day, hour, and minute.
    power_kw
        Mean power; None = not known.
    """
    if state.past is None or state.past.until != until:
        state.past = SiteAdvice(state.record, until=until)
    known = next((one for one in state.site.meters if one.id == meter), None)
    if power_kw is None or known is None:
        return
    day, hour, minute = place
    nano_kwh = round(power_kw * _QUARTER_H * NANO)
    load = state.past.load
    load.meter(meter).add(day, hour, nano_kwh, _QUARTER_MIN)
    if known.kind is MeterKind.GRID and (at := load.day(day)) is not None:
        at.quarters[:, hour * 4 + minute // _QUARTER_MIN] += nano_kwh, _QUARTER_MIN


def take_over(state: SiteAdvice, pricing: EditionPricing) -> None:
    """Put the days of the history in front of those that were lived through."""
    past, state.past, state.packed_turn = state.past, None, None
    if past is None or not past.load.running:
        return
    now, before = state.load, past.load
    lived_from = now.folded - len(now.works) if now.folded else min(now.running, default=max(before.running) + 1)
    for day in range(max(min(before.running), lived_from - 400), lived_from):
        past.fold(day, pricing)
    for name, meter in now.meters.items():
        own = now.hours_kw(name)
        earlier = before.hours_kw(name)
        meter.days, meter.packed = np.concatenate([earlier, own])[-KEPT_DAYS:], b""
    for name in before.meters.keys() - now.meters.keys():
        missing = np.full((len(now.works), 24), np.nan, np.float32)
        now.meter(name).days = np.concatenate([before.hours_kw(name), missing])[-KEPT_DAYS:]
    now.folded = now.folded or lived_from
    now.works = [*before.works, *now.works][-KEPT_DAYS:]
    now.price = np.concatenate([before.price, now.price])[-KEPT_DAYS:]
    now.dear = np.concatenate([before.dear, now.dear])[-KEPT_DAYS:]
    now.made = np.concatenate([before.made, now.made])[-KEPT_DAYS:]
    now.peaks_kw = [*before.peaks_kw, *now.peaks_kw][-KEPT_DAYS:]
    now.reactive = [*before.reactive, *now.reactive][-KEPT_DAYS:]
    now.outdoor_c = [*before.outdoor_c, *now.outdoor_c][-KEPT_DAYS:]
    for name_of_month, month in before.months.items():
        _add(now.months.setdefault(name_of_month, MonthLoad()), month)
    now.months = dict(sorted(now.months.items())[-KEPT_MONTHS:])
    now.newest = now.newest or past.until - 1


def _add(month: MonthLoad, earlier: MonthLoad) -> None:
    """Add the days of the same month that came before."""
    month.days += earlier.days
    month.kwh += earlier.kwh
    month.hours += earlier.hours
    month.tops_kw = sorted([*month.tops_kw, *earlier.tops_kw], reverse=True)[:KEPT_TOPS]
    month.energy_cny += earlier.energy_cny
