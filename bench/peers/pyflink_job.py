"""The job in PyFlink: a keyed process function of the DataStream API, Kafka source and sink, in a local cluster.

As its documentation teaches: `KafkaSource`, `key_by`, a `KeyedProcessFunction` over `MapState`, a side output,
`KafkaSink`, checkpoints every 10 s (at least once). A watermark is that of a partition of the topic and the lateness of
the job that of a meter, so minutes close by state and not by event-time timers; SQL, which orders by watermarks, cannot
say that. PyFlink's `JdbcSink` names a Java class that the JDBC connector for Flink 2 has no longer, so windows of a
second of processing time gather rows for ClickHouse, and a `ProcessAllWindowFunction` inserts them. For throughput:
bundles as large as a second, room in the caches of state, object reuse, larger batches in the producer.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
from pyflink.common import Configuration, Time, Types, WatermarkStrategy
from pyflink.common.serialization import SimpleStringSchema
from pyflink.datastream import OutputTag, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
)
from pyflink.datastream.data_stream import DataStream
from pyflink.datastream.functions import KeyedProcessFunction, ProcessAllWindowFunction
from pyflink.datastream.state import MapStateDescriptor
from pyflink.datastream.window import TumblingProcessingTimeWindows

from bench.peers.history import Row, insert
from bench.peers.job import EMISSION_COLUMNS, WINDOW_COLUMNS, Job
from bench.peers.registers import added

JOB = Job.told()

READING = WINDOW = Types.TUPLE([Types.STRING(), Types.STRING(), Types.LONG(), Types.DOUBLE()])
EMISSION = Types.TUPLE([Types.STRING(), Types.LONG(), Types.DOUBLE(), Types.DOUBLE(), Types.DOUBLE()])
EMISSIONS = OutputTag("emissions", EMISSION)

SETTINGS = {
    "execution.checkpointing.interval": "10 s",
    "execution.checkpointing.mode": "AT_LEAST_ONCE",
    "execution.checkpointing.dir": (Path(JOB.directory) / "checkpoints").as_uri(),
    "heartbeat.timeout": f"{JOB.session_timeout_ms} ms",
    "pipeline.object-reuse": "true",
    "python.executable": sys.executable,
    "python.execution-mode": "process",
    "python.fn-execution.bundle.size": "100000",
    "python.fn-execution.bundle.time": "1000",
    "python.state.cache-size": "100000",
    "python.map-state.read-cache-size": "100000",
    "python.map-state.write-cache-size": "100000",
}


def decoded(message: str) -> tuple[str, str, int, float]:
    """Return a reading."""
    reading = orjson.loads(message)
    return reading["site_id"], reading["meter_id"], reading["ts"], reading["import_kwh"]


class Energy(KeyedProcessFunction):
    """Of a site: readings to minutes of meters, and these to minutes of the site."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Get at the state."""
        state = runtime_context.get_map_state
        self._points = state(MapStateDescriptor("points", Types.STRING(), Types.PICKLED_BYTE_ARRAY()))
        self._sums = state(MapStateDescriptor("sums", Types.LONG(), Types.PICKLED_BYTE_ARRAY()))

    def process_element(
        self, reading: tuple[str, str, int, float], _: KeyedProcessFunction.Context
    ) -> Iterator[tuple[str, str, int, float] | tuple[OutputTag, Row]]:
        """Turn a reading into the minutes it settles; a site's minute is sent when all grid meters have reported it."""
        site, meter, ts, register_kwh = reading
        points = self._points.get(meter) or []
        closed = added(points, ts, register_kwh, JOB.lateness_ms)
        self._points.put(meter, points)
        for start, kwh in closed:
            yield site, meter, start, kwh
            if meter not in JOB.grid:
                continue
            count, total = self._sums.get(start) or (0, 0.0)
            count, total = count + 1, total + kwh
            if count < len(JOB.grid):
                self._sums.put(start, (count, total))
                continue
            self._sums.remove(start)
            yield EMISSIONS, tuple(JOB.emission(site, start, total).values())


class Stored(ProcessAllWindowFunction):
    """Inserts the rows of a window of processing time."""

    def __init__(self, table: str, columns: list[str]) -> None:
        self._table, self._columns = table, columns

    def open(self, _: RuntimeContext) -> None:
        """Connect."""
        self._client = JOB.history()

    def process(self, _: ProcessAllWindowFunction.Context, rows: Iterable[Row]) -> Iterable[Row]:
        """Insert them."""
        insert(self._client, self._table, self._columns, list(rows))
        return []


def record(emission: Row) -> str:
    """Return the record of a site and minute."""
    return orjson.dumps(dict(zip(EMISSION_COLUMNS, emission, strict=True))).decode()


def stored(rows: DataStream, table: str, columns: list[str]) -> None:
    """Gather rows to blocks and store them."""
    rows.window_all(TumblingProcessingTimeWindows.of(Time.seconds(1))).process(Stored(table, columns)).name(table)


def main(jars: Path, subtasks: int) -> None:
    """Run until stopped."""
    config = Configuration()
    for name, value in SETTINGS.items():
        config.set_string(name, value)
    env = StreamExecutionEnvironment.get_execution_environment(config)
    env.set_parallelism(subtasks)
    env.add_jars(*(jar.as_uri() for jar in jars.glob("*.jar")))
    source = (
        KafkaSource.builder()
        .set_bootstrap_servers(JOB.broker)
        .set_topics(JOB.readings_topic)
        .set_group_id(JOB.group)
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(SimpleStringSchema())
        .build()
    )
    sink = (
        KafkaSink.builder()
        .set_bootstrap_servers(JOB.broker)
        .set_record_serializer(
            KafkaRecordSerializationSchema.builder()
            .set_topic(JOB.emissions_topic)
            .set_value_serialization_schema(SimpleStringSchema())
            .build()
        )
        .set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .set_property("linger.ms", "20")
        .set_property("batch.size", "1000000")
        .build()
    )
    readings = env.from_source(source, WatermarkStrategy.no_watermarks(), "readings").map(decoded, READING)
    windows = readings.key_by(lambda reading: reading[0], Types.STRING()).process(Energy(), WINDOW)
    emissions = windows.get_side_output(EMISSIONS)
    emissions.map(record, Types.STRING()).sink_to(sink)
    stored(windows, "bench_windows", WINDOW_COLUMNS)
    stored(emissions, "bench_emissions", EMISSION_COLUMNS)
    env.execute("bench")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
