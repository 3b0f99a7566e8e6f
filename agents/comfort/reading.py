"""What is observed, as arrays: what is implausible is missing, and a stuck or silent sensor is not believed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.comfort.settings import Counts, Flags, Floats, number

_AIR_C = (-5.0, 50.0)
_SETPOINT_C = (4.0, 45.0)
_POWER_W = (0.0, 1e8)
_OUTDOOR_C = (-60.0, 60.0)
_JUMP_K_PER_H = 40.0  # no air of a room does that; a sensor that is swapped does
_SILENT_S = 1_800.0
_STUCK_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One observation; arrays have shape (zones,), NaN where nothing plausible was observed.

    Parameters
    ----------
    air_c
        Of the zones. [°C]
    occupied
        1 where people are, 0 where none are.
    cooling_c, heating_c
        Set-points in force. [°C]
    own_cooling_c, own_heating_c
        What the building's own schedule says. [°C]
    power_kw
        Of heating, cooling and fans of each zone. [kW]
    outdoor_c, power_w
        Of the site. [°C, W]
    """

    air_c: Floats
    occupied: Floats
    cooling_c: Floats
    heating_c: Floats
    own_cooling_c: Floats
    own_heating_c: Floats
    power_kw: Floats
    outdoor_c: float
    power_w: float


def reading_of(observation: Mapping[str, object], zones: tuple[str, ...]) -> Reading:
    """Read an observation, of which anything may be missing or absurd.

    Examples
    --------
    >>> reading = reading_of({"zone_temp_c": {"a": 21.5, "b": 900}, "outdoor_c": None}, ("a", "b"))
    >>> reading.air_c.tolist(), reading.outdoor_c
    ([21.5, nan], nan)
    """
    people = by_zone(observation.get("zone_occupied"), zones)
    outdoor_c, power_w = number(observation.get("outdoor_c")), number(observation.get("power_w"))
    return Reading(
        within(by_zone(observation.get("zone_temp_c"), zones), _AIR_C),
        np.where(np.isfinite(people) & (people >= 0), people > 0.01, np.nan),
        within(by_zone(observation.get("cooling_c"), zones), _SETPOINT_C),
        within(by_zone(observation.get("heating_c"), zones), _SETPOINT_C),
        within(by_zone(observation.get("baseline_cooling_c"), zones), _SETPOINT_C),
        within(by_zone(observation.get("baseline_heating_c"), zones), _SETPOINT_C),
        within(by_zone(observation.get("zone_power_w"), zones), _POWER_W) / 1_000.0,
        outdoor_c if _OUTDOOR_C[0] <= outdoor_c <= _OUTDOOR_C[1] else float("nan"),
        power_w if power_w >= 0 and np.isfinite(power_w) else float("nan"),
    )


def by_zone(found: object, zones: tuple[str, ...]) -> Floats:
    """Return numbers by zone; one number holds for all of them."""
    if not isinstance(found, Mapping):
        return np.full(len(zones), number(found))
    try:
        values = [found[zone] for zone in zones]
        if set(map(type, values)) <= {float, int, bool}:
            return np.array(values, dtype=np.float64)
    except (KeyError, OverflowError):
        pass
    return np.array([number(found.get(zone)) for zone in zones])


def within(values: Floats, span: tuple[float, float]) -> Floats:
    """Return values, NaN where they are outside of what is possible."""
    return np.where((values >= span[0]) & (values <= span[1]), values, np.nan)


class Sensors:
    """Which of the zones' temperatures can be believed.

    Examples
    --------
    >>> sensors = Sensors(1)
    >>> sensors.believe(np.array([21.0]), 0.0), sensors.believe(np.array([45.0]), 900.0)
    (array([21.]), array([21.]))
    >>> sensors.silent_s
    array([900.])
    """

    KEPT = ("air_c", "silent_s", "same_s", "refused")

    def __init__(self, zones: int) -> None:
        self.air_c = np.full(zones, np.nan)
        self.silent_s = np.full(zones, np.inf)
        self.same_s = np.zeros(zones)
        self.refused: Counts = np.zeros(zones, dtype=np.int64)

    def believe(self, air_c: Floats, elapsed_s: float) -> Floats:
        """Return the last temperatures that could be believed, NaN where none are known; shape (zones,). [°C]

        Parameters
        ----------
        air_c
            Newly observed; shape (zones,). [°C]
        elapsed_s
            Since the observation before. [s]
        """
        self.silent_s += elapsed_s
        self.same_s += elapsed_s
        jump_k = np.abs(air_c - self.air_c)
        room_k = 2.0 + _JUMP_K_PER_H * np.minimum(np.maximum(self.silent_s, elapsed_s), 3_600.0) / 3_600.0
        leap = (jump_k > room_k) & (self.silent_s < 4 * _SILENT_S)
        # A value that stays is believed in the end: it was the one before that was wrong.
        self.refused = np.where(leap, self.refused + 1, 0)
        taken = np.isfinite(air_c) & (~leap | (self.refused >= 4))
        moved = taken & (air_c != self.air_c)
        self.same_s = np.where(moved, 0.0, self.same_s)
        self.air_c = np.where(taken, air_c, self.air_c)
        self.silent_s = np.where(taken, 0.0, self.silent_s)
        return self.air_c.copy()

    @property
    def is_silent(self) -> Flags:
        """Where nothing plausible has come for half an hour; shape (zones,)."""
        return np.asarray(self.silent_s > _SILENT_S)

    @property
    def is_stuck(self) -> Flags:
        """Where the value has not moved at all for a day; shape (zones,)."""
        return np.asarray(self.same_s > _STUCK_S)
