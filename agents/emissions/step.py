"""Emissions: every site's minutes become carbon and money, and its live figures.

Reads    energy.v1      closed windows, live state, site records and ticks of one partition
Yields   emissions.v1   one record per site and minute, when all its grid meters reported it or waited long enough
         site.live.v1   one record per site that moved, at most one per tick
State    per site: record, totals of the day and month, live figures of its grid meters, minutes that wait for a meter
"""

from collections.abc import Collection, Iterable, Mapping

import polars as pl

from agents.emissions import minutes
from agents.emissions.state import from_bytes, to_bytes
from agents.emissions.totals import LiveMeter, SiteState, Sum
from agents.pricing.editions import EditionPricing
from agents.pricing.pricing import Reference
from schemas.emission import EMISSION_RECORD, LIVE_RECORD
from schemas.flow import NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.reading import TIMESTAMP
from schemas.registry import MeterKind
from schemas.topics import EMISSIONS, SITE_LIVE
from schemas.window import WINDOW_MS, WINDOW_S

# A minute is sent without a silent meter after this much arrival time; the meter's share follows as a revision.
HOLD_MS = 120_000
_NEVER = 1 << 62


class Emissions:
    """Emissions of one partition.

    Parameters
    ----------
    reference
        Emission factors and tariff plans, with their version, for sites whose record carries no edition.
    live
        Whether to send live figures; a replay has no use for them.
    """

    def __init__(self, reference: Reference, *, live: bool = True) -> None:
        self._says_live = live
        self._pricing = EditionPricing(reference)
        self._states: dict[str, SiteState] = {}
        self._learnt = True
        self._waiting = minutes.EMPTY
        self._looked_until: int | None = None  # until this tick nothing is due that was not; None: not known [ms UTC]
        self._fresh: list[pl.DataFrame] = []
        self._moved: set[str] = set()
        self._changed: set[str] = set()

    def step(self, message: Message) -> Outcome:
        """Take windows, live state, a site record or a tick; records are sent at ticks only."""
        if message.kind is Kind.WINDOWS and message.rows is not None:
            return self._take(self._of_known_sites(message.rows), message.arrived_at)
        if message.kind is Kind.LIVE and message.rows is not None:
            return self._move(self._of_known_sites(message.rows))
        if message.kind is Kind.SITE and message.record is not None:
            return self._configure(message.record)
        if message.kind is Kind.TICK:
            return self._tick(message.arrived_at)
        raise ValueError(f"emissions takes windows, live state, site records and ticks, not {message.kind}")

    def changed(self) -> Iterable[str]:
        """Return the sites to snapshot."""
        return self._changed

    def due_at(self) -> int | None:
        """Return the earliest tick that sends a minute without one of its meters; None when none waits."""
        since = self._waiting.filter("fresh")["arrived_at"].min()
        return since + HOLD_MS + 1 if isinstance(since, int) else None

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of sites; what came after the last tick is in it as it came."""
        chosen = sorted(self._changed if sites is None else sites)
        waiting = _by_site(self._waiting, chosen)
        fresh = _by_site(pl.concat([pl.DataFrame(schema=minutes.WINDOWS), *self._fresh]), chosen)
        none, nothing = minutes.EMPTY, pl.DataFrame(schema=minutes.WINDOWS)
        taken = {
            site: to_bytes(
                self._states[site], waiting.get(site, none), fresh.get(site, nothing), moved=site in self._moved
            )
            for site in chosen
        }
        self._changed.difference_update(chosen)
        return taken

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over these sites."""
        others = ~pl.col("site_id").is_in(list(snapshots))
        waiting = [self._waiting.filter(others)]
        self._fresh = [rows.filter(others) for rows in self._fresh]
        for site, packed in snapshots.items():
            self._states[site], still, fresh, moved = from_bytes(packed)
            waiting.append(still)
            self._fresh.append(fresh)
            (self._moved.add if moved else self._moved.discard)(site)
        self._waiting = pl.concat(waiting)
        self._looked_until = None
        self._learnt = False

    def _configure(self, record: SiteRecord) -> Outcome:
        if not self._pricing.has_plan(record):
            raise ValueError(
                f"site {record.site.id}: tariff plan {record.site.tariff.plan} is not in the reference data"
            )
        held = self._states.get(record.site.id)
        if held is None:
            self._states[record.site.id] = SiteState(record)
        elif held.record.revision < record.revision:
            held.configure(record)
        else:
            return NOTHING
        self._learnt = False
        self._changed.add(record.site.id)
        return NOTHING

    def _of_known_sites(self, rows: pl.DataFrame) -> pl.DataFrame:
        unknown = [site for site in rows["site_id"].unique() if site not in self._states]
        if unknown:
            raise ValueError(f"no site record came before the data of {sorted(unknown)[:3]}")
        return rows

    def _take(self, windows: pl.DataFrame, arrived_at: int) -> Outcome:
        grid = minutes.of_grid(windows, arrived_at)
        self._fresh.append(grid)
        self._changed.update(grid["site_id"].unique())
        return NOTHING

    def _move(self, rows: pl.DataFrame) -> Outcome:
        is_grid = rows["meter_kind"] == MeterKind.GRID.value
        if not is_grid.any():
            return NOTHING
        grid = rows.filter(is_grid)
        ts = grid["ts"].cast(TIMESTAMP).to_physical()
        columns = (grid["site_id"], grid["meter_id"], ts, grid["power_kw"], grid["open_import_kwh"])
        for site, meter, ts, newest_kw, open_kwh in zip(*columns, strict=True):
            live = self._states[site].live
            # A window that closed by waiting says nothing new about power.
            power_kw = live[meter].power_kw if newest_kw is None and meter in live else newest_kw
            live[meter] = LiveMeter(ts, power_kw, open_kwh)
            self._moved.add(site)
        self._changed |= self._moved
        return NOTHING

    def _tick(self, arrived_at: int) -> Outcome:
        outputs = []
        if not self._learnt:
            self._pricing.learn(state.record for state in self._states.values())
            self._learnt = True
            self._looked_until = None
        if self._fresh:
            fresh, self._fresh = pl.concat(self._fresh), []
            if not fresh.is_empty():
                self._looked_until = None
                self._changed.update(fresh["site_id"].unique())
                if self._says_live:
                    self._settle(minutes.changes(fresh))
                self._waiting = minutes.gathered(self._waiting, fresh)
        if self._looked_until is None or arrived_at > self._looked_until:
            ready = self._ready(arrived_at)
            due_at = self.due_at()
            self._looked_until = _NEVER if due_at is None else due_at - 1
            if not ready.is_empty():
                outputs.append(Output(EMISSIONS, rows=ready))
        if self._moved:
            if self._says_live:
                outputs.append(Output(SITE_LIVE, rows=self._live(arrived_at)))
            self._changed |= self._moved
            self._moved.clear()
        return Outcome(outputs)

    def _settle(self, fresh: pl.DataFrame) -> None:
        """Add what was closed to the totals of its local day."""
        priced = self._pricing.priced(fresh)
        days = (
            priced.group_by("site_id", "local_day")
            .agg(
                pl.col("import_kwh").sum(),
                kg=_whole("emitted_kg"),
                cny=_whole("cost_cny"),
                market_kg=_whole("market_emitted_kg"),
                until=minutes.end_of(pl.col("window_start").max()),
            )
            .sort("site_id", "local_day")
        )
        for site, day, kwh, kg, cny, market_kg, until in days.iter_rows():
            self._states[site].settle(day, Sum(kwh, kg, cny, market_kg), until)
            self._moved.add(site)

    def _ready(self, arrived_at: int) -> pl.DataFrame:
        """Take the minutes that can be sent: complete ones, and those that waited long enough for a meter."""
        fresh = self._waiting.filter("fresh")
        if fresh.is_empty():
            return fresh
        counted = self._pricing.with_grid_meters(minutes.added_up(fresh))
        missing = pl.col("grid_meters") - pl.col("meters")
        waited = arrived_at - pl.col("waiting_since") > HOLD_MS
        # A revision of one meter, of a minute whose other meters are no longer held, must not stand for all of them.
        orphan = pl.col("orphan") & (pl.col("waiting_since") > 0) & (missing > 0)
        counted = counted.with_columns(due=(missing <= 0) | waited | orphan, orphan=orphan)
        due = counted.filter("due")
        if due.is_empty():
            return due
        self._changed.update(due["site_id"].unique())
        self._waiting = minutes.still_held(self._waiting, counted)
        ready = due.filter(~pl.col("orphan"))
        return (
            self._pricing.priced(ready)
            .sort("site_id", "window_start")
            .with_columns(
                ts=pl.col("window_start"),
                window_s=pl.lit(WINDOW_S, pl.Int32),
                quality=minutes.quality_name(),
                meters_missing=missing.clip(lower_bound=0),
                id=pl.format("emissions/{}/{}/{}", "site_id", "window_start", "revision"),
            )
            .select(*EMISSION_RECORD)
        )

    def _live(self, arrived_at: int) -> pl.DataFrame:
        newest = {site: self._states[site].newest_ts() for site in sorted(self._moved)}
        terms = self._pricing.terms({site: ts // WINDOW_MS * WINDOW_MS for site, ts in newest.items()})
        rows = []
        for site, ts in newest.items():
            state, term = self._states[site], terms[site]
            powers = [one.power_kw for one in state.live.values() if one.power_kw is not None]
            opens = [one.open_kwh for one in state.live.values() if one.open_kwh is not None]
            # What one meter delivers never lowers what another one draws.
            hour_kwh = sum(max(0.0, kw) for kw in powers) if powers else None
            rows.append(
                (
                    f"site.live/{site}/{arrived_at}",
                    state.record.site.tenant,
                    site,
                    ts,
                    sum(powers) if powers else None,
                    term.emitted_kg(hour_kwh),
                    term.cost_cny(hour_kwh),
                    term.period,
                    state.day or None,
                    state.today.kwh,
                    state.today.kg,
                    state.today.cny,
                    state.month.kwh,
                    state.month.kg,
                    state.month.cny,
                    state.settled_until,
                    sum(opens) if opens else None,
                    term.market_emitted_kg(hour_kwh),
                    state.today.market_kg,
                    state.month.market_kg,
                )
            )
        return pl.DataFrame(rows, schema=LIVE_RECORD, orient="row")


def _whole(name: str) -> pl.Expr:
    """Sum of a column, null where energy was drawn and a part of it has no value."""
    unknown = (pl.col(name).is_null() & pl.col("import_kwh").is_not_null()).any()
    return pl.when(~unknown).then(pl.col(name).sum())


def _by_site(rows: pl.DataFrame, sites: list[str]) -> dict[str, pl.DataFrame]:
    mine = rows.filter(pl.col("site_id").is_in(sites))
    return {str(key[0]): own for key, own in mine.partition_by("site_id", as_dict=True).items()}
