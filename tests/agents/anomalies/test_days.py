"""Whole days: far more or less than such days should draw, slow drift, and what weather and production explain."""

from collections.abc import Callable
from datetime import date, timedelta
from itertools import chain

import pytest
from builders import site_at
from watched import (
    LEARNT,
    MONDAY,
    REFERENCE,
    Load,
    a_works,
    at_ms,
    clock,
    day_of,
    days_of,
    learnt,
    made_at,
    said,
    times,
    told,
    usual_kw,
    warm_at,
)

from agents.anomalies.step import Anomalies
from schemas.flow import Message

TODAY = MONDAY + timedelta(LEARNT)  # a Monday
Rows = list[dict[str, object]]


def on(*days: date, by: float) -> Callable[[date], float]:
    return lambda day: by if day in days else 1.0


def ramp(day: date) -> float:
    """A hundredth more each day from TODAY on, three tenths in the end."""
    return 1 + min(0.3, 0.01 * max(0, (day - TODAY).days))


def of_racks(rows: Rows, kind: str) -> Rows:
    return [row for row in rows if (row["meter_id"], row["kind"]) == ("racks", kind)]


def number(value: object) -> float:
    assert isinstance(value, float | int)
    return float(value)


@pytest.fixture(scope="module")
def a_day_with_more() -> Rows:
    load = times(on(TODAY, by=1.6), "racks")
    return told(learnt(a_works()), days_of(a_works(), TODAY, 4, load))


def test_a_day_with_far_more_is_told_early_on_the_next_and_ends_with_a_usual_one(a_day_with_more: Rows):
    opened, closed = of_racks(a_day_with_more, "day_surge")

    assert (opened["status"], clock(opened["began_at"])) == ("opened", f"{TODAY} 00:00")
    assert f"{TODAY + timedelta(1)} 00:00" < clock(opened["opened_at"]) <= f"{TODAY + timedelta(1)} 06:15"
    assert (closed["status"], closed["end_reason"]) == ("closed", "normal_again")
    assert clock(closed["ts"])[:10] == str(TODAY + timedelta(2))
    assert of_racks(a_day_with_more, "day_sag") == []


def test_it_carries_the_band_the_comparison_and_what_it_cost(a_day_with_more: Rows):
    opened = of_racks(a_day_with_more, "day_surge")[0]
    usual = (8 * 11 + 4 * 13) / 24  # kW, in the mean of a working day
    price = number(opened["wasted_cny"]) / number(opened["wasted_kwh"])

    assert opened["observed_kw"] == pytest.approx(1.6 * usual, rel=0.01)
    assert opened["expected_kw"] == pytest.approx(usual, rel=0.02)
    assert number(opened["expected_low_kw"]) < usual < number(opened["expected_high_kw"]) < 1.6 * usual
    assert opened["before_kw"] == pytest.approx(usual, rel=0.01)
    assert (opened["weather_kw"], opened["production_kw"]) == (None, None)
    assert opened["wasted_kwh"] == pytest.approx(0.6 * usual * 24, rel=0.05)
    assert 0.3 < price < 1.5  # between the valley and the sharp price of the plan
    assert number(opened["wasted_kg"]) > 0
    assert "racks" in str(opened["message_en"]) or "Server room" in str(opened["message_en"])
    assert "expected of such days" in str(opened["message_en"])
    assert "日均用电" in str(opened["message_zh"])


def test_a_day_with_far_less_is_told_and_wastes_nothing():
    load = times(on(TODAY, by=0.4), "racks")
    opened, *_ = of_racks(told(learnt(a_works()), days_of(a_works(), TODAY, 3, load)), "day_sag")

    assert opened["status"] == "opened"
    assert (opened["wasted_kwh"], opened["wasted_cny"], opened["wasted_kg"]) == (0, 0, 0)
    assert "Too much" not in str(opened["message_en"])
    assert number(opened["observed_kw"]) < number(opened["expected_low_kw"])


def test_usual_days_tell_of_nothing():
    rows = told(learnt(a_works()), days_of(a_works(), TODAY, 40, usual_kw))

    assert [row for row in rows if row["kind"] in ("day_surge", "day_sag", "drift")] == []


@pytest.fixture(scope="module")
def a_slow_drift() -> Rows:
    return told(learnt(a_works()), days_of(a_works(), TODAY, 60, times(ramp, "racks")))


def test_slow_drift_is_told_before_a_fifth_is_reached_and_no_day_of_it_is_a_surge(a_slow_drift: Rows):
    drift = of_racks(a_slow_drift, "drift")

    assert drift[0]["status"] == "opened"
    assert clock(drift[0]["opened_at"])[:10] < str(TODAY + timedelta(20))
    assert abs(number(drift[0]["began_at"]) - at_ms(TODAY)) <= 10 * 86_400_000
    assert of_racks(a_slow_drift, "day_surge") == []
    assert "more and more" in str(drift[0]["message_en"])
    assert "持续上升" in str(drift[0]["message_zh"])


