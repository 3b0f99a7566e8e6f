"""Public holidays: which local days a tariff's holiday rules mean, by the maintained library `holidays`.

The library knows two things apart. The *statutory dates* of a holiday carry its plain name. The *days off*
are what the state announces for each year: the statutory dates with the weekends and substituted days around
them, less the weekend days that must be worked in return.
"""

from datetime import date, timedelta
from functools import lru_cache

from holidays import HolidayBase, country_holidays

from schemas.reference.tariffs import HolidayCalendar, HolidayRule

ONE_DAY = timedelta(days=1)


class UnknownHolidayError(LookupError):
    """The library `holidays` has no day of this name in this year: our names and its names went apart."""


def statutory_dates(calendar: HolidayCalendar, holiday: str, year: int) -> list[date]:
    """Return the dates the law names for a holiday, sorted.

    Parameters
    ----------
    calendar
        Country, and the names the library uses.
    holiday
        Our name of the holiday.
    year
        Calendar year.

    Raises
    ------
    UnknownHolidayError
        If the library has no such day in this year.

    Examples
    --------
    >>> china = HolidayCalendar(country="CN", names={"labour_day": ("Labor Day",)})
    >>> [str(day) for day in statutory_dates(china, "labour_day", 2026)]
    ['2026-05-01', '2026-05-02']
    """
    names = calendar.names[holiday]
    of_year = _holidays(calendar.country, year)
    dates = sorted(day for day in of_year if day.year == year and set(of_year.get_list(day)) & set(names))
    if not dates:
        raise UnknownHolidayError(f"the library `holidays` names no {' or '.join(names)} in {calendar.country} {year}")
    return dates


def days_off(calendar: HolidayCalendar, holiday: str, year: int) -> list[date]:
    """Return the whole break around a holiday: every day not worked that touches a statutory date, sorted.

    Examples
    --------
    >>> china = HolidayCalendar(country="CN", names={"labour_day": ("Labor Day",)})
    >>> [str(day) for day in days_off(china, "labour_day", 2026)]
    ['2026-05-01', '2026-05-02', '2026-05-03', '2026-05-04', '2026-05-05']
    """
    days = set(statutory_dates(calendar, holiday, year))
    for step in (-ONE_DAY, ONE_DAY):
        for start in statutory_dates(calendar, holiday, year):
            day = start + step
            while day not in days and not _is_worked(calendar.country, day):
                days.add(day)
                day += step
    return sorted(days)


def days_of_rule(calendar: HolidayCalendar, rule: HolidayRule, year: int) -> frozenset[date]:
    """Return the days a holiday rule means by the holidays of one year; a break may begin the year before.

    Parameters
    ----------
    calendar
        Country, and the names the library uses.
    rule
        The rule of the tariff.
    year
        Calendar year of the statutory dates.

    Raises
    ------
    UnknownHolidayError
        If the library does not know a holiday of the rule.
    """
    days: set[date] = set()
    for holiday in rule.holidays:
        statutory = statutory_dates(calendar, holiday, year)
        whole_break = days_off(calendar, holiday, year)
        if rule.min_days_off is not None and len(whole_break) < rule.min_days_off:
            continue
        meant = statutory if rule.days == "statutory_dates" else whole_break
        if rule.first_days is not None:
            meant = [day for day in meant if day >= statutory[0]][: rule.first_days]
        days.update(meant)
    return frozenset(days)


def is_working_weekend(country: str, day: date) -> bool:
    """Return whether a weekend day must be worked, in return for a substituted day off.

    Examples
    --------
    >>> is_working_weekend("CN", date(2026, 2, 14)), is_working_weekend("CN", date(2026, 2, 15))
    (True, False)
    """
    of_year = _holidays(country, day.year)
    return of_year.is_weekend(day) and of_year.is_working_day(day)


def is_public_holiday(country: str, day: date) -> bool:
    """Return whether a day is a public holiday, or a day off in its place.

    Examples
    --------
    >>> is_public_holiday("CN", date(2026, 10, 7)), is_public_holiday("CN", date(2026, 10, 8))
    (True, False)
    """
    return day in _holidays(country, day.year)


def _is_worked(country: str, day: date) -> bool:
    return _holidays(country, day.year).is_working_day(day)


@lru_cache(maxsize=64)
def _holidays(country: str, year: int) -> HolidayBase:
    # Years are fixed: looking up a day of another year must not grow the cached calendar.
    return country_holidays(country, years=year, expand=False, language="en_US")
