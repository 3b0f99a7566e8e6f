"""Solar modules sized on the site's own load curve: as many as it can use itself."""

from functools import partial
from typing import NamedTuple

import numpy as np

from agents.advice.findings import Finding, Range, View, Words, span
from agents.advice.sun import CLEARNESS, MONTH_DAYS, Hourly, sun_over
from schemas.advice import MeasureKind
from schemas.registry import MeterKind

# Energy of a module over its rated power times the sun it got: Reich et al., Progress in Photovoltaics 20 (2012)
# 717-726, have 0.70 to 0.90 in the field. A roof is rarely at its best.
PERFORMANCE = Range(0.75, 0.85)
LEAST_SELF_USE = 0.9  # of what is made in the sunniest case: what is fed in counts nothing here
INVESTMENT_CNY_PER_KWP = Range(2500.0, 4000.0)  # installed on a factory roof; an assumption, ask for offers
YEARLY_COST_SHARE = 0.015  # of the investment: cleaning, insurance, inverters
_M2_PER_KWP = 8.0  # of roof; with walkways
_LEAST_KWP = 10.0
_LEAST_HOURS = 20 * 24
_STEPS = np.linspace(0.05, 3.0, 60)  # of the highest mean hour of the site


class Load(NamedTuple):
    """Mean load of an hour and its price, by month, days off and working days, and hour, shape (12, 2, 24)."""

    kw: Hourly
    working_share: float


def panels(view: View) -> list[Finding]:
    """Return how large a roof of modules pays best, and what it saves."""
    if any(meter.kind is MeterKind.GENERATION for meter in view.site.meters):
        return []
    load = _load(view)
    measured = {
        month: (known.sun_w_m2, known.sun_hours)
        for (_, month), known in view.load.months.items()
        if known.sun_hours.any()
    }
    sun = sun_over(view.site.region, measured)
    if load is None or sun is None:
        return []
    high_kw, low_kw = sun.high / 1000 * PERFORMANCE.high, sun.low / 1000 * PERFORMANCE.low
    most = np.inf if view.site.floor_area_m2 is None else view.site.floor_area_m2 / _M2_PER_KWP
    sizes = np.minimum(_STEPS * float(load.kw.max()), most)
    fitting = [kwp for kwp in sizes if _self_use(load, kwp * high_kw)[1] >= LEAST_SELF_USE]
    if not fitting or max(fitting) < _LEAST_KWP:
        return []
    kwp = float(round(max(fitting)))
    (used_low, share_low), (used_high, share_high) = (_self_use(load, kwp * sun_kw) for sun_kw in (low_kw, high_kw))
    kwh = Range(used_low, used_high)
    price = _price(view, high_kw)
    invest = Range(INVESTMENT_CNY_PER_KWP.low * kwp, INVESTMENT_CNY_PER_KWP.high * kwp)
    cny = None
    if price is not None:
        cny = Range(
            used_low * price - YEARLY_COST_SHARE * invest.high, used_high * price - YEARLY_COST_SHARE * invest.low
        )
        if cny.low <= 0:
            return []
    made = Range(float(_yearly(low_kw).sum()), float(_yearly(high_kw).sum()))
    known = sorted({month for _, month in view.load.months})
    sunny_en = (
        f"the site's own irradiance of {sun.measured_months} months, else "
        if sun.measured_months
        else "no irradiance was measured here: "
    )
    sunny_zh = f"其中{sun.measured_months}个月采用本站实测辐照度，其余" if sun.measured_months else "本站无实测辐照度，"
    days = sum(month.days for month in view.load.months.values())
    found = Finding(
        MeasureKind.PV,
        None,
        kwh,
        cny,
        view.kg(kwh),
        {
            "size_kwp": kwp,
            "self_use_share_low": share_high,
            "self_use_share_high": share_low,
            "yield_kwh_per_kwp_low": made.low,
            "yield_kwh_per_kwp_high": made.high,
            "months_of_load": len(known),
        },
        Words(
            f"Yield {span(made)} kWh per kWp and year ({sunny_en}radiation above the air at the capital of the region "
            f"times {CLEARNESS.low:.3f} to {CLEARNESS.high:.3f}, FAO-56 eq. 28 and 35), flat on the roof, performance "
            "ratio "
            f"{PERFORMANCE.low} to {PERFORMANCE.high}. Load: mean hours of months known ({len(known)}); other months "
            "are like the "
            "nearest of them. What is fed in counts nothing. Used energy is worth the price of the last four weeks at "
            f"the hours of sun. {span(INVESTMENT_CNY_PER_KWP)} CNY per kWp, {100 * YEARLY_COST_SHARE} % of it a year "
            "for "
            f"upkeep, {_M2_PER_KWP:.0f} m² of roof per kWp. A planning range, no survey.",
            f"年发电{span(made)} kWh/kWp（{sunny_zh}按省会天文辐射乘以{CLEARNESS.low:.3f}至{CLEARNESS.high:.3f}，"
            f"FAO-56式28、35），平铺屋顶，系统效率{PERFORMANCE.low}至{PERFORMANCE.high}。负荷取{len(known)}个月的小时均值，"
            "其余月份按最近月份计。上网电量不计收益；自用电量按最近四周日照时段电价计。"
            f"造价{span(INVESTMENT_CNY_PER_KWP)}元/kWp，年运维{100 * YEARLY_COST_SHARE}%，每kWp占屋顶{_M2_PER_KWP:.0f} "
            "m²。"
            "仅供规划，不代替勘察。",
        ),
        Words("", ""),
        days,
        investment_cny=invest,
    )
    payback = found.payback_years
    back_en = f" and pay back in {span(payback)} years" if payback is not None else ""
    back_zh = f"，{span(payback)}年收回投资" if payback is not None else ""
    size = f"{kwp:,.0f}"
    own = Range(100 * share_high, 100 * share_low)
    return [
        Finding(
            found.kind,
            found.meter,
            found.kwh,
            found.cny,
            found.kg,
            found.evidence,
            found.assumptions,
            Words(
                f"{view.site_name.en}: {size} kWp of solar modules fit the site's own load. It would use "
                f"{span(own)} % of "
                f"what they make itself: {span(kwh)} kWh a year less from the grid{back_en}.",
                f"{view.site_name.zh}：按本站负荷曲线，宜装{size} kWp光伏，自用率{span(own)}%，"
                f"每年少购电{span(kwh)} kWh{back_zh}。",
            ),
            found.days,
            found.investment_cny,
        )
    ]


