"""What is compared: a number the segments of a station say, and rows of a table that can be placed by offset.

The counting is done by ClickHouse, once per check, in buckets between all the offsets where segments begin or end. So
it is one pass over a few columns of the table, however many segments there are.
"""

from dataclasses import dataclass

import polars as pl
from clickhouse_connect.driver.client import Client

from schemas.accounting import INGEST
from schemas.topics import (
    ACTIVITIES,
    ANOMALY_FEEDBACK,
    BALANCE,
    DEAD_LETTERS,
    DEMAND,
    EMISSIONS,
    ENERGY,
    METER_READINGS,
    PRODUCTION,
    SITE_FEEDBACK,
    SITE_PRODUCTION,
    SITE_WEATHER,
    SITE_ZONES,
    TELEMETRY,
    WEATHER,
    ZONE_READINGS,
)
from sinks.clickhouse.errors import unavailable_is_named

# A row cannot have been stored before it arrived; clocks of broker and ClickHouse may differ by this much.
_CLOCKS_MS = 600_000

KEY = ("log_id", "partition")


@dataclass(frozen=True, slots=True)
class Period:
    """Arrival times to prove: from, until before. None = no bound. [ms since 1970 UTC]"""

    from_ms: int | None = None
    to_ms: int | None = None

    def sql(self, column: str) -> str:
        """Return the condition on a column of milliseconds, as SQL."""
        bounds = [
            f"{column} >= fromUnixTimestamp64Milli({self.from_ms:d}, 'UTC')" if self.from_ms is not None else "1",
            f"{column} < fromUnixTimestamp64Milli({self.to_ms:d}, 'UTC')" if self.to_ms is not None else "1",
        ]
        return " AND ".join(bounds)

    def stored(self) -> str:
        """Return the condition on rows that may have arrived in the period, as SQL."""
        begin = None if self.from_ms is None else self.from_ms - _CLOCKS_MS
        return Period(begin).sql("written_at")


