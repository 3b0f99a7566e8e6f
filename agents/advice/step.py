"""Advice: what a site could do, what that would save in a year, and whether it did once it was done.

Reads    energy.v1   closed windows, site records, weather, production, zones, feedback, history and ticks
Yields   advice.v1   measures that are proposed, change, are answered and are verified; at ticks, once a local day
State    per site: record, hours of four weeks, sums of twelve months, measures; per meter: hours of four weeks

It derives from the load what anomalies cost, instead of reading anomalies.v1: one ordered log per site is what makes a
restart and a replay say the same, and a second topic would be a second order (docs/adr/0040).
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import polars as pl

from agents.advice.loads import NANO
from agents.advice.site import SiteAdvice
from agents.advice.state import from_bytes, to_bytes
from agents.advice.warming import remember, take_over
from agents.pricing.editions import EditionPricing
from agents.pricing.pricing import Reference
from schemas.advice import ADVICE_RECORD
from schemas.feedback import OF_ADVICE, FeedbackVerdict
from schemas.flow import NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.reference.charges import Charges
from schemas.registry import MeterKind
from schemas.rejection import Reason
from schemas.topics import ADVICE
from schemas.window import Quality

_HOUR_MS = 3_600_000


class Advice:
    """The advice of one partition.

    Parameters
    ----------
    reference
        Emission factors and tariff plans, for sites whose record carries no edition.
    charges
        Charges and rules beside the energy price.
    """

    def __init__(self, reference: Reference, charges: Charges) -> None:
        self._pricing = EditionPricing(reference)
        self._charges = charges
        self._learnt = True
        self._sites: dict[str, SiteAdvice] = {}
        self._moved: set[str] = set()  # whose windows came since the last tick, or who has an answer to be sent
        self._changed: set[str] = set()

    def step(self, message: Message) -> Outcome:
        """Take windows, weather, production, zones, feedback, a site record or a tick; records are sent at ticks."""
        rows = message.rows
        if message.kind is Kind.TICK:
            return self._tick()
        if message.kind is Kind.SITE and message.record is not None:
            return self._configure(message.record)
        if message.kind is Kind.LIVE:
            return NOTHING
        if rows is None:
            raise ValueError(f"advice takes windows, context, history, site records and ticks, not {message.kind}")
        for name in rows["site_id"].unique(maintain_order=True):
            self._changed.add(self._of(name).site.id)
        match message.kind:
            case Kind.WINDOWS:
                self._take(rows)
            case Kind.WEATHER:
                self._feel(rows)
            case Kind.PRODUCTION:
                self._make(rows)
            case Kind.ZONES:
                self._measure(rows)
            case Kind.HISTORY:
                self._remember(rows)
            case Kind.FEEDBACK:
                return self._hear(rows)
            case _:
                raise ValueError(f"advice takes windows, context, history, site records and ticks, not {message.kind}")
        return NOTHING

    def changed(self) -> Iterable[str]:
        """Return the sites to snapshot."""
        return self._changed

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of sites."""
        chosen = sorted(self._changed if sites is None else sites)
        self._changed.difference_update(chosen)
        return {name: to_bytes(self._sites[name]) for name in chosen}

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over these sites."""
        self._sites |= {name: from_bytes(packed) for name, packed in snapshots.items()}
        self._moved |= snapshots.keys()
        self._learnt = False

    def _configure(self, record: SiteRecord) -> Outcome:
        site = record.site
        if not self._pricing.has_plan(record):
            raise ValueError(f"site {site.id}: tariff plan {site.tariff.plan} is not in the reference data")
        held = self._sites.get(site.id)
        if held is not None and held.record.revision >= record.revision:
            return NOTHING
        if held is None:
            self._sites[site.id] = SiteAdvice(record)
        else:
            held.configure(record)
        self._learnt = False
        self._changed.add(site.id)
        return NOTHING

    def _tick(self) -> Outcome:
        if not self._moved:
            return NOTHING
        told: list[dict[str, object]] = []
        for name in sorted(self._moved):
            state = self._sites[name]
            if state.answers:
                told += state.answers
                state.answers = []
                self._changed.add(name)
            if state.is_due():
                self._learn()
                told += state.look(self._pricing, self._charges)
                self._changed.add(name)
        self._moved.clear()
        return Outcome([Output(ADVICE, rows=pl.DataFrame(told, schema=ADVICE_RECORD))]) if told else NOTHING

    def _learn(self) -> None:
        if not self._learnt:
            self._pricing.learn(state.record for state in self._sites.values())
            self._learnt = True

    def _take(self, windows: pl.DataFrame) -> None:
        """Add minutes up; revisions are left out: what was looked at once is not looked at again."""
        is_generation = pl.col("meter_kind") == MeterKind.GENERATION.value
        either = pl.max_horizontal("import_kwh", "export_kwh")  # meters of generation count it in either direction
        known = (
            windows.filter(pl.col("revision") == 0)
            .with_columns(kwh=pl.when(is_generation).then(either).otherwise("import_kwh"))
            .filter(pl.col("kwh").is_finite())
            .with_columns(nano=(pl.col("kwh") * NANO).round().cast(pl.Int64))
        )
        if known.is_empty():
            return
        placed = self._placed(known, "window_start")
        hours = placed.group_by("site_id", "meter_id", "day", "hour").agg(
            pl.col("nano").sum(), pl.len(), newest=pl.col("window_start").max().dt.epoch("ms")
        )
        for site, meter, day, hour, nano, minutes, newest in hours.iter_rows():
            load = self._sites[site].load
            load.newest = max(load.newest, newest)
            self._moved.add(site)
            if day >= load.folded:
                load.meter(meter).add(day, hour, nano, minutes)
        grid = placed.filter(pl.col("meter_kind") == MeterKind.GRID.value)
        measured = pl.col("quality") == Quality.MEASURED.value
        quarters = grid.group_by("site_id", "day", quarter=pl.col("hour") * 4 + pl.col("minute") // 15).agg(
            pl.col("nano").filter(measured).sum(), minutes=measured.sum()
        )
        for site, day, quarter, nano, minutes in quarters.iter_rows():
            at = self._sites[site].load.day(day)
            if at is not None:
                at.quarters[:, quarter] += nano, minutes
        reactive = (
            grid.filter(pl.col("import_kvarh").is_finite())
            .with_columns(nano_kvarh=(pl.col("import_kvarh") * NANO).round().cast(pl.Int64))
            .group_by("site_id", "day")
            .agg(pl.col("nano", "nano_kvarh").sum())
        )
        for site, day, nano, nano_kvarh in reactive.iter_rows():
            at = self._sites[site].load.day(day)
            if at is not None:
                at.reactive = [at.reactive[0] + nano, at.reactive[1] + nano_kvarh]

    def _feel(self, rows: pl.DataFrame) -> None:
        columns = ("site_id", "day", "hour", "outdoor_c", "solar_w_m2")
        for site, day, hour, outdoor_c, solar_w_m2 in self._placed(rows, "ts").select(columns).iter_rows():
            at = self._sites[site].load.day(day)
            if at is None:
                continue
            if outdoor_c is not None:
                at.outdoor = [at.outdoor[0] + round(outdoor_c * 1000), at.outdoor[1] + 1]
            if solar_w_m2 is not None:
                at.sun[:, hour] += round(solar_w_m2 * 1000), 1

    def _make(self, rows: pl.DataFrame) -> None:
        made = rows.filter(pl.col("units_made") > 0).with_columns(
            hours=pl.int_ranges(
                pl.col("ts").dt.epoch("ms") // _HOUR_MS,
                (pl.col("ts").dt.epoch("ms") + pl.col("interval_s") * 1000 - 1) // _HOUR_MS + 1,
            )
        )
        each = made.explode("hours").select(
            "site_id", begins=(pl.col("hours") * _HOUR_MS).cast(pl.Datetime("ms", "UTC"))
        )
        for site, day, hour in self._placed(each, "begins").select("site_id", "day", "hour").iter_rows():
            at = self._sites[site].load.day(day)
            if at is not None:
                at.made.add(hour)

    def _measure(self, rows: pl.DataFrame) -> None:
        """Take in at which temperature zones are cooled; the newest counts, as it comes."""
        set_c = pl.coalesce("own_cooling_c", "cooling_c")
        for site, zone, cooling_c, occupied in rows.select("site_id", "zone_id", set_c, "occupied").iter_rows():
            state = self._sites[site]
            if cooling_c is not None and occupied is not False and state.site.zone(zone) is not None:
                state.cooling_set_c[zone] = cooling_c

    def _remember(self, rows: pl.DataFrame) -> None:
        """Take in quarter hours of the history, and fold them when they are complete."""
        columns = ("site_id", "meter_id", "day", "hour", "minute", "power_kw", "until")
        ordered = self._placed(rows.with_row_index("place"), "ts").sort("place")
        for site, meter, *place, power_kw, until in ordered.select(columns).iter_rows():
            state = self._of(site)
            if meter is not None:
                day, hour, minute = place
                remember(state, until, meter, (day, hour, minute), power_kw)
            elif state.past is not None and state.past.until == until:
                self._learn()
                take_over(state, self._pricing)
                self._moved.add(site)

    def _hear(self, rows: pl.DataFrame) -> Outcome:
        """Take in what people say of measures; records follow at the next tick."""
        refused = []
        for row in rows.iter_rows(named=True):
            verdict = FeedbackVerdict(row["verdict"])
            if verdict not in OF_ADVICE:
                continue
            state, at = self._of(row["site_id"]), row["ts"]
            if not isinstance(at, datetime):
                raise TypeError(f"expected a time, got {at!r}")
            ts = int(at.timestamp() * 1000)
            said = [one for one in state.measures if one.advice_id(state.site.id) == row["advice_id"]]
            if said and said[-1].answer(verdict, ts, row["said_by"], row["note"], state.site.zone_info):
                state.packed_turn = None
                state.answers.append(said[-1].record(state.site, ts))
                self._moved.add(state.site.id)
            else:
                refused.append(row | {"reason": Reason.UNKNOWN_ADVICE.value})
        if not refused:
            return NOTHING
        return Outcome(rejected=pl.DataFrame(refused, schema={**rows.schema, "reason": pl.String()}))

    def _placed(self, rows: pl.DataFrame, time: str) -> pl.DataFrame:
        """Add the local day (as an ordinal), hour and minute of each row."""
        zones = {name: self._sites[name].site.time_zone for name in rows["site_id"].unique()}
        parts = []
        for zone in sorted(set(zones.values())):
            here = [name for name, of in zones.items() if of == zone]
            local = pl.col(time).dt.convert_time_zone(zone)
            parts.append(
                rows.filter(pl.col("site_id").is_in(here)).with_columns(
                    # 1970-01-01 is day 719163.
                    day=local.dt.date().cast(pl.Int32).cast(pl.Int64) + 719_163,
                    hour=local.dt.hour().cast(pl.Int64),
                    minute=local.dt.minute().cast(pl.Int64),
                )
            )
        return (
            pl.concat(parts)
            if parts
            else rows.with_columns(day=pl.lit(0, pl.Int64), hour=pl.lit(0, pl.Int64), minute=pl.lit(0, pl.Int64))
        )

    def _of(self, name: str) -> SiteAdvice:
        found = self._sites.get(name)
        if found is None:
            raise ValueError(f"no site record came before the data of {name}")
        return found
