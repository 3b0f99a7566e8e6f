"""Registers that do not simply go on: rollover, swap, reset and fault, by hand."""

import pytest
from builders import NOON, a_meter, a_site, fed, readings, refused, registers, rows_at, sent, site_at, tick_at
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metering.step import Metering
from agents.metering.turning import FAULT, RESET, ROLLOVER, of_register
from schemas.flow import Kind, Outcome
from schemas.registry import Meter
from schemas.topics import CORRECTIONS

LATENESS_S = 60


def measured(by_second: dict[float, float], meter: Meter, **more: dict[float, float]) -> list[Outcome]:
    """What a new agent makes of registers that come in time, minute by minute."""
    messages = [site_at(a_site("mill", meter))]
    for s, kwh in by_second.items():
        messages += [rows_at(Kind.READINGS, s, registers({s: kwh})), tick_at(s)]
    return fed(Metering(LATENESS_S), [*messages, tick_at(max(by_second) + LATENESS_S)])


def kwh(outcomes: list[Outcome]) -> list[object]:
    return [row["import_kwh"] for row in sent(outcomes, Kind.WINDOWS)]


def corrections(outcomes: list[Outcome]) -> list[tuple[object, ...]]:
    columns = "kind", "import_after_kwh", "register_from_kwh", "register_to_kwh"
    return [tuple(row[name] for name in columns) for row in sent(outcomes, None, CORRECTIONS.name)]


def test_a_register_that_passes_its_maximum_goes_on():
    meter = a_meter(register_max_kwh=1000.0, multiplier=2.0)

    outcomes = measured({0: 998.0, 60: 999.0, 120: 1.5, 180: 2.0}, meter)

    assert kwh(outcomes) == pytest.approx([2.0, 5.0, 1.0])
    assert corrections(outcomes) == [("rollover", 5.0, 1998.0, 3.0)]
    assert refused(outcomes) == []


def test_a_rollover_within_minutes_keeps_its_energy_in_each():
    outcomes = measured({0: 998.0, 30: 999.0, 150: 3.0, 180: 3.5}, a_meter(register_max_kwh=1000.0))

    # 4 kWh in 120 s: a quarter in the first minute, half in the second
    assert kwh(outcomes) == pytest.approx([2.0, 2.0, 1.5])
    assert [row["quality"] for row in sent(outcomes, Kind.WINDOWS)] == ["measured"] * 3


def test_a_declared_swap_goes_on_between_the_registers():
    swap = {"at": "2026-07-15T12:01:30+08:00", "final_kwh": 100.75, "initial_kwh": 7.0}

    outcomes = measured({0: 99.0, 60: 100.0, 120: 7.5, 180: 8.5}, a_meter(swaps=[swap], multiplier=10.0))

    assert kwh(outcomes) == pytest.approx([10.0, 12.5, 10.0])  # (100.75 - 100 + 7.5 - 7) * 10
    assert corrections(outcomes) == [("meter_swap", pytest.approx(12.5), 1000.0, 75.0)]


def test_a_swap_to_a_meter_that_shows_more_is_no_consumption():
    swap = {"at": "2026-07-15T12:01:30+08:00", "final_kwh": 100.75, "initial_kwh": 5000.0}

    assert kwh(measured({0: 99.0, 60: 100.0, 120: 5000.5}, a_meter(swaps=[swap]))) == pytest.approx([1.0, 1.25])


def test_a_swap_counts_once_however_often_windows_close_within_it():
    swap = {"at": "2026-07-15T12:04:00+08:00", "final_kwh": 106.0, "initial_kwh": 5000.0}

    outcomes = measured({0: 100.0, 90: 101.0, 330: 5001.0, 360: 5001.5, 500: 5002.0}, a_meter(swaps=[swap]))

    assert sum(kwh(outcomes)) == pytest.approx(1.0 + 6.0 + 0.5 + 0.5 * 120 / 140)
    assert [kind for kind, *_ in corrections(outcomes)] == ["meter_swap"]


def test_a_swap_that_does_not_fit_the_registers_is_a_fault():
    swap = {"at": "2026-07-15T12:01:30+08:00", "final_kwh": 90.0}

    outcomes = measured({0: 99.0, 60: 100.0, 120: 50.0}, a_meter(swaps=[swap]))

    assert kwh(outcomes) == [1.0]
    assert [kind for kind, *_ in corrections(outcomes)] == ["register_fault"]


