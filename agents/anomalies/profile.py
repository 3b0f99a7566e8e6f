"""What a meter usually draws: by hour of the day, for working days, Saturdays and days off.

Means and mean deviations are learnt day by day with exponential forgetting; a day that is far off counts as far as four
deviations only, so that one left-on night does not become the expectation. What recent days had more or less than the
profile (weather, order book) is followed by the hour as well.
"""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

HOURS = 24
NIGHT_FROM, NIGHT_UNTIL = 16, 8  # local hours; the rest is day-time


class DayClass(IntEnum):
    """Days that are alike."""

    WORKING = 0
    SATURDAY = 1
    OFF = 2  # Sundays, public holidays, days on which no shift works


_MEMORY_DAYS = {DayClass.WORKING: 30.0, DayClass.SATURDAY: 8.0, DayClass.OFF: 8.0}
_RECENT_SHARE = 0.3  # of a day in what recent days had more or less
_LEAST_WORKING, _LEAST_OF_CLASS = 15, 3  # days before the profile is an expectation
_FARTHEST = 4.0  # mean deviations
_LEAST_HOURS = 12  # known of a day that is learnt
_OFF_BELOW = 0.25  # of the way from the least to the running level
_LEAST_CONTRAST = 0.3  # between them, of the running level: below, nothing of the meter is ever off
_RUNNING_QUANTILE, _LEAST_QUANTILE = 0.85, 0.1


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of one day, by local hour.

    Parameters
    ----------
    expected_kw
        Learnt mean with what recent days had more or less.
    usual_kw
        The same, but in hours when it is off the highest of the neighbouring ones: nobody stops to the minute.
    tolerance_kw
        Mean deviation.
    is_off
        Hours in which it is off or on stand-by.
    least_kw, running_kw
        The levels between which it moves.
    knows_off
        Whether it is off at all, ever: its levels are apart.
    learnt_days
        Days it was learnt from.
    """

    expected_kw: list[float]
    usual_kw: list[float]
    tolerance_kw: list[float]
    is_off: list[bool]
    least_kw: float
    running_kw: float
    knows_off: bool
    learnt_days: int

    @property
    def span_kw(self) -> float:
        """From the least to running."""
        return self.running_kw - self.least_kw

    def off_hours(self, *, at_night: bool) -> int:
        """Return in how many hours of the night or the day-time it is off."""
        return sum(off for hour, off in enumerate(self.is_off) if is_night(hour) == at_night)


def is_night(hour: int) -> bool:
    """Return whether a local hour belongs to the night."""
    return hour >= NIGHT_FROM or hour < NIGHT_UNTIL


def _empty() -> Floats:
    return np.full((len(DayClass), HOURS), np.nan, np.float32)


@dataclass(slots=True)
class Profile:
    """The learnt profile of one meter.

    Parameters
    ----------
    mean_kw, deviation_kw
        By class of day and local hour, shape (3, 24); NaN where nothing is known.
    recent_kw
        What recent days had more or less, by local hour.
    days
        Days learnt of each class.
    """

    mean_kw: Floats = field(default_factory=_empty)
    deviation_kw: Floats = field(default_factory=_empty)
    recent_kw: Floats = field(default_factory=lambda: np.zeros(HOURS, np.float32))
    days: list[int] = field(default_factory=lambda: [0] * len(DayClass))

    def is_ready(self, of: DayClass) -> bool:
        """Return whether enough days were learnt to expect anything of such a day."""
        return self.days[DayClass.WORKING] >= _LEAST_WORKING and self.days[of] >= _LEAST_OF_CLASS

    def expectation(self, of: DayClass) -> Expectation | None:
        """Return what is expected of a day of this class; None while too little is known."""
        known = self.mean_kw[of]
        if not self.is_ready(of) or np.isnan(known).any() or np.isnan(self.mean_kw[DayClass.WORKING]).any():
            return None
        running = float(np.quantile(self.mean_kw[DayClass.WORKING], _RUNNING_QUANTILE))
        least = float(np.nanquantile(self.mean_kw, _LEAST_QUANTILE))
        span = running - least
        off = known < least + _OFF_BELOW * span
        around = np.maximum(known, np.maximum(np.roll(known, 1), np.roll(known, -1)))
        usual = np.where(off, np.minimum(around, least + _OFF_BELOW * span), known)
        expected = np.maximum(known + self.recent_kw, 0)
        return Expectation(
            expected.tolist(),
            np.maximum(usual + self.recent_kw, expected).tolist(),
            self.deviation_kw[of].tolist(),
            off.tolist(),
            least,
            running,
            running > 0 and span > _LEAST_CONTRAST * running,
            sum(self.days),
        )

    def learn(self, of: DayClass, hourly_kw: Floats) -> None:
        """Take in a day.

        Parameters
        ----------
        of
            Its class.
        hourly_kw
            Mean power of each local hour, NaN where it is not known, shape (24,). Days of which less than half is known
            are passed over.
        """
        known = np.isfinite(hourly_kw)
        if int(known.sum()) < _LEAST_HOURS:
            return
        mean, deviation = self.mean_kw[of], self.deviation_kw[of]
        has = np.isfinite(mean)
        both = known & has
        off_kw = np.where(both, hourly_kw - np.where(has, mean, 0), 0).astype(np.float32)
        if self.is_ready(of):
            half = np.float32(0.5) * np.nanmax(self.mean_kw)
            gap = np.clip(off_kw, -half, half) - self.recent_kw
            self.recent_kw = np.where(both, self.recent_kw + np.float32(_RECENT_SHARE) * gap, self.recent_kw)
        share = np.float32(max(1 / _MEMORY_DAYS[of], 1 / (self.days[of] + 1)))
        widest = np.float32(0.02) * np.max(mean[has]) if has.any() else np.float32(0)
        farthest = np.float32(_FARTHEST) * np.where(has, deviation, 0) + widest
        counted = np.clip(off_kw, -farthest, farthest)
        first = known & ~has
        self.mean_kw[of] = np.where(first, hourly_kw, np.where(both, mean + share * counted, mean))
        self.deviation_kw[of] = np.where(
            first,
            np.float32(0.1) * np.abs(hourly_kw),
            np.where(both, deviation + share * (np.abs(counted) - deviation), deviation),
        )
        self.days[of] += 1
