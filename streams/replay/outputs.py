"""Where a replay writes: the tables, under the same ids, and if asked the topics that may be written again."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.client import Client

from schemas.flow import HEADER_ORIGIN, Output
from schemas.reading import TIMESTAMP
from schemas.topics import EMISSIONS, Topic
from sinks.clickhouse.balance import BALANCE_TABLE
from sinks.clickhouse.bills import DEMAND_TABLE, LEDGER_TABLE
from sinks.clickhouse.client import insert
from sinks.clickhouse.corrections import CORRECTIONS_TABLE
from sinks.clickhouse.errors import unavailable_is_named
from sinks.clickhouse.origins import MESSAGE, OFFSET
from sinks.clickhouse.rows import EMISSIONS_TABLE, READINGS_TABLE, WINDOWS_TABLE, TableSpec
from streams.frame.codec import Origin, envelopes
from streams.replay.engine import Produced

# The only topics a replay may send to. A command would be carried out again; what agents read would be applied again.
REPLAYABLE: tuple[Topic, ...] = (EMISSIONS,)

# Rows of a replay are on no topic and were made from no message of one; no block of the live writer covers this offset.
NOT_ON_A_TOPIC = -1

_HELD = """
SELECT DISTINCT raw_partition, raw_offset
FROM readings
WHERE log_id = {log_id:String} AND topic_partition = {partition:Int32}
    AND ts >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({last:Int64}, 'UTC')
