"""Weather and production in the flow: given to agents that ask for them, and never twice."""

import json
from collections.abc import Collection, Iterable, Mapping

import polars as pl
import pytest
from builders import NOON, registers

from schemas.flow import CONTEXT, ENERGY_KINDS, NOTHING, Kind, Message, Outcome
from schemas.weather import WEATHER_ROWS
from streams.frame.codec import batch_value, control_headers
from streams.frame.lane import META, Lane

PARTITION = 5


class Remembering:
    """An agent that remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Kind, list[object]]] = []

    def step(self, message: Message) -> Outcome:
        if message.rows is not None:
            self.given.append((message.kind, message.rows["raw_offset"].to_list()))
        return NOTHING

    def changed(self) -> Iterable[str]:
        return ()

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        return {}

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        pass


def weather(*raw_offsets: int, partition: int = 0, origin: str | None = None) -> tuple[bytes, dict[str, bytes]]:
    rows = [
        {"tenant_id": "acme", "site_id": "mill", "outdoor_c": 30.0, "raw_partition": partition, "raw_offset": one}
        for one in raw_offsets
    ]
    headers = dict(control_headers(Kind.WEATHER, NOON))
    if origin is not None:
        headers["origin"] = origin.encode()
    return batch_value(pl.DataFrame([dict.fromkeys(WEATHER_ROWS) | row for row in rows], WEATHER_ROWS)), headers


def some_readings(raw_offset: int) -> tuple[bytes, dict[str, bytes]]:
    return batch_value(registers({0: 1.0}, raw_offset=raw_offset)), dict(control_headers(Kind.READINGS, NOON))


def tick() -> tuple[bytes, dict[str, bytes]]:
    return b"", dict(control_headers(Kind.TICK, NOON))


def given(
    *messages: tuple[bytes, dict[str, bytes]], context: bool = True
) -> tuple[Lane, list[tuple[Kind, list[object]]]]:
    agent = Remembering()
    lane = Lane.restored(agent, PARTITION, {}, {}, frozenset() if context else CONTEXT)
    for offset, message in enumerate(messages):
        lane.apply(offset, *message)
    return lane, agent.given


def test_an_agent_that_does_not_ask_is_not_given_any() -> None:
    assert given(weather(1), some_readings(1), context=False)[1] == [(Kind.READINGS, [1])]


def test_what_an_agent_passes_over_is_not_even_decoded() -> None:
    agent = Remembering()
    lane = Lane.restored(agent, PARTITION, {}, {}, ENERGY_KINDS)
    lane.apply(0, b"no Arrow at all", dict(control_headers(Kind.WINDOWS, NOON)))
    lane.apply(1, *weather(1))

    assert agent.given == [(Kind.WEATHER, [1])]
    assert (lane.next_offset, lane.tally.received) == (2, 0)


def test_offsets_of_weather_and_of_readings_are_not_mistaken_for_each_other() -> None:
    _, found = given(some_readings(100), weather(1, 2), some_readings(101))

    assert found == [(Kind.READINGS, [100]), (Kind.WEATHER, [1, 2]), (Kind.READINGS, [101])]


def test_what_ingest_sent_twice_is_given_once() -> None:
    _, found = given(weather(1, 2), weather(2, 3), weather(2, partition=1))

    assert found == [(Kind.WEATHER, [1, 2]), (Kind.WEATHER, [3]), (Kind.WEATHER, [2])]


def test_behind_metering_the_origin_of_the_message_counts() -> None:
    _, found = given(weather(1, origin="5:7:0"), weather(1, origin="5:7:0"), weather(1, origin="5:8:0"))

    assert found == [(Kind.WEATHER, [1]), (Kind.WEATHER, [1])]


def test_a_checkpoint_remembers_what_was_seen_of_each() -> None:
    lane, _ = given(some_readings(9), weather(4), tick())
    written = dict(lane.checkpoint())
    assert json.loads(written[f"{META}{PARTITION}"])["origins"] == {"0": [9, 0], "weather/0": [4, 0]}

    agent = Remembering()
    again = Lane.restored(agent, PARTITION, written, {}, frozenset())
    again.apply(3, *weather(4))
    again.apply(4, *some_readings(9))
    again.apply(5, *weather(5))

    assert agent.given == [(Kind.WEATHER, [5])]


@pytest.mark.parametrize("context", [True, False])
def test_weather_is_not_counted_as_energy(context: bool) -> None:
    lane, _ = given(weather(1, 2), context=context)

    assert lane.tally.received == 0
    assert lane.next_offset == 1
