"""Meters that are stuck, silent or whose clocks slipped are flagged, and healthy ones are not."""

from collections.abc import Callable, Iterable

import pytest
from builders import NOON, a_meter, a_site, fed, readings, refused, rows_at, sent, site_at, tick_at
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metering.step import Metering
from schemas.correction import CORRECTION_RECORD
from schemas.flow import Kind, Message, Outcome
from schemas.registry import Meter
from schemas.topics import CORRECTIONS

LATENESS_S = 120
MINUTE_S, HOUR_S = 60, 3600

Reading = tuple[float, float | None, float | None]  # second, register, power


def said(messages: Iterable[Message], meter: Meter | None = None, **flags: bool) -> list[dict[str, object]]:
    """The flags a new agent raises. Where a clock goes back, readings come too late or in a wrong order."""
    metering = Metering(LATENESS_S, **flags)
    outcomes = fed(metering, [site_at(a_site("mill", meter or a_meter())), *messages])
    assert {one["reason"] for one in refused(outcomes)} <= {"late", "register_decreased"}
    return flagged(outcomes)


def flagged(outcomes: Iterable[Outcome]) -> list[dict[str, object]]:
    """What was said but for silence: each of these runs ends with an hour of it, seen by its ticks."""
    return [one for one in sent(outcomes, None, CORRECTIONS.name) if one["kind"] not in {"silent", "speaks"}]


def arriving(sent_by_s: Iterable[tuple[float, Reading]]) -> list[Message]:
    """Readings by the second they arrive, each followed by a tick; and a last tick much later."""
    messages: list[Message] = []
    at_s = 0.0
    for offset, (at_s, (second, kwh, kw)) in enumerate(sent_by_s):
        row = {"import_kwh": kwh, "power_kw": kw, "ts": NOON + round(second * 1000), "raw_offset": offset}
        messages += [rows_at(Kind.READINGS, at_s, readings(row)), tick_at(at_s)]
    return [*messages, tick_at(at_s + HOUR_S)]


def at_once(found: Iterable[Reading]) -> list[Message]:
    return arriving((reading[0], reading) for reading in found)


def minutely(minutes: int, kwh: Callable[[int], float | None], kw: float | None, first: int = 0) -> list[Reading]:
    return [(minute * 60.0, kwh(minute), kw) for minute in range(first, first + minutes)]


def kinds(found: list[dict[str, object]]) -> list[object]:
    return [one["kind"] for one in found]


def test_a_register_that_stands_still_at_full_power_is_stuck_and_moves_again():
    # 6 kW: 0.1 kWh a minute. It stands from minute 10 to minute 60 and then goes on as if nothing had been.
    def register(minute: int) -> float:
        return 100 + 0.1 * min(minute, 10) + 0.1 * max(0, minute - 60)

    stuck, moves = said(at_once(minutely(90, register, 6.0)))

    # 30 minutes after the last reading it followed; two of the display's whole kWh are owed after 20.
    assert stuck == dict.fromkeys(CORRECTION_RECORD) | {
        "id": f"corrections/register_stuck/mill/main/{NOON + 600_000}/{NOON + 2_400_000}",
        "tenant_id": "acme",
        "site_id": "mill",
        "meter_id": "main",
        "ts": NOON + 600_000,
        "kind": "register_stuck",
        "window_from": NOON + 600_000,
        "window_until": NOON + 2_400_000,
        "import_before_kwh": 0.0,
        "register_from_kwh": pytest.approx(101.0),
        "register_to_kwh": pytest.approx(101.0),
        "by_power_kwh": pytest.approx(3.0),
        "revision": 0,
        "raw_partition": stuck["raw_partition"],
        "raw_offset_first": 40,
        "raw_offset_last": 40,
    }
    # 50 minutes at 6 kW are 5 kWh, of which the register knows nothing; its own next step is 0.1.
    assert (moves["kind"], moves["window_from"], moves["window_until"]) == (
        "register_moves",
        NOON + 600_000,
        NOON + 61 * 60_000,
    )
    assert (moves["import_after_kwh"], moves["by_power_kwh"]) == (pytest.approx(0.1), pytest.approx(5.0))
    assert moves["register_to_kwh"] == pytest.approx(101.1)


def test_a_register_that_stays_stuck_is_said_once():
    assert kinds(said(at_once(minutely(600, lambda _: 100.0, 6.0)))) == ["register_stuck"]


