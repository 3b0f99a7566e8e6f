"""An edition of the reference data as it travels: the part that concerns one site, named by the whole's version."""

from typing import Annotated, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from schemas.reference.factors import FACTOR_ROWS, Kind, RegionCode
from schemas.reference.tariffs import TariffPlan

Text = Annotated[str, Field(min_length=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Factor(_Entry):
    """A published factor of a region. [kg/kWh]

    Parameters
    ----------
    year
        Year it was published for.
    checked
        Independent sources that were seen to agree; 0 is never a default.
    """

    year: Annotated[int, Field(ge=1990, le=2100)]
    kind: Kind
    kg_co2_per_kwh: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
    source: Text
    checked: Annotated[int, Field(ge=0)]
    gas: Literal["CO2", "CO2e"]


class RegionFactors(_Entry):
    """All factors of a region; one without any is known with its grid.

    Parameters
    ----------
    id
        Province, regional grid or country.
    grid_code
        Regional grid of a province.
    """

    id: RegionCode
    grid_code: RegionCode | None = None
    factors: tuple[Factor, ...] = ()


class SiteEdition(_Entry):
    """What of an edition a site's energy is priced with.

    Parameters
    ----------
    version
        Name of the edition: its date and a hash of its files.
    regions
        Factors of the site's region, regional grid and country.
    plan
        The site's tariff plan.
    """

    version: Text
    regions: tuple[RegionFactors, ...]
    plan: TariffPlan

    @classmethod
    def of(cls, version: str, factors: pl.DataFrame, plan: TariffPlan | None, region_code: str) -> Self | None:
        """Take the part of an edition that concerns a site; None where the edition lacks its plan.

        Parameters
        ----------
        version
            Name of the edition.
        factors
            `FACTOR_ROWS`.
        plan
            The site's plan.
        region_code
            Region of the site.

        Examples
        --------
        >>> from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
        >>> plan = load_tariffs()["cn-zj-large-industry"]
        >>> part = SiteEdition.of(REFERENCE_VERSION, load_factors(), plan, "CN-ZJ")
        >>> [region.id for region in part.regions]
        ['CN', 'CN-GRID-EC', 'CN-ZJ']
        """
        if plan is None:
            return None
        country = region_code.partition("-")[0]
        grids = factors.filter(pl.col("region_code") == region_code)["grid_code"].drop_nulls()
        near = {region_code, country, *grids}
        regions = regions_of(factors.filter(pl.col("region_code").is_in(near)))
        return cls(version=version, regions=tuple(regions), plan=plan)


def regions_of(factors: pl.DataFrame) -> list[RegionFactors]:
    """Return `FACTOR_ROWS` as one entry per region, sorted by region, year and kind."""
    names = list(Factor.model_fields)
    found = []
    for (region,), rows in sorted(factors.partition_by("region_code", as_dict=True).items()):
        stated = rows.drop_nulls("year").sort("year", "kind").select(names)
        own = tuple(Factor.model_validate(row) for row in stated.iter_rows(named=True))
        found.append(RegionFactors(id=str(region), grid_code=rows["grid_code"][0], factors=own))
    return found


def factors_of(regions: "list[RegionFactors] | tuple[RegionFactors, ...]", version: str) -> pl.DataFrame:
    """Return entries as `FACTOR_ROWS` of an edition.

    Examples
    --------
    >>> from schemas.reference.catalogue import REFERENCE_VERSION, load_factors
    >>> key = ["region_code", "year", "kind"]
    >>> again = factors_of(regions_of(load_factors()), REFERENCE_VERSION)
    >>> again.sort(key).equals(load_factors().sort(key))
    True
    """
    rows: list[dict[str, object]] = []
    for region in regions:
        about: dict[str, object] = {"region_code": region.id, "grid_code": region.grid_code}
        about["reference_version"] = version
        rows += [about | factor.model_dump() for factor in region.factors] or [about]
    return pl.DataFrame(rows, schema=FACTOR_ROWS)
