"""Closing windows: points of many meters become energy per meter and minute, all at once.

Every interval between two consecutive points of a meter (a segment) has a known energy; a window gets the share of each
segment that lies inside it. So the windows of a meter add up to the difference of its registers, and nothing depends
on how the readings were batched or in which order they came.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from agents.metering.energy import drawn_kwh, register_at, share_of_energy
from agents.metering.meters import Meters
from agents.metering.points import UNKNOWN, Points, without_holes
from agents.metering.ragged import Flags, Floats, Ints, Rows, ranges, starts_of
from agents.metering.shelves import assign
from schemas.reading import TIMESTAMP
from schemas.window import WINDOW_MS, WINDOW_ROWS, WINDOW_S, Quality

_QUALITIES = pl.Series([Quality.MEASURED.value, Quality.PARTIAL.value, Quality.ESTIMATED.value], dtype=pl.String)
_MEASURED, _PARTIAL, _ESTIMATED = range(3)


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing gives: windows, and the readings at which a register went back."""

    windows: pl.DataFrame  # schemas.window.WINDOW_ROWS, sorted by site, meter and window
    metered: Ints  # the meter of each window
    back_meters: Ints
    back: Rows


@dataclass(frozen=True, slots=True)
class _Segments:
    """Pairs of consecutive points of a meter, from `a` to `b`, that begin before the meter's `close_to`."""

    place: Ints  # of the meter among those that close
    a: Rows
    b: Rows
    dt: Floats  # [ms]
    since: Ints  # time of the real reading `a` was interpolated from [ms UTC]
    close_to: Ints  # [ms UTC]
    gap: Flags
    by_power: Flags
    back: Flags  # a register went back
    import_e: Floats  # [kWh], NaN where the register went back or nothing is known
    export_e: Floats


def close(points: Points, known: Meters, meters: Ints, now: int) -> Closed:
    """Close all windows of these meters up to their last settled reading, and keep what later windows need.

    Parameters
    ----------
    points
        Points; those that are used up are taken out.
    known
        Descriptions of the meters.
    meters
        Meters with at least one window to close, in the order of the output.
    now
        Arrival time of the tick. [ms UTC]
    """
    counts = points.shelves.count[meters]
    rows, begins = points.shelves.read(meters), starts_of(counts)
    settled = rows["ts"] <= np.repeat(points.settled_until(meters, now), counts)
    close_to = np.maximum.reduceat(np.where(settled, rows["ts"], UNKNOWN), begins) // WINDOW_MS * WINDOW_MS
    whole = without_holes(rows, begins, counts)
    since = rows["ts"].copy()
    anchored = points.closed_until[meters] > UNKNOWN
    since[begins[anchored]] = points.anchor_since[meters[anchored]]
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN is null, and arithmetic on it is meant
        due = _segments(whole, counts, since, close_to, known.config(meters)["max_gap_ms"])
        windows, metered = _windows(due, meters, known)
        _keep(points, meters, rows, due, close_to)
    went_back = np.flatnonzero(due.back)
    return Closed(windows, metered, meters[due.place[went_back]], due.b.take(went_back))


def _segments(whole: Rows, counts: Ints, since: Ints, close_to: Ints, max_gap_ms: Ints) -> _Segments:
    """Pair every point before `close_to` with the next one of its meter."""
    place = np.repeat(np.arange(len(counts)), counts)
    # The last point of a meter is never before its `close_to`, so every pair is of one meter.
    first = np.flatnonzero(whole["ts"] < close_to[place])
    place = place[first]
    a, b, since = whole.take(first), whole.take(first + 1), since[first]
    dt = (b["ts"] - a["ts"]).astype(np.float64)
    gap = b["ts"] - since > max_gap_ms[place]
    import_d, export_d = b["import_kwh"] - a["import_kwh"], b["export_kwh"] - a["export_kwh"]
    registers = (a["import_kwh"], b["import_kwh"], a["export_kwh"], b["export_kwh"])
    by_power = np.logical_and.reduce([np.isnan(register) for register in registers])
    import_e, export_e = import_d.copy(), export_d.copy()
    if by_power.any():
        drawn = drawn_kwh(a["power_kw"], b["power_kw"], dt)
        import_e = np.where(by_power, np.where(gap, np.nan, drawn), import_d)
    back = (import_d < 0) | (export_d < 0)
    import_e[back] = export_e[back] = np.nan
    return _Segments(place, a, b, dt, since, close_to[place], gap, by_power, back, import_e, export_e)


