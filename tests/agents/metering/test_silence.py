"""Meters nothing is heard of are said to be silent, once, and to speak again; those that pause as ever are not."""

from collections.abc import Iterable

from builders import NOON, a_meter, a_site, fed, readings, rows_at, sent, site_at, tick_at
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metering.step import Metering
from schemas.flow import Kind, Message
from schemas.registry import Meter
from schemas.topics import CORRECTIONS

MINUTE_S, HOUR_S = 60.0, 3600.0


def heard(at_s: Iterable[float], until_s: float, every_s: float = MINUTE_S) -> list[Message]:
    """A reading of 6 kW at each second, and ticks all along."""
    due = sorted(at_s)
    messages: list[Message] = []
    for tick in range(int(until_s / every_s) + 1):
        now = tick * every_s
        while due and due[0] <= now:
            second = due.pop(0)
            row = {"import_kwh": 100 + second / 600, "ts": NOON + round(second * 1000), "raw_offset": round(second)}
            messages.append(rows_at(Kind.READINGS, second, readings(row)))
        messages.append(tick_at(now))
    return messages


def said(messages: Iterable[Message], meter: Meter | None = None) -> list[tuple[object, float, float]]:
    """Kind, since when, and when it was known, in minutes."""
    outcomes = fed(Metering(120), [site_at(a_site("mill", meter or a_meter())), *messages])
    found = sent(outcomes, None, CORRECTIONS.name)
    return [(one["kind"], *((one[at] - NOON) / 60_000 for at in ("window_from", "window_until"))) for one in found]


def minutes(*spans: tuple[int, int]) -> list[float]:
    return [minute * MINUTE_S for first, last in spans for minute in range(first, last)]


def test_a_meter_that_stops_reporting_is_silent_after_a_quarter_of_an_hour_and_speaks_again():
    assert said(heard(minutes((0, 60), (200, 210)), 210 * MINUTE_S)) == [("silent", 59, 75), ("speaks", 59, 200)]


def test_what_is_said_names_the_last_reading_and_the_one_that_ended_it():
    outcomes = fed(Metering(120), [site_at(a_site("mill", a_meter())), *heard(minutes((0, 60), (200, 210)), 12_600)])
    silent, speaks = sent(outcomes, None, CORRECTIONS.name)

    assert (silent["raw_offset_first"], speaks["raw_offset_first"]) == (59 * 60, 200 * 60)
    assert silent["id"] == f"corrections/silent/mill/main/{NOON + 59 * 60_000}/{NOON + 75 * 60_000}"
    assert {silent["import_after_kwh"], speaks["import_after_kwh"]} == {None}


def test_a_meter_read_every_quarter_of_an_hour_is_silent_after_four_of_them():
    quarters = [minute * MINUTE_S for minute in range(0, 240, 15)]

    assert said(heard(quarters, 400 * MINUTE_S), a_meter(interval_s=900)) == [("silent", 225, 286)]


def test_a_gateway_that_sends_twice_a_day_is_not_silent_once_that_is_known():
    bursts = [half_day * 12 * HOUR_S for half_day in range(8)]
    found = said(heard(bursts, 90 * HOUR_S, every_s=600.0))

    assert [kind for kind, _, _ in found] == ["silent", "speaks"] * 2
    assert max(since for _, since, _ in found) == 12 * 60


def test_a_meter_nothing_ever_came_from_is_not_silent():
    assert said(heard([], 10 * HOUR_S)) == []


def test_a_replay_does_not_say_who_was_silent():
    messages = [site_at(a_site("mill", a_meter())), *heard(minutes((0, 60)), 8 * HOUR_S)]

    assert sent(fed(Metering(120, live=False), messages), None, CORRECTIONS.name) == []


@settings(max_examples=20, deadline=None)
@given(pauses=st.lists(st.integers(1, 200), min_size=2, max_size=12), cut=st.integers(0, 10_000))
def test_silence_and_speech_take_turns_and_a_restart_in_between_changes_nothing(pauses: list[int], cut: int):
    at_s, now = [0.0], 0.0
    for pause in pauses:
        now += pause * MINUTE_S
        at_s.append(now)
    messages = [site_at(a_site("mill", a_meter())), *heard(at_s, now + 2_000 * MINUTE_S, every_s=600.0)]
    whole = fed(Metering(120), messages)
    cut %= len(messages)
    before = Metering(120)
    first = fed(before, messages[: cut + 1])
    after = Metering(120)
    after.restore(before.snapshot(["mill"]))
    halves = [*first, *fed(after, messages[cut + 1 :])]

    kinds = [one["kind"] for one in sent(whole, None, CORRECTIONS.name)]
    assert kinds == [("silent", "speaks")[number % 2] for number in range(len(kinds))]
    assert kinds[-1] == "silent"
    assert sent(halves, None, CORRECTIONS.name) == sent(whole, None, CORRECTIONS.name)
