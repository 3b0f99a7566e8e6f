"""What a site pays: its own prices, retail contracts that override its plan, and how its demand is charged."""

import re
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Literal, Protocol, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.entry import Entry, Id, Month, Name, Positive, Price, Weekday
from schemas.reference.tariffs import Period, coverage_faults

PricePart = Literal["network", "government_funds"]

_SPAN = re.compile(r"(?P<start>([01][0-9]|2[0-3]):(00|15|30|45))-(?P<end>([01][0-9]|2[0-3]):(00|15|30|45)|24:00)")


class _Dated(Protocol):
    @property
    def valid_from(self) -> date: ...


def _require_ascending(dated: Sequence[_Dated]) -> None:
    for earlier, later in pairwise(dated):
        if later.valid_from <= earlier.valid_from:
            raise PydanticCustomError(
                "ascending",
                "{later} follows {earlier}; expected valid_from to ascend",
                {"later": later.valid_from.isoformat(), "earlier": earlier.valid_from.isoformat()},
            )


def _span_min(text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise PydanticCustomError("hours", "expected hours such as '08:00-11:30', on quarter hours")
    start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in (match["start"], match["end"]))
    if start >= end:
        raise PydanticCustomError("hours", "expected hours that end after they start; over midnight are two of them")
    return start, end


def _hours(text: str) -> str:
    _span_min(text)
    return text


class EnergyPrice(Entry):
    """The two parts of the energy price from a day on: price(period) = fixed part + ratio x floating base.

    `contains` says what else is in the two parts together. A price list of a grid company contains both; a retail
    contract often neither. What is not contained is added to the bill, what is contained is never added again.
    """

    valid_from: date  # in the site's local time
    floating_base_cny_per_kwh: Price
    fixed_part_cny_per_kwh: Price
    contains: tuple[PricePart, ...] = ("network", "government_funds")


def _ascending_prices(prices: tuple[EnergyPrice, ...]) -> tuple[EnergyPrice, ...]:
    _require_ascending(prices)
    return prices


EnergyPrices = Annotated[tuple[EnergyPrice, ...], AfterValidator(_ascending_prices)]


class ContractPeriod(Entry):
    """A period of a retail contract: with hours it replaces those of the plan, else it changes ratio or price only."""

    name: Period
    hours: tuple[Annotated[str, AfterValidator(_hours)], ...] = ()  # local, '08:00-11:30'
    months: tuple[Month, ...] = tuple(range(1, 13))
    weekdays: tuple[Weekday, ...] = tuple(range(1, 8))
    ratio: Positive | None = None
    cny_per_kwh: Price | None = None  # the whole price, instead of a ratio

    @property
    def spans_min(self) -> tuple[tuple[int, int], ...]:
        """Return the hours as minutes of the local day, end exclusive. [min]."""
        return tuple(_span_min(hours) for hours in self.hours)

    def holds_on(self, day: date, weekday: int) -> bool:
        """Return whether it applies on a local day that counts as this ISO weekday."""
        return day.month in self.months and weekday in self.weekdays

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if self.ratio is not None and self.cny_per_kwh is not None:
            raise PydanticCustomError("two_prices", "expected ratio or cny_per_kwh, not both")
        if self.hours and self.ratio is None and self.cny_per_kwh is None:
            raise PydanticCustomError("no_price", "expected a ratio or cny_per_kwh beside the hours")
        return self


