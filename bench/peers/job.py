"""What a peer is told: where broker and history are, which meters count, what a minute costs and causes."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client

WINDOW_COLUMNS = ["site_id", "meter_id", "window_start", "import_kwh"]
EMISSION_COLUMNS = ["site_id", "ts", "import_kwh", "emitted_kg", "cost_cny"]


@dataclass(frozen=True)
class Job:
    """Read from the file that `BENCH_JOB` names."""

    broker: str
    readings_topic: str
    emissions_topic: str
    partitions: int
    group: str
    encoding: str
    lateness_ms: int
    session_timeout_ms: int
    history_port: int
    directory: str
    grid_meters: list[str]
    minutes: dict[str, list[float]]  # start of the minute in ms -> factor in kg/kWh, price in CNY/kWh

    @classmethod
    def told(cls) -> "Job":
        """Read the job."""
        return cls(**json.loads(Path(os.environ["BENCH_JOB"]).read_text()))

    @cached_property
    def grid(self) -> frozenset[str]:
        """Meters that count for their site."""
        return frozenset(self.grid_meters)

    @cached_property
    def rates(self) -> dict[int, tuple[float, float]]:
        """Factor and price of every minute. [ms: kg/kWh, CNY/kWh]."""
        return {int(start): (factor, price) for start, (factor, price) in self.minutes.items()}

    def emission(self, site: str, start: int, import_kwh: float) -> dict[str, str | int | float]:
        """Return the record of a site and minute."""
        factor, price = self.rates[start]
        return {
            "site_id": site,
            "ts": start,
            "import_kwh": import_kwh,
            "emitted_kg": import_kwh * factor,
            "cost_cny": import_kwh * price,
        }

    def history(self) -> Client:
        """Connect to ClickHouse."""
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=self.history_port, database="wattloop", compress=False, autogenerate_session_id=False
        )
