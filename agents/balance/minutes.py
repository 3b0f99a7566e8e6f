"""Windows that wait for the rest of their minute, or for a better estimate of it."""

import polars as pl

from schemas.window import WINDOW_MS, Quality

MINUTE = ["tenant_id", "site_id", "window_start"]
WORST = [Quality.MEASURED.value, Quality.ESTIMATED.value, Quality.PARTIAL.value]

# One row per meter and minute. Of a minute all rows say the same of `since`, `revision` and `fresh`.
HELD: dict[str, pl.DataType] = {
    "tenant_id": pl.String(),
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "meter_kind": pl.String(),
    "window_start": pl.Int64(),  # ms UTC
    "import_kwh": pl.Float64(),
    "export_kwh": pl.Float64(),
    "worst": pl.Int32(),  # index into WORST
    "window_revision": pl.Int32(),
    "corrects": pl.Boolean(),  # a revision of something that was sent before
    "since": pl.Int64(),  # arrival of the first window that is not sent, ms UTC
    "revision": pl.Int32(),  # of the next rows of this minute
    "fresh": pl.Boolean(),  # something of the minute is not sent
}
EMPTY = pl.DataFrame(schema=HELD)

# Stretches of minutes that were sent and let go: what comes for a part of one says nothing of the whole.
LET_GO: dict[str, pl.DataType] = {"site_id": pl.String(), "from_ms": pl.Int64(), "until_ms": pl.Int64()}
NONE_LET_GO = pl.DataFrame(schema=LET_GO)
# Stretches are joined across this. A minute in between was complete, so whatever comes for it is a correction.
_JOIN_MS = 900_000


def of_windows(windows: pl.DataFrame, arrived_at: int) -> pl.DataFrame:
    """Take windows as they came.

    Parameters
    ----------
    windows
        Columns of `schemas.window.WINDOW_ROWS`.
    arrived_at
        Arrival of the message. [ms UTC]

    Returns
    -------
    pl.DataFrame
        `HELD`.
    """
    return windows.with_columns(
        pl.col("window_start").dt.epoch("ms"),
        worst=pl.col("quality").replace_strict(WORST, [0, 1, 2], return_dtype=pl.Int32),
        window_revision="revision",
        corrects=pl.col("previous_import_kwh").is_not_null(),
        since=pl.lit(arrived_at, pl.Int64),
        fresh=pl.lit(value=True),
    ).select(*HELD)


def gathered(held: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Add fresh windows to those that are held; the highest revision of a window takes the place of the others."""
    return (
        pl.concat([held, fresh])
        .sort("window_revision", maintain_order=True)
        .with_columns(
            pl.col("revision").max().over(MINUTE),
            # What was sent has waited long enough; it is the newest part of a minute that waits.
            since=pl.col("since").filter("fresh").min().over(MINUTE).fill_null(0),
            fresh=pl.col("fresh").any().over(MINUTE),
        )
        .unique([*MINUTE, "meter_id"], keep="last", maintain_order=True)
    )


def judged(
    held: pl.DataFrame, sites: pl.DataFrame, let_go: pl.DataFrame, arrived_at: int, hold_ms: int
) -> pl.DataFrame:
    """Say of every minute with something fresh what becomes of it.

    Parameters
    ----------
    held
        `HELD`.
    sites
        `Trees.sites`.
    let_go
        `LET_GO`.
    arrived_at
        Arrival of the tick. [ms UTC]
    hold_ms
        How long a minute waits for a meter, in arrival time. [ms]

    Returns
    -------
    pl.DataFrame
        `MINUTE`, `due`, `orphan`: a part of what is no longer held, and `again`: may be sent again.
    """
    complete = pl.col("meters") >= pl.col("all_meters")
    return (
        held.filter("fresh")
        .group_by(MINUTE, maintain_order=True)
        .agg(
            meters=pl.len(),
            worst=pl.col("worst").max(),
            since=pl.col("since").min(),
            corrects=pl.col("corrects").all(),
        )
        .join(sites, on="site_id", how="left", maintain_order="left")
        .sort("window_start", maintain_order=True)
        .join_asof(
            let_go.sort("from_ms"),
            left_on="window_start",
            right_on="from_ms",
            by="site_id",
            check_sortedness=False,
        )
        .with_columns(gone=(pl.col("window_start") < pl.col("until_ms")).fill_null(value=False))
        .with_columns(orphan=(pl.col("corrects") | pl.col("gone")) & ~complete)
        .with_columns(
            due=complete | pl.col("orphan") | (arrived_at - pl.col("since") > hold_ms),
            again=~pl.col("orphan") & (~complete | ((pl.col("worst") > 0) & (pl.col("all_meters") > 1))),
        )
        .select(*MINUTE, "due", "orphan", "again")
    )


def still_held(held: pl.DataFrame, minutes: pl.DataFrame, keep_ms: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep what is not sent, and what may be sent again until it is old.

    Parameters
    ----------
    held
        `HELD`.
    minutes
        What `judged` said.
    keep_ms
        Age, in event time, at which a minute that was sent is let go. [ms]

    Returns
    -------
    tuple[pl.DataFrame, pl.DataFrame]
        `HELD`, and `MINUTE` of what is let go for its age.
    """
    # Sites without anything due keep what they hold as it is: what changes unsaid is not in the next snapshot.
    moved = minutes.filter("due")["site_id"].unique()
    mine = pl.col("site_id").is_in(moved.implode())
    sent = pl.col("due").fill_null(value=False)
    stay = (
        held.filter(mine)
        .join(minutes, on=MINUTE, how="left", maintain_order="left")
        .with_columns(old=pl.col("window_start") <= pl.col("window_start").max().over("site_id") - keep_ms)
        .filter(~sent | pl.col("again"))
        .with_columns(
            revision=pl.col("revision") + sent.cast(pl.Int32),
            fresh=pl.col("fresh") & ~sent,
            since=pl.when(sent).then(0).otherwise("since"),
        )
    )
    gone = pl.col("old") & ~pl.col("fresh")
    return pl.concat([held.filter(~mine), stay.filter(~gone).select(*HELD)]), stay.filter(gone).select(MINUTE).unique()


def joined(let_go: pl.DataFrame, minutes: pl.DataFrame) -> pl.DataFrame:
    """Add minutes to the stretches that were let go.

    Parameters
    ----------
    let_go
        `LET_GO`; stretches of a site do not touch each other.
    minutes
        `MINUTE`.

    Examples
    --------
    >>> minutes = pl.DataFrame({"site_id": ["mill"] * 3, "window_start": [60_000, 0, 7_200_000]})
    >>> joined(NONE_LET_GO, minutes).rows()
    [('mill', 0, 120000), ('mill', 7200000, 7260000)]
    """
    new = minutes.select("site_id", from_ms="window_start", until_ms=pl.col("window_start") + WINDOW_MS)
    stretches = pl.concat([let_go, new]).sort("site_id", "from_ms")
    reach = pl.col("until_ms").cum_max().shift(1).over("site_id")
    begins = (pl.col("from_ms") > reach + _JOIN_MS).fill_null(value=True)
    return (
        stretches.with_columns(number=begins.cum_sum())
        .group_by("site_id", "number", maintain_order=True)
        .agg(pl.col("from_ms").min(), pl.col("until_ms").max())
        .select(*LET_GO)
    )
