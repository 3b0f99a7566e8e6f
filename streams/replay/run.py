"""A replay from its beginning, or from where it was stopped, to its end."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.billing.spans import QUARTER_MS, local_day, month_of
from agents.pricing.pricing import Reference
from schemas.flow import SiteRecord
from schemas.reference.catalogue import load_charges
from sinks.clickhouse.origins import MESSAGE
from sinks.parquet.manifest import Part
from sinks.parquet.reader import LogReader, sites_held
from streams.replay import position as positions
from streams.replay.engine import CHUNK_ROWS, Chunk, Lane, Produced
from streams.replay.outputs import Written
from streams.replay.period import Allowances, NotCovered, Period, check_covered, shown
from streams.replay.position import Position
from streams.replay.progress import Reporter
from streams.replay.selection import Selection, select

PACE_S = 5.0  # with a limited rate, about how long the pieces take


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to replay.

    Parameters
    ----------
    period
        The period.
    sites
        Only these; None for all.
    allowances
        Settings of the pipeline.
    rate
        Readings per second at most; None for as fast as it goes. [1/s]
    with_bills
        Whether demand and ledger are wanted: their months are read from the beginning.
    """

    period: Period
    sites: tuple[str, ...] | None
    allowances: Allowances
    rate: float | None = None
    with_bills: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """A source that covers what is wanted.

    Parameters
    ----------
    lanes
        The logs of each partition.
    selections
        What is taken of each.
    registry
        Site records to fall back on.
    read_from
        Where the reading begins. [ms UTC]
    has_months
        Whether the months of the period are held from their beginning, so that demand and ledger can be made.
    lacking
        Why not; empty when they are, or when nobody asked.
    """

    lanes: Mapping[int, Sequence[LogReader]]
    selections: Mapping[int, Selection]
    registry: Mapping[str, SiteRecord]
    read_from: int
    has_months: bool = False
    lacking: str = ""

    def editions(self) -> frozenset[str]:
        """Return the published editions that site records carried: a replay prices with them again."""
        found = set()
        for logs in self.lanes.values():
            for log in logs:
                texts = log.rows(Part.SITES)["record"].unique()
                found |= {SiteRecord.of_json(text).edition_version for text in texts}
        return frozenset(name for name in found if name is not None)

    def zones(self) -> dict[str, str]:
        """Return the time zone of each site, as its newest record has it."""
        found = {site: record.site.time_zone for site, record in self.registry.items()}
        for logs in self.lanes.values():
            for log in logs:
                rows = log.rows(Part.SITES).sort(MESSAGE).select("site_id", "record").iter_rows()
                found |= {site: str(json.loads(text)["site"]["time_zone"]) for site, text in rows}
        return found


@dataclass(frozen=True, slots=True)
class Done:
    """What a replay did."""

    read: int
    written: Written
    seconds: float


def covering(
    lanes: dict[int, list[LogReader]], wanted: Wanted, registry: Mapping[str, SiteRecord] | None = None
) -> Held:
    """Find what is wanted in a source.

    Raises
    ------
    NotCovered
        When it does not hold all of it; with what it does hold.
    """
    found = {
        partition: select(logs, wanted.period, wanted.allowances, wanted.sites) for partition, logs in lanes.items()
    }
    selections = {partition: one for partition, one in found.items() if not one.spans.is_empty()}
    sites = {str(site) for one in selections.values() for site in one.spans["site_id"]}
    absent = sorted(set(wanted.sites or ()) - sites)
    if absent or not sites:
        every = [log for logs in lanes.values() for log in logs]
        raise NotCovered(f"no readings of {', '.join(absent) or 'any site'} in the period; {_extent(every, absent)}")
    # A partition without readings of the period is fine only if it would hold them.
    check_covered(
        lanes if wanted.sites is None else {p: lanes[p] for p in selections}, wanted.period, wanted.allowances
    )
    held = Held(lanes, selections, registry or {}, wanted.period.first_ms)
    return _from_the_month(held, wanted, sites) if wanted.with_bills else held


