"""What people say of anomalies is obeyed, and learnt from."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watched import (
    LEARNT,
    MONDAY,
    REFERENCE,
    ZONE,
    Load,
    a_works,
    at_ms,
    but,
    day_of,
    days_of,
    from_to,
    growing,
    later,
    learnt,
    said,
    told,
    usual_kw,
)

from agents.anomalies.hearing import hours_of_week
from agents.anomalies.step import Anomalies
from schemas.flow import Message

TODAY = MONDAY + timedelta(LEARNT)  # a Monday
BEGINS = MONDAY + timedelta(100)
MOVES = MONDAY + timedelta(98)
EVENING = from_to("18:00", "22:00")
WEEK = timedelta(7)

Rows = list[dict[str, object]]


def left_on(*days: date, kw: float = 50.0) -> Load:
    load: Load = usual_kw
    for day in days:
        load = but(day, "press", EVENING, kw, load)
    return load


def of_press(rows: Rows) -> Rows:
    return [row for row in rows if row["meter_id"] == "press"]


def weeks(first: date, load: Load, number: int = 1) -> list[Message]:
    return list(days_of(a_works(), first, 7 * number, load))


def test_an_evening_that_was_said_to_be_normal_is_not_told_again_the_week_after():
    load = left_on(TODAY, TODAY + WEEK)
    first_week, second_week = weeks(TODAY, load), weeks(TODAY + WEEK, load)
    deaf, agent = learnt(a_works()), learnt(a_works())
    alarm = of_press(told(deaf, first_week))[-1]
    told(agent, first_week)
    answer = told(agent, [said(at_ms(TODAY + WEEK), "normal", alarm["anomaly_id"])])

    assert of_press(told(deaf, second_week)) != []
    assert [(row["status"], row["end_reason"], row["feedback"], row["feedback_by"]) for row in answer] == [
        ("suppressed", "said_normal", "normal", "zhang")
    ]
    assert answer[0]["sequence"] == int(str(alarm["sequence"])) + 1
    assert answer[0]["ended_at"] == alarm["ended_at"]
    assert "will not be told again" in str(answer[0]["message_en"])
    assert of_press(told(agent, second_week)) == []


@pytest.mark.parametrize(
    ("day", "kw"), [(TODAY + WEEK + timedelta(2), 50.0), (TODAY + WEEK, 90.0)], ids=["another day", "more power"]
)
def test_what_was_not_said_to_be_normal_is_still_told(day: date, kw: float):
    agent = learnt(a_works())
    alarm = of_press(told(agent, weeks(TODAY, left_on(TODAY))))[-1]
    told(agent, [said(at_ms(TODAY + WEEK), "normal", alarm["anomaly_id"])])

    assert of_press(told(agent, weeks(TODAY + WEEK, left_on(day, kw=kw)))) != []


@pytest.mark.parametrize(
    ("verdict", "status", "reason"),
    [("normal", "suppressed", "said_normal"), ("fixed", "closed", "fixed"), ("right", "updated", None)],
)
def test_an_open_anomaly_hears_what_is_said_of_it(verdict: str, status: str, reason: str | None):
    agent = learnt(a_works())
    evening = day_of(a_works(), TODAY, but(TODAY, "press", from_to("18:00", "24:00"), 50.0))
    opened = of_press(told(agent, [evening]))[-1]
    [answer] = told(agent, [said(at_ms(TODAY + timedelta(1)), verdict, opened["anomaly_id"])])

    assert (answer["status"], answer["end_reason"], answer["feedback"]) == (status, reason, verdict)
    assert answer["anomaly_id"] == opened["anomaly_id"]
    rest = of_press(told(agent, [day_of(a_works(), TODAY + timedelta(1), usual_kw)]))
    assert [row["status"] for row in rest] == ([] if reason else ["closed"])


def test_a_muted_meter_is_left_alone_until_the_mute_ends():
    agent = learnt(a_works())
    night = but(TODAY, "press", from_to("18:00", "24:00"), 50.0)
    told(agent, [said(at_ms(TODAY), "muted", meter_id="press", until=at_ms(TODAY, "21:00"))])
    rows = of_press(told(agent, [day_of(a_works(), TODAY, night)]))

    assert rows[0]["status"] == "opened"
    assert rows[0]["opened_at"] == at_ms(TODAY, "21:15")


def test_a_mute_ends_what_is_open_and_spares_other_kinds_and_meters():
    agent = learnt(a_works())
    told(agent, [day_of(a_works(), TODAY, but(TODAY, "press", from_to("18:00", "24:00"), 50.0))])
    later_ms, until = at_ms(TODAY + timedelta(1)), at_ms(TODAY + timedelta(9))

    assert told(agent, [said(later_ms, "muted", meter_id="racks", until=until)]) == []
    assert told(agent, [said(later_ms, "muted", meter_id="press", kind="standby_creep", until=until)]) == []
    [ended] = told(agent, [said(later_ms, "muted", meter_id="press", kind="left_on", until=until)])
    assert (ended["status"], ended["end_reason"], ended["ended_at"]) == ("suppressed", "muted", later_ms)


def test_creep_that_was_said_to_be_normal_does_not_come_again():
    agent = learnt(a_works(), days=100)
    load = growing(BEGINS, 2.0, 21)
    opened = None
    for message in days_of(a_works(), BEGINS, 40, load):
        found = [row for row in told(agent, [message]) if row["kind"] == "standby_creep" and row["meter_id"] == "press"]
        opened = opened or (found[0] if found else None)
    assert opened is not None
    answers = told(agent, [said(at_ms(BEGINS + timedelta(40)), "normal", opened["anomaly_id"])])
    rest = told(agent, days_of(a_works(), BEGINS + timedelta(40), 40, load))

    assert [row["end_reason"] for row in answers] == ["said_normal"]
    assert [row for row in of_press(rest) if row["kind"] == "standby_creep"] == []


def test_a_moved_shift_that_was_said_to_be_normal_is_not_told_again():
    agent = learnt(a_works(), days=98)
    rows = told(agent, days_of(a_works(), MOVES, 6, later(MOVES)))
    share = next(row for row in rows if row["kind"] == "peak_share")
    answers = told(agent, [said(at_ms(MOVES + timedelta(6)), "normal", share["anomaly_id"])])
    back = told(agent, days_of(a_works(), MOVES + timedelta(6), 1, later(MOVES)))

    assert [(row["kind"], row["end_reason"]) for row in answers] == [("peak_share", "said_normal")]
    assert [row for row in back if row["kind"] == "peak_share"] == []


def test_what_is_said_of_an_unknown_anomaly_changes_nothing_and_is_refused():
    agent = learnt(a_works())
    before = agent.snapshot(["mill"])
    for about in (
        "anomalies/left_on/mill/press/1",
        "anomalies/left_on/other/press/1",
        "nonsense",
        "anomalies/x/mill/a/1",
    ):
        outcome = agent.step(said(at_ms(TODAY), "normal", about))
        assert list(outcome.outputs) == []
        assert outcome.rejected is not None
        assert outcome.rejected.select("anomaly_id", "reason", "said_by").rows() == [
            (about, "unknown_anomaly", "zhang")
        ]

    assert agent.snapshot(["mill"]) == before


def test_what_is_said_of_one_that_is_there_and_a_mute_are_not_refused():
    agent = learnt(a_works())
    alarm = of_press(told(agent, weeks(TODAY, left_on(TODAY))))[-1]

    for verdict, about in (("right", alarm["anomaly_id"]), ("muted", None)):
        outcome = agent.step(said(at_ms(TODAY + WEEK), verdict, about, until=at_ms(TODAY + 2 * WEEK)))
        assert outcome.rejected is None


def test_what_is_said_of_a_measure_is_none_of_its_business():
    agent = learnt(a_works())
    outcome = agent.step(said(at_ms(TODAY), "done", None, advice_id="advice/pv/mill/site/1"))

    assert (list(outcome.outputs), outcome.rejected) == ([], None)


def test_what_was_said_survives_a_restart():
    load = left_on(TODAY, TODAY + WEEK)
    agent = learnt(a_works())
    alarm = of_press(told(agent, weeks(TODAY, load)))[-1]
    mute = said(at_ms(TODAY + WEEK), "muted", meter_id="main", until=at_ms(TODAY + 2 * WEEK))
    told(agent, [said(at_ms(TODAY + WEEK), "normal", alarm["anomaly_id"]), mute])
    again = Anomalies(REFERENCE)
    again.restore(agent.snapshot(["mill"]))

    assert told(again, weeks(TODAY + WEEK, load)) == told(agent, weeks(TODAY + WEEK, load))
    assert again.snapshot(["mill"]) == agent.snapshot(["mill"])


@given(begin=st.integers(0, 10**9), length=st.integers(0, 10**7))
def test_hours_of_the_week_are_some_of_a_week_and_in_order(begin: int, length: int):
    hours = hours_of_week(begin * 1000, (begin + length) * 1000, ZONE)

    assert hours == sorted(set(hours))
    assert set(hours) <= set(range(168))
    assert len(hours) >= min(168, length // 3600 + 2)
