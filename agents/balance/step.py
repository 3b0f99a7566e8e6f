"""Balance: every site's minutes become load, self-use, and what each meter accounts for.

Reads    energy.v1      closed windows, site records and ticks of one partition
Yields   balance.v1     rows of a site and minute, when all its meters reported it or waited long enough
State    per site: record, minutes that wait for a meter or a better estimate, stretches of minutes that were let go
"""

from collections.abc import Collection, Iterable, Mapping

import polars as pl

from agents.balance import minutes
from agents.balance.balancing import balanced
from agents.balance.state import SiteState, from_bytes, to_bytes
from agents.balance.tree import Trees
from agents.pricing.editions import EditionPricing
from agents.pricing.pricing import Reference
from schemas.flow import NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.topics import BALANCE

# A minute is sent without a silent meter after this much arrival time; the whole follows as a revision.
HOLD_MS = 120_000
# A minute without one of its meters, or with an estimate, waits this long for it, in event time. One meter that never
# reports holds all minutes of its site, so this bounds the state.
KEEP_MS = 86_400_000


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
        self._trees = Trees.of(())
        self._learnt = True
        self._held = minutes.EMPTY
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
        since = self._held.filter("fresh")["since"].min()
        return since + HOLD_MS + 1 if isinstance(since, int) else None

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of sites; what came after the last tick is in it as it came."""
        chosen = sorted(self._changed if sites is None else sites)
        held, let_go = _by_site(self._held, chosen), _by_site(self._let_go, chosen)
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
        held, let_go = [self._held.filter(others)], [self._let_go.filter(others)]
        self._fresh = [rows.filter(others) for rows in self._fresh]
        for site, packed in snapshots.items():
            state = from_bytes(packed)
            self._records[site] = state.record
            held.append(state.held)
            let_go.append(state.let_go)
            self._fresh.append(state.fresh)
        self._held, self._let_go = pl.concat(held), pl.concat(let_go)
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
        if not self._learnt:
            self._pricing.learn(self._records.values())
            self._trees = Trees.of([record.site for record in self._records.values()])
            self._learnt = True
        if self._fresh:
            fresh, self._fresh = pl.concat(self._fresh), []
            if not fresh.is_empty():
                self._changed.update(fresh["site_id"].unique())
                self._held = minutes.gathered(self._held, fresh)
        if not self._held["fresh"].any():
            return NOTHING
        found = minutes.judged(self._held, self._trees.sites, self._let_go, arrived_at, HOLD_MS)
        due = found.filter("due")
        if due.is_empty():
            return NOTHING
        self._changed.update(due["site_id"].unique())
        sent = due.filter(~pl.col("orphan")).select(minutes.MINUTE)
        ready = self._held.join(sent, on=minutes.MINUTE, how="semi", maintain_order="left")
        self._held, gone = minutes.still_held(self._held, found, KEEP_MS)
        if not gone.is_empty():
            self._let_go = minutes.joined(self._let_go, gone)
        if ready.is_empty():
            return NOTHING
        return Outcome([Output(BALANCE, Kind.BALANCE, rows=balanced(ready, self._trees, self._pricing))])


def _by_site(rows: pl.DataFrame, sites: list[str]) -> dict[str, pl.DataFrame]:
    mine = rows.filter(pl.col("site_id").is_in(sites))
    return {str(key[0]): own for key, own in mine.partition_by("site_id", as_dict=True).items()}
