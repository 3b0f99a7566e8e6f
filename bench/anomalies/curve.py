"""`python -m bench.anomalies.curve`: what is found, and when, if all limits were so many times what they are.

For the load as it is, the largest score of each day is held against its limit; for each fault, when its score passed so
many times the limit. What follows from having told of something (its hours are not learnt from) is left out, so a
factor of 1 comes close to `python -m bench.anomalies` and is not the same.
"""

import argparse
import statistics
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from agents.anomalies.meter import MeterWatch
from agents.anomalies.moments import Moment
from agents.anomalies.surging import SURGE
from bench.anomalies.__main__ import COUNTRIES
from bench.anomalies.loads import SHIPPED, Load, loads_of
from bench.anomalies.planting import Days, Planted
from bench.anomalies.scoring import WARM_DAYS, applies, armed_kinds, learnt_stop, planted
from schemas.anomaly import AnomalyKind

FACTORS = (0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0)
KINDS = (AnomalyKind.LEFT_ON, AnomalyKind.PEAK_SURGE)
QUARTER_MS, _MINUTE_MS = 900_000, 60_000


@dataclass(slots=True)
class Reached:
    """How many times its limit a score reached.

    Parameters
    ----------
    clean
        Of each day of loads as they are, by kind.
    faults
        Name of the fault, its size, the meter, and for each factor the delay until it was passed [min], None = never.
    """

    clean: dict[AnomalyKind, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    faults: list[tuple[str, float, str, list[float | None]]] = field(default_factory=list)


def main() -> None:
    """Print the curve of each sort of fault."""
    arguments = argparse.ArgumentParser(prog="python -m bench.anomalies.curve", description=__doc__)
    arguments.add_argument("--seed", type=int, default=0)
    seed = arguments.parse_args().seed
    reached = Reached()
    for name, country in COUNTRIES.items():
        for load in loads_of(Path(SHIPPED / f"{name}.parquet"), country):
            follow(load, seed, reached)
    print("\n".join(lines(reached)))


def follow(load: Load, seed: int, reached: Reached) -> None:
    """Run the shipped detectors over a load and over the faults planted beside it."""
    rng = np.random.default_rng(seed)
    moments, watch = load.moments(), MeterWatch()
    for day, quarters in enumerate(moments):
        if day >= WARM_DAYS:
            for fault in planted(load.power_kw, day, quarters, rng):
                if fault.kind in KINDS and applies(watch, fault):
                    reached.faults.append((fault.name, fault.size, load.name, _delays(watch, fault, moments)))
        highest = _run(watch, load.power_kw[day], quarters).max(axis=0).tolist()
        if day >= WARM_DAYS:
            armed = armed_kinds(watch)
            for kind, times in zip(KINDS, highest, strict=True):
                reached.clean[kind] += [times] if armed[kind] else []


def lines(reached: Reached) -> list[str]:
    """Return a Markdown table: a row for each sort of fault and factor."""
    kinds = {"left on overnight": KINDS[0], "left on over the weekend": KINDS[0], "peak surge": KINDS[1]}
    rows = [
        "| | times the limit | recall | median delay [min] | false alarm days per 30 meter-days |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, kind in kinds.items():
        clean = np.array(reached.clean[kind])
        every = [(size, meter, delays) for fault, size, meter, delays in reached.faults if fault == name]
        for place, factor in enumerate(FACTORS):
            delays = [one[place] for *_, one in every]
            recall = _recall(
                [(size, meter, delay is not None) for (size, meter, _), delay in zip(every, delays, strict=True)]
            )
            late = [delay for delay in delays if delay is not None]
            delay = statistics.median(late) if late else float("nan")
            false = 30 * float((clean > factor).mean())
            rows.append(f"| {name} | {factor:g} | {recall:.2f} | {delay:.0f} | {false:.2f} |")
    return rows


def _recall(found: Sequence[tuple[float, str, bool]]) -> float:
    """Mean over sizes of the mean over meters: each counts alike, however many faults fitted it."""
    frame = pl.DataFrame(found, schema=["size", "meter", "found"], orient="row")
    by_size = frame.group_by("size", "meter").agg(pl.col("found").mean()).group_by("size").agg(pl.col("found").mean())
    return float(by_size["found"].to_numpy().mean())


def _run(watch: MeterWatch, power_kw: Days, quarters: list[Moment]) -> Days:
    """Return how many times its limit each score has, by quarter hour; shape (n, kinds)."""
    times = []
    for moment, kw in zip(quarters, power_kw.tolist(), strict=True):
        watch.take(moment, None if np.isnan(kw) else kw, surges=True, may_idle=True)
        nearest = watch.idling.nearest()
        left_on = 0.0 if nearest is None else nearest.score / nearest.limit
        limit = watch.surging.limit.of(SURGE)
        times.append([left_on, 0.0 if limit is None else watch.surging.highest / limit])
    return np.array(times)


def _delays(watch: MeterWatch, fault: Planted, moments: list[list[Moment]]) -> list[float | None]:
    """Return by factor how long it took until the score of a fault passed it. [min]"""
    copy, kind = deepcopy(watch), KINDS.index(fault.kind)
    days = [_run(copy, power, moments[fault.first_day + n])[:, kind] for n, power in enumerate(fault.days)]
    times = np.concatenate(days)
    begins_at = moments[fault.first_day][0].starts_at + fault.begins * QUARTER_MS
    since = learnt_stop(watch, fault, moments) if fault.kind is AnomalyKind.LEFT_ON else begins_at
    # Of surges it is the largest of the day: what was there before the fault does not count as finding it.
    before = times[: fault.begins].max(initial=0.0) if fault.kind is AnomalyKind.PEAK_SURGE else 0.0
    delays: list[float | None] = []
    for factor in FACTORS:
        passed = np.flatnonzero(times[fault.begins :] > max(factor, before))
        ends_at = begins_at + (int(passed[0]) + 1) * QUARTER_MS if len(passed) else 0
        delays.append((ends_at - since) / _MINUTE_MS if len(passed) else None)
    return delays


if __name__ == "__main__":
    main()
