"""The building's own set-points: what is fallen back to, what its own band is, and what an empty zone may come to."""

import numpy as np

from agents.comfort.reading import Reading
from agents.comfort.settings import SAFE_BAND_C, Flags, Floats, Site

_BELIEVED_S = 86_400.0
_FORGETS_K_PER_DAY = 0.15
_SAME_K = 0.3
_WIDER_K = 0.5
_SAFE_GAP_K = 2.0


class Own:
    """Own set-points of all zones.

    Parameters
    ----------
    site
        Zones and bands.
    """

    KEPT = ("setpoint_c", "silent_s", "narrow_c", "settled")

    def __init__(self, site: Site) -> None:
        count = len(site.zones)
        self._site = site
        # Cooling and heating; shape (2, zones).
        self.setpoint_c = np.full((2, count), np.nan)
        self.silent_s = np.full((2, count), np.inf)
        self.narrow_c = np.full((2, count), np.nan)
        self.settled: Flags = np.zeros(count, dtype=bool)

    def update(self, reading: Reading, elapsed_s: float) -> tuple[Floats, Floats]:
        """Take what the schedule says now, and return cooling and heating to fall back to; shape (zones,) each. [°C]"""
        seen = np.stack([reading.own_cooling_c, reading.own_heating_c])
        crossed = seen[0] < seen[1]  # no building does that: neither can be believed
        seen = np.where(crossed, np.nan, seen)
        there = np.isfinite(seen)
        self.silent_s = np.where(there, 0.0, self.silent_s + elapsed_s)
        self.setpoint_c = np.where(there, seen, self.setpoint_c)
        forgets_k = _FORGETS_K_PER_DAY * elapsed_s / 86_400.0
        towards = np.array([[1.0], [-1.0]])
        relaxed = self.narrow_c + towards * forgets_k
        self.narrow_c = np.stack([np.fmin(relaxed[0], seen[0]), np.fmax(relaxed[1], seen[1])])
        return self.fallback()

    def fallback(self) -> tuple[Floats, Floats]:
        """Return cooling and heating set-points that are safe; shape (zones,) each. [°C]"""
        believed = self.silent_s <= _BELIEVED_S
        cooling, heating = np.where(believed, self.setpoint_c, np.nan)
        # A side without a schedule gets the safe band, outside of the other one.
        heating = np.where(np.isfinite(heating), heating, np.fmin(SAFE_BAND_C[0], cooling - _SAFE_GAP_K))
        cooling = np.where(np.isfinite(cooling), cooling, np.fmax(SAFE_BAND_C[1], heating + _SAFE_GAP_K))
        return cooling, heating

    def band(self) -> tuple[Floats, Floats]:
        """Return the band for people, what was asked for or else the building's own; shape (zones,) each. [°C]"""
        site = self._site
        low = np.where(site.band_is_known, site.occupied_c[0], self._plausible(self.narrow_c[1], SAFE_BAND_C[0]))
        high = np.where(site.band_is_known, site.occupied_c[1], self._plausible(self.narrow_c[0], SAFE_BAND_C[1]))
        return low, high

    def people(self, occupied: Floats, low_c: Floats, high_c: Floats) -> tuple[Floats, Flags]:
        """Return for whom the band is to be kept, and where the building has ended it for those who stay.

        A building that is asked for its own band keeps its own hours: when its schedule goes back while a few people
        are still there, so do we, no further than the schedule does.

        Returns
        -------
        Floats
            1 or 0, NaN where unknown; shape (zones,).
        Flags
            Where people are there whom the building's own schedule does not count; shape (zones,).
        """
        cooling_c, heating_c = self.setpoint_c
        as_own = (low_c >= self.narrow_c[1] - _SAME_K) & (high_c <= self.narrow_c[0] + _SAME_K)
        wide = (heating_c < low_c - _WIDER_K) | (cooling_c > high_c + _WIDER_K)
        there = occupied > 0
        self.settled = there & (self.settled | ~wide)
        tail = there & wide & self.settled & as_own
        return np.where(tail, 0.0, occupied), tail

    def empty(self, tail: Flags) -> tuple[Floats, Floats]:
        """Return the set-points of zones nobody needs, heating and cooling; shape (zones,) each. [°C]"""
        cooling_c, heating_c = self.fallback()
        low = np.fmin(self._site.unoccupied_c[0], heating_c)
        high = np.fmax(self._site.unoccupied_c[1], cooling_c)
        return np.where(tail, heating_c, low), np.where(tail, cooling_c, high)

    @staticmethod
    def _plausible(own_c: Floats, safe_c: float) -> Floats:
        return np.where((own_c >= SAFE_BAND_C[0] - 2) & (own_c <= SAFE_BAND_C[1] + 2), own_c, safe_c)
