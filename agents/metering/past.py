"""What is kept of closed windows that may be revised: the readings around every hole, for a while.

A window between readings that came in time is final. One in a pause is an estimate, until readings of the pause come
late; where a register went back its energy is not known, until a swap is declared. These are **holes**, and only they
have to be kept, with the readings from the last one before the minute a hole begins in to the first one behind the
minute it ends in: such a **strip** has all that its windows are made of. A meter that misses nothing costs nothing.
"""

from typing import NamedTuple

import numpy as np

from agents.metering.points import MEASURES
from agents.metering.ragged import Flags, Floats, Ints, Rows, runs, starts_of
from agents.metering.shelves import POINT, Shelves
from schemas.window import WINDOW_MS

# A point of a strip.
PAST = np.dtype(
    [
        *((name, POINT[name]) for name in POINT.names or ()),
        ("since", "<i8"),  # time of the real reading it was interpolated from, its own if it was not [ms UTC]
        ("begins", "<i8"),  # LINKED, BEGINS or FIRST
    ]
)
LINKED, BEGINS, FIRST = range(3)  # follows the point before it; begins a strip; the first reading there ever was

# Windows that were revised together: each time one is, its revision is one higher.
REVISED = np.dtype([("window_from", "<i8"), ("window_until", "<i8")])

# A meter that always pauses has all its windows estimated; more of them than this need not be revised. [points]
_ROOM = 1_024

_SHIFT = 42  # bits of a time in milliseconds, until the year 2109


def keyed(place: Ints, ts: Ints) -> Ints:
    """Return numbers in the order of place and time."""
    return (place << _SHIFT) + ts


class Kept(NamedTuple):
    """Points of windows that close, from the end of the last closed window to the first point behind them.

    Parameters
    ----------
    counts
        How many points each meter has.
    rows
        The points, one meter's after another's.
    since
        Time of the real reading the first point of each was interpolated from. [ms UTC]
    anchored
        Whether there is a closed window before the first point.
    """

    counts: Ints
    rows: Rows
    since: Ints
    anchored: Flags


