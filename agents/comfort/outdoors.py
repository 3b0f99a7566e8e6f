"""Outdoor temperature in the coming hours: as warm as now, and from there as days usually go."""

from datetime import datetime, timedelta

import numpy as np

from agents.comfort.settings import Floats

_NEWEST = 0.15
_LEAST_HOURS = 20


class Outdoors:
    """The usual day.

    Examples
    --------
    >>> outdoors = Outdoors()
    >>> for hour in range(24):
    ...     outdoors.hear(datetime(2026, 7, 1, hour), 20.0 + hour)
    >>> outdoors.ahead(datetime(2026, 7, 2, 8), 3, 3600.0, 30.0).tolist()
    [30.0, 31.0, 32.0]
    """

    def __init__(self) -> None:
        self.by_hour: Floats = np.full(24, np.nan)

    def hear(self, now: datetime, outdoor_c: float) -> None:
        """Take what it is now, NaN where unknown. [°C]"""
        if np.isnan(outdoor_c):
            return
        before = self.by_hour[now.hour]
        self.by_hour[now.hour] = outdoor_c if np.isnan(before) else before + _NEWEST * (outdoor_c - before)

    def ahead(self, now: datetime, count: int, step_s: float, outdoor_c: float) -> Floats:
        """Return so many steps from now on, as it is now until a day was seen; shape (count,). [°C]"""
        if np.isfinite(self.by_hour).sum() < _LEAST_HOURS:
            return np.full(count, outdoor_c)
        known = np.flatnonzero(np.isfinite(self.by_hour))
        at = [now + timedelta(seconds=step_s * step) for step in range(count)]
        hours = np.array([one.hour + one.minute / 60 for one in at])
        usual_c = np.interp(hours, known, self.by_hour[known], period=24)
        return np.asarray(outdoor_c + usual_c - usual_c[0])
