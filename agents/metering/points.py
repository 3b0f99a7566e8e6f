"""The readings a meter's open windows are made of: the state of metering, for a whole partition.

What a tick has to ask of every meter (can a window close now?) is kept as one number for each, brought up to date
whenever the points of a meter change.
"""

import numpy as np

from agents.metering.ragged import Flags, Floats, Ints, Rows, runs, starts_of
from agents.metering.shelves import Shelves
from schemas.window import WINDOW_MS

NEVER = np.iinfo(np.int64).max
UNKNOWN = np.iinfo(np.int64).min
MEASURES = ("import_kwh", "export_kwh", "power_kw", "import_kvarh")


class Points:
    """Points of meters, by the meter's number.

    The first point of a meter may be its anchor: the (interpolated) registers at the end of its last closed window, so
    that the energies of all windows add up to the difference of the registers whatever arrives later.

    Parameters
    ----------
    lateness_ms
        How far out of order readings may come. [ms]
    """

    def __init__(self, lateness_ms: int) -> None:
        self._lateness_ms = lateness_ms
        self.shelves = Shelves()
        self.closed_until = _filled(0, UNKNOWN)  # time of the anchor; UNKNOWN while nothing was closed [ms UTC]
        self.anchor_since = _filled(0, UNKNOWN)  # time of the real reading the anchor was interpolated from [ms UTC]
        self.final_until = _filled(0, UNKNOWN)  # readings up to then are final, see `split_late` [ms UTC]
        self.due_at = _filled(0, NEVER)  # arrival time at which waiting alone lets a window close [ms UTC]
        self._first_end = _filled(0, NEVER)  # end of the window the first point is in [ms UTC]
        self._closing = _filled(0, NEVER)  # first point at or behind that end [ms UTC]
        self._by_register = np.zeros(0, np.bool_)  # some point has a register
        self.is_steady = np.zeros(0, np.bool_)  # every point has an import register, and it never goes back
        self._no_sooner = NEVER  # than this is any meter due [ms UTC]

    @property
    def nbytes(self) -> int:
        """Memory held. [bytes]."""
        return self.shelves.nbytes + sum(int(getattr(self, name).nbytes) for name in _BY_METER)

    def welcome(self, meters: Ints, interval_ms: Ints) -> None:
        """Prepare for meters."""
        # A window, what may still come for it, and the point on each side.
        self.shelves.welcome(meters, (WINDOW_MS + self._lateness_ms) // interval_ms.clip(1_000, 600_000) + 3)
        more = len(self.shelves.count) - len(self.due_at)
        for name, fill in _BY_METER.items():
            held = getattr(self, name)
            setattr(self, name, np.concatenate((held, np.full(more, fill, held.dtype))))

    def forget(self, meters: Ints) -> None:
        """Drop everything about these meters."""
        self.shelves.clear(meters)
        for name, fill in _BY_METER.items():
            getattr(self, name)[meters] = fill

    def replace(self, meters: Ints, counts: Ints, rows: Rows, closed_until: Ints, anchor_since: Ints) -> None:
        """Give meters these points and anchors instead of what they had."""
        self.shelves.put(meters, counts, rows)
        self.closed_until[meters] = closed_until
        self.anchor_since[meters] = anchor_since
        self._consider(meters, counts, rows)

    def rescale(self, before: Ints, after: Ints, ratio: Floats) -> None:
        """Move meters to other numbers, and put their points on another multiplier.

        The register goes on in the meter's own units, so the change itself is no energy.
        """
        counts, rows = self.shelves.count[before], self.shelves.read(before)
        anchors = self.closed_until[before], self.anchor_since[before]
        self.forget(before)
        self.replace(after, counts, rescaled(rows, np.repeat(ratio, counts)), *anchors)

    def reanchor(self, meters: Ints, anchors: Rows, since: Ints) -> None:
        """Put other registers at the end of the last closed window of meters, which have such an anchor."""
        counts = self.shelves.count[meters]
        rows = self.shelves.read(meters)
        rows[starts_of(counts)] = anchors
        self.replace(meters, counts, rows, self.closed_until[meters], since)

    def split_late(self, meters: Ints, rows: Rows) -> tuple[Flags, Flags]:
        """Say which fresh points are in time, and which belong to windows that are closed already.

        So does a point in front of the first one behind the last closed window: the register at the end of that window
        was interpolated between its neighbours, and would go back at a point that does not lie on that line.
        A repetition of the anchor itself is neither: it is a harmless duplicate and left out.
        """
        late = rows["ts"] <= self.final_until[meters]
        in_time = ~late
        if late.any():
            behind = np.flatnonzero(late)
            owners, ts, kwh = meters[behind], rows["ts"][behind], rows["import_kwh"][behind]
            anchor_kwh = self.shelves.first(owners)["import_kwh"]
            same = (kwh == anchor_kwh) | (np.isnan(kwh) & np.isnan(anchor_kwh))
            late[behind] = ~(same & (ts == self.anchor_since[owners]) & (ts == self.closed_until[owners]))
        return in_time, late

    def add(self, meters: Ints, rows: Rows) -> None:
        """Add points in time, sorted by meter and `ts`; the first value of each measure of a moment wins.

        Where a meter sends registers, power-only samples do not cut its energy: registers know better.
        """
        meters, rows = one_per_moment(meters, rows)
        begins, counts = runs(meters)
        owners = meters[begins]
        held = self.shelves.count[owners]
        measured = _has_register(rows)
        all_measured = np.logical_and.reduceat(measured, begins) if len(begins) else np.zeros(0, np.bool_)
        none_measured = ~np.logical_or.reduceat(measured, begins) if len(begins) else all_measured
        newest = np.full(len(owners), UNKNOWN)
        newest[held > 0] = self.shelves.last(owners[held > 0])["ts"]
        fits = np.where(self._by_register[owners], all_measured, none_measured | (all_measured & (held == 0)))
        simple = fits & (rows["ts"][begins] > newest)
        if simple.all():
            self._append(owners, counts, rows)
            return
        mine = np.repeat(simple, counts)
        self._append(owners[simple], counts[simple], rows.take(np.flatnonzero(mine)))
        self._mix(owners[~simple], meters[~mine], rows.take(np.flatnonzero(~mine)))

    def closable(self, touched: Ints, now: int) -> Ints:
        """Return the meters with a window to close: of those touched, and of those that waited long enough.

        A meter's clock is the time of its newest reading plus what has passed since that reading arrived. What lies
        the lateness behind it is settled: no reading can come in between any more. Windows close up to the last
        settled reading, so that both ends of every segment they are made of are final.
        """
        waiting = touched[self._closing[touched] < NEVER]
        closing = waiting[self._closing[waiting] <= self.settled_until(waiting, now)]
        if now >= self._no_sooner:
            closing = np.union1d(closing, np.flatnonzero(self.due_at <= now))
        return closing

    @property
    def next_due(self) -> int | None:
        """Arrival time before which waiting alone lets no window close, None for never. [ms UTC]."""
        return None if self._no_sooner == NEVER else self._no_sooner

    def closed(self, now: int) -> None:
        """Note that everything due was closed."""
        if now >= self._no_sooner:
            self._no_sooner = int(self.due_at.min(initial=NEVER))

    def settled_until(self, meters: Ints, now: int) -> Ints:
        """Return up to when the readings of each meter are complete. [ms UTC]."""
        newest = self.shelves.last(meters)
        waited = np.maximum(now - newest["arrived_at"], 0)
        settled: Ints = np.minimum(newest["ts"], newest["ts"] + waited - self._lateness_ms)
        return settled

    def _append(self, owners: Ints, counts: Ints, rows: Rows) -> None:
        """Add points that are newer than all of their meter, and have registers if and only if those do."""
        if not len(owners):
            return
        held = self.shelves.count[owners]
        begins = starts_of(counts)
        new = held == 0
        first = owners[new]
        self._first_end[first] = _window_end(rows["ts"][begins[new]])
        self._by_register[first] = _has_register(rows.take(begins[new]))
        before_kwh = np.empty(len(owners))
        before_kwh[~new] = self.shelves.last(owners[~new])["import_kwh"]
        before_kwh[new] = rows["import_kwh"][begins[new]]
        self.is_steady[owners] = (self.is_steady[owners] | new) & _never_back(rows, begins, before_kwh)
        self.shelves.append(owners, counts, rows)
        self._plan(owners, counts, rows, self._closing[owners])

    def _mix(self, owners: Ints, meters: Ints, rows: Rows) -> None:
        """Add points in any order: merged with those that are there."""
        held = self.shelves.read(owners)
        place = np.concatenate(
            (np.repeat(np.arange(len(owners)), self.shelves.count[owners]), _place_in(owners, meters))
        )
        both = np.concatenate((held, rows))
        order = np.lexsort((both["ts"], place))
        place, both = one_per_moment(place[order], both.take(order))
        begins, counts = runs(place)
        measured = _has_register(both)
        any_measured = np.repeat(np.logical_or.reduceat(measured, begins), counts)
        anchor = np.zeros(len(both), np.bool_)
        anchor[begins] = self.closed_until[owners] > UNKNOWN
        keep = measured | anchor | ~any_measured
        place, both = place[keep], both[keep]
        _, counts = runs(place)
        self.replace(owners, counts, both, self.closed_until[owners], self.anchor_since[owners])

    def _consider(self, meters: Ints, counts: Ints, rows: Rows) -> None:
        """Work out everything that follows from the points of these meters."""
        for name in ("due_at", "_first_end", "_closing", "_by_register", "is_steady"):
            getattr(self, name)[meters] = _BY_METER[name]
        self.final_until[meters] = self.closed_until[meters]
        cut = np.flatnonzero((counts > 1) & (self.anchor_since[meters] < self.closed_until[meters]))
        self.final_until[meters[cut]] = rows["ts"][starts_of(counts)[cut] + 1] - 1
        some = counts > 0
        meters, counts = meters[some], counts[some]
        if not len(meters):
            return
        begins = starts_of(counts)
        self._first_end[meters] = _window_end(rows["ts"][begins])
        self._by_register[meters] = np.logical_or.reduceat(_has_register(rows), begins)
        self.is_steady[meters] = _never_back(rows, begins, rows["import_kwh"][begins])
        self._plan(meters, counts, rows, np.full(len(meters), NEVER))

    def _plan(self, meters: Ints, counts: Ints, rows: Rows, closing: Ints) -> None:
        """Work out when these meters are due, from points in order of which the last one is their newest."""
        begins = starts_of(counts)
        behind = rows["ts"] >= np.repeat(self._first_end[meters], counts)
        first_behind = np.minimum.reduceat(np.where(behind, rows["ts"], NEVER), begins)
        closing = np.minimum(closing, first_behind)
        newest = rows.take(begins + counts - 1)
        wait = newest["arrived_at"] - newest["ts"] + self._lateness_ms
        due_at = np.where(closing < NEVER, closing + wait, NEVER)
        self._closing[meters] = closing
        self.due_at[meters] = due_at
        self._no_sooner = min(self._no_sooner, int(due_at.min(initial=NEVER)))


_BY_METER: dict[str, int] = {
    "closed_until": UNKNOWN,
    "anchor_since": UNKNOWN,
    "final_until": UNKNOWN,
    "due_at": NEVER,
    "_first_end": NEVER,
    "_closing": NEVER,
    "_by_register": False,
    "is_steady": False,
}


def rescaled(rows: Rows, ratio: Floats) -> Rows:
    """Return the points with every measure multiplied."""
    scaled = rows.copy()
    for measure in MEASURES:
        scaled[measure] *= ratio
    return scaled


def without_holes(rows: Rows, begins: Ints, counts: Ints, by_interval: Flags) -> Rows:
    """Interpolate a register where the meter sent the other one alone; what meters send by interval is left as it is.

    The result is used and not kept: a reading may still arrive between two points.
    """
    filled = rows
    for name in ("import_kwh", "export_kwh", "import_kvarh"):
        known = ~np.isnan(rows[name])
        if known.all() or not known.any():
            continue
        place = np.arange(len(rows))
        before = np.maximum.accumulate(np.where(known, place, -1))
        after = np.minimum.accumulate(np.where(known, place, len(rows))[::-1])[::-1]
        own = np.repeat(begins, counts), np.repeat(begins + counts, counts)
        holes = np.flatnonzero(~known & (before >= own[0]) & (after < own[1]) & ~np.repeat(by_interval, counts))
        if not len(holes):
            continue
        a, b = rows.take(before[holes]), rows.take(after[holes])
        slope = (b[name] - a[name]) / (b["ts"] - a["ts"])
        filled = filled.copy() if filled is rows else filled
        filled[name][holes] = a[name] + slope * (rows["ts"][holes] - a["ts"])
    return filled


def one_per_moment(meters: Ints, rows: Rows) -> tuple[Ints, Rows]:
    """Merge sorted points of the same meter and moment: of each measure the first that is not null."""
    same = (meters[1:] == meters[:-1]) & (rows["ts"][1:] == rows["ts"][:-1])
    if not same.any():
        return meters, rows
    # Gateways that send one measure a message stamp them alike, so a repetition may bring what was missing.
    begins = np.concatenate(([0], np.flatnonzero(~same) + 1))
    merged = rows[begins]
    place = np.arange(len(rows))
    for measure in MEASURES:
        found = np.minimum.reduceat(np.where(np.isnan(rows[measure]), len(rows), place), begins)
        known = found < len(rows)
        merged[measure][known] = rows[measure][found[known]]
    return meters[begins], merged


def _has_register(rows: Rows) -> Flags:
    has: Flags = ~(np.isnan(rows["import_kwh"]) & np.isnan(rows["export_kwh"]))
    return has


def _never_back(rows: Rows, begins: Ints, before_kwh: Floats) -> Flags:
    """Whether each meter's import registers are all known and never below the one before."""
    kwh = np.ascontiguousarray(rows["import_kwh"])
    step = np.empty(len(kwh))
    step[1:] = kwh[1:] - kwh[:-1]
    step[begins] = kwh[begins] - before_kwh
    never: Flags = np.logical_and.reduceat(step >= 0, begins)
    return never


def _window_end(ts: Ints) -> Ints:
    return (ts // WINDOW_MS + 1) * WINDOW_MS


def _place_in(owners: Ints, meters: Ints) -> Ints:
    """Return the place of each meter among the owners."""
    order = np.argsort(owners)
    return order[np.searchsorted(owners, meters, sorter=order)]


def _filled(size: int, value: int) -> Ints:
    return np.full(size, value, np.int64)


def sorted_by_moment(order: Ints, ts: Ints) -> Ints:
    """Return the order by meter and time in which what is equal keeps its order."""
    by_both: Ints = np.lexsort((ts, order))
    return by_both
