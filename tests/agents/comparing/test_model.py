"""The regression on degree days and production finds what made the energy, and nothing that is not there."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.comparing.model import cooling_kd, fitted, heating_kd


def a_year(energy: object, outdoor: np.ndarray, units: np.ndarray | None = None) -> pl.DataFrame:
    first = date(2025, 7, 1)
    return pl.DataFrame(
        {
            "local_day": [first + timedelta(days=number) for number in range(len(outdoor))],
            "energy_kwh": energy,
            "outdoor_c": outdoor,
            "units_made": np.zeros(len(outdoor)) if units is None else units,
        }
    )


OUTDOOR = 16 + 14 * np.cos(np.arange(365) / 365 * 2 * np.pi)  # 30 in July, 2 in January
UNITS = 40 + (np.arange(365) * 7 % 11).astype(float)


def test_heating_cooling_and_production_are_found_again() -> None:
    energy = 1000 + 12 * UNITS + 30 * heating_kd(OUTDOOR, 14.0) + 50 * cooling_kd(OUTDOOR, 23.0)

    model = fitted(a_year(energy, OUTDOOR, UNITS), with_production=True)

    assert (model.heating_c, model.cooling_c) == (14.0, 23.0)
    assert (model.base_kwh, model.per_unit_kwh) == (pytest.approx(1000), pytest.approx(12))
    assert (model.per_heating_kwh, model.per_cooling_kwh) == (pytest.approx(30), pytest.approx(50))
    assert model.depends_on == ("weather", "production")
    assert model.adjusted_r2 == pytest.approx(1)
    assert model.cv_rmse == pytest.approx(0, abs=1e-9)


def test_a_model_expects_what_a_hand_computes() -> None:
    energy = 1000 + 12 * UNITS + 30 * heating_kd(OUTDOOR, 14.0) + 50 * cooling_kd(OUTDOOR, 23.0)
    model = fitted(a_year(energy, OUTDOOR, UNITS), with_production=True)

    # 4 degrees: 10 kelvin below 14; 27: 4 above 23; 18: neither.
    expected = model.expected_kwh(np.array([4.0, 27.0, 18.0]), np.array([40.0, 50.0, 0.0]))

    assert expected.tolist() == pytest.approx([1000 + 480 + 300, 1000 + 600 + 200, 1000])


def test_energy_that_follows_nothing_is_a_constant() -> None:
    model = fitted(a_year(np.full(365, 800.0), OUTDOOR, UNITS), with_production=True)

    assert model.depends_on == ()
    assert model.base_kwh == pytest.approx(800)


def test_energy_that_falls_with_production_is_not_said_to_follow_it() -> None:
    model = fitted(a_year(2000 - 5 * UNITS, OUTDOOR, UNITS), with_production=True)

    assert model.per_unit_kwh is None


def test_a_balance_point_that_few_days_reach_is_not_tried() -> None:
    outdoor = np.full(60, 40.0)  # above every balance point
    outdoor[:9] = 5.0  # nine cold days, one too few
    model = fitted(a_year(np.where(outdoor < 10, 900.0, 500.0), outdoor), with_production=False)

    assert model.depends_on == ()


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 200), st.floats(0, 200), st.floats(10, 5000), st.integers(0, 2**32 - 1))
def test_no_model_has_a_negative_slope_and_none_is_worse_than_the_mean(
    heating: float, cooling: float, base: float, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    outdoor = chance.uniform(-5, 35, 60)
    energy = (
        base + heating * heating_kd(outdoor, 15.0) + cooling * cooling_kd(outdoor, 24.0) + chance.uniform(0, 50, 60)
    )

    model = fitted(a_year(energy, outdoor), with_production=False)

    assert model.per_heating_kwh >= 0
    assert model.per_cooling_kwh >= 0
    assert model.adjusted_r2 >= 0
