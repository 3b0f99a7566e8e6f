"""What goes on over many intervals of a meter until one ends it: since when, how much, and whether it was told."""

from dataclasses import dataclass

import numpy as np

from agents.metering.points import NEVER, UNKNOWN
from agents.metering.ragged import Flags, Floats, Ints, Rows, runs


@dataclass(frozen=True, slots=True)
class Course:
    """Intervals of meters cut into runs; a run ends with an interval that ends what goes on.

    Parameters
    ----------
    begins, counts
        Of each meter: its first interval, and how many there are.
    run
        Of each interval: the run it is in.
    since
        Of each run: the reading after which it goes on. [ms UTC]
    kwh
        Of each interval: energy of the run up to its end.
    told
        Of each run: whether it was said before.
    """

    begins: Ints
    counts: Ints
    run: Ints
    since: Ints
    kwh: Floats
    told: Flags

    @property
    def last(self) -> Ints:
        """The last interval of each meter."""
        return self.begins + self.counts - 1

    def notices(self, noticed: Flags) -> Ints:
        """Return the first interval of each run that is noticed and was not told, and note that it is."""
        at = np.flatnonzero(noticed & ~self.told[self.run])
        at = at[runs(self.run[at])[0]]
        self.told[self.run[at]] = True
        return at

    def since_of_last(self, goes_on: Flags) -> Ints:
        """Return since when it goes on after the last interval of each meter; UNKNOWN where it does not. [ms UTC]"""
        since: Ints = np.where(goes_on, self.since[self.run[self.last]], UNKNOWN)
        return since


def course(owner: Ints, kwh: Floats, since: Ints, ended: Flags, held: Rows) -> Course:
    """Follow what goes on.

    Parameters
    ----------
    owner
        The meter of each interval; one meter's are side by side, and in order of time.
    kwh
        What each interval adds; 0 where it adds nothing.
    since
        The reading each begins with. [ms UTC]
    ended
        Whether it ends what goes on.
    held
        By meter, what went on before: `since` (UNKNOWN = nothing), `kwh` and `told`.

    Examples
    --------
    >>> nothing = np.array([(UNKNOWN, 0.0, 0)], [("since", "<i8"), ("kwh", "<f8"), ("told", "<i8")])
    >>> found = course(
    ...     np.zeros(4, np.int64), np.array([1.0, 2.0, 0.0, 4.0]), np.arange(4), np.array([0, 0, 1, 0]) > 0, nothing
    ... )
    >>> found.run.tolist(), found.since.tolist(), found.kwh.tolist()
    ([0, 0, 0, 1], [0, 3], [1.0, 3.0, 3.0, 4.0])
    """
    begins, counts = runs(owner)
    mine = held[owner[begins]]
    starts = np.zeros(len(owner), np.bool_)
    starts[begins] = True
    starts[1:] |= ended[:-1]
    run, firsts = np.cumsum(starts) - 1, np.flatnonzero(starts)
    goes_on = np.searchsorted(firsts, begins)
    total = np.cumsum(kwh)
    base = (total - kwh)[firsts]
    base[goes_on] -= mine["kwh"]
    began = np.minimum.reduceat(np.where(kwh > 0, since, NEVER), firsts)
    known = mine["since"] > UNKNOWN
    began[goes_on[known]] = mine["since"][known]
    told = np.zeros(len(firsts), np.bool_)
    told[goes_on] = mine["told"] == 1
    return Course(begins, counts, run, began, total - base[run], told)
