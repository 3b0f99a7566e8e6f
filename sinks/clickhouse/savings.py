"""Savings: records to rows."""

from collections.abc import Sequence

import polars as pl

from schemas.saving import SAVING_RECORD
from schemas.topics import SAVINGS
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import TableSpec, flat_rows

_NEEDED = (
    "id",
    "tenant_id",
    "site_id",
    "ts",
    "method",
    "state",
    "reason",
    "from_day",
    "to_day",
    "message_en",
    "message_zh",
    "model_version",
)


def saving_rows(source: Source, records: Sequence[Record]) -> pl.DataFrame:
    """Return the records of savings.v1, one row each."""
    rows = flat_rows(source, records, columns=SAVING_RECORD, required=_NEEDED, times=("ts",))
    return rows if rows.is_empty() else rows.with_columns(pl.col("from_day", "to_day").str.to_date())


SAVINGS_TABLE = TableSpec(SAVINGS.name, "savings", "ts", (*SAVING_RECORD, OFFSET), saving_rows)
