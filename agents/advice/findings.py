"""What a look at a site's load gives: a measure that could be taken, with ranges and what they rest on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.advice.loads import SiteLoad
from schemas.advice import MeasureKind
from schemas.reference.charges import Charges
from schemas.registry import Meter, MeterKind, Site

YEAR_DAYS = 365
LEAST_DAYS = 21  # of the four weeks, whose load is known

# Kinds of equipment that run day and night by purpose.
ALWAYS_ON = frozenset({"server", "server_room", "data_center", "cold_store", "freezer", "refrigeration"})


class Range(NamedTuple):
    """From low to high, of a year where it is a saving."""

    low: float
    high: float

    def times(self, low: float, high: float) -> "Range":
        """Return the range with its ends multiplied."""
        return Range(self.low * low, self.high * high)


NO_ENERGY = Range(0.0, 0.0)


class Words(NamedTuple):
    """A sentence in both languages."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A measure that could be taken.

    Parameters
    ----------
    kind, meter
        What, and of which meter; None = of the whole site.
    kwh, cny, kg
        What it would save in a year; None where a price or factor is not known.
    investment_cny
        What would have to be bought.
    evidence
        Numbers it was found by, with their units in the names.
    assumptions, message
        In words.
    days
        Days of the load that were known.
    memory
        What is needed to measure it later.
    """

    kind: MeasureKind
    meter: str | None
    kwh: Range
    cny: Range | None
    kg: Range | None
    evidence: Mapping[str, float]
    assumptions: Words
    message: Words
    days: int
    investment_cny: Range | None = None
    memory: Mapping[str, Any] = field(default_factory=dict)

    @property
    def payback_years(self) -> Range | None:
        """How long it takes until the investment is saved; the best case first."""
        if self.investment_cny is None or self.cny is None or self.cny.low <= 0:
            return None
        return Range(self.investment_cny.low / self.cny.high, self.investment_cny.high / self.cny.low)


@dataclass(frozen=True, slots=True)
class View:
    """What a look at a site can see.

    Parameters
    ----------
    site, load
        The site and its load.
    today
        Ordinal of the local day at whose beginning it is looked at.
    factor_kg_per_kwh
        Location-based, of today; None where it is not known.
    charges
        Charges and rules beside the energy price.
    cooling_set_c
        Newest set-points for cooling, by zone. [°C]
    """

    site: Site
    load: SiteLoad
    today: int
    factor_kg_per_kwh: float | None
    charges: Charges
    cooling_set_c: Mapping[str, float]

    @property
    def works(self) -> NDArray[np.bool_]:
        """Which of the kept days are working days."""
        return np.array(self.load.works, bool)

    @property
    def grid(self) -> list[str]:
        """The meters at the connection to the grid."""
        return [meter.id for meter in self.site.grid_meters]

    @property
    def machines(self) -> list[Meter]:
        """Meters with none below them that stand for what may be switched off."""
        parents = {meter.parent for meter in self.site.meters}
        kinds = {one.id: one.kind for one in self.site.equipment}
        return [
            meter
            for meter in self.site.meters
            if meter.kind is not MeterKind.GENERATION
            and meter.id not in parents
            and kinds.get(meter.equipment or "", "") not in ALWAYS_ON
        ]

    def kg(self, kwh: Range) -> Range | None:
        """Return the carbon of an energy. [kg]."""
        factor = self.factor_kg_per_kwh
        return None if factor is None else Range(kwh.low * factor, kwh.high * factor)

    def name(self, meter: str) -> str:
        """Return what people call a meter."""
        found = self.site.meter(meter)
        equipment = next((one.name for one in self.site.equipment if one.id == found.equipment), None)
        return equipment or found.name or found.id

    @property
    def site_name(self) -> Words:
        """What people call the site."""
        return Words(self.site.name, self.site.name_zh or self.site.name)


def number(value: float) -> str:
    """Write a number with three digits that count.

    Examples
    --------
    >>> number(12345.6), number(123.4), number(1.2345), number(0.0)
    ('12,300', '123', '1.23', '0')
    """
    if not value:
        return "0"
    digits = 2 - int(np.floor(np.log10(abs(value))))
    rounded = round(value, digits)
    return f"{rounded:,.{max(digits, 0)}f}"


def span(found: Range) -> str:
    """Write a range."""
    return number(found.low) if number(found.low) == number(found.high) else f"{number(found.low)}-{number(found.high)}"
