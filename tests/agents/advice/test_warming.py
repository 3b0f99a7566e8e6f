"""Advice that begins with the history says the same as one that lived through it."""

from datetime import date, timedelta

import pytest
from advised import Rows, advised, an_adviser, left_on_every, lived, of_kind
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import history_of
from watched import MONDAY, a_works, site_at

from agents.advice.state import from_bytes
from agents.advice.step import Advice
from schemas.flow import Message

LOAD = left_on_every(2, 4)
DAYS = 35
NOW = MONDAY + timedelta(DAYS)
RANGES = [f"saved_{unit}_{end}" for unit in ("kwh", "cny", "kg") for end in ("low", "high")]


def cold() -> Advice:
    agent = an_adviser()
    agent.step(site_at(a_works()))
    return agent


def live(agent: Advice, first: date, days: int) -> Rows:
    return advised(agent, lived(a_works(), first, days, LOAD))


def test_with_the_first_day_it_says_what_took_weeks_to_learn():
    old = cold()
    live(old, MONDAY, DAYS)
    agent = cold()
    assert advised(agent, [history_of(a_works(), MONDAY, DAYS, LOAD)]) == []
    rows = live(agent, NOW, 2)
    live(old, NOW, 2)

    states = [from_bytes(one.snapshot(["mill"])["mill"]) for one in (old, agent)]
    for table in ("price", "dear"):
        assert getattr(states[0].load, table).tolist() == getattr(states[1].load, table).tolist()
    for meter in ("main", "press", "racks"):
        then, now = (state.load.meters[meter].days for state in states)
        assert now == pytest.approx(then, rel=1e-6)
    assert [row["meter_id"] for row in of_kind(rows, "shut_down")] == ["press"]
    assert of_kind(rows, "shut_down")[0]["evidence_days"] == 28


def test_days_that_were_lived_through_stay_and_the_history_is_put_in_front():
    agent = cold()
    live(agent, NOW, 10)
    assert advised(agent, [history_of(a_works(), MONDAY, DAYS + 10, LOAD)]) == []
    rows = live(agent, NOW + timedelta(10), 2)
    old = cold()
    before = live(old, MONDAY, DAYS + 12)

    found = of_kind(rows, "shut_down")[0]
    # The same weeks, so the same waste; the one that lived through them said it when three weeks were known.
    first = of_kind(before, "shut_down")[0]
    assert [found[name] for name in RANGES] == pytest.approx([first[name] for name in RANGES], rel=0.05)
    states = [from_bytes(one.snapshot(["mill"])["mill"]) for one in (old, agent)]
    assert states[0].load.months.keys() == states[1].load.months.keys()
    for month, known in states[0].load.months.items():
        assert states[1].load.months[month].days == known.days
        assert states[1].load.months[month].kwh == pytest.approx(known.kwh, rel=1e-6)


@settings(max_examples=8, deadline=None)
@given(cut=st.integers(0, 3000), restart=st.booleans())
def test_where_the_batch_is_cut_and_a_restart_in_the_middle_change_nothing(cut: int, restart: bool):
    batch = history_of(a_works(), MONDAY, 9, LOAD)
    assert batch.rows is not None
    whole, parted = cold(), cold()
    whole.step(batch)
    for rows in (batch.rows.head(cut), batch.rows.slice(cut)):
        if len(rows):
            parted.step(Message(batch.kind, batch.arrived_at, rows))
        if restart:
            packed = parted.snapshot(["mill"])
            parted = an_adviser()
            parted.restore(packed)
    assert parted.snapshot(["mill"]) == whole.snapshot(["mill"])
