"""The bill of a span: energy by period, charges beside it, basic fee, power factor, and what is not known."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from agents.billing.minutes import PICO
from agents.billing.peaks import Peaks
from agents.billing.spans import QUARTER_MS, Booked, Rate, Span, month_of
from agents.pricing.fees import BasicFee, basic_fee, power_factor, power_factor_share
from schemas.bill import DEMAND_WINDOW_S
from schemas.emission import PERIODS
from schemas.reference.charges import Charges
from schemas.registry import Site

_HOUR_S = 3600


def demand_kw(pico_kwh: int) -> float:
    """Return the mean power of a quarter hour. [kW].

    Examples
    --------
    >>> demand_kw(125 * 10**12)
    500.0
    """
    return pico_kwh * (_HOUR_S // DEMAND_WINDOW_S) / PICO


def rate_of(
    site: Site, charges: Charges, day: date, tariff: tuple[str | None, str | None, float | None, str | None]
) -> Rate:
    """Return what a kilowatt-hour costs at a time.

    Parameters
    ----------
    site
        Whose it is.
    charges
        Network prices and government funds of the reference data.
    day
        Local day.
    tariff
        Edition, period, price and what the price contains.
    """
    tariff_id, period, price, contains = tariff
    terms = site.tariff.demand_on(day)
    listed = charges.network_charge_on(day, site.region)
    network = funds = None
    if listed is not None:
        funds = listed.government_funds_cny_per_kwh
        if terms is not None:
            two_part = terms.mode != "single_part"
            network = listed.network_cny_per_kwh(site.tariff.voltage, site.tariff.network_zone, two_part=two_part)
    if contains is None:
        return Rate(tariff_id, period, price, None, None, None, None)
    has_network, has_funds = "network" in contains.split("+"), "government_funds" in contains.split("+")
    return Rate(
        tariff_id,
        period,
        price,
        network=0.0 if has_network else network,
        funds=0.0 if has_funds else funds,
        network_within=network if has_network else 0.0,
        funds_within=funds if has_funds else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Account:
    """What is needed to bill a span of a site.

    Parameters
    ----------
    site
        Whose it is.
    charges
        Charges and rules of the reference data.
    span
        Day or month.
    days, month_days
        What was booked in the span, and in the month it is in.
    peaks
        The site's demands.
    settled_until
        All grid meters have reported until then. [ms UTC]
    """

    site: Site
    charges: Charges
    span: Span
    days: list[Booked]
    month_days: list[Booked]
    peaks: Peaks
    settled_until: int

    @property
    def is_final(self) -> bool:
        """Whether the span has passed for all grid meters."""
        return self.settled_until >= self.span.ends_at

    def record(self) -> dict[str, object]:
        """Return the columns of `schemas.bill.LEDGER_RECORD` that are worked out here."""
        cells = _cells(self.days)
        energy_cny, _ = _cost(cells, lambda rate: rate.price)
        known_energy_cny = math.fsum(pico / PICO * rate.price for rate, pico in cells.items() if rate.price is not None)
        network_cny, without_network = _cost(cells, lambda rate: rate.network)
        funds_cny, without_funds = _cost(cells, lambda rate: rate.funds)
        network_within, _ = _cost(cells, lambda rate: rate.network_within)
        funds_within, _ = _cost(cells, lambda rate: rate.funds_within)
        fee = self._fee()
        fee_cny = None if fee is None or fee.cny is None else fee.cny * self._share_of_month()
        factor, source = self._power_factor()
        share = None if factor is None else power_factor_share(factor, self.charges.power_factor_rule)
        adjustment_cny = None
        if share is not None and energy_cny is not None and network_cny is not None and fee_cny is not None:
            # Government funds are no part of what the power factor changes.
            adjustment_cny = share * (energy_cny + network_cny + fee_cny - (funds_within or 0.0))
        parts = (energy_cny, network_cny, funds_cny, fee_cny, adjustment_cny)
        known = [part for part in (known_energy_cny, *parts[1:]) if part is not None]
        terms = self.site.tariff.demand_on(self.span.first)
        peak = self.peaks.largest(self.span.first, self.span.last)
        return {
            "settled_until": self.settled_until or None,
            "is_final": self.is_final,
            "energy_kwh": _kwh(cells.values()),
            **{f"{name}_kwh": _kwh(pico for rate, pico in cells.items() if rate.period == name) for name in PERIODS},
            "no_period_kwh": _kwh(pico for rate, pico in cells.items() if rate.period is None),
            **{
                f"{name}_cny": _cost({rate: pico for rate, pico in cells.items() if rate.period == name}, _price)[0]
                for name in PERIODS
            },
            "energy_cny": energy_cny,
            "kwh_without_price": _kwh(pico for rate, pico in cells.items() if rate.price is None),
            "network_cny": network_cny,
            "kwh_without_network_price": without_network,
            "funds_cny": funds_cny,
            "kwh_without_funds_price": without_funds,
            "network_in_energy_cny": network_within,
            "funds_in_energy_cny": funds_within,
            "demand_mode": None if terms is None else terms.mode.value,
            "max_demand_kw": None if peak is None else demand_kw(peak[0]),
            "max_demand_at": None if peak is None else peak[1] * QUARTER_MS,
            "billed_demand_kw": None if fee is None else fee.billed_kw,
            "excess_demand_kw": None if fee is None else fee.excess_kw,
            "basic_fee_month_cny": None if fee is None else fee.cny,
            "basic_fee_cny": fee_cny,
            "reactive_kvarh": _reactive(self.days),
            "power_factor": factor,
            "power_factor_source": source,
            "power_factor_share": share,
            "power_factor_cny": adjustment_cny,
            "total_cny": None if None in parts else math.fsum(part for part in parts if part is not None),
            "known_cny": math.fsum(known),
            "windows": sum(booked.windows for booked in self.days),
            "windows_not_measured": sum(booked.not_measured for booked in self.days),
            "windows_without_energy": sum(booked.without_energy for booked in self.days),
            "windows_uncorrected": sum(booked.uncorrected for booked in self.days),
        }

    @property
    def _month(self) -> Span:
        return month_of(self.site.time_zone, self.span.first)

    def _fee(self) -> BasicFee | None:
        """Return the basic fee of the month the span is in; None when nothing was agreed."""
        tariff, month = self.site.tariff, self._month
        terms = tariff.demand_on(month.first)
        if terms is None:
            return None
        listed = self.charges.demand_price_on(month.first, self.site.region, tariff.voltage, tariff.network_zone)
        cny_per_kw, cny_per_kva = terms.cny_per_kw_month, terms.cny_per_kva_month
        if listed is not None:
            cny_per_kw = listed.cny_per_kw_month if cny_per_kw is None else cny_per_kw
            cny_per_kva = listed.cny_per_kva_month if cny_per_kva is None else cny_per_kva
        peak = self.peaks.largest(month.first, month.last)
        max_demand_kw = None if peak is None else demand_kw(peak[0])
        return basic_fee(terms, self.charges.two_part_rule, max_demand_kw, cny_per_kw, cny_per_kva)

    def _share_of_month(self) -> float:
        """Return how much of its month the span has used up until now."""
        month = self._month
        until = min(max(self.settled_until, self.span.starts_at), self.span.ends_at)
        return (until - self.span.starts_at) / (month.ends_at - month.starts_at)

    def _power_factor(self) -> tuple[float | None, str]:
        """Return the mean power factor of the month so far, and where it is from."""
        active = sum(booked.kwh_with_kvarh for booked in self.month_days)
        reactive = sum(booked.kvarh for booked in self.month_days)
        measured = power_factor(active / PICO, reactive / PICO)
        if measured is not None:
            return measured, "measured"
        given = self.site.tariff.power_factor
        return given, "not_measured" if given is None else "registry"


def _price(rate: Rate) -> float | None:
    return rate.price


def _cells(days: Iterable[Booked]) -> dict[Rate, int]:
    cells: dict[Rate, int] = {}
    for booked in days:
        for rate, pico in booked.cells.items():
            cells[rate] = cells.get(rate, 0) + pico
    return cells


def _kwh(pico: Iterable[int]) -> float:
    return sum(pico) / PICO


def _cost(cells: dict[Rate, int], price: Callable[[Rate], float | None]) -> tuple[float | None, float]:
    """Return the cost, None when a part of it is not known, and the energy it is not known of."""
    priced = [(pico / PICO, price(rate)) for rate, pico in cells.items() if pico]
    unknown = _kwh(pico for rate, pico in cells.items() if price(rate) is None)
    if any(cny_per_kwh is None for _, cny_per_kwh in priced):
        return None, unknown
    return math.fsum(kwh * cny_per_kwh for kwh, cny_per_kwh in priced if cny_per_kwh is not None), unknown


def _reactive(days: Iterable[Booked]) -> float | None:
    measured = [booked.kvarh for booked in days if booked.kwh_with_kvarh or booked.kvarh]
    return sum(measured) / PICO if measured else None
