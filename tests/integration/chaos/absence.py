"""The run of away.py."""

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import yaml
from aiokafka import AIOKafkaProducer
from chaos.brokers import some_broker
from chaos.campaign import say
from chaos.histories import a_history
from chaos.wire import ends_of, has_committed
from pipeline import PARTITIONS, Pipeline

from schemas.topics import EMISSIONS, ENERGY, METER_READINGS, TELEMETRY
from sinks.clickhouse.client import connect
from streams.broker import partition_for
from streams.topology import APP_ID

PREFIX = "away."
METERS_PER_SITE = 100
BEFORE_S = 60.0
LATENESS_S = 60
_UNITS_PER_KWH = 1024  # so that floats hold every register exactly
_IDLE_S = 900.0
_TICKS_S = 4.0


@dataclass
class Field(threading.Thread):
    """Sends what all meters say, once a second, until it is told to stop."""

    broker: str
    sites: int
    first_ms: int
    rows: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(name="field", daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Send."""
        try:
            asyncio.run(self._send())
        except BaseException as error:
            self.error = error
            raise

    async def _send(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.broker, acks="all", enable_idempotence=True, linger_ms=20)
        await producer.start()
        topic = PREFIX + METER_READINGS.name
        headers = [("content-type", b"application/x-ndjson")]
        try:
            started = time.monotonic()
            second = 0
            while not self.stopping.is_set():
                await asyncio.sleep(started + second - time.monotonic())
                for site, value in self._said(second):
                    where = partition_for(site, PARTITIONS)
                    await producer.send(topic, key=site.encode(), value=value, partition=where, headers=headers)
                second += 1
                self.rows = second * self.sites * METERS_PER_SITE
            await producer.flush()
        finally:
            await producer.stop()

    def _said(self, second: int) -> Iterator[tuple[str, bytes]]:
        for site in range(self.sites):
            name = f"s{site:03}"
            rows = pl.DataFrame({"meter": range(METERS_PER_SITE)}).select(
                pl.lit(name).alias("site_id"),
                pl.format("m{}", "meter").alias("meter_id"),
                pl.lit(self.first_ms + second * 1000).alias("ts"),
                ((pl.col("meter") + 1) * second / _UNITS_PER_KWH).alias("import_kwh"),
            )
            yield name, rows.write_ndjson().encode()


@dataclass
class Memory(threading.Thread):
    """Looks at the memory of a process four times a second."""

    pid: int
    peak_mib: float = 0.0

    def __post_init__(self) -> None:
        super().__init__(name="memory", daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Look until the process is gone."""
        while (now_mib := self.now_mib()) > 0:
            self.peak_mib = max(self.peak_mib, now_mib)
            time.sleep(0.25)

    def now_mib(self) -> float:
        """Resident memory."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0.0
        found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
        return int(found[0]) / 1024 if found else 0.0

    def peak_since(self) -> float:
        """Return the highest seen since this was asked last."""
        peak, self.peak_mib = self.peak_mib, self.now_mib()
        return peak


def registry(sites: int) -> str:
    """Return the sites as YAML."""
    meters = [{"id": f"m{meter}", "kind": "grid" if meter == 0 else "sub_meter"} for meter in range(METERS_PER_SITE)]
    plants = [
        {
            "id": f"s{site:03}",
            "tenant": "away",
            "name": f"Plant {site}",
            "region": "CN-ZJ",
            "time_zone": "Asia/Shanghai",
            "tariff": {"plan": "cn-zj-large-industry", "voltage": "1-10(20)kV"},
            "meters": meters,
        }
        for site in range(sites)
    ]
    return yaml.safe_dump({"tenants": [{"id": "away", "name": "Away"}], "sites": plants}, sort_keys=False)


def stored_rows(url: str) -> int:
    """Return how many readings are stored."""
    with closing(connect(url)) as client:
        return int(client.query("SELECT count() FROM readings").result_rows[0][0])


def until(happened: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        time.sleep(0.5)


def judge(pipeline: Pipeline, sent: int, sites: int) -> list[str]:
    """Compare what is stored with what was sent."""
    seconds = sent // (sites * METERS_PER_SITE)
    step = "(toInt32(substring(meter_id, 2)) + 1)"
    rows = pipeline.query(
        f"SELECT count() AS rows, uniqExact(site_id, meter_id, ts) AS readings, "
        f"sum(toInt64(import_kwh * {_UNITS_PER_KWH})) AS units, min(ts) AS first_ts FROM readings"
    )
    units = sites * METERS_PER_SITE * (METERS_PER_SITE + 1) // 2 * seconds * (seconds - 1) // 2
    problems = []
    if (rows["rows"].item(), rows["readings"].item()) != (sent, sent):
        problems.append(f"readings: {rows['rows'].item()} rows of {rows['readings'].item()} readings, sent {sent}")
    if rows["units"].item() != units:
        problems.append(f"registers add up to {rows['units'].item()}, expected {units}")
    windows = pipeline.query(
        f"SELECT count() AS windows, uniqExact(site_id, meter_id, window_start) AS distinct, "
        f"min(n) AS fewest, countIf(abs(import_kwh - {step} * 60 / {_UNITS_PER_KWH}) > 1e-9) AS wrong FROM "
        f"(SELECT *, count() OVER (PARTITION BY site_id, meter_id) AS n FROM v_energy WHERE covered_s = 60)"
    )
    if windows["wrong"].item():
        problems.append(f"{windows['wrong'].item()} windows are wrong")
    whole = (seconds - LATENESS_S) // 60 - 1  # the first and the last may not be whole
    if windows["windows"].item() != windows["distinct"].item() or windows["fewest"].item() < whole:
        problems.append(f"windows: {windows.row(0, named=True)}, expected at least {whole} of each meter")
    return problems


def run(directory: Path, minutes: float, rate: int) -> list[str]:
    """Run it, print the figures, return what is wrong."""
    sites = rate // METERS_PER_SITE
    place = directory / "worker"
    place.mkdir(parents=True)
    with some_broker("apache", directory) as broker, a_history(directory) as history:
        pipeline = Pipeline(broker.address, PREFIX, place, history=history.url)
        pipeline.settings["WATTLOOP_ALLOWED_LATENESS_S"] = str(LATENESS_S)
        plants = directory / "plants.yaml"
        plants.write_text(registry(sites))
        pipeline.command("registry", "apply", str(plants))
        pipeline.start()
        assert pipeline.worker is not None
        memory = Memory(pipeline.worker.pid)
        memory.start()
        feed = Field(broker.address, sites, int(time.time()) * 1000)
        feed.start()
        try:
            time.sleep(BEFORE_S)
            say(f"before: peak {memory.peak_since():.0f} MiB, {stored_rows(history.url)} of {feed.rows} rows stored")
            history.kill()
            time.sleep(minutes * 60)
            ready, alive = pipeline.get("/readyz")[0], pipeline.get("/livez")[0]
            held = pipeline.metric("wattloop_sink_held_bytes") / (1 << 20)
            say(
                f"away {minutes:g} min: peak {memory.peak_since():.0f} MiB, {held:.1f} MiB of messages held, "
                f"/readyz {ready}, /livez {alive}, {feed.rows} rows sent"
            )
            history.start()
            began, stored_before = time.monotonic(), stored_rows(history.url)
            until(lambda: stored_rows(history.url) > feed.rows - 5 * rate, _IDLE_S, "caught up")
            took_s = time.monotonic() - began
            stored = stored_rows(history.url) - stored_before
            say(
                f"caught up in {took_s:.0f} s: {stored / took_s:.0f} rows/s stored while {rate} rows/s arrived, "
                f"ratio {stored / took_s / rate:.2f}; peak {memory.peak_since():.0f} MiB"
            )
        finally:
            feed.stopping.set()
            feed.join(60)
        if feed.error is not None:
            return [f"the field could not send: {feed.error!r}"]
        group = PREFIX + APP_ID
        hops = ((METER_READINGS, f"{group}-ingest"), (TELEMETRY, group), (ENERGY, group))
        for topic, reader in hops:
            ends = ends_of(broker.address, [PREFIX + topic.name])
            until(lambda ends=ends, reader=reader: has_committed(broker.address, reader, ends), _IDLE_S, topic.name)
            time.sleep(_TICKS_S)
        ends = ends_of(broker.address, [PREFIX + topic.name for topic in (TELEMETRY, ENERGY, EMISSIONS)])
        until(lambda: has_committed(broker.address, f"{group}-history", ends), _IDLE_S, "history")
        pipeline.stop()
        return judge(pipeline, feed.rows, sites)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Take ClickHouse away under load, and judge what is stored.")
    parser.add_argument("--minutes", type=float, default=10, help="how long it is away (10)")
    parser.add_argument("--rate", type=int, default=20_000, metavar="N", help="readings per second (20000)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where it happens (a temporary directory)")
    asked = parser.parse_args()
    work: Path = asked.work or Path(tempfile.mkdtemp(prefix="wattloop-away-"))
    problems = run(work, asked.minutes, asked.rate)
    for problem in problems:
        say(problem)
    say("exact" if not problems else f"{len(problems)} problems; all of it is in {work}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
