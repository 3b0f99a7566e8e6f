"""`python -m bench.history`: what the sums per 15 minutes, hour and day cost the writer, and what they save a query.

Uses an embedded ClickHouse in a directory of its own, which is removed. Prints figures, asserts nothing.
"""

import argparse
import io
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.window import WINDOW_ROWS
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate, packaged_migrations, statements
from sinks.clickhouse.records import Record
from sinks.clickhouse.rows import WINDOWS_TABLE
from sinks.clickhouse.writer import TableWriter

START = datetime(2025, 1, 1, tzinfo=UTC)
_FILL = """
INSERT INTO energy_windows (
    tenant_id, site_id, meter_id, meter_kind, window_start, window_s, import_kwh, covered_s, quality, revision,
    raw_partition, raw_offset_first, raw_offset_last, log_id, topic_partition, topic_offset, written_at
)
SELECT
    'bench', concat('site-', toString(intDiv(meter, 10))), concat('m', toString(meter % 10)), 'sub_meter',
    toDateTime64('2025-01-01 00:00:00', 3, 'UTC')
        + toIntervalMinute({first:UInt32} + number % {minutes:UInt32}) AS start,
    60, rand() / 4e9, 60, 'measured', 0, 0, number, number, 'bench', 0, number, start
FROM (SELECT number, intDiv(number, {minutes:UInt32}) AS meter FROM numbers({minutes:UInt32} * {meters:UInt32}))
"""
_BEFORE = """
SELECT {bucket}(window_start) AS start, sum(import_kwh), count()
FROM (SELECT * FROM energy_windows FINAL)
WHERE tenant_id = 'bench' {more}
GROUP BY start FORMAT Null
"""
_AFTER = """
SELECT window_start AS start, sum(import_kwh), sum(windows)
FROM v_energy_{level}
WHERE tenant_id = 'bench' {more}
GROUP BY start FORMAT Null
"""


def median_ms(work: Callable[[], object], rounds: int = 5) -> float:
    """Return how long a call takes, the median of several. [ms]"""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def fill(client: Client, meters: int, days: int) -> None:
    """Store windows of all meters, a month at a time, and their sums."""
    for first in range(0, days * 1440, 30 * 1440):
        minutes = min(30 * 1440, days * 1440 - first)
        client.command(_FILL, parameters={"first": first, "minutes": minutes, "meters": meters})
    rollups = next(one for one in packaged_migrations() if one.name == "rollups")
    for statement in statements(rollups.sql):
        if statement.startswith("INSERT"):
            client.command(statement)


def message(offset: int, first_minute: int, minutes: int, meters: int) -> Record:
    """Return windows of every meter as energy.v1 carries them."""
    rows = pl.DataFrame({"meter": range(meters)}).join(pl.DataFrame({"minute": range(minutes)}), how="cross")
    start = pl.lit(START).dt.cast_time_unit("ms") + pl.duration(minutes=pl.col("minute") + first_minute)
    values = {
        "tenant_id": pl.lit("writer"),
        "site_id": pl.format("site-{}", pl.col("meter") // 10),
        "meter_id": pl.format("m{}", pl.col("meter") % 10),
        "meter_kind": pl.lit("sub_meter"),
        "window_start": start,
        "window_s": pl.lit(60),
        "import_kwh": pl.col("meter") * 0.01 + 0.1,
        "export_kwh": pl.lit(None),
        "import_kvarh": pl.lit(None),
        "covered_s": pl.lit(60.0),
        "quality": pl.lit("measured"),
        "revision": pl.lit(0),
        "previous_import_kwh": pl.lit(None),
        "raw_partition": pl.lit(0),
        "raw_offset_first": pl.lit(offset),
        "raw_offset_last": pl.lit(offset),
    }
    buffer = io.BytesIO()
    rows.select(values[name].cast(dtype).alias(name) for name, dtype in WINDOW_ROWS.items()).write_ipc_stream(buffer)
    return Record(offset, 0, None, buffer.getvalue(), {"kind": b"windows", "origin": f"0:{offset}:0".encode()})


def writing_rate(client: Client, blocks: int, minutes: int, meters: int, *, sums: str) -> float:
    """Return windows/s of storing blocks, without sums, with those of each block, or with those of all afterwards."""
    spec = replace(WINDOWS_TABLE, rollups=None) if sums == "no" else WINDOWS_TABLE
    writer = TableWriter(client, spec, f"bench-{minutes}-{sums}", 0.0 if sums == "each" else math.inf)
    writer.open(0)
    messages = [message(number, number * minutes, minutes, meters) for number in range(blocks)]
    started = time.perf_counter()
    for one in messages:
        writer.add(0, [one])
        writer.flush(0)
    writer.settle(everything=True)
    return blocks * minutes * meters / (time.perf_counter() - started)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--meters", type=int, default=100)
    options.add_argument("--days", type=int, default=365)
    chosen = options.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        client = connect(f"chdb://{directory}/history")
        migrate(client)
        for name, minutes, meters, blocks in (
            ("blocks of 100,000 windows, 100 meters", 1000, 100, 5),
            ("blocks of one minute, 1,000 meters", 1, 1000, 30),
            ("blocks of two minutes, 50,000 meters", 2, 50_000, 3),
        ):
            for sums, said in (("no", "without sums"), ("each", "sums with each block"), ("later", "sums afterwards")):
                rate = writing_rate(client, blocks, minutes, meters, sums=sums)
                figures[f"{name}, {said} [windows/s]"] = rate
        fill(client, chosen.meters, chosen.days)
        for level, bucket in (("hour", "toStartOfHour"), ("day", "toStartOfDay")):
            for about, more in (("all meters", ""), ("one site", "AND site_id = 'site-3'")):
                before, after = _BEFORE.format(bucket=bucket, more=more), _AFTER.format(level=level, more=more)
                figures[f"{level}s of {about}, from windows [ms]"] = median_ms(lambda q=before: client.command(q), 3)
                figures[f"{level}s of {about}, from sums [ms]"] = median_ms(lambda q=after: client.command(q), 3)
        sizes = client.query(
            "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND table LIKE 'energy%' GROUP BY table"
        ).result_rows
        figures |= {f"size of {table} [MB]": size / 1e6 for table, size in sizes}
        client.close()
    for name, value in figures.items():
        print(f"{value:>12,.1f}  {name}")
    print(json.dumps({name: round(value, 1) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
