"""`python -m bench.job`: the whole campaign, from a broker of its own to the table and the plot."""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from tempfile import mkdtemp

import psutil

from bench.job import plan, report
from bench.job.implementations import IMPLEMENTATIONS, Implementation
from bench.job.processes import ROOT, a_kafka, free_port
from bench.job.runs import Result, Stand, latency, throughput, workload
from bench.job.workload import Shape, messages

PARTITIONS = 4
LATENESS_S = 30


def main() -> None:
    """Measure, and write what was measured after every shape, so that an interrupted campaign is not lost."""
    asked = _asked()
    # So that a kill of the bench still ends broker, history and implementations.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    began, commit = time.monotonic(), _commit()
    if asked.scratch is not None:
        asked.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(mkdtemp(prefix="wattloop-bench-", dir=asked.scratch))
    try:
        results: list[Result] = []
        chosen = [one for one in IMPLEMENTATIONS if one.name in asked.only]
        for place in {one.environment for one in chosen if one.environment is not None}:
            subprocess.run(["make", "-s", f"{place.relative_to(ROOT)}/.ready"], check=True, cwd=ROOT)
        with a_kafka(scratch / "kafka", free_port()) as (broker, process):
            stand = Stand(
                broker,
                process,
                PARTITIONS,
                LATENESS_S,
                asked.processes,
                asked.limit,
                scratch,
                ROOT / ".venv/bin/python",
                Path(sys.executable),
            )
            for name in asked.shapes:
                results += _as_fast_as_it_can(
                    stand, plan.shape_of(name, LATENESS_S, asked.scale), chosen, asked.rounds, results
                )
                _write(asked, results, began, commit)
            for rate in asked.rates:
                results += _at_rate(stand, rate, chosen, results)
                _write(asked, results, began, commit)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print((asked.out / "peers.md").read_text())


def _as_fast_as_it_can(
    stand: Stand, shape: Shape, chosen: Sequence[Implementation], rounds: int, known: Sequence[Result]
) -> list[Result]:
    work = workload(shape, stand.lateness_s)
    packed = list(messages(work))
    _say(f"{shape.name}: {shape.readings:,} readings, {len(packed):,} messages")
    results = []
    for _ in range(rounds):
        for one in chosen:
            if shape.encoding not in one.encodings:
                continue
            needed_s = shape.readings / (_best(one, known, shape.encoding) or shape.readings)
            if needed_s > stand.limit_s:
                slow = f"not asked: {needed_s:,.0f} s would be needed"
                results.append(Result(one.name, shape.name, shape.readings, problem=slow))
            else:
                results.append(throughput(stand, one, work, packed))
            _tell(results[-1], "readings_per_s", "readings_per_cpu_s", "peak_mb")
    return results


def _at_rate(stand: Stand, rate: int, chosen: Sequence[Implementation], known: Sequence[Result]) -> list[Result]:
    shape = plan.shape_at(rate)
    work = workload(shape, stand.lateness_s)
    packed = list(messages(work))
    _say(f"{shape.name} at {rate:,}/s: {shape.readings:,} readings")
    results = []
    for one in chosen:
        fastest = _best(one, known, shape.encoding)
        if fastest is not None and fastest < rate:
            slow = f"not asked: {fastest:,.0f} readings/s at most"
            results.append(Result(one.name, shape.name, shape.readings, rate, slow))
        else:
            results.append(latency(stand, one, work, packed, rate))
        _tell(results[-1], "p50_ms", "p99_ms")
    return results


def _best(one: Implementation, known: Sequence[Result], encoding: str) -> float | None:
    """Return the highest rate an implementation has shown with messages of this kind; None when it has shown none."""
    mine = [got for got in known if got.implementation == one.name and got.shape.startswith(encoding)]
    return max((got.figures["readings_per_s"] for got in mine if "readings_per_s" in got.figures), default=None)