def _from_the_month(held: Held, wanted: Wanted, sites: Collection[str]) -> Held:
    """Begin where the first month of the period begins, if that is held."""
    first = wanted.period.first_ms
    zones = {zone for site, zone in held.zones().items() if site in sites}
    begins = min((month_of(zone, local_day(zone, first // QUARTER_MS)).starts_at for zone in zones), default=first)
    longer = Period(begins, wanted.period.end_ms)
    lanes = {partition: list(held.lanes[partition]) for partition in held.selections}
    try:
        check_covered(lanes, longer, wanted.allowances)
    except NotCovered as error:
        return replace(held, lacking=str(error))
    selections = {partition: select(logs, longer, wanted.allowances, sites) for partition, logs in lanes.items()}
    return replace(held, selections=selections, read_from=begins, has_months=True)


def replay(
    held: Held,
    wanted: Wanted,
    references: Sequence[Reference],
    write: Callable[[int, Produced], Written],
    report: Reporter,
    *,
    run: str,
    keep_at: Path | None,
    begun: Position | None,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    with_editions: bool = True,
) -> Done:
    """Run the agents over what is held, and write what comes out.

    Parameters
    ----------
    held
        The source.
    wanted
        What to replay.
    references
        Reference data, one for each outcome.
    write
        Takes what a chunk led to; may be given the same again after a crash.
    report
        Shows how far it is.
    run
        Name of this replay.
    keep_at
        Where its position is kept after each chunk; None for nowhere.
    begun
        Where it goes on; None for the beginning.
    clock, sleep
        Monotonic time. [s]
    with_editions
        Whether sites are priced with the published editions their records carried; else only with `references`.
    """
    size = CHUNK_ROWS if wanted.rate is None else max(1, min(CHUNK_ROWS, int(wanted.rate * PACE_S)))
    lanes = {
        partition: Lane(
            partition,
            held.lanes[partition],
            wanted.period,
            selection,
            wanted.allowances,
            references,
            held.registry,
            with_editions,
            size,
            load_charges() if held.has_months else None,
        )
        for partition, selection in sorted(held.selections.items())
    }
    plans = {partition: lane.chunks() for partition, lane in lanes.items()}
    total = sum(chunk.rows for plan in plans.values() for chunk in plan)
    started = clock()
    at = begun or Position(run, -1, 0, 0, 0, 0, Written(), ())
    before = at.read
    report.begin("readings", before)
    for partition, lane in lanes.items():
        if partition < at.partition:
            continue
        plan = plans[partition]
        if partition == at.partition:
            lane.restore(at.states)
            plan = _left(plan, at)
        else:
            lane.begin()
        for chunk in plan:
            produced = lane.run(chunk)
            written = at.written + write(at.number, produced)
            at = Position(
                run,
                partition,
                chunk.log,
                chunk.last_offset + 1,
                at.number + 1,
                at.read + produced.read,
                written,
                lane.snapshots() if keep_at is not None else (),
            )
            if keep_at is not None:
                positions.save(keep_at, at)
            report.report(at.read, total)
            if wanted.rate is not None:
                sleep(max(0.0, (at.read - before) / wanted.rate - (clock() - started)))
    if keep_at is not None:
        keep_at.unlink(missing_ok=True)
    return Done(at.read - before, at.written, clock() - started)


def _left(plan: Sequence[Chunk], at: Position) -> list[Chunk]:
    """Return what is left of a plan, which may be cut otherwise than it was."""
    return [
        replace(chunk, first_offset=max(chunk.first_offset, at.next_offset)) if chunk.log == at.log else chunk
        for chunk in plan
        if (chunk.log, chunk.last_offset) >= (at.log, at.next_offset)
    ]


def _extent(logs: Sequence[LogReader], sites: Collection[str]) -> str:
    held = sites_held(logs)
    mine = [row for row in held.iter_rows(named=True) if not sites or row["site_id"] in sites] or list(
        held.iter_rows(named=True)
    )
    if not mine:
        return "it holds no readings"
    shown_sites = [f"{row['site_id']} from {shown(row['first'])} to {shown(row['last'])}" for row in mine[:5]]
    return "it holds " + ", ".join(shown_sites) + (f" and {len(mine) - 5} sites more" if len(mine) > 5 else "")
