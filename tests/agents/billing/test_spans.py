"""Days and months of a site, and the quarter hours of its clock."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.billing.spans import day_of, local_day, month_of

ZONES = sorted(available_timezones())


@given(zone=st.sampled_from(ZONES), moment=st.integers(1_420_070_400, 2_051_222_400))
def test_every_clock_is_whole_quarter_hours_from_utc(zone: str, moment: int) -> None:
    offset = datetime.fromtimestamp(moment, ZoneInfo(zone)).utcoffset()

    assert offset is not None
    assert offset % timedelta(minutes=15) == timedelta()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Shanghai", date(2026, 3, 29), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
    ],
)
def test_a_day_is_from_midnight_to_midnight(zone: str, day: date, hours: float) -> None:
    span = day_of(zone, day)

    assert (span.ends_at - span.starts_at) / 3_600_000 == hours
    assert local_day(zone, span.starts_at // 900_000) == day
    assert local_day(zone, span.ends_at // 900_000 - 1) == day
    assert local_day(zone, span.ends_at // 900_000) == day + timedelta(days=1)


@pytest.mark.parametrize(
    ("day", "last"),
    [
        (date(2026, 12, 31), date(2026, 12, 31)),
        (date(2028, 2, 1), date(2028, 2, 29)),
        (date(2026, 2, 28), date(2026, 2, 28)),
    ],
)
def test_a_month_ends_with_its_last_day(day: date, last: date) -> None:
    assert month_of("Asia/Shanghai", day).last == last
