"""Closing windows: points of many meters become energy per meter and minute, all at once.

Every interval between two consecutive points of a meter (a segment) has a known energy; a window gets the share of each
segment that lies inside it. So the windows of a meter add up to the difference of its registers, and nothing depends
on how the readings were batched or in which order they came.
"""

import polars as pl

from agents.metering.energy import drawn_kwh, register_at, share_of_energy
from agents.metering.points import METER, POINTS, SAME_AS_NEXT
from schemas.reading import TIMESTAMP
from schemas.window import WINDOW_MS, WINDOW_S, Quality


def closable(points: pl.DataFrame, now: int, lateness_ms: int) -> pl.DataFrame:
    """Find up to where the windows of each meter can be closed.

    A meter's clock is the time of its newest reading plus what has passed since that reading arrived. What lies
    `lateness_ms` behind it is settled: no reading can come in between any more. Windows close up to the last settled
    reading, so that both ends of every segment they are made of are final.

    Parameters
    ----------
    points
        All points, sorted by meter and time.
    now
        Arrival time of the tick. [ms UTC]
    lateness_ms
        How far out of order readings may come. [ms]

    Returns
    -------
    pl.DataFrame
        `site_id`, `meter_id`, `close_to` (ms UTC, a window's end) of meters with at least one window to close.
    """
    last, arrived = pl.col("ts").last(), pl.col("arrived_at").last()
    waited = (pl.lit(now) - arrived).clip(lower_bound=0)
    settled = pl.col("ts") <= pl.min_horizontal(last, last + waited - lateness_ms)
    return (
        points.group_by(METER, maintain_order=True)
        .agg(
            first_ts=pl.col("ts").first(),
            close_to=pl.col("ts").filter(settled).max() // WINDOW_MS * WINDOW_MS,
        )
        .filter(pl.col("close_to") > pl.col("first_ts"))
        .select(*METER, "close_to")
    )


