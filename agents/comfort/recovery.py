"""How long a zone takes to warm up or cool down by a kelvin, learnt from each time it did.

One Bayesian regression of River for each zone and direction: hours per kelvin against how far the outdoors are from
20 °C. What it predicts is kept as two numbers per zone, so that asking costs nothing.
"""

import numpy as np
from river.linear_model import BayesianLinearRegression

from agents.comfort.settings import Flags, Floats

_ASSUMED_H_PER_K = 0.4  # before anything is known: 2.5 K/h
_NEUTRAL_C = 20.0
_SPAN_H_PER_K = (0.01, 2.0)
_LEAST_K = 0.7
_FOLLOWED_K = 0.4
_FASTER = 0.9
_NEAR_K = 0.15
_LONGEST_S = 6 * 3_600.0
_EVENTS = 20
_NOISE_PRECISION = 60.0  # of an event, in (h/K)^-2: a quarter of an hour on two kelvins
_SMOOTHING = 0.95


class Recovery:
    """Recoveries of all zones in one direction.

    Parameters
    ----------
    zones
        How many.
    sign
        1 for heating, -1 for cooling.
    """

    KEPT = ("from_c", "lasted_s", "before_c", "away", "took_h_per_k")

    def __init__(self, zones: int, sign: int) -> None:
        self.sign = sign
        self.level = np.full(zones, _ASSUMED_H_PER_K)
        self.slope = np.zeros(zones)
        # The newest events, the newest last; shape (events, zones), NaN where there were fewer.
        self.away = np.full((_EVENTS, zones), np.nan)
        self.took_h_per_k = np.full((_EVENTS, zones), np.nan)
        self.from_c = np.full(zones, np.nan)
        self.lasted_s = np.zeros(zones)
        self.before_c = np.full(zones, np.nan)

    def hours_per_k(self, outdoor_c: float) -> Floats:
        """Return what a kelvin takes; shape (zones,). [h/K]"""
        return np.clip(self.level + self.slope * self._away(outdoor_c), *_SPAN_H_PER_K)

    def watch(self, air_c: Floats, setpoint_c: Floats, elapsed_s: float, outdoor_c: float, but: Flags) -> None:
        """Follow recoveries, and learn from those that end.

        Parameters
        ----------
        air_c
            Now; shape (zones,). [°C]
        setpoint_c
            What was in force until now; shape (zones,). [°C]
        elapsed_s
            Since the last time. [s]
        outdoor_c
            Outdoors. [°C]
        but
            Zones that must not learn now; shape (zones,).
        """
        to_go_k = self.sign * (setpoint_c - air_c)
        running = np.isfinite(self.from_c) & ~but & np.isfinite(to_go_k)
        self.lasted_s = np.where(running, self.lasted_s + elapsed_s, 0.0)
        arrived = running & (to_go_k < _NEAR_K)
        for zone in np.flatnonzero(arrived):
            moved_k = self.sign * (air_c[zone] - self.from_c[zone])
            if moved_k >= _LEAST_K:
                self.learn(int(zone), self._away(outdoor_c), float(self.lasted_s[zone] / 3_600.0 / moved_k))
        # A zone that follows a set-point that rises slowly shows no more than that it can be as fast as that.
        moved_k = self.sign * (air_c - self.before_c)
        followed = (moved_k >= _FOLLOWED_K) & (self.sign * (setpoint_c - self.before_c) >= _FOLLOWED_K) & ~arrived
        took = elapsed_s / 3_600.0 / np.where(followed, moved_k, np.inf)
        for zone in np.flatnonzero(followed & ~but & (took < _FASTER * self.hours_per_k(outdoor_c))):
            self.learn(int(zone), self._away(outdoor_c), float(took[zone]))
        self.before_c = air_c
        going = running & ~arrived & (self.lasted_s < _LONGEST_S)
        begins = ~going & (to_go_k >= _LEAST_K) & ~but
        self.from_c = np.where(begins, air_c, np.where(going, self.from_c, np.nan))
        self.lasted_s = np.where(begins, 0.0, self.lasted_s)

    def learn(self, zone: int, away: float, hours_per_k: float) -> None:
        """Learn one recovery."""
        for kept, newest in ((self.away, away), (self.took_h_per_k, hours_per_k)):
            kept[:-1, zone] = kept[1:, zone]
            kept[-1, zone] = newest
        self.fit(zone)

    def fit(self, zone: int) -> None:
        """Fit the regression of a zone to the events that are kept, so that a restart changes nothing."""
        model = BayesianLinearRegression(beta=_NOISE_PRECISION, smoothing=_SMOOTHING)
        took = np.clip(self.took_h_per_k[:, zone], *_SPAN_H_PER_K)
        for event in np.flatnonzero(np.isfinite(took)):
            surprise = float(took[event]) - _ASSUMED_H_PER_K
            model.learn_one({"always": 1.0, "away": float(self.away[event, zone])}, surprise)
        level = float(model.predict_one({"always": 1.0, "away": 0.0}))
        self.level[zone] = _ASSUMED_H_PER_K + level
        self.slope[zone] = float(model.predict_one({"always": 1.0, "away": 1.0})) - level

    def fit_all(self) -> None:
        """Fit the regressions of all zones that have events."""
        for zone in np.flatnonzero(np.isfinite(self.took_h_per_k[-1])):
            self.fit(int(zone))

    def _away(self, outdoor_c: float) -> float:
        """Return how hard the outdoors make it, 1 for 10 K."""
        return 0.0 if np.isnan(outdoor_c) else self.sign * (_NEUTRAL_C - outdoor_c) / 10.0
