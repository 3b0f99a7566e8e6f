"""Minutes of a site: the windows of its grid meters added up, and those that wait for a meter or a better estimate."""

import polars as pl

from schemas.registry import MeterKind
from schemas.window import WINDOW_MS, Quality

SITE_MINUTE = ["tenant_id", "site_id", "window_start"]

# What is kept of a grid meter's window until the next tick: the windows of a minute are added up all at once, so that
# it makes no difference how they were batched.
WINDOWS: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "window_start": pl.Int64(),  # ms UTC
    "import_kwh": pl.Float64(),
    "export_kwh": pl.Float64(),
    "worst": pl.Int32(),  # index into measured, estimated, partial
    "window_revision": pl.Int32(),
    "previous_import_kwh": pl.Float64(),  # what a revision replaces
    "arrived_at": pl.Int64(),  # ms UTC
}

_WORST_FIRST = [Quality.PARTIAL.value, Quality.ESTIMATED.value, Quality.MEASURED.value]

# Windows of minutes that are not sent yet, or may be sent again: one row per meter, so that a revised window takes the
# place of the one before it. Of a minute all rows say the same about it: `revision` is that of its next record, `fresh`
# that something of it is not yet in one.
HELD: dict[str, pl.DataType] = {**WINDOWS, "revision": pl.Int32(), "fresh": pl.Boolean()}

# One row per site and minute.
MINUTES: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "window_start": pl.Int64(),  # ms UTC
    "import_kwh": pl.Float64(),
    "export_kwh": pl.Float64(),
    "meters": pl.Int32(),
    "worst": pl.Int32(),
    "waiting_since": pl.Int64(),  # arrival of its first window, ms UTC; 0 once it was sent
    "revision": pl.Int32(),
    "orphan": pl.Boolean(),  # a revision of something that is no longer held
}

EMPTY = pl.DataFrame(schema=HELD)

# A minute that was sent without one of its meters, or with an estimate, waits this long for it, in event time.
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
        .with_columns(
            pl.col("window_start").dt.epoch("ms"),
            worst=rank,
            window_revision="revision",
            arrived_at=pl.lit(arrived_at, pl.Int64),
        )
        .select(*WINDOWS)
    )


def changes(windows: pl.DataFrame) -> pl.DataFrame:
    """Return what windows add to the import of their site's minutes: of a revision, the difference.

    Parameters
    ----------
    windows
        `WINDOWS`.
    """
    return windows.with_columns(pl.col("import_kwh") - pl.col("previous_import_kwh").fill_null(0.0))


def gathered(held: pl.DataFrame, windows: pl.DataFrame) -> pl.DataFrame:
    """Add fresh windows to those that are held; a revision takes the place of what it revises.

    Parameters
    ----------
    held
        `HELD`.
    windows
        `WINDOWS`.
    """
    fresh = windows.with_columns(revision="window_revision", fresh=pl.lit(True)).select(*HELD)
    revises = bool((fresh["window_revision"] > 0).any())
    if held.is_empty() and not revises:
        return fresh
    both = pl.concat([held, fresh]).with_columns(
        pl.col("fresh").any().over(SITE_MINUTE),
        pl.col("revision").max().over(SITE_MINUTE),
        pl.col("arrived_at").min().over(SITE_MINUTE),
    )
    if not revises:
        return both
    newest_last = both.sort("window_revision", maintain_order=True)
    return newest_last.unique([*SITE_MINUTE, "meter_id"], keep="last", maintain_order=True)


def added_up(held: pl.DataFrame) -> pl.DataFrame:
    """Add up windows per site and minute.

    Parameters
    ----------
    held
        `HELD`.

    Returns
    -------
    pl.DataFrame
        `MINUTES`.
    """
    return (
        held.group_by(SITE_MINUTE, maintain_order=True)
        .agg(
            _sum_or_null("import_kwh"),
            _sum_or_null("export_kwh"),
            meters=pl.len().cast(pl.Int32),
            worst=pl.col("worst").max(),
            waiting_since=pl.col("arrived_at").min(),
            revision=pl.col("revision").max(),
            orphan=pl.col("previous_import_kwh").is_not_null().all(),
        )
        .select(*MINUTES)
    )


def still_held(held: pl.DataFrame, counted: pl.DataFrame) -> pl.DataFrame:
    """Keep what may be sent again: minutes without one of their meters, and estimates of one meter among several.

    Parameters
    ----------
    held
        `HELD`.
    counted
        Fresh minutes: `MINUTES`, `grid_meters` and whether they are `due`, that is sent now.
    """
    again = (pl.col("meters") < pl.col("grid_meters")) | ((pl.col("grid_meters") > 1) & (pl.col("worst") > 0))
    judged = counted.filter("due").select(*SITE_MINUTE, again=~pl.col("orphan") & again, next=pl.col("revision") + 1)
    theirs = held["site_id"].is_in(judged["site_id"].unique().implode())
    newest = pl.col("window_start").max().over("site_id")
    stay = (
        held.filter(theirs)
        .join(judged, on=SITE_MINUTE, how="left", maintain_order="left")
        .filter(pl.col("again").fill_null(True), pl.col("window_start") > newest - KEEP_MS)
        .with_columns(
            revision=pl.coalesce("next", "revision"),
            fresh=pl.col("fresh") & pl.col("next").is_null(),
            # What was sent once has waited long enough for ever: the same number packs better than many.
            arrived_at=pl.when(pl.col("next").is_null()).then("arrived_at").otherwise(0),
        )
        .select(*HELD)
    )
    # The others stay as they are: what changes unsaid is not in the next snapshot.
    return pl.concat([held.filter(~theirs), stay])


def quality_name() -> pl.Expr:
    """Return the name of the worst quality in a minute."""
    return pl.col("worst").replace_strict([2, 1, 0], _WORST_FIRST, return_dtype=pl.String)


def end_of(start: pl.Expr) -> pl.Expr:
    """Return the end of a minute."""
    return start + WINDOW_MS


def _sum_or_null(name: str) -> pl.Expr:
    """Sum of a group, null (not 0) where nothing is known."""
    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).otherwise(None).alias(name)
