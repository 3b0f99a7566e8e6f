"""The building's own set-points: what is fallen back to, what its own band is, and what an empty zone may come to."""

import numpy as np

from agents.comfort.reading import Reading
from agents.comfort.settings import SAFE_BAND_C, Flags, Floats, Site

_BELIEVED_S = 86_400.0
_FORGETS_K_PER_DAY = 0.15
_SAME_K = 0.3
_NEVER_WITHIN_S = 3 * 86_400.0
_WIDER_K = 0.5
_DEEPER_K = 1.0
_SAFE_GAP_K = 2.0


class Own:
    """Own set-points of all zones.

    Parameters
    ----------
    site
        Zones and bands.
    """

    KEPT = ("setpoint_c", "before_c", "silent_s", "narrow_c", "wide_c", "settled", "outside_s")

    def __init__(self, site: Site) -> None:
        count = len(site.zones)
        self._site = site
        # Cooling and heating; shape (2, zones).
        self.setpoint_c = np.full((2, count), np.nan)
        self.silent_s = np.full((2, count), np.inf)
        self.narrow_c = np.full((2, count), np.nan)
        self.wide_c = np.full((2, count), np.nan)
        self.before_c = np.full((2, count), np.nan)
        self.outside_s = np.zeros((2, count))
        self.settled: Flags = np.zeros(count, dtype=bool)

    def update(self, reading: Reading, elapsed_s: float) -> tuple[Floats, Floats]:
        """Take what the schedule says now, and return cooling and heating to fall back to; shape (zones,) each. [°C]"""
        seen = np.stack([reading.own_cooling_c, reading.own_heating_c])
        crossed = seen[0] < seen[1]  # no building does that: neither can be believed
        seen = np.where(crossed, np.nan, seen)
        there = np.isfinite(seen)
        self.silent_s = np.where(there, 0.0, self.silent_s + elapsed_s)
        self.before_c = self.setpoint_c
        self.setpoint_c = np.where(there, seen, self.setpoint_c)
        site = self._site
        easier = np.stack([seen[0] > site.cooling_limit_c[1], seen[1] < site.heating_limit_c[0]])
        self.outside_s = np.where(easier, self.outside_s + elapsed_s, np.where(there, 0.0, self.outside_s))
        forgets_k = _FORGETS_K_PER_DAY * elapsed_s / 86_400.0
        towards = np.array([[1.0], [-1.0]])
        relaxed = self.narrow_c + towards * forgets_k
        self.narrow_c = np.stack([np.fmin(relaxed[0], seen[0]), np.fmax(relaxed[1], seen[1])])
        relaxed = self.wide_c - towards * forgets_k
        self.wide_c = np.stack([np.fmax(relaxed[0], seen[0]), np.fmin(relaxed[1], seen[1])])
        return self.fallback()

    @property
    def is_beyond_limits(self) -> Flags:
        """Where the schedule asked for less than the limits allow, for days and without exception; shape (2, zones).

        A store that its owner keeps at 10 °C must not be heated to 12 °C because the limits were made for offices.
        """
        return np.asarray(self.outside_s > _NEVER_WITHIN_S)

    def fallback(self) -> tuple[Floats, Floats]:
        """Return cooling and heating set-points that are safe; shape (zones,) each. [°C]"""
        believed = self.silent_s <= _BELIEVED_S
        cooling, heating = np.where(believed, self.setpoint_c, np.nan)
        # A side without a schedule gets the safe band, outside of the other one.
        heating = np.where(np.isfinite(heating), heating, np.fmin(SAFE_BAND_C[0], cooling - _SAFE_GAP_K))
        cooling = np.where(np.isfinite(cooling), cooling, np.fmax(SAFE_BAND_C[1], heating + _SAFE_GAP_K))
        return cooling, heating

    def was_at(self, cooling_c: Floats, heating_c: Floats) -> Flags:
        """Return where set-points are those the schedule had a step ago; shape (zones,)."""
        site = self._site
        cooling = np.clip(self.before_c[0], *site.cooling_limit_c)
        heating = np.clip(self.before_c[1], *site.heating_limit_c)
        apart = (np.abs(cooling - cooling_c) > _SAME_K) | (np.abs(heating - heating_c) > _SAME_K)
        return np.asarray(~apart)

    def band(self) -> tuple[Floats, Floats]:
        """Return the band for people, what was asked for or else the building's own; shape (zones,) each. [°C]"""
        site = self._site
        low = np.where(site.band_is_known, site.occupied_c[0], self._plausible(self.narrow_c[1], SAFE_BAND_C[0]))
        high = np.where(site.band_is_known, site.occupied_c[1], self._plausible(self.narrow_c[0], SAFE_BAND_C[1]))
        return low, high

    @property
    def is_asked(self) -> Flags:
        """Where the band is the building's own; shape (zones,)."""
        low_c, high_c = self.band()
        return np.asarray((low_c >= self.narrow_c[1] - _SAME_K) & (high_c <= self.narrow_c[0] + _SAME_K))

    def spared(self, reserve_k: Floats, is_hard: Flags, allowed_k: float) -> Floats:
        """Return how far inside its band a zone is held, less than nothing where the band may be left.

        In the hardest weather a building that is asked for its own band makes its peaks, and nothing may drift before
        people leave: what is allowed on average is spent on the peak, as far as the zone stays within 20 to 26 °C.

        Parameters
        ----------
        reserve_k
            What it would be otherwise; heating and cooling; shape (2, zones). [K]
        is_hard
            Whether it is hot, and whether it is cold; shape (2, 1).
        allowed_k
            Mean excess that is allowed. [K]
        """
        low_c, high_c = self.band()
        room_k = np.stack([low_c - SAFE_BAND_C[0], SAFE_BAND_C[1] - high_c]).clip(0.0, allowed_k)
        return np.where(is_hard[::-1] & self.is_asked & (reserve_k <= 0), -room_k, reserve_k)

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
        # A step later: who is seen now was there in the step that ends, under the set-points of then.
        cooling_c = np.minimum(self.setpoint_c[0], self.before_c[0])
        heating_c = np.maximum(self.setpoint_c[1], self.before_c[1])
        wide = (heating_c < low_c - _WIDER_K) | (cooling_c > high_c + _WIDER_K)
        there = occupied > 0
        self.settled = there & (self.settled | ~wide)
        tail = there & wide & self.settled & self.is_asked
        return np.where(tail, 0.0, occupied), tail

    def empty(self, tail: Flags, used_soon: Flags, is_hard: Flags) -> tuple[Floats, Floats]:
        """Return the set-points of zones nobody needs, heating and cooling; shape (zones,) each. [°C]

        What mass has not taken up before people come it takes up when ventilation starts: that makes peaks. So a
        zone that will be used soon is let go by one kelvin more than its schedule ever does and, in the hardest
        weather, by no more than the schedule does now.

        Parameters
        ----------
        tail
            Where people are there whom the schedule does not count; shape (zones,).
        used_soon
            Where people are expected within hours; shape (zones,).
        is_hard
            Whether it is hot, and whether it is cold; shape (2, 1).
        """
        own = np.stack(self.fallback())
        furthest = np.stack([np.fmax(self._site.unoccupied_c[1], own[0]), np.fmin(self._site.unoccupied_c[0], own[1])])
        sign = np.array([[1.0], [-1.0]])
        near = np.where(np.isfinite(self.wide_c), self.wide_c + sign * _DEEPER_K, furthest)
        low_c, high_c = self.band()
        in_band = np.stack([np.fmax(own[0], high_c), np.fmin(own[1], low_c)])
        near = np.where(is_hard, in_band, sign * np.minimum(sign * near, sign * furthest))
        cooling, heating = np.where(tail, own, np.where(used_soon, near, furthest))
        return heating, cooling

    @staticmethod
    def _plausible(own_c: Floats, safe_c: float) -> Floats:
        return np.where((own_c >= SAFE_BAND_C[0] - 2) & (own_c <= SAFE_BAND_C[1] + 2), own_c, safe_c)
