"""What a controller is told about a building, and the settings that hold for every building alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

DEAD_BAND_K = 1.0  # between heating and cooling, where nothing else is said
SAFE_BAND_C = (20.0, 26.0)  # zones stay within it when people are there


@dataclass(frozen=True, slots=True)
class Protection:
    """What equipment must not be asked for more often than.

    Sources: proposed safe defaults for direct expansion and for chillers (reference/methods.md, section 11: chiller
    sequencer defaults, compressor timers). A maker's data take their place.

    Parameters
    ----------
    min_on_s, min_off_s
        How long a call for cooling or heating lasts at least, and how long none does. [s]
    """

    min_on_s: float
    min_off_s: float


PROTECTION = {
    "direct_expansion": Protection(180.0, 300.0),
    "chiller": Protection(600.0, 600.0),
    "furnace": Protection(180.0, 300.0),
}
UNKNOWN_EQUIPMENT = Protection(600.0, 600.0)  # the strictest of them


@dataclass(frozen=True, slots=True)
class Site:
    """Zones, limits and bands, read from what `reset` was given; arrays have shape (zones,).

    Parameters
    ----------
    zones
        Names.
    step_s
        How often `act` is called. [s]
    cooling_limit_c, heating_limit_c
        Lowest and highest set-point; shape (2, zones). [°C]
    occupied_c, unoccupied_c
        Lowest and highest air temperature; shape (2, zones). [°C]
    band_is_known
        Whether `occupied_c` was given, not assumed.
    protection
        Of the equipment of each zone; minimum on and off; shape (2, zones). [s]
    dead_band_k
        By how much cooling begins above where heating ends, at least. [K]
    """

    zones: tuple[str, ...]
    step_s: float
    cooling_limit_c: Floats
    heating_limit_c: Floats
    occupied_c: Floats
    unoccupied_c: Floats
    band_is_known: Flags
    protection: Floats = field(repr=False)
    dead_band_k: Floats = field(repr=False)


_COOLING_LIMIT_C = (20.0, 32.0)
_HEATING_LIMIT_C = (12.0, 24.0)
_SHORTEST_STEP_S, _USUAL_STEP_S = 1.0, 900.0


def site_of(info: Mapping[str, object]) -> Site:
    """Read what a controller is told; what is missing or makes no sense takes a safe default.

    Parameters
    ----------
    info
        `zones` (names), `step_s`, `limits` (`cooling_c` and `heating_c`, or one pair for both), `comfort` or
        `comfort_band` (`occupied` and `unoccupied`, or one pair for occupied), `equipment` (a kind of `PROTECTION`, or
        minimum on and off in seconds), `dead_band_k`. Everything may also be given by zone.

    Raises
    ------
    ValueError
        If no zones are named, or one twice.

    Examples
    --------
    >>> site = site_of({"zones": ["office"], "comfort": {"occupied": (21, 24)}})
    >>> site.occupied_c.ravel().tolist(), site.heating_limit_c.ravel().tolist()
    ([21.0, 24.0], [12.0, 24.0])
    """
    named = info.get("zones")
    zones = tuple(str(name) for name in named) if isinstance(named, Sequence | Mapping) else ()
    if not zones or len(set(zones)) != len(zones):
        raise ValueError(f"zones: expected at least one name, each once, got {named!r}")
    step_s = number(info.get("step_s"))
    limits = info.get("limits")
    comfort = info.get("comfort", info.get("comfort_band", info.get("comfort_c")))
    cooling, _ = _pairs(limits, ("cooling_c", "cooling"), zones, _COOLING_LIMIT_C)
    heating, _ = _pairs(limits, ("heating_c", "heating"), zones, _HEATING_LIMIT_C)
    occupied, known = _pairs(comfort, ("occupied", "occupied_c"), zones, SAFE_BAND_C)
    widest = (float(heating[0].min()), float(cooling[1].max()))
    empty = comfort if isinstance(comfort, Mapping) and {"unoccupied", "unoccupied_c"} & set(comfort) else None
    unoccupied, _ = _pairs(empty, ("unoccupied", "unoccupied_c"), zones, widest)
    return Site(
        zones,
        step_s if step_s >= _SHORTEST_STEP_S else _USUAL_STEP_S,
        cooling,
        heating,
        occupied,
        unoccupied,
        known,
        _protections(info.get("equipment"), zones),
        _dead_bands(info.get("dead_band_k"), zones),
    )


def number(value: object) -> float:
    """Return a value as a number, NaN if it is none.

    Examples
    --------
    >>> number("21"), number(True), number(21)
    (nan, 1.0, 21.0)
    """
    if isinstance(value, bool | int | float | np.number | np.bool_):
        try:
            return float(value)
        except OverflowError:
            return float("nan")
    return float("nan")


def _pairs(
    given: object, names: tuple[str, ...], zones: tuple[str, ...], default: tuple[float, float]
) -> tuple[Floats, Flags]:
    """Return low and high by zone, shape (2, zones), and where they were given."""
    if isinstance(given, Mapping):
        for name in names:
            if name in given:
                given = given[name]
                break
    pairs = np.repeat(np.array(default)[:, None], len(zones), axis=1)
    known = np.zeros(len(zones), dtype=bool)
    for index, zone in enumerate(zones):
        found = given.get(zone) if isinstance(given, Mapping) else given
        for name in names:
            if isinstance(found, Mapping):
                found = found.get(name, found)
        pair = _pair(found)
        if pair is not None:
            pairs[:, index], known[index] = pair, True
    return pairs, known


def _pair(found: object) -> tuple[float, float] | None:
    if isinstance(found, Mapping):
        found = [found.get("low", found.get("min")), found.get("high", found.get("max"))]
    if isinstance(found, np.ndarray):
        found = found.tolist()
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != 2:
        return None
    low, high = number(found[0]), number(found[1])
    return (low, high) if np.isfinite(low) and np.isfinite(high) and low <= high else None


def _protections(equipment: object, zones: tuple[str, ...]) -> Floats:
    given = [equipment.get(zone) if isinstance(equipment, Mapping) else equipment for zone in zones]
    chosen = [_protection(one) for one in given]
    return np.array([[one.min_on_s for one in chosen], [one.min_off_s for one in chosen]])


def _protection(given: object) -> Protection:
    if isinstance(given, str):
        return PROTECTION.get(given, UNKNOWN_EQUIPMENT)
    times = [number(one) for one in given] if isinstance(given, Sequence) else []
    return Protection(*times) if len(times) == 2 and min(times) >= 0 else UNKNOWN_EQUIPMENT


def _dead_bands(given: object, zones: tuple[str, ...]) -> Floats:
    bands = [number(given.get(zone) if isinstance(given, Mapping) else given) for zone in zones]
    return np.array([band if 0 <= band < np.inf else DEAD_BAND_K for band in bands])
