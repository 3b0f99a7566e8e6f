"""Demand: the few quarter hours that make a month's maximum, and how the basic fee is charged."""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from agents.advice.findings import NO_ENERGY, Finding, Range, View, Words, number, span
from agents.advice.loads import MonthLoad
from agents.pricing.fees import basic_fee
from schemas.advice import MeasureKind
from schemas.contract import DemandMode, DemandTerms

LEAST_MONTH_DAYS = 27  # folded, of a month that counts as whole
_FEW, _SOME = 4, 20  # quarter hours a month that are kept lower: an hour, and five
_LEAST_CAP = 0.03  # of the maximum
_LEAST_MONTHS = 3  # whole ones, before another way of charging is advised
_LEAST_GAIN = 0.02  # of the fee
_CAREFUL = 1.1  # maxima that are a tenth higher

_MODE_EN = {
    DemandMode.TRANSFORMER_CAPACITY: "transformer capacity",
    DemandMode.CONTRACT_MAX_DEMAND: "contracted maximum demand",
    DemandMode.ACTUAL_MAX_DEMAND: "actual maximum demand",
    DemandMode.SINGLE_PART: "no basic fee",
}
_MODE_ZH = {
    DemandMode.TRANSFORMER_CAPACITY: "变压器容量",
    DemandMode.CONTRACT_MAX_DEMAND: "合同最大需量",
    DemandMode.ACTUAL_MAX_DEMAND: "实际最大需量",
    DemandMode.SINGLE_PART: "不计基本电费",
}


class Charged(NamedTuple):
    """How demand is charged now, and what it costs."""

    terms: DemandTerms
    cny_per_kw: float | None
    cny_per_kva: float | None


def charged(view: View) -> Charged | None:
    """Return how demand is charged in the month of today; None where nothing was agreed, or nothing is charged."""
    day = date.fromordinal(view.today)
    tariff = view.site.tariff
    terms = tariff.demand_on(day)
    if terms is None or terms.mode is DemandMode.SINGLE_PART:
        return None
    listed = view.charges.demand_price_on(day, view.site.region, tariff.voltage, tariff.network_zone)
    kw, kva = terms.cny_per_kw_month, terms.cny_per_kva_month
    if listed is not None:
        kw = listed.cny_per_kw_month if kw is None else kw
        kva = listed.cny_per_kva_month if kva is None else kva
    return Charged(terms, kw, kva)


def fee_cny(view: View, how: Charged, highest_kw: float | None) -> float | None:
    """Return the basic fee of a month with this maximum; None where a price is not known. [CNY]."""
    return basic_fee(how.terms, view.charges.two_part_rule, highest_kw, how.cny_per_kw, how.cny_per_kva).cny


def whole_months(view: View) -> list[MonthLoad]:
    """Return the months that are known as a whole."""
    return [month for month in view.load.months.values() if month.days >= LEAST_MONTH_DAYS and month.tops_kw]


def demand_cap(view: View) -> list[Finding]:
    """Return what keeping the highest quarter hours of each month lower would save."""
    how, months = charged(view), [month for month in whole_months(view) if len(month.tops_kw) > _SOME]
    if how is None or not months:
        return []
    caps: list[Range] = []
    saved: list[Range] = []
    for month in months:
        cap = Range(month.tops_kw[0] - month.tops_kw[_FEW], month.tops_kw[0] - month.tops_kw[_SOME])
        now = fee_cny(view, how, month.tops_kw[0])
        then = [fee_cny(view, how, month.tops_kw[0] - kw) for kw in cap]
        if now is None or then[0] is None or then[1] is None:
            return []
        caps.append(cap)
        saved.append(Range(now - then[0], now - then[1]))
    highest = sum(month.tops_kw[0] for month in months) / len(months)
    cap, cny = _mean(caps), _mean(saved).times(12, 12)
    if cap.high < _LEAST_CAP * highest or cny.high <= 0:
        return []
    return [
        Finding(
            MeasureKind.DEMAND_CAP,
            None,
            NO_ENERGY,
            cny,
            NO_ENERGY,
            {
                "highest_kw": highest,
                "cap_by_kw_low": cap.low,
                "cap_by_kw_high": cap.high,
                "months_counted": len(months),
                "price_cny_per_kw_month": how.cny_per_kw or 0.0,
            },
            Words(
                f"At least: the {_FEW} highest quarter hours of a month (one hour) are kept lower; at most: {_SOME} of "
                f"them (five hours). Means of {len(months)} whole months, times twelve; the energy is drawn at another "
                "time, so none is saved.",
                f"下限：每月压低最高的{_FEW}个15分钟时段（1小时）；上限：{_SOME}个（5小时）。"
                f"取{len(months)}个完整月份的平均值乘以12；用电只是错开，不节约电量。",
            ),
            Words(
                f"{view.site_name.en}: a few quarter hours make the maximum demand of the month "
                f"({number(highest)} kW). "
                f"Keeping them {span(cap)} kW lower would save {span(cny)} CNY a year.",
                f"{view.site_name.zh}：每月最大需量（{number(highest)} kW）只出现在少数几个15分钟内。"
                f"将其压低{span(cap)} kW，每年可节省{span(cny)}元。",
            ),
            sum(month.days for month in months),
        )
    ]


