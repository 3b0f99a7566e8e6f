"""The job without a framework: a confluent-kafka consumer loop, polars, a producer and inserts.

As the documentation of both teaches: `consume` of many messages, one `read_ndjson` over all of them, expressions over
all meters at once; Arrow IPC messages are read one by one. Offsets are committed after the insert, but state is kept
in memory only: a kill loses what open minutes were made of.
"""

import time
from collections.abc import Sequence
from io import BytesIO

import orjson
import polars as pl
from confluent_kafka import Consumer, Message, Producer

from bench.peers.job import EMISSION_COLUMNS, WINDOW_COLUMNS, Job
from bench.peers.registers import MINUTE_MS

JOB = Job.told()
METER = ["site_id", "meter_id"]
STEP_ROWS = 200_000
STEP_S = 0.5
_READING = {"site_id": pl.String, "meter_id": pl.String, "ts": pl.Int64, "import_kwh": pl.Float64}


def decoded(messages: Sequence[Message]) -> pl.DataFrame:
    """Return the readings of messages."""
    values = [message.value() for message in messages]
    if JOB.encoding == "arrow":
        return pl.concat([pl.read_ipc_stream(BytesIO(value)).select(*_READING) for value in values])
    return pl.read_ndjson(b"\n".join(values), schema=_READING)


def step(points: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Close every meter's settled minutes; return their energy, and the points that are left.

    Parameters
    ----------
    points
        Readings not fully used, the first of a meter being the end of its last closed minute, if there is one.
    """
    points = points.sort(*METER, "ts").unique([*METER, "ts"], keep="first", maintain_order=True)
    settled = pl.col("ts").filter(pl.col("ts") <= pl.col("ts").last() - JOB.lateness_ms).last()
    bounds = (
        points.group_by(METER, maintain_order=True)
        .agg(first_ts=pl.col("ts").first(), close_to=settled // MINUTE_MS * MINUTE_MS)
        .filter(pl.col("close_to") > pl.col("first_ts"))
    )
    ready = points.join(bounds, on=METER, how="inner", maintain_order="left")
    same = (pl.col("site_id") == pl.col("site_id").shift(-1)) & (pl.col("meter_id") == pl.col("meter_id").shift(-1))
    whole_ms = pl.col("next_ts") - pl.col("ts")
    segments = ready.with_columns(
        next_ts=pl.col("ts").shift(-1), used_kwh=pl.col("import_kwh").shift(-1) - pl.col("import_kwh")
    ).filter(same & (pl.col("ts") < pl.col("close_to")))
    clipped = pl.min_horizontal("next_ts", "close_to")
    start = pl.col("window_start")
    parts = segments.with_columns(
        window_start=pl.int_ranges(pl.col("ts") // MINUTE_MS * MINUTE_MS, clipped, MINUTE_MS), until=clipped
    ).explode("window_start")
    part_ms = pl.min_horizontal("until", start + MINUTE_MS) - pl.max_horizontal("ts", start)
    windows = parts.group_by(*METER, "window_start", maintain_order=True).agg(
        import_kwh=(pl.col("used_kwh") * part_ms / whole_ms).sum()
    )
    share = (pl.col("close_to") - pl.col("ts")) / whole_ms
    anchors = segments.filter(pl.col("next_ts") > pl.col("close_to")).select(
        *METER, pl.col("close_to").alias("ts"), pl.col("import_kwh") + pl.col("used_kwh") * share
    )
    left = pl.concat(
        [
            points.join(bounds, on=METER, how="anti"),
            anchors,
            ready.filter(pl.col("ts") >= pl.col("close_to")).select(*_READING),
        ]
    )
    return windows, left


def main() -> None:
    """Run until stopped."""
    consumer = Consumer(
        {
            "bootstrap.servers": JOB.broker,
            "group.id": JOB.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": JOB.session_timeout_ms,
            "queued.min.messages": 1_000_000,
            "fetch.max.bytes": 64 << 20,
        }
    )
    producer = Producer({"bootstrap.servers": JOB.broker, "linger.ms": 20})
    client = JOB.history()
    rates = pl.DataFrame(
        [(start, factor, price) for start, (factor, price) in JOB.rates.items()],
        schema=["ts", "factor", "price"],
        orient="row",
    )
    consumer.subscribe([JOB.readings_topic])
    points = pl.DataFrame(schema=_READING)
    fresh: list[pl.DataFrame] = []
    stepped_at = time.monotonic()
    sums = pl.DataFrame(schema={"site_id": pl.String, "ts": pl.Int64, "import_kwh": pl.Float64, "meters": pl.Int64})
    while True:
        messages = consumer.consume(num_messages=50_000, timeout=0.05)
        if messages:
            fresh.append(decoded(messages))
        waiting = sum(rows.height for rows in fresh)
        if not waiting or (waiting < STEP_ROWS and time.monotonic() - stepped_at < STEP_S):
            continue
        stepped_at = time.monotonic()
        windows, points = step(pl.concat([points, *fresh]))
        fresh.clear()
        of_grid = (
            windows.filter(pl.col("meter_id").is_in(JOB.grid_meters))
            .group_by("site_id", ts="window_start")
            .agg(pl.col("import_kwh").sum(), meters=pl.len().cast(pl.Int64))
        )
        sums = pl.concat([sums, of_grid]).group_by("site_id", "ts").agg(pl.col("import_kwh", "meters").sum())
        complete = pl.col("meters") >= len(JOB.grid)
        done, sums = sums.filter(complete), sums.filter(~complete)
        emissions = (
            done.join(rates, on="ts", how="left")
            .with_columns(
                emitted_kg=pl.col("import_kwh") * pl.col("factor"), cost_cny=pl.col("import_kwh") * pl.col("price")
            )
            .select(EMISSION_COLUMNS)
            .sort("site_id", "ts")
        )
        for record in emissions.iter_rows(named=True):
            producer.produce(JOB.emissions_topic, orjson.dumps(record), record["site_id"])
            producer.poll(0)
        if not windows.is_empty():
            client.insert_arrow("bench_windows", windows.select(WINDOW_COLUMNS).to_arrow())
        if not emissions.is_empty():
            client.insert_arrow("bench_emissions", emissions.to_arrow())
        producer.flush()
        consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main()
