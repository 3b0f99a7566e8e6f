"""Reactive power: what a bad power factor adds to the bill."""

import math
from statistics import fmean

from agents.advice.capping import charged, fee_cny, whole_months
from agents.advice.findings import NO_ENERGY, Finding, Range, View, Words, number, span
from agents.pricing.fees import power_factor, power_factor_share
from schemas.advice import MeasureKind

_TARGET = 0.95
_CNY_PER_KVAR = Range(50.0, 150.0)  # capacitors with their controller, installed; an assumption, ask for offers


def compensate(view: View) -> list[Finding]:
    """Return what compensation of reactive power would save: where whole months had a penalty."""
    rule, how = view.charges.power_factor_rule, charged(view)
    months = [
        (month, factor)
        for month in whole_months(view)
        if (factor := power_factor(month.active_kwh, month.reactive_kvarh)) is not None
    ]
    if not months or how is None:
        return []
    penalty: list[float] = []
    with_bonus: list[float] = []
    for month, factor in months:
        fee = fee_cny(view, how, month.tops_kw[0])
        if fee is None or not math.isfinite(month.energy_cny):
            return []
        now = power_factor_share(factor, rule)
        bill = month.energy_cny + fee
        penalty.append(max(0.0, now) * bill)
        with_bonus.append((now - power_factor_share(_TARGET, rule)) * bill)
    if fmean(penalty) <= 0:
        return []
    cny = Range(fmean(penalty) * 12, fmean(with_bonus) * 12)
    month, factor = min(months, key=lambda one: one[1])
    highest = max(month.tops_kw[0] for month, _ in months)
    kvar = highest * (math.tan(math.acos(factor)) - math.tan(math.acos(_TARGET)))
    return [
        Finding(
            MeasureKind.POWER_FACTOR,
            None,
            NO_ENERGY,
            cny,
            NO_ENERGY,
            {
                "power_factor": factor,
                "standard": rule.standard,
                "compensation_kvar": kvar,
                "months_counted": len(months),
            },
            Words(
                f"At least: the standard of {rule.standard:.2f} is reached; at most: {_TARGET}. Means of {len(months)} "
                "whole months times twelve. The bill is energy at its price and the basic fee; government funds, which "
                f"the power factor does not change, are left in it. {span(_CNY_PER_KVAR)} CNY per kvar.",
                f"下限：达到标准{rule.standard:.2f}；上限：达到{_TARGET}。取{len(months)}个完整月份平均值乘以12。"
                "电费按电度电费加基本电费计，未扣除不参与调整的政府性基金。无功补偿按每kvar "
                f"{span(_CNY_PER_KVAR)}元估算。"
                "",
            ),
            Words(
                f"{view.site_name.en}: the power factor was {factor:.2f}, below {rule.standard:.2f}, and the bill was "
                f"higher for it. About {number(kvar)} kvar of compensation would save {span(cny)} CNY a year.",
                f"{view.site_name.zh}：功率因数为{factor:.2f}，低于{rule.standard:.2f}，被加收电费。"
                f"加装约{number(kvar)} kvar无功补偿，每年可节省{span(cny)}元。",
            ),
            sum(month.days for month, _ in months),
            investment_cny=Range(_CNY_PER_KVAR.low * kvar, _CNY_PER_KVAR.high * kvar),
        )
    ]
