"""`wattloop run` as its user runs it, with the embedded broker: figures grow, Ctrl-C ends it, the next run goes on."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import psutil
import pytest
import yaml
from aiokafka import AIOKafkaProducer
from pipeline import Pipeline, free_port, wait_for

from schemas.topics import METER_READINGS
from streams.broker import partition_for
from streams.demo import DEMO_REGISTRY
from streams.demo.building import SITE_ID
from streams.demo.recorded import METERS
from streams.demo.single_pass import single_pass_energy

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.environ.get("WATTLOOP_TEST_BROKER") == "apache", reason="about the embedded broker"),
]

EXACT = 1e-9  # relative
STOPS_WITHIN_S = 60.0  # it hangs otherwise; how long it takes is said in docs/embedded.md
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
RUN_PARTITIONS = 8  # the default
DEMO_SITES = {"gd-panels", "js-textiles", "sim-building", "zj-steel"}


@dataclass
class Run:
    """A `wattloop run` in a process of its own."""

    directory: Path
    arguments: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        ours = {"WATTLOOP_DATA_DIR": str(self.directory / "data"), "WATTLOOP_ADMIN_PORT": str(free_port())}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WATTLOOP_")}
        self.output.unlink(missing_ok=True)
        with self.output.open("wb") as out, (self.directory / "err.log").open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli.main", "run", *self.arguments],
                env={**clean, **ours, **self.settings},
                stdout=out,
                stderr=err,
            )

    @property
    def output(self) -> Path:
        return self.directory / "out.log"

    def interrupt(self) -> float:
        """Ctrl-C; return how long it took. [s]"""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        assert code == 0, (self.directory / "err.log").read_text()[-3000:]
        return time.monotonic() - started

    def lines(self, event: str) -> list[dict[str, object]]:
        assert self.process is not None
        found = [json.loads(line) for line in self.output.read_text().splitlines() if line.startswith("{")]
        assert self.process.poll() is None or found, (self.directory / "err.log").read_text()[-3000:]
        return [line for line in found if line["event"] == event]

    def newest(self) -> dict[str, dict[str, object]]:
        """Return the last figures of each site."""
        return {str(line["site_id"]): line for line in self.lines("site_live")}

    def query(self, sql: str) -> pl.DataFrame:
        return Pipeline("", "", self.directory).query(sql)


def test_figures_grow_for_all_sites_and_a_second_run_goes_on_from_them(tmp_path: Path) -> None:
    run = Run(tmp_path, ("--speed", "20000", "--days", "20"))
    run.start()
    wait_for(lambda: len(run.newest()) == len(DEMO_SITES), 60)
    early = run.newest()
    names = ("month_kwh", "month_kg", "month_cny")

    def grown() -> bool:
        now = run.newest()
        return all(float(str(now[s]["ts"])) > float(str(early[s]["ts"])) for s in early)

    wait_for(grown, 30)
    assert all(float(str(run.newest()[site][name])) > 0 for site in early for name in names)
    assert run.lines("run_started")[0]["embedded_broker"] is True
    assert run.interrupt() < STOPS_WITHIN_S

    position_ms = json.loads((tmp_path / "data" / "replay.json").read_text())["position_ms"]
    run.start()
    wait_for(lambda: len(run.newest()) == len(DEMO_SITES), 60)
    assert all(int(str(line["ts"])) >= position_ms - HOUR_MS for line in run.newest().values())
    assert run.interrupt() < STOPS_WITHIN_S

    stored = run.query(
        "SELECT site_id, meter_id, toInt64(toUnixTimestamp(toStartOfHour(window_start))) * 1000 AS hour_ms, "
        "sum(import_kwh) AS stored_kwh, count() AS windows, countIf(quality != 'measured') AS guessed "
        f"FROM v_energy WHERE site_id != '{SITE_ID}' GROUP BY ALL HAVING windows = 60"  # whole hours
    )
    # The run was stopped somewhere: some meters may have finished an hour that others had just begun.
    first = stored["hour_ms"].min()
    last = stored.group_by("site_id", "meter_id").agg(pl.col("hour_ms").max())["hour_ms"].min()
    assert isinstance(first, int)
    assert isinstance(last, int)
    stored = stored.filter(pl.col("hour_ms") <= last)
    expected = single_pass_energy(first, last + HOUR_MS)
    both = stored.join(expected, on=["site_id", "meter_id", "hour_ms"], how="left")
    assert both["stored_kwh"].to_list() == pytest.approx(both["energy_kwh"].to_list(), rel=EXACT, abs=1e-9)
    # No hole where one run ended and the next began.
    key = ["site_id", "meter_id", "hour_ms"]
    assert expected.join(stored, on=key, how="anti").select(key).rows() == []
    assert both.height == expected.height == len(METERS) * ((last - first) // HOUR_MS + 1)
    assert both["guessed"].sum() == 0
    state = run.query("SELECT site_id, sum(import_kwh) AS kwh FROM v_emissions GROUP BY site_id ORDER BY site_id")
    grid = run.query(
        "SELECT site_id, sum(import_kwh) AS kwh FROM v_energy WHERE meter_kind = 'grid' "
        "GROUP BY site_id ORDER BY site_id"
    )
    assert state["kwh"].to_list() == pytest.approx(grid["kwh"].to_list(), rel=EXACT)

    # The building is computed: its grid meter counts what its zones take, and it says what it is on every line.
    line = run.newest()[SITE_ID]
    assert str(line["simulated_building"]).startswith("workshop ")


def test_an_operator_takes_a_zone_of_the_simulated_building_and_the_end_of_the_run_gives_it_back(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, ("--speed", "100000", "--days", "0.2"))
    run.start()
    wait_for(lambda: SITE_ID in run.newest(), 60)
    kafka = f"kafka://{run.lines('run_started')[0]['kafka']}"
    words = ["hvac-override", SITE_ID, "office", "--cooling-c", "27", "--heating-c", "18", "--hours", "1"]
    said = [*words, "--operator", "Chen Wei", "--why", "a test", "--kafka-url", kafka]
    subprocess.run([sys.executable, "-m", "streams.cli.main", *said], check=True, capture_output=True, timeout=60)

    wait_for(lambda: "(18 to 27 °C, held)" in str(run.newest()[SITE_ID]["simulated_building"]), 60)
    state = tmp_path / "data" / f"{SITE_ID}.json"
    assert json.loads(state.read_text())["holds"]["office"]["cooling_c"] == 27.0
    assert run.interrupt() < STOPS_WITHIN_S
    assert json.loads(state.read_text())["holds"] == {}


SITES, METERS_PER_SITE, MINUTES = 10, 50, 4_000


def a_large_registry(path: Path) -> None:
    demo = yaml.safe_load(DEMO_REGISTRY.read_text())
    tariff = demo["sites"][0]["tariff"]
    path.write_text(
        json.dumps(
            {
                "tenants": [{"id": "load", "name": "Load"}],
                "sites": [
                    {
                        "id": f"site-{site}",
                        "tenant": "load",
                        "name": f"Site {site}",
                        "region": "CN-ZJ",
                        "time_zone": "Asia/Shanghai",
                        "tariff": json.loads(json.dumps(tariff, default=str)),
                        "meters": [
                            {"id": f"m{number}", "kind": "grid" if number == 0 else "sub_meter", "interval_s": 60}
                            for number in range(METERS_PER_SITE)
                        ],
                    }
                    for site in range(SITES)
                ],
            }
        )
    )


def registers(first_ms: int, minute: int) -> pl.DataFrame:
    """What all meters show at a minute: meter m of site s counts 1 + s + m / 100 kWh a minute, in whole hundredths."""
    return pl.DataFrame(
        [
            (f"site-{site}", f"m{meter}", first_ms + minute * MINUTE_MS, (100 * (1 + site) + meter) * minute / 100)
            for site in range(SITES)
            for meter in range(METERS_PER_SITE)
        ],
        schema={"site_id": pl.String, "meter_id": pl.String, "ts": pl.Int64, "import_kwh": pl.Float64},
        orient="row",
    )


async def send_all(address: str, first_ms: int) -> None:
    """Send every minute of every site as a producer of somebody else would: NDJSON, acks=all, retried."""
    producer = AIOKafkaProducer(
        bootstrap_servers=address, client_id="somebody-else", acks="all", linger_ms=20, request_timeout_ms=120_000
    )
    await producer.start()
    try:
        waiting: list[asyncio.Future[object]] = []
        for minute in range(MINUTES + 1):
            shown = registers(first_ms, minute)
            for (site,), rows in shown.partition_by("site_id", as_dict=True).items():
                value = rows.write_ndjson().encode()
                waiting.append(
                    await producer.send(
                        METER_READINGS.name, value, str(site).encode(), partition_for(str(site), RUN_PARTITIONS)
                    )
                )
            if len(waiting) > 2_000:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()


def broker_processes(run: Run) -> list[psutil.Process]:
    assert run.process is not None
    children = psutil.Process(run.process.pid).children(recursive=True)
    return [child for child in children if "tansu" in child.name()]


def broker_bytes(run: Run) -> int:
    try:
        return sum(process.memory_info().rss for process in broker_processes(run))
    except psutil.NoSuchProcess:
        return 0


def test_the_broker_stays_within_its_memory_bound_through_restarts_and_sums_stay_exact(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bound_mb, port = 128, free_port()
    a_large_registry(tmp_path / "registry.yaml")
    settings = {
        "WATTLOOP_REGISTRY": str(tmp_path / "registry.yaml"),
        "WATTLOOP_BROKER_MEMORY_MB": str(bound_mb),
        "WATTLOOP_BROKER_PORT": str(port),
        "WATTLOOP_ALLOWED_LATENESS_S": "60",
    }
    run = Run(tmp_path, (), settings)
    run.start()
    wait_for(lambda: bool(run.lines("run_started")), 60)
    first_ms = int(time.time() * 1000) // HOUR_MS * HOUR_MS - (MINUTES + 120) * MINUTE_MS
    peak, done = 0, threading.Event()

    def feed() -> None:
        asyncio.run(send_all(f"127.0.0.1:{port}", first_ms))
        done.set()

    feeding = threading.Thread(target=feed, daemon=True)
    feeding.start()
    while feeding.is_alive():
        assert run.process is not None
        assert run.process.poll() is None, (tmp_path / "err.log").read_text()[-3000:]
        peak = max(peak, broker_bytes(run))
        feeding.join(0.1)
    assert done.is_set()
    last_minute = first_ms + (MINUTES - 2) * MINUTE_MS
    settled = {f"site-{site}" for site in range(SITES)}
    wait_for(
        lambda: {s for s, line in run.newest().items() if int(str(line["settled_until"])) >= last_minute} == settled,
        120,
    )
    restarts = max(int(str(line["broker_restarts"])) for line in run.newest().values())
    assert run.interrupt() < STOPS_WITHIN_S

    record_property("broker_restarts", restarts)
    record_property("broker_peak_mb", round(peak / 1e6))
    assert restarts >= 3
    assert peak <= bound_mb * 1_000_000
    stored = run.query(
        "SELECT site_id, meter_id, count() AS windows, sum(import_kwh) AS stored_kwh, "
        "min(import_kwh) AS least, max(import_kwh) AS most FROM v_energy GROUP BY ALL"
    )
    assert stored.height == SITES * METERS_PER_SITE
    place = pl.col("site_id").str.strip_prefix("site-").cast(pl.Int64)
    number = pl.col("meter_id").str.strip_prefix("m").cast(pl.Int64)
    checked = stored.with_columns(expected_kwh=(100 * (1 + place) + number) / 100 * pl.col("windows"))
    assert checked["windows"].min() == checked["windows"].max()
    assert checked["stored_kwh"].to_list() == pytest.approx(checked["expected_kwh"].to_list(), rel=EXACT)