def test_a_level_that_stays_is_the_new_normal_after_four_weeks_and_told_once(a_slow_drift: Rows):
    drift = of_racks(a_slow_drift, "drift")
    opened, closed = drift[0], drift[-1]

    assert {row["anomaly_id"] for row in drift} == {opened["anomaly_id"]}
    assert (closed["status"], closed["end_reason"]) == ("closed", "new_normal")
    assert number(closed["ts"]) - number(opened["ts"]) == pytest.approx(28 * 86_400_000, abs=86_400_000)


def test_drift_that_was_said_to_be_normal_is_not_told_again():
    load = times(ramp, "racks")
    agent = learnt(a_works())
    first = of_racks(told(agent, days_of(a_works(), TODAY, 25, load)), "drift")
    later = TODAY + timedelta(25)
    answer = told(agent, [said(at_ms(later), "normal", first[-1]["anomaly_id"])])
    after = of_racks(told(agent, days_of(a_works(), later, 40, times(lambda _: 1.25, "racks"))), "drift")

    assert [(row["status"], row["end_reason"]) for row in answer] == [("suppressed", "said_normal")]
    assert after == []


def test_a_day_with_more_that_was_said_to_be_normal_is_not_told_again():
    again = TODAY + timedelta(14)
    load = times(on(TODAY, again, by=1.6), "racks")
    deaf, agent = learnt(a_works()), learnt(a_works())
    two_weeks = list(days_of(a_works(), TODAY, 14, load))
    alarm = of_racks(told(deaf, two_weeks), "day_surge")[-1]
    told(agent, two_weeks)
    told(agent, [said(at_ms(again), "normal", alarm["anomaly_id"])])
    third = list(days_of(a_works(), again, 3, load))

    assert of_racks(told(deaf, third), "day_surge") != []
    assert of_racks(told(agent, third), "day_surge") == []


def outdoor_c(day: date) -> float:
    """Between 10 and 26 °C, and a week of 35 °C from TODAY on."""
    return 35.0 if 0 <= (day - TODAY).days < 5 else 18.0 + 8.0 * ((day.toordinal() * 7) % 13 - 6) / 6


def cooled(day: date) -> float:
    return 1 + 0.05 * max(0.0, outdoor_c(day) - 18.0)


def units_made(day: date) -> float:
    return 36.0 if day == TODAY else 12.0 + day.toordinal() % 5


def taught(load: Load, context: Callable[[date], Message] | None, days: int) -> Rows:
    """What is told of the works from TODAY on, with or without messages of its surroundings."""
    agent = Anomalies(REFERENCE)
    agent.step(site_at(a_works()))
    every = [MONDAY + timedelta(n) for n in range(LEARNT + days)]
    messages = chain.from_iterable(
        [*([] if context is None else [context(day)]), day_of(a_works(), day, load)] for day in every
    )
    return [row for row in told(agent, messages) if number(row["ts"]) > at_ms(TODAY)]


def test_what_a_hot_day_explains_is_no_surge_and_without_weather_it_is_one():
    load = times(cooled, "racks")

    assert of_racks(taught(load, None, 3), "day_surge") != []
    assert of_racks(taught(load, lambda day: warm_at(day, outdoor_c(day)), 3), "day_surge") == []


def test_what_weather_explains_is_said_in_the_comparison():
    load = times(lambda day: cooled(day) * (2.2 if day == TODAY else 1.0), "racks")
    opened = of_racks(taught(load, lambda day: warm_at(day, outdoor_c(day)), 2), "day_surge")[0]

    assert number(opened["weather_kw"]) > 2
    assert number(opened["expected_kw"]) == pytest.approx(
        number(opened["before_kw"]) + number(opened["weather_kw"]), rel=0.1
    )
    assert "because of the weather" in str(opened["message_en"])
    assert "天气影响" in str(opened["message_zh"])


def test_what_production_explains_is_no_surge_and_without_production_it_is_one():
    load = times(lambda day: 0.4 + units_made(day) / 20, "racks")

    assert of_racks(taught(load, None, 3), "day_surge") != []
    assert of_racks(taught(load, lambda day: made_at(day, "08:00", 8, units=units_made(day)), 3), "day_surge") == []


def test_a_restart_each_day_tells_the_same():
    load = times(lambda day: ramp(day) * (1.6 if day == TODAY + timedelta(3) else 1.0), "racks")
    context = [warm_at(TODAY + timedelta(n), 20.0 + n % 9) for n in range(30)]
    days = list(days_of(a_works(), TODAY, 30, load))
    messages = list(chain.from_iterable(zip(context, days, strict=True)))
    expected = told(learnt(a_works()), messages)
    agent = learnt(a_works())
    found: Rows = []
    for message in messages:
        kept = agent.snapshot(["mill"])
        agent = Anomalies(REFERENCE)
        agent.restore(kept)
        assert agent.snapshot(["mill"]) == kept
        found += told(agent, [message])

    assert {"day_surge", "drift"} <= {str(row["kind"]) for row in expected}
    assert found == expected
