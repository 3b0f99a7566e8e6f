"""Accounting records to rows: all of them, also several of the same range."""

from collections.abc import Sequence

import polars as pl

from schemas.accounting import ACCOUNT_RECORD
from schemas.reading import TIMESTAMP
from schemas.topics import ACCOUNTING
from sinks.clickhouse.origins import MESSAGE
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import TableSpec, json_rows, with_origin

_OPTIONAL = ("sent_from", "sent_until", "import_register_checksum", "rows_until")
_TIMES = ("ts", "sent_from", "sent_until")


def account_rows(source: Source, records: Sequence[Record]) -> pl.DataFrame:
    """Return the records of accounting.v1, one row each.

    Nothing is dropped: which of several segments of a range counts is decided when they are read.
    """
    if not records:
        return pl.DataFrame()
    rows = json_rows(source, records, ACCOUNT_RECORD)
    for name in ACCOUNT_RECORD:
        missing = rows[name].is_null().arg_true() if name not in _OPTIONAL else pl.Series([], dtype=pl.UInt32)
        if missing.len():
            raise source.undecodable(records[missing[0]], f"{name} must not be missing")
    offsets = pl.Series(MESSAGE, [record.offset for record in records], dtype=pl.Int64)
    placed = rows.with_columns(pl.col(name).cast(TIMESTAMP) for name in _TIMES).with_columns(offsets)
    # Its own place is the origin of a record, and that is always new.
    return with_origin(placed, source.partition, 0, 0).with_columns(origin_offset=offsets)


ACCOUNTING_TABLE = TableSpec(ACCOUNTING.name, "accounting", "ts", tuple(ACCOUNT_RECORD), account_rows)
