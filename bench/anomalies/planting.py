"""Faults that are planted into a recorded load: what they are, and which days they fit."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.anomalies.loads import PER_DAY
from schemas.anomaly import AnomalyKind

Days = NDArray[np.float64]
SIZES = (1.0, 0.7, 0.5)  # of the level it had while it ran
SURGES = (0.4, 0.6, 1.0)  # of what it draws
CREEPS = (0.3, 0.6, 1.0)  # of its least power
CREEP_DAYS, CREEP_SEEN_DAYS = 21, 35
DAY_SURGES, DAY_SAGS = (1.0, 0.5, 0.3), (0.7, 0.5, 0.3)  # of what it draws in the day
DRIFTS, DRIFT_A_DAY, DRIFT_SEEN_DAYS = (0.5, 0.3, 0.2), 0.01, 45  # of what it draws, in the end and a day
_EVENING, _MORNING = 17 * 4, 5 * 4


@dataclass(frozen=True, slots=True)
class Planted:
    """One fault.

    Parameters
    ----------
    name
        Of the table.
    kind
        As which it should be found.
    size
        See above.
    first_day
        Number of the day in which it begins.
    days
        The load with it, from that day on, shape (n, 96).
    begins
        Quarter hour within `days` from which finding it counts.
    """

    name: str
    kind: AnomalyKind
    size: float
    first_day: int
    days: Days
    begins: int


def nights(load: Days, day: int, size: float) -> Iterator[Planted]:
    """Left on overnight: from 17:00 until 05:00 it draws at least part of what it drew from 13:00 to 17:00."""
    days = load[day : day + 2].copy()
    if len(days) < 2 or np.isnan(days).any():
        return
    level, least = float(days[0, 52:68].mean()), float(np.quantile(load[day], 0.05))
    if level - least < 0.3 * level:
        return  # it did not run that day
    held = least + size * (level - least)
    days[0, _EVENING:] = np.maximum(days[0, _EVENING:], held)
    days[1, :_MORNING] = np.maximum(days[1, :_MORNING], held)
    yield Planted("left on overnight", AnomalyKind.LEFT_ON, size, day, days, _EVENING)


def weekends(load: Days, friday: int, size: float) -> Iterator[Planted]:
    """Left on over the weekend: from Friday 17:00 until Monday 05:00, as above."""
    days = load[friday : friday + 4].copy()
    if len(days) < 4 or np.isnan(days).any():
        return
    level, least = float(days[0, 36:68].mean()), float(np.quantile(load[friday], 0.05))
    if level - least < 0.3 * level or days[1:3, 36:68].mean() > least + 0.4 * (level - least):
        return  # it did not run that day, or runs on weekends anyway
    flat = days.reshape(-1)
    flat[_EVENING : 3 * PER_DAY + _MORNING] = np.maximum(
        flat[_EVENING : 3 * PER_DAY + _MORNING], least + size * (level - least)
    )
    yield Planted("left on over the weekend", AnomalyKind.LEFT_ON, size, friday, days, _EVENING)


def surges(load: Days, day: int, size: float, begin: int) -> Iterator[Planted]:
    """Three hours in peak time with so much more."""
    days = load[day : day + 1].copy()
    if len(days) < 1 or np.isnan(days).any() or days[0, begin : begin + 12].mean() < 0.5 * np.quantile(load[day], 0.8):
        return
    days[0, begin : begin + 12] *= 1 + size
    yield Planted("peak surge", AnomalyKind.PEAK_SURGE, size, day, days, begin)


def creeps(load: Days, day: int, size: float) -> Iterator[Planted]:
    """Stand-by that grows for three weeks, and stays."""
    days = load[day : day + CREEP_SEEN_DAYS].copy()
    before = load[max(0, day - 14) : day]
    before = before[np.isfinite(before).any(axis=1)]
    if len(days) < CREEP_SEEN_DAYS or np.isnan(days).mean() > 0.2 or not before.size:
        return
    least = float(np.nanmedian(np.nanquantile(before, 0.1, axis=1)))
    if least < 0.02 * float(np.nanmax(before)):
        return  # has no stand-by
    ramp = np.minimum(1.0, np.arange(days.size) / (CREEP_DAYS * PER_DAY)).reshape(days.shape)
    yield Planted("stand-by creep", AnomalyKind.STANDBY_CREEP, size, day, days + size * least * ramp, 0)


def whole_days(load: Days, day: int, size: float, kind: AnomalyKind) -> Iterator[Planted]:
    """A whole day with so much more, or less; the day behind it is as it is, and tells whether it is found."""
    days = load[day : day + 2].copy()
    if len(days) < 2 or np.isnan(days[0]).any() or not days[0].any():
        return
    days[0] *= 1 + size if kind is AnomalyKind.DAY_SURGE else 1 - size
    name = "day with more" if kind is AnomalyKind.DAY_SURGE else "day with less"
    yield Planted(name, kind, size, day, days, 0)


def drifts(load: Days, day: int, size: float) -> Iterator[Planted]:
    """All it draws grows by a hundredth a day, and stays."""
    days = load[day : day + DRIFT_SEEN_DAYS].copy()
    if len(days) < DRIFT_SEEN_DAYS or np.isnan(days).mean() > 0.2:
        return
    ramp = np.minimum(size, DRIFT_A_DAY * np.arange(days.size) / PER_DAY).reshape(days.shape)
    yield Planted("slow drift", AnomalyKind.DRIFT, size, day, days * (1 + ramp), 0)
