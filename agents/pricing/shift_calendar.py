"""The shifts of a site on given days: by weekday, without public holidays, with the weekend days worked in return."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from agents.pricing.rest_days import is_public_holiday, is_working_weekend
from schemas.reading import TIMESTAMP
from schemas.registry import Shift, Site

# One row per shift that is worked.
WORKED: dict[str, pl.DataType] = {
    "local_day": pl.Date(),  # on which it begins
    "shift": pl.String(),
    "start": TIMESTAMP,
    "end": TIMESTAMP,  # exclusive
}

_ONE_DAY = timedelta(days=1)
_MONDAY, _FRIDAY, _SATURDAY = 1, 5, 6


def shifts_of(site: Site, day: date) -> tuple[Shift, ...]:
    """Return the shifts that begin on a local day of a site.

    Parameters
    ----------
    site
        The site. One that does not work on holidays has none on them, and on a weekend day that is worked in return
        the shifts of the weekday next to it, unless it has shifts of its own on that day.
    day
        A local day.
    """
    if site.works_on_holidays:
        return _on(site, day.isoweekday())
    if is_public_holiday(site.country, day):
        return ()
    own = _on(site, day.isoweekday())
    if own or not is_working_weekend(site.country, day):
        return own
    return _on(site, _FRIDAY if day.isoweekday() == _SATURDAY else _MONDAY)


def worked_shifts(site: Site, first_day: date, last_day: date) -> pl.DataFrame:
    """Return the shifts that begin on local days, both included, as `WORKED`, by their start.

    A shift lasts from and to the times on the clock: with a change of daylight saving time it is an hour shorter or
    longer.
    """
    rows = sorted(_worked(site, first_day, last_day), key=lambda row: (row[2], row[1]))
    return pl.DataFrame(rows, schema=WORKED, orient="row")


def shift_at(site: Site, moments: pl.Series) -> pl.Series:
    """Return the name of the shift in which each moment lies, null outside of all.

    Parameters
    ----------
    site
        The site.
    moments
        In UTC, in any order.

    Notes
    -----
    Where shifts overlap, the one that began last counts.
    """
    at = pl.DataFrame({"at": moments.cast(TIMESTAMP)}).with_row_index("place").sort("at")
    low, high = at["at"].min(), at["at"].max()
    if not isinstance(low, datetime) or not isinstance(high, datetime):
        return pl.Series("shift", [None] * moments.len(), dtype=pl.String)
    # A shift of the day before may still last; the day in UTC may be the next one at the site.
    worked = worked_shifts(site, low.date() - 2 * _ONE_DAY, high.date() + _ONE_DAY)
    found = at.join_asof(worked, left_on="at", right_on="start", check_sortedness=False)
    within = pl.when(pl.col("at") < pl.col("end")).then("shift")
    return found.with_columns(shift=within).sort("place")["shift"]


def _on(site: Site, weekday: int) -> tuple[Shift, ...]:
    return tuple(shift for shift in site.shifts if weekday in shift.weekdays)


def _worked(site: Site, first_day: date, last_day: date) -> Iterator[tuple[date, str, datetime, datetime]]:
    for number in range((last_day - first_day).days + 1):
        day = first_day + number * _ONE_DAY
        for shift in shifts_of(site, day):
            end_day = day + _ONE_DAY if shift.over_midnight else day
            yield day, shift.name, _moment(site, day, shift.start_min), _moment(site, end_day, shift.end_min)


def _moment(site: Site, day: date, minutes: int) -> datetime:
    """Return a time on the clock of a site; 24:00 is the next midnight."""
    whole_days, rest = divmod(minutes, 24 * 60)
    on_the_clock = datetime.combine(day + whole_days * _ONE_DAY, time(rest // 60, rest % 60), site.zone_info)
    return on_the_clock.astimezone(UTC)
