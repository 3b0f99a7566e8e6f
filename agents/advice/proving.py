"""Verified by metering: weeks after a measure was done against the weeks before, by the measure's own figure.

An interval that is looked at every week would claim what is not there far more often than it says. So the error of 5 %
is spread over the looks: the k-th gets 5 % / (k (k + 1)), which adds up to 5 % however many there are.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

_ERROR = 0.05
LEAST_WEEKS = 2  # on either side, before there is any spread
MOST_WEEKS = 26  # after it was done: what does not show by then is said not to


class Proof(NamedTuple):
    """What meters say.

    Parameters
    ----------
    before, after
        Means of the weeks.
    low, high
        After less before.
    weeks_before, weeks_after
        How many.
    weeks_needed
        More of them until it would show, if it goes on like this; None where that cannot be said.
    shown
        Whether it has changed in the direction that was meant.
    """

    before: float | None
    after: float | None
    low: float | None
    high: float | None
    weeks_before: int
    weeks_after: int
    weeks_needed: int | None
    shown: bool


def prove(before: Sequence[float], after: Sequence[float], *, rises: bool) -> Proof:
    """Compare weeks after with weeks before (Welch's interval, with the error of this look).

    Parameters
    ----------
    before, after
        The figure of each whole week.
    rises
        Whether the measure was meant to raise it.

    References
    ----------
    B. L. Welch, Biometrika 34 (1947) 28-35; the share of each look is a union bound over all of them.

    Examples
    --------
    >>> proof = prove([100.0, 104.0, 98.0, 102.0], [60.0, 63.0, 58.0, 61.0], rises=False)
    >>> proof.shown, round(proof.low), round(proof.high), proof.weeks_needed
    (True, -49, -32, 0)
    >>> prove([100.0, 104.0, 98.0, 102.0], [99.0], rises=False).weeks_needed is None
    True
    """
    mean_before = float(np.mean(before)) if before else None
    mean_after = float(np.mean(after)) if after else None
    counts = len(before), len(after)
    if mean_before is None or mean_after is None or min(counts) < LEAST_WEEKS:
        return Proof(mean_before, mean_after, None, None, *counts, None, shown=False)
    variances = float(np.var(before, ddof=1)), float(np.var(after, ddof=1))
    change = mean_after - mean_before
    # Weeks that are all the same prove nothing by being the same: registers have steps.
    floor = (1e-3 * max(abs(mean_before), abs(mean_after))) ** 2
    variances = max(variances[0], floor), max(variances[1], floor)
    off = _half_width(variances, counts, counts[1])
    low, high = change - off, change + off
    shown = low > 0 if rises else high < 0
    return Proof(mean_before, mean_after, low, high, *counts, _needed(change, variances, counts, rises=rises), shown)


def _half_width(variances: tuple[float, float], counts: tuple[int, int], look: int) -> float:
    parts = variances[0] / counts[0], variances[1] / counts[1]
    total = sum(parts)
    if total <= 0:
        return 0.0
    freedom = total**2 / (parts[0] ** 2 / (counts[0] - 1) + parts[1] ** 2 / (counts[1] - 1))
    quantile = float(stdtrit(np.array([freedom]), 1 - _ERROR / (look * (look + 1)) / 2)[0])
    return quantile * math.sqrt(total)


def _needed(change: float, variances: tuple[float, float], counts: tuple[int, int], *, rises: bool) -> int | None:
    """Return how many more weeks like those seen it takes."""
    if (change > 0) != rises or not change:
        return None
    for weeks in range(counts[1], MOST_WEEKS + 1):
        if _half_width(variances, (counts[0], weeks), weeks) < abs(change):
            return weeks - counts[1]
    return None
