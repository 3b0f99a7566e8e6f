"""Closing windows: points of many meters become energy per meter and minute, all at once.

Every interval between two consecutive points of a meter (a segment) has a known energy; a window gets the share of each
segment that lies inside it. So the windows of a meter add up to the difference of its registers, and nothing depends
on how the readings were batched or in which order they came.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.metering.energy import drawn_kwh, interval_left, register_at, share_of_energy
from agents.metering.meters import Meters
from agents.metering.past import Kept, Past
from agents.metering.points import UNKNOWN, Points, without_holes
from agents.metering.ragged import Flags, Floats, Ints, Rows, ranges, starts_of
from agents.metering.shelves import assign
from agents.metering.turning import FAULT, NOTHING, RESET, ROLLOVER, judged
from schemas.reading import TIMESTAMP
from schemas.window import WINDOW_MS, WINDOW_ROWS, WINDOW_S, Quality

_QUALITIES = pl.Series([Quality.MEASURED.value, Quality.PARTIAL.value, Quality.ESTIMATED.value], dtype=pl.String)
_MEASURED, _PARTIAL, _ESTIMATED = range(3)
_UNKNOWN = pl.Series([None], dtype=pl.Float64)


@dataclass(frozen=True, slots=True)
class Turned:
    """Intervals in which a register did not simply go on."""

    meters: Ints
    how: Ints  # `agents.metering.turning`
    a: Rows  # the readings before ...
    b: Rows  # ... and after
    import_kwh: Floats  # NaN where it is not known
    export_kwh: Floats


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing gives: windows, and where a register did not simply go on."""

    windows: pl.DataFrame  # schemas.window.WINDOW_ROWS, sorted by site, meter and window
    metered: Ints  # the meter of each window
    turned: Turned
    due: "Segments"  # pairs of points they were made of; `place` is that of the meter among those that closed

    @property
    def back(self) -> tuple[Ints, Rows]:
        """The readings at which a register went back, nobody knows why, and their meters."""
        fault = np.flatnonzero(self.turned.how == FAULT)
        return self.turned.meters[fault], self.turned.b.take(fault)


class Stretches(NamedTuple):
    """Points of meters, one meter's after another's, and up to where windows close.

    Parameters
    ----------
    meters
        The meters; one may be there more than once.
    counts
        How many points each has.
    rows
        The points.
    since
        Time of the real reading a point was interpolated from, its own if it was not. [ms UTC]
    close_to
        Up to where each one's windows close; its last point is not before it. [ms UTC]
    """

    meters: Ints
    counts: Ints
    rows: Rows
    since: Ints
    close_to: Ints


@dataclass(frozen=True, slots=True)
class Segments:
    """Pairs of consecutive points of a meter, from `a` to `b`, that begin before the meter's `close_to`."""

    place: Ints  # of the meter among those that close
    a: Rows
    b: Rows
    dt: Floats  # [ms]
    since: Ints  # time of the real reading `a` was interpolated from [ms UTC]
    close_to: Ints  # [ms UTC]
    gap: Flags  # its energy is not known in time
    hole: Flags  # something that comes later may revise it
    by_power: Flags
    how: Ints  # what the registers did, `agents.metering.turning`
    import_e: Floats  # [kWh], NaN where nothing is known
    export_e: Floats
    reactive_e: Floats | None  # [kvarh], None where none is measured


