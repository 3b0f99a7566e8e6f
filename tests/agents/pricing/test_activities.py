"""Fuels and heat by hand, and what has no factor."""

from datetime import date

import pytest
from builders import a_site, ms

from agents.pricing.activities import NoFactor, avoided_kg, record_of
from schemas.activity import ACTIVITY_RECORD, Activity
from schemas.reference.catalogue import load_fuels

FUELS = load_fuels()


def an_activity(**given: object) -> Activity:
    about = {"id": "inv-1", "site_id": "mill", "first_day": date(2026, 6, 1), "last_day": date(2026, 6, 30)}
    return Activity.model_validate(about | given)


def record(region: str = "CN-ZJ", **given: object) -> dict[str, object]:
    return record_of(an_activity(**given), a_site(region=region), FUELS, "v1")


@pytest.mark.parametrize(
    ("fuel", "quantity", "unit", "kg"),
    [
        ("natural_gas", 1000, "Nm3", 2162.19),  # 21.6219 t per 10^4 Nm3
        ("natural_gas", 0.1, "10^4 Nm3", 2162.19),
        ("diesel", 500, "kg", 1572.55),  # 3.1451 t/t
        ("bituminous_coal", 2, "t", 4143.0),  # 2.0715 t/t
        ("heat", 30, "GJ", 3300.0),  # 0.11 t/GJ
    ],
)
def test_a_fuel_has_the_carbon_of_its_published_factor(fuel: str, quantity: float, unit: str, kg: float):
    assert record(fuel=fuel, quantity=quantity, unit=unit)["emitted_kg"] == pytest.approx(kg)


def test_heat_is_of_scope_2_and_stays_apart_from_electricity():
    assert record(fuel="heat", quantity=1, unit="GJ")["scope"] == "2-heat"
    assert record(fuel="diesel", quantity=1, unit="t")["scope"] == "1"


def test_the_factor_of_the_country_is_used_and_another_one_when_asked_for():
    assert record(fuel="natural_gas", quantity=1, unit="Nm3")["factor_basis"] == "CN_guideline"
    assert record("GB", fuel="natural_gas", quantity=10, unit="MWh")["emitted_kg"] == pytest.approx(1829.3)
    assert record("DE", fuel="natural_gas", quantity=10, unit="GJ")["emitted_kg"] == pytest.approx(561)
    asked = record(fuel="natural_gas", quantity=10, unit="GJ", basis="IPCC2006")
    assert (asked["emitted_kg"], asked["gas"]) == (pytest.approx(561), "CO2")


def test_every_record_says_where_its_factor_comes_from():
    found = record(fuel="diesel", quantity=1, unit="t")

    assert set(found) == set(ACTIVITY_RECORD)
    assert found["factor_source"] == "NDRC guideline, other industrial enterprises (2015) defaults"
    assert (found["factor_checked"], found["reference_version"]) == (1, "v1")
    assert (found["id"], found["ts"]) == ("activity/mill/inv-1", ms(2026, 5, 31, 16))


def test_litres_of_diesel_are_not_guessed_into_tonnes():
    with pytest.raises(NoFactor, match="no checked factor of diesel per l by CN_guideline; expected t"):
        record(fuel="diesel", quantity=1, unit="l")


def test_an_unchecked_factor_is_no_factor():
    unchecked = FUELS.with_columns(checked=FUELS["checked"] * 0)

    with pytest.raises(NoFactor):
        record_of(an_activity(fuel="diesel", quantity=1, unit="t"), a_site(), unchecked, "v1")


def test_avoided_emissions_are_generation_times_the_stated_baseline():
    assert avoided_kg(2_210_000.0, 0.7035) / 1000 == pytest.approx(1554.735)
    assert avoided_kg(1000.0, 0.5153, 0.0545) == pytest.approx(460.8)