def contract_demand(view: View) -> list[Finding]:
    """Return what another way of charging the basic fee would save: it is chosen, nothing has to be built."""
    how, months = charged(view), whole_months(view)
    if how is None or len(months) < _LEAST_MONTHS:
        return []
    maxima = [month.tops_kw[0] for month in months]
    now = _fees(view, how, maxima)
    if now is None:
        return []
    options = [(fee, other) for other in _others(how, maxima) if (fee := _fees(view, other, maxima)) is not None]
    if not options:
        return []
    fee, best = min(options, key=lambda option: option[0])
    high_now, high_then = (_fees(view, one, [_CAREFUL * kw for kw in maxima]) for one in (how, best))
    if high_now is None or high_then is None:
        return []
    found = sorted(((now - fee) * 12 / len(months), (high_now - high_then) * 12 / len(months)))
    cny = Range(found[0], found[1])
    if cny.low <= 0 or now - fee < _LEAST_GAIN * now:
        return []
    to_en, to_zh = _MODE_EN[best.terms.mode], _MODE_ZH[best.terms.mode]
    if best.terms.mode is DemandMode.CONTRACT_MAX_DEMAND and best.terms.contract_kw is not None:
        to_en += f" of {number(best.terms.contract_kw)} kW"
        to_zh += f"{number(best.terms.contract_kw)} kW"
    return [
        Finding(
            MeasureKind.CONTRACT_DEMAND,
            None,
            NO_ENERGY,
            cny,
            NO_ENERGY,
            {
                "fee_cny_per_month": now / len(months),
                "fee_then_cny_per_month": fee / len(months),
                "highest_kw": max(maxima),
                "contract_kw": best.terms.contract_kw or 0.0,
                "months_counted": len(months),
            },
            Words(
                f"Maxima of {len(months)} whole months, as they were and a tenth higher, go on for a year; prices are "
                "those of now. Capacity is charged only where the registry says how much there is.",
                f"假设全年最大需量与已知的{len(months)}个完整月份相同，或高出一成；价格按现行标准。"
                "只有登记了变压器容量的站点才比较按容量计费。",
            ),
            Words(
                f"{view.site_name.en}: have the basic fee charged by {to_en} instead of {_MODE_EN[how.terms.mode]}. "
                f"With the maxima of the last months this would save {span(cny)} CNY a year.",
                f"{view.site_name.zh}：基本电费建议由按{_MODE_ZH[how.terms.mode]}改为按{to_zh}计收。"
                f"按最近几个月的最大需量计算，每年可节省{span(cny)}元。",
            ),
            sum(month.days for month in months),
            memory={"mode": best.terms.mode.value, "contract_kw": best.terms.contract_kw},
        )
    ]


def _others(how: Charged, maxima: list[float]) -> Iterator[Charged]:
    terms = how.terms
    if terms.mode is not DemandMode.ACTUAL_MAX_DEMAND:
        yield how._replace(terms=terms.model_copy(update={"mode": DemandMode.ACTUAL_MAX_DEMAND}))
    if terms.mode is not DemandMode.TRANSFORMER_CAPACITY and terms.capacity_kva is not None:
        yield how._replace(terms=terms.model_copy(update={"mode": DemandMode.TRANSFORMER_CAPACITY}))
    for kw in sorted({float(round(highest)) for highest in maxima}):
        if kw > 0 and kw != terms.contract_kw:
            changed = {"mode": DemandMode.CONTRACT_MAX_DEMAND, "contract_kw": kw}
            yield how._replace(terms=terms.model_copy(update=changed))


def _fees(view: View, how: Charged, maxima: list[float]) -> float | None:
    fees = [fee_cny(view, how, highest) for highest in maxima]
    return None if None in fees else sum(fee for fee in fees if fee is not None)


def _mean(found: list[Range]) -> Range:
    return Range(sum(one.low for one in found) / len(found), sum(one.high for one in found) / len(found))
