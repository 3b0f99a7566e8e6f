import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.pricing.carbon import FACTOR_CHOICE, factor_for, factor_table, location_based_kg
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors

FACTORS = load_factors()


@pytest.mark.parametrize(
    ("energy_kwh", "factor_kg_per_kwh", "expected_t", "to_t"),
    [
        (170_000.0, 0.7035, 119.595, 0.0005),
        (2_210_000.0, 0.7035, 1554.735, 0.0005),
        (170_000.0, 0.5153, 87.601, 0.0005),
        (2_210_000.0, 0.5153, 1138.813, 0.0005),
        (430_000_000.0, 0.5366, 230_738.0, 0.5),
        (430_000_000.0, 1.0232558, 440_000.0, 0.5),
    ],
)
def test_published_energies_and_factors_give_the_published_tonnes(
    energy_kwh: float, factor_kg_per_kwh: float, expected_t: float, to_t: float
) -> None:
    assert location_based_kg(energy_kwh, factor_kg_per_kwh) / 1000 == pytest.approx(expected_t, abs=to_t)


def test_the_formula_is_the_same_on_a_column() -> None:
    frame = pl.DataFrame({"import_kwh": [170_000.0, None], "factor": [0.7035, 0.7035]})

    kg = frame.select(kg=location_based_kg(pl.col("import_kwh"), pl.col("factor")))["kg"]

    assert kg.to_list() == [location_based_kg(170_000.0, 0.7035), None]


@pytest.mark.parametrize(
    ("region_code", "year", "region", "factor_year", "factor_kg_per_kwh"),
    [
        ("CN-ZJ", 2026, "CN-ZJ", 2022, 0.5153),  # the newest of the province, though the grid has 2023
        ("CN-ZJ", 2021, "CN-ZJ", 2021, 0.5422),
        ("CN-JS", 2026, "CN-JS", 2022, 0.5978),
        ("CN-GD", 2026, "CN-GD", 2023, 0.4419),
        ("CN-GD", 2022, "CN-GD", 2022, 0.4403),  # never a factor of a later year
        ("CN-XZ", 2026, "CN-GRID-SW", 2023, 0.2472),  # no factor of its own
        ("CN-ZJ", 2020, "CN-GRID-EC", 2012, 0.7035),  # the province starts in 2021
        ("CN-GRID-EC", 2026, "CN-GRID-EC", 2023, 0.5500),
        ("CN", 2026, "CN", 2023, 0.5306),  # average, not residual, fossil or reporting
        ("GB", 2026, "GB", 2024, 0.2071),  # 2025 is unverified
    ],
)
def test_the_newest_checked_average_not_later_than_the_year_is_chosen(
    region_code: str, year: int, region: str, factor_year: int, factor_kg_per_kwh: float
) -> None:
    choice = factor_for(FACTORS, region_code, year)

    assert choice is not None
    assert (choice.region, choice.year, choice.factor_kg_per_kwh) == (region, factor_year, factor_kg_per_kwh)
    assert (choice.kind, choice.version) == ("average", REFERENCE_VERSION)
    assert choice.source


@pytest.mark.parametrize(
    ("region_code", "year"),
    [
        ("US", 2026),  # only an unverified row
        ("IN", 2026),
        ("CN-ZJ", 2011),  # before everything published
        ("CN-ZZ", 2026),  # no such province: not the national factor
        ("", 2026),
    ],
)
def test_without_a_usable_factor_there_is_none(region_code: str, year: int) -> None:
    assert factor_for(FACTORS, region_code, year) is None


def test_a_province_and_its_grid_without_factors_fall_back_to_the_country() -> None:
    without_grid = FACTORS.filter(pl.col("region_code") != "CN-GRID-SW")

    choice = factor_for(without_grid, "CN-XZ", 2026)

    assert choice is not None
    assert (choice.region, choice.factor_kg_per_kwh) == ("CN", 0.5306)


@settings(deadline=None)  # cores are shared
@given(region_code=st.sampled_from(FACTORS["region_code"].to_list()), year=st.integers(1990, 2050))
def test_an_unverified_factor_or_one_of_a_later_year_is_never_a_default(region_code: str, year: int) -> None:
    choice = factor_for(FACTORS, region_code, year)

    if choice is not None:
        assert choice.checked >= 1
        assert choice.kind == "average"
        assert choice.year <= year
        assert choice.region in {region_code, region_code[:2]} or choice.region.startswith("CN-GRID-")


def test_a_table_has_one_row_per_pair_and_null_where_nothing_is_known() -> None:
    pairs = pl.DataFrame({"region_code": ["CN-ZJ", "US", "CN-ZJ", "CN-GD"], "year": [2026, 2026, 2026, 2022]})

    table = factor_table(FACTORS, pairs)

    assert dict(table.schema) == FACTOR_CHOICE
    assert table.select("region_code", "year", "factor_kg_per_kwh", "factor_year").rows() == [
        ("CN-GD", 2022, 0.4403, 2022),
        ("CN-ZJ", 2026, 0.5153, 2022),
        ("US", 2026, None, None),
    ]


def test_a_table_of_nothing_is_empty() -> None:
    nothing = pl.DataFrame(schema={"region_code": pl.String, "year": pl.Int32})

    assert factor_table(FACTORS, nothing).is_empty()
