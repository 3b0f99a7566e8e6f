"""The shifts of a site: by weekday, over midnight, on holidays, on worked weekends and when clocks change."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from builders import a_site
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.pricing.shift_calendar import shift_at, shifts_of, worked_shifts
from schemas.registry import Shift, Site

WEEKDAYS = (1, 2, 3, 4, 5)
EARLY = Shift(name="early", weekdays=WEEKDAYS, start="06:00", end="14:00")
NIGHT = Shift(name="night", weekdays=WEEKDAYS, start="22:00", end="06:00")
SATURDAY = Shift(name="saturday", weekdays=(6,), start="08:00", end="12:00")


def a_mill(*shifts: Shift, **given: object) -> Site:
    return a_site(shifts=shifts or (EARLY, NIGHT), **given)


def names(site: Site, day: date) -> list[str]:
    return [shift.name for shift in shifts_of(site, day)]


def at(site: Site, *moments: datetime) -> list[str | None]:
    return shift_at(site, pl.Series(moments, dtype=pl.Datetime("ms", "UTC"))).to_list()


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 9, 25), []),  # Mid-Autumn, a Friday
        (date(2026, 9, 24), ["early", "night"]),
        (date(2026, 10, 7), []),  # a day off, worked on October 10
        (date(2026, 10, 10), ["early", "night"]),  # a Saturday that is worked as a Friday is
        (date(2026, 9, 20), ["early", "night"]),  # a Sunday that is worked as a Monday is
        (date(2026, 10, 17), []),  # an ordinary Saturday
    ],
)
def test_holidays_are_free_and_weekends_are_worked_in_return(day: date, expected: list[str]) -> None:
    assert names(a_mill(), day) == expected


def test_a_site_with_shifts_of_its_own_on_a_worked_saturday_works_these() -> None:
    assert names(a_mill(EARLY, SATURDAY), date(2026, 10, 10)) == ["saturday"]


def test_a_site_that_works_on_holidays_goes_by_weekdays_alone() -> None:
    mill = a_mill(works_on_holidays=True)

    assert names(mill, date(2026, 10, 7)) == ["early", "night"]
    assert names(mill, date(2026, 10, 10)) == []


def test_a_night_shift_ends_on_the_next_morning() -> None:
    found = worked_shifts(a_mill(), date(2026, 7, 15), date(2026, 7, 15))

    assert found.rows() == [
        (date(2026, 7, 15), "early", _utc(2026, 7, 14, 22), _utc(2026, 7, 15, 6)),
        (date(2026, 7, 15), "night", _utc(2026, 7, 15, 14), _utc(2026, 7, 15, 22)),
    ]


def test_a_moment_is_in_the_shift_that_has_begun_and_not_ended() -> None:
    mill = a_mill()

    assert at(
        mill,
        _utc(2026, 7, 15, 13, 59),  # 21:59, between the shifts
        _utc(2026, 7, 15, 22),  # 06:00, when night ends early begins
        _utc(2026, 7, 15, 14),  # 22:00
        _utc(2026, 7, 17, 21, 59),  # Saturday 05:59, the night shift of Friday
        _utc(2026, 7, 17, 22),  # Saturday 06:00
    ) == [None, "early", "night", "night", None]


def test_of_overlapping_shifts_the_one_that_began_last_counts() -> None:
    day = Shift(name="day", weekdays=(3,), start="00:00", end="24:00")
    noon = Shift(name="noon", weekdays=(3,), start="12:00", end="13:00")

    assert at(a_mill(day, noon), _utc(2026, 7, 15, 3, 59), _utc(2026, 7, 15, 4)) == ["day", "noon"]


def test_a_shift_through_a_change_of_clocks_is_an_hour_shorter() -> None:
    # On March 8, 2026 New York goes from 02:00 to 03:00.
    night = Shift(name="night", weekdays=(6,), start="22:00", end="06:00")
    found = worked_shifts(a_mill(night, time_zone="America/New_York"), date(2026, 3, 7), date(2026, 3, 7))

    assert (found["end"][0] - found["start"][0]) == timedelta(hours=7)


def test_no_moments_are_in_no_shift_and_a_site_without_shifts_has_none() -> None:
    assert at(a_mill()) == []
    assert at(a_site(), _utc(2026, 7, 15, 4)) == [None]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60 * 24 * 60), min_size=1, max_size=20))
def test_asking_for_many_moments_is_asking_for_each(minutes: list[int]) -> None:
    moments = [_utc(2026, 9, 1) + timedelta(minutes=one) for one in minutes]

    assert at(a_mill(), *moments) == [at(a_mill(), one)[0] for one in moments]


def _utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
