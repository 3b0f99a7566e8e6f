"""Runs the shipped detectors over a load, plants faults beside it, and counts what is found."""

import time
from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np

from agents.anomalies.conditions import Conditions
from agents.anomalies.drifting import DAY, KEPT_DAYS, KINDS, LEAST_OFF_DAYS, slot_of
from agents.anomalies.meter import MeterWatch
from agents.anomalies.moments import Moment, Said
from agents.anomalies.profile import DayClass
from agents.anomalies.sharing import SHARE, Sharing
from agents.anomalies.shifting import CREEP
from agents.anomalies.surging import SURGE
from bench.anomalies import planting
from bench.anomalies.loads import PER_DAY, Load
from bench.anomalies.planting import Planted
from schemas.anomaly import AnomalyKind, Status

METER = "main"
WARM_DAYS = 60  # neither planted nor counted


@dataclass(slots=True)
class Found:
    """What was found of one sort of fault.

    Parameters
    ----------
    planted, found
        How many.
    delays_min
        From the learnt stop, or from its beginning, until it was opened. [min]
    kwh
        Pairs of energy: as planted, as told at the end of the fault.
    """

    planted: int = 0
    found: int = 0
    delays_min: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Score:
    """Of one meter.

    Parameters
    ----------
    faults
        By name and size.
    armed_days, false_days
        By kind: days on which the detector could have opened an anomaly, and on which it did, in the load as it is.
    any_armed, any_false
        The same of all detectors together.
    days_armed, days_false
        The same of those of whole days together: days that draw too much or too little, and slow drift.
    took_s, quarters
        CPU time of the load as it is, and its quarter hours.
    """

    faults: dict[tuple[str, float], Found] = field(default_factory=lambda: defaultdict(Found))
    armed_days: dict[AnomalyKind, int] = field(default_factory=lambda: defaultdict(int))
    false_days: dict[AnomalyKind, int] = field(default_factory=lambda: defaultdict(int))
    any_armed: int = 0
    any_false: int = 0
    days_armed: int = 0
    days_false: int = 0
    took_s: float = 0.0
    quarters: int = 0


def score(load: Load, seed: int) -> Score:
    """Score one meter with one seed."""
    rng = np.random.default_rng(seed)
    moments = load.moments()
    found = Score()
    watch, sharing, conditions = MeterWatch(), Sharing(), Conditions()
    power = load.power_kw
    for day, quarters in enumerate(moments):
        if day >= WARM_DAYS:
            for fault in planted(power, day, quarters, rng):
                _try(found, watch, conditions, fault, moments)
        began = time.process_time()
        said = run(watch, conditions, power[day], quarters)
        for moment, kw in zip(quarters, power[day].tolist(), strict=True):
            said += sharing.take(moment, None if np.isnan(kw) else kw)
        found.took_s += time.process_time() - began
        found.quarters += PER_DAY
        if day >= WARM_DAYS:
            _count(found, watch, sharing, said)
    return found


def run(
    watch: MeterWatch,
    conditions: Conditions,
    power: np.ndarray[tuple[int], np.dtype[np.float64]],
    quarters: list[Moment],
) -> list[Said]:
    """Let the detectors of a meter take the quarter hours of a day, and return what they say."""
    said: list[Said] = []
    for place, (moment, kw) in enumerate(zip(quarters, power.tolist(), strict=True)):
        said += watch.take(moment, None if np.isnan(kw) else kw, surges=True, may_idle=True)
        conditions.classify(moment.day, moment.of)
        if watch.drifting.is_due and place >= slot_of(METER, is_grid=True):
            said += watch.judge_day(moment, conditions.before(watch.drifting.day, KEPT_DAYS, None))
    return said


def planted(power: planting.Days, day: int, quarters: list[Moment], rng: np.random.Generator) -> list[Planted]:
    """Plant each sort about once a week, whole days every tenth, creep and drift about once a month."""
    chance = rng.random(4)
    size = int(rng.integers(3))
    is_working = quarters[0].of is DayClass.WORKING
    is_friday = quarters[0].day % 7 == 5  # ordinal 1 is a Monday
    faults: list[Planted] = []
    if is_working and not is_friday and chance[0] < 0.25:
        faults += planting.nights(power, day, planting.SIZES[size])
    if is_friday and is_working:
        faults += planting.weekends(power, day, planting.SIZES[size])
    if is_working and chance[2] < 0.2:
        dear = [place for place, at in enumerate(quarters) if at.terms.period in ("sharp", "peak")]
        begins = [place for place in dear if place + 11 in dear]
        if begins:
            faults += planting.surges(power, day, planting.SURGES[size], int(rng.choice(begins)))
    if chance[3] < 1 / 30:
        faults += planting.creeps(power, day, planting.CREEPS[size])
    # Drawn beside the others, so that those stay the same from release to release.
    beside = np.random.default_rng([day, int(chance[0] * 2**32)])
    whole, size = beside.random(3), int(beside.integers(3))
    if whole[0] < 0.1:
        faults += planting.whole_days(power, day, planting.DAY_SURGES[size], AnomalyKind.DAY_SURGE)
    if whole[1] < 0.1:
        faults += planting.whole_days(power, day, planting.DAY_SAGS[size], AnomalyKind.DAY_SAG)
    if whole[2] < 1 / 30:
        faults += planting.drifts(power, day, planting.DRIFTS[size])
    return faults


