"""Runs the scenarios, one after the other, and prints a table (the command line is run.py)."""

import argparse
import asyncio
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from chaos.brokers import Broker, some_broker
from exactly_once.watch import Output, create, feed, held_back, placed, table_counts, uncommitted

GUARANTEES = ("exactly_once", "at_least_once")
SCENARIOS = ("undisturbed", "kills", "second worker", "broker restart")
_SLEEP_S = 0.2
_FAUST = [sys.executable, "-m", "faust", "-A", "exactly_once.counter"]
_TROUBLE = re.compile(r"ERROR|WARNING|Error\b|Fenced|Exception")
_NUMBERS = re.compile(r"\d+|'[^']*'|\S*counter\S*")


@dataclass(slots=True)
class Result:
    """What came out of one run."""

    guarantee: str
    scenario: str
    seed: int
    numbers: int = 0
    lost: int = 0
    doubled: int = 0
    table_off: int = 0  # sum over keys of what the changelog is away from the truth
    table_wrong_keys: int = 0
    behind_s: float | None = None  # from the end of the feed to the last output; none when some never came
    needed_restart: bool = False
    held_back: int = 0
    uncommitted: int = 0
    ended: Counter[int] = field(default_factory=Counter)  # exit codes nobody asked for
    troubles: Counter[str] = field(default_factory=Counter)

    def row(self) -> str:
        """Return a row of the table."""
        behind = "never" if self.behind_s is None else f"{self.behind_s:.1f}"
        ended = ", ".join(f"{code} ×{times}" for code, times in sorted(self.ended.items())) or "–"
        cells = (
            self.guarantee,
            self.scenario,
            self.seed,
            self.numbers,
            self.lost,
            self.doubled,
            f"{self.table_off:+d} in {self.table_wrong_keys} keys" if self.table_wrong_keys else "exact",
            behind + (" (restarted)" if self.needed_restart else ""),
            self.held_back,
            self.uncommitted,
            ended,
        )
        return "| " + " | ".join(str(cell) for cell in cells) + " |"


