"""Set-points: how much less a site would draw if it cooled less deeply."""

import numpy as np

from agents.advice.findings import Finding, Range, View, Words, number, span
from schemas.advice import MeasureKind
from schemas.registry import MeterKind, Site

WARM_C = 22.0  # mean of a day outdoors, from which its HVAC energy counts as cooling
TARGET_C = 26.0  # at least, in public buildings in summer: 国办发〔2007〕42号
# Of the cooling energy, per kelvin. Hoyt, Arens and Zhang, Building and Environment 88 (2015) 89-96, have 29 % for
# 2.8 K in US offices; a shallow set-back in a badly insulated hall saves less.
SAVED_PER_K = Range(0.03, 0.10)
_MOST_K = 3.0
_LEAST_K = 0.5
_LEAST_DAYS = 14  # warm ones that were seen
_COOLING_DAYS = 150  # of a year, at most, if fewer were seen


def cooling_meters(site: Site) -> list[str]:
    """Return the meters of heating, ventilation and cooling."""
    of_zones = {zone.meter for zone in site.zones if zone.meter}
    return [meter.id for meter in site.meters if meter.kind is MeterKind.HVAC or meter.id in of_zones]


def set_point(view: View) -> list[Finding]:
    """Return what cooling less deeply would save."""
    months = list(view.load.months.values())
    days = sum(month.cooling_days for month in months)
    seen_kwh = sum(month.cooling_kwh for month in months)
    by_k = {
        zone: min(TARGET_C - set_c, _MOST_K)
        for zone, set_c in view.cooling_set_c.items()
        if TARGET_C - set_c >= _LEAST_K and view.site.zone(zone) is not None
    }
    if days < _LEAST_DAYS or seen_kwh <= 0 or not by_k:
        return []
    areas = {zone.id: zone.area_m2 for zone in view.site.zones if zone.id in view.cooling_set_c}
    colder_k = sum(areas[zone] * kelvin for zone, kelvin in by_k.items()) / sum(areas.values())
    year = Range(seen_kwh, seen_kwh * max(1.0, _COOLING_DAYS / days))
    kwh = Range(year.low * SAVED_PER_K.low * colder_k, year.high * SAVED_PER_K.high * colder_k)
    prices = view.load.price[np.isfinite(view.load.price)]
    price = float(prices.mean()) if prices.size else None
    names = ", ".join(sorted(zone.name for zone in view.site.zones if zone.id in by_k))
    lowest = min(view.cooling_set_c[zone] for zone in by_k)
    return [
        Finding(
            MeasureKind.SET_POINT,
            None,
            kwh,
            None if price is None else kwh.times(price, price),
            view.kg(kwh),
            {
                "cooling_kwh_seen": seen_kwh,
                "warm_days_seen": days,
                "lowest_set_point_c": lowest,
                "warmer_by_k": colder_k,
            },
            Words(
                f"Per kelvin {100 * SAVED_PER_K.low:.0f} to {100 * SAVED_PER_K.high:.0f} % of the cooling "
                "energy. Cooling "
                "is "
                f"what HVAC meters drew on days with {WARM_C:.0f} °C or more outdoors: at least the {days} "
                "days that were "
                f"seen, at most {max(days, _COOLING_DAYS)} days like them. Up to {TARGET_C:.0f} °C, by "
                f"{_MOST_K:.0f} K at "
                "most, weighted by the areas of the zones.",
                f"每升高1 K节省制冷用电的{100 * SAVED_PER_K.low:.0f}%至{100 * SAVED_PER_K.high:.0f}%。"
                "制冷用电取室外日均温"
                f"不低于{WARM_C:.0f} °C时暖通电表的用电：下限按已知的{days}天，上限按{max(days, _COOLING_DAYS)}天。"
                f"目标{TARGET_C:.0f} °C，最多升高{_MOST_K:.0f} K，按区域面积加权。",
            ),
            Words(
                f"{view.site_name.en}: {names} are cooled to {number(lowest)} °C. Cooling to {TARGET_C:.0f} "
                "°C only would "
                f"save {span(kwh)} kWh a year.",
                f"{view.site_name.zh}：{names}制冷设定为{number(lowest)} °C，改为{TARGET_C:.0f} "
                f"°C每年可节电{span(kwh)} "
                "kWh。",
            ),
            days,
        )
    ]
