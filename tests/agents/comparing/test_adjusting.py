"""A period beside an earlier one: adjusted by hand-computed amounts, or not adjusted and why."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from agents.comparing.adjusting import DAYS, Span, compared
from agents.comparing.model import heating_kd

FIRST = date(2025, 1, 1)
DAYS_KNOWN = 400
OUTDOOR = 16 - 14 * np.cos((np.arange(DAYS_KNOWN) - 20) / 365 * 2 * np.pi)
JANUARY, DECEMBER = Span(date(2026, 1, 1), date(2026, 1, 31)), Span(date(2025, 12, 1), date(2025, 12, 31))


def some_days(**changed: object) -> pl.DataFrame:
    """400 days from the beginning of 2025, whose energy is 500 + 20 for every kelvin below 18.5."""
    about: dict[str, object] = {
        "local_day": [FIRST + timedelta(days=number) for number in range(DAYS_KNOWN)],
        "energy_kwh": 500 + 20 * heating_kd(OUTDOOR, 18.5),
        "outdoor_c": OUTDOOR,
        "units_made": [None] * DAYS_KNOWN,
    }
    return pl.DataFrame(about | changed, schema=DAYS)


def where(span: Span, inside: object, outside: object) -> pl.Expr:
    is_inside = pl.col("local_day").is_between(span.first_day, span.last_day)
    return pl.when(is_inside).then(pl.lit(inside)).otherwise(outside)


def test_a_colder_month_that_needed_more_has_not_changed() -> None:
    found = compared(some_days(), JANUARY, DECEMBER, makes_units=False)

    assert found.change is not None
    assert found.change > 0.01
    assert found.adjusted_for == ("weather",)
    assert found.adjusted_change == pytest.approx(0, abs=1e-9)
    assert found.why_not == ""


def test_what_the_weather_does_not_explain_stays() -> None:
    # 100 kWh a day are saved in January. By hand: the mean December day, moved to the weather of January, is
    # 500 + 20 * mean(HDD of January).
    days = some_days().with_columns(energy_kwh=pl.col("energy_kwh") - where(JANUARY, 100.0, 0.0))
    mean_hdd = float(heating_kd(OUTDOOR[365:396], 18.5).mean())

    found = compared(days, JANUARY, DECEMBER, makes_units=False)

    assert found.adjusted_other_kwh == pytest.approx(500 + 20 * mean_hdd)
    assert found.adjusted_change == pytest.approx(-100 / (500 + 20 * mean_hdd))


def test_more_production_is_adjusted_for() -> None:
    units = 50 + (np.arange(DAYS_KNOWN) * 7 % 11) + np.where(np.arange(DAYS_KNOWN) >= 365, 0.5, 0.0)
    energy = 500 + 20 * heating_kd(OUTDOOR, 18.5) + 8 * units

    found = compared(some_days(energy_kwh=energy, units_made=units), JANUARY, DECEMBER, makes_units=True)

    assert found.adjusted_for == ("weather", "production")
    assert found.adjusted_change == pytest.approx(0, abs=1e-9)


def test_without_production_it_is_adjusted_for_weather_and_says_what_is_missing() -> None:
    found = compared(some_days(), JANUARY, DECEMBER, makes_units=True)

    assert found.adjusted_for == ("weather",)
    assert found.why_not == "production of 365 of 365 days is missing (the days before)"


def test_without_weather_it_is_not_adjusted_and_says_why() -> None:
    days = some_days().with_columns(outdoor_c=where(JANUARY, None, pl.col("outdoor_c")))

    found = compared(days, JANUARY, DECEMBER, makes_units=False)

    assert found.change is not None
    assert (found.adjusted_change, found.adjusted_for) == (None, ())
    assert found.why_not == "weather of 31 of 31 days is missing (this period)"


def test_a_few_days_without_weather_do_not_matter() -> None:
    days = some_days().with_columns(
        outdoor_c=pl.when(pl.col("local_day") == date(2026, 1, 9)).then(None).otherwise("outdoor_c")
    )

    assert compared(days, JANUARY, DECEMBER, makes_units=False).adjusted_for == ("weather",)


def test_too_few_days_before_are_said() -> None:
    days = some_days().filter(pl.col("local_day") >= date(2025, 12, 4))

    found = compared(days, JANUARY, DECEMBER, makes_units=False)

    assert found.why_not == "only 28 of at least 30 days before are known"


def test_weather_that_was_never_seen_before_is_not_extrapolated_to() -> None:
    days = some_days().with_columns(outdoor_c=where(JANUARY, -25.0, pl.col("outdoor_c")))

    found = compared(days, JANUARY, DECEMBER, makes_units=False)

    assert found.adjusted_change is None
    assert found.why_not == "temperatures lie outside of what the days before have shown"


def test_energy_that_follows_nothing_is_not_adjusted() -> None:
    found = compared(some_days(energy_kwh=[500.0] * DAYS_KNOWN), JANUARY, DECEMBER, makes_units=False)

    assert found.change == 0
    assert found.why_not == "the energy of the days before follows neither weather nor production"


def test_half_a_period_is_not_compared_with_a_whole_one() -> None:
    days = some_days().filter(~pl.col("local_day").is_between(date(2025, 12, 1), date(2025, 12, 15)))

    found = compared(days, JANUARY, DECEMBER, makes_units=False)

    assert found.other_kwh is not None
    assert (found.change, found.adjusted_change) == (None, None)
    assert found.why_not == "energy of 15 of 31 days is missing (the earlier period)"


def test_a_period_without_energy_is_compared_with_nothing() -> None:
    days = some_days().filter(~pl.col("local_day").is_between(DECEMBER.first_day, DECEMBER.last_day))

    found = compared(days, JANUARY, DECEMBER, makes_units=False)

    assert (found.other_kwh, found.change, found.why_not) == (None, None, "there is no energy to compare")
