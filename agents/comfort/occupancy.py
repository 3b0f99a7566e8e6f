"""When people are in a zone, learnt by quarter hour of the week.

Nothing is assumed of shifts: each quarter hour of each day of the week has its own chance, and a new week counts for
three tenths. So one holiday does not erase a pattern, and a new shift is expected after it was seen once.
"""

from datetime import datetime

import numpy as np
import numpy.typing as npt

from agents.comfort.settings import Counts, Flags, Floats

SLOTS = 96
SLOT_S = 900
_NEWEST = 0.3
EXPECTED = 0.25  # more likely than this counts as expected: better heated once too often than a cold morning


class Occupancy:
    """Chances of people by quarter hour of the week, for all zones.

    Parameters
    ----------
    zones
        How many.
    """

    KEPT = ("chance", "seen")

    def __init__(self, zones: int) -> None:
        self.chance: npt.NDArray[np.float32] = np.zeros((7 * SLOTS, zones), dtype=np.float32)
        self.seen: npt.NDArray[np.bool_] = np.zeros((7 * SLOTS, zones), dtype=bool)

    def learn(self, at: datetime, step_s: float, occupied: Floats, but: Flags) -> None:
        """Count one observation.

        Parameters
        ----------
        at
            When; local time.
        step_s
            For how long it stands, until then. [s]
        occupied
            1 or 0, NaN where unknown; shape (zones,).
        but
            Zones that do not learn now; shape (zones,).
        """
        counts = np.isfinite(occupied) & ~but
        newest = 1 - (1 - _NEWEST) ** min(1.0, step_s / SLOT_S)
        for back in range(max(1, round(step_s / SLOT_S))):
            slot = (slot_of(at) - back) % len(self.chance)
            before, seen = self.chance[slot], self.seen[slot]
            share = np.where(seen, newest, 1.0)
            self.chance[slot] = np.where(counts, before + share * (np.nan_to_num(occupied) - before), before)
            self.seen[slot] = seen | counts

    def known(self, at: datetime) -> Flags:
        """Return where the day from here on has been seen before; shape (zones,)."""
        slots = (slot_of(at) + np.arange(SLOTS)) % (7 * SLOTS)
        return np.asarray(self.seen[slots].mean(axis=0) > 0.9)

    def ahead(self, at: datetime, count: int, step_s: float) -> Flags:
        """Return whether people are expected in the coming steps.

        Parameters
        ----------
        at
            When; local time. The first that is returned is a step later.
        count
            How many.
        step_s
            How long a step is. [s]

        Returns
        -------
        Flags
            Shape (count, zones).
        """
        of_slot_s = (at.minute * 60 + at.second) % SLOT_S
        slots = slot_of(at) + ((of_slot_s + step_s * np.arange(1, count + 1)) // SLOT_S).astype(np.int64)
        return np.asarray(self.chance[slots % len(self.chance)] >= EXPECTED)

    def expected(self, at: datetime) -> Flags:
        """Return whether people are expected now; shape (zones,)."""
        return np.asarray(self.chance[slot_of(at)] >= EXPECTED)


def slot_of(at: datetime) -> int:
    """Return the quarter hour of the week, from 0 on Monday at midnight.

    Examples
    --------
    >>> slot_of(datetime(2026, 11, 24, 6, 15))  # a Tuesday
    121
    """
    return at.weekday() * SLOTS + (at.hour * 3600 + at.minute * 60 + at.second) // SLOT_S


def first(flags: Flags) -> Counts:
    """Return the first True of each column, and the number of rows where there is none; shape (zones,).

    Examples
    --------
    >>> first(np.array([[False, False], [True, False]])).tolist()
    [1, 2]
    """
    return np.where(flags.any(axis=0), flags.argmax(axis=0), len(flags))
