"""Formulas of the bill beside energy: basic fee by demand or capacity, and power-factor adjustment."""

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from schemas.contract import DemandMode, DemandTerms
from schemas.reference.charges import PowerFactorRule, TwoPartRule


@dataclass(frozen=True, slots=True)
class BasicFee:
    """The basic fee of a whole month, as it stands.

    Parameters
    ----------
    billed_kw
        Demand that is charged at the ordinary price; None where capacity is charged, or nothing. [kW]
    excess_kw
        Demand above the free band over the contract, charged at a multiple. [kW]
    cny
        The fee; None when something it needs is not known. [CNY]
    """

    billed_kw: float | None
    excess_kw: float | None
    cny: float | None


def basic_fee(
    terms: DemandTerms,
    rule: TwoPartRule,
    max_demand_kw: float | None,
    cny_per_kw: float | None,
    cny_per_kva: float | None,
) -> BasicFee:
    """Return the basic fee of a month under the national two-part rule.

    Parameters
    ----------
    terms
        What the site agreed for the month.
    rule
        Floor, band and multiplier.
    max_demand_kw
        Largest measured 15-minute demand of the month; None when none was measured. [kW]
    cny_per_kw, cny_per_kva
        Prices of a month. [CNY/kW], [CNY/kVA]

    References
    ----------
    发改办价格〔2016〕1583号.

    Examples
    --------
    >>> from datetime import date
    >>> from schemas.reference.catalogue import load_charges
    >>> terms = DemandTerms(valid_from=date(2026, 8, 1), mode="contract_max_demand", contract_kw=800.0)
    >>> basic_fee(terms, load_charges().two_part_rule, 900.0, 50.0, None)
    BasicFee(billed_kw=800.0, excess_kw=60.0, cny=46000.0)
    """
    if terms.mode is DemandMode.SINGLE_PART:
        return BasicFee(None, None, 0.0)
    if terms.mode is DemandMode.TRANSFORMER_CAPACITY:
        return BasicFee(None, None, _product(terms.capacity_kva, cny_per_kva))
    if terms.mode is DemandMode.ACTUAL_MAX_DEMAND:
        return BasicFee(max_demand_kw, None, _product(max_demand_kw, cny_per_kw))
    contract_kw = terms.contract_kw or 0.0
    billed_kw = max(contract_kw, rule.min_contract_share_of_capacity * (terms.capacity_kva or 0.0))
    # Before a demand is measured there is no excess yet: the contract is paid in any case.
    excess_kw = max(0.0, (max_demand_kw or 0.0) - rule.over_contract_free_band * billed_kw)
    return BasicFee(billed_kw, excess_kw, _product(billed_kw + rule.over_band_multiplier * excess_kw, cny_per_kw))


def power_factor(active_kwh: float, reactive_kvarh: float) -> float | None:
    """Return the mean power factor of a month, rounded to 0.01 as it is billed; None without any energy.

    Examples
    --------
    >>> power_factor(400.0, 300.0), power_factor(0.0, 0.0)
    (0.8, None)
    """
    apparent = math.hypot(active_kwh, reactive_kvarh)
    return _rounded(active_kwh / apparent) if apparent > 0 else None


def power_factor_share(factor: float, rule: PowerFactorRule) -> float:
    """Return what the power factor adds to the bill, as a share of it; negative is a bonus.

    Parameters
    ----------
    factor
        Mean power factor of the month.
    rule
        Standard, bonus and penalties.

    References
    ----------
    水电财字〔1983〕215号, the table for a standard of 0.90.

    Examples
    --------
    >>> from schemas.reference.catalogue import load_charges
    >>> rule = load_charges().power_factor_rule
    >>> [power_factor_share(factor, rule) for factor in (0.91, 0.98, 0.85, 0.6)]
    [-0.0015, -0.0075, 0.025, 0.25]
    """
    standard, reached = round(rule.standard * 100), round(_rounded(factor) * 100)
    if reached >= standard:
        return -min(rule.bonus_cap, round((reached - standard) * rule.bonus_per_0_01_above, 6))
    lowest_first = sorted(rule.penalties, key=lambda penalty: penalty.below)
    steps = (
        next(penalty.per_0_01 for penalty in lowest_first if hundredths < round(penalty.below * 100))
        for hundredths in range(reached, standard)
    )
    return round(math.fsum(steps), 6)


def _rounded(factor: float) -> float:
    return float(Decimal(repr(factor)).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _product(amount: float | None, price: float | None) -> float | None:
    return None if amount is None or price is None else amount * price
