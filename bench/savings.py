"""`python -m bench.savings`: whether the two ways of proving a saving tell the truth, where the truth is known.

Switchback: hundreds of simulated offices at once, one block a day, with a measure that saves exactly what is said. The
baseline model: a meter whose saving is known to be 10 % (`--data DIR`, the samples of opendsm). Asserts nothing.
"""

import argparse
import gzip
import json
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from agents.savings.baseline import Baseline, Days
from agents.savings.switchback import LEAST_PAIRS, estimate, has_measure
from streams.demo.plant import OFFICE, STEP_S, STEPS_PER_DAY, Plant, outdoor_c

Floats = npt.NDArray[np.float64]

LEARN_DAYS = 42
SAMPLES = 23  # temperatures of a day; one is missing where clocks go forward


def daily(seeds: int, days: int, seed: int) -> tuple[Floats, Floats]:
    """Return energy of each day without the measure, and mean outdoor temperatures of six hours each.

    Returns
    -------
    tuple
        Shapes (days, seeds) and (days, 4, seeds). [kWh, °C]
    """
    chance = np.random.default_rng(seed)
    outdoor = outdoor_c(days, seeds, chance)
    plant = Plant(OFFICE, seeds, chance)
    cooling, heating = np.full(seeds, 25.0), np.full(seeds, 20.0)
    power = np.stack([plant.step(step, outdoor[step], cooling, heating) for step in range(days * STEPS_PER_DAY)])
    energy = power.reshape(days, STEPS_PER_DAY, seeds).sum(axis=1) * STEP_S / 3600
    return energy, outdoor.reshape(days, 4, STEPS_PER_DAY // 4, seeds).mean(axis=2)


def switchback(seeds: int, days: int, share: float, *, with_model: bool) -> dict[str, float]:
    """Run an experiment in each office, looked at after every pair of days; return what came out."""
    energy, outdoor = daily(seeds, LEARN_DAYS + days, seed=1)
    kinds = np.arange(LEARN_DAYS + days) % 7
    covered = always = shown = 0
    shown_after, widths = [], []
    for one in range(seeds):
        on = np.array([has_measure(f"office-{one}", block) for block in range(days)])
        used = np.where(on, (1 - share) * energy[LEARN_DAYS:, one], energy[LEARN_DAYS:, one])
        expected = None
        if with_model:
            every = Days(kinds, outdoor[:, :, one], np.zeros(len(kinds)))
            model = Baseline(float(energy[:LEARN_DAYS, one].mean()))
            model.learn(_part(every, slice(None, LEARN_DAYS)), energy[:LEARN_DAYS, one])
            expected = model.predict(_part(every, slice(LEARN_DAYS, None)))
        looks = [
            estimate(used[:end], on[:end], None if expected is None else expected[:end])
            for end in range(2 * LEAST_PAIRS, days + 1, 2)
        ]
        first = next((place for place, look in enumerate(looks) if look.is_shown), None)
        covered += looks[-1].low <= share <= looks[-1].high
        always += all(look.low <= share <= look.high for look in looks)
        shown += first is not None
        if first is not None:
            shown_after.append(2 * (LEAST_PAIRS + first))
        widths.append((looks[-1].high - looks[-1].low) / 2)
    return {
        "true saving": share,
        "covered at the end": covered / seeds,
        "covered at every look": always / seeds,
        "claimed at any look": shown / seeds,
        "days until claimed, median": float(np.median(shown_after)) if shown_after else float("nan"),
        "half of the interval at the end, mean": float(np.mean(widths)),
    }


def _part(days: Days, part: slice) -> Days:
    return Days(days.kind[part], days.outdoor_c[part], days.produced[part])


def known_meter(directory: Path) -> dict[str, float]:
    """Compare a meter's year before a measure with the year after it; its saving is 10 %."""

    def read(name: str, column: str) -> pl.DataFrame:
        found = pl.read_csv(gzip.decompress((directory / name).read_bytes()))
        day = pl.col(found.columns[0]).str.slice(0, 10).str.to_date().alias("day")
        return found.select(day, pl.col(found.columns[1]).cast(pl.Float64).alias(column))

    outdoor = (
        read("mv_il-tempF.csv.gz", "outdoor_f")
        .group_by("day", maintain_order=True)
        .agg((pl.col("outdoor_f") - 32) * 5 / 9)
        .filter(pl.col("outdoor_f").list.len() >= SAMPLES)
    )
    both = read("mv_il-electricity-cdd-hdd-daily.csv.gz", "kwh").join(outdoor, on="day").sort("day")

    def between(first: date, end: date) -> tuple[Days, Floats]:
        part = both.filter((pl.col("day") >= first) & (pl.col("day") < end))
        outdoor_c = np.array(part["outdoor_f"].list.head(SAMPLES).to_list())
        kinds = (part["day"].dt.weekday() - 1).cast(pl.Int64).to_numpy()
        return Days(kinds, outdoor_c, np.zeros(part.height)), part["kwh"].to_numpy()

    before, before_kwh = between(date(2015, 12, 27), date(2016, 12, 26))
    after, after_kwh = between(date(2017, 1, 4), date(2018, 1, 4))
    model = Baseline(float(before_kwh.mean()))
    model.learn(before, before_kwh)
    saving, fit = model.saving(after, after_kwh), model.fit
    expected_kwh = saving.saved_kwh / saving.share
    return {
        "true saving": 0.10,
        "saving": saving.share,
        "low": saving.low_kwh / expected_kwh,
        "high": saving.high_kwh / expected_kwh,
        "daily CV(RMSE)": fit.cv_rmse,
        "NMBE": fit.nmbe,
        "fractional uncertainty": saving.fractional_uncertainty,
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=200)
    options.add_argument("--days", type=int, default=120)
    options.add_argument("--data", type=Path, help="directory with mv_il-*.csv.gz")
    chosen = options.parse_args()
    found: dict[str, dict[str, float]] = {}
    for with_model in (True, False):
        for share in (0.0, 0.05, 0.10):
            name = f"switchback {share:.0%}, {'with' if with_model else 'without'} a model of the day"
            found[name] = switchback(chosen.seeds, chosen.days, share, with_model=with_model)
    if chosen.data is not None:
        found["baseline model, a year after a year"] = known_meter(chosen.data)
    for name, figures in found.items():
        print(name)
        for figure, value in figures.items():
            print(f"  {value:>9.3f}  {figure}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
