"""Windows as they wait for the rest of their minute or a better estimate of it, and minutes that were let go."""

import polars as pl

from schemas.registry import MeterKind
from schemas.window import WINDOW_MS, Quality

MINUTE = ["tenant_id", "site_id", "window_start"]
KINDS = [kind.value for kind in MeterKind]
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


def is_let_go(let_go: pl.DataFrame, minutes: pl.DataFrame) -> pl.Series:
    """Say of minutes whether they lie within what was let go.

    Parameters
    ----------
    let_go
        `LET_GO`.
    minutes
        `site_id` and `window_start`. [ms UTC]

    Examples
    --------
    >>> let_go = pl.DataFrame({"site_id": ["mill"], "from_ms": [0], "until_ms": [120_000]})
    >>> asked = pl.DataFrame({"site_id": ["mill", "inn", "mill"], "window_start": [120_000, 0, 60_000]})
    >>> is_let_go(let_go, asked).to_list()
    [False, False, True]
    """
    numbered = minutes.with_row_index("place").sort("window_start", maintain_order=True)
    found = numbered.join_asof(
        let_go.sort("from_ms"), left_on="window_start", right_on="from_ms", by="site_id", check_sortedness=False
    )
    inside = (pl.col("window_start") < pl.col("until_ms")).fill_null(value=False)
    return found.select("place", inside=inside).sort("place")["inside"]


def joined(let_go: pl.DataFrame, minutes: pl.DataFrame) -> pl.DataFrame:
    """Add minutes to the stretches that were let go.

    Parameters
    ----------
    let_go
        `LET_GO`; stretches of a site do not touch each other.
    minutes
        `site_id` and `window_start`. [ms UTC]

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
