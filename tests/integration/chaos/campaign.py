"""Runs fault schedules and says what came out (the command line is run.py)."""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from chaos.harness import Report, forget, run_seed


def line(report: Report) -> str:
    """Say in one line what came out."""
    faults = ", ".join(report.faults)
    return f"seed {report.seed}: {verdict(report)} in {report.seconds:.0f} s ({report.messages} messages; {faults})"


def verdict(report: Report) -> str:
    """Say in a word or two what came out."""
    return "exact" if not report.problems else f"{len(report.problems)} problems"


def table(reports: Sequence[Report]) -> str:
    """Return the results as Markdown."""
    rows = ["| seed | messages | faults | result | seconds |", "|---|---|---|---|---|"]
    for one in reports:
        result = "exact" if not one.problems else "; ".join(one.problems).replace("|", "\\|")
        rows.append(f"| {one.seed} | {one.messages} | {', '.join(one.faults)} | {result} | {one.seconds:.0f} |")
    return "\n".join(rows)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Run fault schedules and judge what each left.")
    parser.add_argument("--schedules", type=int, default=10, metavar="N", help="how many (10)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first one (1)")
    parser.add_argument(
        "--broker",
        choices=("apache", "embedded"),
        default="apache" if os.environ.get("WATTLOOP_TEST_BROKER", "apache") == "apache" else "embedded",
        help="Apache Kafka 4, or the embedded one, which is never restarted (apache)",
    )
    parser.add_argument("--store", choices=("memory", "rocksdb"), default="memory", help="of the agents (memory)")
    parser.add_argument(
        "--parallel", type=int, default=1, metavar="N", help="how many at a time; most of a schedule is waiting (1)"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="where it happens (a temporary directory)")
    asked = parser.parse_args()
    work: Path = asked.work or Path(tempfile.mkdtemp(prefix="wattloop-chaos-"))
    reports: list[Report] = []
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that the broker is away is no news here
    try:
        with ThreadPoolExecutor(asked.parallel) as pool:
            seeds = range(asked.seed, asked.seed + asked.schedules)
            settings = {"WATTLOOP_STATE_STORE": asked.store}
            running = [pool.submit(one, seed, asked.broker, work / f"seed-{seed}", settings) for seed in seeds]
            try:
                reports.extend(done.result() for done in as_completed(running))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except KeyboardInterrupt:
        say("interrupted")
    reports.sort(key=lambda report: report.seed)
    failed = sum(bool(one.problems) for one in reports)
    say(f"\n{table(reports)}\n\n{len(reports) - failed} of {len(reports)} schedules exact")
    return 1 if failed or len(reports) < asked.schedules else 0


def one(seed: int, broker: str, directory: Path, settings: Mapping[str, str]) -> Report:
    """Run a schedule, say what came out, and keep what it left if that is wrong."""
    directory.mkdir(parents=True)
    try:
        report = run_seed(seed, broker, directory, settings)
    except Exception as error:  # the others go on
        report = Report(seed, (), 0, (f"not judged: {type(error).__name__}: {error}",), 0.0)
    say(line(report))
    for problem in report.problems:
        say(f"    seed {seed}: {problem}")
    if report.problems:
        say(f"    left in {directory}")
    else:
        forget(directory)
    return report


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
