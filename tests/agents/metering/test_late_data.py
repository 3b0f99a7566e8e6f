"""Readings that come late for a pause revise its windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import polars as pl
import pytest
from builders import NOON, a_meter, a_site, fed, readings, refused, registers, rows_at, sent, site_at, tick_at
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metering.step import Metering
from schemas.correction import CORRECTION_RECORD
from schemas.flow import Kind, Message, Outcome
from schemas.topics import CORRECTIONS
from schemas.window import WINDOW_MS, WINDOW_ROWS

LATENESS_S = 60
HOUR_S = 3600


def measured(*messages: Message, horizon_s: int = HOUR_S, interval_s: int = 60) -> list[Outcome]:
    """What a new agent makes of messages, once it knows the site."""
    agent = Metering(LATENESS_S, horizon_s)
    return fed(agent, [site_at(a_site("mill", a_meter(interval_s=interval_s))), *messages])


def came(at_s: float, by_second: dict[float, float], **given: object) -> list[Message]:
    """Readings, and a tick."""
    return [rows_at(Kind.READINGS, at_s, registers(by_second, **given)), tick_at(at_s)]


def windows(outcomes: Sequence[Outcome]) -> dict[tuple[int, int], tuple[object, object]]:
    """Energy and quality by minute after NOON and revision."""
    return {
        (minute(row["window_start"]), int(str(row["revision"]))): (row["import_kwh"], row["quality"])
        for row in sent(outcomes, Kind.WINDOWS)
    }


def minute(start: object) -> int:
    return round((start.timestamp() * 1000 - NOON) / WINDOW_MS)


# A pause of ten minutes, 10 kWh, that closes when the reading of 720 s has come.
PAUSE = {0.0: 0.0, 60.0: 1.0, 660.0: 11.0, 720.0: 12.0}


def test_a_late_reading_in_a_pause_revises_its_windows():
    outcomes = measured(*came(800, PAUSE), *came(801, {360: 1.0}))

    assert refused(outcomes) == []
    revised = {at: found for at, found in windows(outcomes).items() if at[1] == 1}
    # Nothing was drawn up to 360 s, all of it in the five minutes behind: both are still pauses.
    assert revised == {(n, 1): (0.0 if n < 6 else pytest.approx(2.0), "estimated") for n in range(1, 11)}


def test_the_energy_of_a_revised_pause_is_what_it_was():
    outcomes = measured(*came(800, PAUSE), *came(801, {360: 1.0}), *came(802, {180: 1.0, 540: 3.5}))

    of_revision = [sum(w[0] for at, w in windows(outcomes).items() if at[1] == n) for n in range(3)]
    assert of_revision == pytest.approx([11.0 + 0.0, 10.0, 10.0])


def test_a_pause_that_is_filled_is_measured():
    late = {60.0 * n: 1.0 + (n - 1) ** 2 / 10 for n in range(2, 11)}

    found = windows(measured(*came(800, PAUSE), *came(801, late)))

    assert [found[n, 1][1] for n in range(1, 11)] == ["measured"] * 10
    assert [found[n, 1][0] for n in range(1, 10)] == pytest.approx([(2 * n - 1) / 10 for n in range(1, 10)])


def test_windows_between_readings_that_came_in_time_are_not_sent_again():
    found = windows(measured(*came(800, PAUSE), *came(801, {360: 1.0})))

    assert {n for n, revision in found if revision} == set(range(1, 11))


def test_a_revised_window_says_what_it_was_before():
    outcomes = measured(*came(800, PAUSE), *came(801, {360: 1.0}))

    rows = sent(outcomes, Kind.WINDOWS)
    assert {row["previous_import_kwh"] for row in rows if row["revision"] == 0} == {None}
    assert [row["previous_import_kwh"] for row in rows if row["revision"]] == pytest.approx([1.0] * 10)


def test_a_revision_keeps_the_contract_of_windows():
    outcomes = measured(*came(800, PAUSE), *came(801, {360: 1.0}))

    schemas = [dict(one.rows.schema) for outcome in outcomes for one in outcome.outputs if one.kind is Kind.WINDOWS]
    assert schemas == [WINDOW_ROWS, WINDOW_ROWS]


def test_a_correction_says_what_changed():
    outcomes = measured(*came(800, PAUSE, raw_offset=7), *came(801, {360: 1.0, 480: 2.0}, raw_offset=9))

    (correction,) = sent(outcomes, None, CORRECTIONS.name)
    assert list(correction) == list(CORRECTION_RECORD)
    assert correction == {
        "id": f"corrections/late_data/mill/main/{NOON + 60_000}/1",
        "tenant_id": "acme",
        "site_id": "mill",
        "meter_id": "main",
        "ts": NOON + 60_000,
        "kind": "late_data",
        "window_from": NOON + 60_000,
        "window_until": NOON + 660_000,
        "import_before_kwh": pytest.approx(10.0),
        "import_after_kwh": pytest.approx(10.0),
        "export_before_kwh": None,
        "export_after_kwh": None,
        "register_from_kwh": None,
        "register_to_kwh": None,
        "by_power_kwh": None,
        "clock_slip_s": None,
        "revision": 1,
        "raw_partition": 0,
        "raw_offset_first": 9,
        "raw_offset_last": 9,
    }


def test_a_pause_that_reaches_into_an_open_minute_is_revised_up_to_its_end():
    # 630 s is settled: the minute up to 600 s is closed, the next one has the rest of the pause.
    outcomes = measured(
        *came(700, {0: 0.0, 60: 1.0, 630: 20.0}),
        tick_at(760),
        *came(761, {615: 2.0}),
        *came(900, {690: 21.0, 900: 24.0}),
    )

    found = windows(outcomes)
    assert sum(found[n, 1][0] for n in range(1, 10)) == pytest.approx(540 / 555)
    assert found[10, 0][0] == pytest.approx(15 / 555 + 18.0 + 0.5)
    assert refused(outcomes) == []


def test_a_pause_whose_windows_closed_in_two_goes_is_revised_as_one():
    outcomes = measured(
        *came(700, {0: 0.0, 60: 1.0, 630: 20.0}),
        tick_at(760),
        *came(960, {690: 21.0, 900: 24.0}),
        *came(961, {360: 2.0}),
    )

    revised = {at[0]: found[0] for at, found in windows(outcomes).items() if at[1] == 1}
    by_hand = dict.fromkeys(range(1, 6), 0.2) | dict.fromkeys(range(6, 10), 4.0) | {10: 2.0 + 0.5}
    assert revised == pytest.approx(by_hand)


def test_a_reading_in_front_of_one_that_is_settled_takes_no_energy_away():
    # The minute's end was interpolated between 0 s and 90 s: at 60 s the register would be 60, and 10 only at 70 s.
    outcomes = measured(
        *came(90, {0: 0.0, 90: 90.0}), tick_at(150), *came(151, {70: 10.0}), *came(300, {180: 180.0}), tick_at(360)
    )

    assert [row["reason"] for row in refused(outcomes)] == ["late"]
    assert [found[0] for found in windows(outcomes).values()] == pytest.approx([60.0, 60.0, 60.0])


def test_a_late_reading_that_contradicts_the_registers_is_refused():
    outcomes = measured(*came(800, PAUSE), *came(801, {300: 0.5, 360: 11.5, 420: 5.0, 480: 4.0}))

    assert [row["import_kwh"] for row in refused(outcomes)] == [0.5, 11.5, 4.0]
    assert sum(found[0] for at, found in windows(outcomes).items() if at[1] == 1) == pytest.approx(10.0)


def test_where_nothing_was_missing_a_late_reading_is_refused():
    outcomes = measured(*came(800, PAUSE), *came(801, {30: 0.9}))

    assert [row["reason"] for row in refused(outcomes)] == ["late"]


def test_behind_the_horizon_a_late_reading_is_refused():
    outcomes = measured(
        *came(800, PAUSE), *came(9000, {8940: 100.0, 9000: 101.0}), *came(9061, {360: 1.0}), horizon_s=1000
    )

    assert [row["reason"] for row in refused(outcomes)] == ["late"]


def test_of_power_alone_a_pause_is_filled():
    rows = readings(*({"s": s, "power_kw": 60.0} for s in (0, 60, 400, 480)))
    late = readings(*({"s": s, "power_kw": 60.0} for s in (180, 300)))

    outcomes = measured(
        rows_at(Kind.READINGS, 480, rows), tick_at(540), rows_at(Kind.READINGS, 541, late), tick_at(541)
    )

    found = windows(outcomes)
    best = {n: found[max(at for at in found if at[0] == n)][0] for n, _ in found}
    assert best == pytest.approx(dict.fromkeys(range(8), 1.0))


@dataclass(frozen=True)
class Arrivals:
    """Readings of a meter, when each arrives, and the ticks and restarts between. [s], [kWh]"""

    at_s: tuple[float, ...]
    kwh: tuple[float, ...]
    delays_s: tuple[float, ...]
    ticks: tuple[bool, ...]
    restarts: tuple[bool, ...]


@st.composite
def arrivals(draw: st.DrawFn) -> Arrivals:
    size = draw(st.integers(2, 24))
    pauses = draw(st.lists(st.sampled_from([10, 25, 30, 30, 30, 60, 90, 200]), min_size=size - 1, max_size=size - 1))
    used = draw(st.lists(st.floats(0, 40, allow_subnormal=False), min_size=size - 1, max_size=size - 1))
    delays = draw(
        st.lists(st.sampled_from([0, 0, 0, 5, 50, 300, 400, 1000, 3000]), min_size=size - 1, max_size=size - 1)
    )
    flags = st.lists(st.booleans(), min_size=size, max_size=size).map(tuple)
    start = draw(st.integers(0, 59))
    return Arrivals(
        tuple(accumulate([start, *pauses])),
        tuple(accumulate([draw(st.sampled_from([0.0, 1e6])), *used])),
        (0.0, *delays),  # of what was before the first reading, nobody knows
        draw(flags),
        draw(flags),
    )


def delivered(case: Arrivals) -> list[Outcome]:
    """Deliver readings one by one, with ticks and restarts between, until everything is closed."""
    order = sorted(range(len(case.at_s)), key=lambda n: (case.at_s[n] + case.delays_s[n], n))
    messages: list[Message] = [site_at(a_site("mill", a_meter(interval_s=30)))]
    now_s = 0.0
    for place, number in enumerate(order):
        now_s = case.at_s[number] + case.delays_s[number]
        row = {"s": case.at_s[number], "import_kwh": case.kwh[number], "raw_offset": place}
        messages.append(rows_at(Kind.READINGS, now_s, readings(row)))
        if case.ticks[place]:
            messages.append(tick_at(now_s))
    messages.append(tick_at(now_s + 2 * LATENESS_S))
    agent, kept = Metering(LATENESS_S, HOUR_S), dict[str, bytes]()
    outcomes = []
    for number, message in enumerate(messages):
        outcomes.append(agent.step(message))
        if number and case.restarts[number % len(case.restarts)]:
            kept |= agent.snapshot()
            agent = Metering(LATENESS_S, HOUR_S)
            agent.restore(kept)
    return outcomes


def newest(outcomes: list[Outcome]) -> pl.DataFrame:
    """The highest revision of every window."""
    rows = [row for outcome in outcomes for one in outcome.outputs if one.kind is Kind.WINDOWS for row in [one.rows]]
    if not rows:
        return pl.DataFrame(schema=WINDOW_ROWS)
    every = pl.concat(rows)
    assert every.select("window_start", "revision").is_duplicated().sum() == 0
    return every.sort("window_start", "revision").unique("window_start", keep="last", maintain_order=True)


# A pause that reaches beyond the last closed window is not the last thing its strip holds: readings followed in time.
END_OF_A_PAUSE = (
    Arrivals(
        at_s=(0, 10, 20, 30, 40, 65, 95, 125, 155, 185, 275, 305, 315, 340, 365),
        kwh=(0.0,) * 15,
        delays_s=(0.0, 0, 0, 0, 0, 0, 0, 0, 0, 300, 400, 300, 0, 300, 300),
        ticks=(False,) * 10 + (True, False, False, True, False),
        restarts=(False,) * 15,
    ),
    Arrivals(
        at_s=(0, 10, 20, 30, 60, 150, 240, 250, 275, 305, 335, 425, 435, 445, 645),
        kwh=(0.0,) * 11 + (31.68,) * 4,
        delays_s=(0.0, 0, 0, 0, 0, 0, 300, 1000, 1000, 3000, 3000, 300, 0, 300, 1000),
        ticks=(False,) * 7 + (True,) + (False,) * 4 + (True, False, False),
        restarts=(False,) * 15,
    ),
)


@pytest.mark.parametrize("case", END_OF_A_PAUSE)
def test_what_comes_late_moves_the_end_of_the_last_closed_window_that_lies_in_its_pause(case: Arrivals) -> None:
    assert_revised_like_a_single_pass(case)


@settings(max_examples=150, deadline=None)
@given(arrivals())
def test_revised_windows_are_those_of_a_single_pass_over_the_sorted_readings(case: Arrivals) -> None:
    assert_revised_like_a_single_pass(case)


def assert_revised_like_a_single_pass(case: Arrivals) -> None:
    outcomes = delivered(case)

    late = {row["ts"] for row in refused(outcomes)}
    assert {row["reason"] for row in refused(outcomes)} <= {"late"}
    taken = [n for n, s in enumerate(case.at_s) if NOON + s * 1000 not in late]
    rows = readings(*({"s": case.at_s[n], "import_kwh": case.kwh[n]} for n in taken))
    end_s = case.at_s[taken[-1]]
    in_order = fed(
        Metering(LATENESS_S),
        [site_at(a_site("mill", a_meter(interval_s=30))), rows_at(Kind.READINGS, end_s, rows), tick_at(end_s + 999)],
    )
    found, expected = newest(outcomes), newest(in_order)
    assert found["window_start"].to_list() == expected["window_start"].to_list()
    assert found["quality"].to_list() == expected["quality"].to_list()
    tolerance = 1e-9 * max(1.0, case.kwh[-1])
    assert found["import_kwh"].to_list() == pytest.approx(expected["import_kwh"].to_list(), rel=1e-9, abs=tolerance)
    assert found["covered_s"].to_list() == pytest.approx(expected["covered_s"].to_list())
