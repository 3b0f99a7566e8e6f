"""Balance: every site's minutes become load, self-use, and what each meter accounts for.

Reads    energy.v1      closed windows, site records and ticks of one partition
Yields   balance.v1     rows of a site and minute, when all its meters reported it or waited long enough
State    per site: record, minutes that wait for a meter or a better estimate, stretches of minutes that were let go
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import polars as pl

from agents.balance import minutes
from agents.balance.balancing import balanced
from agents.balance.held import Held, Windows
from agents.balance.state import SiteState, from_bytes, to_bytes
from agents.balance.tree import Flags, Ints, Layout, SitePlan
from agents.pricing.editions import EditionPricing
from agents.pricing.pricing import Reference
from schemas.flow import NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.topics import BALANCE

# A minute is sent without a silent meter after this much arrival time; the whole follows as a revision.
HOLD_MS = 120_000
# A minute without one of its meters, or with an estimate, waits this long for it, in event time. One meter that never
# reports holds all minutes of its site, so this bounds the state.
KEEP_MS = 86_400_000
_NEVER = np.iinfo(np.int64).max


class Balance:
    """Balance of one partition.

    Parameters
    ----------
    reference
        Emission factors and tariff plans, for sites whose record carries no edition.
    """

    def __init__(self, reference: Reference) -> None:
        self._pricing = EditionPricing(reference)
        self._records: dict[str, SiteRecord] = {}
        self._plans: dict[str, tuple[SiteRecord, SitePlan]] = {}
        self._layout = Layout.of({})
        self._held = Held(self._layout)
        self._oldest = np.zeros(0, np.int64)  # by site: no minute that was sent and is held begins before [ms UTC]
        self._newest = np.zeros(0, np.int64)  # by site: no minute that is held begins later [ms UTC]
        self._learnt = True
        self._put_back = minutes.EMPTY  # of snapshots, until the meters are laid out
        self._let_go = minutes.NONE_LET_GO
        self._fresh: list[pl.DataFrame] = []
        self._changed: set[str] = set()

    def step(self, message: Message) -> Outcome:
        """Take windows, a site record or a tick; rows are sent at ticks only."""
        if message.kind is Kind.WINDOWS and message.rows is not None:
            return self._take(message.rows, message.arrived_at)
        if message.kind is Kind.SITE and message.record is not None:
            return self._configure(message.record)
        if message.kind is Kind.TICK:
            return self._tick(message.arrived_at)
        if message.kind is Kind.LIVE:
            return NOTHING
        raise ValueError(f"balance takes windows, live state, site records and ticks, not {message.kind}")

    def changed(self) -> Iterable[str]:
        """Return the sites to snapshot."""
        return self._changed

    def due_at(self) -> int | None:
        """Return the earliest tick that sends a minute without one of its meters; None when none waits."""
        self._learn()
        pending = self._held.pending()
        return int(self._held.slots["since"][pending].min()) + HOLD_MS + 1 if len(pending) else None

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of sites; what came after the last tick is in it as it came."""
        self._learn()
        chosen = sorted(self._changed if sites is None else sites)
        numbers = np.array([self._layout.numbers[site] for site in chosen], np.int64)
        held = _by_site(self._held.rows(self._held.of_sites(numbers)), chosen)
        let_go = _by_site(self._let_go, chosen)
        fresh = _by_site(pl.concat([minutes.EMPTY, *self._fresh]), chosen)
        none = minutes.EMPTY
        taken = {
            site: to_bytes(
                SiteState(
                    self._records[site],
                    held.get(site, none),
                    fresh.get(site, none),
                    let_go.get(site, minutes.NONE_LET_GO),
                )
            )
            for site in chosen
        }
        self._changed.difference_update(chosen)
        return taken

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over these sites."""
        others = ~pl.col("site_id").is_in(list(snapshots))
        held = [self._all_held().filter(others)]
        let_go = [self._let_go.filter(others)]
        self._fresh = [rows.filter(others) for rows in self._fresh]
        for site, packed in snapshots.items():
            state = from_bytes(packed)
            self._records[site] = state.record
            held.append(state.held)
            let_go.append(state.let_go)
            self._fresh.append(state.fresh)
        self._put_back, self._let_go = pl.concat(held), pl.concat(let_go)
        self._held = Held(self._layout)
        self._learnt = False

    def _configure(self, record: SiteRecord) -> Outcome:
        known = self._records.get(record.site.id)
        if known is None or known.revision < record.revision:
            self._records[record.site.id] = record
            self._learnt = False
            self._changed.add(record.site.id)
        return NOTHING

    def _take(self, windows: pl.DataFrame, arrived_at: int) -> Outcome:
        unknown = [site for site in windows["site_id"].unique() if site not in self._records]
        if unknown:
            raise ValueError(f"no site record came before the data of {sorted(unknown)[:3]}")
        self._fresh.append(minutes.of_windows(windows, arrived_at))
        self._changed.update(windows["site_id"].unique())
        return NOTHING

    def _tick(self, arrived_at: int) -> Outcome:
        self._learn()
        if self._fresh:
            fresh, self._fresh = pl.concat(self._fresh), []
            self._gather(fresh)
        pending = self._held.pending()
        if not len(pending):
            return NOTHING
        rows = self._held.slots[pending]
        meters = self._layout.meters[rows["site"]]
        complete = rows["count"] >= meters
        orphan = ((rows["corrects"] == rows["count"]) | self._is_let_go(rows["site"], rows["start"])) & ~complete
        due = complete | orphan | (arrived_at - rows["since"] > HOLD_MS)
        if not due.any():
            return NOTHING
        sites = np.unique(rows["site"][due])
        self._changed.update(self._layout.sites[sites])
        ready = self._held.ready(pending[due & ~orphan])
        worst = np.zeros(len(pending), np.int64)
        worst[due] = self._held.worst(pending[due])
        again = ~orphan & (~complete | ((worst > 0) & (meters > 1)))
        ageing = self._ageing(sites)
        self._held.drop(pending[due & ~again])
        kept = pending[due & again]
        self._held.sent(kept)
        np.minimum.at(self._oldest, self._held.slots["site"][kept], self._held.slots["start"][kept])
        if len(ageing):
            self._forget_old(*ageing)
        if not len(ready.site):
            return NOTHING
        return Outcome([Output(BALANCE, Kind.BALANCE, rows=balanced(ready, self._layout, self._pricing))])

    def _gather(self, fresh: pl.DataFrame) -> None:
        """Put what came since the last tick to the rest of its minutes."""
        if fresh.is_empty():
            return
        self._changed.update(fresh["site_id"].unique())
        meter = self._layout.find(fresh["site_id"], fresh["meter_id"])
        if (meter < 0).any():
            self._lay_out(fresh)
            meter = self._layout.find(fresh["site_id"], fresh["meter_id"])
        self._put(fresh, meter)

    def _put(self, rows: pl.DataFrame, meter: Ints) -> None:
        windows = Windows.of(rows, meter)
        site = self._layout.site_of[meter]
        np.maximum.at(self._newest, site, windows.start)
        sent = ~windows.fresh
        np.minimum.at(self._oldest, site[sent], windows.start[sent])
        self._held.put(windows)

    def _is_let_go(self, site: Ints, start: Ints) -> Flags:
        """Say of minutes whether they were let go."""
        if self._let_go.is_empty():
            return np.zeros(len(site), np.bool_)
        asked = pl.DataFrame({"site_id": self._layout.sites[site], "window_start": start})
        return minutes.is_let_go(self._let_go, asked).to_numpy()

    def _ageing(self, sites: Ints) -> tuple[Ints, Ints] | tuple[()]:
        """Return the sites among these that may hold what is too old, and the newest minute each holds."""
        aged = sites[self._oldest[sites] <= self._newest[sites] - KEEP_MS]
        if not len(aged):
            return ()
        rows = self._held.slots[self._held.of_sites(aged)]
        self._newest[aged] = 0
        np.maximum.at(self._newest, rows["site"], rows["start"])
        return aged, self._newest[aged].copy()

    def _forget_old(self, sites: Ints, newest: Ints) -> None:
        """Let minutes of sites go that were sent and are too old for what may yet come."""
        slots = self._held.of_sites(sites)
        rows = self._held.slots[slots]
        newest_of = np.zeros(len(self._newest), np.int64)
        newest_of[sites] = newest
        old = (rows["start"] <= newest_of[rows["site"]] - KEEP_MS) & ~rows["fresh"]
        stays = ~old & ~rows["fresh"]
        self._oldest[sites] = _NEVER
        np.minimum.at(self._oldest, rows["site"][stays], rows["start"][stays])
        if not old.any():
            return
        gone = pl.DataFrame({"site_id": self._layout.sites[rows["site"][old]], "window_start": rows["start"][old]})
        self._let_go = minutes.joined(self._let_go, gone)
        self._held.drop(slots[old])

    def _all_held(self) -> pl.DataFrame:
        rows = self._held.rows(np.flatnonzero(self._held.slots["used"]))
        return pl.concat([rows, self._put_back])

    def _learn(self) -> None:
        """Take over the records that are new."""
        if not self._learnt:
            self._pricing.learn(self._records.values())
            self._lay_out(minutes.EMPTY)
            self._learnt = True

    def _lay_out(self, fresh: pl.DataFrame) -> None:
        """Number the meters anew: those of the records, and others of which something is held or has come."""
        held = self._all_held()
        self._put_back = minutes.EMPTY
        named = pl.concat([held.select("site_id", "meter_id"), fresh.select("site_id", "meter_id")]).unique()
        self._layout = self._planned({})
        unknown = named.filter(pl.Series(self._layout.find(named["site_id"], named["meter_id"]) < 0))
        if not unknown.is_empty():
            others: dict[str, set[str]] = {}
            for site, meter in unknown.iter_rows():
                others.setdefault(site, set()).add(meter)
            self._layout = self._planned(others)
        self._held = Held(self._layout)
        self._oldest = np.full(len(self._records), _NEVER)
        self._newest = np.zeros(len(self._records), np.int64)
        if not held.is_empty():
            self._put(held, self._layout.find(held["site_id"], held["meter_id"]))

    def _planned(self, others: Mapping[str, Collection[str]]) -> Layout:
        for site, record in self._records.items():
            known = self._plans.get(site)
            if known is None or known[0] is not record or site in others:
                self._plans[site] = record, SitePlan.of(record.site, others.get(site, ()))
        return Layout.of({site: (one.site.tenant, plan) for site, (one, plan) in self._plans.items()})


def _by_site(rows: pl.DataFrame, sites: list[str]) -> dict[str, pl.DataFrame]:
    mine = rows.filter(pl.col("site_id").is_in(sites))
    return {str(key[0]): own for key, own in mine.partition_by("site_id", as_dict=True).items()}
