"""Whether someone else has set a zone: an override is obeyed, and nothing is learnt from it."""

import numpy as np

from agents.comfort.own import Own
from agents.comfort.reading import Reading
from agents.comfort.settings import Flags, Floats

_SAME_K = 0.3
_OBEYED_S = 4 * 3_600.0
_FOLLOWED_S = 86_400.0
_REMEMBERED = 3


class Attention:
    """Which zones follow what is commanded.

    A zone that never did (it is advised, not controlled) is not overridden. One that did and suddenly has other
    set-points is, until it has ours or its own schedule's again, and for four hours at most.

    Parameters
    ----------
    zones
        How many.
    """

    KEPT = ("set_c", "since_followed_s", "overridden_s", "commanded_c")

    def __init__(self, zones: int) -> None:
        self.set_c = np.full((2, zones), np.nan)  # what was set by someone else: cooling, heating
        self.since_followed_s = np.full(zones, np.inf)
        self.overridden_s = np.zeros(zones)
        self.commanded_c = np.full((_REMEMBERED, 2, zones), np.nan)  # the newest first

    def update(self, reading: Reading, own: Own, elapsed_s: float) -> Flags:
        """Look at the set-points in force, and return which zones are overridden; shape (zones,)."""
        in_force = np.stack([reading.cooling_c, reading.heating_c])
        follows = np.zeros(in_force.shape[1], dtype=bool)
        for commanded in self.commanded_c:
            follows |= _same(in_force, commanded)
        known = np.isfinite(in_force).any(axis=0) & np.isfinite(self.commanded_c[0, 0])
        # Crossed set-points were set by nobody; at its own set-points a zone was given back.
        crossed = in_force[0] <= in_force[1]
        differs = known & ~follows & ~_same(in_force, own.setpoint_c) & ~crossed
        followed = self.since_followed_s <= _FOLLOWED_S
        self.since_followed_s = np.where(known & follows, 0.0, self.since_followed_s + elapsed_s)
        overridden = differs & followed & (self.overridden_s < _OBEYED_S)
        self.overridden_s = np.where(differs & followed, self.overridden_s + elapsed_s, 0.0)
        self.set_c = np.where(overridden & np.isfinite(in_force), in_force, np.nan)
        return np.asarray(overridden)

    def note(self, cooling_c: Floats, heating_c: Floats, overridden: Flags) -> None:
        """Remember what was commanded, but not what only obeys somebody; shape (zones,). [°C]"""
        newest = np.concatenate([np.stack([cooling_c, heating_c])[None], self.commanded_c[:-1]])
        self.commanded_c = np.where(overridden, self.commanded_c, newest)


def _same(some_c: Floats, others_c: Floats) -> Flags:
    """Return where set-points agree as far as both are known; shape (zones,)."""
    apart = np.abs(some_c - others_c) > _SAME_K
    return np.asarray(~apart.any(axis=0) & np.isfinite(some_c - others_c).any(axis=0))