"""


_EDITIONS = """
SELECT DISTINCT assumeNotNull(reference_version)
FROM emissions
WHERE ts >= fromUnixTimestamp64Milli({first:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND (empty({sites:Array(String)}) OR site_id IN {sites:Array(String)})
    AND reference_version IS NOT NULL AND reference_version != {version:String}
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Written:
    """Rows a replay wrote."""

    readings: int = 0
    windows: int = 0
    emissions: int = 0
    sent: int = 0
    corrections: int = 0
    balance: int = 0
    demand: int = 0
    ledger: int = 0

    def __add__(self, other: "Written") -> "Written":
        """Add two up."""
        return Written(
            self.readings + other.readings,
            self.windows + other.windows,
            self.emissions + other.emissions,
            self.sent + other.sent,
            self.corrections + other.corrections,
            self.balance + other.balance,
            self.demand + other.demand,
            self.ledger + other.ledger,
        )


@dataclass(frozen=True, slots=True)
class History:
    """The tables.

    All but readings replace rows of the same key. Readings have no such key, so only those are written whose raw
    message the table does not hold.

    Parameters
    ----------
    client
        A migrated database.
    run
        Name of this replay; no other one has it.
    """

    client: Client
    run: str

    def other_editions(self, first: int, end: int, sites: Sequence[str], version: str) -> list[str]:
        """Return editions other than this one that minutes of a period were computed with.

        Parameters
        ----------
        first, end
            The period; the end is exclusive. [ms UTC]
        sites
            Only these; none for all.
        version
            The edition in force.
        """
        about = {"first": first, "end": end, "sites": list(sites), "version": version}
        with unavailable_is_named("looking for editions"):
            return [str(row[0]) for row in self.client.query(_EDITIONS, parameters=about).result_rows]

    def write(self, number: int, produced: Produced) -> Written:
        """Store what a chunk led to; repeating it changes nothing.

        Parameters
        ----------
        number
            Number of the chunk in this replay.
        produced
            What it led to.

        Raises
        ------
        SinkUnavailable
            When it is unknown whether all of it is stored: repeat.
        """
        readings, followed = self._absent(produced), produced.followed
        off_topic = {"log_id": pl.lit(produced.log_id), "topic_partition": pl.lit(produced.partition, pl.Int32())}
        placed = tuple(pl.lit(NOT_ON_A_TOPIC, pl.Int64()).alias(column) for column in (MESSAGE, OFFSET))
        self._insert(READINGS_TABLE, readings, number)
        ledger = followed.ledger[0].with_columns(pl.col("first_day", "last_day").str.to_date())
        for table, rows, times in (
            (WINDOWS_TABLE, followed.windows, ()),
            (EMISSIONS_TABLE, followed.emissions[0], ("ts",)),
            (CORRECTIONS_TABLE, produced.corrections, ("ts", "window_from", "window_until")),
            (BALANCE_TABLE, followed.balance, ()),
            (DEMAND_TABLE, followed.demand, ("ts", "month_max_at")),
            (LEDGER_TABLE, ledger, ("ts", "settled_until", "max_demand_at")),
        ):
            self._insert(table, rows.with_columns(pl.col(times).cast(TIMESTAMP), *placed, **off_topic), number)
        return Written(
            readings.height,
            followed.windows.height,
            followed.emissions[0].height,
            corrections=produced.corrections.height,
            balance=followed.balance.height,
            demand=followed.demand.height,
            ledger=followed.ledger[0].height,
        )

    def _absent(self, produced: Produced) -> pl.DataFrame:
        readings = produced.readings
        if readings.is_empty():
            return readings
        first, last = readings.select(first=pl.col("ts").min(), last=pl.col("ts").max()).cast(pl.Int64()).row(0)
        about = {"log_id": produced.log_id, "partition": produced.partition, "first": first, "last": last}
        with unavailable_is_named("looking for readings that are stored"):
            held = pl.DataFrame(pl.from_arrow(self.client.query_arrow(_HELD, parameters=about)))
        if held.is_empty():
            return readings
        keys = held.select(pl.col("raw_partition").cast(pl.Int32()), pl.col("raw_offset").cast(pl.Int64()))
        return readings.join(keys, on=["raw_partition", "raw_offset"], how="anti", maintain_order="left")

    def _insert(self, table: TableSpec, rows: pl.DataFrame, number: int) -> None:
        if rows.is_empty():
            return
        with unavailable_is_named("asking for the time"):
            # The clock the live writer goes by, so that of equal revisions the one written last is the later one.
            now = int(self.client.query("SELECT toUnixTimestamp64Milli(now64(3))").result_rows[0][0])
        stamped = rows.select(
            *table.columns,
            "log_id",
            "topic_partition",
            MESSAGE,
            pl.lit(now, pl.Int64()).cast(TIMESTAMP).alias("written_at"),
            pl.col(table.time_column).dt.strftime("%Y%m").alias("month"),
        )
        for (month,), part in stamped.partition_by("month", as_dict=True, include_key=False).items():
            insert(self.client, table.table, part, f"replay:{self.run}:{table.table}:{number}:{month}")
        if table.rollups is not None:
            table.rollups.renew(self.client, rows, table.time_column)


@dataclass(frozen=True, slots=True)
class Again:
    """Emissions on their topic once more, with the ids they had.

    Parameters
    ----------
    producer
        A started producer.
    prefix
        Put in front of topic names.
    """

    producer: AIOKafkaProducer
    prefix: str

    async def send(self, produced: Produced) -> int:
        """Send the records of a chunk; return how many.

        Their origin is below every origin of the live run, so that the live writer of the table drops them instead of
        taking them for something new.
        """
        waiting = []
        origin = Origin("replay", produced.partition, -1)
        output = Output(replayable(EMISSIONS), rows=produced.followed.emissions[0])
        for one in envelopes(output, origin, 0, 0, "wattloop/emissions"):
            headers = [(name, value) for name, value in one.headers if name not in (HEADER_ORIGIN, "traceparent")]
            headers += [(HEADER_ORIGIN, origin.place(0)), ("replayed", b"1")]
            topic = self.prefix + one.topic
            waiting.append(
                await self.producer.send(topic, one.value, one.key, produced.partition, one.timestamp_ms, headers)
            )
        for sent in waiting:
            await sent
        return len(waiting)


def replayable(topic: Topic) -> Topic:
    """Return a topic a replay may send to.

    Raises
    ------
    ValueError
        For every other topic.

    Examples
    --------
    >>> from schemas.topics import ENERGY
    >>> replayable(EMISSIONS).name
    'emissions.v1'
    >>> replayable(ENERGY)
    Traceback (most recent call last):
    ValueError: a replay must not send to energy.v1
    """
    if topic not in REPLAYABLE:
        raise ValueError(f"a replay must not send to {topic.name}")
    return topic
