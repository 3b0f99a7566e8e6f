"""What comes in: energy of each scope and temperatures by quarter hour, in whole numbers, until a day is worked out.

Whole numbers add up to the same in any order, so it does not matter how the log was cut into batches.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agents.savings.local import QUARTERS_PER_UTC_DAY

Whole = npt.NDArray[np.int64]

COUNTS_PER_KWH = 1_000_000
COUNTS_PER_K = 100


@dataclass(slots=True)
class OpenDays:
    """Quarter hours by UTC day.

    Parameters
    ----------
    scopes
        How many.
    days
        UTC day -> counts, shape (2 * scopes + 2, 96): energy of each scope [1e-6 kWh], seconds of windows of each
        scope's meters [s], sum of temperatures [0.01 K], number of temperatures.
    """

    scopes: int
    days: dict[int, Whole] = field(default_factory=dict)

    def add_energy(self, scope: Whole, quarter: Whole, counts: Whole, seconds: Whole) -> None:
        """Add energy of scopes in quarter hours; shapes (n,). [1e-6 kWh, s]"""
        for day, mine in _by_day(quarter):
            held, place = self._of(day), quarter[mine] % QUARTERS_PER_UTC_DAY
            np.add.at(held, (scope[mine], place), counts[mine])
            np.add.at(held, (self.scopes + scope[mine], place), seconds[mine])

    def add_outdoor(self, quarter: Whole, sums: Whole, number: Whole) -> None:
        """Add outdoor temperatures in quarter hours; shapes (n,). [0.01 °C]"""
        for day, mine in _by_day(quarter):
            held, place = self._of(day), quarter[mine] % QUARTERS_PER_UTC_DAY
            np.add.at(held[-2], place, sums[mine])
            np.add.at(held[-1], place, number[mine])

    def between(self, first: int, end: int) -> Whole:
        """Return what is known of quarter hours; shape (2 * scopes + 2, end - first), 0 where nothing is."""
        begin_day, end_day = first // QUARTERS_PER_UTC_DAY, -(-end // QUARTERS_PER_UTC_DAY)
        nothing = np.zeros((2 * self.scopes + 2, QUARTERS_PER_UTC_DAY), np.int64)
        whole = np.concatenate([self.days.get(day, nothing) for day in range(begin_day, end_day)], axis=1)
        skip = first - begin_day * QUARTERS_PER_UTC_DAY
        return np.asarray(whole[:, skip : skip + end - first])

    def forget_before(self, quarter: int) -> None:
        """Let go of UTC days that are over by then."""
        first = quarter // QUARTERS_PER_UTC_DAY
        self.days = {day: held for day, held in self.days.items() if day >= first}

    def with_scopes(self, before: Mapping[int, int], scopes: int) -> "OpenDays":
        """Return the same with other scopes.

        Parameters
        ----------
        before
            Which place each scope had, by its new place; one that is not named is new.
        scopes
            How many there are now.
        """
        changed = OpenDays(scopes)
        for day, held in self.days.items():
            own = changed._of(day)
            own[-2:] = held[-2:]
            for now, then in before.items():
                own[now], own[scopes + now] = held[then], held[self.scopes + then]
        return changed

    def _of(self, day: int) -> Whole:
        held = self.days.get(day)
        if held is None:
            held = self.days[day] = np.zeros((2 * self.scopes + 2, QUARTERS_PER_UTC_DAY), np.int64)
        return held


def _by_day(quarter: Whole) -> Iterable[tuple[int, npt.NDArray[np.bool_]]]:
    days = quarter // QUARTERS_PER_UTC_DAY
    return ((int(day), days == day) for day in np.unique(days))
