"""`python -m bench.hvac`: controllers on EnergyPlus reference buildings, against the buildings' own schedules.

Needs the extra: pip install -e '.[hvac]'. Asserts nothing.

examples:
  python -m bench.hvac                                             everything, with the results in bench/results
  python -m bench.hvac --buildings office --windows peak-heat --controllers own timer --out DIR
  python -m bench.hvac --idf other.idf --epw other.epw --out DIR   a building of your own
  python -m bench.hvac --windows year --days 30 --out DIR          its first month alone, for development
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from bench.hvac.buildings import BUILDINGS, Building, shipped
from bench.hvac.controllers import CONTROLLERS, MODELESS, MODES
from bench.hvac.scoring import Discomfort, Score, score
from bench.hvac.table import table
from bench.hvac.trace import Trace
from bench.hvac.weather import LEARNING_DAYS, Window, daily_outdoor_c, windows

PACKAGE = "pyenergyplus-lbnl"
T = TypeVar("T")
R = TypeVar("R")
WINDOWS = ("year", "peak-heat", "peak-cool")


@dataclass(frozen=True, slots=True)
class Run:
    """A simulation to be made."""

    building: Building
    window: Window
    controller: str
    mode: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from all others."""
        return self.building.name, self.window.name, self.controller, self.mode


class Bench:
    """Simulations, each in a process of its own.

    Parameters
    ----------
    recordings
        Where recordings of own schedules are kept from one run of the bench to the next.
    parallel
        How many run at once.
    wall, keep_empty
        See `bench.hvac.controllers.info_of`.
    """

    def __init__(self, recordings: Path, parallel: int, *, wall: bool, keep_empty: bool) -> None:
        self._recordings, self._parallel = recordings, parallel
        self._wall, self._keep_empty = wall, keep_empty
        recordings.mkdir(parents=True, exist_ok=True)

    def record(self, cases: list[tuple[Building, Window]]) -> None:
        """Make the recordings that are not there yet."""
        missing = [case for case in cases if not self._recording(*case).exists()]

        def work(case: tuple[Building, Window]) -> str:
            building, window = case
            spent_s = self._simulate(Run(building, window, "recording", ""), self._recording(building, window))
            return f"{building.name} {window.name}: own schedule recorded, {spent_s:.0f} s"

        for line in self._all(missing, work):
            print(line, flush=True)

    def run(self, runs: list[Run], keep: Callable[[Score], None]) -> None:
        """Run controllers; `keep` gets each score when it is there."""

        def work(run: Run) -> tuple[Score, float]:
            with tempfile.TemporaryDirectory(prefix="hvac-") as scratch:
                path = Path(scratch) / "trace.npz"
                spent_s = self._simulate(run, path)
                trace = Trace.load(path)
            own = Trace.load(self._recording(run.building, run.window))
            return score(run.key, trace, own, run.window.learning_days), spent_s

        for number, (found, spent_s) in enumerate(self._all(runs, work), 1):
            keep(found)
            print(
                f"[{number}/{len(runs)}] {found.building} {found.window} {found.controller} {found.mode}: "
                f"saving {found.saving:.2%}, beyond own band {found.beyond_own_k('own'):+.4f} K, beyond 20–26 °C "
                f"{found.beyond_own_k('safe'):+.4f} K, peak {found.peak_kw:.1f} ({found.own_peak_kw:.1f}) kW, "
                f"{spent_s:.0f} s",
                flush=True,
            )

    def _all(self, items: list[T], work: Callable[[T], R]) -> Iterator[R]:
        with _pool(self._parallel) as pool:
            for done in as_completed([pool.submit(work, item) for item in items]):
                yield done.result()

    def _recording(self, building: Building, window: Window) -> Path:
        return self._recordings / f"{building.key(window)}-{version(PACKAGE)}.npz"

    def _simulate(self, run: Run, result: Path) -> float:
        """Return the seconds it took.

        Raises
        ------
        RuntimeError
            If it failed, with what it said.
        """
        job = {
            "idf": str(run.building.idf),
            "epw": str(run.building.epw),
            "window": run.window.name,
            "first": run.window.first.isoformat(),
            "days": run.window.days,
            "learning_days": run.window.learning_days,
            "controller": run.controller,
            "mode": run.mode,
            "wall": self._wall,
            "keep_empty": self._keep_empty,
            "recording": str(self._recording(run.building, run.window)),
            "result": str(result),
        }
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="hvac-") as scratch:
            path = Path(scratch) / "job.json"
            path.write_text(json.dumps(job))
            command = [sys.executable, "-m", "bench.hvac.simulate", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(run.key)} failed:\n{done.stderr[-4000:]}")
        return time.monotonic() - started