def close(points: Points, past: Past, known: Meters, meters: Ints, now: int) -> Closed:
    """Close all windows of these meters up to their last settled reading, and keep what later windows need.

    Parameters
    ----------
    points
        Points; those that are used up are taken out.
    past
        Where those around pauses are kept.
    known
        Descriptions of the meters.
    meters
        Meters with at least one window to close, in the order of the output.
    now
        Arrival time of the tick. [ms UTC]
    """
    by_interval = known.config(meters)["by_interval"] == 1
    rows, counts = _whole(points, known, meters, by_interval)
    begins = starts_of(counts)
    settled = rows["ts"] <= np.repeat(points.settled_until(meters, now), counts)
    close_to = np.maximum.reduceat(np.where(settled, rows["ts"], UNKNOWN), begins) // WINDOW_MS * WINDOW_MS
    whole = without_holes(rows, begins, counts, by_interval)
    since = rows["ts"].copy()
    anchored = points.closed_until[meters] > UNKNOWN
    since[begins[anchored]] = points.anchor_since[meters[anchored]]
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN is null, and arithmetic on it is meant
        due = segments(Stretches(meters, counts, whole, since, close_to), known)
        windows, place = windows_of(due, meters, known)
        # Where a register went back over the end of the last closed window, the rest of it closes now.
        holes = past.reaching(meters, points.closed_until[meters])
        holes[due.place[due.hole]] = True
        closing = Stretches(meters, counts, rows, since, close_to)
        if holes.any():
            _remember(past, known, closing, anchored, _Holes(np.flatnonzero(holes), due.place))
        _keep(points, closing, due)
    at = np.flatnonzero(due.how)
    turned = Turned(
        meters[due.place[at]], due.how[at], due.a.take(at), due.b.take(at), due.import_e[at], due.export_e[at]
    )
    return Closed(windows, meters[place], turned, due)


class _Holes(NamedTuple):
    """Which meters have a hole in the windows that close."""

    owners: Ints  # their places
    place: Ints  # of the meter of each segment


def segments(stretches: Stretches, known: Meters) -> Segments:
    """Pair every point before `close_to` with the next one of its meter.

    Of a meter that sends intervals, a segment is the interval that ends at its later point, or what earlier windows
    left of it. What lies between an interval and the one before is in no segment, and its energy is not known.
    """
    meters, counts, whole, since, close_to = stretches
    place = np.repeat(np.arange(len(counts)), counts)
    # The last point of a meter is never before its `close_to`, so every pair is of one meter.
    first = np.flatnonzero(whole["ts"] < close_to[place])
    place = place[first]
    a, b, since = whole.take(first), whole.take(first + 1), since[first]
    dt = (b["ts"] - a["ts"]).astype(np.float64)
    gap = b["ts"] - since > known.config(meters)["max_gap_ms"][place]
    registers = (a["import_kwh"], b["import_kwh"], a["export_kwh"], b["export_kwh"])
    by_power = np.logical_and.reduce([np.isnan(register) for register in registers])
    turns = judged(a, b, since == a["ts"], meters[place], known)
    import_e, export_e, reactive_e = turns.import_kwh, turns.export_kwh, _reactive(a, b, turns.how)
    hole = gap | (turns.how >= RESET)
    by_interval = np.flatnonzero(known.config(meters)["by_interval"][place])
    if len(by_interval):
        turns.how[by_interval] = NOTHING
        hole[by_interval] = gap[by_interval]
        gap[by_interval] = False
        length = known.config(meters)["interval_ms"][place[by_interval]]
        begins, left = interval_left(a["ts"][by_interval], b["ts"][by_interval], since[by_interval], length)
        a = a.copy()
        a["ts"][by_interval], dt[by_interval] = begins, (b["ts"][by_interval] - begins).astype(np.float64)
        import_e[by_interval] = b["import_kwh"][by_interval] * left
        export_e[by_interval] = b["export_kwh"][by_interval] * left
        if reactive_e is not None:
            reactive_e[by_interval] = np.nan
    if by_power.any():
        drawn = drawn_kwh(a["power_kw"], b["power_kw"], dt)
        import_e = np.where(by_power, np.where(gap, np.nan, drawn), import_e)
    return Segments(
        place,
        a,
        b,
        dt,
        since,
        close_to[place],
        gap,
        hole,
        by_power,
        turns.how,
        import_e,
        export_e,
        reactive_e,
    )


def _reactive(a: Rows, b: Rows, how: Ints) -> Floats | None:
    """Reactive energy of segments: not known where its register goes back, or counts for another meter. [kvarh]"""
    energy: Floats = b["import_kvarh"] - a["import_kvarh"]
    if np.isnan(energy).all():
        return None
    energy[(energy < 0) | ((how != NOTHING) & (how != ROLLOVER))] = np.nan
    return energy


