"""Peak surge: far more power than usual while electricity is dear, and not only because the whole day is like that.

The excess over the expectation of two hours, less most of what was in excess in the three hours before, is compared
with the largest of each working day before.
"""

from collections import deque
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from agents.anomalies.limits import Limit, Rule
from agents.anomalies.profile import DayClass, Expectation

# In hours at the running level.
SURGE = Rule(spans=60, least=30, margin=1.1, floor=0.2)
_NEW, _HOUR, _BEFORE = 8, 4, 3  # quarter hours that are judged; of an hour; hours before
SURGE_QUARTERS = _NEW + _BEFORE * _HOUR
_EXPLAINED = 0.8  # of the excess that was there before; or of what was missing, so that a quiet day hides no surge
QUARTER_H = 0.25


@dataclass(slots=True)
class Surging:
    """What is known of one meter.

    Parameters
    ----------
    limit
        Of working days.
    excess
        Of the last five hours, by quarter hour, as a share of the running level; None = not known.
    highest
        Largest score of the day.
    counted
        Whether the day could be scored.
    """

    limit: Limit = field(default_factory=Limit)
    excess: deque[float | None] = field(default_factory=lambda: deque(maxlen=SURGE_QUARTERS))
    highest: float = 0.0
    counted: bool = False

    def take(
        self, hour: int, of: DayClass, day: Expectation | None, power_kw: float | None, *, is_dear: bool
    ) -> float | None:
        """Take a quarter hour and return the score of the two hours that end with it; None where there is none.

        Parameters
        ----------
        hour
            Local hour.
        of, day
            Class of the local day, and what is expected of it.
        power_kw
            Mean power; None = not known.
        is_dear
            Whether it lies in a sharp or peak period of the tariff.
        """
        if day is None or power_kw is None or day.running_kw <= 0:
            self.excess.append(None)
            return None
        self.excess.append(float(np.float32((power_kw - day.expected_kw[hour]) / day.running_kw)))
        if not is_dear or of is not DayClass.WORKING or len(self.excess) < SURGE_QUARTERS:
            return None
        values = list(self.excess)
        new = [value for value in values[-_NEW:] if value is not None]
        if len(new) < _NEW:
            return None
        before = [
            sum(known) / len(known)
            for begin in range(0, _BEFORE * _HOUR, _HOUR)
            if (known := [value for value in values[begin : begin + _HOUR] if value is not None])
        ]
        explained = median(before) if before else 0.0
        score = (sum(new) - _EXPLAINED * explained * _NEW) * QUARTER_H
        self.counted = True
        self.highest = max(self.highest, score)
        return score

    def end_day(self) -> None:
        """Remember the largest score of the day."""
        if self.counted:
            self.limit.note(self.highest, SURGE)
        self.highest = 0.0
        self.counted = False
