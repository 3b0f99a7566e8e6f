"""`python -m bench.sizing`: what deployments need, worked out from measured costs. Prints Markdown tables.

Reads what was measured into `bench/results/sizing` by the commands `docs/sizing.md` names; nothing here is a guess but
the assumptions, which are printed with the tables.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.topics import BY_NAME, DAY_MS
from streams.settings import Settings

RESULTS = Path(__file__).parent / "results" / "sizing"
DAY_S = 86_400
MONTH_DAYS = 365 / 12
GIB, TIB = 1 << 30, 1 << 40

# Assumptions.
BUSY = 0.5  # of a core, so that a backlog is worked off at twice the rate it came at
COPIES = 3  # of each partition of Kafka
PER_SITE = 50  # meters
NODE_CORES, NODE_DISK = 16, 8 * TIB  # of a ClickHouse server, of which BUSY and 80 % are used
DISK_USED = 0.8


@dataclass(frozen=True, slots=True)
class Deployment:
    """Who is to be served.

    Parameters
    ----------
    name
        In words.
    meters
        How many meters.
    interval_s
        Time between two readings of a meter. [s]
    shape
        The measured run whose cost per reading is taken.
    """

    name: str
    meters: int
    interval_s: int
    shape: str

    @property
    def per_s(self) -> float:
        """Readings a second."""
        return self.meters / self.interval_s


DEPLOYMENTS = (
    Deployment("2,000 factories, 50 meters each, 15 s", 100_000, 15, "json1-50000-15s"),
    Deployment("100,000 factories, 50 meters each, 15 s", 5_000_000, 15, "json1-50000-15s"),
    Deployment("10 million meters, 1 min", 10_000_000, 60, "json1-50000-1min"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Parameters
    ----------
    runs
        Shape -> figures of a run of the whole job.
    stored
        Interval [s] -> where -> bytes per reading.
    scale
        Meters of a partition -> figures of the agents.
    """

    runs: Mapping[str, Mapping[str, float]]
    stored: Mapping[int, Mapping[str, float]]
    scale: Mapping[int, Mapping[str, float]]

    @classmethod
    def read(cls, directory: Path) -> "Measured":
        """Read the three files of a directory."""
        runs = json.loads((directory / "peers.json").read_text(encoding="utf-8"))["results"]
        stored = json.loads((directory / "stored.json").read_text(encoding="utf-8"))
        scale = json.loads((directory / "scale.json").read_text(encoding="utf-8"))["scale"]
        return cls(
            {run["shape"]: run["figures"] for run in runs if run["figures"] and run["rate"] is None},
            {int(seconds): figures for seconds, figures in stored.items()},
            {int(meters): figures for meters, figures in scale.items()},
        )


def needed(one: Deployment, measured: Measured) -> dict[str, str]:
    """Return what a deployment needs, by name."""
    run, bytes_of = measured.runs[one.shape], measured.stored[one.interval_s]
    worker, broker, store = (
        one.per_s * run[name] / 1e6
        for name in ("cpu_s_per_million", "broker_cpu_s_per_million", "history_cpu_s_per_million")
    )
    processes = max(1, math.ceil(worker / BUSY))
    per_meter = measured.scale[50_000]["all agents, memory per meter [bytes]"]
    daily = one.per_s * DAY_S
    history = sum(bytes_of[name] * kept_days(name) for name in bytes_of if name.startswith("ClickHouse, ")) * daily
    topics = [name.removeprefix("Kafka, ").partition(",")[0] for name in bytes_of if name.startswith("Kafka, ")]
    partitions = 4 * math.ceil(processes / 4)
    kafka = sum(
        held_bytes(topic, size * daily, partitions)
        for topic, size in zip(topics, (v for k, v in bytes_of.items() if k.startswith("Kafka, ")), strict=True)
    )
    nodes = max(math.ceil(store / (NODE_CORES * BUSY)), math.ceil(history / (NODE_DISK * DISK_USED)))
    return {
        "readings/s": f"{one.per_s:,.0f}",
        "worker processes (a core each)": f"{processes:,}",
        "memory of them": f"{(processes * run['peak_mb'] * 1e6 + one.meters * per_meter) / GIB:,.0f} GiB",
        "partitions of each topic": f"at least {partitions:,}",
        "cores of Kafka, all copies": f"{math.ceil(COPIES * broker / BUSY):,}",
        "disk of Kafka, all copies": _size(COPIES * kafka),
        "cores of ClickHouse": f"{math.ceil(store / BUSY):,}",
        "disk of ClickHouse, one copy": _size(history),
        "of it readings (13 months)": _size(
            bytes_of["ClickHouse, readings"] * kept_days("ClickHouse, readings") * daily
        ),
        "ClickHouse servers": f"{nodes:,}",
        "archive, a year": _size(bytes_of["archive (Parquet)"] * daily * 365),
    }


def kept_days(name: str) -> float:
    """Return how long rows of a table are kept by default, after which they are dropped. [days]."""
    table, settings = name.removeprefix("ClickHouse, "), Settings()
    months = settings.keep_windows_months
    if table == "readings":
        months = settings.keep_readings_months
    elif table.endswith("15min") or table == "demand":
        months = settings.keep_15min_months
    elif table.endswith(("hour", "day")) or table == "ledger":
        months = settings.keep_hours_months
    return float(months) * MONTH_DAYS


def held_bytes(topic: str, per_day: float, partitions: int) -> float:
    """Return what the broker keeps of a topic that grows by so much a day. [bytes]."""
    of = BY_NAME[topic]
    by_time = math.inf if of.retention_ms is None else per_day * of.retention_ms / DAY_MS
    by_size = math.inf if of.retention_bytes is None else float(of.retention_bytes * partitions)
    return min(by_time, by_size)


def tables(measured: Measured) -> Iterator[str]:
    """Yield the lines of the tables: costs by shape, costs of the agents by meters, and what deployments need."""
    yield "| readings | worker [CPU s per million] | broker | ClickHouse | readings/s of one process |"
    yield "|---|--:|--:|--:|--:|"
    for shape, run in measured.runs.items():
        costs = (run[f"{who}cpu_s_per_million"] for who in ("", "broker_", "history_"))
        yield f"| {shape} | " + " | ".join(f"{cost:.1f}" for cost in costs) + f" | {run['readings_per_s']:,.0f} |"
    yield ""
    sizes = list(measured.scale)
    yield "| agents alone, one partition | " + " | ".join(f"{meters:,} meters" for meters in sizes) + " |"
    yield "|---|" + "--:|" * len(sizes)
    for name in measured.scale[sizes[0]]:
        values = (measured.scale[meters][name] for meters in sizes)
        yield f"| {name} | " + " | ".join(map(_figure, values)) + " |"
    yield ""
    found = {one.name: needed(one, measured) for one in DEPLOYMENTS}
    yield "| | " + " | ".join(found) + " |"
    yield "|---|" + "--:|" * len(found)
    for name in found[DEPLOYMENTS[0].name]:
        yield f"| {name} | " + " | ".join(of[name] for of in found.values()) + " |"


def _figure(value: float) -> str:
    if value < 0:  # memory that a few meters took was less than what was given back meanwhile
        return "–"
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _size(size: float) -> str:
    return f"{size / TIB:,.1f} TiB" if size >= TIB else f"{size / GIB:,.0f} GiB"


if __name__ == "__main__":
    print("\n".join(tables(Measured.read(RESULTS))))
