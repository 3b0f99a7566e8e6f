"""Meters that send the energy of each interval: it is spread over the minutes it covers, and never invented."""

import random
from datetime import datetime

import pytest
from builders import NOON, a_meter, a_site, fed, readings, refused, rows_at, sent, site_at, tick_at
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agents.metering.step import Metering
from schemas.flow import Kind, Message
from schemas.topics import CORRECTIONS
from schemas.window import WINDOW_MS

LATENESS_S = 120


def intervals(by_end_s: dict[float, float], **given: object) -> Message:
    """The energies of intervals by the second they end at, arriving together then."""
    rows = [
        {"import_kwh": None, "interval_kwh": kwh, "ts": NOON + round(end_s * 1000), "raw_offset": place} | given
        for place, (end_s, kwh) in enumerate(by_end_s.items())
    ]
    return rows_at(Kind.READINGS, max(by_end_s), readings(*rows))


def an_interval(end_s: float, kwh: float, raw_offset: int) -> dict[str, object]:
    """An interval by the second it ends at."""
    return {"import_kwh": None, "interval_kwh": kwh, "ts": NOON + round(end_s * 1000), "raw_offset": raw_offset}


def final_minutes(rows: list[dict[str, object]]) -> dict[int, tuple[float, float]]:
    """Minute after NOON -> energy and covered seconds of its last revision."""
    assert len({(row["window_start"], row["revision"]) for row in rows}) == len(rows)
    by_revision = sorted(rows, key=lambda row: str(row["revision"]).zfill(6))
    return {(minute_ms(row) - NOON) // WINDOW_MS: (row["import_kwh"], row["covered_s"]) for row in by_revision}


def minute_ms(row: dict[str, object]) -> int:
    start = row["window_start"]
    assert isinstance(start, datetime)
    return round(start.timestamp() * 1000)


def the_minutes(messages: list[Message], **meter: object) -> dict[int, tuple[float, str, float]]:
    """Minute after NOON -> energy, quality and covered seconds."""
    site = a_site("mill", a_meter("main", sends="intervals", **meter))
    outcomes = fed(Metering(LATENESS_S), [site_at(site), *messages])
    assert refused(outcomes) == []
    return {
        (minute_ms(row) - NOON) // WINDOW_MS: (row["import_kwh"], row["quality"], row["covered_s"])
        for row in sent(outcomes, Kind.WINDOWS)
    }


def test_an_interval_is_spread_over_the_minutes_it_covers_the_first_one_too():
    found = the_minutes([intervals({900: 15.0, 1800: 30.0}), tick_at(1800 + LATENESS_S)], interval_s=900)

    assert found == {
        **{minute: (pytest.approx(1.0), "measured", 60.0) for minute in range(15)},
        **{minute: (pytest.approx(2.0), "measured", 60.0) for minute in range(15, 30)},
    }


def test_intervals_shorter_than_a_minute_add_up():
    found = the_minutes([intervals({15 * n: 0.25 for n in range(1, 9)}), tick_at(120 + LATENESS_S)], interval_s=15)

    assert found == {minute: (pytest.approx(1.0), "measured", 60.0) for minute in range(2)}


def test_a_missing_interval_is_not_known_and_does_not_fall_into_the_next():
    found = the_minutes([intervals({300: 5.0, 900: 10.0}), tick_at(900 + LATENESS_S)], interval_s=300)

    assert sorted(found) == [*range(5), *range(10, 15)]
    assert [found[minute] for minute in range(5)] == [(pytest.approx(1.0), "measured", 60.0)] * 5
    assert [found[minute] for minute in range(10, 15)] == [(pytest.approx(2.0), "measured", 60.0)] * 5


def test_a_minute_that_a_missing_interval_touches_is_partial():
    found = the_minutes([intervals({330: 5.5, 930: 10.0}), tick_at(930 + LATENESS_S)], interval_s=300)

    # The first one began at 30 s; the one that ends at 630 s is missing.
    assert found[0] == (pytest.approx(5.5 / 10), "partial", 30.0)
    assert found[5] == (pytest.approx(5.5 / 10), "partial", 30.0)
    assert found[10] == (pytest.approx(1.0), "partial", 30.0)


def test_the_multiplier_counts_and_what_is_delivered_has_its_own_column():
    site = a_site("mill", a_meter("main", sends="intervals", interval_s=60, multiplier=40.0))
    rows = [
        {"import_kwh": None, "interval_kwh": 0.5, "interval_export_kwh": 0.25, "ts": NOON + 60_000 * n, "raw_offset": n}
        for n in (1, 2)
    ]
    outcomes = fed(
        Metering(LATENESS_S), [site_at(site), rows_at(Kind.READINGS, 120, readings(*rows)), tick_at(120 + LATENESS_S)]
    )

    found = [(row["import_kwh"], row["export_kwh"]) for row in sent(outcomes, Kind.WINDOWS)]
    assert found == [(20.0, 10.0), (20.0, 10.0)]


def test_what_comes_after_its_minutes_closed_is_late_under_the_names_it_was_sent_by():
    site = a_site("mill", a_meter("main", sends="intervals", interval_s=60))
    outcomes = fed(
        Metering(LATENESS_S),
        [
            site_at(site),
            intervals({60: 1.0, 120: 2.0, 180: 3.0}),
            tick_at(180 + LATENESS_S),
            rows_at(
                Kind.READINGS,
                400,
                readings({"import_kwh": None, "interval_kwh": 2.0, "ts": NOON + 110_000, "raw_offset": 9}),
            ),
            tick_at(401),
        ],
    )

    (late,) = refused(outcomes)
    assert (late["reason"], late["interval_kwh"], late["import_kwh"]) == ("late", 2.0, None)


def test_a_missing_interval_that_comes_late_is_added_to_its_minutes_and_said():
    site = a_site("mill", a_meter("main", sends="intervals", interval_s=300))
    outcomes = fed(
        Metering(LATENESS_S),
        [
            site_at(site),
            intervals({300: 5.0, 900: 10.0, 1200: 5.0}),
            tick_at(1200 + LATENESS_S),
            rows_at(Kind.READINGS, 5000, readings(an_interval(600, 20.0, 9))),
            tick_at(5001),
        ],
    )

    assert refused(outcomes) == []
    rows = sent(outcomes, Kind.WINDOWS)
    again = [row for row in rows if row["revision"] == 1]
    assert {minute: row for minute, row in final_minutes(rows).items() if 4 <= minute < 11} == {
        4: (pytest.approx(1.0), 60.0),
        **{minute: (pytest.approx(4.0), 60.0) for minute in range(5, 10)},
        10: (pytest.approx(2.0), 60.0),
    }
    assert {row["previous_import_kwh"] for row in again if row["import_kwh"] == 4.0} == {None}
    (correction,) = sent(outcomes, None, CORRECTIONS.name)
    assert (correction["kind"], correction["raw_offset_first"]) == ("late_data", 9)
    assert correction["import_after_kwh"] - (correction["import_before_kwh"] or 0.0) == pytest.approx(20.0)


def test_a_missing_interval_that_comes_after_half_of_its_minutes_closed_goes_to_both():
    site = a_site("mill", a_meter("main", sends="intervals", interval_s=300))
    outcomes = fed(
        Metering(LATENESS_S),
        [
            site_at(site),
            intervals({300: 5.0}),
            intervals({800: 5.0}),  # the clock of this meter is set: its next interval ends at 800 s, one is missing
            tick_at(800 + LATENESS_S),
            rows_at(Kind.READINGS, 5000, readings(an_interval(500, 5.0, 9))),
            tick_at(5001),
            rows_at(Kind.READINGS, 5100, readings(an_interval(1100, 5.0, 10))),
            tick_at(5100 + LATENESS_S),
        ],
    )

    assert refused(outcomes) == []
    found = final_minutes(sent(outcomes, Kind.WINDOWS))
    # The late one lies in the 200 s from 300 s on that nobody else covers.
    assert sum(kwh for kwh, _ in found.values()) == pytest.approx(5.0 + 5.0 + 5.0 + 5.0 * 280 / 300)
    assert {covered_s for _, covered_s in found.values()} == {60.0}


def test_the_live_state_says_the_mean_power_of_the_newest_interval_and_what_is_open():
    site = a_site("mill", a_meter("main", sends="intervals", interval_s=900))
    outcomes = fed(Metering(LATENESS_S), [site_at(site), intervals({900: 15.0}), tick_at(901)])

    (live,) = sent(outcomes, Kind.LIVE)
    assert (live["power_kw"], live["open_import_kwh"]) == (60.0, 15.0)


def test_a_meter_that_sends_registers_from_now_on_begins_anew():
    before = a_site("mill", a_meter("main", sends="intervals", interval_s=60))
    after = a_site("mill", a_meter("main", interval_s=60))
    outcomes = fed(
        Metering(LATENESS_S),
        [
            site_at(before),
            intervals({60: 1.0, 120: 1.0}),
            tick_at(120 + LATENESS_S),
            site_at(after, 2, 300),
            rows_at(
                Kind.READINGS,
                420,
                readings(
                    {"import_kwh": 90_000.0, "ts": NOON + 360_000, "raw_offset": 5},
                    {"import_kwh": 90_001.0, "ts": NOON + 420_000, "raw_offset": 6},
                ),
            ),
            tick_at(420 + LATENESS_S),
        ],
    )

    assert [row["import_kwh"] for row in sent(outcomes, Kind.WINDOWS)] == [1.0, 1.0, 1.0]


@given(
    length_s=st.sampled_from([15, 60, 75, 300, 900]),
    kept=st.lists(st.booleans(), min_size=2, max_size=30),
    shift_s=st.integers(0, 59),
    seed=st.integers(0, 1_000_000),
)
@settings(max_examples=150, deadline=None)
def test_energy_is_kept_whatever_is_missing_shuffled_doubled_or_restarted(
    length_s: int, kept: list[bool], shift_s: int, seed: int
):
    rng = random.Random(seed)
    ends = [shift_s + length_s * (n + 1) for n, is_there in enumerate(kept) if is_there]
    assume(len(ends) > 1)  # the first one closes with the second
    energies = {end: rng.choice([0.0, rng.uniform(0, 40)]) for end in ends}
    # Each arrives within the lateness, some twice; a tick and perhaps a restart after each.
    arrivals = sorted(
        [(end + rng.uniform(0, LATENESS_S - 1), end) for end in ends]
        + [(end + rng.uniform(0, LATENESS_S - 1), end) for end in ends if rng.random() < 0.3]
    )
    site = a_site("mill", a_meter("main", sends="intervals", interval_s=length_s))
    metering, outcomes = Metering(LATENESS_S), []
    outcomes.append(metering.step(site_at(site)))
    for offset, (at_s, end) in enumerate(arrivals):
        row = {"import_kwh": None, "interval_kwh": energies[end], "ts": NOON + end * 1000, "raw_offset": offset}
        outcomes.append(metering.step(rows_at(Kind.READINGS, at_s, readings(row))))
        if rng.random() < 0.5:
            outcomes.append(metering.step(tick_at(at_s + 0.5)))
        if rng.random() < 0.3:
            kept_state = metering.snapshot(["mill"])
            metering = Metering(LATENESS_S)
            metering.restore(kept_state)
    outcomes.append(metering.step(tick_at(ends[-1] + 10 * LATENESS_S)))

    assert refused(outcomes) == []
    rows = sent(outcomes, Kind.WINDOWS)
    assert len({row["window_start"] for row in rows}) == len(rows)
    last = (NOON + ends[-1] * 1000) // WINDOW_MS * WINDOW_MS  # what lies in the minute of the last one is still open
    begin_s = {end: end - length_s for end in ends}
    open_s = last / 1000 - NOON / 1000
    closed = sum(kwh * max(0.0, min(end, open_s) - begin_s[end]) / length_s for end, kwh in energies.items())
    assert sum(row["import_kwh"] for row in rows) == pytest.approx(closed, abs=1e-9, rel=1e-9)
    assert sum(row["covered_s"] for row in rows) == pytest.approx(
        sum(max(0.0, min(end, open_s) - begin_s[end]) for end in ends), abs=1e-6
    )


@given(
    length_s=st.sampled_from([30, 60, 300, 900]),
    kwh=st.lists(st.floats(0.0, 40.0), min_size=4, max_size=20),
    shift_s=st.integers(0, 59),
    seed=st.integers(0, 1_000_000),
)
@settings(max_examples=150, deadline=None)
def test_whatever_comes_late_the_minutes_end_up_with_all_that_was_taken(
    length_s: int, kwh: list[float], shift_s: int, seed: int
):
    rng = random.Random(seed)
    ends = [shift_s + length_s * (n + 1) for n in range(len(kwh))]
    # Some are held up for long; the first and the last come in time.
    held_up = [0.0, *(rng.choice([0.0, 0.0, rng.uniform(0, 6 * length_s)]) for _ in ends[2:]), 0.0]
    arrivals = sorted((end + late, end, energy) for end, energy, late in zip(ends, kwh, held_up, strict=True))
    metering, outcomes = Metering(LATENESS_S), []
    outcomes.append(
        metering.step(site_at(a_site("mill", a_meter("main", sends="intervals", interval_s=length_s)))),
    )
    for offset, (at_s, end, energy) in enumerate(arrivals):
        outcomes.append(metering.step(rows_at(Kind.READINGS, at_s, readings(an_interval(end, energy, offset)))))
        outcomes.append(metering.step(tick_at(at_s + 0.5)))
        if rng.random() < 0.3:
            kept_state = metering.snapshot(["mill"])
            metering = Metering(LATENESS_S)
            metering.restore(kept_state)
    outcomes.append(metering.step(tick_at(arrivals[-1][0] + 10 * LATENESS_S)))

    too_late = {row["raw_offset"] for row in refused(outcomes)}
    taken = [one for offset, one in enumerate(arrivals) if offset not in too_late]
    open_s = (ends[-1] * 1000 // WINDOW_MS * WINDOW_MS) / 1000
    closed = sum(energy * max(0.0, min(end, open_s) - (end - length_s)) / length_s for _, end, energy in taken)
    found = final_minutes(sent(outcomes, Kind.WINDOWS))
    assert sum(energy for energy, _ in found.values()) == pytest.approx(closed, abs=1e-9, rel=1e-9)
    assert not too_late
