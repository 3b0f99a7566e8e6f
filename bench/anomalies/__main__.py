"""Score the detectors on loads: `python -m bench.anomalies [--loads FILE COUNTRY]... [--seeds N]`."""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from bench.anomalies.loads import SHIPPED, loads_of
from bench.anomalies.scoring import Score, score
from schemas.anomaly import AnomalyKind

COUNTRIES = {"steel": "KR", "simbench": "DE", "bdg2": "US"}


def main() -> None:
    """Score every meter with every seed and print the tables."""
    arguments = argparse.ArgumentParser(prog="python -m bench.anomalies", description=__doc__)
    arguments.add_argument("--loads", nargs=2, action="append", metavar=("FILE", "COUNTRY"), help="other loads")
    arguments.add_argument("--seeds", type=int, default=1)
    arguments.add_argument("--but", type=Path, help="leave out the meters of this file: those that settings saw")
    arguments.add_argument("--each", action="store_true", help="a line for each meter as well")
    arguments.add_argument("--json", type=Path, help="write the figures here too")
    chosen = arguments.parse_args()
    files = chosen.loads or [(str(SHIPPED / f"{name}.parquet"), country) for name, country in COUNTRIES.items()]
    left_out = {load.name for load in loads_of(chosen.but, "US")} if chosen.but else set()
    scores = []
    for file, country in files:
        for load in loads_of(Path(file), country):
            if load.name in left_out:
                continue
            for seed in range(chosen.seeds):
                one = score(load, seed)
                scores.append(one)
                if chosen.each:
                    print(load.name, *lines([one])[2:], sep="\n  ")
    print("\n".join(lines(scores)))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures(scores), indent=1) + "\n", encoding="utf-8")


def figures(scores: Sequence[Score]) -> dict[str, float]:
    """Return recall, delay and false alarms over all meters."""
    found: dict[str, float] = {}
    names = sorted({key for one in scores for key in one.faults}, key=lambda key: (key[0], -key[1]))
    for name in dict.fromkeys(name for name, _ in names):
        sizes = [size for other, size in names if other == name]
        every = []
        for size in sizes:
            mine = [one.faults[name, size] for one in scores if one.faults[name, size].planted]
            # Each meter counts alike, however many faults fitted it.
            recall = statistics.mean(one.found / one.planted for one in mine)
            found[f"{name}, {size:.0%}: recall"] = recall
            every.append(recall)
        found[f"{name}: recall"] = statistics.mean(every)
        delays = [d for one in scores for size in sizes for d in one.faults[name, size].delays_min]
        found[f"{name}: faults"] = sum(one.faults[name, size].planted for one in scores for size in sizes)
        found[f"{name}: median delay [h]"] = statistics.median(delays) / 60 if delays else float("nan")
    for kind in AnomalyKind:
        armed = sum(one.armed_days[kind] for one in scores)
        found[f"{kind.value}: false alarm days per 30 meter-days"] = (
            30 * sum(one.false_days[kind] for one in scores) / max(1, armed)
        )
    armed = sum(one.days_armed for one in scores)
    found["whole days and drift: false alarm days per 30 meter-days"] = (
        30 * sum(one.days_false for one in scores) / max(1, armed)
    )
    armed = sum(one.any_armed for one in scores)
    found["all: false alarm days per 30 meter-days"] = 30 * sum(one.any_false for one in scores) / max(1, armed)
    found["meters"] = len(scores)
    found["CPU per quarter hour of a meter [us]"] = (
        sum(one.took_s for one in scores) / sum(one.quarters for one in scores) * 1e6
    )
    return found


def lines(scores: Sequence[Score]) -> list[str]:
    """Return a Markdown table."""
    rows = [f"| {name} | {value:,.2f} |" for name, value in figures(scores).items()]
    return ["| | |", "|---|--:|", *rows]


if __name__ == "__main__":
    main()
