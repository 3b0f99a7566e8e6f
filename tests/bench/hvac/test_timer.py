"""The naive level: a timer that learns when people are there."""

from datetime import datetime, timedelta

import pytest
from simulated import office

from bench.hvac.controllers import CONTROLLERS, controller_named
from bench.hvac.timer import Timer

MONDAY = datetime.fromisoformat("2023-01-02")
OWN = {"baseline_heating_c": {"hall": 21.0}, "baseline_cooling_c": {"hall": 24.0}}  # day and night
INFO = {"zones": ["hall"], "step_s": 900, "comfort": {"occupied": {"hall": (21.0, 24.0)}, "unoccupied": (15.0, 30.0)}}


def weeks(timer: Timer, count: int) -> dict[datetime, tuple[float, float]]:
    """Return what a timer answers while people are in from 08:00 to 18:00 of every day but Sunday."""
    timer.reset(INFO)
    answers = {}
    for step in range(count * 7 * 96):
        now = MONDAY + timedelta(minutes=15 * step)
        before = now - timedelta(minutes=15)
        there = before.weekday() < 6 and 8 <= before.hour < 18
        answer = timer.act(now, OWN | {"zone_occupied": {"hall": there}})
        answers[now] = answer["heating_c"]["hall"], answer["cooling_c"]["hall"]
    return answers


def test_the_first_week_is_the_buildings_own():
    assert set(weeks(Timer(), 1).values()) == {(21.0, 24.0)}


def test_from_the_second_week_it_holds_the_band_from_two_hours_before_people_come_until_they_leave():
    answers = weeks(Timer(), 2)
    tuesday = MONDAY + timedelta(days=8)
    held = [hour / 4 for hour in range(96) if answers[tuesday + timedelta(minutes=15 * hour)] == (21.0, 24.0)]
    sunday = MONDAY + timedelta(days=13)

    assert (held[0], held[-1]) == (6.0, 18.0)  # at 18:00 it still sees the people of the quarter hour before
    assert len(held) == 49
    assert {answers[sunday + timedelta(hours=hour)] for hour in range(22)} == {(15.0, 30.0)}


def test_a_kelvin_wider_stays_within_20_to_26():
    answers = weeks(Timer(wider_k=1.5), 2)

    assert answers[MONDAY + timedelta(days=7, hours=12)] == (20.0, 25.5)


def test_it_asks_for_no_more_than_the_building_does():
    timer = Timer()
    weeks(timer, 1)
    back = {"baseline_heating_c": {"hall": 14.0}, "baseline_cooling_c": {"hall": 31.0}}

    assert timer.act(MONDAY + timedelta(days=7, hours=12), back) == {
        "heating_c": {"hall": 14.0},
        "cooling_c": {"hall": 31.0},
    }


def test_an_unknown_controller_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=CONTROLLERS[1]):
        controller_named("nobody", office(), "neutral")
