"""What energy will cost and cause in the coming hours: as it is told, else as it was at this time of the week."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from agents.comfort.occupancy import SLOT_S, SLOTS, slot_of
from agents.comfort.settings import Flags, Floats, number

# What a kilogram is taken for beside the price, where nothing else is said: about what it costs in China's market.
CNY_PER_KG = 0.1
_PLAUSIBLE = {"price": (-10.0, 100.0), "carbon": (0.0, 10.0)}
_WORTH = 0.02  # a price that moves by less is flat
_WEEK = 7 * SLOTS


@dataclass(frozen=True, slots=True)
class Worth:
    """Energy in the coming steps; arrays have shape (steps,), NaN where nothing is known.

    Parameters
    ----------
    price, carbon
        [CNY/kWh, kg/kWh]
    value
        Both together, what is to be as little as possible. [CNY/kWh]
    """

    price: Floats
    carbon: Floats
    value: Floats

    @property
    def differs(self) -> bool:
        """Whether it makes a difference when energy is drawn."""
        known = np.isfinite(self.value).all() and len(self.value) > 0
        return bool(known and np.ptp(self.value) > _WORTH * np.abs(self.value).mean())


class Prices:
    """Price and carbon of a site by quarter hour of the week.

    Parameters
    ----------
    info
        `price` and `carbon` if they are known in advance: a number, or one for each equal part of a day or of a week
        that begins on Monday; `carbon_cny_per_kg`, what a kilogram is taken for. [CNY/kWh, kg/kWh, CNY/kg]

    Examples
    --------
    >>> prices = Prices({"price": [0.3] * 8 + [0.9] * 16})
    >>> prices.ahead(datetime(2026, 1, 5, 7, 30), 3, 900.0).price.tolist()
    [0.3, 0.3, 0.9]
    """

    def __init__(self, info: Mapping[str, object]) -> None:
        # By slot of the week; shape (2, 672).
        self.by_slot: Floats = np.stack([_by_slot(info.get(name), span) for name, span in _PLAUSIBLE.items()])
        self._told: list[Floats] = [np.empty(0), np.empty(0)]
        weight = number(info.get("carbon_cny_per_kg"))
        self._cny_per_kg = weight if 0.0 <= weight < np.inf else CNY_PER_KG

    def hear(self, now: datetime, observation: Mapping[str, object]) -> None:
        """Take what is told now: a number that holds now, or a sequence, one for each step from now on."""
        self._told = [_numbers(observation.get(name), span) for name, span in _PLAUSIBLE.items()]
        for kept, told in zip(self.by_slot, self._told, strict=True):
            if len(told) and np.isfinite(told[0]):
                kept[slot_of(now)] = told[0]

    def ahead(self, now: datetime, count: int, step_s: float) -> Worth:
        """Return what energy costs and causes in so many steps from now on.

        What is known of no step of the horizon is not guessed; what is known of some holds until the next that is.
        """
        of_slot_s = (now.minute * 60 + now.second) % SLOT_S
        slots = slot_of(now) + ((of_slot_s + step_s * np.arange(count)) // SLOT_S).astype(np.int64)
        found = []
        for kept, told in zip(self.by_slot, self._told, strict=True):
            # A day of the week that was not seen yet is taken to be like the others.
            days = kept.reshape(7, SLOTS)
            seen = np.isfinite(days)
            usual = np.where(seen, days, 0.0).sum(axis=0) / np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
            coming = np.where(np.isfinite(kept[slots % _WEEK]), kept[slots % _WEEK], usual[slots % SLOTS])
            if len(told) > 1:
                coming[: len(told)] = told[:count]
            found.append(_held(coming))
        price, carbon = found
        causes = self._cny_per_kg * carbon
        is_known = np.isfinite(price), np.isfinite(causes)
        value = np.where(is_known[0], price, 0.0) + np.where(is_known[1], causes, 0.0)
        return Worth(price, carbon, np.where(is_known[0] | is_known[1], value, np.nan))


def _held(values: Floats) -> Floats:
    """Return values with what is missing taken from the last before it, or the first after it."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    return values[known[np.maximum(np.searchsorted(known, np.arange(len(values)), side="right") - 1, 0)]]


def _numbers(given: object, span: tuple[float, float]) -> Floats:
    if isinstance(given, np.ndarray):
        given = given.tolist()
    many = given if isinstance(given, Sequence) and not isinstance(given, str | bytes) else [given]
    values = np.array([number(one) for one in many[:_WEEK]])
    is_plausible: Flags = (values >= span[0]) & (values <= span[1])
    return np.where(is_plausible, values, np.nan)


def _by_slot(given: object, span: tuple[float, float]) -> Floats:
    values = _numbers(given, span)
    if len(values) and _WEEK % len(values) == 0 and (len(values) == 1 or len(values) % 7 == 0):
        return np.repeat(values, _WEEK // len(values))
    if len(values) and SLOTS % len(values) == 0:
        return np.tile(np.repeat(values, SLOTS // len(values)), 7)
    return np.full(_WEEK, np.nan)
