"""The job in plain Faust: an agent that takes one reading per event, tables for state, timers that store blocks.

As its documentation teaches: a `Record` per reading, `app.Table` with a changelog, `topic.send`, `@app.timer`. At least
once; a table is counted twice after a kill. For throughput: uvloop, orjson, producer linger, larger prefetch.
"""

import asyncio
from pathlib import Path

import faust

from bench.peers.history import Row, insert
from bench.peers.job import EMISSION_COLUMNS, WINDOW_COLUMNS, Job
from bench.peers.registers import added

JOB = Job.told()
STORE_EVERY_S = 1.0

app = faust.App(
    JOB.group,
    broker=f"kafka://{JOB.broker}",
    store="memory://",
    datadir=Path(JOB.directory) / "faust",
    topic_partitions=JOB.partitions,
    topic_replication_factor=1,
    topic_disable_leader=True,
    web_enabled=False,
    broker_session_timeout=JOB.session_timeout_ms / 1000,
    broker_request_timeout=JOB.session_timeout_ms / 1000 + 30,
    broker_max_poll_records=10_000,
    stream_buffer_maxsize=16_384,
    stream_wait_empty=False,
    consumer_auto_offset_reset="earliest",
    producer_linger=0.02,
    producer_max_batch_size=1_000_000,
)


class Reading(faust.Record, serializer="json"):
    """A reading."""

    site_id: str
    meter_id: str
    ts: int
    import_kwh: float
    power_kw: float


readings = app.topic(JOB.readings_topic, key_type=str, value_type=Reading, key_serializer="raw")
emissions = app.topic(JOB.emissions_topic, key_type=str, key_serializer="raw", value_serializer="json")
meters = app.Table("meters", default=list, partitions=JOB.partitions)
sums = app.Table("sums", default=lambda: [0, 0.0], partitions=JOB.partitions)
window_rows: list[Row] = []
emission_rows: list[Row] = []


@app.agent(readings)
async def energy(stream: faust.Stream[Reading]) -> None:
    """Turn each reading into the minutes it settles, and those of grid meters into minutes of the site."""
    async for reading in stream:
        site, meter = reading.site_id, reading.meter_id
        key = f"{site}/{meter}"
        points = [tuple(point) for point in meters[key]]
        closed = added(points, reading.ts, reading.import_kwh, JOB.lateness_ms)
        meters[key] = points
        for start, kwh in closed:
            window_rows.append((site, meter, start, kwh))
            if meter in JOB.grid:
                await add_to_site(site, start, kwh)


async def add_to_site(site: str, start: int, kwh: float) -> None:
    """Add up a site's grid meters; a minute is sent when all of them have reported it."""
    key = f"{site}/{start}"
    count, total = sums[key]
    count, total = count + 1, total + kwh
    if count < len(JOB.grid):
        sums[key] = [count, total]
        return
    sums.pop(key, None)
    record = JOB.emission(site, start, total)
    emission_rows.append(list(record.values()))
    await emissions.send(key=site, value=record)


@app.task
async def connect() -> None:
    """Connect to the history."""
    app.history = await asyncio.to_thread(JOB.history)


@app.timer(STORE_EVERY_S)
async def store() -> None:
    """Insert what was gathered."""
    for rows, table, columns in (
        (window_rows, "bench_windows", WINDOW_COLUMNS),
        (emission_rows, "bench_emissions", EMISSION_COLUMNS),
    ):
        block = rows[:]
        rows.clear()
        await asyncio.to_thread(insert, app.history, table, columns, block)


if __name__ == "__main__":
    app.main()