def test_a_reset_counts_what_came_since_and_is_estimated():
    outcomes = measured({0: 499.0, 60: 500.0, 120: 0.5, 180: 1.5}, a_meter())

    assert kwh(outcomes) == pytest.approx([1.0, 0.5, 1.0])
    assert [row["quality"] for row in sent(outcomes, Kind.WINDOWS)] == ["measured", "estimated", "measured"]
    assert corrections(outcomes) == [("reset", 0.5, 500.0, 0.5)]
    assert refused(outcomes) == []


def test_a_register_that_goes_back_for_no_reason_is_a_fault_and_a_dead_letter():
    outcomes = measured({0: 499.0, 60: 500.0, 120: 490.0, 180: 491.0}, a_meter(register_max_kwh=1000.0))

    assert kwh(outcomes) == pytest.approx([1.0, 1.0])
    assert corrections(outcomes) == [("register_fault", None, 500.0, 490.0)]
    assert [row["reason"] for row in refused(outcomes)] == ["register_decreased"]


def test_more_than_a_circuit_can_carry_is_an_impossible_jump_and_no_energy():
    # 60 kW can be 1 kWh a minute; ten times that and two digits of the display are the limit: 12 kWh.
    outcomes = measured({0: 499.0, 60: 500.0, 120: 512.5, 180: 513.5}, a_meter(rated_kw=60.0))

    assert kwh(outcomes) == pytest.approx([1.0, 1.0])
    assert corrections(outcomes) == [("impossible_jump", None, 500.0, 512.5)]
    assert refused(outcomes) == []


def test_a_spike_of_a_register_counts_neither_on_its_way_up_nor_down():
    outcomes = measured({0: 99.0, 60: 100.0, 120: 1_000_100.0, 180: 102.0, 240: 103.0}, a_meter(rated_kw=60.0))

    # That it fell to 1 % of what it was would be a reset, after which all that it shows was counted: 102 kWh a minute.
    assert kwh(outcomes) == pytest.approx([1.0, 1.0])
    assert [kind for kind, *_ in corrections(outcomes)] == ["impossible_jump", "impossible_jump"]


@pytest.mark.parametrize(
    ("after", "meter", "expected_kwh"),
    [
        pytest.param(512.0, a_meter(rated_kw=60.0), 12.0, id="at the limit"),
        pytest.param(503.0, a_meter(rated_kw=60.0, multiplier=10.0), 30.0, id="two digits of a coarse display"),
        pytest.param(99_999.0, a_meter(), 99_499.0, id="nothing is rated"),
    ],
)
def test_what_a_circuit_can_carry_counts(after: float, meter: Meter, expected_kwh: float):
    outcomes = measured({60: 500.0, 120: after}, meter)

    assert kwh(outcomes) == pytest.approx([expected_kwh])
    assert corrections(outcomes) == []


def test_after_a_long_pause_a_jump_is_what_could_not_be_counted_in_it():
    outcomes = measured({0: 99.0, 60: 100.0, 7260: 1_200.0, 7320: 1_201.0}, a_meter(rated_kw=60.0))

    # Two hours at ten times 60 kW are 1,200 kWh and two.
    assert sum(kwh(outcomes)) == pytest.approx(1.0 + 1_100.0 + 1.0)
    assert corrections(outcomes) == []


def test_a_jump_is_the_same_however_often_windows_close_within_it():
    outcomes = measured({0: 100.0, 90: 101.0, 330: 9001.0, 360: 9001.5, 500: 9002.0}, a_meter(rated_kw=60.0))

    assert sum(kwh(outcomes)) == pytest.approx(1.0 + 0.5 + 0.5 * 120 / 140)
    assert [kind for kind, *_ in corrections(outcomes)] == ["impossible_jump"]


def test_a_correction_names_its_windows_and_readings():
    rows = readings(
        *({"s": s, "import_kwh": kwh, "raw_offset": n} for n, (s, kwh) in enumerate([(0, 9.0), (70, 0.0), (130, 0.5)]))
    )

    (row,) = sent(
        fed(Metering(LATENESS_S), [site_at(a_site()), rows_at(Kind.READINGS, 130, rows), tick_at(190)]),
        None,
        CORRECTIONS.name,
    )

    assert row["id"] == f"corrections/reset/mill/main/{NOON}/{NOON + 70_000}"
    assert (row["window_from"], row["window_until"]) == (NOON, NOON + 120_000)
    assert (row["raw_offset_first"], row["raw_offset_last"]) == (0, 1)


