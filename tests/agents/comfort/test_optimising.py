"""The cheapest course through the coming hours, and what it is made from."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.linear_model import BayesianLinearRegression

from agents.comfort.optimising import Course, Horizon, as_late_as_possible, cheapest
from agents.comfort.power import Power
from agents.comfort.prices import Prices
from agents.comfort.regression import Regressions
from agents.comfort.response import Drift, Response

STEPS = 16
MONDAY = datetime.fromisoformat("2026-07-06")


def a_horizon(zones: int = 1, dear: float = 1.2, allowed_kw: float = np.inf, k: float = 0.05) -> Horizon:
    """Zones at 26 °C in summer, to be held between 20 and 26 °C; energy gets dear halfway."""
    band = np.full((STEPS, zones), 20.0), np.full((STEPS, zones), 26.0)
    return Horizon(
        0.25,
        np.full(zones, 26.0),
        *band,
        np.full(zones, 1.2),
        np.full(STEPS, 32.0),
        Drift(np.full(zones, k), np.full((STEPS, zones), 1.0)),
        np.full((2, zones), 4.0),
        np.full((2, STEPS, zones), 10.0),
        np.where(np.arange(STEPS) < STEPS // 2, 0.4, dear),
        allowed_kw,
    )


def follows(horizon: Horizon, course: Course) -> bool:
    """Whether the temperatures of a course are those its cooling and heating lead to."""
    before = np.concatenate([horizon.air_c[None], course.air_c[:-1]])
    moved_k = (course.moved[1] - course.moved[0]) * horizon.step_h
    return np.allclose(course.air_c, horizon.kept * before + horizon.inflow_k + moved_k, atol=1e-6)


def test_what_is_as_late_as_possible_holds_the_edge_of_the_band():
    horizon = a_horizon()
    course = as_late_as_possible(horizon)

    assert follows(horizon, course)
    assert np.allclose(course.air_c, 26.0)
    # 5 % of six kelvins and one kelvin of gains each hour.
    assert np.allclose(course.moved[0], 1.3)


def test_a_zone_that_is_too_slow_begins_before_people_come():
    horizon = a_horizon()
    high_c = np.where(np.arange(STEPS)[:, None] < 12, 32.0, 23.0)
    waiting = Horizon(**{name: getattr(horizon, name) for name in Horizon.__slots__} | {"high_c": high_c})
    course = as_late_as_possible(waiting)

    assert course.air_c[12, 0] == pytest.approx(23.0)
    assert course.moved[0, :4].max() == 0.0
    assert course.moved[0, 8:12].min() == pytest.approx(4.0)


def test_before_dear_hours_a_zone_is_cooled_in_advance_and_left_to_itself_in_them():
    horizon = a_horizon()
    late = as_late_as_possible(horizon)
    course = cheapest(horizon, late)

    assert course is not None
    assert follows(horizon, course)
    assert course.air_c[7, 0] < 24.0
    assert course.moved[0, 8:11].max() == pytest.approx(0.0, abs=1e-6)
    assert course.cost(horizon)[0] < 0.8 * late.cost(horizon)[0]
    # What is stored leaks: more energy for less money.
    assert course.kwh(horizon).sum() > late.kwh(horizon).sum()


def test_at_a_flat_price_the_cheapest_is_as_late_as_possible():
    horizon = a_horizon(dear=0.4)
    late = as_late_as_possible(horizon)
    course = cheapest(horizon, late)

    assert course is not None
    assert np.allclose(course.air_c, late.air_c, atol=1e-6)


def test_a_zone_that_keeps_nothing_is_not_cooled_in_advance():
    leaky = a_horizon(dear=0.44, k=1.0)
    late = as_late_as_possible(leaky)
    course = cheapest(leaky, late)

    assert course is not None
    assert np.allclose(course.air_c, late.air_c, atol=1e-3)


def test_no_more_power_is_taken_than_was_ever_taken():
    free, bound = a_horizon(zones=40), a_horizon(zones=40, allowed_kw=700.0)
    most_kw = []
    for horizon in (free, bound):
        late = as_late_as_possible(horizon)
        course = cheapest(horizon, late)
        assert course is not None
        most_kw.append((horizon.kw * course.moved).sum(axis=(0, 2)).max())

    assert most_kw[0] > 1000.0
    assert most_kw[1] <= 700.0 + 1e-6  # 40 zones in two programs, 13 kW each to hold the band


def test_a_solver_that_finds_nothing_leaves_no_course():
    horizon = a_horizon()

    assert cheapest(horizon, as_late_as_possible(horizon), iterations=0) is None


@st.composite
def horizons(draw: st.DrawFn) -> Horizon:
    low_c, width_k = draw(st.floats(12, 22)), draw(st.floats(0.5, 12))
    one = np.ones(1)
    return Horizon(
        0.25,
        draw(st.floats(10, 40)) * one,
        np.full((STEPS, 1), low_c),
        np.full((STEPS, 1), low_c + width_k),
        1.2 * one,
        np.full(STEPS, draw(st.floats(-20, 45))),
        Drift(draw(st.floats(0.002, 1)) * one, np.full((STEPS, 1), draw(st.floats(-3, 3)))),
        np.full((2, 1), 3.0),
        np.ones((2, STEPS, 1)),
        np.array(draw(st.lists(st.floats(-0.5, 2), min_size=STEPS, max_size=STEPS))),
        draw(st.one_of(st.just(np.inf), st.floats(0, 50))),
    )


@settings(max_examples=40, deadline=None)
@given(horizons())
def test_whatever_comes_there_is_a_course_that_costs_no_more_and_is_no_further_out_of_the_band(horizon):
    late = as_late_as_possible(horizon)
    course = cheapest(horizon, late)

    assert course is not None
    assert follows(horizon, course)
    assert course.cost(horizon)[0] <= late.cost(horizon)[0] + 1e-3
    assert (course.air_c >= np.minimum(horizon.low_c, late.air_c) - 1e-6).all()
    assert (course.air_c <= np.maximum(horizon.high_c, late.air_c) + 1e-6).all()


def test_regressions_are_what_river_computes():
    chance = np.random.default_rng(3)
    ours = Regressions(np.zeros(3), np.full(3, 2.0), 4.0, 1.0, count=2)
    theirs = [BayesianLinearRegression(alpha=2.0, beta=4.0) for _ in range(2)]
    for _ in range(30):
        features, values = chance.normal(size=(3, 2)), chance.normal(size=2)
        ours.learn(features, values, np.array([True, True]))
        for column, model in enumerate(theirs):
            model.learn_one({str(row): float(features[row, column]) for row in range(3)}, float(values[column]))
    for column, model in enumerate(theirs):
        for row in range(3):
            asked = {str(name): float(name == row) for name in range(3)}
            assert ours.weights[row, column] == pytest.approx(model.predict_one(asked))


def test_response_and_power_are_learnt_from_what_a_zone_shows():
    """A zone whose walls, gains and efficiency are known by construction."""
    chance = np.random.default_rng(0)
    response, power = Response(1), Power(1)
    air_c, cooling_c = 24.0, 26.0
    for step in range(14 * 96):
        at = MONDAY + timedelta(minutes=15 * step)
        here = 8 <= at.hour < 18
        outdoor_c = 27.0 + 5 * np.sin(2 * np.pi * (at.hour - 9) / 24) + chance.normal(0, 0.5)
        # It is cooled deeply each noon, so that people are in it while it is left to itself.
        cooling_c = 23.0 if 12 <= at.hour < 13 else 26.0
        free_c = air_c + 0.25 * (0.06 * (outdoor_c - air_c) + 1.2 * here - 0.1)
        cooled_k_per_h = min(max(free_c - cooling_c, 0.0) / 0.25, 6.0)
        air_c = free_c - 0.25 * cooled_k_per_h
        kw = 2.0 * here + 9.0 * cooled_k_per_h * (1 + 0.02 * (outdoor_c - 25.0))
        moved = response.learn_step(
            at + timedelta(minutes=15),
            np.array([air_c]),
            np.array([[cooling_c], [18.0]]),
            here=np.array([here]),
            outdoor_c=outdoor_c,
            elapsed_s=900.0,
            but=np.array([False]),
        )
        power.learn(moved, np.array([here]), outdoor_c, np.array([kw]), np.nan)

    assert response.is_known.all()
    own, share, people, _ = response.weights[:, 0]
    assert share / 10 == pytest.approx(0.06, abs=0.015)
    assert people == pytest.approx(1.2, abs=0.15)
    assert own == pytest.approx(-0.1, abs=0.1)
    takes_kw, is_known = power.kw_per_k_per_h(np.array([25.0, 35.0]))
    assert is_known.ravel().tolist() == [True, False]  # it never was heated
    assert takes_kw[0, 0, 0] == pytest.approx(9.0, rel=0.1)
    assert takes_kw[0, 1, 0] / takes_kw[0, 0, 0] == pytest.approx(1.2, abs=0.1)


def test_prices_are_those_of_the_time_of_the_week_until_they_are_told():
    prices = Prices({})
    for hour in range(7 * 24):
        at = MONDAY + timedelta(hours=hour)
        for quarter in range(4):
            prices.hear(at + timedelta(minutes=15 * quarter), {"price": 1.0 if at.hour >= 14 else 0.4})
    noon = MONDAY + timedelta(days=7, hours=13)

    assert prices.ahead(noon, 8, 900.0).price.tolist() == [0.4] * 4 + [1.0] * 4
    prices.hear(noon, {"price": [0.4, 0.4, 0.9]})
    assert prices.ahead(noon, 8, 900.0).price.tolist() == [0.4, 0.4, 0.9, 0.4] + [1.0] * 4


def test_a_day_that_was_not_seen_is_taken_to_be_like_the_others_and_what_is_absurd_is_not_believed():
    prices = Prices({})
    for quarter in range(96):
        prices.hear(MONDAY + timedelta(minutes=15 * quarter), {"price": 1.0 if quarter >= 56 else 0.4})
    tuesday = MONDAY + timedelta(days=1, hours=13, minutes=45)

    for absurd in (1e308, -40, "21", None, [], {}, np.nan):
        prices.hear(tuesday, {"price": absurd})
        assert prices.ahead(tuesday, 2, 900.0).price.tolist() == [0.4, 1.0]


def test_carbon_counts_beside_the_price_and_nothing_known_makes_no_difference():
    by_carbon = Prices({"carbon": [0.2] * 12 + [0.8] * 12}).ahead(MONDAY + timedelta(hours=11, minutes=45), 2, 900.0)

    assert by_carbon.value.tolist() == pytest.approx([0.02, 0.08])
    assert by_carbon.differs
    assert not Prices({}).ahead(MONDAY, 8, 900.0).differs
    assert not Prices({"price": 0.6, "carbon": 0.5}).ahead(MONDAY, 8, 900.0).differs
