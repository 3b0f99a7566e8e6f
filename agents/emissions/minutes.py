"""Minutes of a site: the windows of its grid meters added up, and those that still wait for a meter."""

import polars as pl

from schemas.registry import MeterKind
from schemas.window import WINDOW_MS, Quality

SITE_MINUTE = ["tenant_id", "site_id", "window_start"]

# What is kept of a grid meter's window until the next tick: the windows of a minute are added up all at once, so that
# it makes no difference how they were batched.
WINDOWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "window_start": pl.Int64(),  # ms UTC
    "import_kwh": pl.Float64(),
    "export_kwh": pl.Float64(),
    "worst": pl.Int32(),
    "arrived_at": pl.Int64(),  # ms UTC
}

_WORST_FIRST = [Quality.PARTIAL.value, Quality.ESTIMATED.value, Quality.MEASURED.value]

# One row per site and minute; `revision` is that of the next record, `fresh` says that it is not yet in one.
MINUTES: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "window_start": pl.Int64(),  # ms UTC
    "import_kwh": pl.Float64(),
    "export_kwh": pl.Float64(),
    "meters": pl.Int32(),
    "worst": pl.Int32(),  # index into measured, estimated, partial
    "waiting_since": pl.Int64(),  # arrival of its first window, ms UTC
    "revision": pl.Int32(),
    "fresh": pl.Boolean(),
}

EMPTY = pl.DataFrame(schema=MINUTES)

# A minute that was sent without one of its meters waits this long for it, in event time.
KEEP_MS = 35 * 86_400_000


def of_grid(windows: pl.DataFrame, arrived_at: int) -> pl.DataFrame:
    """Take the windows of grid meters.

    Parameters
    ----------
    windows
        Columns of `schemas.window.WINDOW_ROWS`.
    arrived_at
        Arrival of the message. [ms UTC]

    Returns
    -------
    pl.DataFrame
        `WINDOWS`.
    """
    rank = pl.col("quality").replace_strict(_WORST_FIRST, [2, 1, 0], return_dtype=pl.Int32)
    return (
        windows.filter(pl.col("meter_kind") == MeterKind.GRID.value)
        .with_columns(pl.col("window_start").dt.epoch("ms"), worst=rank, arrived_at=pl.lit(arrived_at, pl.Int64))
        .select(*WINDOWS)
    )


def added_up(windows: pl.DataFrame) -> pl.DataFrame:
    """Add up windows per site and minute.

    Parameters
    ----------
    windows
        `WINDOWS`.

    Returns
    -------
    pl.DataFrame
        `MINUTES`.
    """
    return (
        windows.group_by(SITE_MINUTE, maintain_order=True)
        .agg(
            _sum_or_null("import_kwh"),
            _sum_or_null("export_kwh"),
            meters=pl.len().cast(pl.Int32),
            worst=pl.col("worst").max(),
            waiting_since=pl.col("arrived_at").min(),
            revision=pl.lit(0, pl.Int32),
            fresh=pl.lit(True),
        )
        .select(*MINUTES)
    )


def gathered(waiting: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Add fresh minutes to those that wait."""
    return (
        pl.concat([waiting, fresh])
        .group_by(SITE_MINUTE, maintain_order=True)
        .agg(
            _sum_or_null("import_kwh"),
            _sum_or_null("export_kwh"),
            meters=pl.col("meters").sum(),
            worst=pl.col("worst").max(),
            waiting_since=pl.col("waiting_since").min(),
            revision=pl.col("revision").max(),
            fresh=pl.col("fresh").any(),
        )
        .select(*MINUTES)
    )


def quality_name() -> pl.Expr:
    """Return the name of the worst quality in a minute."""
    return pl.col("worst").replace_strict([2, 1, 0], _WORST_FIRST, return_dtype=pl.String)


def still_waiting(minutes: pl.DataFrame) -> pl.DataFrame:
    """Forget minutes so old that no meter will report them any more."""
    newest = pl.col("window_start").max().over("site_id")
    return minutes.filter(pl.col("window_start") > newest - KEEP_MS)


def end_of(start: pl.Expr) -> pl.Expr:
    """Return the end of a minute."""
    return start + WINDOW_MS


def _sum_or_null(name: str) -> pl.Expr:
    """Sum of a group, null (not 0) where nothing is known."""
    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).otherwise(None).alias(name)
