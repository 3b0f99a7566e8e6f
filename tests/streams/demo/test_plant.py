"""The simulated plant keeps the balance of its heat, and does what its set-points say."""

import numpy as np
import pytest

from streams.demo.plant import OFFICE, STEPS_PER_DAY, WORKSHOP, Plant, in_use, outdoor_c


def run(cooling_c: float, days: int = 7, copies: int = 20):
    """Return mean powers and the temperatures in use of an office in summer."""
    chance = np.random.default_rng(2)
    outdoor = outdoor_c(days, copies, chance, mean_c=29.0)
    plant = Plant(OFFICE, copies, chance)
    power, air = [], []
    for step in range(days * STEPS_PER_DAY):
        power.append(plant.step(step, outdoor[step], np.full(copies, cooling_c), np.full(copies, 18.0)))
        if in_use(OFFICE, step):
            air.append(plant.air_c)
    return np.array(power), np.array(air)


def test_it_is_kept_at_its_set_point_and_not_colder():
    _, air = run(24.0)

    assert air.max() <= 24.0 + 1e-9
    assert air.min() > 18.0


def test_a_higher_set_point_takes_less():
    assert run(26.0)[0].mean() < run(24.0)[0].mean() < run(22.0)[0].mean()


def test_a_plant_that_is_too_small_lets_the_zone_drift_and_draws_its_most():
    plant = Plant(WORKSHOP, 1, np.random.default_rng(0))
    for step in range(40, 60):
        power = plant.step(step, np.array([60.0]), np.array([20.0]), np.array([10.0]))

    assert plant.air_c[0] > 21.0
    cop = 3.2 * (1 - 0.02 * (60 - 35))
    assert power[0] == pytest.approx(WORKSHOP.cooling_kw / cop + WORKSHOP.fan_kw)


def test_without_plant_and_use_a_zone_comes_to_the_temperature_outdoors():
    plant = Plant(OFFICE, 1, np.random.default_rng(0))
    night = 6 * STEPS_PER_DAY  # a Sunday, before the sun
    for _ in range(2000):
        power = plant.step(night, np.array([15.0]), np.array([40.0]), np.array([5.0]))

    assert plant.air_c[0] == pytest.approx(15.0, abs=0.01)
    assert power[0] == 0
