from datetime import date, timedelta

import pytest

from agents.pricing.rest_days import (
    UnknownHolidayError,
    days_of_rule,
    days_off,
    is_working_weekend,
    statutory_dates,
)
from schemas.reference.catalogue import load_tariffs
from schemas.reference.tariffs import HolidayCalendar, HolidayRule

CHINA = load_tariffs()["cn-zj-large-industry"].holiday_calendar


def days(first: str, last: str) -> list[date]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [start + timedelta(days=step) for step in range((end - start).days + 1)]


def a_rule(holiday: str, **changes: object) -> HolidayRule:
    rule = HolidayRule(name="deep_valley", hours=((10, 14),), ratio=0.2, holidays=(holiday,), days="days_off")
    return rule.model_copy(update=changes)


@pytest.mark.parametrize(
    ("holiday", "year", "first", "last"),
    [
        # As decreed: one day more at Spring Festival and Labour Day since 2025.
        ("new_year", 2025, "2025-01-01", "2025-01-01"),
        ("spring_festival", 2025, "2025-01-28", "2025-01-31"),
        ("qingming", 2025, "2025-04-04", "2025-04-04"),
        ("labour_day", 2025, "2025-05-01", "2025-05-02"),
        ("dragon_boat", 2025, "2025-05-31", "2025-05-31"),
        ("national_day", 2025, "2025-10-01", "2025-10-03"),
        ("mid_autumn", 2025, "2025-10-06", "2025-10-06"),
        ("new_year", 2026, "2026-01-01", "2026-01-01"),
        ("spring_festival", 2026, "2026-02-16", "2026-02-19"),
        ("qingming", 2026, "2026-04-05", "2026-04-05"),
        ("labour_day", 2026, "2026-05-01", "2026-05-02"),
        ("dragon_boat", 2026, "2026-06-19", "2026-06-19"),
        ("mid_autumn", 2026, "2026-09-25", "2026-09-25"),
        ("national_day", 2026, "2026-10-01", "2026-10-03"),
    ],
)
def test_statutory_dates_are_those_of_the_law(holiday: str, year: int, first: str, last: str) -> None:
    assert statutory_dates(CHINA, holiday, year) == days(first, last)


@pytest.mark.parametrize(
    ("holiday", "year", "first", "last"),
    [
        # As the State Council announced the breaks.
        ("new_year", 2024, "2023-12-30", "2024-01-01"),
        ("new_year", 2025, "2025-01-01", "2025-01-01"),
        ("spring_festival", 2025, "2025-01-28", "2025-02-04"),
        ("qingming", 2025, "2025-04-04", "2025-04-06"),
        ("labour_day", 2025, "2025-05-01", "2025-05-05"),
        ("dragon_boat", 2025, "2025-05-31", "2025-06-02"),
        ("national_day", 2025, "2025-10-01", "2025-10-08"),
        ("new_year", 2026, "2026-01-01", "2026-01-03"),
        ("spring_festival", 2026, "2026-02-15", "2026-02-23"),
        ("qingming", 2026, "2026-04-04", "2026-04-06"),
        ("labour_day", 2026, "2026-05-01", "2026-05-05"),
        ("dragon_boat", 2026, "2026-06-19", "2026-06-21"),
        ("mid_autumn", 2026, "2026-09-25", "2026-09-27"),
        ("national_day", 2026, "2026-10-01", "2026-10-07"),
    ],
)
def test_days_off_are_the_announced_break_with_its_weekends_and_substituted_days(
    holiday: str, year: int, first: str, last: str
) -> None:
    assert days_off(CHINA, holiday, year) == days(first, last)


def test_the_first_days_are_counted_from_the_first_statutory_date() -> None:
    # In 2023 the break began on 29 September, with the Mid-Autumn Festival.
    rule = a_rule("national_day", first_days=3)

    assert days_off(CHINA, "national_day", 2023)[0] == date(2023, 9, 29)
    assert sorted(days_of_rule(CHINA, rule, 2023)) == days("2023-10-01", "2023-10-03")
    assert sorted(days_of_rule(CHINA, a_rule("labour_day", first_days=3), 2026)) == days("2026-05-01", "2026-05-03")


def test_a_break_that_is_too_short_does_not_count() -> None:
    assert days_of_rule(CHINA, a_rule("qingming", min_days_off=3), 2023) == frozenset()
    assert len(days_of_rule(CHINA, a_rule("qingming", min_days_off=3), 2026)) == 3


def test_a_rule_for_statutory_dates_leaves_out_the_rest_of_the_break() -> None:
    rule = a_rule("labour_day", days="statutory_dates")

    assert sorted(days_of_rule(CHINA, rule, 2026)) == days("2026-05-01", "2026-05-02")


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        (date(2026, 2, 14), True),  # Saturday, worked for 20 February
        (date(2026, 2, 7), False),  # an ordinary Saturday
        (date(2026, 2, 15), False),  # Sunday of the break
        (date(2026, 2, 13), False),  # a working Friday is no weekend
        (date(2025, 9, 28), True),
    ],
)
def test_a_make_up_working_weekend_is_known(day: date, worked: bool) -> None:
    assert is_working_weekend("CN", day) is worked


def test_a_name_the_library_does_not_know_is_loud() -> None:
    renamed = HolidayCalendar(country="CN", names={"labour_day": ("Labour Holiday",)})

    with pytest.raises(UnknownHolidayError, match="names no Labour Holiday in CN 2026"):
        statutory_dates(renamed, "labour_day", 2026)


def test_two_holidays_on_one_date_are_both_found() -> None:
    assert date(2020, 10, 1) in statutory_dates(CHINA, "mid_autumn", 2020)
    assert date(2020, 10, 1) in statutory_dates(CHINA, "national_day", 2020)
