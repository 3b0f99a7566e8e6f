"""Who does the job: how each one is started, what it promises, what it reads."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.job.processes import ROOT, free_port
from bench.job.workload import grid_meters

FLINK = ROOT / "bench/.venv-flink"  # PyFlink pins what the other peers have newer, so it lives alone
SESSION_TIMEOUT_MS = 60_000  # longer than a run holds the processes while it loads the topic


@dataclass(frozen=True, slots=True)
class Place:
    """What a run gives to an implementation."""

    broker: str
    prefix: str  # of its topics
    partitions: int
    lateness_s: int
    encoding: str
    history_port: int
    directory: Path
    minutes: Mapping[str, object]  # start in ms -> factor, price
    processes: int
    product_python: Path
    bench_python: Path

    @property
    def readings_topic(self) -> str:
        """Where the readings are."""
        return f"{self.prefix}meter.readings.v1"

    @property
    def emissions_topic(self) -> str:
        """Where the output is awaited."""
        return f"{self.prefix}emissions.v1"

    @property
    def live_topic(self) -> str:
        """Where Wattloop shows how a site stands now."""
        return f"{self.prefix}site.live.v1"


@dataclass(frozen=True, slots=True)
class Start:
    """How to start an implementation: a command and an environment for each process."""

    commands: list[list[str]]
    environments: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Implementation:
    """One way to do the job."""

    name: str
    title: str
    encodings: tuple[str, ...]
    guarantee: str
    extent: str  # what it does more, or less, than the job
    packages: tuple[str, ...]
    environment: Path | None = None  # where its packages are, when not where the bench's are

    @property
    def is_product(self) -> bool:
        """Whether it is Wattloop."""
        return self.name == "wattloop"

    def start(self, place: Place) -> Start:
        """Return how to start it."""
        if self.is_product:
            return _wattloop(place)
        job = place.directory / "job.json"
        job.write_text(json.dumps(_job(place)))
        environment = {"BENCH_JOB": str(job), "PYTHONPATH": str(ROOT)}
        commands = _COMMANDS[self.name](place)
        return Start(commands, [environment] * len(commands))


def _job(place: Place) -> dict[str, object]:
    return {
        "broker": place.broker,
        "readings_topic": place.readings_topic,
        "emissions_topic": place.emissions_topic,
        "partitions": place.partitions,
        "group": f"{place.prefix}peer",
        "encoding": place.encoding,
        "lateness_ms": place.lateness_s * 1000,
        "session_timeout_ms": SESSION_TIMEOUT_MS,
        "history_port": place.history_port,
        "directory": str(place.directory),
        "grid_meters": grid_meters(),
        "minutes": dict(place.minutes),
    }


def _wattloop(place: Place) -> Start:
    command = [str(place.product_python), "-m", "streams.cli.main", "worker"]
    environments = [
        {
            "WATTLOOP_KAFKA_URL": f"kafka://{place.broker}",
            "WATTLOOP_CLICKHOUSE_URL": f"http://127.0.0.1:{place.history_port}/wattloop",
            "WATTLOOP_DATA_DIR": str(place.directory / f"data-{number}"),
            "WATTLOOP_TOPIC_PREFIX": place.prefix,
            "WATTLOOP_PARTITIONS": str(place.partitions),
            "WATTLOOP_ADMIN_PORT": str(free_port()),
            "WATTLOOP_ALLOWED_LATENESS_S": str(place.lateness_s),
            "WATTLOOP_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_MS // 1000),
        }
        for number in range(place.processes)
    ]
    return Start([command] * place.processes, environments)


def _quix(place: Place) -> list[list[str]]:
    return [[str(place.bench_python), "-m", "bench.peers.quix_job"]] * place.processes


def _polars(place: Place) -> list[list[str]]:
    return [[str(place.bench_python), "-m", "bench.peers.polars_job"]] * place.processes


def _faust(place: Place) -> list[list[str]]:
    command = [str(place.bench_python), "-m", "bench.peers.faust_job", "--loop", "uvloop", "-l", "warn", "worker"]
    return [command] * place.processes


def _pyflink(place: Place) -> list[list[str]]:
    # One cluster whatever the number: what others do with processes Flink does with subtasks.
    jars = str(FLINK / "jars")
    return [[str(FLINK / "bin/python"), "-m", "bench.peers.pyflink_job", jars, str(place.processes)]]


def _bytewax(place: Place) -> list[list[str]]:
    python, recovery = str(place.bench_python), place.directory / "recovery"
    recovery.mkdir()
    subprocess.run([python, "-m", "bytewax.recovery", str(recovery), str(place.processes)], check=True)
    command = [python, "-m", "bytewax.run", "bench.peers.bytewax_job:flow", "-r", str(recovery), "-s", "10", "-b", "0"]
    if place.processes == 1:
        return [command]
    addresses = ";".join(f"127.0.0.1:{free_port()}" for _ in range(place.processes))
    return [[*command, "-i", str(number), "-a", addresses] for number in range(place.processes)]


_COMMANDS: dict[str, Callable[[Place], list[list[str]]]] = {
    "polars": _polars,
    "quix": _quix,
    "bytewax": _bytewax,
    "faust": _faust,
    "pyflink": _pyflink,
}

WHOLE = "the whole job"

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    Implementation(
        "wattloop",
        "Wattloop",
        ("json", "ndjson", "arrow"),
        "exactly once in effect",
        "the whole job, and more: validation, dead letters, every reading stored, live figures, audit trail, tariff "
        "calendar, quality",
        (),
    ),
    Implementation(
        "polars",
        "confluent-kafka + polars loop",
        ("json", "ndjson", "arrow"),
        "none: state is lost by a kill",
        "the whole job; late readings are not refused",
        ("confluent-kafka", "polars"),
    ),
    Implementation(
        "quix", "Quix Streams", ("json",), "at least once; state in RocksDB and a changelog", WHOLE, ("quixstreams",)
    ),
    Implementation(
        "bytewax", "Bytewax", ("json",), "at least once; snapshots every 10 s", WHOLE, ("bytewax", "confluent-kafka")
    ),
    Implementation(
        "faust",
        "Faust, one reading per event",
        ("json",),
        "at least once; tables over-count after a kill",
        WHOLE,
        ("faust-streaming", "aiokafka"),
    ),
    Implementation(
        "pyflink",
        "PyFlink",
        ("json",),
        "at least once; checkpoints every 10 s",
        "the whole job; rows are inserted by a Python function, as Flink has no sink for it; records have no key",
        ("apache-flink",),
        FLINK,
    ),
)