def windows_of(due: Segments, meters: Ints, known: Meters) -> tuple[pl.DataFrame, Ints]:
    """Share segments out to windows; return these and the place of the meter of each."""
    used = np.flatnonzero(~(np.isnan(due.import_e) & np.isnan(due.export_e)))
    end = np.minimum(due.b["ts"], due.close_to)[used]
    first = due.a["ts"][used] // WINDOW_MS
    pieces = -(-end // WINDOW_MS) - first
    # From here on one row per part: what one window has of one segment.
    of = np.repeat(used, pieces)
    start = ranges(first, pieces) * WINDOW_MS
    a_ts, dt = due.a["ts"][of], due.dt[of]
    begins = np.maximum(a_ts, start)
    ends = np.minimum(np.repeat(end, pieces), start + WINDOW_MS)
    part = (ends - begins).astype(np.float64)
    import_part = share_of_energy(due.import_e[of], part, dt)
    export_part = share_of_energy(due.export_e[of], part, dt)
    by_power = due.by_power[of]
    if by_power.any():
        a_kw, b_kw = due.a["power_kw"][of], due.b["power_kw"][of]
        begins_kw = register_at(a_kw, b_kw, (begins - a_ts) / dt)
        ends_kw = register_at(a_kw, b_kw, (ends - a_ts) / dt)
        # Said of the part and not of its segment, so that it makes no difference where earlier windows cut it.
        delivers = np.minimum(begins_kw, ends_kw) < 0
        delivered = np.where(delivers, drawn_kwh(-begins_kw, -ends_kw, part), np.nan)
        import_part = np.where(by_power, drawn_kwh(begins_kw, ends_kw, part), import_part)
        export_part = np.where(by_power, delivered, export_part)
    # Parts of a window lie side by side, because segments are in order of time.
    if not len(of):
        return pl.DataFrame(schema=WINDOW_ROWS), due.place[:0]
    place = due.place[of]
    firsts = np.flatnonzero(np.append(True, (place[1:] != place[:-1]) | (start[1:] != start[:-1])))
    place = place[firsts]
    covered_ms = np.add.reduceat(part, firsts)
    # What a register counted since a reset is known, but not when it was reset.
    guessed = np.logical_or.reduceat(((due.gap & ~due.by_power) | (due.how == RESET))[of], firsts)
    quality = np.where(guessed, _ESTIMATED, np.where(covered_ms < WINDOW_MS, _PARTIAL, _MEASURED))
    a_offset, b_offset = due.a["raw_offset"][of], due.b["raw_offset"][of]
    unknown = _UNKNOWN.new_from_index(0, len(firsts))
    reactive = unknown
    if due.reactive_e is not None:
        # Null where a part is not known: a power factor must not be made of unequal minutes.
        shares = np.add.reduceat(share_of_energy(due.reactive_e[of], part, dt), firsts)
        reactive = pl.Series(shares, nan_to_null=True)
    columns: dict[str, pl.Series] = {
        **known.named(meters[place]),
        "window_start": pl.Series(start[firsts]).cast(TIMESTAMP),
        "window_s": pl.Series(np.full(len(firsts), WINDOW_S, np.int32)),
        "import_kwh": _summed(import_part, firsts),
        "export_kwh": _summed(export_part, firsts),
        "import_kvarh": reactive,
        "covered_s": pl.Series(covered_ms / 1000),
        "quality": _QUALITIES[quality],
        "revision": pl.Series(np.zeros(len(firsts), np.int32)),
        "previous_import_kwh": unknown,
        "raw_partition": pl.Series(due.b["raw_partition"][of[firsts]].astype(np.int32)),
        "raw_offset_first": pl.Series(np.minimum.reduceat(np.minimum(a_offset, b_offset), firsts)),
        "raw_offset_last": pl.Series(np.maximum.reduceat(np.maximum(a_offset, b_offset), firsts)),
    }
    return pl.DataFrame({name: columns[name] for name in WINDOW_ROWS}), place


def anchors_of(due: Segments, last: Ints) -> tuple[Rows, Ints]:
    """Interpolate the registers at `close_to`, which lies in the last segment of each meter or at its end.

    Parameters
    ----------
    due
        Segments.
    last
        The last one of each meter.

    Returns
    -------
    tuple[Rows, Ints]
        A point at each meter's `close_to`, and the time of the real reading it was interpolated from. [ms UTC]
    """
    a, b, close_to, how = due.a.take(last), due.b.take(last), due.close_to[last], due.how[last]
    straddles = b["ts"] > close_to
    share = (close_to - a["ts"]) / due.dt[last]
    anchors = b.copy()
    cut = np.flatnonzero(straddles)
    assign(anchors, cut, a.take(cut))
    anchors["ts"] = close_to
    fault = how >= FAULT
    unknown = {
        "import_kwh": fault,
        "export_kwh": fault,
        "power_kw": due.gap[last],
        "import_kvarh": straddles & (how != NOTHING),
    }
    for measure, is_unknown in unknown.items():
        between = np.where(is_unknown, np.nan, register_at(a[measure], b[measure], share))
        anchors[measure] = np.where(straddles, between, b[measure])
    # Where a register began anew, the point counts in the frame of the later reading, be it below 0.
    anew = np.flatnonzero(straddles & (how != NOTHING) & ~fault)
    if len(anew):
        for measure, energy in (("import_kwh", due.import_e), ("export_kwh", due.export_e)):
            anchors[measure][anew] = b[measure][anew] - energy[last[anew]] * (1 - share[anew])
    return anchors, np.where(straddles, due.since[last], close_to)


def _remember(past: Past, known: Meters, closing: Stretches, anchored: Flags, holes: _Holes) -> None:
    """Keep the points of windows with a hole: something that comes later may revise them."""
    meters, owners = closing.meters, holes.owners
    # The points before `close_to`, and the one behind it.
    used = np.bincount(holes.place, minlength=len(meters))[owners] + 1
    firsts = starts_of(closing.counts)[owners]
    kept = Kept(used, closing.rows.take(ranges(firsts, used)), closing.since[firsts], anchored[owners])
    past.remember(meters[owners], kept, known.config(meters[owners]))


def _whole(points: Points, known: Meters, meters: Ints, by_interval: Flags) -> tuple[Rows, Ints]:
    """Return the points of meters and their counts, the first interval of a meter with a point where it begins."""
    counts, rows = points.shelves.count[meters], points.shelves.read(meters)
    first = np.flatnonzero(by_interval & (points.closed_until[meters] == UNKNOWN))
    if not len(first):
        return rows, counts
    at = starts_of(counts)[first]
    begin = rows.take(at)
    begin["ts"] -= known.config(meters[first])["interval_ms"]
    counts[first] += 1
    return np.insert(rows, at, begin), counts


def _keep(points: Points, closing: Stretches, due: Segments) -> None:
    """Keep what later windows need: the points behind `close_to`, and an anchor at it."""
    meters, counts, rows, _, close_to = closing
    place = np.repeat(np.arange(len(meters)), counts)
    last = np.flatnonzero(np.append(due.place[1:] != due.place[:-1], True))
    anchors, since = anchors_of(due, last)
    behind = np.flatnonzero(rows["ts"] > close_to[place])
    left = np.bincount(place[behind], minlength=len(meters)) + 1
    kept = np.empty(int(left.sum()), rows.dtype)
    at = starts_of(left)
    assign(kept, at, anchors)
    assign(kept, ranges(at + 1, left - 1), rows.take(behind))
    points.replace(meters, left, kept, close_to, since)


def _summed(parts: Floats, firsts: Ints) -> pl.Series:
    """Sum of each window, null (not 0) where nothing is known."""
    unknown = np.isnan(parts)
    if not unknown.any():
        return pl.Series(np.add.reduceat(parts, firsts))
    sums = np.add.reduceat(np.where(unknown, 0.0, parts), firsts)
    sums[np.logical_and.reduceat(unknown, firsts)] = np.nan
    return pl.Series(sums, nan_to_null=True)