@contextmanager
def _pool(parallel: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool that drops what has not begun when something fails."""
    pool = ThreadPoolExecutor(parallel)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class Results:
    """Scores on disk, written anew after each one: `<out>.json` and `<out>.md`.

    Raises
    ------
    ValueError
        If scores are to be added to those of other conditions.
    """

    def __init__(self, out: Path, about: dict[str, object], *, add: bool) -> None:
        self._json, self._markdown = out.with_suffix(".json"), out.with_suffix(".md")
        self._about = about
        self._scores: dict[tuple[str, str, str, str], Score] = {}
        out.parent.mkdir(parents=True, exist_ok=True)
        if add and self._json.exists():
            there = json.loads(self._json.read_text())
            rows = there.pop("scores")
            if there != about:
                raise ValueError(f"{self._json}: expected results of {about}, found those of {there}")
            for row in rows:
                self._put(read_score(row))

    def keep(self, one: Score) -> None:
        """Keep a score."""
        self._put(one)
        scores = sorted(self._scores.values(), key=_place)
        self._json.write_text(
            json.dumps(self._about | {"scores": [asdict(found) for found in scores]}, indent=1, ensure_ascii=False)
            + "\n"
        )
        head = "\n".join(f"{name}: {value}  " for name, value in self._about.items())
        self._markdown.write_text(f"# Controllers on EnergyPlus reference buildings\n\n{head}\n\n{table(scores)}")

    def _put(self, one: Score) -> None:
        self._scores[one.building, one.window, one.controller, one.mode] = one


def _place(one: Score) -> tuple[int, str, int, int]:
    """Return where a score stands in the table."""
    return WINDOWS.index(one.window), one.building, CONTROLLERS.index(one.controller), MODES.index(one.mode)


def read_score(row: dict[str, Any]) -> Score:
    """Return a score that was written as JSON."""
    return Score(**row | {name: Discomfort(**row[name]) for name in ("discomfort", "own_discomfort")})


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.hvac", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--buildings", nargs="+", choices=BUILDINGS, default=BUILDINGS)
    parser.add_argument("--idf", type=Path, help="another model (IDF or epJSON) instead; needs --epw")
    parser.add_argument("--epw", type=Path, help="its weather")
    parser.add_argument("--windows", nargs="+", choices=WINDOWS, default=WINDOWS)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="bands that wattloop has to keep")
    parser.add_argument("--controllers", nargs="+", choices=CONTROLLERS, default=CONTROLLERS)
    parser.add_argument("--parallel", type=int, default=2, metavar="N", help="simulations at once")
    parser.add_argument("--days", type=int, metavar="N", help="score the first N days of each window only")
    parser.add_argument("--clock", choices=("standard", "wall"), default="standard", help="what controllers are told")
    parser.add_argument(
        "--keep-empty", action="store_true", help="zones without people stay within their own set-points"
    )
    parser.add_argument("--recordings", type=Path, default=Path(".wattloop/hvac"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("bench/results/hvac"), help="without suffix")
    parser.add_argument("--add", action="store_true", help="keep the scores that are there already and not made anew")
    chosen = parser.parse_args()
    if (chosen.idf is None) != (chosen.epw is None):
        parser.error("--idf and --epw go together")
    if chosen.idf is None:
        buildings = [shipped(name) for name in chosen.buildings]
    else:
        buildings = [Building(chosen.idf.stem, chosen.idf.resolve(), chosen.epw.resolve())]
    found = {building: windows(daily_outdoor_c(building.epw), chosen.days) for building in buildings}
    cases = [(building, found[building][name]) for name in chosen.windows for building in buildings]
    runs = [
        Run(building, window, controller, mode)
        for building, window in cases
        for controller in chosen.controllers
        for mode in (("neutral",) if controller in MODELESS else chosen.modes)
    ]
    about = {
        "package": f"{PACKAGE} {version(PACKAGE)}",
        "learning days": LEARNING_DAYS,
        "clock": chosen.clock,
        "zones without people": "own set-points at most" if chosen.keep_empty else "may go to the limits",
    }
    results = Results(chosen.out, about, add=chosen.add)
    bench = Bench(chosen.recordings, chosen.parallel, wall=chosen.clock == "wall", keep_empty=chosen.keep_empty)
    bench.record(cases)
    bench.run(runs, results.keep)
    print(chosen.out.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
