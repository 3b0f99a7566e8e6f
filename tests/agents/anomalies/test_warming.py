"""Detectors that learnt from the history are those that lived through it, and tell nothing of the past."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import history_of
from watched import (
    LEARNT,
    MONDAY,
    REFERENCE,
    a_works,
    at_ms,
    but,
    day_of,
    days_of,
    from_to,
    learnt,
    said,
    site_at,
    told,
    usual_kw,
)

from agents.anomalies.state import from_bytes
from agents.anomalies.step import Anomalies
from schemas.flow import Message
from schemas.topics import ANOMALY_LEARNING

TODAY = MONDAY + timedelta(LEARNT)
EVENING = but(TODAY, "press", from_to("18:00", "22:00"), 50.0)


@pytest.fixture(scope="module")
def past() -> Message:
    return history_of(a_works(), MONDAY, LEARNT, usual_kw)


def cold() -> Anomalies:
    agent = Anomalies(REFERENCE)
    agent.step(site_at(a_works()))
    return agent


def warm(past: Message) -> Anomalies:
    agent = cold()
    outcome = agent.step(past)
    assert (list(outcome.outputs), outcome.rejected) == ([], None)
    return agent


def limits(agent: Anomalies) -> dict[str, object]:
    state, _ = from_bytes(agent.snapshot(["mill"])["mill"])
    found = {
        name: (
            {span: one.numbers() for span, one in watch.idling.limits.items()},
            watch.surging.limit,
            watch.creep.limit,
        )
        for name, watch in state.meters.items()
    }
    return {**found, "share": state.sharing.limit}


def test_its_limits_and_what_it_expects_are_those_of_one_that_lived_through_it(past: Message):
    lived, learnt_from = learnt(a_works()), warm(past)
    states = [from_bytes(agent.snapshot(["mill"])["mill"])[0] for agent in (lived, learnt_from)]

    assert limits(learnt_from) == limits(lived)
    for name in ("main", "press", "racks"):
        expected, found = (state.meters[name].profile for state in states)
        np.testing.assert_array_equal(found.mean_kw, expected.mean_kw)
        np.testing.assert_array_equal(found.deviation_kw, expected.deviation_kw)
    np.testing.assert_array_equal(states[1].sharing.days, states[0].sharing.days)


def test_what_is_left_on_the_evening_after_is_told_alike(past: Message):
    today = day_of(a_works(), TODAY, EVENING)
    lived, found = told(learnt(a_works()), [today]), told(warm(past), [today])

    assert [row for row in found if row["kind"] == "left_on"] != []
    assert found == lived
    assert told(cold(), [today]) == []


def test_nothing_is_told_of_what_was_unusual_in_the_past():
    bad = but(TODAY - timedelta(3), "press", from_to("18:00", "24:00"), 50.0)
    bad = but(TODAY - timedelta(1), "press", from_to("18:00", "24:00"), 50.0, bad)
    agent = warm(history_of(a_works(), MONDAY, LEARNT, bad))

    rows = told(agent, days_of(a_works(), TODAY, 3, usual_kw))
    assert [row for row in rows if int(str(row["opened_at"])) < at_ms(TODAY)] == []
    assert [row for row in rows if row["kind"] == "left_on"] == []
    state, _ = from_bytes(agent.snapshot(["mill"])["mill"])
    assert state.hearing.ended == []


def test_what_is_open_stays_open_and_is_closed_by_the_present(past: Message):
    agent = learnt(a_works())
    first, rest = day_of(a_works(), TODAY, EVENING), day_of(a_works(), TODAY + timedelta(1), usual_kw)
    assert first.rows is not None
    opened = told(
        agent,
        [
            Message(
                first.kind,
                first.arrived_at,
                first.rows.filter(first.rows["window_start"].dt.epoch("ms") < at_ms(TODAY, "20:00")),
            )
        ],
    )
    agent.step(past)
    rest_of_day = first.rows.filter(first.rows["window_start"].dt.epoch("ms") >= at_ms(TODAY, "20:00"))
    later = told(agent, [Message(first.kind, first.arrived_at, rest_of_day), rest])
    about = {row["anomaly_id"] for row in opened if row["meter_id"] == "press"}

    assert len(about) == 1
    assert [row["status"] for row in later if row["anomaly_id"] in about][-1] == "closed"


def test_who_knows_more_already_does_not_forget_it():
    agent = learnt(a_works())
    before = limits(agent)
    agent.step(history_of(a_works(), TODAY - timedelta(10), 10, usual_kw))
    assert limits(agent) == before


def test_from_the_next_day_on_it_says_that_it_watches(past: Message):
    rows = told(warm(past), days_of(a_works(), TODAY, 2, usual_kw), ANOMALY_LEARNING)
    assert ("press", "left_on", "watching") in {(row["meter_id"], row["kind"], row["state"]) for row in rows}


def test_what_was_said_to_be_normal_still_holds(past: Message):
    agent = learnt(a_works())
    alarm = next(row for row in told(agent, [day_of(a_works(), TODAY, EVENING)]) if row["meter_id"] == "press")
    agent.step(said(at_ms(TODAY + timedelta(1)), "normal", alarm["anomaly_id"]))
    agent.step(past)
    again = but(TODAY + timedelta(7), "press", from_to("18:00", "22:00"), 50.0)

    rows = told(agent, [day_of(a_works(), TODAY + timedelta(7), again)])
    assert [row for row in rows if row["meter_id"] == "press"] == []


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 3000), st.booleans())
def test_where_the_batch_is_cut_and_a_restart_in_the_middle_change_nothing(cut: int, restart: bool):
    whole_batch = history_of(a_works(), MONDAY, 12, usual_kw)
    assert whole_batch.rows is not None
    whole, parted = cold(), cold()
    whole.step(whole_batch)
    for rows in (whole_batch.rows.head(cut), whole_batch.rows.slice(cut)):
        if len(rows):
            parted.step(Message(whole_batch.kind, whole_batch.arrived_at, rows))
        if restart:
            packed = parted.snapshot(["mill"])
            parted = Anomalies(REFERENCE)
            parted.restore(packed)
    assert parted.snapshot(["mill"]) == whole.snapshot(["mill"])