HEADER = (
    "| guarantee | scenario | seed | numbers | lost | doubled | table | complete after s | held back | uncommitted "
    "| ended by itself |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(slots=True)
class Counting:
    """Workers of one app on one broker; one that ends by itself is started again, as a supervisor would."""

    broker: Broker
    app_id: str
    guarantee: str
    directory: Path
    workers: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    ended: Counter[int] = field(default_factory=Counter)

    def start(self, name: str) -> None:
        """Start a worker."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            "COUNTER_ID": self.app_id,
            "COUNTER_BROKER": f"kafka://{self.broker.address}",
            "COUNTER_GUARANTEE": self.guarantee,
        }
        with (self.directory / f"{self.app_id}.log").open("ab") as log:
            data = str(self.directory / f"{self.app_id}-{name}")
            command = [*_FAUST, "--datadir", data, "worker", "-l", "info", "--without-web"]
            self.workers[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def end(self, name: str, number: signal.Signals, within_s: float = 30.0) -> None:
        """Send a signal and wait for the end."""
        worker = self.workers.pop(name)
        worker.send_signal(number)
        try:
            worker.wait(within_s)
        except subprocess.TimeoutExpired:
            self.ended[-999] += 1  # did not stop when asked
            worker.kill()
            worker.wait()

    def tend(self) -> None:
        """Start again what ended by itself."""
        for name, worker in list(self.workers.items()):
            code = worker.poll()
            if code is not None:
                self.ended[code] += 1
                self.start(name)

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            self.tend()
            await asyncio.sleep(min(_SLEEP_S, left))

    def troubles(self) -> Counter[str]:
        """Return what the workers complained about, without names and numbers."""
        text = (self.directory / f"{self.app_id}.log").read_text(errors="replace")
        lines = (line.split("] ", 3)[-1].strip(" ^-|") for line in text.splitlines() if _TROUBLE.search(line))
        return Counter(_NUMBERS.sub("…", line)[:110] for line in lines)


async def disturb(counting: Counting, scenario: str, chance: random.Random, done: Callable[[], bool]) -> None:
    """Let the faults of a scenario happen until the feed is done."""
    while not done():
        await counting.wait(chance.uniform(3, 8))
        match scenario:
            case "kills":
                counting.end("one", signal.SIGKILL)
                counting.start("one")
            case "second worker":
                counting.start("two")
                await counting.wait(chance.uniform(6, 12))
                # In a thread: stopping takes seconds, and nobody would feed meanwhile.
                how = signal.SIGKILL if chance.random() < 0.5 else signal.SIGTERM
                await asyncio.to_thread(counting.end, "two", how)
            case "broker restart":
                await asyncio.to_thread(counting.broker.kill if chance.random() < 0.5 else counting.broker.stop)
                await counting.wait(chance.uniform(0, 3))
                await asyncio.to_thread(counting.broker.start)
                await counting.wait(8)


async def complete(counting: Counting, output: Output, total: int, patience_s: float) -> bool:
    """Wait until every number has come out, or nothing has for a while."""
    loop = asyncio.get_running_loop()
    last = loop.time()
    seen = len(output.seen)
    while len(output.seen) < total and loop.time() - last < patience_s:
        await counting.wait(0.5)
        if len(output.seen) != seen:
            seen, last = len(output.seen), loop.time()
    return len(output.seen) >= total


async def run(broker: Broker, guarantee: str, scenario: str, seed: int, asked: argparse.Namespace) -> Result:
    """Make one run."""
    app_id = f"counter-{guarantee.replace('_', '-')}-{scenario.replace(' ', '-')}-{seed}"
    inputs, outputs, changelog = (f"{app_id}-{name}" for name in ("numbers", "counted", "counts-changelog"))
    result = Result(guarantee, scenario, seed, numbers=int(asked.rate * asked.seconds))
    await create(broker.address, inputs, outputs)
    counting = Counting(broker, app_id, guarantee, asked.work)
    loop = asyncio.get_running_loop()
    output = Output()
    following = asyncio.create_task(output.follow(broker.address, outputs))
    try:
        counting.start("one")
        feeding = asyncio.create_task(feed(broker.address, inputs, result.numbers, asked.rate))
        if scenario == "undisturbed":
            await feeding
        else:
            await disturb(counting, scenario, random.Random(seed), feeding.done)
            await feeding
        fed_at = loop.time()
        if not await complete(counting, output, result.numbers, asked.patience):
            # Stuck: what does a person do? Start it again.
            result.needed_restart = True
            for name in list(counting.workers):
                await asyncio.to_thread(counting.end, name, signal.SIGTERM)
            counting.start("one")
            await complete(counting, output, result.numbers, asked.patience)
        if len(output.seen) == result.numbers:
            result.behind_s = max(0.0, output.last_at - fed_at)
        await counting.wait(3)  # commits, and what may come twice
        for name in list(counting.workers):
            await asyncio.to_thread(counting.end, name, signal.SIGTERM)
        await asyncio.sleep(1)
    finally:
        for worker in counting.workers.values():
            worker.kill()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    truth = Counter(placed(number)[1] for number in range(result.numbers))
    table = await table_counts(broker.address, changelog)
    away = {key: table.get(key, 0) - many for key, many in truth.items()}
    result.lost = result.numbers - len(output.seen)
    result.doubled = sum(times - 1 for times in output.seen.values())
    result.table_off, result.table_wrong_keys = sum(away.values()), sum(one != 0 for one in away.values())
    result.held_back = await held_back(broker.address, outputs)
    result.uncommitted = await uncommitted(broker.address, inputs, app_id)
    result.ended, result.troubles = counting.ended, counting.troubles()
    return result


async def throughput(broker: Broker, guarantee: str, total: int, attempt: int, work: Path) -> float:
    """Return how many numbers a second come out of a backlog, from the first to the last one."""
    app_id = f"counter-speed-{attempt}-{guarantee.replace('_', '-')}"
    await create(broker.address, f"{app_id}-numbers", f"{app_id}-counted")
    await feed(broker.address, f"{app_id}-numbers", total, None)
    counting = Counting(broker, app_id, guarantee, work)
    output = Output()
    following = asyncio.create_task(output.follow(broker.address, f"{app_id}-counted"))
    try:
        counting.start("one")
        while not output.seen:
            await counting.wait(0.05)
        first_at, first = output.last_at, len(output.seen)
        await complete(counting, output, total, 20)
        return (len(output.seen) - first) / max(output.last_at - first_at, 1e-3)
    finally:
        counting.end("one", signal.SIGTERM)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def measure(asked: argparse.Namespace) -> None:
    """Run what was asked for."""
    with some_broker("apache", asked.work) as broker:
        results = []
        for scenario in asked.scenarios:
            for guarantee in asked.guarantees:
                for seed in range(asked.seed, asked.seed + asked.seeds):
                    results.append(await run(broker, guarantee, scenario, seed, asked))
                    say(results[-1].row())
                    for trouble, times in results[-1].troubles.most_common(4):
                        say(f"    {times} × {trouble}")
        say(f"\nfaust-streaming {version('faust-streaming')}, aiokafka {version('aiokafka')}\n\n{HEADER}")
        for one in results:
            say(one.row())
        if asked.backlog:
            speeds = {
                name: [await throughput(broker, name, asked.backlog, n, asked.work) for n in range(3)]
                for name in GUARANTEES
            }
            for name, each in speeds.items():
                say(f"{name}: {', '.join(f'{one:.0f}' for one in each)} numbers/s from a backlog of {asked.backlog}")


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure a plain Faust app on Apache Kafka 4.")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each scenario (3)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the first one (1)")
    parser.add_argument("--scenarios", nargs="*", choices=SCENARIOS, default=SCENARIOS, metavar="NAME")
    parser.add_argument("--guarantees", nargs="*", choices=GUARANTEES, default=GUARANTEES, metavar="NAME")
    parser.add_argument("--rate", type=float, default=200, metavar="N", help="numbers a second (200)")
    parser.add_argument("--seconds", type=float, default=25, metavar="S", help="length of a feed (25)")
    parser.add_argument("--patience", type=float, default=30, metavar="S", help="silence that is called stuck (30)")
    parser.add_argument("--backlog", type=int, default=10_000, metavar="N", help="numbers for the speed; 0: skip it")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where it happens (a temporary directory)")
    asked = parser.parse_args()
    asked.work = asked.work or Path(tempfile.mkdtemp(prefix="exactly-once-"))
    asked.work.mkdir(parents=True, exist_ok=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that the broker is away is no news here
    asyncio.run(measure(asked))


if __name__ == "__main__":
    main()