@pytest.mark.parametrize(
    ("kwh", "kw"),
    [
        pytest.param(lambda _: 100.0, 0.0, id="a machine that is off"),
        pytest.param(lambda _: 100.0, None, id="a meter without power"),
        pytest.param(lambda _: None, 6.0, id="a meter with power alone"),
        pytest.param(lambda _: 100.0, -6.0, id="a meter that feeds in"),
        pytest.param(lambda minute: 100 + 0.1 * minute, 6.0, id="one that counts"),
        pytest.param(lambda minute: 100 + minute // 10, 6.0, id="one that shows whole kilowatt-hours"),
    ],
)
def test_what_is_not_stuck_is_not_flagged(kwh: Callable[[int], float | None], kw: float | None):
    assert said(at_once(minutely(300, kwh, kw))) == []


def test_an_inverter_that_shows_power_and_counts_what_it_delivers_is_not_stuck():
    rows = [
        {"import_kwh": 5.0, "export_kwh": 0.1 * n, "power_kw": 6.0, "ts": NOON + n * 60_000, "raw_offset": n}
        for n in range(200)
    ]

    assert said([rows_at(Kind.READINGS, 200 * 60, readings(*rows)), tick_at(300 * 60)]) == []


def test_behind_a_transformer_a_register_may_owe_more():
    # 40 kW behind 1:200; the display shows tenths: 20 kWh steps, one in half an hour.
    coarse = minutely(600, lambda minute: 5000 + (minute * 40 / 60 // 20) * 20 / 200, 40.0 / 200)

    assert said(at_once(coarse), a_meter(multiplier=200.0)) == []


def test_a_register_coarser_than_its_display_is_flagged_once_and_then_known():
    # 10 kWh a step without a transformer.
    coarse = minutely(900, lambda minute: 5000 + (minute * 12 / 60 // 10) * 10, 12.0)

    assert kinds(said(at_once(coarse))) == ["register_stuck", "register_moves"]


def test_through_a_pause_nothing_is_counted_by_power():
    found = [*minutely(5, lambda _: 100.0, 6.0), *minutely(5, lambda _: 100.0, 6.0, first=500)]

    assert said(at_once(found)) == []


def lagging(lag_s: Callable[[float], float], until_s: float, every_s: float = 60.0) -> list[Message]:
    """Readings stamped rightly, by a clock this many seconds behind at the time it sends."""
    times = [every_s * n for n in range(int(until_s / every_s))]
    return arriving((at_s, (at_s - lag_s(at_s), 100 + at_s / 3600, None)) for at_s in times)


def test_a_clock_that_loses_ten_minutes_is_flagged_and_so_is_its_repair():
    slip, right = said(lagging(lambda at_s: 3.0 + (600.0 if 3 * HOUR_S <= at_s < 6 * HOUR_S else 0.0), 9 * HOUR_S))

    assert (slip["kind"], slip["clock_slip_s"]) == ("clock_slip", pytest.approx(600.0, abs=1.0))
    assert NOON + 3 * HOUR_S * 1000 - 700_000 <= slip["window_from"] <= NOON + 3.5 * HOUR_S * 1000
    assert (right["kind"], right["clock_slip_s"]) == ("clock_right", pytest.approx(0.0, abs=1.0))
    assert slip["import_after_kwh"] is None


def test_a_clock_that_is_ahead_is_flagged_at_once():
    found = said(lagging(lambda at_s: -200.0, HOUR_S))

    assert [(one["kind"], one["clock_slip_s"]) for one in found] == [("clock_slip", -200.0)]


@pytest.mark.parametrize(
    "lag_s",
    [
        pytest.param(lambda at_s: 3.0, id="a network"),
        pytest.param(lambda at_s: 3.0 + at_s / 400, id="a clock that loses 9 s an hour and is followed"),
        pytest.param(lambda at_s: 900.0, id="a gateway that is always a quarter of an hour late"),
        pytest.param(lambda at_s: 3.0 if at_s < HOUR_S or at_s > 2 * HOUR_S else 100.0, id="a slow hour"),
    ],
)
def test_a_usual_lag_is_no_slip(lag_s: Callable[[float], float]):
    assert not {"clock_slip", "clock_right"}.intersection(kinds(said(lagging(lag_s, 8 * HOUR_S))))


def test_a_gateway_that_empties_its_store_has_no_wrong_clock():
    live = [(at_s, (at_s - 3.0, 100 + at_s / 3600, None)) for at_s in map(float, range(0, 4 * HOUR_S, 60))]
    # From the second to the third hour it is cut off; then it sends an hour's readings in ten minutes, in their order.
    kept = [one for one in live if 2 * HOUR_S <= one[0] < 3 * HOUR_S]
    stored = [(3 * HOUR_S + 10.0 * n, reading) for n, (_, reading) in enumerate(kept)]
    others = [one for one in live if not 2 * HOUR_S <= one[0] < 3 * HOUR_S + 600]

    assert said(arriving(sorted(others + stored))) == []


def test_a_gateway_that_delivers_each_quarter_of_an_hour_has_no_wrong_clock():
    delivered = [
        (at_s // 900 * 900 + 900, (at_s, 100 + at_s / 3600, None)) for at_s in map(float, range(0, 36_000, 60))
    ]

    assert said(arriving(delivered)) == []


def test_history_that_is_read_in_has_no_wrong_clock():
    assert said(arriving((at_s / 100, (at_s, 100 + at_s, 6.0)) for at_s in map(float, range(0, 720_000, 60)))) == []


def test_meters_that_send_intervals_have_clocks_but_no_registers():
    meter = a_meter(sends="intervals", interval_s=60)
    lag = {at_s: 0.0 if at_s < 2 * HOUR_S else 600.0 for at_s in map(float, range(60, 4 * HOUR_S, 60))}
    messages: list[Message] = []
    for offset, (at_s, late_s) in enumerate(lag.items()):
        stamp = NOON + round((at_s - late_s) * 1000) + (1 if late_s else 0)
        row = {"import_kwh": None, "interval_kwh": 0.0, "power_kw": 6.0, "ts": stamp, "raw_offset": offset}
        messages += [rows_at(Kind.READINGS, at_s, readings(row)), tick_at(at_s)]
    outcomes = fed(Metering(LATENESS_S), [site_at(a_site("mill", meter)), *messages, tick_at(5 * HOUR_S)])

    assert kinds(sent(outcomes, None, CORRECTIONS.name)) == ["clock_slip", "silent"]


def test_a_replay_flags_nothing_because_it_does_not_know_what_was_usual():
    assert said(at_once(minutely(90, lambda _: 100.0, 6.0)), live=False) == []


def oddly(seed_kw: list[float], stuck_from: int, lag_s: float) -> list[tuple[float, Reading]]:
    """Hours in which power varies, the register gets stuck, and the clock slips."""
    kwh, found = 100.0, []
    for minute, kw in enumerate(seed_kw * 40):
        if not stuck_from <= minute < stuck_from + 90:
            kwh += kw / 60
        slip = lag_s if minute > 300 else 0.0
        found.append((minute * 60.0 + slip, (minute * 60.0, kwh, kw)))
    return found


@given(
    kw=st.lists(st.floats(0.5, 40.0), min_size=10, max_size=14),
    stuck_from=st.integers(5, 200),
    lag_s=st.sampled_from([0.0, 60.0, 300.0, 3600.0]),
    ticks=st.lists(st.booleans(), min_size=4, max_size=9),
    restarts=st.lists(st.booleans(), min_size=5, max_size=8),
)
@settings(max_examples=25, deadline=None)
def test_restarts_and_the_moments_windows_close_at_make_no_difference(
    kw: list[float], stuck_from: int, lag_s: float, ticks: list[bool], restarts: list[bool]
):
    found = oddly(kw, stuck_from, lag_s)
    site = site_at(a_site("mill", a_meter()))
    plain = said(arriving(found))
    metering, outcomes = Metering(LATENESS_S), []
    outcomes.append(metering.step(site))
    for place, message in enumerate(arriving(found)):
        if message.kind is not Kind.TICK or ticks[place // 2 % len(ticks)] or place > 2 * len(found) - 2:
            outcomes.append(metering.step(message))
        if restarts[place % len(restarts)] and place % 7 == 0:
            kept = metering.snapshot(["mill"])
            metering = Metering(LATENESS_S)
            metering.restore(kept)

    again = flagged(outcomes)
    assert sorted(str(one["id"]) for one in again) == sorted(str(one["id"]) for one in plain)
    assert {one["id"]: one["by_power_kwh"] for one in again} == pytest.approx(
        {one["id"]: one["by_power_kwh"] for one in plain}
    )
    assert "register_stuck" in kinds(plain) or max(kw) < 4.1
    assert ("clock_slip" in kinds(plain)) == (lag_s > 120)
