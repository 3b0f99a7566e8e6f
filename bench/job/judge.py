"""Whether an implementation gave the right answer; without it, no time counts."""

import clickhouse_connect
import polars as pl

from bench.job.wire import Watcher
from bench.job.workload import Workload

WINDOW_TOLERANCE_KWH = 1e-9
TOLERANCE = 1e-9  # of kg and CNY

PEER_TABLES = {
    "bench_windows": "(site_id LowCardinality(String), meter_id LowCardinality(String), window_start Int64, "
    "import_kwh Float64) ENGINE = MergeTree ORDER BY (site_id, meter_id, window_start)",
    "bench_emissions": "(site_id LowCardinality(String), ts Int64, import_kwh Float64, emitted_kg Float64, "
    "cost_cny Float64) ENGINE = MergeTree ORDER BY (site_id, ts)",
}


class History:
    """The history of a run: what was stored there.

    Parameters
    ----------
    port
        Of the server.
    of_product
        Whether the tables are Wattloop's or those of a peer.
    """

    def __init__(self, port: int, *, of_product: bool) -> None:
        self._client = clickhouse_connect.get_client(
            host="127.0.0.1", port=port, compress=False, autogenerate_session_id=False
        )
        self._client.command("CREATE DATABASE IF NOT EXISTS wattloop")
        if not of_product:
            for name, columns in PEER_TABLES.items():
                self._client.command(f"CREATE TABLE wattloop.{name} {columns}")
        self._of_product = of_product

    def _where(self, work: Workload, start: str) -> str:
        site = work.readings["site_id"][0].split("-")[0]
        return f"startsWith(site_id, '{site}-') AND {start} < {work.horizon_ms}"

    def windows(self, work: Workload) -> pl.DataFrame:
        """Return the windows before the horizon; of Wattloop through its documented view."""
        table, start = "bench_windows", "window_start"
        if self._of_product:
            table, start = "v_energy", "toUnixTimestamp64Milli(window_start)"
        sql = (
            f"SELECT CAST(site_id, 'String') AS site_id, CAST(meter_id, 'String') AS meter_id, {start} AS start, "
            f"assumeNotNull(import_kwh) AS kwh FROM wattloop.{table} WHERE {self._where(work, start)}"
        )
        return pl.DataFrame(self._client.query_arrow(sql, settings={"output_format_arrow_string_as_string": 1}))

    def complete(self, work: Workload) -> bool:
        """Say whether all windows and emissions before the horizon are stored."""
        names = ("energy_windows", "emissions") if self._of_product else ("bench_windows", "bench_emissions")
        start = "toUnixTimestamp64Milli({})" if self._of_product else "{}"
        for name, column, wanted in (
            (names[1], "ts", work.site_minutes.height),
            (names[0], "window_start", work.windows.height),
        ):
            where = self._where(work, start.format(column))
            if int(self._client.command(f"SELECT count() FROM wattloop.{name} WHERE {where}")) < wanted:
                return False
        return True

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


def differences(
    work: Workload, minutes: dict[int, tuple[float, float]], history: History, watcher: Watcher
) -> list[str]:
    """Compare windows in the history and records on the topic with the right answer; nothing when they are equal."""
    stored = history.windows(work).rename({"start": "window_start"})
    keys = ["site_id", "meter_id", "window_start"]
    both = work.windows.join(stored, on=keys, how="full", coalesce=True)
    wrong = both.filter(
        pl.col("import_kwh").is_null()
        | pl.col("kwh").is_null()
        | ((pl.col("import_kwh") - pl.col("kwh")).abs() > WINDOW_TOLERANCE_KWH)
    )
    found = []
    if stored.height != work.windows.height:
        found.append(f"{stored.height} windows are stored, {work.windows.height} expected")
    if not wrong.is_empty():
        found.append(f"{wrong.height} windows differ, such as {wrong.row(0, named=True)}")
    off = []
    for site, start, kwh in work.site_minutes.iter_rows():
        factor, price = minutes[start]
        _, record = watcher.seen.get((site, start), (0.0, {}))
        for name, expected in (("import_kwh", kwh), ("emitted_kg", kwh * factor), ("cost_cny", kwh * price)):
            got = record.get(name)
            if not isinstance(got, float) or abs(got - expected) > TOLERANCE * max(1.0, abs(expected)):
                off.append(f"{site} {start} {name}: {got}, expected {expected}")
    if off:
        found.append(f"{len(off)} figures on the topic differ, such as {off[0]}")
    return found
