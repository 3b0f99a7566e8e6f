"""The harness of the detectors: what is planted, and what is found in a real load."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from agents.anomalies.conditions import Conditions
from agents.anomalies.meter import MeterWatch
from bench.anomalies import curve, data_faults, planting
from bench.anomalies.loads import SHIPPED, Load, loads_of
from bench.anomalies.scoring import WARM_DAYS, Score, run, score
from schemas.anomaly import AnomalyKind, Status


@pytest.fixture(scope="module")
def steel() -> Load:
    (load,) = loads_of(SHIPPED / "steel.parquet", "KR")
    return load


@pytest.fixture(scope="module")
def scored(steel: Load) -> Score:
    return score(steel, seed=0)


def test_a_load_is_whole_days_of_quarter_hours(steel: Load):
    assert steel.power_kw.shape == (273, 96)
    assert steel.first_day.isoformat() == "2018-01-01"
    assert not np.isnan(steel.power_kw).any()


def test_a_night_left_on_changes_the_night_only_and_never_lowers_the_load(steel: Load):
    (fault,) = planting.nights(steel.power_kw, 100, 1.0)
    before = steel.power_kw[100:102]

    changed = np.flatnonzero(fault.days.reshape(-1) != before.reshape(-1))
    assert changed.min() >= 17 * 4
    assert changed.max() < 96 + 5 * 4
    assert (fault.days >= before).all()


def test_a_creep_begins_with_nothing_and_ends_with_its_size(steel: Load):
    (fault,) = planting.creeps(steel.power_kw, 120, 1.0)
    added = fault.days - steel.power_kw[120 : 120 + planting.CREEP_SEEN_DAYS]

    least = np.median(np.quantile(steel.power_kw[106:120], 0.1, axis=1))
    assert added[0, 0] == 0
    assert added[-1, -1] == pytest.approx(least)


def test_each_detector_raises_few_alarms_over_the_load_of_a_steel_works(scored: Score):
    for kind in AnomalyKind:
        assert 30 * scored.false_days[kind] / scored.armed_days[kind] <= 0.6


def test_its_breaks_saturday_shifts_and_seasons_are_not_taken_for_something_left_on(steel: Load, scored: Score):
    watch, conditions = MeterWatch(), Conditions()
    opened = []
    for day, quarters in enumerate(steel.moments()):
        said = run(watch, conditions, steel.power_kw[day], quarters)
        if day >= WARM_DAYS:
            opened += [one for one in said if one.episode.kind is AnomalyKind.LEFT_ON and one.status is Status.OPENED]

    # A public holiday that was worked all day, and a Sunday that was worked until after 20:00: neither is usual there.
    days = [datetime.fromtimestamp(one.episode.began_at / 1000, ZoneInfo("Asia/Seoul")).date() for one in opened]
    assert [str(day) for day in days] == ["2018-05-07", "2018-07-15"]
    assert len(opened) == scored.false_days[AnomalyKind.LEFT_ON]


def test_its_weekends_and_nights_left_on_are_found(scored: Score):
    for name in ("left on over the weekend", "left on overnight"):
        one = scored.faults[name, 1.0]
        assert one.planted >= 4
        assert one.found / one.planted >= 0.75


def test_a_seed_plants_the_same_again(steel: Load, scored: Score):
    again = score(steel, seed=0)

    assert {key: (one.planted, one.found) for key, one in again.faults.items()} == {
        key: (one.planted, one.found) for key, one in scored.faults.items()
    }


@pytest.fixture(scope="module")
def reached(steel: Load) -> curve.Reached:
    found = curve.Reached()
    curve.follow(steel, 0, found)
    return found


def test_lower_limits_find_no_less_no_later_and_alarm_no_less(reached: curve.Reached):
    assert len(reached.faults) > 50
    for *_, delays in reached.faults:
        found = [delay for delay in delays if delay is not None]
        assert found == sorted(found)
        assert all(delay is not None for delay in delays[: len(found)])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in curve.lines(reached)[2:]]
    assert [row[0] for row in rows[:: len(curve.FACTORS)]] == [
        "left on overnight",
        "left on over the weekend",
        "peak surge",
    ]
    for begin in range(0, len(rows), len(curve.FACTORS)):
        alarms = [float(row[4]) for row in rows[begin : begin + len(curve.FACTORS)]]
        assert alarms == sorted(alarms, reverse=True)
        assert alarms[0] > 0


def test_its_curve_passes_through_what_is_shipped(reached: curve.Reached, scored: Score):
    shipped = curve.FACTORS.index(1.0)
    found = sum(delays[shipped] is not None for name, _, _, delays in reached.faults if name == "left on overnight")
    every = [one for (name, _), one in scored.faults.items() if name == "left on overnight"]
    assert found == pytest.approx(sum(one.found for one in every), abs=2)


def test_stuck_registers_silence_and_slow_clocks_are_found_in_the_load_of_a_steel_works(steel: Load):
    power_kw = steel.power_kw[:40].reshape(-1)
    result = data_faults.run({"steel": power_kw}, seed=1, days=40)

    assert {one.kind for one in result.planted} == set(data_faults.SIZES)
    assert result.found == set(result.planted)
    assert not result.false_flags


def test_a_flag_without_a_fault_counts_as_false(steel: Load):
    standing = steel.power_kw[:10].reshape(-1).copy()
    standing[200:] = np.nan  # nothing is measured any more, and nothing was planted there

    assert data_faults.run({"steel": standing}, seed=1, days=10).false_flags
