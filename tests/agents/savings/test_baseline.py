"""The baseline model against days whose energy is known, and the guideline's figures against sums by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.savings.baseline import Baseline, Days, Fit, fractional_uncertainty

YEAR = 365


def days(number: int, seed: int, first: int = 0) -> Days:
    """Return days of a year with a summer and a winter."""
    chance = np.random.default_rng(seed)
    season = 12 - 14 * np.cos(2 * np.pi * (first + np.arange(number)) / YEAR)
    outdoor_c = season[:, None] + chance.normal(0, 3, (number, 1)) + np.array([-4.0, 0.0, 5.0, -1.0])
    return Days((first + np.arange(number)) % 7, outdoor_c, chance.uniform(50, 150, number))


def energy_of(some: Days, noise: float, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return 300 kWh on workdays, 100 on others, 8 per K above 20 °C, 5 per K below 12 °C, 2 for each thing made."""
    cooling = np.maximum(some.outdoor_c - 20, 0).mean(axis=1)
    heating = np.maximum(12 - some.outdoor_c, 0).mean(axis=1)
    exact = np.where(some.kind < 5, 300.0, 100.0) + 8 * cooling + 5 * heating + 2 * some.produced
    return np.asarray(exact * (1 + np.random.default_rng(seed).normal(0, noise, len(some))))


def learnt(noise: float = 0.05) -> Baseline:
    model = Baseline(unit_kwh=400, unit_produced=100)
    before = days(YEAR, 1)
    model.learn(before, energy_of(before, noise, 2))
    return model


def test_it_finds_what_days_are_made_of_when_there_is_no_noise():
    model = learnt(noise=0)
    other = days(60, 7, first=100)

    assert model.predict(other) == pytest.approx(energy_of(other, 0, 0), rel=0.005)
    assert model.fit.cv_rmse < 0.005
    assert abs(model.fit.nmbe) < 1e-4


def test_a_saving_of_a_tenth_lies_in_its_interval_and_nothing_saved_does_too():
    model, after = learnt(), days(YEAR, 11)

    for share in (0.10, 0.0):
        used = (1 - share) * energy_of(after, 0.05, 12)
        found = model.saving(after, used)
        true_kwh = energy_of(after, 0, 0).sum() * share
        assert found.low_kwh < true_kwh < found.high_kwh
        assert found.share == pytest.approx(share, abs=0.01)
    assert model.saving(after, 0.9 * energy_of(after, 0.05, 12)).acceptable


def test_intervals_hold_as_often_as_they_say():
    held = 0
    for seed in range(60):
        before, after = days(200, 100 + seed), days(60, 200 + seed, first=200)
        model = Baseline(400, 100)
        model.learn(before, energy_of(before, 0.1, 300 + seed))
        found = model.saving(after, 0.9 * energy_of(after, 0.1, 400 + seed), confidence=0.9)
        held += found.low_kwh < 0.1 * energy_of(after, 0, 0).sum() < found.high_kwh

    assert 0.8 <= held / 60 <= 1.0


def test_learning_day_by_day_is_learning_at_once():
    before = days(90, 1)
    energy_kwh = energy_of(before, 0.05, 2)
    at_once, by_day = Baseline(400, 100), Baseline(400, 100)
    at_once.learn(before, energy_kwh)
    for day in range(90):
        one = slice(day, day + 1)
        by_day.learn(Days(before.kind[one], before.outdoor_c[one], before.produced[one]), energy_kwh[one])

    assert by_day.predict(before) == pytest.approx(at_once.predict(before), rel=1e-12)
    assert by_day.fit == at_once.fit


@given(st.integers(0, 89), st.sampled_from(["energy", "outdoor", "produced"]), st.sampled_from([np.nan, np.inf]))
def test_a_day_with_anything_that_is_no_number_is_left_out(place: int, what: str, bad: float):
    some = days(30, 1)
    energy_kwh = energy_of(some, 0.05, 2)
    place %= 30
    kept = np.arange(30) != place
    clean = Baseline(400, 100)
    clean.learn(Days(some.kind[kept], some.outdoor_c[kept], some.produced[kept]), energy_kwh[kept])
    target = {"energy": energy_kwh, "outdoor": some.outdoor_c[:, 0], "produced": some.produced}[what]
    target[place] = bad
    dirty = Baseline(400, 100)
    dirty.learn(some, energy_kwh)

    assert dirty.days == clean.days == 29
    other = days(10, 3)
    assert dirty.predict(other) == pytest.approx(clean.predict(other), rel=1e-12)


def test_the_fractional_uncertainty_is_that_of_the_guideline():
    # n = 365, rho = 0.5: n' = 121.67; t(68 %, 110.67 degrees) = 0.9990
    # 1.26 * 0.9990 * 0.2 * sqrt(3 * (1 + 2 / 121.67) / 90) / 0.1 = 0.4634
    assert fractional_uncertainty(Fit(365, 0.2, 0.0, 0.5), 90, 0.1) == pytest.approx(0.4634, abs=2e-4)
    assert fractional_uncertainty(Fit(365, 0.2, 0.0, 0.5), 90, -0.1) == float("inf")


def test_too_little_to_compare_is_said():
    with pytest.raises(ValueError, match="a baseline of 0 days and 30 days to compare are too few"):
        Baseline(400).saving(days(30, 1), np.ones(30))


def test_who_looks_every_day_is_given_a_wider_interval_around_the_same_saving():
    model = learnt()
    for number in (14, 60, 365):
        after = days(number, 11)
        once = model.saving(after, energy_of(after, 0.05, 12))
        daily = model.saving(after, energy_of(after, 0.05, 12), looked_at_daily=True)
        assert daily.saved_kwh == once.saved_kwh
        assert 1.5 < (daily.high_kwh - daily.low_kwh) / (once.high_kwh - once.low_kwh) < 1.7
