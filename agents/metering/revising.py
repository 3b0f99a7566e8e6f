"""Revising closed windows: readings that come late for a pause make its windows what they should have been."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.metering.closing import Stretches, anchors_of, segments, windows_of
from agents.metering.meters import Meters
from agents.metering.past import BEGINS, LINKED, PAST, REVISED, Past, holes_before, keyed, strips_of
from agents.metering.points import Points, without_holes
from agents.metering.ragged import Flags, Ints, Rows, runs
from agents.metering.shelves import POINT
from agents.metering.turning import REGISTERS
from schemas.window import WINDOW_MS


@dataclass(frozen=True, slots=True)
class Revised:
    """What follows from late readings.

    Parameters
    ----------
    windows
        `schemas.window.WINDOW_ROWS`, revised.
    before
        What these windows were: `import_kwh` and `export_kwh`, null where there was none.
    spans
        Row of `ranges` each window is in.
    meters
        The meter of each range.
    ranges
        Windows that were revised together: `REVISED`.
    rows
        The late readings.
    range_of
        Row of `ranges` each late reading is in.
    """

    windows: pl.DataFrame
    before: pl.DataFrame
    spans: Ints
    meters: Ints
    ranges: Rows
    rows: Rows
    range_of: Ints


@dataclass(frozen=True, slots=True)
class Holes:
    """Where fresh readings fit into the strips of their meters."""

    owners: Ints
    place: Ints  # of the owner of each held point
    held: Rows
    fitting: Ints  # which of the fresh readings fit
    at: Ints  # the held point each of these comes before
    place_of: Ints  # of the owner of each of these

    def hold(self, closed_until: Ints) -> Flags:
        """Whether the end of its owner's last closed window lies in the pause each one fits into.

        Then that end is interpolated anew. The pause need not be the last of its strip: readings may have come in time
        behind that end.
        """
        end = closed_until[self.place_of]
        holding: Flags = (self.held["ts"][self.at - 1] < end) & (end < self.held["ts"][self.at])
        return holding


def fitting(past: Past, known: Meters, meters: Ints, rows: Rows) -> Holes | None:
    """Find the readings that fit into pauses.

    A reading fits if the registers allow it: not below the reading before the pause, nor above the one behind it. The
    energy of an interval always fits.

    Parameters
    ----------
    past
        Strips.
    known
        Descriptions of the meters.
    meters
        The meter of each reading.
    rows
        Readings, by meter and in order of time, one for a moment.
    """
    mine = np.flatnonzero(past.points.count[meters])
    if not len(mine):
        return None
    begins, counts = runs(meters[mine])
    owners, place_of = meters[mine][begins], np.repeat(np.arange(len(begins)), counts)
    held = past.points.read(owners)
    place = np.repeat(np.arange(len(owners)), past.points.count[owners])
    keys = keyed(place, held["ts"])
    at = np.searchsorted(keys, keyed(place_of, rows["ts"][mine]), "left")
    inside = (at > 0) & (at < len(held))
    at = np.where(inside, at, 0)
    inside &= (place[at] == place_of) & (place[at - 1] == place_of) & (held["begins"][at] == LINKED)
    inside &= held["ts"][at] > rows["ts"][mine]
    inside &= held["ts"][at] - held["since"][at - 1] > known.config(owners)["max_gap_ms"][place_of]
    chosen = np.flatnonzero(inside)
    by_interval = known.config(owners)["by_interval"][place_of] == 1
    allowed = _allowed(held.take(at[chosen] - 1), held.take(at[chosen]), rows.take(mine[chosen]))
    chosen = chosen[by_interval[chosen] | allowed]
    chosen = chosen[by_interval[chosen] | _never_back(at[chosen], rows.take(mine[chosen]))]
    if not len(chosen):
        return None
    return Holes(owners, place, held, mine[chosen], at[chosen], place_of[chosen])


def revised(holes: Holes, past: Past, points: Points, known: Meters, fresh: Rows) -> Revised:
    """Put readings into pauses, and compute the windows of these anew.

    Parameters
    ----------
    holes
        Where they fit.
    past
        Strips; they are brought up to date.
    points
        Points; where a pause reaches beyond the last closed window, its end is interpolated anew.
    known
        Descriptions of the meters.
    fresh
        The readings `holes` were found for.
    """
    owners, closed_until = holes.owners, points.closed_until[holes.owners]
    late = np.zeros(len(holes.fitting), PAST)
    for name in POINT.names or ():
        late[name] = fresh[name][holes.fitting]
    late["since"] = late["ts"]
    ranges, range_place, range_of = _ranges(holes, closed_until)
    place = np.insert(holes.place, holes.at, holes.place_of)
    whole = np.insert(holes.held, holes.at, late)
    before, _ = _windows(holes.place, holes.held, owners, closed_until, known)
    after, ends = _windows(place, whole, owners, closed_until, known)
    moves = np.isin(ends.place, holes.place_of[holes.hold(closed_until)])
    points.reanchor(owners[ends.place[moves]], ends.anchors[moves], ends.since[moves])
    marked = _Marked(ranges, range_place, late, range_of)
    found = _said_anew(past, owners, marked, before, after)
    past.store(owners, place, whole, known.config(owners))
    return found


class _Marked(NamedTuple):
    """Windows that change together, and because of which readings."""

    ranges: Rows  # REVISED, sorted by place and time
    place: Ints  # of the owner of each
    rows: Rows
    range_of: Ints  # the range of each of these readings


def _said_anew(past: Past, owners: Ints, marked: _Marked, before: pl.DataFrame, after: pl.DataFrame) -> Revised:
    """Give the windows of ranges another revision."""
    # Closed windows only: one that is still open has no revision yet.
    is_closed = marked.ranges["window_from"] < marked.ranges["window_until"]
    ranges, place = marked.ranges[is_closed], marked.place[is_closed]
    past.mark(owners, place, ranges)
    starts = after["window_start"].dt.epoch("ms").to_numpy()
    keys = keyed(after["place"].to_numpy(), starts)
    span = np.searchsorted(keyed(place, ranges["window_from"]), keys, "right") - 1
    until = keyed(place, ranges["window_until"])
    within = (span >= 0) & (keys < until[span]) if len(ranges) else np.zeros(len(keys), np.bool_)
    mine = np.flatnonzero(within)
    windows = after[mine]
    times = past.revisions(owners, windows["place"].to_numpy(), starts[mine])
    was = windows.select("place", "window_start").join(
        before.select("place", "window_start", "import_kwh", "export_kwh"),
        on=["place", "window_start"],
        how="left",
        maintain_order="left",
    )
    windows = windows.with_columns(
        revision=pl.Series(times.astype(np.int32)), previous_import_kwh=was["import_kwh"]
    ).drop("place")
    # Readings count from the first closed range on.
    number = np.cumsum(is_closed) - 1
    closed = np.flatnonzero(is_closed[marked.range_of])
    return Revised(
        windows,
        was.select("import_kwh", "export_kwh"),
        span[mine],
        owners[place],
        ranges,
        marked.rows.take(closed),
        number[marked.range_of[closed]],
    )


class Undeclared(NamedTuple):
    """Meters whose swaps are about to change, and what their windows were until now."""

    meters: Ints
    windows: pl.DataFrame


def undeclared(past: Past, points: Points, known: Meters, meters: Ints) -> Undeclared:
    """Compute the windows of strips before other swaps are known.

    Parameters
    ----------
    past
        Strips.
    points
        Points.
    known
        Descriptions of the meters, with the swaps known so far.
    meters
        Meters whose swaps change, ascending.
    """
    meters = meters[past.points.count[meters] > 0]
    place = np.repeat(np.arange(len(meters)), past.points.count[meters])
    held, closed_until = past.points.read(meters), points.closed_until[meters]
    return Undeclared(meters, _windows(place, held, meters, closed_until, known)[0])


def declared(old: Undeclared, past: Past, points: Points, known: Meters) -> Revised | None:
    """Compute the windows of holes anew in which a swap was declared.

    Parameters
    ----------
    old
        What `undeclared` said, with the numbers the meters have now.
    past
        Strips.
    points
        Points; where a swap reaches beyond the last closed window, its end is interpolated anew.
    known
        Descriptions of the meters, with their swaps.
    """
    owners = old.meters
    counts, held = past.points.count[owners], past.points.read(owners)
    place, closed_until = np.repeat(np.arange(len(owners)), counts), points.closed_until[owners]
    b = np.flatnonzero(holes_before(place, held, known.config(owners)))
    swapped = [
        any(held["ts"][at - 1] < swap.at_ms <= held["ts"][at] for swap in known.swaps.get(int(owners[place[at]]), ()))
        for at in b.tolist()
    ]
    b = b[np.array(swapped, np.bool_)]
    if not len(b):
        return None
    holes = Holes(owners, place, held, b, b, place[b])
    ranges, range_place, range_of = _ranges(holes, closed_until)
    after, ends = _windows(place, held, owners, closed_until, known)
    moves = np.isin(ends.place, holes.place_of[holes.hold(closed_until)])
    points.reanchor(owners[ends.place[moves]], ends.anchors[moves], ends.since[moves])
    return _said_anew(past, owners, _Marked(ranges, range_place, held.take(b), range_of), old.windows, after)


@dataclass(frozen=True, slots=True)
class _Ends:
    """Points at the end of the last closed window of meters whose strip reaches beyond it."""

    place: Ints
    anchors: Rows  # POINT
    since: Ints


def _windows(place: Ints, rows: Rows, owners: Ints, closed_until: Ints, known: Meters) -> tuple[pl.DataFrame, _Ends]:
    """Compute all closed windows of strips: with the place of their owner, sorted by it and time."""
    strip = strips_of(place, rows)
    begins, counts = runs(strip)
    owner = place[begins]
    last_ts = rows["ts"][begins + counts - 1]
    close_to = np.minimum(last_ts // WINDOW_MS * WINDOW_MS, closed_until[owner])
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN is null, and arithmetic on it is meant
        whole = without_holes(rows, begins, counts, known.config(owners[owner])["by_interval"] == 1)
        due = segments(Stretches(owners[owner], counts, whole, rows["since"], close_to), known)
        windows, at = windows_of(due, owners[owner], known)
        last = np.flatnonzero(np.append(due.place[1:] != due.place[:-1], True)) if len(due.place) else due.place
        reaching = last[last_ts[due.place[last]] > closed_until[owner[due.place[last]]]]
        anchors, since = anchors_of(due, reaching)
    # A strip that begins within a minute does not have all of it.
    first = rows["ts"][begins]
    whole_from = np.where(rows["begins"][begins] == BEGINS, -(-first // WINDOW_MS) * WINDOW_MS, 0)
    windows = windows.with_columns(place=pl.Series(owner[at]))
    has_all = windows["window_start"].dt.epoch("ms").to_numpy() >= whole_from[at]
    plain = np.zeros(len(anchors), POINT)
    for name in POINT.names or ():
        plain[name] = anchors[name]
    return windows.filter(pl.Series(has_all)), _Ends(owner[due.place[reaching]], plain, since)


def _ranges(holes: Holes, closed_until: Ints) -> tuple[Rows, Ints, Ints]:
    """Return the windows that change: ranges, the place of the owner of each, and the range of each late reading."""
    a, b = holes.held.take(holes.at - 1), holes.held.take(holes.at)
    window_from = a["ts"] // WINDOW_MS * WINDOW_MS
    window_until = np.minimum(-(-b["ts"] // WINDOW_MS) * WINDOW_MS, closed_until[holes.place_of])
    # Readings of one pause, and of pauses that meet in a minute, are one correction.
    begins = np.ones(len(window_from), np.bool_)
    begins[1:] = (holes.place_of[1:] != holes.place_of[:-1]) | (window_from[1:] >= window_until[:-1])
    begins[1:] &= holes.at[1:] != holes.at[:-1]
    firsts = np.flatnonzero(begins)
    found = np.zeros(len(firsts), REVISED)
    found["window_from"] = window_from[firsts]
    found["window_until"] = np.maximum.reduceat(window_until, firsts)
    return found, holes.place_of[firsts], np.cumsum(begins) - 1


def _allowed(a: Rows, b: Rows, rows: Rows) -> Flags:
    """Whether readings lie between what the registers showed on both sides."""
    by_register = np.zeros(len(rows), np.bool_)
    has_register = np.zeros(len(rows), np.bool_)
    allowed = np.ones(len(rows), np.bool_)
    for name in REGISTERS:
        by_register |= ~np.isnan(a[name]) | ~np.isnan(b[name])
        has_register |= ~np.isnan(rows[name])
        allowed &= ~(rows[name] < a[name]) & ~(rows[name] > b[name])
    return allowed & (has_register | ~by_register)


def _never_back(at: Ints, rows: Rows) -> Flags:
    """Leave out readings below one before them in the same pause."""
    keep = np.ones(len(rows), np.bool_)
    for name in REGISTERS:
        back = (at[1:] == at[:-1]) & (rows[name][1:] < rows[name][:-1])
        if not back.any():
            continue
        for hole in np.unique(at[1:][back]).tolist():
            mine = np.flatnonzero(at == hole)
            highest = np.fmax.accumulate(rows[name][mine])
            keep[mine] &= ~(rows[name][mine] < highest)
    return keep
