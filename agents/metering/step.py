"""Metering: every meter's readings become the energy of its minutes.

Reads    telemetry.v1   readings, site records and ticks of one partition
Yields   energy.v1      closed windows, the live state of meters that moved, and the site records and ticks passed on
Rejects  late, register_decreased, unknown_meter
State    per site: its record, and the readings its open windows are made of
"""

from collections.abc import Iterable, Mapping

import polars as pl

from agents.metering import closing, points
from agents.metering.energy import MS_PER_HOUR, drawn_kwh
from agents.metering.points import METER
from agents.metering.state import from_bytes, to_bytes
from schemas.flow import NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.reading import TIMESTAMP
from schemas.rejection import Reason
from schemas.topics import ENERGY
from schemas.window import LIVE_ROWS

# A pause longer than this many usual intervals is a gap: its energy is known in total but not in time.
GAP_INTERVALS = 3

_METERS = {
    "site_id": pl.String(),
    "meter_id": pl.String(),
    "tenant_id": pl.String(),
    "meter_kind": pl.String(),
    "multiplier": pl.Float64(),
    "max_gap_ms": pl.Int64(),
}


class Metering:
    """Metering of one partition.

    Parameters
    ----------
    lateness_s
        How far out of order the readings of a meter may come; its windows close this long after their end. [s]
    live
        Whether to say how meters stand now; a replay has no use for it.
    """

    def __init__(self, lateness_s: int, *, live: bool = True) -> None:
        self._says_live = live
        self._lateness_ms = lateness_s * 1000
        self._records: dict[str, SiteRecord] = {}
        self._meters: pl.DataFrame | None = pl.DataFrame(schema=_METERS)
        self._points = points.EMPTY
        self._fresh: list[pl.DataFrame] = []
        self._due_at: int | None = None  # earliest tick at which a window can close without new readings
        self._changed: set[str] = set()

    def step(self, message: Message) -> Outcome:
        """Take readings, a site record or a tick; windows close at ticks only."""
        if message.kind is Kind.READINGS and message.rows is not None:
            return self._take(message.rows, message.arrived_at)
        if message.kind is Kind.SITE and message.record is not None:
            return self._configure(message.record)
        if message.kind is Kind.TICK:
            return self._tick(message.arrived_at)
        raise ValueError(f"metering takes readings, site records and ticks, not {message.kind}")

    def changed(self) -> Iterable[str]:
        """Return the sites to snapshot."""
        return self._changed

    def due_at(self) -> int | None:
        """Return the earliest tick that closes a window although nothing came since the last; None for never."""
        return self._due_at

    def snapshot(self) -> Mapping[str, bytes]:
        """Return the state of the changed sites; readings taken since the last tick are in it as they came."""
        changed = sorted(site for site in self._changed if site in self._records)
        settled = _by_site(self._points, changed)
        fresh = _by_site(pl.concat([points.EMPTY, *self._fresh]), changed)
        self._changed.clear()
        return {
            site: to_bytes(self._records[site], settled.get(site, points.EMPTY), fresh.get(site, points.EMPTY))
            for site in changed
        }

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over these sites."""
        others = ~pl.col("site_id").is_in(list(snapshots))
        settled = [self._points.filter(others)]
        self._fresh = [rows.filter(others) for rows in self._fresh]
        for site, packed in snapshots.items():
            self._records[site], rows, fresh = from_bytes(packed)
            settled.append(rows)
            if not fresh.is_empty():
                self._fresh.append(fresh)
        self._points = pl.concat(settled).sort(*METER, "ts")
        self._meters = None
        self._due_at = closing.next_due(self._points, self._lateness_ms)

    def _configure(self, record: SiteRecord) -> Outcome:
        held = self._records.get(record.site.id)
        if held is not None and held.revision >= record.revision:
            return NOTHING
        if held is not None:
            self._points = points.reconfigured(self._points, held.site, record.site)
            self._fresh = [points.reconfigured(rows, held.site, record.site) for rows in self._fresh]
        self._records[record.site.id] = record
        self._meters = None
        self._changed.add(record.site.id)
        return Outcome([Output(ENERGY, Kind.SITE, record=record)])

    def _take(self, rows: pl.DataFrame, arrived_at: int) -> Outcome:
        meters = self._known_meters()
        taken = points.from_readings(rows, meters, arrived_at)
        self._fresh.append(taken)
        self._changed.update(taken["site_id"].unique().to_list())
        if taken.height == rows.height:
            return NOTHING
        unknown = rows.join(meters, on=METER, how="anti", maintain_order="left")
        return Outcome(rejected=unknown.with_columns(reason=pl.lit(Reason.UNKNOWN_METER.value)))

    def _tick(self, arrived_at: int) -> Outcome:
        touched = pl.concat([f.select(METER) for f in self._fresh]).unique() if self._fresh else None
        rejected = [self._fold()]
        outputs: list[Output] = []
        if touched is not None or (self._due_at is not None and arrived_at >= self._due_at):
            closed, back = self._close(arrived_at)
            rejected.append(back)
            if not closed.is_empty():
                outputs.append(Output(ENERGY, Kind.WINDOWS, closed))
            moved = [closed.select(METER)] if touched is None else [closed.select(METER), touched]
            if self._says_live and not (live := self._live(pl.concat(moved).unique())).is_empty():
                outputs.append(Output(ENERGY, Kind.LIVE, live))
        outputs.append(Output(ENERGY, Kind.TICK))
        refused = [rows for rows in rejected if not rows.is_empty()]
        return Outcome(outputs, pl.concat(refused) if refused else None)

    def _fold(self) -> pl.DataFrame:
        """Merge what came since the last tick into the points; return what came too late."""
        if not self._fresh:
            return _as_rejected(points.EMPTY, Reason.LATE)
        fresh, self._fresh = pl.concat(self._fresh), []
        self._changed.update(fresh["site_id"].unique())
        in_time, late = points.split_late(fresh, self._points)
        self._points = points.merged(self._points, in_time)
        return _as_rejected(late.sort(METER, maintain_order=True), Reason.LATE)

    def _close(self, now: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        meters = self._known_meters()
        bound = closing.closable(self._points, now, self._lateness_ms)
        closing_points = self._points.join(bound, on=METER, how="inner", maintain_order="left")
        whole = points.filled(closing_points)
        pairs = closing.segments(whole, meters)
        due = pairs.filter(pl.col("ts") < pl.col("close_to"))
        closed = closing.windows(due, meters)
        straddling = due.filter(pl.col("next_ts") > pl.col("close_to"))
        kept = self._points.join(bound, on=METER, how="anti", maintain_order="left")
        self._points = pl.concat([kept, closing.remaining(closing_points, whole, straddling)]).sort(*METER, "ts")
        self._changed.update(bound["site_id"].unique().to_list())
        self._due_at = closing.next_due(self._points, self._lateness_ms)
        went_back = due.filter("back").select(
            *METER,
            ts="next_ts",
            import_kwh="next_import_kwh",
            export_kwh="next_export_kwh",
            power_kw="next_power_kw",
            raw_partition="next_raw_partition",
            raw_offset="next_raw_offset",
        )
        return closed, _as_rejected(went_back, Reason.REGISTER_DECREASED)

    def _live(self, touched: pl.DataFrame) -> pl.DataFrame:
        """Return the newest power of the meters that moved, and their energy after the last closed window."""
        moved = points.filled(self._points.join(touched, on=METER, how="semi", maintain_order="left"))
        step_ms = pl.col("ts") - pl.col("ts").shift(1)
        step_kwh = pl.col("import_kwh") - pl.col("import_kwh").shift(1)
        by_power = drawn_kwh(pl.col("power_kw").shift(1), pl.col("power_kw"), step_ms)
        rows = moved.with_columns(
            pl.when(points.SAME_AS_BEFORE & (step_kwh >= 0)).then(step_kwh).alias("by_register"),
            pl.when(points.SAME_AS_BEFORE).then(by_power).alias("by_power"),
            step_ms.alias("step_ms"),
        ).group_by(METER, maintain_order=True)
        mean_kw = pl.col("by_register").last() * MS_PER_HOUR / pl.col("step_ms").last()
        live = rows.agg(
            ts=pl.col("ts").last(),
            power_kw=pl.coalesce(pl.col("power_kw").last(), mean_kw),
            open_import_kwh=pl.when(pl.col("import_kwh").is_not_null().any())
            .then(pl.col("by_register").sum())
            .when(pl.col("power_kw").is_not_null().any())
            .then(pl.col("by_power").sum()),
        )
        known = self._known_meters().select(*METER, "tenant_id", "meter_kind")
        return (
            live.join(known, on=METER, how="left", maintain_order="left")
            .with_columns(pl.col("ts").cast(TIMESTAMP))
            .select(*LIVE_ROWS)
        )

    def _known_meters(self) -> pl.DataFrame:
        if self._meters is None:
            self._meters = pl.DataFrame(
                [
                    (
                        record.site.id,
                        meter.id,
                        record.site.tenant,
                        meter.kind.value,
                        meter.multiplier,
                        GAP_INTERVALS * meter.interval_s * 1000,
                    )
                    for record in self._records.values()
                    for meter in record.site.meters
                ],
                schema=_METERS,
                orient="row",
            )
        return self._meters


def _by_site(rows: pl.DataFrame, sites: list[str]) -> dict[str, pl.DataFrame]:
    mine = rows.filter(pl.col("site_id").is_in(sites))
    return {str(key[0]): own for key, own in mine.partition_by("site_id", as_dict=True).items()}


def _as_rejected(rows: pl.DataFrame, reason: Reason) -> pl.DataFrame:
    columns = [*METER, "ts", "import_kwh", "export_kwh", "power_kw", "raw_partition", "raw_offset"]
    return rows.select(columns).with_columns(reason=pl.lit(reason.value))
