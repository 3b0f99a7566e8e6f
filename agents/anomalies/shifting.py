"""A level that shifts for weeks: the newest days against those some weeks before, by their own usual difference."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agents.anomalies.limits import Limit, Rule

CREEP = Rule(spans=180, least=45, margin=1.2, floor=0.0)
_NEWEST_DAYS, _PAUSE_DAYS, _BEFORE_DAYS = 10, 5, 27
KEPT_DAYS = _NEWEST_DAYS + _PAUSE_DAYS + _BEFORE_DAYS
_QUIET_QUANTILE = 0.25  # of the newest days: a few busy nights are no creep
_LEAST_SHARE = 0.1  # of the level before
_LEAST_KNOWN = 0.5  # of the days
_BASE_HOURS = 4  # the least power of a day is the mean of its lowest hours


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the newest days are above those before, and what they were."""

    score: float
    before: float
    newest: float


@dataclass(slots=True)
class Shifting:
    """The newest daily levels of one meter.

    Parameters
    ----------
    limit
        Of the difference between newest and earlier days. In the unit of the level.
    levels
        By day, NaN where not known, at most `KEPT_DAYS`.
    """

    limit: Limit = field(default_factory=Limit)
    levels: list[float] = field(default_factory=list)

    def take(self, level: float) -> tuple[Shift, float | None] | None:
        """Take the level of a day; return the shift and the limit it must exceed, None while too little is known."""
        self.levels = [*self.levels, float(np.float32(level))][-KEPT_DAYS:]
        if len(self.levels) < KEPT_DAYS:
            return None
        values = np.array(self.levels)
        newest, before = values[-_NEWEST_DAYS:], values[:_BEFORE_DAYS]
        if any(np.isfinite(part).mean() < _LEAST_KNOWN for part in (newest, before)):
            return None
        usual = float(np.nanmedian(before))
        now = float(np.nanquantile(newest, _QUIET_QUANTILE))
        learnt = self.limit.of(CREEP)
        self.limit.note(now - usual, CREEP)
        return Shift(now - usual, usual, now), None if learnt is None else max(learnt, _LEAST_SHARE * abs(usual))


def base_kw(hourly_kw: Sequence[float]) -> float:
    """Return the mean of the four lowest hours of a day, NaN when fewer than 18 hours are known. [kW].

    Examples
    --------
    >>> base_kw([5.0] * 20 + [1.0, 2.0, 3.0, 2.0])
    2.0
    """
    known = sorted(value for value in hourly_kw if np.isfinite(value))
    return float(np.mean(known[:_BASE_HOURS])) if len(known) >= 18 else float("nan")
