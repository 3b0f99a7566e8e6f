"""The carbon statement of a year: both Scope 2 lines settled, fuels and heat, and apart from them what was avoided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from clickhouse_connect.driver.client import Client

from agents.pricing.activities import avoided_kg
from agents.pricing.carbon import factor_for
from agents.pricing.carbon_free import HOURS, scores
from agents.pricing.settlement import DAYS, Settlement, settle
from schemas.reference.problems import Problem, ReferenceDataError
from schemas.registry import Registry, Site
from sinks.clickhouse.carbon import emitted_by_activities, energy_of_days, energy_of_hours

# Intensity of a grid by hour, as a file gives it.
INTENSITY: dict[str, pl.DataType] = {
    "region_code": pl.String(),
    "hour": pl.String(),  # its beginning, ISO 8601 with offset
    "grid_share": pl.Float64(),  # carbon-free share, 0 to 1
    "grid_kg_per_kwh": pl.Float64(),
}


@dataclass(frozen=True, slots=True)
class Avoided:
    """What on-site generation avoided elsewhere; outside the inventory, never netted.

    Parameters
    ----------
    generated_kwh
        Generation. [kWh]
    kg, net_kg
        Against the baseline, and less the life cycle of the generation; None without a baseline. [kg]
    baseline
        What it is compared with.
    """

    generated_kwh: float
    kg: float | None
    net_kg: float | None
    baseline: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A year of all sites.

    Parameters
    ----------
    settlement
        Both Scope 2 lines for electricity.
    by_activity
        `site_id`, `scope`, `gas`, `emitted_kg`, `activities`.
    avoided
        By site, where generation is measured.
    carbon_free
        As `agents.pricing.carbon_free.scores` gives it, by month and for the year.
    """

    settlement: Settlement
    by_activity: pl.DataFrame
    avoided: Mapping[str, Avoided]
    carbon_free: pl.DataFrame


def statement(
    client: Client,
    registry: Registry,
    factors: pl.DataFrame,
    lifecycle: pl.DataFrame,
    year: int,
    *,
    intensity: pl.DataFrame | None = None,
) -> Statement:
    """Compute the statement of a year from what is stored.

    Parameters
    ----------
    client
        A migrated database.
    registry
        Sites and their instruments.
    factors, lifecycle
        Reference data.
    year
        Calendar year in each site's local time.
    intensity
        `INTENSITY`; None without one.
    """
    days, hours = [pl.DataFrame(schema=DAYS)], [pl.DataFrame(schema=HOURS)]
    avoided: dict[str, Avoided] = {}
    for zone in sorted({site.time_zone for site in registry.sites}):
        mine = [site for site in registry.sites if site.time_zone == zone]
        names = [site.id for site in mine]
        by_hour = energy_of_hours(client, names, zone, year).with_columns(
            local_day=pl.col("window_start").dt.convert_time_zone(zone).dt.date()
        )
        self_use = by_hour.group_by("site_id", "local_day").agg(
            pl.when(pl.col("self_use_kwh").is_not_null().any()).then(pl.col("self_use_kwh").sum()).alias("self_use_kwh")
        )
        by_day = energy_of_days(client, names, zone, year).drop("self_use_kwh")
        joined = by_day.join(self_use, on=["site_id", "local_day"], how="left")
        days.append(joined.select(pl.col(name).cast(kind) for name, kind in DAYS.items()))
        hours.append(_with_intensity(by_hour, mine, intensity))
        for site in mine:
            made = by_hour.filter(pl.col("site_id") == site.id)["carbon_free_kwh"].drop_nulls()
            if made.len():
                avoided[site.id] = _avoided(site, year, float(made.sum()), factors, lifecycle)
    every = pl.concat(hours)
    whole = every.with_columns(period=pl.lit(str(year)))
    return Statement(
        settle(year, pl.concat(days), registry.tenants, registry.sites, factors),
        emitted_by_activities(client, [site.id for site in registry.sites], year),
        avoided,
        scores(pl.concat([every, whole])),
    )


def read_intensity(path: Path) -> pl.DataFrame:
    """Read the intensity of grids by hour.

    Raises
    ------
    ReferenceDataError
        If it is not a CSV of `INTENSITY`.
    """
    try:
        rows = pl.read_csv(path, schema=INTENSITY)
        hours = rows["hour"].str.to_datetime("%+", time_unit="ms", time_zone="UTC")
    except pl.exceptions.PolarsError as error:
        what = f"a CSV with the columns {', '.join(INTENSITY)}: {str(error).splitlines()[0]}"
        raise ReferenceDataError([Problem(path.name, "(file)", "(rows)", what)]) from error
    wrong = rows.with_row_index("line", 2).filter(~pl.col("grid_share").fill_null(0.0).is_between(0, 1))
    if wrong.height:
        raise ReferenceDataError(
            [Problem(path.name, f"line {line}", "grid_share", "a share from 0 to 1") for line in wrong["line"]]
        )
    return rows.with_columns(hour=hours)


def _with_intensity(hours: pl.DataFrame, sites: Sequence[Site], intensity: pl.DataFrame | None) -> pl.DataFrame:
    """Return `HOURS` by local month, with the intensity of the site's region where one is given."""
    regions = pl.DataFrame(
        {"site_id": [site.id for site in sites], "region_code": [site.region for site in sites]},
        schema={"site_id": pl.String, "region_code": pl.String},
    )
    placed = hours.with_columns(
        period=pl.col("local_day").dt.strftime("%Y-%m"), hour=pl.col("window_start").cast(pl.Datetime("ms", "UTC"))
    ).join(regions, on="site_id", how="left")
    if intensity is None:
        placed = placed.with_columns(grid_share=None, grid_kg_per_kwh=None)
    else:
        placed = placed.join(intensity, on=["region_code", "hour"], how="left")
    return placed.select(pl.col(name).cast(kind) for name, kind in HOURS.items())


def _avoided(site: Site, year: int, kwh: float, factors: pl.DataFrame, lifecycle: pl.DataFrame) -> Avoided:
    factor = factor_for(factors, site.region, year)
    if factor is None:
        return Avoided(kwh, None, None, "no checked grid average is known")
    own = lifecycle.filter(
        pl.col("region_code").is_in([site.country, "WORLD"]),
        pl.col("technology") == "pv",
        pl.col("checked") >= 1,
    ).sort(pl.col("region_code") == "WORLD", -pl.col("year"))
    net = avoided_kg(kwh, factor.factor_kg_per_kwh, own["kg_co2e_per_kwh"][0]) if own.height else None
    baseline = f"grid average of {factor.region} {factor.year}, {factor.factor_kg_per_kwh} kg/kWh ({factor.source})"
    return Avoided(kwh, avoided_kg(kwh, factor.factor_kg_per_kwh), net, baseline)