class Past:
    """Strips of meters, by the meter's number.

    Parameters
    ----------
    horizon_ms
        How far behind a meter's newest reading its strips reach. [ms]
    """

    def __init__(self, horizon_ms: int) -> None:
        self._horizon_ms = horizon_ms
        self.points = Shelves(PAST)
        self.revised = Shelves(REVISED)

    @property
    def nbytes(self) -> int:
        """Memory held. [bytes]."""
        return self.points.nbytes + self.revised.nbytes

    def welcome(self, meters: Ints) -> None:
        """Prepare for meters."""
        for shelves in (self.points, self.revised):
            shelves.welcome(meters, np.zeros(len(meters), np.int64))

    def forget(self, meters: Ints) -> None:
        """Drop everything about these meters."""
        self.points.clear(meters)
        self.revised.clear(meters)

    def move(self, before: Ints, after: Ints, ratio: Floats) -> None:
        """Give meters other numbers and another multiplier."""
        held = self.points.count[before] > 0
        if not held.any():
            return
        before, after, ratio = before[held], after[held], ratio[held]
        counts, rows = self.points.count[before], self.points.read(before).copy()
        for measure in MEASURES:
            rows[measure] *= np.repeat(ratio, counts)
        times = self.revised.count[before], self.revised.read(before)
        self.forget(before)
        self.points.put(after, counts, rows)
        self.revised.put(after, *times)

    def reaching(self, meters: Ints, until: Ints) -> Flags:
        """Say which meters have a strip that reaches beyond a moment. [ms UTC]"""
        reaches = self.points.count[meters] > 0
        some = np.flatnonzero(reaches)
        if len(some):
            reaches[some] = self.points.last(meters[some])["ts"] > until[some]
        return reaches

    def remember(self, meters: Ints, kept: Kept, config: Rows) -> None:
        """Keep what windows that close now are made of, where there is a hole among it.

        Parameters
        ----------
        meters
            Meters with a hole in the windows that close.
        kept
            Their points.
        config
            What the registry says about each of them, `agents.metering.meters`.
        """
        counts, rows, since, anchored = kept
        begins = starts_of(counts)
        fresh = np.zeros(len(rows), PAST)
        for name in POINT.names or ():
            fresh[name] = rows[name]
        fresh["since"] = rows["ts"]
        fresh["since"][begins] = since
        fresh["begins"][begins] = np.where(anchored, BEGINS, FIRST)
        place = np.repeat(np.arange(len(meters)), counts)
        held_counts = self.points.count[meters]
        held = self.points.read(meters)
        held_place = np.repeat(np.arange(len(meters)), held_counts)
        first_ts = rows["ts"][begins]
        newest = np.zeros(len(meters), np.int64)
        some = np.flatnonzero(held_counts)
        newest[some] = self.points.last(meters[some])["ts"]
        # A strip that reaches the end of the last closed window goes on. Its last point may lie behind that end, where
        # the open points know better; the interpolated point at the end says nothing if it lies in a hole.
        goes_on = anchored & (newest >= first_ts)
        keep_held = ~goes_on[held_place] | (held["ts"] <= first_ts[held_place])
        known = np.zeros(len(meters), np.bool_)
        same = np.flatnonzero(held["ts"] == first_ts[held_place])
        known[held_place[same]] = True
        drop = np.zeros(len(rows), np.bool_)
        over_first = holes_before(held_place, held, config) & (held["ts"] > first_ts[held_place])
        in_hole = np.zeros(len(meters), np.bool_)
        in_hole[held_place[over_first]] = True
        # Of a meter that sends intervals, a point is the interval that ends there: one within an interval is none.
        drop[begins] = goes_on & (in_hole | known | (config["by_interval"] == 1))
        fresh["begins"][begins[goes_on]] = LINKED
        both = np.concatenate((held[keep_held], fresh[~drop]))
        owner = np.concatenate((held_place[keep_held], place[~drop]))
        order = np.argsort(owner, kind="stable")
        self.store(meters, owner[order], both.take(order), config)

    def store(self, meters: Ints, place: Ints, rows: Rows, config: Rows) -> None:
        """Keep strips instead of what was kept of these meters.

        Parameters
        ----------
        meters
            The meters.
        place
            Which of them each point is of, ascending.
        rows
            `PAST`, in order of time.
        config
            What the registry says about each meter: only points around its pauses are kept.
        """
        newest = np.zeros(len(meters), np.int64)
        newest[place] = rows["ts"]  # the last one counts
        counts = np.bincount(place, minlength=len(meters))
        from_end = (np.cumsum(counts))[place] - np.arange(len(rows))
        keep = (rows["ts"] >= (newest - self._horizon_ms)[place]) & (from_end <= _ROOM)
        keep &= _near_pauses(place, rows, config)
        cut = np.empty(len(rows), np.bool_)
        cut[:1] = False
        cut[1:] = ~keep[:-1]
        rows = rows.copy()
        rows["begins"] = np.where(cut & (rows["begins"] == LINKED), BEGINS, rows["begins"])
        self.points.put(meters, np.bincount(place[keep], minlength=len(meters)), rows[keep])
        self._forget_revised(meters, newest - self._horizon_ms)

    def mark(self, meters: Ints, place: Ints, marks: Rows) -> None:
        """Note windows that were revised: `REVISED`, sorted by the place of their meter."""
        held, counts = self.revised.read(meters), self.revised.count[meters]
        owner = np.concatenate((np.repeat(np.arange(len(meters)), counts), place))
        both = np.concatenate((held, marks))
        order = np.argsort(owner, kind="stable")
        self.revised.put(meters, np.bincount(owner, minlength=len(meters)), both.take(order))

    def revisions(self, meters: Ints, place: Ints, starts: Ints) -> Ints:
        """Return how often windows were revised, from the place of their meter among these and their start. [ms UTC]"""
        counts = self.revised.count[meters]
        marks, owner = self.revised.read(meters), np.repeat(np.arange(len(meters)), counts)
        begun = np.sort(keyed(owner, marks["window_from"]))
        ended = np.sort(keyed(owner, marks["window_until"]))
        at = keyed(place, starts)
        times: Ints = np.searchsorted(begun, at, "right") - np.searchsorted(ended, at, "right")
        return times

    def _forget_revised(self, meters: Ints, before: Ints) -> None:
        counts = self.revised.count[meters]
        if not counts.any():
            return
        marks, owner = self.revised.read(meters), np.repeat(np.arange(len(meters)), counts)
        keep = marks["window_until"] > before[owner]
        if not keep.all():
            self.revised.put(meters, np.bincount(owner[keep], minlength=len(meters)), marks[keep])


def holes_before(place: Ints, rows: Rows, config: Rows) -> Flags:
    """Say of every point whether between it and the one before it in its strip is a pause, or a register went back."""
    hole = np.zeros(len(rows), np.bool_)
    linked = (place[1:] == place[:-1]) & (rows["begins"][1:] == LINKED)
    unsure = rows["ts"][1:] - rows["since"][:-1] > config["max_gap_ms"][place[1:]]
    has_registers = config["by_interval"][place[1:]] == 0
    for name in ("import_kwh", "export_kwh"):
        unsure |= has_registers & (rows[name][1:] < rows[name][:-1])
    hole[1:] = linked & unsure
    return hole


def strips_of(place: Ints, rows: Rows) -> Ints:
    """Return the number of the strip of each point."""
    begins = rows["begins"] != LINKED
    begins[runs(place)[0]] = True
    strips: Ints = np.cumsum(begins) - 1
    return strips


def _near_pauses(place: Ints, rows: Rows, config: Rows) -> Flags:
    """Say which points the windows of pauses are made of."""
    strip = strips_of(place, rows)
    after = np.flatnonzero(holes_before(place, rows, config))
    if not len(after):
        return np.zeros(len(rows), np.bool_)
    ts = rows["ts"]
    same = strip[1:] == strip[:-1]
    before_ts, behind_ts = np.zeros(len(rows), np.int64), np.full(len(rows), (1 << _SHIFT) - 1)
    before_ts[1:][same] = ts[:-1][same]
    behind_ts[:-1][same] = ts[1:][same]
    low = keyed(strip[after], ts[after - 1] // WINDOW_MS * WINDOW_MS)
    high = -(-ts[after] // WINDOW_MS) * WINDOW_MS
    # Of the pauses that begin before the next point, the last one ends latest: it has to end behind the point before.
    last = np.searchsorted(low, keyed(strip, behind_ts), "left") - 1
    found = last >= 0
    near: Flags = found & (strip[after[last]] == strip) & (high[last] > before_ts)
    return near
