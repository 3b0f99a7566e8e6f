"""The hourly carbon-free score: how much of the load was carbon-free in the hour it was drawn."""

import polars as pl

# One row per site and hour.
HOURS: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "period": pl.String(),  # what is scored together: a local day, month or year
    "load_kwh": pl.Float64(),  # import + generation - export
    "carbon_free_kwh": pl.Float64(),  # on-site generation that is carbon-free
    "grid_share": pl.Float64(),  # carbon-free share of the grid in this hour; null where unknown
    "grid_kg_per_kwh": pl.Float64(),  # its intensity in this hour; null where unknown
}


def scores(hours: pl.DataFrame) -> pl.DataFrame:
    """Score sites and periods.

    Parameters
    ----------
    hours
        `HOURS`; hours without a load are left out and counted.

    Returns
    -------
    pl.DataFrame
        One row per site and period, sorted: `load_kwh`, `matched_kwh`, `surplus_kwh` (earns nothing), `hours`,
        `hours_unknown`, `strict_score` (the grid counts as nothing), `score` (with the grid's share; null unless it is
        known for every hour with load), `volume_score` (the annual way: all generation against all load, at most 1) and
        `residual_kg` (null unless the intensity is known for every hour that leaves load unmatched).

    References
    ----------
    24/7 carbon-free energy: matched = min(load, carbon-free) per hour; the grid term is ours to state beside it.

    Examples
    --------
    >>> row = {"site_id": "mill", "period": "2026-07", "grid_share": 0.25, "grid_kg_per_kwh": 0.5}
    >>> noon = row | {"load_kwh": 60.0, "carbon_free_kwh": 100.0}
    >>> night = row | {"load_kwh": 40.0, "carbon_free_kwh": 0.0}
    >>> scores(pl.DataFrame([noon, night])).select("strict_score", "score", "volume_score", "residual_kg").row(0)
    (0.6, 0.7, 1.0, 20.0)
    """
    known = pl.col("load_kwh").is_not_null()
    free = pl.col("carbon_free_kwh").fill_null(0.0)
    matched = pl.min_horizontal("load_kwh", free)
    open_kwh = pl.col("load_kwh") - pl.col("matched_kwh")
    return (
        hours.with_columns(matched_kwh=pl.when(known).then(matched))
        .with_columns(open_kwh=open_kwh)
        .group_by("site_id", "period")
        .agg(
            pl.col("load_kwh", "matched_kwh").sum(),
            surplus_kwh=(free - pl.col("matched_kwh")).sum(),
            hours=known.sum(),
            hours_unknown=(~known).sum(),
            free=free.filter(known).sum(),
            by_grid=(pl.col("open_kwh") * pl.col("grid_share")).sum(),
            residual=(pl.col("open_kwh") * pl.col("grid_kg_per_kwh")).sum(),
            shares=(pl.col("grid_share").is_not_null() | (pl.col("open_kwh") <= 0)).filter(known).all(),
            factors=(pl.col("grid_kg_per_kwh").is_not_null() | (pl.col("open_kwh") <= 0)).filter(known).all(),
        )
        .with_columns(drawn=pl.col("load_kwh") > 0)
        .select(
            "site_id",
            "period",
            "load_kwh",
            "matched_kwh",
            "surplus_kwh",
            "hours",
            "hours_unknown",
            strict_score=pl.when("drawn").then(pl.col("matched_kwh") / pl.col("load_kwh")),
            score=pl.when(pl.col("drawn") & pl.col("shares")).then(
                (pl.col("matched_kwh") + pl.col("by_grid")) / pl.col("load_kwh")
            ),
            volume_score=pl.when("drawn").then((pl.col("free") / pl.col("load_kwh")).clip(upper_bound=1.0)),
            residual_kg=pl.when("factors").then("residual"),
        )
        .sort("site_id", "period")
    )
