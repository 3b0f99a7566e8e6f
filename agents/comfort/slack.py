"""How long before people leave a zone may begin to drift, learnt from how far it was outside its band.

An integral: each hour with people moves it by what is missing to, or beyond, the excess that is allowed on average. So
sun, mass and a lazy thermostat need no model. Below zero it makes recovery begin earlier.
"""

import numpy as np

from agents.comfort.planning import MOST_DRIFT_K
from agents.comfort.settings import SAFE_BAND_C, Flags, Floats

ALLOWED_K = 0.04  # mean excess of hours with people, where the zone is still within 20 to 26 °C
EXACT_K = 0.004  # and where it is not: what a thermostat does by itself
_H_PER_KH = 0.6
_SPAN_H = (-0.25, 1.5)
_NEAR_K = 1.0
_ARRIVAL_S = 5_400.0
_K_PER_KH = 0.3
_FORGETS_K_PER_H = 0.003
_MOST_MARGIN_K = 1.5


class Slack:
    """Slack of all zones.

    Parameters
    ----------
    zones
        How many.
    """

    KEPT = ("hours", "margin_k", "here_s")

    def __init__(self, zones: int) -> None:
        self.hours = np.zeros((2, zones))  # heating, cooling; [h]
        # How much further than the band a zone is brought for when people come.
        self.margin_k = np.zeros((2, zones))
        self.here_s = np.zeros(zones)

    def learn(self, air_c: Floats, low_c: Floats, high_c: Floats, elapsed_s: float, counts: Flags) -> None:
        """Learn from the step that ends.

        Parameters
        ----------
        air_c, low_c, high_c
            Temperature and band; shape (zones,). [°C]
        elapsed_s
            Length of the step. [s]
        counts
            Where people are there, and the set-points are ours; shape (zones,).
        """
        excess_k = np.stack([low_c - air_c, air_c - high_c])
        room_k = np.stack([low_c - SAFE_BAND_C[0], SAFE_BAND_C[1] - high_c])
        allowed_k = EXACT_K + (ALLOWED_K - EXACT_K) * np.clip(room_k / MOST_DRIFT_K, 0.0, 1.0)
        step_h = min(elapsed_s, 3_600.0) / 3_600.0
        change_h = _H_PER_KH * step_h * (allowed_k - np.maximum(excess_k, 0.0))
        # A zone in the middle of its band says nothing of how it would drift out of it.
        change_h = np.where(counts & (excess_k > -_NEAR_K), change_h, 0.0)
        self.hours = np.clip(self.hours + change_h, *_SPAN_H)
        # What more time does not mend (fans that start with the people and bring cold air) a reserve of heat does.
        self.here_s = np.where(counts, self.here_s + elapsed_s, 0.0)
        arriving = counts & (self.here_s <= _ARRIVAL_S) & (self.hours <= _SPAN_H[0] / 2)
        change_k = np.where(arriving, _K_PER_KH * step_h * (np.maximum(excess_k, 0.0) - allowed_k), 0.0)
        self.margin_k = np.clip(self.margin_k + change_k - _FORGETS_K_PER_H * step_h * counts, 0.0, _MOST_MARGIN_K)

    def reserve_k(self) -> Floats:
        """Return how far inside its band a zone is brought until people have been there a while; shape (2, zones)."""
        return np.where(self.here_s <= _ARRIVAL_S, self.margin_k, 0.0)
