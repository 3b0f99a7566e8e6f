"""What is kept of a site's load: hours of its meters for four weeks, and months of its connection to the grid.

Minutes are added up in whole numbers, so that it does not matter in which messages they come. A local day is folded
once it has passed: what comes for it afterwards is left out, as it was for everybody who looked at the day.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

KEPT_DAYS = 28
KEPT_MONTHS = 12
KEPT_TOPS = 24  # quarter hours of a month: the highest, and those that would be the highest without them
NANO = 10**9  # parts of a kWh
HOURS, QUARTERS = 24, 96
_LEAST_MINUTES = 40  # of an hour whose power is said to be known
_QUARTER_MINUTES = 15


def no_days() -> Floats:
    """Return a table of hours without a day, shape (0, 24)."""
    return np.zeros((0, HOURS), np.float32)


def _no_hours() -> Ints:
    return np.zeros((2, HOURS), np.int64)


@dataclass(slots=True)
class MeterLoad:
    """One meter.

    Parameters
    ----------
    days
        Mean power by local day and hour, the newest last, NaN where it is not known, shape (n, 24), n at most 28. [kW]
    running
        Of days that are not folded, by ordinal of the local date: energy [nano kWh] and minutes by hour, shape (2, 24).
    """

    days: Floats = field(default_factory=no_days)
    running: dict[int, Ints] = field(default_factory=dict)
    packed: bytes = field(default=b"", compare=False, repr=False)  # `days`, as a snapshot has them

    def add(self, day: int, hour: int, nano_kwh: int, minutes: int) -> None:
        """Add minutes of an hour."""
        at = self.running.setdefault(day, _no_hours())
        at[0, hour] += nano_kwh
        at[1, hour] += minutes

    def fold(self, day: int) -> None:
        """End a day."""
        nano_kwh, minutes = self.running.pop(day, _no_hours())
        power = np.where(minutes >= _LEAST_MINUTES, nano_kwh * (60 / NANO) / np.maximum(minutes, 1), np.nan)
        self.days = np.concatenate([self.days, power[None].astype(np.float32)])[-KEPT_DAYS:]
        self.packed = b""


@dataclass(slots=True)
class DayLoad:
    """A local day of the whole site that is not folded.

    Parameters
    ----------
    quarters
        Energy of all grid meters [nano kWh] and measured minutes of them, by quarter hour, shape (2, 96).
    reactive
        Energy whose reactive energy is known [nano kWh], and that [nano kvarh].
    outdoor
        Sum of temperatures outdoors [m°C], and how many they are.
    sun
        Sum of irradiances [mW/m²] and how many they are, by local hour, shape (2, 24).
    made
        Local hours in which something was made.
    """

    quarters: Ints = field(default_factory=lambda: np.zeros((2, QUARTERS), np.int64))
    reactive: list[int] = field(default_factory=lambda: [0, 0])
    outdoor: list[int] = field(default_factory=lambda: [0, 0])
    sun: Ints = field(default_factory=_no_hours)
    made: set[int] = field(default_factory=set)


@dataclass(slots=True)
class MonthLoad:
    """A local month of a site, as far as it is folded.

    Parameters
    ----------
    days
        Days that were folded.
    kwh, hours
        Energy drawn from the grid and hours it was known, on working days and on days off, by hour, shape (2, 24).
    tops_kw
        Highest quarter hours, descending, at most `KEPT_TOPS`.
    energy_cny
        Energy at its price; NaN once a price is not known.
    active_kwh, reactive_kvarh
        Of minutes whose reactive energy is known.
    cooling_kwh, cooling_days
        Drawn by HVAC meters on days that were warm outdoors.
    outdoor_days
        Days whose temperature was known.
    sun_w_m2, sun_hours
        Sum of hourly irradiance by hour, and of how many days, shape (24,).
    """

    days: int = 0
    kwh: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, HOURS)))
    hours: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, HOURS)))
    tops_kw: list[float] = field(default_factory=list)
    energy_cny: float = 0.0
    active_kwh: float = 0.0
    reactive_kvarh: float = 0.0
    cooling_kwh: float = 0.0
    cooling_days: int = 0
    outdoor_days: int = 0
    sun_w_m2: NDArray[np.float64] = field(default_factory=lambda: np.zeros(HOURS))
    sun_hours: NDArray[np.float64] = field(default_factory=lambda: np.zeros(HOURS))

    @property
    def total_kwh(self) -> float:
        """Energy drawn from the grid. [kWh]."""
        return float(self.kwh.sum())


@dataclass(slots=True)
class SiteLoad:
    """Everything that is kept of one site's load.

    Parameters
    ----------
    meters
        By id.
    running
        Days of the site that are not folded, by ordinal of the local date.
    months
        By year and month, ascending, at most `KEPT_MONTHS`.
    folded
        Ordinal of the first local day that is not folded; 0 before the first.
    newest
        Start of the newest window. [ms UTC]
    works, dear, price
        Of the days kept, the newest last: whether it is a working day, shape (n,); share of each local hour in sharp
        and peak periods, and mean price [CNY/kWh], NaN where not known, shape (n, 24).
    outdoor_c
        Mean temperature of the days kept, NaN where not known, shape (n,). [°C]
    made
        Whether something was made in an hour of the days kept, shape (n, 24).
    peaks_kw
        Highest quarter hour of the days kept, NaN where none is known, shape (n,). [kW]
    reactive
        Active and reactive energy of the days kept, shape (n, 2). [kWh, kvarh]
    """

    meters: dict[str, MeterLoad] = field(default_factory=dict)
    running: dict[int, DayLoad] = field(default_factory=dict)
    months: dict[tuple[int, int], MonthLoad] = field(default_factory=dict)
    folded: int = 0
    newest: int = 0
    works: list[bool] = field(default_factory=list)
    dear: Floats = field(default_factory=no_days)
    price: Floats = field(default_factory=no_days)
    outdoor_c: list[float] = field(default_factory=list)
    made: Floats = field(default_factory=no_days)
    peaks_kw: list[float] = field(default_factory=list)
    reactive: list[tuple[float, float]] = field(default_factory=list)

    def meter(self, name: str) -> MeterLoad:
        """Return a meter's load."""
        return self.meters.setdefault(name, MeterLoad())

    def day(self, day: int) -> DayLoad | None:
        """Return a day that is not folded; None of one that is."""
        return None if day < self.folded else self.running.setdefault(day, DayLoad())

    def keep(self, meters: Mapping[str, object]) -> None:
        """Forget other meters."""
        self.meters = {name: load for name, load in self.meters.items() if name in meters}

    def hours_kw(self, meter: str) -> Floats:
        """Return the kept days of a meter as `MeterLoad.days`, as many as the site has: NaN before it was known."""
        known = self.meters[meter].days if meter in self.meters else no_days()
        lacks = len(self.works) - len(known)
        return np.concatenate([np.full((max(lacks, 0), HOURS), np.nan, np.float32), known])[-len(self.works) or None :]

    def sum_kw(self, meters: Iterator[str] | list[str]) -> Floats:
        """Return the sum of meters by day and hour; NaN where one is not known."""
        tables = [self.hours_kw(meter) for meter in meters]
        return np.sum(tables, axis=0, dtype=np.float32) if tables else np.full((len(self.works), HOURS), np.nan)

    def highest_kw(self, day: DayLoad, grid_meters: int) -> list[float]:
        """Return the demands of the quarter hours of a day that were measured by every grid meter. [kW]."""
        nano_kwh, minutes = day.quarters
        whole = minutes >= _QUARTER_MINUTES * max(grid_meters, 1)
        return [float(nano) * 60 / _QUARTER_MINUTES / NANO for nano in nano_kwh[whole]]
