"""`python -m bench.local_state --broker HOST:PORT`: what a copy of the changelog on disk costs and saves.

One agent that only holds bytes, the real frame, a changelog of so many sites on a real broker. For each store: how long
a worker needs from its start until all partitions are open, its memory then, how long a checkpoint takes, and for how
long the event loop stands still meanwhile. Prints a table; asserts nothing.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import StreamT

from schemas.flow import NOTHING, Kind, Message, Outcome
from schemas.topics import TELEMETRY
from streams.app import build_app
from streams.broker import changelog_topic, partition_for
from streams.embedded.ends import end_offsets
from streams.frame.codec import control_headers
from streams.frame.lane import META, Lane
from streams.frame.pulse import Pulse
from streams.frame.stage import Stage, StageSpec
from streams.local_state import LocalState
from streams.settings import Settings
from streams.topology import APP_ID

PARTITIONS = 8
AGENT = "holder"
CHECKPOINTS = 12
SESSION_S = 20.0


@dataclass
class Holder:
    """Keeps bytes per site; each tick changes the next `dirty` sites."""

    dirty: int
    sites: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    at: int = 0

    def step(self, message: Message) -> Outcome:
        """Move on."""
        self.at += self.dirty if message.kind is Kind.TICK else 0
        return NOTHING

    def changed(self) -> Iterable[str]:
        """Return the sites of this tick."""
        count = len(self.order)
        return [self.order[n % count] for n in range(self.at - self.dirty, self.at)] if count else []

    def snapshot(self) -> Mapping[str, bytes]:
        """Return their bytes."""
        return {site: self.sites[site] for site in self.changed()}

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take the bytes."""
        self.sites = dict(snapshots)
        self.order = list(snapshots)


class TimedStage(Stage):
    """Notes how long checkpoints take."""

    took: list[float]

    async def _checkpoint(self, stream: StreamT[bytes], lane: Lane) -> None:
        started = time.perf_counter()
        await super()._checkpoint(stream, lane)
        self.took.append(time.perf_counter() - started)


def settings_of(asked: argparse.Namespace) -> Settings:
    """Return the settings of one prefix."""
    return Settings(
        kafka_url=f"kafka://{asked.broker}",
        data_dir=asked.work / asked.store,
        topic_prefix=asked.prefix,
        partitions=PARTITIONS,
        checkpoint_interval_s=0.1,
        session_timeout_s=SESSION_S,
    )


