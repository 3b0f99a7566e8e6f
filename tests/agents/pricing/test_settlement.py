"""Worked cases of the market-based line, in the manner of the GHG Protocol Scope 2 Guidance, by hand."""

from datetime import date

import polars as pl
import pytest
from builders import a_site
from hypothesis import given
from hypothesis import strategies as st

from agents.pricing.settlement import DAYS, Claim, Line, SiteYear, covered, refusals, settle
from schemas.instruments import (
    Certificate,
    MarketBased,
    PowerContract,
    SharedCertificate,
    SoldCertificate,
    SupplierRate,
)
from schemas.reference.catalogue import load_factors
from schemas.registry import Site, Tenant

FACTORS = load_factors()
RESIDUAL = 0.6096  # China 2023, the newest not later than 2026
AVERAGE = 0.5153  # Zhejiang 2022


def certificate(name: str = "gec-1", kwh: float = 1000.0, **given: object) -> Certificate:
    about = {
        "id": name,
        "kind": "gec",
        "market": "CN",
        "vintage": 2026,
        "for_year": 2026,
        "kwh": kwh,
        "kg_per_kwh": 0.0,
    }
    return Certificate.model_validate(about | {"retired_on": date(2027, 1, 5)} | given)


def contract(name: str = "wind", **given: object) -> PowerContract:
    about = {"id": name, "market": "CN", "valid_from": date(2026, 1, 1), "kg_per_kwh": 0.0}
    return PowerContract.model_validate(about | given)


def site(name: str = "mill", region: str = "CN-ZJ", **instruments: object) -> Site:
    return a_site(name, region=region, market_based=MarketBased.model_validate(instruments))


def drawn(self_use_kwh: float | None = None, **kwh_by_site: float) -> pl.DataFrame:
    """Energy of two days of 2026, half of it on each."""
    rows = [
        (name, day, kwh / 2, None if self_use_kwh is None else self_use_kwh / 2)
        for name, kwh in kwh_by_site.items()
        for day in (date(2026, 3, 1), date(2026, 9, 1))
    ]
    return pl.DataFrame(rows, schema=DAYS, orient="row")


def year_of(one: Site, days: pl.DataFrame) -> SiteYear:
    return settle(2026, days, (), (one,), FACTORS).sites[0]


def parts(settled: SiteYear) -> list[tuple[str, str, float]]:
    return [(line.part, line.instrument, line.kwh) for line in settled.lines]


def test_without_instruments_the_residual_mix_counts_and_not_the_grid_average():
    settled = year_of(site(), drawn(mill=10_000))

    assert settled.location_kg == pytest.approx(5153.0)  # 10 000 * 0.5153
    assert settled.market_kg == pytest.approx(6096.0)  # 10 000 * 0.6096
    assert parts(settled) == [("residual", "", 10_000)]


def test_where_no_residual_mix_is_published_the_grid_average_is_used_and_named():
    settled = year_of(site(region="DE"), drawn(mill=10_000))

    assert parts(settled) == [("average", "", 10_000)]
    assert settled.market_kg == settled.location_kg


def test_certificates_come_before_contracts_supplier_and_residual_mix():
    mill = site(
        certificates=[certificate(kwh=2000)],
        contracts=[contract(kwh_per_year=3000, kg_per_kwh=0.02)],
        suppliers=[
            SupplierRate(
                id="retail", valid_from=date(2026, 1, 1), valid_to=date(2026, 6, 30), kg_per_kwh=0.4, source="letter"
            )
        ],
    )

    settled = year_of(mill, drawn(mill=10_000))

    # 2000 * 0 + 3000 * 0.02; the rest of 5000 is shared out over the days: 2500 * 0.4 + 2500 * 0.6096
    assert parts(settled) == [
        ("certificates", "gec-1", 2000),
        ("contracts", "wind", 3000),
        ("supplier", "retail", 2500),
        ("residual", "", 2500),
    ]
    assert settled.market_kg == pytest.approx(60 + 1000 + 1524)


def test_certificates_beyond_what_was_drawn_are_excess_and_earn_nothing():
    mill = site(certificates=[certificate(kwh=15_000)])

    settlement = settle(2026, drawn(mill=10_000), (), (mill,), FACTORS)

    assert settlement.sites[0].market_kg == 0
    assert settlement.sites[0].location_kg == pytest.approx(5153.0)  # never touched by certificates
    assert settlement.excess_kwh == {"gec-1": 5000}


def test_a_contract_by_share_is_cut_by_what_certificates_cover_already():
    mill = site(certificates=[certificate(kwh=8000)], contracts=[contract(share=0.5)])

    settlement = settle(2026, drawn(mill=10_000), (), (mill,), FACTORS)

    assert parts(settlement.sites[0]) == [("certificates", "gec-1", 8000), ("contracts", "wind", 2000)]
    assert settlement.excess_kwh == {"wind": 3000}
    assert settlement.sites[0].market_kg == 0


def test_a_contract_of_half_a_year_covers_no_energy_outside_it():
    mill = site(contracts=[contract(share=1.0, valid_to=date(2026, 6, 30))])

    settled = year_of(mill, drawn(mill=10_000))

    assert parts(settled) == [("contracts", "wind", 5000), ("residual", "", 5000)]
    assert settled.market_kg == pytest.approx(5000 * RESIDUAL)


def test_the_older_vintage_is_used_first():
    mill = site(certificates=[certificate("new", 800), certificate("old", 700, vintage=2025)])

    settlement = settle(2026, drawn(mill=1000), (), (mill,), FACTORS)

    assert {line.instrument: line.kwh for line in settlement.sites[0].lines} == {"old": 700, "new": 300}
    assert settlement.excess_kwh == {"new": 500}


