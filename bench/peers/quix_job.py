"""The job in Quix Streams: a StreamingDataFrame with stateful functions, two sinks and an output topic.

As its documentation teaches: custom stateful logic by `apply(..., stateful=True, expand=True)` on RocksDB state of the
message key (the site), a custom `BatchingSink`, branches. At least once, with changelog topics. For throughput: a
checkpoint every second, larger batches in the producer.
"""

from collections.abc import Iterable
from pathlib import Path

from quixstreams import Application, State
from quixstreams.sinks import BatchingSink, SinkBatch

from bench.peers.history import insert
from bench.peers.job import EMISSION_COLUMNS, WINDOW_COLUMNS, Job
from bench.peers.registers import added

JOB = Job.told()


class Table(BatchingSink):
    """A table of the history."""

    def __init__(self, table: str, columns: list[str]) -> None:
        super().__init__()
        self._table, self._columns = table, columns

    def setup(self) -> None:
        """Connect."""
        self._client = JOB.history()

    def write(self, batch: SinkBatch) -> None:
        """Insert what a checkpoint gathered."""
        insert(self._client, self._table, self._columns, [[item.value[c] for c in self._columns] for item in batch])


def windows(reading: dict, state: State) -> Iterable[dict]:
    """Turn a reading into the minutes it settles."""
    meter = reading["meter_id"]
    points = [tuple(point) for point in state.get(meter, default=[])]
    closed = added(points, reading["ts"], reading["import_kwh"], JOB.lateness_ms)
    state.set(meter, points)
    site = reading["site_id"]
    return [{"site_id": site, "meter_id": meter, "window_start": start, "import_kwh": kwh} for start, kwh in closed]


def site_minutes(window: dict, state: State) -> Iterable[dict]:
    """Add up a site's grid meters; a minute is sent when all of them have reported it."""
    start = window["window_start"]
    name = f"minute/{start}"
    count, kwh = state.get(name, default=[0, 0.0])
    count, kwh = count + 1, kwh + window["import_kwh"]
    if count < len(JOB.grid):
        state.set(name, [count, kwh])
        return []
    state.delete(name)
    return [JOB.emission(window["site_id"], start, kwh)]


def main() -> None:
    """Run until stopped."""
    app = Application(
        broker_address=JOB.broker,
        consumer_group=JOB.group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=Path(JOB.directory) / "state",
        consumer_poll_timeout=0.1,
        consumer_extra_config={"session.timeout.ms": JOB.session_timeout_ms},
        producer_extra_config={"linger.ms": 20, "batch.size": 1_000_000},
        loglevel="WARNING",
    )
    readings = app.topic(JOB.readings_topic, value_deserializer="json", key_deserializer="str")
    emissions = app.topic(JOB.emissions_topic, value_serializer="json", key_serializer="str")
    closed = app.dataframe(readings).apply(windows, stateful=True, expand=True)
    minutes = closed.filter(lambda window: window["meter_id"] in JOB.grid).apply(
        site_minutes, stateful=True, expand=True
    )
    minutes.to_topic(emissions)
    minutes.sink(Table("bench_emissions", EMISSION_COLUMNS))
    closed.sink(Table("bench_windows", WINDOW_COLUMNS))
    app.run()


if __name__ == "__main__":
    main()
