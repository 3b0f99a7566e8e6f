"""Both Scope 2 lines on the records of a site, with where their factors come from."""

from datetime import date

import pytest
from builders import NOON, a_site, fed, ms, rows_at, sent, site_at, tick_at, windows

from agents.emissions.step import Emissions
from agents.pricing.pricing import Reference
from schemas.flow import Kind
from schemas.instruments import MarketBased, PowerContract, SupplierRate
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Site
from schemas.topics import EMISSIONS, SITE_LIVE

REFERENCE = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
WIND = PowerContract(id="wind", market="CN", valid_from=date(2026, 1, 1), kg_per_kwh=0.01, share=0.4)
RETAIL = SupplierRate(id="retail", valid_from=date(2026, 7, 16), kg_per_kwh=0.3, source="letter")
MIDNIGHT = ms(2026, 7, 15, 16)  # of the 16th in Zhejiang


def records(site: Site, *starts: int) -> list[dict[str, object]]:
    closed = windows(*({"window_start": start, "import_kwh": 10.0} for start in starts))
    return sent(
        fed(Emissions(REFERENCE), [site_at(site), rows_at(Kind.WINDOWS, 0, closed), tick_at(1)]), None, EMISSIONS.name
    )


def test_without_instruments_the_market_based_line_is_the_residual_mix():
    record = records(a_site(), NOON)[0]

    assert record["emitted_kg"] == pytest.approx(5.153)  # 10 * 0.5153
    assert record["market_emitted_kg"] == pytest.approx(6.096)  # 10 * 0.6096
    assert [record[f"market_rest_{name}"] for name in ("kind", "region", "year")] == ["residual", "CN", 2023]
    assert record["market_rest_source"] == "MEE/NBS announcement of 2023 factors (press 2026-01)"
    assert record["factor_source"] == "MEE/NBS Announcement 2024 No.33"
    assert record["reference_version"] == REFERENCE_VERSION


def test_a_contract_by_share_and_the_supplier_mix_from_the_day_they_hold():
    site = a_site(market_based=MarketBased(contracts=(WIND,), suppliers=(RETAIL,)))

    before, after = records(site, MIDNIGHT - 60_000, MIDNIGHT)

    # 10 * (0.4 * 0.01 + 0.6 * 0.6096), and then the supplier's 0.3 instead of the residual mix
    assert before["market_emitted_kg"] == pytest.approx(10 * (0.004 + 0.36576))
    assert after["market_emitted_kg"] == pytest.approx(10 * (0.004 + 0.18))
    assert before["market_contract_share"] == after["market_contract_share"] == 0.4
    assert (before["market_rest_kind"], after["market_rest_kind"]) == ("residual", "supplier")
    assert (after["market_rest_source"], after["market_rest_year"]) == ("retail: letter", None)
    assert before["emitted_kg"] == after["emitted_kg"]  # contracts never touch the location-based line


def test_where_everything_is_under_contract_nothing_is_left_over():
    site = a_site(market_based=MarketBased(contracts=(WIND.model_copy(update={"share": 1.0}),)))

    record = records(site, NOON)[0]

    assert record["market_emitted_kg"] == pytest.approx(0.1)
    assert (record["market_rest_kind"], record["market_rest_kg_per_kwh"]) == ("contract", None)


def test_without_any_checked_factor_the_line_is_unknown_and_its_energy_is_there():
    record = records(a_site(region="IN"), NOON)[0]

    assert (record["import_kwh"], record["emitted_kg"], record["market_emitted_kg"]) == (10.0, None, None)


def test_the_totals_of_day_and_month_have_both_lines():
    closed = rows_at(Kind.WINDOWS, 0, windows({"import_kwh": 10.0}, {"minute": 1, "import_kwh": 10.0}))

    live = sent(fed(Emissions(REFERENCE), [site_at(a_site()), closed, tick_at(1)]), None, SITE_LIVE.name)[-1]

    assert (live["today_kg"], live["today_market_kg"]) == (pytest.approx(10.306), pytest.approx(12.192))
    assert live["month_market_kg"] == live["today_market_kg"]
