"""How far the detectors are with each meter is said once a day, until they watch."""

from datetime import timedelta

import numpy as np
import pytest
from builders import site_at
from watched import MONDAY, REFERENCE, a_works, at_ms, days_of, told, usual_kw

from agents.anomalies.step import Anomalies
from schemas.learning import LEARNING_RECORD
from schemas.topics import ANOMALY_LEARNING

Records = list[dict[str, object]]


def over(days: int, agent: Anomalies | None = None) -> Records:
    """What is said of the works over its first days."""
    if agent is None:
        agent = Anomalies(REFERENCE)
        agent.step(site_at(a_works()))
    return told(agent, days_of(a_works(), MONDAY, days, usual_kw), ANOMALY_LEARNING)


@pytest.fixture(scope="module")
def quarter() -> Records:
    return over(100)


def of(records: Records, meter: str, kind: str) -> Records:
    return [one for one in records if (one["meter_id"], one["kind"]) == (meter, kind)]


def test_the_first_day_that_ends_says_how_many_are_to_come(quarter: Records):
    first = of(quarter, "press", "standby_creep")[0]

    assert first == dict.fromkeys(LEARNING_RECORD) | {
        "id": f"learning/mill/press/standby_creep/{at_ms(MONDAY + timedelta(1))}",
        "tenant_id": "acme",
        "site_id": "mill",
        "meter_id": "press",
        "ts": at_ms(MONDAY + timedelta(1)),
        "kind": "standby_creep",
        "state": "learning",
        "learnt_days": 1,
        "needed_days": 86,
        "message_en": "press: learning creeping stand-by, 1 of 86 days.",
        "message_zh": "press：正在学习待机用电上升，已学 1 天，共需 86 天。",
    }


@pytest.mark.parametrize(
    ("meter", "kind", "needed"),
    [
        ("press", "left_on", 30),
        ("press", "standby_creep", 86),
        ("racks", "standby_creep", 86),
        ("racks", "day_surge", 57),
        ("racks", "day_sag", 57),
        ("press", "drift", 48),
        ("main", "peak_surge", 30),
        ("main", "peak_share", 64),
    ],
)
def test_days_are_counted_up_until_it_watches_and_then_nothing_more_is_said(
    quarter: Records, meter: str, kind: str, needed: int
):
    mine = of(quarter, meter, kind)
    learnt = [int(str(one["learnt_days"])) for one in mine]

    assert learnt == sorted(learnt)
    assert [one["state"] for one in mine] == ["learning"] * (len(mine) - 1) + ["watching"]
    assert {one["needed_days"] for one in mine} == {needed}
    assert learnt[-1] == needed
    assert len({one["id"] for one in mine}) == len(mine)


def test_what_a_meter_is_not_looked_at_for_is_not_said_of_it(quarter: Records):
    assert of(quarter, "racks", "left_on") == []  # a server room runs day and night by purpose
    assert of(quarter, "press", "peak_surge") == of(quarter, "press", "peak_share") == []


def test_a_meter_that_is_never_off_is_said_to_be_so():
    agent = Anomalies(REFERENCE)
    agent.step(site_at(a_works()))

    def even(meter: str, day: object) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return np.full(96, 20.0)

    found = of(told(agent, days_of(a_works(), MONDAY, 40, even), ANOMALY_LEARNING), "press", "left_on")

    assert found[-1]["state"] == "not_applicable"
    assert found[-1]["message_en"] == "press is never off: nothing can be left on."


def test_a_restart_says_the_same_and_nothing_twice():
    expected = over(40)
    agent = Anomalies(REFERENCE)
    agent.step(site_at(a_works()))
    found: Records = []
    for number, message in enumerate(days_of(a_works(), MONDAY, 40, usual_kw)):
        found += told(agent, [message], ANOMALY_LEARNING)
        if number % 3 == 0:
            kept = agent.snapshot(["mill"])
            agent = Anomalies(REFERENCE)
            agent.restore(kept)

    assert found == expected
