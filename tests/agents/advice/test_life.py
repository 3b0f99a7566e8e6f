"""A measure is proposed, answered, done and held against the meters."""

from datetime import date, timedelta

import numpy as np
import pytest
from advised import Rows, advised, an_adviser, answered, left_on_every, lived, of_kind, tick_on, told_of
from watched import MONDAY, a_works, at_ms, site_at, usual_kw

from agents.advice.step import Advice
from schemas.flow import Message

DONE_ON = MONDAY + timedelta(42)  # a Monday


def until_done(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
    """The press is left on after work on Tuesdays and Thursdays, until the routine."""
    if day >= DONE_ON:
        return usual_kw(meter, day)
    return left_on_every(2, 4)(meter, day)


def always(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
    return until_done(meter, day) if day < DONE_ON else until_done(meter, day - timedelta(28))


def proposed(load=until_done) -> tuple[Advice, dict[str, object]]:
    agent, rows = told_of(a_works(), load, days=42)
    return agent, of_kind(rows, "shut_down")[0]


def of(agent: Advice, messages: list[Message]) -> Rows:
    return of_kind(advised(agent, messages), "shut_down")


def test_its_id_names_the_measure_and_its_records_count_up():
    agent, first = proposed()
    said = of(agent, [answered(at_ms(DONE_ON, "09:00"), "accepted", first["advice_id"]), tick_on(DONE_ON)])

    assert first["advice_id"] == f"advice/shut_down/mill/press/{first['proposed_at']}"
    assert (first["id"], first["sequence"]) == (f"{first['advice_id']}/0", 0)
    assert [(row["id"], row["status"], row["answered_by"]) for row in said] == [
        (f"{first['advice_id']}/1", "accepted", "zhang")
    ]


def test_why_it_is_declined_is_kept_and_it_is_not_proposed_again():
    agent, first = proposed(always)
    said = of(
        agent,
        [
            answered(at_ms(DONE_ON, "09:00"), "declined", first["advice_id"], "the furnace must stay warm"),
            *lived(a_works(), DONE_ON, 28, always),
        ],
    )

    assert [(row["status"], row["why"]) for row in said] == [("declined", "the furnace must stay warm")]
    assert "declined: the furnace must stay warm" in str(said[0]["message_en"])


def test_once_it_is_done_meters_show_it_with_an_interval():
    agent, first = proposed()
    said = of(
        agent,
        [answered(at_ms(DONE_ON, "09:00"), "done", first["advice_id"]), *lived(a_works(), DONE_ON, 35, until_done)],
    )

    assert said[0]["status"] == "done"
    assert "whole week" in str(said[0]["message_en"])
    last = said[-1]
    assert last["status"] == "verified"
    assert last["measured"] == "closed_kwh_per_week"
    # Two evenings of six hours at 48 kW less a week: 576 kWh.
    change = float(str(last["measured_after"])) - float(str(last["measured_before"]))
    assert change == pytest.approx(-576, rel=0.05)
    assert float(str(last["measured_change_low"])) < change < float(str(last["measured_change_high"])) < 0
    assert "meters show it" in str(last["message_en"])
    assert "计量验证有效" in str(last["message_zh"])


def test_what_changes_nothing_is_not_verified():
    agent, first = proposed(always)
    said = of(
        agent,
        [answered(at_ms(DONE_ON, "09:00"), "done", first["advice_id"]), *lived(a_works(), DONE_ON, 70, always)],
    )

    assert {row["status"] for row in said} == {"done"}
    assert "not shown" in str(said[-1]["message_en"])


def test_what_was_never_answered_is_withdrawn_once_the_load_gives_no_more_reason():
    agent, first = proposed()
    said = of(agent, list(lived(a_works(), DONE_ON, 70, until_done)))

    assert [row["status"] for row in said][-1] == "withdrawn"
    assert {row["advice_id"] for row in said} == {first["advice_id"]}


def test_what_is_said_of_a_measure_that_is_not_there_is_refused():
    agent, first = proposed()
    other = str(first["advice_id"]) + "0"
    outcome = agent.step(answered(at_ms(DONE_ON), "accepted", other))

    assert outcome.rejected is not None
    assert outcome.rejected.select("advice_id", "reason").rows() == [(other, "unknown_advice")]


def test_a_restart_between_any_two_messages_says_the_same():
    whole, _ = proposed()
    agent, first = proposed()
    done = answered(at_ms(DONE_ON, "09:00"), "done", first["advice_id"])
    messages = [done, *lived(a_works(), DONE_ON, 30, until_done)]
    expected = advised(whole, messages)
    rows: Rows = []
    for message in messages:
        rows += advised(agent, [message])
        packed = agent.snapshot(["mill"])
        agent = an_adviser()
        agent.restore(packed)

    assert rows == expected
    assert [row for row in rows if row["status"] == "verified"]
    assert agent.snapshot(["mill"]) == whole.snapshot(["mill"])


def test_data_before_the_record_of_its_site_is_a_bug():
    with pytest.raises(ValueError, match="no site record came before the data of mill"):
        advised(an_adviser(), lived(a_works(), MONDAY, 1))


def test_a_site_that_nobody_hears_of_gets_no_advice():
    agent = an_adviser()
    agent.step(site_at(a_works()))
    assert advised(agent, [tick_on(MONDAY + timedelta(number)) for number in range(40)]) == []
