"""What a controller is told of a building, and which controllers there are."""

import importlib
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, cast

import numpy as np

from bench.hvac.bound import Bound
from bench.hvac.timer import Timer
from bench.hvac.trace import STEP_S, Floats, Trace

COOLING_LIMIT_C = (20.0, 32.0)
HEATING_LIMIT_C = (12.0, 24.0)
SAFE_BAND_C = (20.0, 26.0)
MODES = ("neutral", "20-26")
CONTROLLERS = ("own", "timer", "timer+1K", "wattloop", "bound", "bound+2h")
MODELESS = ("own", "timer", "timer+1K")  # they know the building's own band and no other

_LEADS_S = {"bound": 0, "bound+2h": 7_200}
_WATTLOOP = ("agents.comfort.controller", "Controller")


class Controller(Protocol):
    """What is run: the interface of `agents.comfort.controller`."""

    def reset(self, info: Mapping[str, object]) -> None:
        """Begin with a building of which nothing is known."""

    def act(self, now: datetime, observation: Mapping[str, object]) -> Mapping[str, Mapping[str, float]]:
        """Return `cooling_c` and `heating_c` by zone. [°C]"""


class Own:
    """Answers the building's own set-points: what comes out must be what came out without any controller."""

    def reset(self, info: Mapping[str, object]) -> None:
        """Nothing to begin with."""

    def act(self, now: datetime, observation: Mapping[str, object]) -> Mapping[str, Mapping[str, float]]:
        """Return the baseline set-points."""
        own = cast("Mapping[str, Mapping[str, float]]", observation)
        return {"cooling_c": own["baseline_cooling_c"], "heating_c": own["baseline_heating_c"]}


def controller_named(name: str, own: Trace, mode: str) -> Controller:
    """Return a new controller.

    Parameters
    ----------
    name
        One of `CONTROLLERS`.
    own
        The building under its own schedule, for those who know everything in advance.
    mode
        One of `MODES`, for the same.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name == "own":
        return Own()
    if name == "timer":
        return Timer()
    if name == "timer+1K":
        return Timer(wider_k=1.0)
    if name in _LEADS_S:
        within, allowed_k = (None, 0.05) if mode == "neutral" else (SAFE_BAND_C, 0.01)
        return Bound(own, within, allowed_k, (HEATING_LIMIT_C[0], COOLING_LIMIT_C[1]), _LEADS_S[name])
    if name == "wattloop":
        module, kind = _WATTLOOP
        made: Controller = getattr(importlib.import_module(module), kind)()
        return made
    raise ValueError(f"controller {name!r}: expected one of {', '.join(CONTROLLERS)}")


def own_band_c(own: Trace) -> tuple[Floats, Floats]:
    """Return what each zone's own schedule mostly holds while people are in it, low and high, shape (zones,). [°C]

    A zone without people: the narrowest it ever has. Without a set-point on a side: that side's limit.
    """
    low, high = np.empty(len(own.zones)), np.empty(len(own.zones))
    for index in range(len(own.zones)):
        heating, cooling = own.heating_c[:, index], own.cooling_c[:, index]
        there = own.people[:, index] > 0
        heats, cools = np.isfinite(heating), np.isfinite(cooling)
        low[index] = HEATING_LIMIT_C[0]
        if heats.any():
            low[index] = np.median(heating[heats & there]) if (heats & there).any() else heating[heats].max()
        high[index] = COOLING_LIMIT_C[1]
        if cools.any():
            high[index] = np.median(cooling[cools & there]) if (cools & there).any() else cooling[cools].min()
    return low, high


def info_of(own: Trace, mode: str, *, wall: bool = False, keep_empty: bool = False) -> dict[str, object]:
    """Return what a controller is told before the first step.

    With `keep_empty`, a zone nobody is ever in (a store) may go no further than its own schedule ever goes; otherwise
    it may go to the limits, as any zone may while nobody is there.
    """
    if mode == "neutral":
        low, high = own_band_c(own)
        pairs = zip(own.zones, low.tolist(), high.tolist(), strict=True)
        occupied: object = {zone: (below, max(below, above)) for zone, below, above in pairs}
    else:
        occupied = SAFE_BAND_C
    return {
        "zones": list(own.zones),
        "step_s": STEP_S,
        "start": own.now(0, wall=wall),
        "limits": {"cooling_c": COOLING_LIMIT_C, "heating_c": HEATING_LIMIT_C},
        "comfort": {"occupied": occupied, "unoccupied": _unoccupied(own, keep_empty=keep_empty)},
    }


def _unoccupied(own: Trace, *, keep_empty: bool) -> dict[str, tuple[float, float]]:
    low, high = HEATING_LIMIT_C[0], COOLING_LIMIT_C[1]
    bands = {}
    for index, zone in enumerate(own.zones):
        bands[zone] = (low, high)
        if keep_empty and not own.people[:, index].any():
            heating, cooling = own.heating_c[:, index], own.cooling_c[:, index]
            coldest = float(np.nanmin(heating)) if np.isfinite(heating).any() else low
            hottest = float(np.nanmax(cooling)) if np.isfinite(cooling).any() else high
            bands[zone] = (coldest, hottest)
    return bands
