"""The readings a meter's open windows are made of: the state of metering, as one frame for a whole partition."""

from collections.abc import Mapping

import polars as pl

from schemas.registry import Site

METER = ["site_id", "meter_id"]

# One row per reading not yet fully used, sorted by meter and time. The first row of a meter may be its anchor: the
# (interpolated) registers at the end of its last closed window, so that the energies of all windows add up to the
# difference of the registers whatever arrives later.
POINTS: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "ts": pl.Int64(),  # ms UTC
    "import_kwh": pl.Float64(),  # multiplier applied
    "export_kwh": pl.Float64(),
    "power_kw": pl.Float64(),
    "since": pl.Int64(),  # time of the real reading an anchor was interpolated from, else ts
    "anchored": pl.Boolean(),
    "arrived_at": pl.Int64(),
    "raw_partition": pl.Int32(),
    "raw_offset": pl.Int64(),
}

EMPTY = pl.DataFrame(schema=POINTS)

# In a sorted frame: the row before, or after, is of the same meter. Far cheaper than a window function over meters.
SAME_AS_BEFORE = (pl.col("site_id") == pl.col("site_id").shift(1)) & (pl.col("meter_id") == pl.col("meter_id").shift(1))
SAME_AS_NEXT = (pl.col("site_id") == pl.col("site_id").shift(-1)) & (pl.col("meter_id") == pl.col("meter_id").shift(-1))

HAS_REGISTER = pl.col("import_kwh").is_not_null() | pl.col("export_kwh").is_not_null()


def from_readings(readings: pl.DataFrame, meters: pl.DataFrame, arrived_at: int) -> pl.DataFrame:
    """Turn readings of telemetry.v1 into points: the meter's multiplier applied, arrival added.

    Parameters
    ----------
    readings
        Columns of `schemas.reading.TELEMETRY_ROWS`.
    meters
        `site_id`, `meter_id`, `multiplier` of every known meter; readings of others are left out.
    arrived_at
        Arrival of the batch. [ms UTC]
    """
    ratio = pl.col("multiplier")
    return readings.join(meters.select(*METER, "multiplier"), on=METER, how="inner", maintain_order="left").select(
        *METER,
        pl.col("ts").dt.epoch("ms"),
        pl.col("import_kwh") * ratio,
        pl.col("export_kwh") * ratio,
        pl.col("power_kw") * ratio,
        since=pl.col("ts").dt.epoch("ms"),
        anchored=pl.lit(False),
        arrived_at=pl.lit(arrived_at, pl.Int64),
        raw_partition=pl.col("raw_partition"),
        raw_offset=pl.col("raw_offset"),
    )


def split_late(fresh: pl.DataFrame, points: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split fresh points into those in time and those whose windows are closed already.

    A repetition of the anchor itself is neither: it is a harmless duplicate and left out.
    """
    anchors = points.filter("anchored").select(*METER, closed_until="ts", closed_kwh="import_kwh", anchor_since="since")
    judged = fresh.join(anchors, on=METER, how="left", maintain_order="left")
    late = pl.col("ts") <= pl.col("closed_until")
    repeated = (
        (pl.col("ts") == pl.col("anchor_since"))
        & (pl.col("ts") == pl.col("closed_until"))
        & pl.col("import_kwh").eq_missing(pl.col("closed_kwh"))
    )
    extra = ["closed_until", "closed_kwh", "anchor_since"]
    return (
        judged.filter(~late.fill_null(False)).drop(extra),
        judged.filter(late.fill_null(False) & ~repeated.fill_null(False)).drop(extra),
    )


def merged(points: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Add fresh points: sorted by meter and time, one per moment, the first value of each measure wins.

    Where a meter sends registers, power-only samples do not cut its energy: registers know better.
    """
    both = pl.concat([points, fresh]).sort(*METER, "ts", maintain_order=True)
    if both.select((SAME_AS_BEFORE & (pl.col("ts") == pl.col("ts").shift(1))).any()).item():
        # Gateways that send one measure a message stamp them alike, so a repetition may bring what was missing.
        both = both.group_by([*METER, "ts"], maintain_order=True).agg(pl.all().drop_nulls().first())
    if both.select((~HAS_REGISTER).any()).item():
        both = both.filter(HAS_REGISTER | pl.col("anchored") | ~HAS_REGISTER.any().over(METER))
    return both


def filled(points: pl.DataFrame) -> pl.DataFrame:
    """Interpolate a register where the meter sent the other one alone.

    The result is used and not kept: a reading may still arrive between two points.
    """
    registers = pl.col("import_kwh", "export_kwh")
    if points.select(pl.any_horizontal(registers.is_null().any() & registers.is_not_null().any())).item():
        return points.with_columns(registers.interpolate_by("ts").over(METER))
    return points


def reconfigured(points: pl.DataFrame, before: Site, after: Site) -> pl.DataFrame:
    """Fit the points of a site to its new record.

    Points of meters that are gone are left out. Where a multiplier changed, points are put on the new one: the
    register goes on in the meter's own units, so the change itself is no energy.

    Parameters
    ----------
    points
        Points of any sites.
    before, after
        The site as it was, and as it is.
    """
    ratios = _ratios(before, after)
    if len(ratios) == len(before.meters) and all(ratio == 1.0 for ratio in ratios.values()):
        return points
    known = pl.DataFrame(
        [(after.id, meter, ratio) for meter, ratio in ratios.items()],
        schema={"site_id": pl.String, "meter_id": pl.String, "ratio": pl.Float64},
        orient="row",
    )
    mine = pl.col("site_id") == after.id
    scaled = (
        points.filter(mine)
        .join(known, on=METER, how="inner", maintain_order="left")
        .with_columns(pl.col("import_kwh", "export_kwh", "power_kw") * pl.col("ratio"))
    )
    return pl.concat([points.filter(~mine), scaled.select(*POINTS)]).sort(*METER, "ts", maintain_order=True)


def _ratios(before: Site, after: Site) -> Mapping[str, float]:
    """Return new multiplier / old multiplier of each meter that stayed."""
    old = {meter.id: meter.multiplier for meter in before.meters}
    return {meter.id: meter.multiplier / old[meter.id] for meter in after.meters if meter.id in old}
