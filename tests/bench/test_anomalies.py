"""The harness of the detectors: what is planted, and what is found in a real load."""

import numpy as np
import pytest

from bench.anomalies import planting
from bench.anomalies.loads import SHIPPED, Load, loads_of
from bench.anomalies.scoring import Score, score
from schemas.anomaly import AnomalyKind


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


def test_shifts_breaks_and_seasons_of_a_steel_works_raise_few_alarms(scored: Score):
    assert 30 * scored.any_false / scored.any_armed <= 0.6
    for kind in AnomalyKind:
        assert 30 * scored.false_days[kind] / scored.armed_days[kind] <= 0.6


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
