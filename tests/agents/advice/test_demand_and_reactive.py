"""Basic fee and power factor: what whole months of demand and reactive energy give a reason for."""

from datetime import date, timedelta

import numpy as np
import pytest
from advised import Rows, advised, an_adviser, answered, lived, of_kind, tick_on
from watched import a_works, at_ms, day_of, site_at

from agents.pricing.fees import power_factor, power_factor_share
from schemas.contract import DemandTerms, Tariff
from schemas.flow import Message
from schemas.reference.catalogue import load_charges
from schemas.registry import Site

FIRST = date(2026, 6, 1)


def with_demand(**terms: object) -> Site:
    known = {"valid_from": date(2026, 1, 1), "cny_per_kw_month": 40.0, "cny_per_kva_month": 25.0} | terms
    tariff = a_works().tariff.model_dump() | {"demand": [DemandTerms.model_validate(known).model_dump()]}
    return a_works(tariff=Tariff.model_validate(tariff))


def spiky(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """100 kW, and on the tenth of each month a quarter hour each of 200, 180, 170, 160, 150 and 140 kW."""
    powers = np.full(96, 100.0)
    if day.day == 10:
        powers[40:46] = [200.0, 180.0, 170.0, 160.0, 150.0, 140.0]
    return powers if meter == "main" else powers / 4


def advice_of(site: Site, days: int = 95) -> Rows:
    agent = an_adviser()
    agent.step(site_at(site))
    return advised(agent, lived(site, FIRST, days, spiky))


def test_a_cap_saves_what_the_highest_quarter_hours_add_to_the_fee():
    found = of_kind(advice_of(with_demand(mode="actual_max_demand"), 32), "demand_cap")[0]

    # Without the four highest 150 kW are left, without twenty 100 kW: 50 to 100 kW at 40 CNY for twelve months.
    assert (found["saved_cny_low"], found["saved_cny_high"]) == (pytest.approx(24_000), pytest.approx(48_000))
    assert (found["saved_kwh_low"], found["saved_kwh_high"]) == (0.0, 0.0)


def test_capacity_that_is_never_used_is_worth_another_way_of_charging():
    rows = advice_of(with_demand(mode="transformer_capacity", capacity_kva=1000.0))
    found = of_kind(rows, "contract_demand")[0]

    # 1,000 kVA at 25 CNY now; a contract of 200 kW is charged as 40 % of the capacity: actual demand is cheapest.
    assert found["saved_cny_high"] == pytest.approx(12 * (25_000 - 200 * 40))
    assert found["saved_cny_low"] == pytest.approx(12 * (25_000 - 220 * 40))
    assert "actual maximum demand instead of transformer capacity" in str(found["message_en"])
    assert "实际最大需量" in str(found["message_zh"])


def test_two_months_are_too_few_for_another_way_of_charging():
    rows = advice_of(with_demand(mode="transformer_capacity", capacity_kva=1000.0), 63)
    assert of_kind(rows, "contract_demand") == []


def test_who_is_charged_the_cheapest_way_is_told_nothing():
    assert of_kind(advice_of(with_demand(mode="actual_max_demand", capacity_kva=1000.0)), "contract_demand") == []


def test_without_demand_terms_nothing_is_said_of_demand():
    rows = advice_of(a_works())
    assert of_kind(rows, "demand_cap") + of_kind(rows, "contract_demand") == []


def reactive(site: Site, kvarh_per_kwh: float) -> Rows:
    agent = an_adviser()
    agent.step(site_at(site))
    messages: list[Message] = []
    for number in range(32):
        day = FIRST + timedelta(number)
        message = day_of(site, day, spiky)
        assert message.rows is not None
        rows = message.rows.with_columns(import_kvarh=message.rows["import_kwh"] * kvarh_per_kwh)
        messages += [Message(message.kind, message.arrived_at, rows), tick_on(day)]
    return of_kind(advised(agent, messages), "power_factor")


def test_a_bad_power_factor_costs_its_share_of_the_bill():
    site = with_demand(mode="actual_max_demand")
    found = reactive(site, 0.75)[0]
    rule = load_charges().power_factor_rule
    factor = power_factor(4.0, 3.0)
    assert factor == 0.8

    # The bill is the energy of June at its prices and 200 kW at 40 CNY; at 0.80 it is 5 % more.
    low, high = float(str(found["saved_cny_low"])), float(str(found["saved_cny_high"]))
    bill = low / 12 / power_factor_share(0.8, rule)
    energy_kwh = 30 * 24 * 100 + (1000 - 600) / 4
    assert 0.4 < (bill - 8000) / energy_kwh < 1.0
    assert high / low == pytest.approx((0.05 - power_factor_share(0.95, rule)) / 0.05)
    # Q = P (tan(acos 0.8) - tan(acos 0.95)), with the highest quarter hour.
    assert "compensation_kvar=84.2632" in str(found["evidence"])
    assert found["investment_cny_high"] == pytest.approx(150 * 84.2632, rel=1e-4)


def test_a_good_power_factor_needs_nothing():
    assert reactive(with_demand(mode="actual_max_demand"), 0.3) == []


def test_a_new_way_of_charging_is_verified_by_the_registry():
    site = with_demand(mode="transformer_capacity", capacity_kva=1000.0)
    agent = an_adviser()
    agent.step(site_at(site))
    first = of_kind(advised(agent, lived(site, FIRST, 95, spiky)), "contract_demand")[0]
    day = FIRST + timedelta(95)
    done = of_kind(
        advised(agent, [answered(at_ms(day), "done", first["advice_id"]), *lived(site, day, 2, spiky)]),
        "contract_demand",
    )
    other = with_demand(mode="actual_max_demand", capacity_kva=1000.0)
    agent.step(site_at(other, 1))
    after = of_kind(advised(agent, lived(other, day + timedelta(2), 2, spiky)), "contract_demand")

    assert [row["status"] for row in done] == ["done"]
    assert "registry does not have it yet" in str(done[0]["message_en"])
    assert [row["status"] for row in after] == ["verified"]
