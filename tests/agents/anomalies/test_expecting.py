"""What a day should draw: shares that are found again, wild days that move nothing, values that reach no model."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.anomalies.conditions import KEPT_DAYS as KEPT_CONDITIONS
from agents.anomalies.conditions import Conditions, Day
from agents.anomalies.drifting import KEPT_DAYS, Drifting, Spent
from agents.anomalies.expecting import Band, fit
from agents.anomalies.profile import DayClass

CLASSES = [DayClass.WORKING] * 5 + [DayClass.SATURDAY, DayClass.OFF]
END = date(2026, 8, 1).toordinal()


def weeks(count: int, outdoor_c: float | None = None) -> list[Day]:
    return [Day(CLASSES[n % 7], outdoor_c, None) for n in range(7 * count)]


def fitted(power_kw: list[float], days: list[Day], of: DayClass = DayClass.WORKING) -> Band:
    band = fit(np.array(power_kw, np.float32), days, of)
    assert band is not None
    return band


def test_each_sort_of_day_is_expected_to_draw_what_it_drew():
    days = weeks(8)
    kw = {DayClass.WORKING: 100.0, DayClass.SATURDAY: 60.0, DayClass.OFF: 20.0}
    band = fitted([kw[day.of] for day in days], days)

    for of, power in kw.items():
        assert band.expected(Day(of, None, None)) * band.usual_kw == pytest.approx(power, rel=0.01)


def test_the_share_of_heating_and_of_what_is_made_is_found():
    rng = np.random.default_rng(0)
    days = [Day(DayClass.WORKING, rng.uniform(-5, 30), rng.uniform(0, 9)) for _ in range(56)]
    power = [50 + 2.0 * max(0.0, 15.0 - (day.outdoor_c or 0)) + 3.0 * (day.units or 0) for day in days]
    band = fitted(power, days)
    usual, cold = Day(DayClass.WORKING, 15.0, 4.0), Day(DayClass.WORKING, 0.0, 4.0)

    assert band.weather_kw(cold, [usual]) == pytest.approx(2.0 * 15, rel=0.05)
    assert band.made_kw(Day(DayClass.WORKING, 15.0, 8.0), [usual]) == pytest.approx(3.0 * 4, rel=0.05)


def test_one_wild_day_does_not_move_what_is_expected():
    days = weeks(8)
    power = [100.0 + n % 3 for n in range(56)]
    wild = [*power[:40], 2000.0, *power[41:]]
    usual = Day(DayClass.WORKING, None, None)

    assert fitted(wild, days).expected(usual) == pytest.approx(fitted(power, days).expected(usual), rel=0.02)


@given(st.floats(1e-3, 1e6))
def test_a_meter_that_is_so_many_times_as_large_is_expected_to_draw_so_many_times_as_much(scale: float):
    days = weeks(4, 20.0)
    power = [10.0 + (n * 7) % 5 for n in range(28)]
    small, large = fitted(power, days), fitted([scale * kw for kw in power], days)

    assert large.usual_kw == pytest.approx(scale * small.usual_kw, rel=1e-5)
    assert large.expected(days[0]) == pytest.approx(small.expected(days[0]), rel=1e-4)


@pytest.mark.parametrize("known", [0, 10, 20])
def test_nothing_is_expected_before_three_weeks_are_known(known: int):
    power = [np.nan] * (56 - known) + [100.0] * known

    assert fit(np.array(power, np.float32), weeks(8), DayClass.WORKING) is None


def test_nothing_is_expected_of_a_sort_of_day_that_was_not_seen_three_times():
    days = [Day(DayClass.WORKING, None, None)] * 54 + [Day(DayClass.OFF, None, None)] * 2

    assert fit(np.full(56, 100.0, np.float32), days, DayClass.OFF) is None


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_reaches_no_model(wrong: float):
    drifting, conditions = Drifting(), Conditions()
    for n in range(KEPT_DAYS):
        conditions.classify(END - KEPT_DAYS + 1 + n, CLASSES[n % 7])
        conditions.warm(END - KEPT_DAYS + 1 + n, wrong if n % 5 == 0 else 20.0)
        conditions.make(END - KEPT_DAYS + 1 + n, None, wrong if n % 7 == 0 else 3.0)
        drifting.end_day(END - KEPT_DAYS + 1 + n, 0, wrong if n % 9 == 0 else 100.0, Spent())
    days = conditions.before(END, KEPT_DAYS, None)

    assert drifting.judge(days, 0, {}, frozenset()) == []
    assert np.isfinite(drifting.above_kw)
    assert np.isnan(drifting.kept_kw).sum() == KEPT_DAYS // 9
    assert all(day.outdoor_c in (None, 20.0) and day.units in (0.0, 3.0, None) for day in days)


def test_days_that_were_passed_over_are_not_known():
    drifting = Drifting()
    drifting.end_day(100, 0, 5.0, Spent())
    drifting.end_day(104, 0, 6.0, Spent())

    assert drifting.kept_kw[-5:].tolist() == pytest.approx([5.0, np.nan, np.nan, np.nan, 6.0], nan_ok=True)


def test_a_line_has_its_own_production_and_a_meter_without_one_that_of_the_site():
    conditions = Conditions()
    for day in range(END - 9, END + 1):
        conditions.make(day, "press", 2.0)
        conditions.make(day, "oven", 3.0)

    assert conditions.before(END, 1, "press")[0].units is None  # too few reports among the days that are asked for
    assert conditions.before(END, 8, "press")[-1].units == 2.0
    assert conditions.before(END, 8, None)[-1].units == 5.0
    assert conditions.before(END + 1, 8, "press")[-1].units == 0.0  # nothing was reported of that day


def test_days_of_ten_weeks_are_kept_and_come_back_from_a_snapshot():
    conditions = Conditions()
    for day in range(END - 200, END + 1):
        conditions.classify(day, DayClass.OFF)
        conditions.warm(day, float(day % 30))

    assert len(conditions.days) == KEPT_CONDITIONS
    assert Conditions.of_numbers(conditions.numbers()) == conditions
