"""Charges beside the energy price: demand and capacity, network, government funds, and the two national rules."""

from collections.abc import Collection
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.reference.problems import Problem, ReferenceDataError, shape_problems

Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Sourced(_Entry):
    confidence: Text
    seen_in: tuple[Text, ...]


class TwoPartRule(_Sourced):
    """How demand is charged in China.

    Parameters
    ----------
    min_contract_share_of_capacity
        A contracted demand below this share of the transformer capacity is charged as this share.
    over_contract_free_band
        Demand up to this multiple of the contracted one costs nothing more.
    over_band_multiplier
        What lies above the band costs this multiple of the price.
    """

    document: Text
    modes: tuple[Text, ...]
    demand_window_min: Literal[15]
    min_contract_share_of_capacity: Share
    over_contract_free_band: Annotated[float, Field(ge=1)]
    over_band_multiplier: Annotated[float, Field(ge=1)]
    mode_change: Text


class Penalty(_Entry):
    """What each 0.01 of power factor below a limit adds to the bill, as a share of it."""

    below: Share
    per_0_01: Share


class PowerFactorRule(_Sourced):
    """How the monthly power factor changes the bill; of the penalties the one with the lowest limit applies."""

    document: Text
    standard: Share
    bonus_per_0_01_above: Share
    bonus_cap: Share
    penalties: Annotated[tuple[Penalty, ...], Field(min_length=1)]


class DemandPrice(_Sourced):
    """Prices of demand and of transformer capacity. `checked` 0 = recalled, never a default."""

    region_code: Text
    zone: Text | None
    voltage: Text
    cny_per_kw_month: NotNegative | None
    cny_per_kva_month: NotNegative | None
    valid_from: date
    valid_to: date | None
    checked: Annotated[int, Field(ge=0)]
    note: Text | None = None


class NetworkCharge(_Sourced):
    """Network price by part and voltage, and government funds. [CNY/kWh]."""

    region_code: Text
    document: Text
    valid_from: date
    valid_to: date | None
    single_part: dict[str, NotNegative]
    two_part: dict[str, NotNegative]
    zone_adder: dict[str, float]
    government_funds_cny_per_kwh: NotNegative | None
    in_province_line_loss_pct: NotNegative
    checked: Annotated[int, Field(ge=0)]

    def network_cny_per_kwh(self, voltage: str, zone: str | None, *, two_part: bool) -> float | None:
        """Return the network price; where the province has price zones it is known for a zone only. [CNY/kWh]."""
        price = (self.two_part if two_part else self.single_part).get(voltage)
        adder = self.zone_adder.get(zone or "") if self.zone_adder else 0.0
        return None if price is None or adder is None else price + adder


class Charges(_Entry):
    """All charges of the reference data."""

    schema_version: Literal[1]
    as_of: date
    two_part_rule: TwoPartRule
    power_factor_rule: PowerFactorRule
    demand_prices: tuple[DemandPrice, ...]
    network_charges: tuple[NetworkCharge, ...]

    def demand_price_on(self, day: date, region_code: str, voltage: str, zone: str | None) -> DemandPrice | None:
        """Return the checked price valid on a day; where the province has price zones it is of a zone only."""
        for price in self.demand_prices:
            is_there = (price.region_code, price.voltage) == (region_code, voltage) and price.zone in {None, zone}
            if is_there and price.checked and _holds(price, day):
                return price
        return None

    def network_charge_on(self, day: date, region_code: str) -> NetworkCharge | None:
        """Return the checked network charge valid on a day."""
        for charge in self.network_charges:
            if charge.region_code == region_code and charge.checked and _holds(charge, day):
                return charge
        return None


_Placed = list[tuple[tuple[str | None, ...], DemandPrice | NetworkCharge]]


def parse_charges(text: str, file: str, region_codes: Collection[str]) -> Charges:
    """Read the file of charges and check it as a whole.

    Parameters
    ----------
    text
        JSON, as described in `docs/reference-data.md`.
    file
        Name of the file, for messages.
    region_codes
        Regions that exist.

    Raises
    ------
    ReferenceDataError
        With every problem found: fields, unknown regions, and entries of a place that are valid on the same day.
    """
    try:
        charges = Charges.model_validate_json(text)
    except ValidationError as error:
        raise ReferenceDataError(shape_problems(file, "(file)", error)) from error
    problems = []
    demand: _Placed = [((price.region_code, price.zone, price.voltage), price) for price in charges.demand_prices]
    network: _Placed = [((charge.region_code,), charge) for charge in charges.network_charges]
    for name, entries in (("demand_prices", demand), ("network_charges", network)):
        for number, (place, entry) in enumerate(entries):
            where = f"{name}[{number}]"
            if entry.region_code not in region_codes:
                problems.append(Problem(file, where, "region_code", f"a known region, found {entry.region_code!r}"))
            if any(place == other and _overlap(entry, earlier) for other, earlier in entries[:number]):
                problems.append(Problem(file, where, "valid_from", "a time in which no other entry of the place holds"))
    if problems:
        raise ReferenceDataError(problems)
    return charges


def _holds(entry: DemandPrice | NetworkCharge, day: date) -> bool:
    return entry.valid_from <= day and (entry.valid_to is None or day <= entry.valid_to)


def _overlap(one: DemandPrice | NetworkCharge, other: DemandPrice | NetworkCharge) -> bool:
    return _holds(one, other.valid_from) or _holds(other, one.valid_from)
