"""When sums are computed: some time after the blocks they are made of, for many blocks at once.

A bucket of 15 minutes, an hour or a day is touched by every block of its time. Computing it anew for each took longer
than storing the block. So what was touched is gathered, and computed when the oldest has waited long enough. Up to
where that is done is recorded per partition; whoever opens the partition next finds what was stored behind it. See
ADR 0024.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl
from clickhouse_connect.driver.client import Client

from sinks.clickhouse.blocks import START
from sinks.clickhouse.client import insert
from sinks.clickhouse.errors import unavailable_is_named
from sinks.clickhouse.records import Source
from sinks.clickhouse.rollups import Rollups

SUMS_EVERY_S = 15.0
_REST = 4.0  # computing may take a fifth of the time: the one thread that talks to ClickHouse stores the blocks too
_BUCKET = "window_start"
# A million meters touch one or two million before the next computation; while reading a backlog, far more.
MOST_WAITING = 2_000_000

_PROGRESS = """
SELECT max(last_offset), toUnixTimestamp64Milli(argMax(written_at, last_offset)), count()
FROM sink_sums
WHERE log_id = {log_id:String} AND topic = {topic:String} AND partition = {partition:Int32}
"""

# The offset decides; the time is for its index. Clocks of replicas differ, and one may be set back.
_BEHIND = """
SELECT KEY, toUnixTimestamp(toStartOfFifteenMinutes({time_column:Identifier})) AS bucket,
    max(topic_offset), toUnixTimestamp64Milli(max(written_at))
FROM {table:Identifier}
WHERE log_id = {log_id:String} AND topic_partition = {partition:Int32}
    AND topic_offset > {last_offset:Int64}
    AND written_at >= fromUnixTimestamp64Milli({written_at:Int64}, 'UTC') - INTERVAL 1 MINUTE
GROUP BY KEY, bucket
"""


@dataclass(slots=True)
class Summing:
    """The sums of one table.

    Parameters
    ----------
    client
        A migrated database. Calls block; one thread at a time.
    table, time_column
        The table and its event time.
    rollups
        What is summed.
    log_id
        Incarnation of the broker's log.
    every_s
        How long what was touched may wait; 0 = until the end of the block. [s]
    most_waiting
        How many buckets may wait, however short a time. Up to twice as many are held, as blocks repeat them.
    clock
        Seconds that only grow.
    """

    client: Client
    table: str
    time_column: str
    rollups: Rollups
    log_id: str
    every_s: float = SUMS_EVERY_S
    most_waiting: int = MOST_WAITING
    clock: Callable[[], float] = time.monotonic
    _touched: list[pl.DataFrame] = field(default_factory=list)
    _height: int = 0  # of all of them
    _until: dict[Source, tuple[int, int]] = field(default_factory=dict)  # last offset, when its cut was recorded
    _since: float = 0.0
    _rests_until: float = 0.0

    @property
    def is_settled(self) -> bool:
        """Whether nothing waits to be summed."""
        return not self._touched

    def touch(self, source: Source, rows: pl.DataFrame, last_offset: int, written_at: int) -> None:
        """Note the buckets of a block that was stored.

        Parameters
        ----------
        source
            Its partition.
        rows
            Its rows.
        last_offset
            Its end.
        written_at
            When its cut was recorded. [ms UTC, ClickHouse's clock]
        """
        start = pl.col(self.time_column).dt.truncate("15m").alias(_BUCKET)
        self._note(rows.select(*self.rollups.key, start).unique())
        if last_offset >= self._until.get(source, (START, 0))[0]:
            self._until[source] = (last_offset, written_at)

    def find(self, source: Source) -> None:
        """Find what was stored of a partition and not summed: by whomever had it before, and ended.

        Raises
        ------
        SinkUnavailable
            When ClickHouse cannot answer now.
        """
        names = {"log_id": self.log_id, "partition": source.partition}
        with unavailable_is_named(f"looking for what of {source} is not summed"):
            progress = self.client.query(_PROGRESS, parameters={**names, "topic": source.topic}).result_rows[0]
            last_offset, written_at = (progress[0], progress[1]) if progress[2] else (START, 0)
            values = {
                **names,
                "table": self.table,
                "time_column": self.time_column,
                "last_offset": last_offset,
                "written_at": written_at,
            }
            behind = self.client.query(_BEHIND.replace("KEY", ", ".join(self.rollups.key)), parameters=values)
        if not behind.result_rows:
            return
        found = pl.DataFrame(behind.result_rows, schema=[*self.rollups.key, _BUCKET, "offset", "at"], orient="row")
        self._until[source] = max(zip(found["offset"].to_list(), found["at"].to_list(), strict=True))
        in_time = pl.from_epoch(pl.col(_BUCKET).cast(pl.Int64)).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
        self._note(found.select(*self.rollups.key, in_time))

    def settle(self, *, everything: bool) -> None:
        """Compute what has waited long enough.

        Parameters
        ----------
        everything
            Also what has not.

        Raises
        ------
        SinkUnavailable
            When it is unknown whether all is computed: it is done again the next time.
        """
        began = self.clock()
        if self.is_settled or not (everything or self._is_due(began)):
            return
        self._unite()
        self.rollups.renew(self.client, self._touched[0], _BUCKET)
        if self._until:
            places = sorted(self._until.items())
            insert(
                self.client,
                "sink_sums",
                pl.DataFrame(
                    {
                        "log_id": [self.log_id] * len(places),
                        "topic": [source.topic for source, _ in places],
                        "partition": pl.Series([source.partition for source, _ in places], dtype=pl.Int32),
                        "last_offset": pl.Series([place[0] for _, place in places], dtype=pl.Int64),
                        "written_at": pl.Series([place[1] for _, place in places], dtype=pl.Int64).cast(
                            pl.Datetime("ms", "UTC")
                        ),
                    }
                ),
                f"{self.log_id}:sums:{places}",
            )
        self._touched.clear()
        self._height = 0
        self._until.clear()
        ended = self.clock()
        self._rests_until = ended + _REST * (ended - began) if self.every_s else ended

    def _is_due(self, now_s: float) -> bool:
        if self._height >= 2 * self.most_waiting:
            self._unite()
            if self._height > self.most_waiting:
                return True
        return now_s >= self._since + self.every_s and now_s >= self._rests_until

    def _note(self, buckets: pl.DataFrame) -> None:
        if self.is_settled:
            self._since = self.clock()
        self._touched.append(buckets)
        self._height += buckets.height

    def _unite(self) -> None:
        """Hold each bucket once."""
        self._touched = [pl.concat(self._touched, how="vertical_relaxed").unique()]
        self._height = self._touched[0].height