def _windows(due: _Segments, meters: Ints, known: Meters) -> tuple[pl.DataFrame, Ints]:
    """Share segments out to windows; return these and the meter of each."""
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
        return pl.DataFrame(schema=WINDOW_ROWS), meters[:0]
    place = due.place[of]
    firsts = np.flatnonzero(np.append(True, (place[1:] != place[:-1]) | (start[1:] != start[:-1])))
    metered = meters[place[firsts]]
    covered_ms = np.add.reduceat(part, firsts)
    guessed = np.logical_or.reduceat((due.gap & ~due.by_power)[of], firsts)
    quality = np.where(guessed, _ESTIMATED, np.where(covered_ms < WINDOW_MS, _PARTIAL, _MEASURED))
    a_offset, b_offset = due.a["raw_offset"][of], due.b["raw_offset"][of]
    columns: dict[str, pl.Series] = {
        **known.named(metered),
        "window_start": pl.Series(start[firsts]).cast(TIMESTAMP),
        "window_s": pl.repeat(WINDOW_S, len(firsts), dtype=pl.Int32, eager=True),
        "import_kwh": _summed(import_part, firsts),
        "export_kwh": _summed(export_part, firsts),
        "covered_s": pl.Series(covered_ms / 1000),
        "quality": _QUALITIES.gather(pl.Series(quality)),
        "revision": pl.repeat(0, len(firsts), dtype=pl.Int32, eager=True),
        "raw_partition": pl.Series(due.b["raw_partition"][of[firsts]].astype(np.int32)),
        "raw_offset_first": pl.Series(np.minimum.reduceat(np.minimum(a_offset, b_offset), firsts)),
        "raw_offset_last": pl.Series(np.maximum.reduceat(np.maximum(a_offset, b_offset), firsts)),
    }
    return pl.DataFrame({name: columns[name] for name in WINDOW_ROWS}), metered


def _keep(points: Points, meters: Ints, rows: Rows, due: _Segments, close_to: Ints) -> None:
    """Keep what later windows need: the points behind `close_to`, and an anchor at it."""
    place = np.repeat(np.arange(len(meters)), points.shelves.count[meters])
    last = np.flatnonzero(np.append(due.place[1:] != due.place[:-1], True))
    # The segment each meter's `close_to` is in: at its end there is a point, or an anchor is put between.
    a, b = due.a.take(last), due.b.take(last)
    straddles = b["ts"] > close_to
    share = (close_to - a["ts"]) / due.dt[last]
    anchors = b.copy()
    cut = np.flatnonzero(straddles)
    assign(anchors, cut, a.take(cut))
    anchors["ts"] = close_to
    unknown = {"import_kwh": due.back[last], "export_kwh": due.back[last], "power_kw": due.gap[last]}
    for measure, is_unknown in unknown.items():
        between = np.where(is_unknown, np.nan, register_at(a[measure], b[measure], share))
        anchors[measure] = np.where(straddles, between, b[measure])
    behind = np.flatnonzero(rows["ts"] > close_to[place])
    left = np.bincount(place[behind], minlength=len(meters)) + 1
    kept = np.empty(int(left.sum()), rows.dtype)
    at = starts_of(left)
    assign(kept, at, anchors)
    assign(kept, ranges(at + 1, left - 1), rows.take(behind))
    points.replace(meters, left, kept, close_to, np.where(straddles, due.since[last], close_to))


def _summed(parts: Floats, firsts: Ints) -> pl.Series:
    """Sum of each window, null (not 0) where nothing is known."""
    unknown = np.isnan(parts)
    if not unknown.any():
        return pl.Series(np.add.reduceat(parts, firsts))
    sums = np.add.reduceat(np.where(unknown, 0.0, parts), firsts)
    sums[np.logical_and.reduceat(unknown, firsts)] = np.nan
    return pl.Series(sums, nan_to_null=True)
