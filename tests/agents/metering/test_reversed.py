"""Meters that can only draw and seem to feed in are wired the wrong way round; others that feed in are not."""

from collections.abc import Callable, Iterable, Sequence

import pytest
from builders import NOON, a_meter, a_site, fed, readings, rows_at, sent, site_at, tick_at
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metering.step import Metering
from schemas.correction import CORRECTION_RECORD
from schemas.flow import Kind, Message
from schemas.registry import Meter
from schemas.topics import CORRECTIONS

LATENESS_S = 120
PRESS = a_meter("press", kind="sub_meter", parent="main")

Reading = tuple[float | None, float | None, float | None]  # import register, export register, power


def minutely(found: Iterable[Reading], meter: str = "press") -> list[Message]:
    """Readings by the minute, each followed by a tick; and a last tick an hour later."""
    messages: list[Message] = []
    minute = 0
    for minute, (import_kwh, export_kwh, kw) in enumerate(found):
        row = {"import_kwh": import_kwh, "export_kwh": export_kwh, "power_kw": kw, "meter_id": meter}
        row |= {"ts": NOON + minute * 60_000, "raw_offset": minute}
        messages += [rows_at(Kind.READINGS, minute * 60, readings(row)), tick_at(minute * 60)]
    return [*messages, tick_at(minute * 60 + 3600)]


def said(messages: Iterable[Message], *others: Meter, meter: Meter = PRESS) -> list[dict[str, object]]:
    outcomes = fed(Metering(LATENESS_S), [site_at(a_site("mill", a_meter(), meter, *others)), *messages])
    return flagged(sent(outcomes, None, CORRECTIONS.name))


def flagged(records: list[dict[str, object]]) -> list[dict[str, object]]:
    return [one for one in records if one["kind"] not in {"silent", "speaks"}]


def kinds(found: list[dict[str, object]]) -> list[object]:
    return [one["kind"] for one in found]


def test_a_press_that_counts_on_its_export_register_is_reversed_until_somebody_turns_it():
    # 6 kW: 0.1 kWh a minute, on the export register from minute 10 to minute 100.
    def at(minute: int) -> Reading:
        wrong = min(max(0, minute - 10), 90)
        return 50 + 0.1 * (minute - wrong), 7 + 0.1 * wrong, None

    turned, draws = said(minutely(map(at, range(120))))

    # 30 minutes after the last reading up to which it drew; two of the display's whole kWh are there after 20.
    assert turned == dict.fromkeys(CORRECTION_RECORD) | {
        "id": f"corrections/reversed/mill/press/{NOON + 600_000}/{NOON + 2_400_000}",
        "tenant_id": "acme",
        "site_id": "mill",
        "meter_id": "press",
        "ts": NOON + 600_000,
        "kind": "reversed",
        "window_from": NOON + 600_000,
        "window_until": NOON + 2_400_000,
        "export_before_kwh": pytest.approx(3.0),
        "export_after_kwh": pytest.approx(3.0),
        "revision": 0,
        "raw_partition": turned["raw_partition"],
        "raw_offset_first": 40,
        "raw_offset_last": 40,
    }
    assert (draws["kind"], draws["ts"], draws["window_until"]) == ("draws", NOON + 600_000, NOON + 101 * 60_000)
    assert draws["export_after_kwh"] == pytest.approx(9.0)


def test_negative_power_says_the_same_where_no_register_counts_it():
    found = said(minutely((50.0, None, -6.0) for _ in range(300)))

    assert [(one["kind"], one["export_after_kwh"]) for one in found] == [("reversed", pytest.approx(3.0))]


def test_a_meter_that_sends_intervals_can_be_reversed_too():
    meter = a_meter("press", kind="sub_meter", parent="main", sends="intervals")
    messages: list[Message] = []
    for minute in range(1, 90):
        row = {"import_kwh": None, "interval_kwh": 0.0, "interval_export_kwh": 0.1, "meter_id": "press"}
        row |= {"ts": NOON + minute * 60_000, "raw_offset": minute}
        messages += [rows_at(Kind.READINGS, minute * 60, readings(row)), tick_at(minute * 60)]

    assert kinds(said(messages, meter=meter)) == ["reversed"]


def feeding() -> list[Reading]:
    return [(50.0, 7 + 0.1 * minute, -6.0) for minute in range(200)]


def test_the_grid_connection_and_generation_may_feed_in():
    pv = a_meter("pv", kind="generation")

    assert said(minutely(feeding(), "main")) == []
    assert said(minutely(feeding(), "pv"), pv) == []


def test_a_meter_above_generation_may_feed_in():
    roof = a_meter("roof", kind="sub_meter", parent="press")
    pv = a_meter("pv", kind="generation", parent="roof")

    assert said(minutely(feeding()), roof, pv) == []
    assert said(minutely(feeding(), "roof"), roof, pv) == []


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(lambda minute: (50.0, 7.0, 0.0), id="a machine that is off"),
        pytest.param(lambda minute: (50 + 0.1 * minute, 7.0, 6.0), id="one that draws"),
        pytest.param(lambda minute: (50 + 0.3 * (minute // 20), 7 + 0.1 * minute, None), id="a lift that brakes"),
        pytest.param(lambda minute: (50.0, 7 + minute // 200, None), id="a last digit that flickers"),
        pytest.param(lambda minute: (50.0, None, None), id="one without power"),
    ],
)
def test_what_is_not_reversed_is_not_flagged(at: Callable[[int], Reading]):
    assert said(minutely(map(at, range(300)))) == []


def test_behind_a_transformer_it_takes_more_energy():
    meter = a_meter("press", kind="sub_meter", parent="main", multiplier=200.0)
    # 40 kWh an hour as shown: 8,000 kWh; and a hundredth of it.
    assert kinds(said(minutely((50.0, 7 + n * 40 / 60, None) for n in range(200)), meter=meter)) == ["reversed"]
    assert said(minutely((50.0, 7 + n * 0.4 / 60, None) for n in range(200)), meter=meter) == []


@given(
    kw=st.lists(st.floats(-40.0, 40.0), min_size=3, max_size=6),
    lengths=st.lists(st.integers(10, 80), min_size=6, max_size=6),
    ticks=st.lists(st.booleans(), min_size=4, max_size=9),
    restarts=st.lists(st.booleans(), min_size=5, max_size=8),
)
@settings(max_examples=25, deadline=None)
def test_restarts_and_the_moments_windows_close_at_make_no_difference(
    kw: Sequence[float], lengths: Sequence[int], ticks: list[bool], restarts: list[bool]
):
    registers, found = [50.0, 7.0], []
    for power, length in zip(kw, lengths, strict=False):
        for _ in range(length):
            registers[0] += max(0.0, power) / 60
            registers[1] += max(0.0, -power) / 60
            found.append((registers[0], registers[1], power))
    messages = minutely(found)
    plain = said(messages)
    metering = Metering(LATENESS_S)
    outcomes = [metering.step(site_at(a_site("mill", a_meter(), PRESS)))]
    for place, message in enumerate(messages):
        if message.kind is not Kind.TICK or ticks[place // 2 % len(ticks)] or place > len(messages) - 3:
            outcomes.append(metering.step(message))
        if restarts[place % len(restarts)] and place % 7 == 0:
            kept = metering.snapshot(["mill"])
            metering = Metering(LATENESS_S)
            metering.restore(kept)

    again = flagged(sent(outcomes, None, CORRECTIONS.name))
    assert [one["id"] for one in again] == [one["id"] for one in plain]
    assert [one["export_after_kwh"] for one in again] == pytest.approx([one["export_after_kwh"] for one in plain])