def _try(found: Score, watch: MeterWatch, conditions: Conditions, fault: Planted, moments: list[list[Moment]]) -> None:
    """Run a copy of what was learnt over the fault."""
    if not applies(watch, fault):
        return
    copy, conditions = deepcopy(watch), deepcopy(conditions)
    begins = moments[fault.first_day][0].starts_at + 900_000 * fault.begins
    one = found.faults[fault.name, fault.size]
    one.planted += 1
    stop = None
    for number, power in enumerate(fault.days):
        quarters = moments[fault.first_day + number]
        for said in run(copy, conditions, power, quarters):
            if said.episode.kind is fault.kind and said.status is Status.OPENED and said.ts > begins:
                one.found += 1
                stop = learnt_stop(copy, fault, moments) if fault.kind is AnomalyKind.LEFT_ON else begins
                one.delays_min.append((said.ts - stop) / 60_000)
                return


def learnt_stop(watch: MeterWatch, fault: Planted, moments: list[list[Moment]]) -> int:
    """Return when it usually stops: the first hour after the fault began in which it is usually off. [ms UTC]"""
    of = moments[fault.first_day][0].of
    expected = watch.profile.expectation(of)
    begin = moments[fault.first_day][0].starts_at
    hour = fault.begins // 4
    while expected is not None and hour < 24 and not expected.is_off[hour]:
        hour += 1
    return begin + hour * 3_600_000


def applies(watch: MeterWatch, fault: Planted) -> bool:
    """Return whether a detector knows enough of the meter to find such a fault."""
    if fault.kind is AnomalyKind.LEFT_ON:
        return _knows_off(watch, DayClass.WORKING)
    if fault.kind is AnomalyKind.PEAK_SURGE:
        return watch.surging.limit.of(SURGE) is not None
    if fault.kind is not AnomalyKind.STANDBY_CREEP:
        return fault.kind not in watch.episodes and _knows_days(watch)[fault.kind]
    return watch.creep.limit.of(CREEP) is not None


def _knows_off(watch: MeterWatch, of: DayClass) -> bool:
    expected = watch.profile.expectation(of)
    if expected is None or not expected.knows_off or expected.off_hours(at_night=True) < 4:
        return False
    return any(limit.count >= 30 for limit in watch.idling.limits.values())


def armed_kinds(watch: MeterWatch) -> dict[AnomalyKind, bool]:
    """Return which detectors of a meter could open something on its running day."""
    return {
        AnomalyKind.LEFT_ON: _knows_off(watch, watch.of),
        AnomalyKind.PEAK_SURGE: watch.of is DayClass.WORKING and watch.surging.limit.of(SURGE) is not None,
        AnomalyKind.STANDBY_CREEP: watch.creep.limit.of(CREEP) is not None,
        **_knows_days(watch),
    }


def _knows_days(watch: MeterWatch) -> dict[AnomalyKind, bool]:
    drifting = watch.drifting
    return {
        AnomalyKind.DAY_SURGE: drifting.surge.of(DAY) is not None,
        AnomalyKind.DAY_SAG: drifting.sag.of(DAY) is not None,
        AnomalyKind.DRIFT: len(drifting.off) >= LEAST_OFF_DAYS,
    }


def _count(found: Score, watch: MeterWatch, sharing: Sharing, said: list[Said]) -> None:
    armed = armed_kinds(watch) | {AnomalyKind.PEAK_SHARE: sharing.limit.of(SHARE) is not None}
    opened = {one.episode.kind for one in said if one.status is Status.OPENED}
    for kind, is_armed in armed.items():
        found.armed_days[kind] += is_armed or kind in opened
        found.false_days[kind] += kind in opened
    found.any_armed += any(armed.values()) or bool(opened)
    found.any_false += bool(opened)
    found.days_armed += any(armed[kind] for kind in KINDS) or not opened.isdisjoint(KINDS)
    found.days_false += not opened.isdisjoint(KINDS)