ALWAYS = Period()


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison.

    Parameters
    ----------
    what
        What the rows are, in words.
    station, topic
        Whose segments.
    said
        Columns of a segment that add up to the number of rows.
    kwh
        Column of a segment that is the sum of the rows' `kwh`; None to compare the number only.
    rows
        SELECT of `log_id`, `partition`, `place` (offset within the segments' topic), `rows` and `kwh`, with a place for
        the condition on when they were stored.
    stored_from
        Topic the table is filled from.
    replaced
        Table and its time column, where rows of a higher revision, or of a later log, replace others.
    by_place
        Whether the rows lie on the topic the station reads, and not on one it writes.
    """

    what: str
    station: str
    topic: str
    said: tuple[str, ...]
    kwh: str | None
    rows: str
    stored_from: str
    replaced: tuple[str, str] | None = None
    by_place: bool = False


_LETTERS = """
SELECT log_id, source_partition AS partition, source_offset AS place, {rows} AS rows, 0. AS kwh
FROM dead_letters
WHERE stage = '{stage}' AND source_topic = '{topic}' AND {{stored}}
"""
_PER_LINE = "toInt64(countSubstrings(value, '\\n') + if(endsWith(value, '\\n'), 0, 1))"
_BY_ORIGIN = """
SELECT log_id, topic_partition AS partition, origin_offset AS place, 1 AS rows, import_kwh AS kwh
FROM {table}
WHERE origin_offset >= 0 AND {{stored}}
"""
_BY_PLACE = """
SELECT log_id, topic_partition AS partition, topic_offset AS place, 1 AS rows, 0. AS kwh
FROM {table}
WHERE {{stored}}
"""
_BY_RAW_PLACE = """
SELECT log_id, raw_partition AS partition, raw_offset AS place, 1 AS rows, {kwh} AS kwh
FROM {table}
WHERE {{stored}}
"""
_BESIDE = (
    (WEATHER, "weather", SITE_WEATHER),
    (PRODUCTION, "production", SITE_PRODUCTION),
    (ANOMALY_FEEDBACK, "feedback", SITE_FEEDBACK),
    (ZONE_READINGS, "zones", SITE_ZONES),
)

CHECKS = (
    Check(
        "readings stored",
        INGEST,
        METER_READINGS.name,
        ("used",),
        "import_register_checksum",
        _BY_RAW_PLACE.format(table="readings", kwh="import_kwh"),
        TELEMETRY.name,
    ),
    Check(
        "dead letters of ingest",
        INGEST,
        METER_READINGS.name,
        ("refused",),
        None,
        _LETTERS.format(rows="1", stage=INGEST, topic=METER_READINGS.name),
        DEAD_LETTERS.name,
    ),
    Check(
        "readings stored, as metering took them",
        "metering",
        TELEMETRY.name,
        ("received",),
        None,
        _BY_PLACE.format(table="readings"),
        TELEMETRY.name,
        by_place=True,
    ),
    Check(
        "readings in dead letters of metering",
        "metering",
        TELEMETRY.name,
        ("late", "refused", "flagged"),
        None,
        _LETTERS.format(rows=_PER_LINE, stage="metering", topic=TELEMETRY.name),
        DEAD_LETTERS.name,
    ),
    Check(
        "windows stored",
        "metering",
        TELEMETRY.name,
        ("sent_rows",),
        "sent_import_kwh",
        _BY_ORIGIN.format(table="energy_windows"),
        ENERGY.name,
        replaced=("energy_windows", "window_start"),
    ),
    Check(
        "windows stored, as emissions took them",
        "emissions",
        ENERGY.name,
        ("received",),
        None,
        _BY_PLACE.format(table="energy_windows"),
        ENERGY.name,
        by_place=True,
        replaced=("energy_windows", "window_start"),
    ),
    Check(
        "emission records stored",
        "emissions",
        ENERGY.name,
        ("sent_rows",),
        "sent_import_kwh",
        _BY_ORIGIN.format(table="emissions"),
        EMISSIONS.name,
        replaced=("emissions", "ts"),
    ),
    Check(
        "windows stored, as balance took them",
        "balance",
        ENERGY.name,
        ("received",),
        None,
        _BY_PLACE.format(table="energy_windows"),
        ENERGY.name,
        by_place=True,
        replaced=("energy_windows", "window_start"),
    ),
    Check(
        "windows stored, as anomalies took them",
        "anomalies",
        ENERGY.name,
        ("received",),
        None,
        _BY_PLACE.format(table="energy_windows"),
        ENERGY.name,
        by_place=True,
        replaced=("energy_windows", "window_start"),
    ),
    Check(
        "windows stored, as advice took them",
        "advice",
        ENERGY.name,
        ("received",),
        None,
        _BY_PLACE.format(table="energy_windows"),
        ENERGY.name,
        by_place=True,
        replaced=("energy_windows", "window_start"),
    ),
    *(
        Check(
            f"feedback in dead letters of {station}",
            station,
            ENERGY.name,
            ("flagged",),
            None,
            _LETTERS.format(rows=_PER_LINE, stage=station, topic=ENERGY.name),
            DEAD_LETTERS.name,
        )
        for station in ("anomalies", "advice")
    ),
    Check(
        "balance rows stored",
        "balance",
        ENERGY.name,
        ("sent_rows",),
        "sent_import_kwh",
        _BY_ORIGIN.format(table="balance"),
        BALANCE.name,
        replaced=("balance", "window_start"),
    ),
    Check(
        "windows stored, as billing took them",
        "billing",
        ENERGY.name,
        ("received",),
        None,
        _BY_PLACE.format(table="energy_windows"),
        ENERGY.name,
        by_place=True,
        replaced=("energy_windows", "window_start"),
    ),
    Check(
        "demand records stored",
        "billing",
        ENERGY.name,
        ("sent_rows",),
        "sent_import_kwh",
        _BY_ORIGIN.format(table="demand"),
        DEMAND.name,
        replaced=("demand", "ts"),
    ),
    *(
        Check(
            f"{table} stored",
            INGEST,
            raw.name,
            ("used",),
            None,
            _BY_RAW_PLACE.format(table=table, kwh="0."),
            stored_from.name,
        )
        for raw, table, stored_from in _BESIDE
    ),
    *(
        Check(
            f"dead letters of {table}",
            INGEST,
            raw.name,
            ("refused",),
            None,
            _LETTERS.format(rows="1", stage=INGEST, topic=raw.name),
            DEAD_LETTERS.name,
        )
        for raw, table, _ in _BESIDE
    ),
    # Not the activities stored: one that is sent again under its id replaces the one before it.
    Check(
        "dead letters of activities",
        INGEST,
        ACTIVITIES.name,
        ("refused",),
        None,
        _LETTERS.format(rows="1", stage="activities", topic=ACTIVITIES.name),
        DEAD_LETTERS.name,
    ),
)

_BUCKETS = """
SELECT n.log_id AS log_id, n.partition AS partition, n.node AS node, sum(r.rows) AS rows,
    sum(ifNull(r.kwh, 0)) AS kwh
FROM ({rows}) AS r
ASOF INNER JOIN
(
    SELECT DISTINCT log_id, partition, arrayJoin([first_offset, last_offset + 1]) AS node
    FROM accounting
    WHERE station = '{station}' AND topic = '{topic}' AND {period}
) AS n
ON r.log_id = n.log_id AND r.partition = n.partition AND r.place >= n.node
GROUP BY log_id, partition, node
"""

_SEGMENTS = """
SELECT log_id, station, topic, partition, first_offset, last_offset, topic_offset, partial, received, used, late,
    refused, flagged, duplicates, sent_rows, sent_import_kwh, import_register_checksum, rows_until, caused,
    toUnixTimestamp64Milli(sent_from) AS sent_from, toUnixTimestamp64Milli(sent_until) AS sent_until
FROM accounting
WHERE station != 'history' AND {period}
"""

# Of the newest cut it is not sure that its rows are there; of what comes before it, it is.
_STORED_UNTIL = """
SELECT log_id, topic, partition, max(until) AS until
FROM
(
    SELECT log_id, topic, partition, max(after_offset) AS until FROM sink_blocks GROUP BY ALL
    UNION ALL
    SELECT log_id, topic, partition, max(last_offset) AS until FROM accounting WHERE station = 'history' GROUP BY ALL
)
GROUP BY log_id, topic, partition
"""

_REPLACEMENTS = """
SELECT log_id, topic_partition AS partition, toUnixTimestamp64Milli({time}) AS at,
    countIf(revision > 0 OR topic_offset < 0) AS revised, -- or written by a replay
    count() AS rows
FROM {table}
WHERE {time} BETWEEN fromUnixTimestamp64Milli({from_ms:d}, 'UTC') AND fromUnixTimestamp64Milli({until_ms:d}, 'UTC')
GROUP BY log_id, partition, at
"""


def read_segments(client: Client, period: Period) -> pl.DataFrame:
    """Return the segments of all stations but the history."""
    return _answer(client, _SEGMENTS.format(period=period.sql("ts")))


def read_buckets(client: Client, check: Check, period: Period) -> pl.DataFrame:
    """Count the rows of a check in buckets, each from its `node` to the next: `log_id`, `partition`, `rows`, `kwh`."""
    rows = check.rows.format(stored=period.stored())
    query = _BUCKETS.format(rows=rows, station=check.station, topic=check.topic, period=period.sql("ts"))
    counted = _answer(client, query)
    return counted.with_columns(pl.col("node", "rows").cast(pl.Int64), pl.col("kwh").cast(pl.Float64))


def read_stored_until(client: Client) -> dict[tuple[str, str, int], int]:
    """Return up to which offset each topic is stored for sure, by log, topic and partition."""
    return {(log, topic, int(at)): int(until) for log, topic, at, until in _answer(client, _STORED_UNTIL).rows()}


def read_replacements(client: Client, table: str, time: str, from_ms: int, until_ms: int) -> pl.DataFrame:
    """Count rows that may have replaced others, per log, partition and event time."""
    return _answer(client, _REPLACEMENTS.format(table=table, time=time, from_ms=from_ms, until_ms=until_ms))


def _answer(client: Client, query: str) -> pl.DataFrame:
    with unavailable_is_named("accounting"):
        return pl.DataFrame(pl.from_arrow(client.query_arrow(query, use_strings=True)))
