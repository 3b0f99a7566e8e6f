"""Scores of a simulation against the building's own schedule."""

from dataclasses import dataclass

import numpy as np

from bench.hvac.controllers import SAFE_BAND_C, own_band_c
from bench.hvac.trace import STEP_S, STEPS_PER_DAY, Floats, Trace

_STEP_H = STEP_S / 3600


@dataclass(frozen=True, slots=True)
class Discomfort:
    """Kelvin hours outside a band while people are there, summed over zones.

    Attributes
    ----------
    own_kh
        Outside the building's own band: its own set-points of that moment. [K·h]
    held_kh
        Outside what its own schedule mostly holds while people are there: stricter where people are in before it heats
        or after it stops. [K·h]
    safe_kh
        Outside 20 to 26 °C. [K·h]
    """

    own_kh: float
    held_kh: float
    safe_kh: float


@dataclass(frozen=True, slots=True)
class Score:
    """What a controller did in a building and window, beside what the building does by itself.

    Attributes
    ----------
    electric_kwh, fuel_kwh, own_kwh
        Site energy of HVAC: electricity, gas and other fuels, and both together under the own schedule. [kWh]
    discomfort, own_discomfort
        With the controller and under the own schedule.
    occupied_h
        Hours in which people were in a zone, summed over zones.
    peak_kw, own_peak_kw
        Highest mean of a quarter hour, electricity and fuels together. [kW]
    peak_electric_kw, own_peak_electric_kw
        The same of electricity. [kW]
    unanswered
        Set-points that were not given, or were no numbers.
    """

    building: str
    window: str
    controller: str
    mode: str
    electric_kwh: float
    fuel_kwh: float
    own_kwh: float
    discomfort: Discomfort
    own_discomfort: Discomfort
    occupied_h: float
    peak_kw: float
    own_peak_kw: float
    peak_electric_kw: float
    own_peak_electric_kw: float
    unanswered: int

    @property
    def kwh(self) -> float:
        """Site energy of HVAC. [kWh]"""
        return self.electric_kwh + self.fuel_kwh

    @property
    def saving(self) -> float:
        """Share of the own schedule's energy that was not used; NaN if that uses none."""
        return 1 - self.kwh / self.own_kwh if self.own_kwh else float("nan")

    def beyond_own_k(self, band: str) -> float:
        """Return K·h outside a band (`own`, `held`, `safe`) beyond the own schedule's, per occupied hour. [K]"""
        more: float = getattr(self.discomfort, f"{band}_kh") - getattr(self.own_discomfort, f"{band}_kh")
        return more / self.occupied_h if self.occupied_h else 0.0


def outside_kh(air_c: Floats, low_c: Floats | float, high_c: Floats | float, people: Floats) -> float:
    """Return kelvin hours outside a band while people are there; a bound that is NaN is none. [K·h]

    Examples
    --------
    >>> air_c, people = np.array([[19.0], [21.0], [27.0], [10.0]]), np.array([[1.0], [1.0], [2.0], [0.0]])
    >>> outside_kh(air_c, 20.0, 26.0, people)  # a kelvin below and a kelvin above, a quarter of an hour each
    0.5
    """
    below, above = np.nan_to_num(low_c - air_c, nan=0.0), np.nan_to_num(air_c - high_c, nan=0.0)
    outside = np.maximum(below, 0.0) + np.maximum(above, 0.0)
    return float(outside[people > 0].sum() * _STEP_H)


def discomfort(trace: Trace, own: Trace, learning_days: int) -> Discomfort:
    """Return a trace's kelvin hours after the days of learning; people and bands are those of the own schedule."""
    scored = slice(learning_days * STEPS_PER_DAY, None)
    air_c, people = trace.air_c[scored], own.people[scored]
    return Discomfort(
        outside_kh(air_c, own.heating_c[scored], own.cooling_c[scored], people),
        outside_kh(air_c, *own_band_c(own), people),
        outside_kh(air_c, *SAFE_BAND_C, people),
    )


def score(key: tuple[str, str, str, str], trace: Trace, own: Trace, learning_days: int) -> Score:
    """Score a trace against the own schedule's, after the days of learning.

    Parameters
    ----------
    key
        Building, window, controller and mode.
    trace, own
        With the controller and under the own schedule.
    learning_days
        Days at the beginning that do not count.

    Raises
    ------
    ValueError
        If the traces are not of the same zones and steps.
    """
    if (trace.zones, trace.start, len(trace)) != (own.zones, own.start, len(own)):
        raise ValueError(f"{' '.join(key)}: the traces are not of the same zones and steps")
    scored = slice(learning_days * STEPS_PER_DAY, None)
    electric, fuel = trace.electric_kwh[scored], trace.fuel_kwh[scored]
    own_electric, own_fuel = own.electric_kwh[scored], own.fuel_kwh[scored]
    return Score(
        *key,
        float(electric.sum()),
        float(fuel.sum()),
        float(own_electric.sum()) + float(own_fuel.sum()),
        discomfort(trace, own, learning_days),
        discomfort(own, own, learning_days),
        float((own.people[scored] > 0).sum() * _STEP_H),
        float((electric + fuel).max() / _STEP_H),
        float((own_electric + own_fuel).max() / _STEP_H),
        float(electric.max() / _STEP_H),
        float(own_electric.max() / _STEP_H),
        trace.unanswered,
    )
