"""Runs fault schedules, one after the other, and says what came out (the command line is run.py)."""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
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
    parser = argparse.ArgumentParser(description="Run fault schedules, one after the other, and judge what each left.")
    parser.add_argument("--schedules", type=int, default=10, metavar="N", help="how many (10)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first one (1)")
    parser.add_argument(
        "--broker",
        choices=("apache", "embedded"),
        default="apache" if os.environ.get("WATTLOOP_TEST_BROKER", "apache") == "apache" else "embedded",
        help="Apache Kafka 4, or the embedded one, which is never restarted (apache)",
    )
    parser.add_argument("--store", choices=("memory", "rocksdb"), default="memory", help="of the agents (memory)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where it happens (a temporary directory)")
    asked = parser.parse_args()
    work: Path = asked.work or Path(tempfile.mkdtemp(prefix="wattloop-chaos-"))
    reports: list[Report] = []
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that the broker is away is no news here
    try:
        for seed in range(asked.seed, asked.seed + asked.schedules):
            directory = work / f"seed-{seed}"
            directory.mkdir(parents=True)
            report = run_seed(seed, asked.broker, directory, {"WATTLOOP_STATE_STORE": asked.store})
            reports.append(report)
            say(line(report))
            for problem in report.problems:
                say(f"    {problem}")
            if report.problems:
                say(f"    left in {directory}")
            else:
                forget(directory)
    except KeyboardInterrupt:
        say("interrupted")
    failed = sum(bool(one.problems) for one in reports)
    say(f"\n{table(reports)}\n\n{len(reports) - failed} of {len(reports)} schedules exact")
    return 1 if failed or len(reports) < asked.schedules else 0


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
