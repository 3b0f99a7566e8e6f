"""The published savings of the original product, 170 MWh and 2.21 GWh, with the factors of several years."""

import polars as pl
import pytest

from agents.pricing.carbon import factor_for, location_based_kg
from schemas.reference.catalogue import load_factors

FACTORS = load_factors()
ALGORITHM_KWH, PV_KWH = 170_000.0, 2_210_000.0


@pytest.mark.parametrize(
    ("named", "factor", "tonnes", "seen"),
    [
        (("CN-GRID-EC", "average", 2012), 0.7035, (119.595, 1554.735), ("NDRC", 1)),
        (("CN-ZJ", "average", 2021), 0.5422, (92.174, 1198.262), ("MEE/NBS Announcement 2024 No.12", 1)),
        (("CN", "average", 2021), 0.5568, (94.656, 1230.528), ("MEE/NBS Announcement 2024 No.12", 1)),
        (("CN-ZJ", "average", 2022), 0.5153, (87.601, 1138.813), ("MEE/NBS Announcement 2024 No.33", 1)),
        (("CN-GRID-EC", "average", 2023), 0.5500, (93.5, 1215.5), ("MEE/NBS announcement of 2023", 1)),
        (("CN", "reporting", 2021), 0.5810, (98.77, 1284.01), ("MEE climate office letter", 0)),
        (("CN", "fossil", 2021), 0.8426, (143.242, 1862.146), ("MEE/NBS Announcement 2024 No.12", 1)),
    ],
)
def test_the_published_energies_have_these_tonnes_with_the_factor_of_a_year(
    named: tuple[str, str, int], factor: float, tonnes: tuple[float, float], seen: tuple[str, int]
):
    region, kind, year = named
    source, checked = seen
    row = FACTORS.row(
        by_predicate=(pl.col("region_code") == region) & (pl.col("kind") == kind) & (pl.col("year") == year), named=True
    )

    assert row["kg_co2_per_kwh"] == factor
    assert row["source"].startswith(source)
    assert min(row["checked"], 1) == checked
    computed = tuple(location_based_kg(kwh, factor) / 1000 for kwh in (ALGORITHM_KWH, PV_KWH))
    assert computed == pytest.approx(tonnes, abs=5e-4)


@pytest.mark.parametrize(
    ("reporting_year", "region", "year", "factor"),
    [
        (2012, "CN-GRID-EC", 2012, 0.7035),
        (2020, "CN-GRID-EC", 2012, 0.7035),  # nothing newer was published for these years
        (2021, "CN-ZJ", 2021, 0.5422),
        (2022, "CN-ZJ", 2022, 0.5153),  # the year of the article
        (2026, "CN-ZJ", 2022, 0.5153),
    ],
)
def test_a_reporting_year_takes_the_newest_factor_not_later(reporting_year: int, region: str, year: int, factor: float):
    choice = factor_for(FACTORS, "CN-ZJ", reporting_year)

    assert choice is not None
    assert (choice.region, choice.year, choice.factor_kg_per_kwh) == (region, year, factor)
    assert choice.checked >= 1


def test_the_published_total_fits_no_grid_factor_at_all():
    implied = 440_000_000 / 430_000_000  # kg per kWh

    assert implied == pytest.approx(1.0233, abs=5e-5)
    assert FACTORS["kg_co2_per_kwh"].max() < implied


def test_an_unverified_factor_is_never_chosen():
    unverified = FACTORS.filter(pl.col("checked") == 0).select("region_code", "year", "kind")
    regions = FACTORS["region_code"].unique().to_list()
    chosen = {
        (choice.region, choice.year, choice.kind)
        for kind in ("average", "residual")
        for region in regions
        for year in range(2010, 2030)
        if (choice := factor_for(FACTORS, region, year, kind)) is not None
    }

    assert not chosen & set(unverified.iter_rows())
