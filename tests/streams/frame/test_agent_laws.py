"""The laws every agent of the topology keeps, so that the frame can split, restart and replay it (Hypothesis)."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import LATENESS_S, LOGS, STATES, everything_sent, meaning, on_the_wire, said

from schemas.flow import CONTEXT, Agent, Kind, Message, Outcome
from schemas.topics import TELEMETRY
from streams.frame.codec import Envelope
from streams.frame.stage import StageSpec
from streams.settings import Settings
from streams.topology import stages

STAGES = stages(Settings(allowed_lateness_s=LATENESS_S))

every_agent = pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])
some = settings(max_examples=12, deadline=None)


def test_every_agent_is_covered() -> None:
    assert {stage.source.name for stage in STAGES} <= LOGS.keys()
    assert {stage.name for stage in STAGES} <= STATES.keys()


def log_for(stage: StageSpec, data: st.DataObject, size: int = 12) -> list[Message]:
    """A log of what the stage is given."""
    return [one for one in data.draw(LOGS[stage.source.name](size)) if one.kind not in stage.passes_over]


@every_agent
@some
@given(data=st.data())
def test_an_empty_batch_gives_nothing(stage: StageSpec, data: st.DataObject) -> None:
    messages = log_for(stage, data, 5)
    with_empty = []
    for message in messages:
        if message.rows is not None:
            with_empty.append(Message(message.kind, message.arrived_at, message.rows.clear()))
        with_empty.append(message)

    agent = stage.agent()
    sent = []
    for message in with_empty:
        outcome = agent.step(message)
        if message.rows is not None and message.rows.is_empty():
            assert not on_the_wire(outcome, message, 0)
        else:
            sent.append(on_the_wire(outcome, message, len(sent)))
    assert meant(sent) == meant(everything_sent(stage.agent(), messages))


@every_agent
@some
@given(data=st.data())
def test_splitting_a_batch_anywhere_changes_nothing(stage: StageSpec, data: st.DataObject) -> None:
    messages = log_for(stage, data)
    whole, split = stage.agent(), stage.agent()

    for number, message in enumerate(messages):
        parts = [message]
        if message.rows is not None and len(message.rows) > 1:
            cut = data.draw(st.integers(0, len(message.rows)))
            cuts = message.rows.head(cut), message.rows.slice(cut)
            parts = [Message(message.kind, message.arrived_at, rows) for rows in cuts if len(rows)]
        expected = whole.step(message)
        outcomes = [split.step(part) for part in parts]
        if message.kind in CONTEXT and message.rows is not None and stage.source is TELEMETRY:
            assert passed_on(outcomes) == passed_on([expected]) == message.rows.rows()
        elif message.rows is None:
            assert meant([on_the_wire(outcomes[0], message, number)]) == meant([on_the_wire(expected, message, number)])
        else:
            assert [o for outcome in outcomes for o in outcome.outputs] == list(expected.outputs) == []
            assert [row for outcome in outcomes for row in rejected(outcome)] == rejected(expected)
    assert said(stage.name, whole.snapshot()) == said(stage.name, split.snapshot())


def passed_on(outcomes: list[Outcome]) -> list[tuple[object, ...]]:
    rows = (output.rows for outcome in outcomes for output in outcome.outputs)
    return [row for each in rows if each is not None for row in each.rows()]


def rejected(outcome: Outcome) -> list[tuple[object, ...]]:
    return [] if outcome.rejected is None else outcome.rejected.rows()


def meant(sent: list[list[Envelope]]) -> list[list[tuple[object, ...]]]:
    return [[meaning(one) for one in because_of_one] for because_of_one in sent]


@every_agent
@some
@given(data=st.data())
def test_a_restart_between_any_two_messages_changes_nothing(stage: StageSpec, data: st.DataObject) -> None:
    messages = log_for(stage, data)
    restarts = data.draw(st.sets(st.integers(0, len(messages) - 1)))
    undisturbed = stage.agent()
    expected = everything_sent(undisturbed, messages)

    found, kept, agent = run_with_restarts(stage.agent, messages, restarts)

    assert meant(found) == meant(expected)
    assert said(stage.name, kept | agent.snapshot()) == said(stage.name, undisturbed.snapshot())


def run_with_restarts(
    new_agent: Callable[[], Agent], messages: list[Message], restarts: set[int]
) -> tuple[list[list[Envelope]], dict[str, bytes], Agent]:
    agent = new_agent()
    kept: dict[str, bytes] = {}
    sent = []
    for number, message in enumerate(messages):
        sent.append(on_the_wire(agent.step(message), message, number))
        if number in restarts:
            said_to_have_changed = set(agent.changed())
            changes = agent.snapshot()
            assert changes.keys() <= said_to_have_changed
            kept |= changes
            assert not set(agent.changed())
            agent = new_agent()
            agent.restore(kept)
    return sent, kept, agent


@every_agent
@some
@given(data=st.data())
def test_a_replay_sends_the_same_bytes(stage: StageSpec, data: st.DataObject) -> None:
    messages = log_for(stage, data)

    assert everything_sent(stage.agent(), messages) == everything_sent(stage.agent(), messages)


@every_agent
@some
@given(data=st.data(), age_ms=st.integers(0, 200_000))
def test_an_older_tick_after_a_tick_changes_nothing(stage: StageSpec, data: st.DataObject, age_ms: int) -> None:
    messages = log_for(stage, data)
    plain, disturbed = stage.agent(), stage.agent()

    for number, message in enumerate(messages):
        expected = on_the_wire(plain.step(message), message, number)
        assert on_the_wire(disturbed.step(message), message, number) == expected
        if message.kind is Kind.TICK:
            outcome = disturbed.step(Message(Kind.TICK, message.arrived_at - age_ms))
            assert {output.kind for output in outcome.outputs} <= {Kind.TICK}
            assert outcome.rejected is None
    assert said(stage.name, plain.snapshot()) == said(stage.name, disturbed.snapshot())
