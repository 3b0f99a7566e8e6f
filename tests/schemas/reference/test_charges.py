"""Charges beside the energy price: what is chosen, and what is refused."""

import json
from datetime import date
from importlib.resources import files

import pytest

from schemas.reference.catalogue import load_charges
from schemas.reference.charges import parse_charges
from schemas.reference.problems import ReferenceDataError

CHARGES = load_charges()
TEXT = files("schemas.reference").joinpath("charges.json").read_text(encoding="utf-8")
KV10 = "1-10(20)kV"


def test_a_demand_price_that_was_only_recalled_is_never_chosen() -> None:
    assert any(price.region_code == "CN-JS" for price in CHARGES.demand_prices)
    assert CHARGES.demand_price_on(date(2026, 7, 1), "CN-JS", KV10, None) is None


def test_a_demand_price_is_chosen_for_its_zone_voltage_and_time() -> None:
    price = CHARGES.demand_price_on(date(2026, 2, 1), "CN-GD", KV10, "huizhou")
    assert price is not None
    assert (price.cny_per_kw_month, price.cny_per_kva_month) == (36.1, 22.6)
    for day, voltage, zone in (
        (date(2026, 1, 31), KV10, "huizhou"),
        (date(2026, 8, 1), KV10, "huizhou"),
        (date(2026, 2, 1), "110kV", "huizhou"),
        (date(2026, 2, 1), KV10, None),
    ):
        assert CHARGES.demand_price_on(day, "CN-GD", voltage, zone) is None


def test_the_network_price_depends_on_part_voltage_and_zone() -> None:
    jiangsu = CHARGES.network_charge_on(date(2026, 8, 1), "CN-JS")
    guangdong = CHARGES.network_charge_on(date(2026, 8, 1), "CN-GD")
    assert jiangsu is not None
    assert guangdong is not None

    assert jiangsu.network_cny_per_kwh(KV10, None, two_part=True) == 0.1298
    assert jiangsu.network_cny_per_kwh(KV10, None, two_part=False) == 0.2131
    assert jiangsu.network_cny_per_kwh("66kV", None, two_part=True) is None
    assert guangdong.network_cny_per_kwh(KV10, "huizhou", two_part=True) == pytest.approx(0.099)
    assert guangdong.network_cny_per_kwh(KV10, None, two_part=True) is None  # its price zones differ
    assert CHARGES.network_charge_on(date(2026, 7, 31), "CN-JS") is None


def test_everything_that_is_wrong_is_said_at_once() -> None:
    data = json.loads(TEXT)
    data["network_charges"].append(data["network_charges"][0] | {"valid_from": "2026-09-01"})
    data["demand_prices"][0]["region_code"] = "CN-XX"

    with pytest.raises(ReferenceDataError) as wrong:
        parse_charges(json.dumps(data), "charges.json", {"CN-ZJ", "CN-JS", "CN-GD", "CN-SD", "CN-SH", "CN-AH", "CN-HB"})

    assert [str(problem) for problem in wrong.value.problems] == [
        "charges.json: demand_prices[0]: region_code: expected a known region, found 'CN-XX'",
        "charges.json: network_charges[6]: valid_from: expected a time in which no other entry of the place holds",
    ]
