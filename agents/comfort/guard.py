"""The guard: whatever is wished, what leaves here is within limits, ramp, dead band and minimum times.

It knows nothing of saving. Where a wish cannot be had it gives the nearest that can, or what was there before, and says
so. What comes out was always admissible: if everything else fails, the set-points stay as they are.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

import numpy as np

from agents.comfort.settings import Counts, Flags, Floats, Site

RAMP_K_PER_H = 12.0
_TINY_K = 1e-9


class Bound(IntFlag):
    """What kept a wish from being granted as it was."""

    LIMIT = 1
    DEAD_BAND = 2
    RAMP = 4
    MINIMUM_TIME = 8
    NO_WISH = 16
    RECOVERY = 32
    OWN_STEP = 64
    OWN_LIMIT = 128
    NO_COURSE = 256


BOUND_WORDS = {
    Bound.LIMIT: "held at the hard limit",
    Bound.DEAD_BAND: "kept the dead band between heating and cooling",
    Bound.RAMP: f"moved by the ramp of {RAMP_K_PER_H:g} K/h",
    Bound.MINIMUM_TIME: "held: the equipment's minimum on or off time has not passed",
    Bound.NO_WISH: "no usable wish: held",
    Bound.RECOVERY: "people are there and the zone is outside its band: straight to the band, without ramp",
    Bound.OWN_STEP: "a step of the building's own schedule, without ramp",
    Bound.OWN_LIMIT: "beyond the limit, where the building's own schedule always was",
    Bound.NO_COURSE: "no plan for the coming prices could be worked out: as without prices",
}

BOUND_WORDS_ZH = {
    Bound.LIMIT: "已到硬限值",
    Bound.DEAD_BAND: "保持供热与供冷之间的死区",
    Bound.RAMP: f"按 {RAMP_K_PER_H:g} K/h 的速率变化",
    Bound.MINIMUM_TIME: "保持不变：设备最短运行或停机时间未到",
    Bound.NO_WISH: "没有可用的目标值：保持不变",
    Bound.RECOVERY: "有人且超出舒适范围：直接恢复，不限速率",
    Bound.OWN_STEP: "按建筑自身时间表切换，不限速率",
    Bound.OWN_LIMIT: "超出限值：建筑自身时间表一贯如此",
    Bound.NO_COURSE: "未能按未来电价求得方案：按无电价处理",
}


@dataclass(frozen=True, slots=True)
class Exempt:
    """Zones to which the ramp does not apply; arrays have shape (zones,).

    Parameters
    ----------
    recovering
        Outside their band while people are there.
    stepping
        At the building's own set-points before and after, which may step as they always did.
    """

    recovering: Flags
    stepping: Flags


class Admitted(NamedTuple):
    """What may be commanded; arrays have shape (zones,).

    Parameters
    ----------
    cooling_c, heating_c
        Set-points. [°C]
    bounds
        `Bound` flags: why they are not what was wished.
    """

    cooling_c: Floats
    heating_c: Floats
    bounds: Counts


class Guard:
    """Admits set-points, and remembers what it admitted.

    Parameters
    ----------
    site
        Limits and equipment.

    Raises
    ------
    ValueError
        If limits leave no room for the dead band.

    Examples
    --------
    >>> from agents.comfort.settings import site_of
    >>> guard = Guard(site_of({"zones": ["a"], "limits": {"cooling_c": (22, 30), "heating_c": (15, 23)}}))
    >>> air, nothing = np.array([21.0]), Exempt(np.array([False]), np.array([False]))
    >>> guard.start(np.array([24.0]), np.array([21.0]))
    >>> one = guard.admit(900.0, np.array([40.0]), np.array([15.0]), air, nothing)
    >>> one.cooling_c, one.heating_c  # 12 K/h, a quarter of an hour after the last
    (array([27.]), array([18.]))
    """

    KEPT = ("cooling_c", "heating_c", "calls", "lasted_s")

    def __init__(self, site: Site) -> None:
        tight = site.cooling_limit_c[1] - site.heating_limit_c[0] < site.dead_band_k
        if tight.any():
            place = int(tight.argmax())
            zone, band_k = site.zones[place], site.dead_band_k[place]
            raise ValueError(f"limits of {zone}: highest cooling must be {band_k:g} K above lowest heating")
        self.site = site
        count = len(site.zones)
        self._most_cooling_c, self._least_heating_c = site.cooling_limit_c[1], site.heating_limit_c[0]
        self.cooling_c = np.full(count, np.nan)
        self.heating_c = np.full(count, np.nan)
        # Heating and cooling: whether there is a call, and for how long there has been, or has not. [s]
        self.calls: Flags = np.zeros((2, count), dtype=bool)
        self.lasted_s = np.full((2, count), np.inf)

    @property
    def has_started(self) -> bool:
        """Whether there are set-points from which to go on."""
        return bool(np.isfinite(self.cooling_c).all())

    def start(self, cooling_c: Floats, heating_c: Floats) -> None:
        """Begin with the set-points that are in force; shape (zones,). [°C]"""
        self.cooling_c, self.heating_c, _ = self._feasible(cooling_c, heating_c)

    def leave(self, own_c: Floats, beyond: Flags) -> None:
        """Let zones be at their own set-points although these are beyond the limits.

        Parameters
        ----------
        own_c
            The building's own cooling and heating set-points; shape (2, zones). [°C]
        beyond
            Where they always were beyond the limits, on the side of less cooling and heating; shape (2, zones).
        """
        self._most_cooling_c = np.where(beyond[0], own_c[0], self.site.cooling_limit_c[1])
        self._least_heating_c = np.where(beyond[1], own_c[1], self.site.heating_limit_c[0])

    def admit(self, elapsed_s: float, cooling_c: Floats, heating_c: Floats, air_c: Floats, exempt: Exempt) -> Admitted:
        """Return what of a wish may be commanded now.

        Parameters
        ----------
        elapsed_s
            Since the last time. [s]
        cooling_c, heating_c
            What is wished, NaN for no wish; shape (zones,). [°C]
        air_c
            Of the zones, NaN where not known; shape (zones,). [°C]
        exempt
            Zones to which the ramp does not apply.
        """
        bounds = np.zeros(len(self.cooling_c), dtype=np.int64)
        absent = ~(np.isfinite(cooling_c) & np.isfinite(heating_c))
        bounds |= _marked(absent, Bound.NO_WISH)
        cooling_c = np.where(np.isfinite(cooling_c), cooling_c, self.cooling_c)
        heating_c = np.where(np.isfinite(heating_c), heating_c, self.heating_c)
        cooling_c, heating_c, why = self._feasible(cooling_c, heating_c)
        bounds |= why
        # Both set-points of a pair that keeps the dead band go to one that keeps it: so does every step between.
        most_k = RAMP_K_PER_H * min(max(elapsed_s, 0.0), self.site.step_s) / 3_600.0
        ramped_cooling = self.cooling_c + np.clip(cooling_c - self.cooling_c, -most_k, most_k)
        ramped_heating = self.heating_c + np.clip(heating_c - self.heating_c, -most_k, most_k)
        free = exempt.recovering | exempt.stepping
        ramped = (np.abs(ramped_cooling - cooling_c) > _TINY_K) | (np.abs(ramped_heating - heating_c) > _TINY_K)
        bounds |= _marked(ramped & exempt.recovering, Bound.RECOVERY)
        bounds |= _marked(ramped & ~exempt.recovering & exempt.stepping, Bound.OWN_STEP)
        bounds |= _marked(ramped & ~free, Bound.RAMP)
        cooling_c = np.where(free, cooling_c, ramped_cooling)
        heating_c = np.where(free, heating_c, ramped_heating)
        held = self._too_soon(elapsed_s, cooling_c, heating_c, air_c)
        bounds |= _marked(held, Bound.MINIMUM_TIME)
        self.cooling_c = np.where(held, self.cooling_c, cooling_c)
        self.heating_c = np.where(held, self.heating_c, heating_c)
        self._note_calls(air_c)
        beyond = (self.cooling_c > self.site.cooling_limit_c[1]) | (self.heating_c < self.site.heating_limit_c[0])
        bounds |= _marked(beyond, Bound.OWN_LIMIT)
        return Admitted(self.cooling_c.copy(), self.heating_c.copy(), bounds)

    def _feasible(self, cooling_c: Floats, heating_c: Floats) -> tuple[Floats, Floats, Counts]:
        """Return the nearest pair within limits and dead band."""
        site = self.site
        cooling = np.clip(cooling_c, site.cooling_limit_c[0], self._most_cooling_c)
        heating = np.clip(heating_c, self._least_heating_c, site.heating_limit_c[1])
        why = _marked((cooling != cooling_c) | (heating != heating_c), Bound.LIMIT)
        close = cooling - heating < site.dead_band_k
        # Heating gives way, and cooling only where heating has reached its lowest.
        heating = np.where(close, np.maximum(cooling - site.dead_band_k, self._least_heating_c), heating)
        cooling = np.where(close, np.maximum(cooling, heating + site.dead_band_k), cooling)
        return cooling, heating, why | _marked(close, Bound.DEAD_BAND)

    def _too_soon(self, elapsed_s: float, cooling_c: Floats, heating_c: Floats, air_c: Floats) -> Flags:
        """Return where new set-points would end or begin a call before its time."""
        self.lasted_s = self.lasted_s + max(elapsed_s, 0.0)
        least_s = np.where(self.calls, self.site.protection[0], self.site.protection[1])
        turns = _calls(cooling_c, heating_c, air_c, self.calls) != _calls(
            self.cooling_c, self.heating_c, air_c, self.calls
        )
        return np.asarray((turns & (self.lasted_s < least_s)).any(axis=0))

    def _note_calls(self, air_c: Floats) -> None:
        now = _calls(self.cooling_c, self.heating_c, air_c, self.calls)
        self.lasted_s = np.where(now != self.calls, 0.0, self.lasted_s)
        self.calls = now


def _calls(cooling_c: Floats, heating_c: Floats, air_c: Floats, before: Flags) -> Flags:
    """Return where set-points call for heating and for cooling; shape (2, zones)."""
    calls = np.stack([air_c < heating_c, air_c > cooling_c])
    return np.asarray(np.where(np.isfinite(air_c), calls, before))


def _marked(flags: Flags, bound: Bound) -> Counts:
    return np.asarray(flags * int(bound), dtype=np.int64)
