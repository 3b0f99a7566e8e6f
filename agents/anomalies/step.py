"""Anomalies: every meter's quarter hours and days are held against what it did before.

Reads    energy.v1      closed windows, site records, weather, production, feedback, history and ticks
Yields   anomalies.v1   what was opened, went on and ended
         dead letters   what was said of an anomaly that is not there
         anomaly.learning.v1   how far it is with each meter, at the end of a day
State    per site: record, production of two days, what its days were like, what was said; per meter: profile, limits,
         its newest days, open anomalies
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import polars as pl

from agents.anomalies import drifting
from agents.anomalies.answering import answer, hits
from agents.anomalies.conditions import Day
from agents.anomalies.hearing import Ended
from agents.anomalies.learning import of_sharing, record
from agents.anomalies.meter import MeterWatch
from agents.anomalies.moments import Moment, Said
from agents.anomalies.profile import DayClass
from agents.anomalies.quarters import Closed, Quarters
from agents.anomalies.site import Made, SiteWatch, class_of, local_place, watched
from agents.anomalies.state import from_bytes, to_bytes
from agents.anomalies.warming import begun, take_over
from agents.pricing.editions import EditionPricing
from agents.pricing.pricing import Reference
from schemas.anomaly import ANOMALY_RECORD, AnomalyKind, Status
from schemas.feedback import OF_ADVICE
from schemas.flow import NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.learning import LEARNING_RECORD
from schemas.registry import Meter, MeterKind
from schemas.rejection import Reason
from schemas.topics import ANOMALIES, ANOMALY_LEARNING

_QUARTER_MS = 900_000
_DRIVERS = 3
_OF_ADVICE = [verdict.value for verdict in OF_ADVICE]
_DRIVEN_DAYS = frozenset({AnomalyKind.DAY_SURGE, AnomalyKind.DRIFT})


class Anomalies:
    """The anomalies of one partition.

    Parameters
    ----------
    reference
        Emission factors and tariff plans, for sites whose record carries no edition.
    """

    def __init__(self, reference: Reference) -> None:
        self._pricing = EditionPricing(reference)
        self._learnt = True
        self._sites: dict[str, SiteWatch] = {}
        self._meters: dict[str, dict[str, Meter]] = {}  # watched, by site
        self._quarters = Quarters()
        self._classes: dict[tuple[str, int], DayClass] = {}  # of the newest local days
        self._changed: set[str] = set()
        self._takers: Mapping[Kind, Callable[[pl.DataFrame], Outcome]] = {
            Kind.WINDOWS: self._take,
            Kind.PRODUCTION: self._make,
            Kind.FEEDBACK: self._hear,
            Kind.WEATHER: self._warm,
            Kind.HISTORY: self._learn,
        }

    def step(self, message: Message) -> Outcome:
        """Take windows, production, feedback, a site record or a tick."""
        if message.kind is Kind.SITE and message.record is not None:
            return self._configure(message.record)
        if message.kind in (Kind.TICK, Kind.LIVE, Kind.ZONES):
            return NOTHING
        taken = self._takers.get(message.kind)
        if taken is not None and message.rows is not None:
            return taken(message.rows)
        raise ValueError(f"anomalies takes windows, live state, context, site records and ticks, not {message.kind}")

    def changed(self) -> Iterable[str]:
        """Return the sites to snapshot."""
        return self._changed

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of sites."""
        chosen = sorted(self._changed if sites is None else sites)
        taken = {}
        for name in chosen:
            state = self._sites[name]
            running = {meter: self._quarters.numbers(name, meter) for meter in self._meters[name]}
            taken[name] = to_bytes(state, running)
        self._changed.difference_update(chosen)
        return taken

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over these sites."""
        for name, packed in snapshots.items():
            state, running = from_bytes(packed)
            self._sites[name] = state
            self._meters[name] = watched(state.site)
            for meter, numbers in running.items():
                self._quarters.put_back(name, meter, numbers)
        self._learnt = False

    def _configure(self, record: SiteRecord) -> Outcome:
        site = record.site
        if not self._pricing.has_plan(record):
            raise ValueError(f"site {site.id}: tariff plan {site.tariff.plan} is not in the reference data")
        held = self._sites.get(site.id)
        if held is not None and held.record.revision >= record.revision:
            return NOTHING
        if held is None:
            self._sites[site.id] = SiteWatch(record)
        else:
            held.configure(record)
        before, now = self._meters.get(site.id, {}), watched(site)
        self._meters[site.id] = now
        for meter in now:
            self._quarters.watch(site.id, meter)
        for meter in before.keys() - now.keys():
            self._quarters.forget(site.id, meter)
        self._classes.clear()
        self._learnt = False
        self._changed.add(site.id)
        return NOTHING

    def _make(self, rows: pl.DataFrame) -> Outcome:
        made = rows.filter(pl.col("units_made") > 0).select(
            "site_id", "line_id", starts_at=pl.col("ts").dt.epoch("ms"), length=pl.col("interval_s") * 1000
        )
        for site, line, starts_at, length in made.iter_rows():
            self._of(site).make([Made(starts_at, starts_at + length, line)])
            self._changed.add(site)
        units = rows.filter(pl.col("units_made").is_not_null()).select("site_id", "local_day", "line_id", "units_made")
        for site, day, line, made_units in units.iter_rows():
            self._of(site).conditions.make(day.toordinal(), line, made_units)
            self._changed.add(site)
        return NOTHING

    def _warm(self, rows: pl.DataFrame) -> Outcome:
        warm = rows.filter(pl.col("outdoor_c").is_not_null()).select("site_id", "local_day", "outdoor_c")
        for site, day, outdoor_c in warm.iter_rows():
            self._of(site).conditions.warm(day.toordinal(), outdoor_c)
            self._changed.add(site)
        return NOTHING

    def _hear(self, rows: pl.DataFrame) -> Outcome:
        told, refused = [], []
        for row in rows.filter(~pl.col("verdict").is_in(_OF_ADVICE)).iter_rows(named=True):
            state = self._of(row["site_id"])
            self._changed.add(state.site.id)
            known = self._meters[state.site.id]
            if not hits(state, row):
                refused.append(row | {"reason": Reason.UNKNOWN_ANOMALY.value})
                continue
            told += [self._told(state, known[meter], said) for meter, said in answer(state, row) if meter in known]
        outcome = _outcome(told)
        if not refused:
            return outcome
        return Outcome(outcome.outputs, pl.DataFrame(refused, schema={**rows.schema, "reason": pl.String()}))

    def _take(self, windows: pl.DataFrame) -> Outcome:
        for name in windows["site_id"].unique(maintain_order=True):
            self._of(name)
            self._changed.add(name)
        self._know_prices()
        told, learnt = list[dict[str, object]](), list[dict[str, object]]()
        for closed in self._quarters.take(windows):
            judged = self._judge(closed)
            told += judged.told
            learnt += judged.learnt
        return _outcome(told, learnt)

    def _learn(self, rows: pl.DataFrame) -> Outcome:
        """Live through quarter hours of before, and tell nobody."""
        self._know_prices()
        columns = ("site_id", "meter_id", pl.col("ts").dt.epoch("ms"), "power_kw", "until")
        for name, meter, ts, power_kw, until in rows.select(columns).iter_rows():
            state = self._of(name)
            self._changed.add(name)
            past = begun(state, until)
            if meter is None:
                take_over(state)
            elif meter in self._meters[name]:
                self._judge_at(past, meter, ts // _QUARTER_MS, power_kw)
        return NOTHING

    def _know_prices(self) -> None:
        if not self._learnt:
            self._pricing.learn(state.record for state in self._sites.values())
            self._learnt = True

    def _judge(self, closed: Closed) -> "_Judged":
        name, meter_id = self._quarters.key(closed.row)
        return self._judge_at(self._sites[name], meter_id, closed.quarter, closed.power_kw)

    def _judge_at(self, state: SiteWatch, meter_id: str, quarter: int, power_kw: float | None) -> "_Judged":
        name = state.site.id
        meter = self._meters[name][meter_id]
        watch = state.meters.get(meter_id)
        if watch is None:
            watch = state.meters[meter_id] = MeterWatch()
        at = quarter * _QUARTER_MS
        day, hour = local_place(state.site.time_zone, at)
        terms = self._pricing.terms_of(name, at)
        wanted, quiet = state.allowed(meter, at, day, hour, power_kw)
        moment = Moment(at, day, hour, self._class(state, day), terms, wanted, quiet)
        is_grid = meter.kind is MeterKind.GRID
        said = watch.take(moment, power_kw, surges=is_grid, may_idle=state.may_idle(meter))
        quarter_of_day = hour * 4 + quarter % 4
        if watch.drifting.is_due and quarter_of_day >= drifting.slot_of(meter_id, is_grid=is_grid):
            said += watch.judge_day(moment, self._days(state, meter, watch.drifting.day))
        if is_grid:
            state.sharing.meter = meter_id
            day_before = state.sharing.day
            said += state.sharing.take(moment, power_kw)
            if 0 < day_before < state.sharing.day:
                watch.say([of_sharing(state.sharing)])
        learnt = [record(state.site, meter, one, at) for one in watch.news]
        return _Judged([self._told(state, meter, one) for one in said], learnt)

    def _told(self, state: SiteWatch, meter: Meter, said: Said) -> dict[str, object]:
        episode = said.episode
        if episode.kind is AnomalyKind.PEAK_SURGE and said.status is Status.OPENED:
            episode.drivers = self._drivers(state, meter)
        if episode.kind in _DRIVEN_DAYS and said.status is Status.OPENED and meter.kind is MeterKind.GRID:
            parents = {one.parent for one in state.site.meters}
            below = {name: one.drifting.above_kw for name, one in state.meters.items() if name not in parents}
            episode.drivers = drifting.drivers(below, _DRIVERS)
        if said.end_reason is not None:
            state.hearing.end(Ended(meter.id, episode, said.ts, said.status, said.end_reason))
        return episode.record(state.site, meter, said.ts, said.status, said.end_reason)

    def _drivers(self, state: SiteWatch, above: Meter) -> str:
        """Return the meters that draw most above what is expected of them, in the last two hours."""
        parents = {meter.parent for meter in state.site.meters}
        found = []
        for name, watch in state.meters.items():
            if name == above.id or name in parents or not watch.drawn:
                continue
            above_kw = sum(quarter.above_kw for quarter in watch.drawn) / len(watch.drawn)
            if above_kw > 0:
                found.append((above_kw, name))
        return ", ".join(f"{name} +{kw:.1f} kW" for kw, name in sorted(found, reverse=True)[:_DRIVERS])

    def _days(self, state: SiteWatch, meter: Meter, end: int) -> list[Day]:
        """Return what the days were like that are kept of a meter, until the newest that ended."""
        state.conditions.classify(end, self._class(state, end))
        return state.conditions.before(end, drifting.KEPT_DAYS, meter.equipment)

    def _class(self, state: SiteWatch, day: int) -> DayClass:
        key = state.site.id, day
        found = self._classes.get(key)
        if found is None:
            if len(self._classes) > 4 * len(self._sites) + 64:
                self._classes.clear()
            found = self._classes[key] = class_of(state.site, date.fromordinal(day))
        return found

    def _of(self, name: str) -> SiteWatch:
        found = self._sites.get(name)
        if found is None:
            raise ValueError(f"no site record came before the data of {name}")
        return found


class _Judged(NamedTuple):
    """Records of a quarter hour, and at the end of a day how far the detectors are."""

    told: list[dict[str, object]]
    learnt: list[dict[str, object]]


def _outcome(told: list[dict[str, object]], learnt: Sequence[dict[str, object]] = ()) -> Outcome:
    outputs = []
    if told:
        outputs.append(Output(ANOMALIES, rows=pl.DataFrame(told, schema=ANOMALY_RECORD)))
    if learnt:
        outputs.append(Output(ANOMALY_LEARNING, rows=pl.DataFrame(learnt, schema=LEARNING_RECORD)))
    return Outcome(outputs) if outputs else NOTHING