def _tell(result: Result, *names: str) -> None:
    figures = ", ".join(f"{name} {result.figures[name]:,.0f}" for name in names if name in result.figures)
    _say(f"  {result.implementation:10} {figures or result.problem}")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _write(asked: argparse.Namespace, results: Sequence[Result], began: float, commit: str) -> None:
    document = {"about": _about(asked, began, commit), "results": [asdict(one) for one in results]}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "peers.json").write_text(json.dumps(document, indent=1) + "\n")
    read: report.Document = json.loads((asked.out / "peers.json").read_text())
    (asked.out / "peers.md").write_text(report.markdown(read))
    report.plot(read, asked.out / "peers.svg")


def _about(asked: argparse.Namespace, began: float, commit: str) -> dict[str, object]:
    return {
        "measured at": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": commit,
        "command": _command(),
        "machine": f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB, {_processor()}",
        "load average of the last minutes (1, 5, 15 min; the bench itself makes 2 to 4)": " ".join(
            f"{load:.1f}" for load in os.getloadavg()
        ),
        "took": f"{(time.monotonic() - began) / 60:.1f} min",
        "broker": "Apache Kafka 4 (deploy/kafka), one node, the same for all",
        "history": "the embedded ClickHouse engine as a server, one for each run",
        "partitions": PARTITIONS,
        "processes of each implementation": asked.processes,
        "allowed lateness": f"{LATENESS_S} s",
        "compression": "none on the wire; lz4 inside Arrow: input of arrow shapes, internal topics of Wattloop",
        "python": platform.python_version(),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """Return the versions of what takes part, without those of an environment that was never made."""
    places = {package: sys.path for one in IMPLEMENTATIONS for package in one.packages if one.environment is None}
    places["clickhouse-connect"] = sys.path
    for one in IMPLEMENTATIONS:
        if one.environment is not None:
            own = [str(place) for place in one.environment.glob("lib/python*/site-packages")]
            places |= dict.fromkeys(one.packages, own)
    found = {package: next(iter(distributions(name=package, path=path)), None) for package, path in places.items()}
    return {package: one.version for package, one in sorted(found.items()) if one is not None}


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def _commit() -> str:
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return _git("rev-parse", "--short", "HEAD") + (" and uncommitted changes" if changed else "")


def _command() -> str:
    """Return how to measure this again; where the files were is nobody's concern."""
    given = sys.argv[1:]
    for place_of in ("--scratch", "--out"):
        if place_of in given:
            place = given.index(place_of)
            given = given[:place] + given[place + 2 :]
    return "make bench-peers" + (f" ARGS='{' '.join(given)}'" if given else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout.strip()


def _asked() -> argparse.Namespace:
    names = [one.name for one in IMPLEMENTATIONS]
    parser = argparse.ArgumentParser(prog="python -m bench.job", description="Wattloop and its peers at one job.")
    parser.add_argument("--full", action="store_true", help="all shapes; takes hours")
    parser.add_argument("--shapes", type=_words, help=f"such as {','.join(plan.DEFAULT_SHAPES[:3])}; none for none")
    parser.add_argument(
        "--rates", type=_numbers, default=list(plan.RATES), help="fixed rates [readings/s]; none for none"
    )
    parser.add_argument("--only", type=_words, default=names, help=f"of {','.join(names)}")
    parser.add_argument("--processes", type=int, default=1, help="processes of each implementation")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each shape; the table shows medians")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the readings of a shape")
    parser.add_argument("--limit", type=float, default=120.0, help="longest time for a run [s]")
    parser.add_argument("--out", type=Path, default=ROOT / "bench/results", help="where the results go")
    parser.add_argument("--scratch", type=Path, default=None, help="where broker and histories keep their data")
    asked = parser.parse_args()
    if asked.shapes is None:
        asked.shapes = [*plan.DEFAULT_SHAPES, *(plan.MORE_SHAPES if asked.full else ())]
    return asked


def _words(text: str) -> list[str]:
    return [] if text == "none" else text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(one) for one in _words(text)]