@pytest.mark.parametrize(
    ("before", "after", "maximum", "how"),
    [
        (950.0, 10.0, 1000.0, ROLLOVER),
        (900.0, 100.0, 1000.0, ROLLOVER),
        (899.0, 10.0, 1000.0, FAULT),
        (899.0, 8.0, 1000.0, RESET),
        (950.0, 101.0, 1000.0, FAULT),
        (950.0, 9.5, float("nan"), RESET),
        (950.0, 9.6, float("nan"), FAULT),
    ],
)
def test_what_a_register_did_is_judged_by_where_it_was_and_is(before: float, after: float, maximum: float, how: int):
    assert of_register(before, after, maximum)[0] == how


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_energy_is_conserved_through_rollovers_pauses_and_restarts(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 15))
    pauses = data.draw(st.lists(st.sampled_from([10, 30, 60, 90, 200, 700]), min_size=size, max_size=size))
    used = data.draw(st.lists(st.floats(0, 9, allow_subnormal=False), min_size=size, max_size=size))
    restarts = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    meter = a_meter(register_max_kwh=100.0, interval_s=30)
    at_s, total, register = 0.0, 0.0, data.draw(st.floats(80, 99))
    agent = Metering(LATENESS_S)
    outcomes = fed(agent, [site_at(a_site("mill", meter)), rows_at(Kind.READINGS, 0, registers({0: register}))])
    for pause, energy, restart in zip(pauses, used, restarts, strict=True):
        at_s += pause
        total += energy
        register = (register + energy) % 100.0
        outcomes += fed(agent, [rows_at(Kind.READINGS, at_s, registers({at_s: register})), tick_at(at_s)])
        if restart:
            kept, agent = agent.snapshot(), Metering(LATENESS_S)
            agent.restore(kept)
    # One more reading in the next minute lets everything up to here close.
    end_s = (at_s // 60 + 1) * 60
    outcomes += fed(agent, [rows_at(Kind.READINGS, end_s, registers({end_s: register})), tick_at(end_s + 99)])
    assert sum(float(str(one)) for one in kwh(outcomes)) == pytest.approx(total, rel=1e-9, abs=1e-7)
    assert refused(outcomes) == []


def test_a_swap_that_is_declared_afterwards_revises_what_was_a_fault():
    swap = {"at": "2026-07-15T12:01:30+08:00", "final_kwh": 100.75, "initial_kwh": 40.0}
    agent = Metering(LATENESS_S)
    rows = registers({0: 99.0, 60: 100.0, 120: 40.5, 180: 41.5})
    first = fed(agent, [site_at(a_site()), rows_at(Kind.READINGS, 180, rows), tick_at(240)])

    second = fed(agent, [site_at(a_site("mill", a_meter(swaps=[swap])), revision=2), tick_at(241)])

    assert kwh(first) == [1.0, 1.0]
    columns = "import_kwh", "previous_import_kwh", "revision", "quality"
    assert [tuple(row[name] for name in columns) for row in sent(second, Kind.WINDOWS)] == [
        (pytest.approx(1.25), None, 1, "measured")
    ]
    (event,) = sent(second, None, CORRECTIONS.name)
    assert (event["kind"], event["import_before_kwh"], event["import_after_kwh"]) == (
        "meter_swap",
        None,
        pytest.approx(1.25),
    )


def test_a_swap_that_is_declared_afterwards_revises_up_to_the_open_minute():
    swap = {"at": "2026-07-15T12:01:30+08:00", "final_kwh": 103.0, "initial_kwh": 40.0}
    agent = Metering(LATENESS_S)
    first = fed(
        agent,
        [site_at(a_site()), rows_at(Kind.READINGS, 150, registers({0: 99.0, 60: 100.0, 150: 41.5})), tick_at(210)],
    )

    second = fed(
        agent,
        [
            site_at(a_site("mill", a_meter(swaps=[swap])), revision=2),
            rows_at(Kind.READINGS, 240, registers({240: 43.0})),
            tick_at(300),
        ],
    )

    assert kwh(first) == [1.0]
    # 4.5 kWh in 90 s across the swap, then 1.5 kWh in 90 s
    assert kwh(second) == pytest.approx([3.0, 2.0, 1.0])


def test_a_swap_that_is_declared_afterwards_elsewhere_changes_nothing():
    swap = {"at": "2026-07-15T12:10:30+08:00", "final_kwh": 100.75}
    agent = Metering(LATENESS_S)
    rows = registers({0: 99.0, 60: 100.0, 120: 40.5, 180: 41.5})
    fed(agent, [site_at(a_site()), rows_at(Kind.READINGS, 180, rows), tick_at(240)])

    outcomes = fed(agent, [site_at(a_site("mill", a_meter(swaps=[swap])), revision=2), tick_at(241)])

    assert sent(outcomes, Kind.WINDOWS) == sent(outcomes, None, CORRECTIONS.name) == []
