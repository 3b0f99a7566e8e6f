"""Metering: every meter's readings become the energy of its minutes.

Reads    telemetry.v1   readings, site records and ticks of one partition; weather and production
Yields   energy.v1        closed windows and revised ones, the live state of meters that moved, and the site records and
                          ticks passed on; weather and production likewise
         corrections.v1   what late readings revised, registers that did not simply go on or are stuck, slipped clocks
         site.profile.v1  what a site is compared by
Rejects  late, register_decreased, unknown_meter
State    per site: its record, the readings its open windows are made of, those around pauses of closed windows, and
         what stuck registers and slipped clocks are known by
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import polars as pl

from agents.metering.beside import passed_on, profile
from agents.metering.closing import close
from agents.metering.correcting import of_revision, of_turns
from agents.metering.flagging import Flagging
from agents.metering.live import live
from agents.metering.meters import Meters, Move
from agents.metering.past import Past, keyed
from agents.metering.points import MEASURES, Points, one_per_moment, rescaled, sorted_by_moment
from agents.metering.ragged import Flags, Ints, Rows, runs, starts_of
from agents.metering.revising import Revised, Undeclared, declared, fitting, revised, undeclared
from agents.metering.shelves import POINT
from agents.metering.state import Head, SiteState
from schemas.correction import CorrectionKind
from schemas.flow import CONTEXT, NOTHING, Kind, Message, Outcome, Output, SiteRecord
from schemas.reading import TIMESTAMP
from schemas.rejection import Reason
from schemas.topics import CORRECTIONS, ENERGY

_NO_METERS = np.zeros(0, np.int64)
_NO_POINTS = np.empty(0, POINT)
# Where a point has what a meter sends that sends intervals.
_INTERVALS = {"import_kwh": "interval_kwh", "export_kwh": "interval_export_kwh"}


# Readings of a pause are waited for as long as a site's minutes are for a meter.
REVISION_HORIZON_S = 35 * 86_400


class Metering:
    """Metering of one partition.

    Parameters
    ----------
    lateness_s
        How far out of order the readings of a meter may come; its windows close this long after their end. [s]
    revision_horizon_s
        How far behind a meter's newest reading its pauses may still be filled. [s]
    live
        Whether to say how meters stand now, and which are stuck or slipped; a replay has no use for the one, and does
        not know what was usual before it for the other.
    """

    def __init__(self, lateness_s: int, revision_horizon_s: int = REVISION_HORIZON_S, *, live: bool = True) -> None:
        self._says_live = live
        self._heads: dict[str, Head] = {}
        self._known = Meters()
        self._points = Points(lateness_s * 1000)
        self._past = Past(revision_horizon_s * 1000)
        self._flagging = Flagging()
        self._fresh: list[tuple[Ints, Rows]] = []  # since the last tick: number of the meter, reading
        self._changed: set[str] = set()

    def step(self, message: Message) -> Outcome:
        """Take readings, a site record or a tick; windows close at ticks only."""
        if message.kind is Kind.READINGS and message.rows is not None:
            return self._take(message.rows, message.arrived_at)
        if message.kind is Kind.SITE and message.record is not None:
            return self._configure(message.record, message.arrived_at)
        if message.kind is Kind.TICK:
            return self._tick(message.arrived_at)
        if message.kind in CONTEXT:
            return passed_on(message)
        raise ValueError(f"metering takes readings, site records, ticks and context, not {message.kind}")

    @property
    def nbytes(self) -> int:
        """Memory the points take. [bytes]."""
        return self._points.nbytes + self._past.nbytes + self._flagging.nbytes

    def changed(self) -> Iterable[str]:
        """Return the sites to snapshot."""
        return self._changed

    def due_at(self) -> int | None:
        """Return the earliest tick that closes a window although nothing came since the last; None for never."""
        return self._points.next_due

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of sites; readings taken since the last tick are in it as they came."""
        changed = sorted(self._changed if sites is None else sites)
        self._changed.difference_update(changed)
        by_site = [self._known.of_site(site) for site in changed]
        sizes = np.array([len(meters) for meters in by_site], np.int64)
        meters = np.concatenate([_NO_METERS, *by_site])
        counts = self._points.shelves.count[meters]
        anchors = self._points.closed_until[meters], self._points.anchor_since[meters]
        rows = self._points.shelves.read(meters)
        strips = self._past.points.count[meters], self._past.points.read(meters)
        marks = self._past.revised.count[meters], self._past.revised.read(meters)
        flags = self._flagging.of(meters)
        cuts = starts_of(sizes)
        of_site, of_strips, of_marks = (
            np.add.reduceat(np.append(each, 0), cuts) if len(sizes) else sizes for each in (counts, strips[0], marks[0])
        )
        row_cuts = starts_of(of_site), starts_of(of_strips), starts_of(of_marks)
        fresh_meters, fresh = self._all_fresh()
        fresh_sites = self._known.config(fresh_meters)["site"]
        fresh_order = np.argsort(fresh_sites, kind="stable")
        fresh_sites = fresh_sites[fresh_order]
        packed = {}
        for place, (site, first, size) in enumerate(zip(changed, cuts, sizes, strict=True)):
            mine = slice(first, first + size)
            row, strip, mark = (
                slice(begins[place], begins[place] + heights[place])
                for begins, heights in zip(row_cuts, (of_site, of_strips, of_marks), strict=True)
            )
            number = self._known.config(meters[first : first + 1])["site"][0]
            own = fresh_order[slice(*np.searchsorted(fresh_sites, [number, number + 1]))]
            packed[site] = SiteState(
                self._heads[site],
                counts[mine],
                anchors[0][mine],
                anchors[1][mine],
                rows[row],
                fresh_meters[own] - meters[first],
                fresh[own],
                strips[0][mine],
                strips[1][strip],
                marks[0][mine],
                marks[1][mark],
                [each[mine] for each in flags],
            ).to_bytes()
        return packed

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over these sites."""
        states = [(site, SiteState.from_bytes(packed)) for site, packed in snapshots.items()]
        for site, _ in states:
            self._forget(self._known.of_site(site))
        sites = []
        for site, state in states:
            self._heads[site] = state.head
            self._known.configure(site, state.head.tenant_id, state.head.meters)
            sites.append(self._known.of_site(site))
        meters = np.concatenate([_NO_METERS, *sites])
        self._points.welcome(meters, self._known.config(meters)["interval_ms"])
        self._past.welcome(meters)
        self._flagging.welcome(meters)
        for mine, (_, state) in zip(sites, states, strict=True):
            self._flagging.put(mine, state.flags)
        for shelves, counts, parts in (
            (self._past.points, [one.strip_counts for _, one in states], [one.strips for _, one in states]),
            (self._past.revised, [one.mark_counts for _, one in states], [one.marks for _, one in states]),
        ):
            if any(len(part) for part in parts):
                shelves.put(meters, np.concatenate(counts), np.concatenate(parts))
        self._points.replace(
            meters,
            *(
                np.concatenate([empty, *parts])
                for empty, parts in (
                    (_NO_METERS, [state.counts for _, state in states]),
                    (_NO_POINTS, [state.rows for _, state in states]),
                    (_NO_METERS, [state.closed_until for _, state in states]),
                    (_NO_METERS, [state.anchor_since for _, state in states]),
                )
            ),
        )
        self._fresh.extend(
            (mine[state.fresh_places], state.fresh)
            for mine, (_, state) in zip(sites, states, strict=True)
            if len(state.fresh)
        )

    def _configure(self, record: SiteRecord, arrived_at: int) -> Outcome:
        site = record.site
        held = self._heads.get(site.id)
        if held is not None and held.revision >= record.revision:
            return NOTHING
        head = self._heads[site.id] = Head.of(record)
        before = None if held is None else self._before_swaps(site.id, held, head)
        move = self._known.configure(site.id, head.tenant_id, head.meters)
        self._points.welcome(move.after, self._known.config(move.after)["interval_ms"])
        self._past.welcome(move.after)
        self._flagging.welcome(move.after)
        renumbered = not np.array_equal(move.before, move.after)
        if held is not None and (renumbered or (move.ratio != 1.0).any()):
            self._fresh = [_moved(meters, rows, move) for meters, rows in self._fresh]
            self._points.rescale(move.kept_from, move.kept_to, move.ratio)
            self._past.move(move.kept_from, move.kept_to, move.ratio)
            self._flagging.move(move.kept_from, move.kept_to)
            if renumbered:
                self._flagging.forget(move.before)
                self._points.forget(move.before)
                self._past.forget(move.before)
        self._forget(_declared_anew(held, head, move))
        self._changed.add(site.id)
        said = [Output(ENERGY, Kind.SITE, record=record), profile(record, arrived_at)]
        if before is None or not len(before.meters):
            return Outcome(said)
        stays = np.searchsorted(move.kept_from, before.meters)
        now = before._replace(meters=move.kept_to[stays])
        revision = declared(now, self._past, self._points, self._known)
        if revision is None or revision.windows.is_empty():
            return Outcome(said)
        corrections = of_revision(revision, self._known, CorrectionKind.METER_SWAP)
        return Outcome([*said, Output(ENERGY, Kind.WINDOWS, revision.windows), Output(CORRECTIONS, rows=corrections)])

    def _before_swaps(self, site_id: str, held: Head, head: Head) -> Undeclared:
        """Return what the windows of meters were whose swaps a new record changes."""
        swaps = {meter.id: meter.swaps for meter in head.meters}
        other = [place for place, meter in enumerate(held.meters) if swaps.get(meter.id, meter.swaps) != meter.swaps]
        return undeclared(self._past, self._points, self._known, self._known.of_site(site_id)[other])

    def _take(self, rows: pl.DataFrame, arrived_at: int) -> Outcome:
        meters = self._known.find(rows["site_id"], rows["meter_id"])
        unknown = None
        if (meters < 0).any():
            known = pl.Series(meters >= 0)
            unknown = rows.filter(~known).with_columns(reason=pl.lit(Reason.UNKNOWN_METER.value))
            rows, meters = rows.filter(known), meters[meters >= 0]
        self._fresh.append((meters, _as_points(rows, self._known.config(meters), arrived_at)))
        self._changed.update(self._known.sites_of(meters))
        return NOTHING if unknown is None else Outcome(rejected=unknown)

    def _tick(self, arrived_at: int) -> Outcome:
        corrections = self._listen(arrived_at)
        touched, late, revision = self._fold()
        closing = self._points.closable(touched, arrived_at)
        if not len(touched) and not len(closing) and not corrections:
            return Outcome([Output(ENERGY, Kind.TICK)])
        outputs: list[Output] = []
        rejected = [late]
        moved = touched
        if revision is not None:
            if not revision.windows.is_empty():
                outputs.append(Output(ENERGY, Kind.WINDOWS, revision.windows))
            corrections.append(of_revision(revision, self._known, CorrectionKind.LATE_DATA))
        if len(closing):
            closing = self._in_order(closing)
            closed = close(self._points, self._past, self._known, closing, arrived_at)
            self._points.closed(arrived_at)
            self._changed.update(self._known.sites_of(closing))
            rejected.append(self._rejected(*closed.back, Reason.REGISTER_DECREASED))
            if len(closed.turned.meters):
                corrections.append(of_turns(closed.turned, self._known))
            if self._says_live:
                corrections.extend(self._flagging.look(closed.due, closing, self._known))
            moved = self._in_order(np.union1d(touched, closed.metered))
            if not closed.windows.is_empty():
                outputs.append(Output(ENERGY, Kind.WINDOWS, closed.windows))
        if self._says_live and not (moving := live(self._points, self._known, moved)).is_empty():
            outputs.append(Output(ENERGY, Kind.LIVE, moving))
        outputs.append(Output(ENERGY, Kind.TICK))
        outputs.extend(Output(CORRECTIONS, rows=rows) for rows in corrections if not rows.is_empty())
        refused = [rows for rows in rejected if rows is not None]
        return Outcome(outputs, pl.concat(refused) if refused else None)

    def _listen(self, arrived_at: int) -> list[pl.DataFrame]:
        """Return which meters have gone silent, and which speak again by what came since the last tick."""
        if not self._says_live:
            return []
        said = []
        if self._fresh:
            self._fresh = [self._all_fresh()]
            speaking = self._flagging.hear(*self._fresh[0], self._known)
            if speaking is not None:
                said.append(speaking)
        found = self._flagging.listen(arrived_at, self._known)
        if found is not None:
            silent, records = found
            self._changed.update(self._known.sites_of(silent))
            said.append(records)
        return said

    def _fold(self) -> tuple[Ints, pl.DataFrame | None, Revised | None]:
        """Merge what came since the last tick into the points.

        Returns whose it was, what came too late, and what late readings revised.
        """
        if not self._fresh:
            return _NO_METERS, None, None
        arrived_meters, arrived = self._all_fresh()
        self._fresh.clear()
        by_moment = sorted_by_moment(self._known.order(arrived_meters), arrived["ts"])
        meters, rows = arrived_meters[by_moment], arrived.take(by_moment)
        touched = meters[runs(meters)[0]]
        # Again, because a snapshot in between holds them as readings that have yet to be merged.
        self._changed.update(self._known.sites_of(touched))
        in_time, late = self._points.split_late(meters, rows)
        revision = None
        if self._past.points.count[touched].any():
            each, of_moment = one_per_moment(meters, rows)
            holes = fitting(self._past, self._known, each, of_moment)
            if holes is not None:
                revision = revised(holes, self._past, self._points, self._known, of_moment)
                fits = keyed(each[holes.fitting], of_moment["ts"][holes.fitting])
                fit = np.isin(keyed(meters, rows["ts"]), fits)
                late &= ~fit
                in_time |= fit & (rows["ts"] > self._points.closed_until[meters])
        if in_time.all():
            self._points.add(meters, rows)
            return touched, None, revision
        self._points.add(meters[in_time], rows.take(np.flatnonzero(in_time)))
        refused = np.sort(by_moment[late])  # as they arrived ...
        refused = refused[np.argsort(self._known.order(arrived_meters[refused]), kind="stable")]  # ... by meter
        return touched, self._rejected(arrived_meters[refused], arrived.take(refused), Reason.LATE), revision

    def _all_fresh(self) -> tuple[Ints, Rows]:
        if len(self._fresh) == 1:
            return self._fresh[0]
        meters = np.concatenate([_NO_METERS, *(meters for meters, _ in self._fresh)])
        return meters, np.concatenate([_NO_POINTS, *(rows for _, rows in self._fresh)])

    def _in_order(self, meters: Ints) -> Ints:
        return meters[np.argsort(self._known.order(meters))]

    def _rejected(self, meters: Ints, rows: Rows, reason: Reason) -> pl.DataFrame | None:
        if not len(meters):
            return None
        names = self._known.named(meters)
        by_interval = self._known.config(meters)["by_interval"] == 1
        return pl.DataFrame(
            {
                "site_id": names["site_id"],
                "meter_id": names["meter_id"],
                "ts": rows["ts"].copy(),
                **_as_sent(rows, by_interval),
                "raw_partition": rows["raw_partition"].astype(np.int32),
                "raw_offset": rows["raw_offset"].copy(),
                "reason": pl.repeat(reason.value, len(meters), eager=True),
            }
        )

    def _forget(self, meters: Ints) -> None:
        """Drop everything about meters, also what came after the last tick."""
        self._points.forget(meters)
        self._past.forget(meters)
        self._flagging.forget(meters)
        self._fresh = [
            (theirs[others], rows[others]) for theirs, rows in self._fresh for others in [~np.isin(theirs, meters)]
        ]


def _as_points(rows: pl.DataFrame, config: Rows, arrived_at: int) -> Rows:
    """Turn readings of telemetry.v1 into points: the meter's multiplier applied, arrival added.

    Of a meter that sends intervals, the registers of a point are the energies of the interval that ends there.
    """
    points = np.empty(rows.height, POINT)
    multiplier = config["multiplier"]
    points["ts"] = rows["ts"].cast(TIMESTAMP).to_physical().to_numpy()
    for measure in MEASURES:
        # A batch of an older release does not have every measure.
        points[measure] = rows[measure].to_numpy() * multiplier if measure in rows.columns else np.nan
    by_interval = np.flatnonzero(config["by_interval"])
    if len(by_interval):
        for measure, sent in _INTERVALS.items():
            kwh = rows[sent].to_numpy() if sent in rows.columns else np.full(rows.height, np.nan)
            points[measure][by_interval] = kwh[by_interval] * multiplier[by_interval]
    points["arrived_at"] = arrived_at
    points["raw_partition"] = rows["raw_partition"].to_numpy()
    points["raw_offset"] = rows["raw_offset"].to_numpy()
    return points


def _as_sent(rows: Rows, by_interval: Flags) -> dict[str, pl.Series]:
    """Return the measures of points under the names they were sent under."""
    measures = {name: rows[name].copy() for name in MEASURES}
    for register, sent in _INTERVALS.items():
        measures[sent] = np.where(by_interval, measures[register], np.nan)
        measures[register] = np.where(by_interval, np.nan, measures[register])
    return {name: pl.Series(values, nan_to_null=True) for name, values in measures.items()}


def _declared_anew(held: Head | None, head: Head, move: Move) -> Ints:
    """Return the meters that send registers now and sent intervals, or the other way round: nothing links the two."""
    before = {} if held is None else {meter.id: meter.by_interval for meter in held.meters}
    other = [
        place for place, meter in enumerate(head.meters) if before.get(meter.id, meter.by_interval) != meter.by_interval
    ]
    return move.after[other]


def _moved(meters: Ints, rows: Rows, move: Move) -> tuple[Ints, Rows]:
    """Fit readings that wait for a tick to a site's new record; those of meters that are gone are dropped."""
    if not len(meters):
        return meters, rows
    # By number of the meter, for all there are: its new number, -1 for none, and what to multiply with.
    to = np.arange(max(meters.max(), move.before.max()) + 1)
    ratio = np.ones(len(to))
    to[move.before] = -1
    to[move.kept_from] = move.kept_to
    ratio[move.kept_from] = move.ratio
    stays = to[meters] >= 0
    return to[meters[stays]], rescaled(rows[stays], ratio[meters[stays]])
