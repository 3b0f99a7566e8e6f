"""Carbon of electricity drawn from the grid: the formula, and which published factor it is used with."""

from dataclasses import dataclass
from typing import TypeVar

import polars as pl

Quantity = TypeVar("Quantity", float, pl.Expr)  # one formula for a number and for a column

DEFAULT_KIND = "average"
RESIDUAL_KIND = "residual"
MIN_CHECKED = 1

FACTOR_CHOICE: dict[str, pl.DataType] = {
    "region_code": pl.String(),
    "year": pl.Int32(),
    "factor_kg_per_kwh": pl.Float64(),  # null when no checked factor is known
    "factor_region": pl.String(),  # whose factor it is: the region, its grid or its country
    "factor_kind": pl.String(),
    "factor_year": pl.Int32(),
    "factor_source": pl.String(),
    "factor_checked": pl.Int32(),
    "factor_gas": pl.String(),
    "reference_version": pl.String(),
}


@dataclass(frozen=True, slots=True)
class FactorChoice:
    """A factor and where it comes from.

    Parameters
    ----------
    factor_kg_per_kwh
        The factor. [kg/kWh]
    region
        Region, regional grid or country it was published for.
    kind, year, source, gas
        What was published, for which year, by whom, and whether it counts CO2 alone.
    checked
        Independent sources that were seen to agree.
    version
        Version of the reference data it was taken from.
    """

    factor_kg_per_kwh: float
    region: str
    kind: str
    year: int
    source: str
    checked: int
    gas: str
    version: str


def location_based_kg(energy_kwh: Quantity, factor_kg_per_kwh: Quantity) -> Quantity:
    """Carbon caused by drawing energy from the local grid (Scope 2, location-based).

    Energy that was made and used on the site lowers the import; energy that was exported is never subtracted.

    Parameters
    ----------
    energy_kwh
        Energy imported during the window, not negative. [kWh]
    factor_kg_per_kwh
        Average factor of the region for the year of the window. [kgCO₂/kWh]

    Returns
    -------
    Quantity
        Emissions of the window. [kgCO₂]

    References
    ----------
    GHG Protocol, Scope 2 Guidance (2015): location-based method.

    Examples
    --------
    >>> location_based_kg(2.5, 0.4)
    1.0
    """
    return energy_kwh * factor_kg_per_kwh


def market_based_kg(energy_kwh: Quantity, factor_kg_per_kwh: Quantity) -> Quantity:
    """Carbon of drawn energy by what was bought (Scope 2, market-based), before certificates.

    Parameters
    ----------
    energy_kwh
        Energy imported during the window, not negative. [kWh]
    factor_kg_per_kwh
        Mean of the contracts' rates and the factor of the rest, weighted by their shares. [kgCO₂/kWh]

    Returns
    -------
    Quantity
        Emissions of the window. [kgCO₂]

    References
    ----------
    GHG Protocol, Scope 2 Guidance (2015): market-based method.

    Examples
    --------
    >>> market_based_kg(10.0, 0.25 * 0.0 + 0.75 * 0.6)
    4.5
    """
    return energy_kwh * factor_kg_per_kwh


def factor_for(factors: pl.DataFrame, region_code: str, year: int, kind: str = DEFAULT_KIND) -> FactorChoice | None:
    """Choose the factor of a region for a reporting year.

    Parameters
    ----------
    factors
        Rows as `schemas.reference.catalogue.load_factors` gives them.
    region_code
        Province, regional grid or country.
    year
        Reporting year.
    kind
        As of `factor_table`.

    Returns
    -------
    FactorChoice or None
        The choice of `factor_table`; None when there is no factor that may be used.

    Examples
    --------
    >>> from schemas.reference.catalogue import load_factors
    >>> choice = factor_for(load_factors(), "CN-ZJ", 2026)
    >>> choice.factor_kg_per_kwh, choice.region, choice.year, choice.source
    (0.5153, 'CN-ZJ', 2022, 'MEE/NBS Announcement 2024 No.33')
    """
    wanted = pl.DataFrame({"region_code": [region_code], "year": [year]})
    row = factor_table(factors, wanted, kind).row(0, named=True)
    if row["factor_kg_per_kwh"] is None:
        return None
    return FactorChoice(
        factor_kg_per_kwh=row["factor_kg_per_kwh"],
        region=row["factor_region"],
        kind=row["factor_kind"],
        year=row["factor_year"],
        source=row["factor_source"],
        checked=row["factor_checked"],
        gas=row["factor_gas"],
        version=row["reference_version"],
    )


def factor_table(factors: pl.DataFrame, regions_and_years: pl.DataFrame, kind: str = DEFAULT_KIND) -> pl.DataFrame:
    """Choose the factor of every region and reporting year.

    The newest published factor of the kind that is not later than the reporting year is used, first of the region
    itself, else of its regional grid, else of its country. Rows that nobody has checked are never used, and a
    region the reference data does not know gets no factor: it could be a typing error.

    Parameters
    ----------
    factors
        Rows as `schemas.reference.catalogue.load_factors` gives them.
    regions_and_years
        Columns `region_code` and `year`; repeated pairs are fine.
    kind
        `average` for the location-based line, `residual` for what no instrument covers in the market-based one.

    Returns
    -------
    polars.DataFrame
        `FACTOR_CHOICE`, one row per distinct pair, sorted; null factor and provenance where there is none.

    References
    ----------
    The year rule is a product rule; so is the order of fallback. See `docs/reference-data.md`.
    """
    wanted = (
        regions_and_years.select(pl.col("region_code").cast(pl.String), pl.col("year").cast(pl.Int32))
        .unique()
        .sort("region_code", "year")
    )
    grids = factors.select("region_code", "grid_code").unique("region_code")
    usable = factors.filter(pl.col("kind") == kind, pl.col("checked") >= MIN_CHECKED).select(
        "year",
        factor_kg_per_kwh="kg_co2_per_kwh",
        factor_region="region_code",
        factor_kind="kind",
        factor_year="year",
        factor_source="source",
        factor_checked="checked",
        factor_gas="gas",
        reference_version="reference_version",
    )
    candidates = (
        wanted.join(grids, on="region_code", how="inner")
        .with_columns(
            factor_region=pl.concat_list("region_code", "grid_code", pl.col("region_code").str.split("-").list.first()),
            level=pl.lit([0, 1, 2]),
        )
        .explode("factor_region", "level")
        .drop("grid_code")
        .drop_nulls("factor_region")
    )
    chosen = (
        candidates.sort("year")
        .join_asof(usable.sort("year"), on="year", by="factor_region", strategy="backward", check_sortedness=False)
        .drop_nulls("factor_kg_per_kwh")
        .sort("level")
        .unique(["region_code", "year"], keep="first", maintain_order=True)
    )
    return wanted.join(chosen, on=["region_code", "year"], how="left", maintain_order="left").select(
        pl.col(name).cast(dtype) for name, dtype in FACTOR_CHOICE.items()
    )
