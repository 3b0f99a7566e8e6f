"""Which part of a partition's log a period was made from, site by site.

A site's part begins at the first of its readings that lies in the period (or in the lead before it), and ends when the
windows of the period had closed. In between everything of the site is taken, whatever its event time, because it moved
the meters' clocks. Of meters that were silent in the lead, the last reading before it is added.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from agents.emissions.step import HOLD_MS
from schemas.reading import TIMESTAMP
from sinks.clickhouse.origins import MESSAGE
from sinks.parquet.manifest import Part
from sinks.parquet.reader import LogReader
from sinks.parquet.rows import READING_ROWS
from streams.replay.period import LEAD_MS, SILENCE_MS, Allowances, Period

METER = ["site_id", "meter_id"]
PLACE = "place"  # of a message among all logs of a partition: number of the log, then the offset
_OFFSETS = 1 << 44
_DAY_MS = 86_400_000
_TICKS_MS = 2_000  # a tick comes within this time of what makes it due

_EXTENT: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "first": pl.Int64(),
    "start": pl.Int64(),
    "arrived": pl.Int64(),
}
_NEIGHBOUR: dict[str, pl.DataType] = {**READING_ROWS, PLACE: pl.Int64()}
SPANS: dict[str, pl.DataType] = {
    "site_id": pl.String(),
    "start": pl.Int64(),  # place of its first message
    "until": pl.Int64(),  # arrival of its last [ms UTC]
}


@dataclass(frozen=True, slots=True)
class Selection:
    """What a replay takes of one partition.

    Parameters
    ----------
    spans
        `SPANS`, one row per site.
    before
        Last readings of meters that were silent in the lead (`READING_ROWS`), from before `start`.
    """

    spans: pl.DataFrame
    before: pl.DataFrame


def place(log: int, offset: int) -> int:
    """Return the place of a message.

    Examples
    --------
    >>> place(0, 7) < place(1, 0) < place(1, 3)
    True
    """
    return log * _OFFSETS + offset


def select(
    logs: Sequence[LogReader], period: Period, allowances: Allowances, sites: Collection[str] | None
) -> Selection:
    """Find what a period was made from.

    Parameters
    ----------
    logs
        The logs of one partition, in their order.
    period
        The period.
    allowances
        Settings of the pipeline.
    sites
        Only these sites; None for all.
    """
    lead_ms = period.first_ms - LEAD_MS
    extents = pl.concat([pl.DataFrame(schema=_EXTENT), *_extents(logs, (lead_ms, period.end_ms - 1), sites)]).group_by(
        METER
    )
    inside = extents.agg(pl.col("first").min(), pl.col("start").min(), pl.col("arrived").max())
    known = pl.concat([_known_meters(logs, sites), inside.select(METER)]).unique()
    without_lead = known.join(inside.filter(pl.col("first") < period.first_ms), on=METER, how="anti")
    before = _neighbours(logs, without_lead, lead_ms, back=True)
    after = _neighbours(
        logs, pl.concat([inside.select(METER), before.select(METER)]).unique(), period.end_ms, back=False
    )
    # A meter that sent on both sides of the period and not in it: its energy is spread over the period too.
    across = before.select(*METER, start=PLACE, arrived=pl.col("arrived_at").dt.epoch("ms")).join(
        after.select(METER), on=METER, how="semi"
    )
    touched = pl.concat(
        [
            inside.select(*METER, "start", "arrived"),
            across.join(inside, on=METER, how="anti"),
            after.select(*METER, start=pl.lit(None, pl.Int64()), arrived=pl.col("arrived_at").dt.epoch("ms")),
        ]
    )
    spans = (
        touched.group_by("site_id")
        .agg(
            pl.col("start").min(),
            until=pl.col("arrived").max() + allowances.lateness_ms + HOLD_MS + _TICKS_MS,
        )
        .filter(pl.col("start").is_not_null())
        .select(*SPANS)
        .sort("site_id")
    )
    earlier = before.join(spans, on="site_id", how="inner").filter(pl.col(PLACE) < pl.col("start"))
    return Selection(spans, earlier.sort("arrived_at", PLACE).select(*READING_ROWS))


def _extents(
    logs: Sequence[LogReader], times: tuple[int, int], sites: Collection[str] | None
) -> Iterator[pl.DataFrame]:
    def extents(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.group_by(METER).agg(
            first=pl.col("ts").dt.epoch("ms").min(),
            start=pl.col(MESSAGE).min(),
            arrived=pl.col("arrived_at").dt.epoch("ms").max(),
        )

    for number, log in enumerate(logs):
        found = log.rows(Part.READINGS, times=times, sites=sites, reduce=extents)
        yield found.with_columns(pl.col("start") + place(number, 0)).select(*_EXTENT)


def _known_meters(logs: Sequence[LogReader], sites: Collection[str] | None) -> pl.DataFrame:
    """Return the meters of all site records, whether they sent or not."""
    found = [log.rows(Part.SITES, sites=sites).select("site_id", "record") for log in logs]
    about = pl.Struct({"site": pl.Struct({"meters": pl.List(pl.Struct({"id": pl.String()}))})})
    schema = {"site_id": pl.String(), "meter_id": pl.String()}
    records = (
        pl.concat(found).unique() if found else pl.DataFrame(schema={"site_id": pl.String(), "record": pl.String()})
    )
    if records.is_empty():
        return pl.DataFrame(schema=schema)
    meters = pl.col("record").str.json_decode(about).struct.field("site").struct.field("meters")
    return (
        records.select("site_id", meters.alias("meter"))
        .explode("meter")
        .select("site_id", pl.col("meter").struct.field("id").alias("meter_id"))
        .unique()
    )


def _neighbours(logs: Sequence[LogReader], meters: pl.DataFrame, edge_ms: int, *, back: bool) -> pl.DataFrame:
    """Return the reading of each meter that is nearest to an edge: the last before it, or the first at or after it."""
    found = [pl.DataFrame(schema=_NEIGHBOUR)]
    missing = meters.select(METER)
    searched = 0
    for reach in (LEAD_MS, _DAY_MS, 7 * _DAY_MS, SILENCE_MS):
        if missing.is_empty():
            break
        times = (edge_ms - reach, edge_ms - searched - 1) if back else (edge_ms + searched, edge_ms + reach - 1)
        searched = reach
        sites = missing["site_id"].unique().to_list()

        def nearest(rows: pl.LazyFrame, wanted: pl.DataFrame = missing) -> pl.LazyFrame:
            mine = rows.join(wanted.lazy(), on=METER, how="semi").sort("ts", MESSAGE, descending=[back, False])
            return mine.group_by(METER, maintain_order=True).agg(pl.all().first())

        parts = [
            log.rows(Part.READINGS, times=times, sites=sites, reduce=nearest)
            .with_columns((pl.col(MESSAGE) + place(number, 0)).alias(PLACE))
            .select(*_NEIGHBOUR)
            for number, log in enumerate(logs)
        ]
        best = pl.concat(parts).sort("ts", PLACE, descending=[back, False])
        here = best.group_by(METER, maintain_order=True).agg(pl.all().first()).select(*_NEIGHBOUR)
        found.append(here.with_columns(pl.col("ts").cast(TIMESTAMP)))
        missing = missing.join(here, on=METER, how="anti")
    return pl.concat(found)
