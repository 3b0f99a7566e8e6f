"""Activity records to rows."""

from collections.abc import Sequence

import polars as pl

from schemas.activity import ACTIVITY_RECORD
from schemas.topics import ACTIVITY
from sinks.clickhouse.origins import OFFSET, SOURCE
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import TableSpec, flat_rows


def activity_rows(source: Source, records: Sequence[Record]) -> pl.DataFrame:
    """Return the activities of activity.v1 that came from the field; a command stores its own."""
    rows = flat_rows(source, records, columns=ACTIVITY_RECORD, required=tuple(ACTIVITY_RECORD), times=("ts",))
    if rows.is_empty():
        return rows
    return rows.filter(pl.col(SOURCE) >= 0).with_columns(pl.col("first_day", "last_day").str.to_date())


ACTIVITIES_TABLE = TableSpec(ACTIVITY.name, "activities", "ts", (*ACTIVITY_RECORD, OFFSET), activity_rows)
