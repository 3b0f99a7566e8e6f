"""`python -m bench.stored`: how many bytes a reading takes on Kafka, in ClickHouse and in the archive.

A day of readings with noise in them goes through ingest's encoding, the agents and the writers, as in a worker, without
a broker. Tables are merged before they are measured. Prints figures, asserts nothing.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from clickhouse_connect.driver.client import Client

from bench.scale import sites
from schemas.flow import Agent, Kind, Message, SiteRecord
from schemas.reading import INTERVAL_MEASURES, TELEMETRY_ROWS, TIMESTAMP
from schemas.topics import TELEMETRY, Topic
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.records import Record
from sinks.clickhouse.writer import TableWriter
from sinks.parquet.writer import ArchiveWriter
from streams.frame.codec import BATCH_ROWS, Envelope, Origin, batch_value, control_headers, envelopes, record_value
from streams.settings import Settings
from streams.topology import STORED, stages

START_MS = 1_784_000_040_000
TICK_MS = 60_000  # of arrival time that is taken at once, or an interval if that is longer
HOUR_MS = 3_600_000
_OVERHEAD = 70  # of a record in Kafka's format: lengths, offset and time deltas, names of headers [bytes]


def day(meters: int, interval_ms: int, hours: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield arrival time and readings: loads that wander, registers to the hundredth of a kWh, as meters show them."""
    chance = np.random.default_rng(1)
    tick_ms = max(TICK_MS, interval_ms)
    steps = tick_ms // interval_ms
    load_kw = chance.uniform(1, 60, meters)
    register = chance.uniform(1_000, 90_000, meters)
    names = [(f"site-{meter // 50:05d}", f"m{meter % 50}") for meter in range(meters)]
    who = pl.DataFrame(names, schema=["site_id", "meter_id"], orient="row")
    for tick in range(hours * HOUR_MS // tick_ms):
        parts = []
        for step in range(steps):
            load_kw = np.clip(load_kw * chance.normal(1, 0.03, meters), 0.2, 90)
            register = register + load_kw * interval_ms / HOUR_MS
            at = START_MS + (tick * steps + step) * interval_ms
            parts.append(
                who.select(
                    pl.lit("bench").alias("tenant_id"),
                    "site_id",
                    "meter_id",
                    pl.lit(at, pl.Int64).cast(TIMESTAMP).alias("ts"),
                    pl.lit(np.round(register, 2)).alias("import_kwh"),
                    pl.lit(None, pl.Float64).alias("export_kwh"),
                    *(pl.lit(None, pl.Float64).alias(name) for name in ("import_kvarh", *INTERVAL_MEASURES)),
                    pl.lit(np.round(load_kw, 2)).alias("power_kw"),
                    pl.lit(0, pl.Int32).alias("raw_partition"),
                    pl.int_range(pl.len(), dtype=pl.Int64).alias("raw_offset") + (tick * steps + step) * meters,
                )
            )
        yield START_MS + (tick + 1) * tick_ms, pl.concat(parts).select(*TELEMETRY_ROWS)


class Flow:
    """The agents of the topology in a row, and the writers behind them.

    Parameters
    ----------
    client
        A migrated database.
    archive
        Directory of the archive.
    """

    def __init__(self, client: Client, archive: Path) -> None:
        self._stages = [(spec, spec.agent()) for spec in stages(Settings())]
        self._tables = [TableWriter(client, spec, "bench", 1e9) for spec in STORED]
        self._archive = ArchiveWriter(archive, "bench")
        self._offsets: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        for writer in (*self._tables, self._archive):
            writer.open(0)

    def put(self, topic: Topic, message: Message, envelope: Envelope) -> None:
        """Let a message come by: writers store it, agents make others of it."""
        offset = self._offsets[topic.name]
        self._offsets[topic.name] += 1
        self.bytes[topic.name] += len(envelope.value) + _OVERHEAD
        self.bytes[topic.name] += len(envelope.key or b"") + sum(len(value) for _, value in envelope.headers)
        record = Record(offset, envelope.timestamp_ms, envelope.key, envelope.value, dict(envelope.headers))
        for writer in (*self._tables, self._archive):
            if writer.spec.topic == topic.name:
                writer.add(0, [record])
                if writer.rows_pending(0) > 100_000:
                    writer.flush(0)
        for spec, agent in self._stages:
            if spec.source == topic:
                self._step(agent, Origin(topic.name, 0, offset), message)

    def _step(self, agent: Agent, origin: Origin, message: Message) -> None:
        index: Counter[str] = Counter()
        for output in agent.step(message).outputs:
            for one in envelopes(output, origin, index[output.topic.name], message.arrived_at, "wattloop/bench"):
                index[output.topic.name] += 1
                follows = Message(output.kind or Kind.WINDOWS, message.arrived_at, output.rows, output.record)
                self.put(output.topic, follows, one)

    def end(self) -> None:
        """Write what waits."""
        for writer in (*self._tables, self._archive):
            while writer.flush(0) is not None:
                pass
            writer.settle(everything=True)


def figures_of(meters: int, interval_ms: int, hours: int) -> dict[str, float]:
    """Measure; return bytes per reading by where they are."""
    with tempfile.TemporaryDirectory() as directory:
        client = connect(f"chdb://{directory}/history")
        migrate(client)
        flow = Flow(client, Path(directory) / "archive")
        for site in sites(meters):
            record = SiteRecord(site, 1)
            headers = control_headers(Kind.SITE, START_MS)
            flow.put(TELEMETRY, Message(Kind.SITE, START_MS, record=record), _control(headers, record_value(record)))
        readings = raw = 0
        for arrived_at, rows in day(meters, interval_ms, hours):
            readings += rows.height
            raw += len(rows.select("site_id", "meter_id", pl.col("ts").cast(pl.Int64), "import_kwh").write_ndjson())
            for part in rows.iter_slices(BATCH_ROWS):
                headers = control_headers(Kind.READINGS, arrived_at)
                envelope = Envelope(TELEMETRY.name, None, batch_value(part), arrived_at, headers)
                flow.put(TELEMETRY, Message(Kind.READINGS, arrived_at, part), envelope)
            tick = Message(Kind.TICK, arrived_at)
            flow.put(TELEMETRY, tick, _control(control_headers(Kind.TICK, arrived_at), b""))
        flow.end()
        for (table,) in client.query("SHOW TABLES").result_rows:
            if not table.startswith(("v_", "computed_")):
                client.command(f"OPTIMIZE TABLE {table} FINAL")
        tables = client.query(
            "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active GROUP BY table ORDER BY 2 DESC"
        ).result_rows
        client.close()
        archived = sum(file.stat().st_size for file in (Path(directory) / "archive").rglob("*.parquet"))
    return (
        {"Kafka, meter.readings.v1, one reading per JSON message": raw / readings + _OVERHEAD}
        | {f"Kafka, {topic}": size / readings for topic, size in flow.bytes.items()}
        | {f"ClickHouse, {table}": size / readings for table, size in tables}
        | {"archive (Parquet)": archived / readings}
    )


def _control(headers: list[tuple[str, bytes]], value: bytes) -> Envelope:
    return Envelope(TELEMETRY.name, None, value, START_MS, headers)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--meters", type=int, default=500)
    options.add_argument("--interval", type=int, nargs="+", default=[15], metavar="S", help="seconds; one column each")
    options.add_argument("--hours", type=int, default=6)
    chosen = options.parse_args()
    found = {seconds: figures_of(chosen.meters, seconds * 1000, chosen.hours) for seconds in chosen.interval}
    print(" ".join(f"{seconds:>8} s" for seconds in found) + "  readings every; bytes per reading")
    for name in found[chosen.interval[0]]:
        print(" ".join(f"{figures[name]:>10.2f}" for figures in found.values()) + f"  {name}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
