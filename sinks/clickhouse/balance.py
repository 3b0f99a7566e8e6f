"""Rows of balance.v1 to rows of the table."""

from functools import partial

from schemas.balance import BALANCE_ROWS
from schemas.flow import Kind
from schemas.topics import BALANCE
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.rows import TableSpec, batch_rows

_REQUIRED = (
    "tenant_id",
    "site_id",
    "part",
    "name",
    "window_start",
    "window_s",
    "local_day",
    "quality",
    "meters_missing",
    "revision",
)

BALANCE_TABLE = TableSpec(
    BALANCE.name,
    "balance",
    "window_start",
    (*BALANCE_ROWS, OFFSET),
    partial(batch_rows, kind=Kind.BALANCE, columns=BALANCE_ROWS, required=_REQUIRED),
)
