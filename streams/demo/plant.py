"""A simulated plant: zones with thermal mass, people, sun and a chiller, under weather made from a seed.

Not a real building and not calibrated to one: it shows what a controller or an experiment does, and what it saves is
known because it is computed. Everything is an array over zones, so that hundreds run at once.

Source of the part-load shape: none; efficiency falls linearly with outdoor temperature, as catalogues of air-cooled
chillers show between 20 and 40 °C (about 2 % per kelvin).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEP_S = 900
STEPS_PER_DAY = 86_400 // STEP_S
_RATED_COP, _RATED_OUTDOOR_C, _COP_PER_K = 3.2, 35.0, 0.02
_HEATING_COP = 2.8


@dataclass(frozen=True, slots=True)
class ZoneKind:
    """What a zone is made of.

    Parameters
    ----------
    capacity_kwh_per_k
        Heat it takes to warm it by one kelvin. [kWh/K]
    loss_kw_per_k
        Heat that goes through its walls per kelvin of difference. [kW/K]
    gain_kw
        Heat of people and machines while it is in use. [kW]
    solar_kw
        Heat of the sun at clear noon. [kW]
    cooling_kw, heating_kw
        What its plant can move at most. [kW]
    fan_kw
        Drawn while it is in use, or cooled or heated. [kW]
    first_hour, last_hour
        When it is in use. [h]
    days
        On how many days of the week, from Monday.
    """

    capacity_kwh_per_k: float
    loss_kw_per_k: float
    gain_kw: float
    solar_kw: float
    cooling_kw: float
    heating_kw: float
    fan_kw: float
    first_hour: int
    last_hour: int
    days: int


WORKSHOP = ZoneKind(30.0, 2.5, 45.0, 20.0, 140.0, 120.0, 4.0, 6, 22, 6)
OFFICE = ZoneKind(9.0, 0.8, 12.0, 15.0, 45.0, 35.0, 1.5, 8, 18, 5)


def outdoor_c(days: int, copies: int, chance: np.random.Generator, mean_c: float = 26.0) -> Floats:
    """Return outdoor temperatures: a daily wave on weather that changes from day to day.

    Returns
    -------
    Floats
        Shape (days * STEPS_PER_DAY, copies). [°C]
    """
    steps = days * STEPS_PER_DAY
    wave = 5 * np.sin(2 * np.pi * (np.arange(steps) / STEPS_PER_DAY - 0.375))
    weather = np.zeros((days + 1, copies))
    for day in range(1, days + 1):
        weather[day] = 0.8 * weather[day - 1] + chance.normal(0, 1.8, copies)
    at = np.arange(steps) / STEPS_PER_DAY
    between = np.stack([np.interp(at, np.arange(days + 1), weather[:, copy]) for copy in range(copies)], axis=1)
    return np.asarray(mean_c + wave[:, None] + between)


def in_use(kind: ZoneKind, step: int) -> bool:
    """Return whether a zone is in use in a step; step 0 is midnight before a Monday."""
    day, of_day = divmod(step, STEPS_PER_DAY)
    return day % 7 < kind.days and kind.first_hour <= of_day * 24 / STEPS_PER_DAY < kind.last_hour


class Plant:
    """Zones of one kind, each with its own temperature.

    Parameters
    ----------
    kind
        What they are.
    copies
        How many.
    chance
        Where cloudiness and use vary from day to day.

    Examples
    --------
    >>> plant = Plant(OFFICE, 1, np.random.default_rng(0))
    >>> power_kw = plant.step(40, np.array([32.0]), np.array([25.0]), np.array([20.0]))
    >>> bool(20 <= plant.air_c[0] <= 25.01), bool(power_kw[0] > OFFICE.fan_kw)
    (True, True)
    """

    def __init__(self, kind: ZoneKind, copies: int, chance: np.random.Generator) -> None:
        self.kind = kind
        self.air_c = np.full(copies, 24.9)
        self._chance = chance
        self._day = -1
        self._clear = np.ones(copies)
        self._busy = np.ones(copies)

    def step(self, number: int, outdoor_c: Floats, cooling_c: Floats, heating_c: Floats) -> Floats:
        """Go on by 15 minutes.

        Parameters
        ----------
        number
            Number of the step.
        outdoor_c
            Outdoor temperature; shape (copies,). [°C]
        cooling_c, heating_c
            Set-points; shape (copies,). [°C]

        Returns
        -------
        Floats
            Electric power of the plant, the mean of the step; shape (copies,). [kW]
        """
        kind, hours = self.kind, STEP_S / 3600
        day, of_day = divmod(number, STEPS_PER_DAY)
        if day != self._day:
            self._day = day
            self._clear = self._chance.uniform(0.3, 1.0, len(self.air_c))
            self._busy = np.clip(self._chance.normal(1.0, 0.12, len(self.air_c)), 0.4, 1.6)
        used = in_use(kind, number)
        sun_kw = kind.solar_kw * self._clear * max(0.0, np.sin(np.pi * (of_day / STEPS_PER_DAY - 0.25) * 2))
        heat_kw = kind.loss_kw_per_k * (outdoor_c - self.air_c) + sun_kw + used * kind.gain_kw * self._busy
        free_c = self.air_c + heat_kw * hours / kind.capacity_kwh_per_k
        cooled_kw = np.clip((free_c - cooling_c) * kind.capacity_kwh_per_k / hours, 0, kind.cooling_kw)
        heated_kw = np.clip((heating_c - free_c) * kind.capacity_kwh_per_k / hours, 0, kind.heating_kw)
        self.air_c = free_c + (heated_kw - cooled_kw) * hours / kind.capacity_kwh_per_k
        cop = _RATED_COP * np.clip(1 - _COP_PER_K * (outdoor_c - _RATED_OUTDOOR_C), 0.5, 1.6)
        fan_kw = kind.fan_kw * (used | (cooled_kw > 0) | (heated_kw > 0))
        return np.asarray(cooled_kw / cop + heated_kw / _HEATING_COP + fan_kw)
