"""The naive level: a timer that learns when people are there, with a fixed lead."""

from collections.abc import Mapping
from datetime import datetime
from typing import cast

import numpy as np

LEAD_S = 7_200
SAFE_BAND_C = (20.0, 26.0)
_WEEK_S = 7 * 86_400
_EXPECTED_FROM = 0.25
_NEWEST_COUNTS = 0.3


class Timer:
    """Holds the occupied band from two hours before people usually come until they usually leave.

    It never asks for more than the building's own set-points of that moment, and gives those until a time of the week
    has been seen once.

    Parameters
    ----------
    wider_k
        By how much the band is wider at both ends, within 20 to 26 °C. [K]

    Examples
    --------
    >>> timer = Timer()
    >>> comfort = {"occupied": {"hall": (21.0, 24.0)}, "unoccupied": (12.0, 32.0)}
    >>> timer.reset({"zones": ["hall"], "step_s": 900, "comfort": comfort})
    >>> own = {"baseline_heating_c": {"hall": 19.0}, "baseline_cooling_c": {"hall": 25.0}}
    >>> timer.act(datetime(2026, 1, 5, 8), own)
    {'cooling_c': {'hall': 25.0}, 'heating_c': {'hall': 19.0}}
    """

    def __init__(self, wider_k: float = 0.0) -> None:
        self._wider_k = wider_k

    def reset(self, info: Mapping[str, object]) -> None:
        """Begin with a building of which nothing is known."""
        self._zones = list(cast("list[str]", info["zones"]))
        self._step_s = int(cast("int", info["step_s"]))
        comfort = cast("Mapping[str, object]", info["comfort"])
        self._band = {zone: self._widened(_pair(comfort["occupied"], zone)) for zone in self._zones}
        self._set_back = {zone: _pair(comfort["unoccupied"], zone) for zone in self._zones}
        slots = _WEEK_S // self._step_s
        self._chance = np.full((slots, len(self._zones)), np.nan)
        self._before: int | None = None

    def act(self, now: datetime, observation: Mapping[str, object]) -> dict[str, dict[str, float]]:
        """Return the set-points of all zones until the next call."""
        there = cast("Mapping[str, bool]", observation.get("zone_occupied") or {})
        occupied = np.array([float(bool(there[zone])) if zone in there else np.nan for zone in self._zones])
        slot = self._slot(now)
        if self._before is not None:
            self._learn(self._before, occupied)
        self._before = slot
        ahead = (slot + np.arange(LEAD_S // self._step_s + 1)) % len(self._chance)
        chances = self._chance[ahead]
        known = np.isfinite(chances).all(axis=0)
        wanted = (chances >= _EXPECTED_FROM).any(axis=0) | (occupied > 0)
        own = {
            side: cast("Mapping[str, float]", observation.get(f"baseline_{side}") or {})
            for side in ("cooling_c", "heating_c")
        }
        answer: dict[str, dict[str, float]] = {"cooling_c": {}, "heating_c": {}}
        for index, zone in enumerate(self._zones):
            low, high = self._band[zone] if wanted[index] else self._set_back[zone]
            own_low, own_high = own["heating_c"].get(zone, low), own["cooling_c"].get(zone, high)
            answer["heating_c"][zone] = min(low, own_low) if known[index] else own_low
            answer["cooling_c"][zone] = max(high, own_high) if known[index] else own_high
        return answer

    def _widened(self, band: tuple[float, float]) -> tuple[float, float]:
        (low, high), (safe_low, safe_high) = band, SAFE_BAND_C
        return min(low, max(safe_low, low - self._wider_k)), max(high, min(safe_high, high + self._wider_k))

    def _slot(self, now: datetime) -> int:
        second = now.weekday() * 86_400 + now.hour * 3_600 + now.minute * 60 + now.second
        return second // self._step_s % len(self._chance)

    def _learn(self, slot: int, occupied: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        old = self._chance[slot]
        newer = np.where(np.isfinite(old), old + _NEWEST_COUNTS * (occupied - old), occupied)
        self._chance[slot] = np.where(np.isfinite(occupied), newer, old)


def _pair(given: object, zone: str) -> tuple[float, float]:
    return cast("tuple[float, float]", given[zone] if isinstance(given, Mapping) else given)