def next_due(points: pl.DataFrame, lateness_ms: int) -> int | None:
    """Return the earliest arrival time at which waiting alone lets a window close; None when nothing waits. [ms UTC].

    Parameters
    ----------
    points
        All points, sorted by meter and time.
    lateness_ms
        How far out of order readings may come. [ms]
    """
    end = (pl.col("ts").first() // WINDOW_MS + 1) * WINDOW_MS
    due = (
        points.group_by(METER)
        .agg(
            closing=pl.col("ts").filter(pl.col("ts") >= end).min(),
            behind=pl.col("arrived_at").last() - pl.col("ts").last(),
        )
        .select((pl.col("closing") + pl.col("behind") + lateness_ms).min())
        .item()
    )
    return None if due is None else int(due)


def segments(points: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    """Pair every point with the next one of its meter.

    Parameters
    ----------
    points
        Points without holes (`points.filled`), sorted by meter and time.
    meters
        `site_id`, `meter_id`, `max_gap_ms`: the longest time between readings that is not a gap.

    Returns
    -------
    pl.DataFrame
        The points with `next_*` columns, `dt` (ms), `gap` (bool), and the energies of the segment `import_e`,
        `export_e` (kWh; null where the register went back or nothing is known) and `back` (bool: a register went back).
    """
    following = ["ts", "import_kwh", "export_kwh", "power_kw", "raw_partition", "raw_offset", "arrived_at"]
    paired = (
        points.with_columns(pl.col(c).shift(-1).alias(f"next_{c}") for c in following)
        .filter(SAME_AS_NEXT)
        .join(meters.select(*METER, "max_gap_ms"), on=METER, how="left", maintain_order="left")
        .with_columns(
            dt=pl.col("next_ts") - pl.col("ts"),
            gap=(pl.col("next_ts") - pl.col("since")) > pl.col("max_gap_ms"),
            import_d=pl.col("next_import_kwh") - pl.col("import_kwh"),
            export_d=pl.col("next_export_kwh") - pl.col("export_kwh"),
        )
    )
    by_register = pl.any_horizontal(
        pl.col("import_kwh", "next_import_kwh", "export_kwh", "next_export_kwh").is_not_null()
    )
    drawn = drawn_kwh(pl.col("power_kw"), pl.col("next_power_kw"), pl.col("dt"))
    return paired.with_columns(
        by_power=~by_register,
        import_e=pl.when(by_register).then(pl.col("import_d")).when(~pl.col("gap")).then(drawn),
        export_e=pl.col("export_d"),
        back=((pl.col("import_d") < 0) | (pl.col("export_d") < 0)).fill_null(False),
    ).with_columns(pl.when(pl.col("back")).then(None).otherwise(pl.col("import_e", "export_e")).name.keep())


def windows(closed: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    """Share segments out to windows.

    Parameters
    ----------
    closed
        Segments with `close_to`; what lies behind `close_to` is left for later.
    meters
        `site_id`, `meter_id`, `tenant_id`, `meter_kind`.

    Returns
    -------
    pl.DataFrame
        Columns of `schemas.window.WINDOW_ROWS`, sorted by site, meter and window.
    """
    start = pl.col("window_start")
    end = pl.min_horizontal("next_ts", "close_to")
    begins = pl.max_horizontal("ts", start)
    ends = pl.min_horizontal("clipped_ts", start + WINDOW_MS)
    known = pl.col("import_e").is_not_null() | pl.col("export_e").is_not_null()
    parts = (
        closed.filter(known)
        .with_columns(clipped_ts=end)
        .with_columns(
            window_start=pl.int_ranges(pl.col("ts") // WINDOW_MS * WINDOW_MS, pl.col("clipped_ts"), WINDOW_MS)
        )
        .explode("window_start")
        .with_columns(part=ends - begins, begins=begins, ends=ends)
    )

    def power_at(moment: pl.Expr) -> pl.Expr:
        share = (moment - pl.col("ts")) / pl.col("dt")
        return register_at(pl.col("power_kw"), pl.col("next_power_kw"), share)

    begins_kw, ends_kw, part = power_at(pl.col("begins")), power_at(pl.col("ends")), pl.col("part")
    # Said of the part and not of its segment, so that it makes no difference where earlier windows cut it.
    delivers = pl.min_horizontal(begins_kw, ends_kw) < 0
    delivered = pl.when(delivers).then(drawn_kwh(-begins_kw, -ends_kw, part))

    def evenly(energy: str) -> pl.Expr:
        return share_of_energy(pl.col(energy), part, pl.col("dt"))

    quality = (
        pl.when((pl.col("gap") & ~pl.col("by_power")).any())
        .then(pl.lit(Quality.ESTIMATED.value))
        .when(pl.col("part").sum() < WINDOW_MS)
        .then(pl.lit(Quality.PARTIAL.value))
        .otherwise(pl.lit(Quality.MEASURED.value))
    )
    summed = (
        parts.with_columns(
            import_part=pl.when("by_power").then(drawn_kwh(begins_kw, ends_kw, part)).otherwise(evenly("import_e")),
            export_part=pl.when("by_power").then(delivered).otherwise(evenly("export_e")),
        )
        .group_by(*METER, "window_start", maintain_order=True)
        .agg(
            import_kwh=_sum_or_null("import_part"),
            export_kwh=_sum_or_null("export_part"),
            covered_s=pl.col("part").sum() / 1000,
            quality=quality,
            raw_partition=pl.col("next_raw_partition").first(),
            raw_offset_first=pl.min_horizontal(pl.col("raw_offset").min(), pl.col("next_raw_offset").min()),
            raw_offset_last=pl.max_horizontal(pl.col("raw_offset").max(), pl.col("next_raw_offset").max()),
        )
    )
    return summed.join(
        meters.select(*METER, "tenant_id", "meter_kind"), on=METER, how="left", maintain_order="left"
    ).select(
        "tenant_id",
        *METER,
        "meter_kind",
        pl.col("window_start").cast(TIMESTAMP),
        pl.lit(WINDOW_S, pl.Int32).alias("window_s"),
        "import_kwh",
        "export_kwh",
        "covered_s",
        "quality",
        pl.lit(0, pl.Int32).alias("revision"),
        "raw_partition",
        "raw_offset_first",
        "raw_offset_last",
    )


def remaining(points: pl.DataFrame, whole: pl.DataFrame, straddling: pl.DataFrame) -> pl.DataFrame:
    """Keep what later windows need: the points behind `close_to`, and an anchor at it.

    Parameters
    ----------
    points
        Points of meters that close, with `close_to`, as they were read.
    whole
        The same without holes (`points.filled`).
    straddling
        Their segments with `close_to` inside (`ts` < `close_to` < `next_ts`).
    """
    share = (pl.col("close_to") - pl.col("ts")) / pl.col("dt")

    def between(name: str) -> pl.Expr:
        return register_at(pl.col(name), pl.col(f"next_{name}"), share)

    unknown = pl.col("back")
    anchors = straddling.select(
        *METER,
        ts=pl.col("close_to"),
        import_kwh=pl.when(unknown).then(None).otherwise(between("import_kwh")),
        export_kwh=pl.when(unknown).then(None).otherwise(between("export_kwh")),
        power_kw=pl.when(pl.col("gap")).then(None).otherwise(between("power_kw")),
        since=pl.col("since"),
        anchored=pl.lit(True),
        arrived_at=pl.col("arrived_at"),
        raw_partition=pl.col("raw_partition"),
        raw_offset=pl.col("raw_offset"),
    )
    at_end = whole.filter(pl.col("ts") == pl.col("close_to")).with_columns(anchored=pl.lit(True))
    behind = points.filter(pl.col("ts") > pl.col("close_to"))
    return pl.concat([anchors.select(*POINTS), at_end.select(*POINTS), behind.select(*POINTS)])


def _sum_or_null(name: str) -> pl.Expr:
    """Sum of a group, null (not 0) where nothing is known."""
    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).otherwise(None)
