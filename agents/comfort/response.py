"""What a zone does when it is left to itself, and what its plant moves: learnt from what its temperature shows.

While neither heating nor cooling is called for, a zone drifts: towards the outdoors, by what is in it, by people and by
the day. What its temperature does otherwise while they are called for was moved by the plant.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from agents.comfort.regression import Regressions
from agents.comfort.settings import Flags, Floats

_FREE_K = 0.15  # so far inside of both set-points nothing is called for
_CALLED_K = 0.3
_LEAST_DRIFT = 40.0  # events that are left of what was forgotten, before a response counts as known
_LEAST_WITH_PEOPLE = 4.0
_FORGETS = 0.998  # an event: half of it in 350 free quarter hours
_NOISE_PRECISION = 16.0  # of a drift, in (K/h)^-2: a quarter of a kelvin per hour
# Nothing by itself, a tenth of the distance to the outdoors in an hour for light rooms: 0.04/h; people, daylight. [K/h]
_ASSUMED = np.array([0.0, 0.4, 0.3, 0.1])
_SURE = np.array([4.0, 8.0, 1.0, 1.0])
_SPAN_PER_H = (0.002, 1.0)
_MOST_K_PER_H = 20.0
_FORGETS_PER_DAY = 0.01
_LONGEST_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Drift:
    """What zones do by themselves: towards the outdoors by a share per hour, and up or down by the rest.

    Parameters
    ----------
    per_h
        Share of the distance to the outdoors; shape (zones,). [1/h]
    gain_k_per_h
        By people, sun and all else; shape (steps, zones). [K/h]
    """

    per_h: Floats
    gain_k_per_h: Floats


class Response(Regressions):
    """Responses of all zones.

    Parameters
    ----------
    zones
        How many.
    """

    KEPT = (*Regressions.KEPT, "with_people", "before_c", "most_k_per_h")

    def __init__(self, zones: int) -> None:
        super().__init__(_ASSUMED, _SURE, _NOISE_PRECISION, _FORGETS, count=zones)
        self.with_people = np.zeros(zones)  # free events with people
        self.before_c = np.full(zones, np.nan)
        self.most_k_per_h = np.zeros((2, zones))  # that was ever moved: cooling, heating

    @property
    def is_known(self) -> Flags:
        """Where enough was seen to plan with, with and without people; shape (zones,)."""
        return np.asarray((self.events >= _LEAST_DRIFT) & (self.with_people >= _LEAST_WITH_PEOPLE))

    @property
    def lacks_people(self) -> Flags:
        """Where only the drift with people in the zone was not seen often enough; shape (zones,)."""
        return np.asarray((self.events >= _LEAST_DRIFT) & (self.with_people < _LEAST_WITH_PEOPLE))

    def learn_step(
        self,
        at: datetime,
        air_c: Floats,
        setpoints_c: Floats,
        *,
        here: Flags,
        outdoor_c: float,
        elapsed_s: float,
        but: Flags,
    ) -> Floats:
        """Learn from the step that ends, and return what was moved in it.

        Parameters
        ----------
        at
            Its end; local time.
        air_c
            Then; shape (zones,). [°C]
        setpoints_c
            In force until then, cooling and heating; shape (2, zones). [°C]
        here
            Whether people were there; shape (zones,).
        outdoor_c
            Outdoors. [°C]
        elapsed_s
            How long it was. [s]
        but
            Zones that must not learn now; shape (zones,).

        Returns
        -------
        Floats
            How far the plant cooled and heated, NaN where that is not known; shape (2, zones). [K/h]
        """
        before_c, self.before_c = self.before_c, air_c
        usable = np.isfinite(before_c + air_c + setpoints_c.sum(axis=0)) & ~but
        if not (0 < elapsed_s <= _LONGEST_S) or np.isnan(outdoor_c) or not usable.any():
            return np.full_like(setpoints_c, np.nan)
        hours = elapsed_s / 3_600.0
        moved_k_per_h = (air_c - before_c) / hours
        features = _features(outdoor_c - (air_c + before_c) / 2, here, np.full(len(air_c), daylight(at)))
        highest, lowest = np.fmax(air_c, before_c), np.fmin(air_c, before_c)
        free = usable & (highest < setpoints_c[0] - _FREE_K) & (lowest > setpoints_c[1] + _FREE_K)
        by_itself = (features * self.weights).sum(axis=0)
        self.learn(features, moved_k_per_h, free & (np.abs(moved_k_per_h) < _MOST_K_PER_H))
        self.with_people += free & here
        surplus = by_itself - moved_k_per_h
        called = np.stack([highest > setpoints_c[0] - _CALLED_K, lowest < setpoints_c[1] + _CALLED_K])
        moved = np.where(called, np.clip(np.stack([surplus, -surplus]), 0.0, _MOST_K_PER_H), 0.0)
        moved = np.where(usable & (self.events >= _LEAST_DRIFT), moved, np.nan)
        left = self.most_k_per_h * (1.0 - _FORGETS_PER_DAY * hours / 24.0)
        self.most_k_per_h = np.fmax(left, moved)
        return moved

    def drift(self, here: Flags, daylights: Floats) -> Drift:
        """Return what zones will do by themselves.

        Parameters
        ----------
        here
            Whether people will be there; shape (steps, zones).
        daylights
            `daylight` of each step; shape (steps,).
        """
        own, share, people, day = self.weights
        per_h = np.clip(share / 10.0, *_SPAN_PER_H)
        return Drift(per_h, own + people * here + day * daylights[:, None])


def daylight(at: datetime) -> float:
    """Return how high the sun stands by the clock, from 0 to 1; a cloudless day of twelve hours.

    Examples
    --------
    >>> daylight(datetime(2026, 7, 1, 12)), daylight(datetime(2026, 7, 1, 4))
    (1.0, 0.0)
    """
    return max(0.0, float(np.sin(np.pi * (at.hour + at.minute / 60 - 6) / 12)))


def _features(distance_k: Floats, here: Flags, day: Floats) -> Floats:
    return np.stack([np.ones_like(distance_k), distance_k / 10.0, here.astype(float), day])
