"""What another edition of the reference data makes of known energy: quarter hours, and the difference by month.

Tariff periods begin and end on quarter hours, and a factor holds for a local year, so the sum of a quarter hour's
minutes has one price and one factor, and nothing is lost by restating it instead of them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from agents.pricing.pricing import Pricing
from schemas.restatement import RESTATED_ROW, RESTATEMENT_RECORD

# What is known of a quarter hour: its energy now, and the figures that stand so far.
FORMER: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "window_start": pl.Int64(),  # ms UTC
    "import_kwh": pl.Float64(),
    "former_version": pl.String(),
    "former_emitted_kg": pl.Float64(),
    "former_market_emitted_kg": pl.Float64(),
    "former_cost_cny": pl.Float64(),
}

_FIGURES = ("emitted_kg", "market_emitted_kg", "cost_cny")
_BOTH = (*_FIGURES, *(f"former_{name}" for name in _FIGURES))
_SAME = 1e-9
_DECIMAL = pl.Decimal(38, 15)
_MONTH = ["tenant_id", "site_id", "month"]


def restated(former: pl.DataFrame, pricing: Pricing, version: str, known_from: int) -> pl.DataFrame:
    """Price quarter hours with another edition.

    Parameters
    ----------
    former
        `FORMER`, of sites that `pricing` has learnt.
    pricing
        Holds the edition.
    version, known_from
        Name of the edition, and since when it is known. [ms UTC]

    Returns
    -------
    pl.DataFrame
        `RESTATED_ROW` with `month` (local, ISO 8601) and the former figures, in the order of `former`.
    """
    priced = pricing.priced(former).with_columns(
        pl.col("window_start").cast(RESTATED_ROW["window_start"]),
        reference_version=pl.lit(version),
        known_from=pl.lit(known_from, pl.Int64()).cast(RESTATED_ROW["known_from"]),
        month=pl.col("local_day").dt.strftime("%Y-%m"),
    )
    return priced.select(*RESTATED_ROW, "month", *(name for name in FORMER if name.startswith("former_")))


def summed(rows: pl.DataFrame) -> pl.DataFrame:
    """Add up some of what `restated` gave by site and local month; `differences` takes the parts together."""
    return rows.group_by(_MONTH).agg(
        pl.col("former_version").drop_nulls().unique(),
        pl.col("reference_version").first(),
        pl.col("known_from").first().dt.epoch("ms"),
        _exact("import_kwh"),
        *(_exact(name) for name in _BOTH),
        *(_without(name).alias(f"{name}_without") for name in _BOTH),
    )


def differences(parts: Sequence[pl.DataFrame], zones: Mapping[str, str]) -> pl.DataFrame:
    """Return the differences by site and local month.

    Parameters
    ----------
    parts
        What `summed` gave.
    zones
        Time zone of each site.

    Returns
    -------
    pl.DataFrame
        `RESTATEMENT_RECORD`, sorted, of the months in which a figure differs.
    """
    if not parts:
        return pl.DataFrame(schema=RESTATEMENT_RECORD)
    whole = (
        pl.concat(parts)
        .group_by(_MONTH)
        .agg(
            pl.col("former_version").explode().drop_nulls().unique().sort().str.join(" "),
            pl.col("reference_version", "known_from").first(),
            pl.col("import_kwh").sum().cast(pl.Float64),
            pl.col(f"{name}_without" for name in _BOTH).sum().cast(pl.Float64),
            # Null where a part of the energy has no value.
            *(
                pl.when(pl.col(f"{name}_without").sum() == 0).then(pl.col(name).sum()).cast(pl.Float64).alias(name)
                for name in _BOTH
            ),
        )
        .sort(_MONTH)
    )
    starts = [_month_start_ms(month, zones[site]) for site, month in whole.select("site_id", "month").iter_rows()]
    differs = pl.any_horizontal(_differs(name) for name in _FIGURES)
    return (
        whole.with_columns(
            pl.when(pl.col("former_version") != "").then("former_version").alias("former_version"),
            ts=pl.Series(starts, dtype=pl.Int64),
            period=pl.col("month"),
            id=pl.format("restatement/{}/{}/{}", "site_id", "month", "reference_version"),
            difference_kg=pl.col("emitted_kg") - pl.col("former_emitted_kg"),
            difference_market_kg=pl.col("market_emitted_kg") - pl.col("former_market_emitted_kg"),
            difference_cny=pl.col("cost_cny") - pl.col("former_cost_cny"),
            import_kwh_without_factor=pl.col("emitted_kg_without"),
            import_kwh_without_market_factor=pl.col("market_emitted_kg_without"),
            import_kwh_without_price=pl.col("cost_cny_without"),
        )
        .filter(differs)
        .select(pl.col(name).cast(dtype) for name, dtype in RESTATEMENT_RECORD.items())
    )


def _differs(name: str) -> pl.Expr:
    """Whether a figure is another one: sums of minutes and of quarter hours agree to the last digits only."""
    new, former = pl.col(name), pl.col(f"former_{name}")
    apart = (new - former).abs() > _SAME * pl.max_horizontal(new.abs(), pl.lit(1.0))
    return (new.is_null() != former.is_null()) | apart.fill_null(value=False)


def _exact(name: str) -> pl.Expr:
    """Sum as decimals, which does not depend on the order."""
    return pl.col(name).cast(_DECIMAL).sum()


def _without(name: str) -> pl.Expr:
    """Energy for which a figure is unknown."""
    return pl.col("import_kwh").filter(pl.col(name).is_null()).cast(_DECIMAL).sum()


def _month_start_ms(month: str, zone: str) -> int:
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=ZoneInfo(zone))
    return int(first.timestamp() * 1000)
