"""Metering keeps every kilowatt-hour, whatever the order, the gaps and the restarts (Hypothesis)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

import polars as pl
import pytest
from builders import NOON, a_meter, a_site, readings, refused, rows_at, sent, site_at, tick_at
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metering.step import Metering
from schemas.flow import Kind, Message, Outcome
from schemas.registry import Meter
from schemas.window import WINDOW_MS

LATENESS_S = 120
_DIGITS_KWH = 100.0


@dataclass(frozen=True)
class History:
    """What a meter showed: times after NOON and the register. [s], [kWh]"""

    at_s: tuple[float, ...]
    kwh: tuple[float, ...]

    def at(self, s: float) -> float:
        """The register at a moment between two readings, energy taken as evenly spread. [kWh]"""
        for (s0, kwh0), (s1, kwh1) in zip(
            zip(self.at_s, self.kwh, strict=True), zip(self.at_s[1:], self.kwh[1:], strict=True), strict=False
        ):
            if s0 <= s <= s1:
                return kwh0 + (kwh1 - kwh0) * (s - s0) / (s1 - s0)
        raise ValueError(f"{s} s lies outside")


@dataclass(frozen=True)
class Delivery:
    """How readings arrived: the delay of each, those sent twice and their second delay, ticks and restarts."""

    delays_s: tuple[float, ...]
    again: tuple[tuple[int, float], ...]
    ticks: tuple[bool, ...]
    restarts: tuple[bool, ...]


@st.composite
def histories(draw: st.DrawFn) -> History:
    pauses = draw(st.lists(st.one_of(st.integers(1, 90_000), st.integers(1, 600_000)), min_size=1, max_size=10))
    used = draw(st.lists(st.floats(0, 40, allow_subnormal=False), min_size=len(pauses), max_size=len(pauses)))
    start_ms = draw(st.integers(0, 59_999))
    base = draw(st.sampled_from([0.0, 17.3, 1e6]))
    at_ms = tuple(accumulate([start_ms, *pauses]))
    return History(tuple(ms / 1000 for ms in at_ms), tuple(accumulate([base, *used])))


@st.composite
def deliveries(draw: st.DrawFn, size: int) -> Delivery:
    delay = st.integers(0, LATENESS_S * 1000 - 1).map(lambda delay_ms: delay_ms / 1000)
    again = draw(st.lists(st.tuples(st.integers(0, size - 1), delay), max_size=4))
    flags = st.lists(st.booleans(), min_size=size + len(again), max_size=size + len(again)).map(tuple)
    delays = draw(st.lists(delay, min_size=size, max_size=size))
    return Delivery(tuple(delays), tuple(again), draw(flags), draw(flags))


@st.composite
def delivered(draw: st.DrawFn, times: int) -> tuple[History, list[Delivery]]:
    history = draw(histories())
    return history, [draw(deliveries(len(history.at_s))) for _ in range(times)]


@dataclass(frozen=True)
class Turning:
    """A meter whose registers begin again and that is replaced: what it showed at the times of a history, and it."""

    history: History
    shown_kwh: tuple[float, ...]
    meter: Meter


@st.composite
def turnings(draw: st.DrawFn) -> tuple[Turning, Delivery]:
    """Registers of two digits that roll over, and meters that are swapped between readings and declared so."""
    pauses = draw(st.lists(st.one_of(st.integers(1_000, 90_000), st.integers(1_000, 600_000)), min_size=1, max_size=12))
    used = [draw(st.tuples(st.floats(0, 4, allow_subnormal=False), st.floats(0, 4))) for _ in pauses]
    fresh = [draw(st.none() | st.floats(0, 50)) for _ in pauses]
    start_ms = draw(st.integers(0, 59_999))
    register = draw(st.floats(80, 99))
    shown, total, at_ms = [register], [0.0], [start_ms]
    swaps = []
    for pause, (before, after), initial in zip(pauses, used, fresh, strict=True):
        if initial is not None and register + before < _DIGITS_KWH:
            at = datetime.fromtimestamp((NOON + at_ms[-1] + pause // 2) / 1000, UTC)
            swaps.append({"at": at.isoformat(), "final_kwh": register + before, "initial_kwh": initial})
            register = initial + after
        else:
            register = (register + before + after) % _DIGITS_KWH
        shown.append(register)
        total.append(total[-1] + before + after)
        at_ms.append(at_ms[-1] + pause)
    history = History(tuple(ms / 1000 for ms in at_ms), tuple(total))
    meter = a_meter(interval_s=30, register_max_kwh=_DIGITS_KWH, swaps=swaps)
    return Turning(history, tuple(shown), meter), draw(deliveries(len(at_ms)))


def metered(
    history: History,
    delivery: Delivery,
    *columns: str,
    shown_kwh: tuple[float, ...] | None = None,
    meter: Meter | None = None,
) -> list[Outcome]:
    """Deliver readings one by one, with ticks and restarts between, until everything is closed."""
    copies = [*enumerate(delivery.delays_s), *delivery.again]
    arrivals = sorted((history.at_s[number] + delay, place, number) for place, (number, delay) in enumerate(copies))
    agent = Metering(LATENESS_S)
    kept: dict[str, bytes] = {}
    outcomes: list[Outcome] = []
    messages: list[Message] = [site_at(a_site("mill", meter or a_meter(interval_s=30)))]
    for arrived_s, place, number in arrivals:
        row: dict[str, object] = {"s": history.at_s[number], "raw_offset": place}
        row |= dict.fromkeys(columns or ("import_kwh",), (shown_kwh or history.kwh)[number])
        messages.append(rows_at(Kind.READINGS, arrived_s, readings(row)))
        if delivery.ticks[place]:
            messages.append(tick_at(arrived_s))
    messages.append(tick_at(arrivals[-1][0] + 2 * LATENESS_S))
    for number, message in enumerate(messages):
        outcomes.append(agent.step(message))
        if number and delivery.restarts[number % len(delivery.restarts)]:
            kept |= agent.snapshot()
            agent = Metering(LATENESS_S)
            agent.restore(kept)
    return outcomes


def closed(outcomes: list[Outcome]) -> pl.DataFrame:
    rows = sent(outcomes, Kind.WINDOWS)
    if not rows:
        return pl.DataFrame(schema={"window_start": pl.Int64, "import_kwh": pl.Float64})
    return pl.DataFrame(rows).with_columns(pl.col("window_start").dt.epoch("ms")).sort("window_start")


@settings(max_examples=30, deadline=None)
@given(delivered(times=1))
def test_windows_add_up_to_the_register_and_each_is_sent_once(case: tuple[History, list[Delivery]]) -> None:
    history, (delivery,) = case

    outcomes = metered(history, delivery)

    windows = closed(outcomes)
    last_ms = round(history.at_s[-1] * 1000) // WINDOW_MS * WINDOW_MS
    starts = range(round(history.at_s[0] * 1000) // WINDOW_MS * WINDOW_MS, last_ms, WINDOW_MS)
    assert windows["window_start"].to_list() == [NOON + start for start in starts]
    assert windows.filter(pl.col("import_kwh") < 0).is_empty()
    if starts:
        expected = history.at(last_ms / 1000) - history.kwh[0]
        assert windows["import_kwh"].sum() == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(1.0, history.kwh[0]))
        assert windows["covered_s"].sum() == pytest.approx(last_ms / 1000 - history.at_s[0])
    assert {row["reason"] for row in refused(outcomes)} <= {"late"}  # copies of readings long used


@settings(max_examples=40, deadline=None)
@given(turnings())
def test_energy_is_kept_through_rollovers_and_swaps_in_any_order_with_gaps_copies_and_restarts(
    case: tuple[Turning, Delivery],
) -> None:
    turning, delivery = case
    history = turning.history

    outcomes = metered(history, delivery, shown_kwh=turning.shown_kwh, meter=turning.meter)

    windows = closed(outcomes)
    last_ms = round(history.at_s[-1] * 1000) // WINDOW_MS * WINDOW_MS
    starts = range(round(history.at_s[0] * 1000) // WINDOW_MS * WINDOW_MS, last_ms, WINDOW_MS)
    assert windows["window_start"].to_list() == [NOON + start for start in starts]
    if starts:
        assert windows["import_kwh"].null_count() == 0
        assert windows["import_kwh"].sum() == pytest.approx(
            history.at(last_ms / 1000), rel=1e-9, abs=1e-9 * _DIGITS_KWH
        )
    assert {row["reason"] for row in refused(outcomes)} <= {"late"}


@settings(max_examples=15, deadline=None)
@given(delivered(times=2))
def test_windows_do_not_depend_on_the_order_of_arrival_within_the_lateness(
    case: tuple[History, list[Delivery]],
) -> None:
    history, (one, other) = case

    first, second = closed(metered(history, one)), closed(metered(history, other))

    exact = ["window_start", "quality", "meter_id"]
    assert [name for name in exact if name in first.columns and not first[name].equals(second[name])] == []
    assert first["import_kwh"].to_list() == pytest.approx(
        second["import_kwh"].to_list(), rel=1e-9, abs=1e-9 * max(1.0, history.kwh[0])
    )


@settings(max_examples=8, deadline=None)
@given(delivered(times=2))
def test_power_alone_gives_the_same_energy_in_any_order(case: tuple[History, list[Delivery]]) -> None:
    history, (one, other) = case
    swinging = History(history.at_s, tuple(20 - kwh % 50 for kwh in history.kwh))  # kW, of either sign

    first, second = (closed(metered(swinging, delivery, "power_kw")) for delivery in (one, other))

    for column in {"import_kwh", "export_kwh"} & set(first.columns):
        found, expected = (frame[column].fill_null(0.0).to_list() for frame in (first, second))
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert first.filter(pl.col(column) < 0).is_empty()
    assert first["window_start"].equals(second["window_start"])


@settings(max_examples=15, deadline=None)
@given(delivered(times=1))
def test_reactive_energy_is_conserved_like_the_energy_it_comes_with(case: tuple[History, list[Delivery]]) -> None:
    history, (delivery,) = case

    windows = closed(metered(history, delivery, "import_kwh", "import_kvarh"))

    if windows.height:
        assert windows["import_kvarh"].to_list() == pytest.approx(windows["import_kwh"].to_list(), rel=1e-9, abs=1e-9)
        last_s = (windows["window_start"].to_list()[-1] - NOON + WINDOW_MS) / 1000
        expected = history.at(last_s) - history.kwh[0]
        assert windows["import_kvarh"].sum() == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(1.0, history.kwh[0]))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 40, allow_subnormal=False), min_size=3, max_size=3), st.floats(0, 2_400))
def test_a_missed_hour_stays_in_its_hour_and_is_estimated(used: list[float], missed_kwh: float) -> None:
    pauses_s = (60.0, 3_600.0, 60.0, 60.0)
    at_s = tuple(accumulate([0.0, *pauses_s]))
    kwh = tuple(accumulate([0.0, used[0], missed_kwh, used[1], used[2]]))

    windows = closed(metered(History(at_s, kwh), Delivery((0.0,) * 5, (), (True,) * 5, (False,))))

    hour = windows.filter(pl.col("window_start").is_between(NOON + WINDOW_MS, NOON + 61 * WINDOW_MS, closed="left"))
    assert hour.height == 60
    assert hour["import_kwh"].sum() == pytest.approx(missed_kwh, rel=1e-9, abs=1e-9)
    assert set(hour["quality"]) == {"estimated"}
    behind = windows.filter(pl.col("window_start") >= NOON + 61 * WINDOW_MS)
    assert behind["import_kwh"].to_list() == pytest.approx(used[1:], rel=1e-9, abs=1e-9)
    assert set(behind["quality"]) == {"measured"}