async def fill(asked: argparse.Namespace) -> None:
    """Write the changelog of so many sites, and the source topic."""
    changelog = changelog_topic(asked.prefix, APP_ID, AGENT)
    admin = AIOKafkaAdminClient(bootstrap_servers=asked.broker)
    await admin.start()
    await admin.create_topics([NewTopic(asked.prefix + TELEMETRY.name, PARTITIONS, 1)])
    await admin.create_topics([NewTopic(changelog, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"})])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=asked.broker, linger_ms=20, max_batch_size=1 << 20)
    await producer.start()
    stamp = (-1).to_bytes(8, "big", signed=True)
    for number in range(asked.sites):
        site = f"site-{number:07d}"
        place = partition_for(site, PARTITIONS)
        await producer.send(changelog, stamp + os.urandom(asked.bytes), key=site.encode(), partition=place)
    for partition in range(PARTITIONS):
        closing = json.dumps({"next": 0, "origins": {}}).encode()
        await producer.send(changelog, closing, key=f"{META}{partition}".encode(), partition=partition)
    await producer.stop()


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something; the event loop is what is measured, so nothing wakes it but time."""
    for _ in range(100_000):
        if happened():
            return
        await asyncio.sleep(0.02)


async def feel(stalls: list[float]) -> None:
    """Note for how long the event loop stands still."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        stalls.append(time.perf_counter() - before - 0.005)


async def work(asked: argparse.Namespace) -> None:
    """Be a worker: open everything, say how long it took, take some checkpoints, say how long those took."""
    started = time.monotonic()
    settings = settings_of(asked)
    url = f"kafka://{asked.broker}"
    state = None if asked.store == "memory" else LocalState.take(settings.data_dir, f"bench/{asked.prefix}")
    if state is not None:
        changelog = changelog_topic(asked.prefix, APP_ID, AGENT)
        state.check({AGENT: changelog}, await end_offsets(asked.broker, [changelog]))
    app = build_app(settings, url, None if state is None else state.directory)
    broken = asyncio.Event()

    async def on_bug(_error: BaseException) -> None:
        broken.set()

    spec = StageSpec(AGENT, TELEMETRY, (), lambda: Holder(asked.dirty))
    stage = TimedStage(app, spec, asked.prefix, PARTITIONS, 100, {}, Pulse(3600), on_bug)
    stage.took = []
    stage.attach()
    producer = AIOKafkaProducer(bootstrap_servers=asked.broker)
    await producer.start()

    async def tick(number: int) -> None:
        headers = control_headers(Kind.TICK, int(time.time() * 1000) + number)
        for partition in range(PARTITIONS):
            await producer.send_and_wait(asked.prefix + TELEMETRY.name, b"", partition=partition, headers=headers)

    async def tick_on() -> None:
        while True:  # as ingest does: Faust may skip what it fetched while it recovered, and the next message shows it
            await tick(0)
            await asyncio.sleep(1)

    ticking = asyncio.create_task(tick_on())
    await app.start()
    await until(lambda: len(stage.lanes) == PARTITIONS or broken.is_set())
    ready_s = time.monotonic() - started
    ticking.cancel()
    stage.took.clear()
    rss_mb = psutil.Process().memory_info().rss / 1e6
    stalls: list[float] = []
    feeling = asyncio.create_task(feel(stalls))
    for number in range(1, CHECKPOINTS + 1):
        await tick(number * 200)
        await asyncio.sleep(asked.pause)
    await until(lambda: len(stage.took) >= CHECKPOINTS * PARTITIONS or broken.is_set())
    await asyncio.sleep(2)
    feeling.cancel()
    took = sorted(stage.took)
    report = {
        "ready_s": round(ready_s, 1),
        "rss_mb": round(rss_mb),
        "rss_end_mb": round(psutil.Process().memory_info().rss / 1e6),
        "sites": sum(len(lane.agent.sites) for lane in stage.lanes.values() if isinstance(lane.agent, Holder)),
        "checkpoint_median_ms": round(took[len(took) // 2] * 1000),
        "checkpoint_p99_ms": round(took[int(len(took) * 0.99)] * 1000),
        "longest_stall_ms": round(max(stalls) * 1000),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    if asked.die:
        os.kill(os.getpid(), signal.SIGKILL)
    await app.stop()
    await producer.stop()


def child(asked: argparse.Namespace, *more: str) -> str:
    """Run a role in a process of its own and return what it said."""
    same = ["--broker", asked.broker, "--sites", str(asked.sites), "--bytes", str(asked.bytes)]
    same += ["--dirty", str(asked.dirty), "--work", str(asked.work), "--prefix", asked.prefix]
    command = [sys.executable, "-m", "bench.local_state", *same, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [*done.stderr.strip().splitlines()[-1:], *done.stdout.strip().splitlines()[-1:]]
    return lines[-1] if lines else ""


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the stores of the agents' state.")
    parser.add_argument("--broker", required=True, metavar="HOST:PORT")
    parser.add_argument("--sites", type=int, default=50_000, metavar="N")
    parser.add_argument("--bytes", type=int, default=500, metavar="N", help="of a snapshot (500)")
    parser.add_argument("--dirty", type=int, default=1000, metavar="N", help="sites in a checkpoint of a partition")
    parser.add_argument("--pause", type=float, default=1.0, metavar="S", help="between two checkpoints (1)")
    parser.add_argument("--work", type=Path, default=None, metavar="DIR")
    parser.add_argument("--prefix", default=f"bench-{os.getpid()}.")
    parser.add_argument("--role", choices=("fill", "work", "all"), default="all")
    parser.add_argument("--store", choices=("memory", "rocksdb"), default="memory")
    parser.add_argument("--die", action="store_true", help="end with SIGKILL")
    asked = parser.parse_args()
    asked.work = asked.work or Path(tempfile.mkdtemp(prefix="local-state-"))
    if asked.role == "fill":
        asyncio.run(fill(asked))
    elif asked.role == "work":
        asyncio.run(work(asked))
    else:
        child(asked, "--role", "fill")
        print(f"{asked.sites} sites of {asked.bytes} bytes, {asked.dirty} in a checkpoint of a partition")
        for name, store, *more in (
            ("memory", "memory", "--die"),
            ("memory, again", "memory"),
            ("rocksdb, nothing on disk", "rocksdb"),
            ("rocksdb, after a clean end", "rocksdb", "--die"),
            ("rocksdb, after SIGKILL", "rocksdb"),
        ):
            print(name, child(asked, "--role", "work", "--store", store, *more), flush=True)
            if more:
                time.sleep(SESSION_S + 1)  # the group waits for who was killed; that is not what is measured


if __name__ == "__main__":
    main()
