"""The job in Bytewax: a dataflow of keyed stateful steps, two sinks and an output topic.

As its documentation teaches: `kop.input`, `key_on`, `stateful_flat_map`, `collect` before a custom sink, recovery
snapshots every 10 s (at least once). For throughput: `batch_size` of 10,000, orjson, larger batches in the producer.
"""

from collections.abc import Iterable
from datetime import timedelta

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from bench.peers.history import Row, insert
from bench.peers.job import EMISSION_COLUMNS, WINDOW_COLUMNS, Job
from bench.peers.registers import Points, added

JOB = Job.told()
BLOCK_ROWS = 50_000
BLOCK_TIME = timedelta(seconds=1)

Window = tuple[str, str, int, float]  # site, meter, start, kWh
Sums = dict[int, tuple[int, float]]


class _Blocks(StatelessSinkPartition[tuple[str, list[Row]]]):
    def __init__(self, table: str, columns: list[str]) -> None:
        self._client, self._table, self._columns = JOB.history(), table, columns

    def write_batch(self, items: list[tuple[str, list[Row]]]) -> None:
        insert(self._client, self._table, self._columns, [row for _, rows in items for row in rows])


class Table(DynamicSink[tuple[str, list[Row]]]):
    """A table of the history."""

    def __init__(self, table: str, columns: list[str]) -> None:
        self._table, self._columns = table, columns

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Blocks:
        """Connect a worker."""
        return _Blocks(self._table, self._columns)


def decoded(message: KafkaSourceMessage[bytes | None, bytes | None]) -> tuple[str, tuple[str, str, int, float]]:
    """Return the meter as key, and its reading."""
    reading = orjson.loads(message.value or b"")
    site, meter = reading["site_id"], reading["meter_id"]
    return f"{site}/{meter}", (site, meter, reading["ts"], reading["import_kwh"])


def windows(state: Points | None, reading: tuple[str, str, int, float]) -> tuple[Points, Iterable[Window]]:
    """Turn a reading into the minutes it settles."""
    points = [] if state is None else state
    site, meter, ts, kwh = reading
    return points, [(site, meter, start, used) for start, used in added(points, ts, kwh, JOB.lateness_ms)]


def site_minutes(state: Sums | None, window: Window) -> tuple[Sums, Iterable[dict[str, str | int | float]]]:
    """Add up a site's grid meters; a minute is sent when all of them have reported it."""
    sums = {} if state is None else state
    site, _, start, kwh = window
    count, total = sums.pop(start, (0, 0.0))
    count, total = count + 1, total + kwh
    if count < len(JOB.grid):
        sums[start] = (count, total)
        return sums, []
    return sums, [JOB.emission(site, start, total)]


def stored(name: str, rows: "op.Stream[Row]", table: str, columns: list[str]) -> None:
    """Gather rows to blocks and store them."""
    keyed = op.key_on(f"{name}_one_block", rows, lambda _: table)
    blocks = op.collect(f"{name}_blocks", keyed, timeout=BLOCK_TIME, max_size=BLOCK_ROWS)
    op.output(f"{name}_table", blocks, Table(table, columns))


flow = Dataflow("bench")
source = kop.input("readings", flow, brokers=[JOB.broker], topics=[JOB.readings_topic], batch_size=10_000)
by_meter = op.map("decode", source.oks, decoded)
closed = op.key_rm("meter_done", op.stateful_flat_map("windows", by_meter, windows))
of_grid = op.filter("grid", closed, lambda window: window[1] in JOB.grid)
by_site = op.key_on("site", of_grid, lambda window: window[0])
minutes = op.key_rm("site_done", op.stateful_flat_map("site_minutes", by_site, site_minutes))
records = op.map("records", minutes, lambda one: KafkaSinkMessage(key=one["site_id"].encode(), value=orjson.dumps(one)))
kop.output(
    "emissions",
    records,
    brokers=[JOB.broker],
    topic=JOB.emissions_topic,
    add_config={"linger.ms": "20", "batch.size": "1000000"},
)
stored(
    "emission", op.map("emission_rows", minutes, lambda one: list(one.values())), "bench_emissions", EMISSION_COLUMNS
)
stored("window", closed, "bench_windows", WINDOW_COLUMNS)
