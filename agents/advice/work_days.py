"""Days on which a site works, and the hours in which anybody does."""

from collections.abc import Iterable
from datetime import date

import numpy as np
from numpy.typing import NDArray

from agents.pricing.rest_days import is_public_holiday, is_working_weekend
from agents.pricing.shift_calendar import shifts_of
from schemas.registry import Site

_SATURDAY = 6
_DAY_MIN = 1440


def works_on(site: Site, day: date) -> bool:
    """Return whether a site works on a local day: by its shifts, else on weekdays that are no holidays.

    Examples
    --------
    >>> from schemas.contract import Tariff
    >>> from schemas.registry import Meter, MeterKind
    >>> mill = Site(id="mill", tenant="demo", name="Mill", region="CN-ZJ", time_zone="Asia/Shanghai",
    ...             tariff=Tariff(plan="cn-zj-large-industry"), meters=(Meter(id="main", kind=MeterKind.GRID),))
    >>> [works_on(mill, date(2026, 10, day)) for day in (1, 9, 10, 11)]  # National Day; the 10th is worked in return
    [False, True, True, False]
    """
    if site.shifts:
        return bool(shifts_of(site, day))
    if not site.works_on_holidays and is_public_holiday(site.country, day):
        return False
    return day.isoweekday() < _SATURDAY or (not site.works_on_holidays and is_working_weekend(site.country, day))


def shift_hours(site: Site, days: Iterable[int]) -> NDArray[np.bool_] | None:
    """Return the hours in which a shift may be at work, with one more on either side; None of a site without shifts.

    Parameters
    ----------
    site
        The site.
    days
        Ordinals of local dates to look at.

    Returns
    -------
    NDArray or None
        On days off and on working days, shape (2, 24). A night shift of the day before works on a day off as well.
    """
    if not site.shifts:
        return None
    found = np.zeros((2, 24), bool)
    for number in days:
        day = date.fromordinal(number)
        at = int(works_on(site, day))
        for shift in shifts_of(site, day):
            end_min = shift.end_min + (_DAY_MIN if shift.over_midnight else 0)
            for minute in range(shift.start_min - 60, end_min + 60, 30):
                there = date.fromordinal(number + minute // _DAY_MIN)
                found[at if there == day else int(works_on(site, there)), minute % _DAY_MIN // 60] = True
    return found