def test_certificates_of_another_reporting_year_wait_for_it():
    mill = site(certificates=[certificate(for_year=2027)])

    assert parts(year_of(mill, drawn(mill=1000))) == [("residual", "", 1000)]


def test_sites_share_certificates_in_proportion_to_what_is_left_uncovered():
    # The press draws 4000 and has 1000 of its own: 3000 are open there, 6000 at the mill.
    shared = SharedCertificate.model_validate(certificate("pool", 6000).model_dump() | {"sites": ("mill", "press")})
    acme = Tenant(id="acme", name="Acme", certificates=(shared,))
    sites = (site("mill"), site("press", certificates=[certificate("own", 1000)]))

    settlement = settle(2026, drawn(mill=6000, press=4000), (acme,), sites, FACTORS)

    mill, press = settlement.sites
    assert parts(mill) == [("certificates", "pool", 4000), ("residual", "", 2000)]
    assert parts(press) == [("certificates", "own", 1000), ("certificates", "pool", 2000), ("residual", "", 1000)]
    assert settlement.excess_kwh == {}


def test_self_used_energy_whose_certificates_were_sold_carries_the_residual_mix():
    mill = site(sold=[SoldCertificate(id="pv-1", vintage=2026, kwh=3000)])

    settled = year_of(mill, drawn(self_use_kwh=2000, mill=10_000))

    # 10 000 drawn and 2000 self-used; the other 1000 were exported and are the buyer's
    assert settled.lines[-1] == Line("sold", "pv-1", 2000, pytest.approx(2000 * RESIDUAL))
    assert settled.market_kg == pytest.approx(12_000 * RESIDUAL)
    assert settled.location_kg == pytest.approx(10_000 * AVERAGE)
    assert settled.import_kwh == 10_000


def test_what_was_sold_of_unmeasured_generation_is_unknown_and_not_nothing():
    mill = site(sold=[SoldCertificate(id="pv-1", vintage=2026, kwh=3000)])

    settled = year_of(mill, drawn(mill=10_000))

    assert settled.market_kg is None
    assert settled.kwh_without_factor == 3000


def test_a_missing_factor_makes_the_lines_unknown_with_their_energy():
    settled = year_of(site(region="IN"), drawn(mill=10_000))  # unverified rows only

    assert (settled.location_kg, settled.market_kg, settled.kwh_without_factor) == (None, None, 10_000)


def test_energy_that_is_wholly_covered_needs_no_residual_mix():
    batch = certificate(kwh=10_000, market="IN")

    assert year_of(site(region="IN", certificates=[batch]), drawn(mill=10_000)).market_kg == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"market": "US"}, "of market US, which site mill does not belong to"),
        ({"vintage": 2024}, "vintage 2024 is not near the reporting year 2026"),
        ({"vintage": 2027}, "vintage 2027 is not near the reporting year 2026"),
    ],
)
def test_a_certificate_that_cannot_be_used_earns_nothing_and_says_why(changed: dict[str, object], reason: str):
    mill = site(certificates=[certificate(**changed)])

    settlement = settle(2026, drawn(mill=1000), (), (mill,), FACTORS)

    assert settlement.refused == {"gec-1": reason}
    assert parts(settlement.sites[0]) == [("residual", "", 1000)]


def test_a_certificate_claimed_twice_is_good_for_nobody():
    sites = (site("mill", certificates=[certificate()]), site("press", certificates=[certificate()]))

    settlement = settle(2026, drawn(mill=1000, press=1000), (), sites, FACTORS)

    assert settlement.refused == {"gec-1": "claimed 2 times"}
    assert [one.market_kg for one in settlement.sites] == pytest.approx([609.6, 609.6])


def test_a_certificate_that_was_sold_cannot_be_claimed():
    mill = site(certificates=[certificate("pv-1")], sold=[SoldCertificate(id="pv-1", vintage=2026, kwh=1000)])

    assert settle(2026, drawn(mill=1000), (), (mill,), FACTORS).refused == {"pv-1": "claimed although it was sold"}


def test_a_claim_without_an_emission_rate_is_refused():
    batch = Claim("gec-1", 1000.0, None, "CN", 2026, 2026, ("mill",))

    assert refusals([batch], [], {"mill": "CN"}) == {"gec-1": "no emission rate is stated"}


KWH = st.floats(0, 1e7, allow_nan=False)


@given(
    st.lists(KWH, min_size=3, max_size=3),
    st.lists(st.tuples(KWH, st.sets(st.sampled_from("abc"), min_size=1), st.sampled_from([2025, 2026])), max_size=8),
)
def test_no_certificate_is_given_away_twice_and_no_site_gets_more_than_it_drew(
    kwh: list[float], batches: list[tuple[float, set[str], int]]
):
    claims = [
        Claim(f"c{number}", amount, 0.0, "CN", vintage, 2026, tuple(sorted(sites)))
        for number, (amount, sites, vintage) in enumerate(batches)
    ]
    open_kwh = dict(zip("abc", kwh, strict=True))

    given_kwh, excess = covered(claims, open_kwh)

    for site_id, most in open_kwh.items():
        assert sum(part for (_, where), part in given_kwh.items() if where == site_id) <= most * (1 + 1e-9)
    for claim in claims:
        used = sum(part for (name, _), part in given_kwh.items() if name == claim.id)
        assert used + excess[claim.id] == pytest.approx(claim.kwh, rel=1e-9, abs=1e-6)
