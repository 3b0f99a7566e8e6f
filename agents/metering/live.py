"""What is known of a meter before its windows close: its newest power, and its energy after the last closed window."""

import numpy as np
import polars as pl

from agents.metering.energy import MS_PER_HOUR, drawn_kwh, interval_left
from agents.metering.meters import Meters
from agents.metering.points import UNKNOWN, Points, without_holes
from agents.metering.ragged import Flags, Floats, Ints, Rows, starts_of
from agents.metering.shelves import assign
from schemas.reading import TIMESTAMP
from schemas.window import LIVE_ROWS


def live(points: Points, known: Meters, meters: Ints) -> pl.DataFrame:
    """Return the live state of meters.

    Parameters
    ----------
    points
        Points.
    known
        Descriptions of the meters.
    meters
        Meters that moved, in the order of the output; those without points are left out.

    Returns
    -------
    pl.DataFrame
        `schemas.window.LIVE_ROWS`.
    """
    meters = meters[points.shelves.count[meters] > 0]
    if not len(meters):
        return pl.DataFrame(schema=LIVE_ROWS)
    by_interval = known.config(meters)["by_interval"] == 1
    steady = points.is_steady[meters] & ~by_interval
    newest = points.shelves.last(meters)
    power_kw, open_kwh = np.empty(len(meters)), np.empty(len(meters))
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN is null, and arithmetic on it is meant
        if steady.all():
            power_kw, open_kwh = _of_steady(points, meters, newest)
        else:
            power_kw[steady], open_kwh[steady] = _of_steady(points, meters[steady], newest.take(np.flatnonzero(steady)))
            power_kw[~steady], open_kwh[~steady] = _of_others(points, known, meters[~steady], by_interval[~steady])
    columns: dict[str, pl.Series] = {
        **known.named(meters),
        "ts": pl.Series(newest["ts"].copy()).cast(TIMESTAMP),
        "power_kw": pl.Series(power_kw, nan_to_null=True),
        "open_import_kwh": pl.Series(open_kwh, nan_to_null=True),
    }
    return pl.DataFrame({name: columns[name] for name in LIVE_ROWS})


def _of_steady(points: Points, meters: Ints, newest: Rows) -> tuple[Floats, Floats]:
    """Power and open energy where the import register is always known and never goes back: two differences."""
    several = np.flatnonzero(points.shelves.count[meters] > 1)
    before = newest.copy()
    assign(before, several, points.shelves.last(meters[several], before=1))
    mean_kw = (newest["import_kwh"] - before["import_kwh"]) * MS_PER_HOUR / (newest["ts"] - before["ts"])
    power_kw = np.where(np.isnan(newest["power_kw"]), mean_kw, newest["power_kw"])
    return power_kw, newest["import_kwh"] - points.shelves.first(meters)["import_kwh"]


def _of_others(points: Points, known: Meters, meters: Ints, by_interval: Flags) -> tuple[Floats, Floats]:
    """Power and open energy, step by step."""
    counts = points.shelves.count[meters]
    begins = starts_of(counts)
    rows = without_holes(points.shelves.read(meters), begins, counts, by_interval)
    step_ms, step_kwh, by_power = (np.full(len(rows), np.nan) for _ in range(3))
    step_ms[1:] = np.diff(rows["ts"])
    step_kwh[1:] = np.diff(rows["import_kwh"])
    by_power[1:] = drawn_kwh(rows["power_kw"][:-1], rows["power_kw"][1:], step_ms[1:])
    step_kwh[begins] = by_power[begins] = np.nan
    step_kwh[step_kwh < 0] = np.nan
    ends = begins + counts - 1
    mean_kw = step_kwh[ends] * MS_PER_HOUR / step_ms[ends]
    inside = np.repeat(by_interval, counts)
    if inside.any():
        kwh, kw = _of_intervals(points, meters, rows, known.config(meters)["interval_ms"])
        step_kwh[inside] = kwh[inside]
        mean_kw[by_interval] = kw[by_interval]
    power_kw = np.where(np.isnan(rows["power_kw"][ends]), mean_kw, rows["power_kw"][ends])
    has_import = np.logical_or.reduceat(~np.isnan(rows["import_kwh"]), begins)
    has_power = np.logical_or.reduceat(~np.isnan(rows["power_kw"]), begins)
    of_power = np.where(has_power, _sums(by_power, begins), np.nan)
    return power_kw, np.where(has_import, _sums(step_kwh, begins), of_power)


def _of_intervals(points: Points, meters: Ints, rows: Rows, length_ms: Ints) -> tuple[Floats, Floats]:
    """Open energy of each point [kWh] and mean power of the newest interval of each meter [kW]."""
    counts = points.shelves.count[meters]
    begins = starts_of(counts)
    before = np.empty(len(rows), np.int64)
    before[1:] = rows["ts"][:-1]
    # Nothing is open of an interval that ends where windows closed; the first one of a meter is open as a whole.
    anchored = points.closed_until[meters] > UNKNOWN
    before[begins] = np.where(anchored, rows["ts"][begins], UNKNOWN // 2)
    since = before.copy()
    behind = np.flatnonzero(anchored & (counts > 1))
    since[begins[behind] + 1] = points.anchor_since[meters[behind]]
    _, left = interval_left(before, rows["ts"], since, np.repeat(length_ms, counts))
    newest_kwh = rows["import_kwh"][begins + counts - 1]
    return np.where(before == rows["ts"], 0.0, rows["import_kwh"] * left), newest_kwh * MS_PER_HOUR / length_ms


def _sums(values: Floats, begins: Ints) -> Floats:
    """Sum of each group, what is unknown left out."""
    sums: Floats = np.add.reduceat(np.where(np.isnan(values), 0.0, values), begins)
    return sums
