"""Switching a measure on and off: what is estimated, and how seldom it is wrong. `bench.savings` has the long runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.savings.switchback import LEAST_PAIRS, estimate
from agents.switching.blocks import has_measure
from streams.demo.plant import OFFICE, STEP_S, STEPS_PER_DAY, Plant, outdoor_c

OFFICES, DAYS = 60, 84


@pytest.fixture(scope="module")
def offices() -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Energy of each day in simulated offices, without a measure; shape (days, offices)."""
    chance = np.random.default_rng(4)
    outdoor = outdoor_c(DAYS, OFFICES, chance)
    plant = Plant(OFFICE, OFFICES, chance)
    cooling, heating = np.full(OFFICES, 25.0), np.full(OFFICES, 20.0)
    power = np.stack([plant.step(step, outdoor[step], cooling, heating) for step in range(DAYS * STEPS_PER_DAY)])
    return np.asarray(power.reshape(DAYS, STEPS_PER_DAY, OFFICES).sum(axis=1) * STEP_S / 3600)


def blocks(name: str, number: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return np.array([has_measure(name, block) for block in range(number)])


def test_the_estimate_is_a_ratio_of_sums():
    on = np.array([True, False, False, True])

    found = estimate(np.array([90.0, 100.0, 200.0, 170.0]), on)

    assert found.share == pytest.approx(1 - 260 / 300)
    assert found.saved_kwh == pytest.approx(40.0)  # 260 kWh used where 300 would have been
    assert (found.pairs, found.low, found.high) == (2, -np.inf, np.inf)


def test_what_the_weather_did_is_taken_out_where_a_model_foretells_it():
    on = np.array([True, False, False, True])

    found = estimate(np.array([90.0, 50.0, 200.0, 180.0]), on, np.array([100.0, 50.0, 200.0, 200.0]))

    assert found.share == pytest.approx(0.10)


@given(st.text(max_size=20), st.integers(0, 500))
def test_of_each_pair_exactly_one_block_has_the_measure(name: str, pair: int):
    assert has_measure(name, 2 * pair) != has_measure(name, 2 * pair + 1)


def test_about_half_of_the_pairs_begin_with_it():
    assert 440 < sum(has_measure("mill", 2 * pair) for pair in range(1000)) < 560


@pytest.mark.parametrize("share", [0.0, 0.05, 0.10])
def test_the_interval_covers_the_truth_at_every_look(offices, share: float):
    wrong = claimed = 0
    for office in range(OFFICES):
        on = blocks(f"office-{office}", DAYS)
        used = np.where(on, (1 - share) * offices[:, office], offices[:, office])
        looks = [estimate(used[:end], on[:end]) for end in range(2 * LEAST_PAIRS, DAYS + 1, 2)]
        wrong += any(not look.low <= share <= look.high for look in looks)
        claimed += any(look.is_shown for look in looks)

    assert wrong / OFFICES <= 0.10
    if share == 0:
        assert claimed / OFFICES <= 0.05


def test_it_says_how_many_more_pairs_it_needs_and_is_about_right():
    chance = np.random.default_rng(9)
    on = blocks("hall", 400)
    used = np.where(on, 0.92, 1.0) * chance.normal(100, 8, 400)
    early = estimate(used[:40], on[:40])
    assert early.more_pairs is not None
    assert not early.is_shown

    later = 40 + 4 * early.more_pairs
    assert estimate(used[:later], on[:later]).is_shown
    assert estimate(used[:later], on[:later]).more_pairs == 0


def test_a_measure_that_costs_energy_is_never_in_sight_of_being_shown():
    on = blocks("hall", 40)
    used = np.where(on, 110.0, 100.0) + np.random.default_rng(1).normal(0, 3, 40)

    found = estimate(used, on)

    assert found.high < 0
    assert found.more_pairs is None


def test_a_pair_with_an_unknown_block_does_not_count():
    on = blocks("hall", 40)
    used = np.random.default_rng(1).normal(100, 3, 40)
    used[7] = np.nan

    assert estimate(used, on).pairs == 19


def test_a_pair_that_was_not_drawn_as_one_is_refused():
    with pytest.raises(ValueError, match="pair 1 does not have the measure exactly once"):
        estimate(np.ones(4), np.array([True, False, True, True]))