def _load(view: View) -> Load | None:
    """Return the mean hours of the site's load by month; None while less than three weeks are known."""
    months = view.load.months
    if not months or sum(float(month.hours.sum()) for month in months.values()) < _LEAST_HOURS:
        return None
    kwh = np.zeros((12, 2, 24))
    hours = np.zeros((12, 2, 24))
    for (_, number_), month in months.items():
        kwh[number_ - 1] += month.kwh
        hours[number_ - 1] += month.hours
    overall = kwh.sum(axis=0) / np.maximum(hours.sum(axis=0), 1)
    if (hours.sum(axis=0) == 0).any():
        overall = np.broadcast_to(kwh.sum(axis=(0, 1)) / np.maximum(hours.sum(axis=(0, 1)), 1), (2, 24))
    known = [month for month in range(12) if hours[month].sum() >= 7 * 24]
    table = np.zeros((12, 2, 24))
    for place in range(12):
        nearest = min(known, key=partial(_apart, place), default=None)
        if nearest is None:
            table[place] = overall
        else:
            table[place] = np.where(hours[nearest] > 0, kwh[nearest] / np.maximum(hours[nearest], 1), overall)
    return Load(table, float(view.works.mean()) if len(view.works) else 5 / 7)


def _apart(month: int, other: int) -> tuple[int, int]:
    """Return how many months lie between two, the earlier in the year first."""
    return min((other - month) % 12, (month - other) % 12), other


def _self_use(load: Load, made_kw: Hourly) -> tuple[float, float]:
    """Return what the site uses itself of mean power by month and hour, shape (12, 24): kWh of a year, and share."""
    used = np.minimum(load.kw, made_kw[:, None, :])
    weights = np.array([1 - load.working_share, load.working_share])
    used_kwh = float(_yearly((used * weights[None, :, None]).sum(axis=1)).sum())
    made_kwh = float(_yearly(made_kw).sum())
    return used_kwh, used_kwh / made_kwh if made_kwh > 0 else 0.0


def _yearly(mean_kw: Hourly) -> Hourly:
    """Return the energy of each hour of the day of each month, of a year. [kWh]."""
    energy: Hourly = mean_kw * np.array(MONTH_DAYS, float)[:, None]
    return energy


def _price(view: View, sun_kw: Hourly) -> float | None:
    """Return the mean price of the last weeks, weighted by the sun of their hours. [CNY/kWh]."""
    price = view.load.price
    if not len(price):
        return None
    weights = np.where(np.isfinite(price), sun_kw.mean(axis=0)[None, :], 0)
    return float((np.nan_to_num(price) * weights).sum() / weights.sum()) if weights.sum() > 0 else None
