"""Local days: where they begin and end, counted in quarter hours since 1970, and which kind they are."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from agents.pricing.rest_days import is_public_holiday, is_working_weekend
from schemas.registry import Site

QUARTER_MS = 900_000
QUARTERS_PER_UTC_DAY = 96
_FRIDAY, _SATURDAY, _MONDAY = 4, 5, 0
HOLIDAY = 7


@lru_cache(maxsize=8192)
def quarters_of(zone: str, day: int) -> tuple[int, int]:
    """Return the first quarter hour of a local day, and the first one after it.

    Every time zone in use is a whole number of quarter hours from UTC.

    Examples
    --------
    >>> quarters_of("Europe/Berlin", date(2026, 3, 29).toordinal())  # 23 hours
    (1971932, 1972024)
    """
    begin, end = (
        int(datetime.combine(one, time(), tzinfo=ZoneInfo(zone)).timestamp() * 1000) // QUARTER_MS
        for one in (date.fromordinal(day), date.fromordinal(day) + timedelta(days=1))
    )
    return begin, end


def day_of(zone: str, quarter: int) -> int:
    """Return the local day a quarter hour lies in, as an ordinal."""
    moment = datetime.fromtimestamp(quarter * QUARTER_MS / 1000, UTC)
    return moment.astimezone(ZoneInfo(zone)).toordinal()


def kind_of(site: Site, day: int) -> int:
    """Return the kind of a local day: 0 to 6 for Monday to Sunday, 7 for a public holiday.

    A weekend day that is worked in return is like the working day beside it.

    Examples
    --------
    >>> from schemas.contract import Tariff
    >>> from schemas.registry import Meter, MeterKind
    >>> mill = Site(id="mill", tenant="demo", name="Mill", region="CN-ZJ", time_zone="Asia/Shanghai",
    ...             tariff=Tariff(plan="cn-zj-large-industry"), meters=(Meter(id="main", kind=MeterKind.GRID),))
    >>> [kind_of(mill, date(2026, 10, day).toordinal()) for day in (1, 9, 10, 12)]
    [7, 4, 4, 0]
    """
    on = date.fromordinal(day)
    if not site.works_on_holidays:
        if is_public_holiday(site.country, on):
            return HOLIDAY
        if is_working_weekend(site.country, on):
            return _FRIDAY if on.weekday() == _SATURDAY else _MONDAY
    return on.weekday()