class RetailContract(Entry):
    """A contract with a retailer. From `valid_from` to `valid_to`, both included, it overrides the plan."""

    id: Id
    valid_from: date
    valid_to: date | None = None
    periods: tuple[ContractPeriod, ...] = ()
    prices: EnergyPrices = ()  # instead of the site's; none at all means the site's
    contains: tuple[PricePart, ...] = ()  # in prices given as cny_per_kwh

    def holds_on(self, day: date) -> bool:
        """Return whether the contract is in force on the local day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    @property
    def has_own_hours(self) -> bool:
        """Whether the hours of the plan, with its holidays and hot days, do not apply."""
        return any(period.hours for period in self.periods)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise PydanticCustomError("contract", "expected valid_to not before valid_from")
        if self.has_own_hours:
            if not all(period.hours for period in self.periods):
                raise PydanticCustomError("contract", "expected hours in every period, or in none")
            faults = coverage_faults(self.periods)
            if faults:
                text = "; ".join(f"{span} is in {how} on month/weekday {', '.join(days)}" for span, how, days in faults)
                raise PydanticCustomError(
                    "contract", "expected every minute in exactly one period; {faults}", {"faults": text}
                )
        return self


class DemandMode(StrEnum):
    """How the basic fee of the two-part rule is charged; the choice is made per month."""

    TRANSFORMER_CAPACITY = "transformer_capacity"
    CONTRACT_MAX_DEMAND = "contract_max_demand"
    ACTUAL_MAX_DEMAND = "actual_max_demand"
    SINGLE_PART = "single_part"  # no basic fee at all


class PeakLimit(StrEnum):
    """What the running 15 minutes are compared with."""

    CONTRACT = "contract"
    MONTH_MAXIMUM = "month_maximum"
    NONE = "none"


class DemandTerms(Entry):
    """How demand is charged from the first day of a month on.

    Parameters
    ----------
    mode
        Basic fee by transformer capacity, contracted or actual maximum demand, or none.
    capacity_kva
        Transformer capacity. [kVA]
    contract_kw
        Maximum demand that was contracted. [kW]
    cny_per_kw_month, cny_per_kva_month
        Prices on the bill; without one the reference data is asked.
    limit
        What the running 15 minutes shall stay below; by default what the mode charges.
    limit_kw
        A limit of one's own, before all others. [kW]
    """

    valid_from: date
    mode: DemandMode
    capacity_kva: Positive | None = None
    contract_kw: Positive | None = None
    cny_per_kw_month: Price | None = None
    cny_per_kva_month: Price | None = None
    limit: PeakLimit | None = None
    limit_kw: Positive | None = None

    @property
    def peak_limit(self) -> PeakLimit:
        """What the running 15 minutes are compared with."""
        if self.limit is not None:
            return self.limit
        if self.mode is DemandMode.CONTRACT_MAX_DEMAND:
            return PeakLimit.CONTRACT
        return PeakLimit.MONTH_MAXIMUM if self.mode is DemandMode.ACTUAL_MAX_DEMAND else PeakLimit.NONE

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.valid_from.day != 1:
            raise PydanticCustomError("demand", "expected the first day of a month: the mode is chosen per month")
        if self.mode is DemandMode.TRANSFORMER_CAPACITY and self.capacity_kva is None:
            raise PydanticCustomError("demand", "expected capacity_kva: the fee is charged by it")
        needs_contract = self.mode is DemandMode.CONTRACT_MAX_DEMAND or self.limit is PeakLimit.CONTRACT
        if needs_contract and self.contract_kw is None:
            raise PydanticCustomError("demand", "expected contract_kw")
        return self


def _ascending_terms(terms: tuple[DemandTerms, ...]) -> tuple[DemandTerms, ...]:
    _require_ascending(terms)
    return terms


class Tariff(Entry):
    """How a site pays: the time-of-use plan, its own prices and contracts, and how its demand is charged."""

    plan: Id  # of the tariff reference data
    voltage: Name = "1-10(20)kV"
    prices: EnergyPrices = ()
    contracts: tuple[RetailContract, ...] = ()
    hot_days: tuple[date, ...] = ()  # local days that were announced as hot
    demand: Annotated[tuple[DemandTerms, ...], AfterValidator(_ascending_terms)] = ()
    network_zone: Name | None = None  # price zone within the province
    power_factor: Annotated[float, Field(gt=0, le=1, strict=True)] | None = None  # where no reactive energy is measured

    def contract_on(self, day: date) -> RetailContract | None:
        """Return the contract in force on the local day."""
        return next((contract for contract in self.contracts if contract.holds_on(day)), None)

    def price_on(self, day: date) -> EnergyPrice | None:
        """Return the two parts of the energy price on the local day; a contract's own come first."""
        contract = self.contract_on(day)
        prices = contract.prices if contract is not None and contract.prices else self.prices
        return next((price for price in reversed(prices) if price.valid_from <= day), None)

    def demand_on(self, day: date) -> DemandTerms | None:
        """Return how demand is charged in the month of the local day; None when nothing is said."""
        first = day.replace(day=1)
        return next((terms for terms in reversed(self.demand) if terms.valid_from <= first), None)

    @model_validator(mode="after")
    def _one_contract_at_a_time(self) -> Self:
        ordered = sorted(self.contracts, key=lambda contract: contract.valid_from)
        for earlier, later in pairwise(ordered):
            if earlier.valid_to is None or earlier.valid_to >= later.valid_from:
                raise PydanticCustomError(
                    "contracts",
                    "contract {later} begins before {earlier} ends; expected one at a time",
                    {"later": later.id, "earlier": earlier.id},
                )
        return self
