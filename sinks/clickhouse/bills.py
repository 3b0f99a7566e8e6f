"""Demand and ledger records to rows."""

from collections.abc import Sequence
from functools import partial

import polars as pl

from schemas.bill import DEMAND_RECORD, LEDGER_RECORD
from schemas.emission import PERIODS
from schemas.topics import DEMAND, LEDGER
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import TableSpec, flat_rows

_DEMAND_OPTIONAL = ("import_kwh", "demand_kw", "month_max_kw", "month_max_at")
_LEDGER_REQUIRED = (
    "id",
    "tenant_id",
    "site_id",
    "ts",
    "span",
    "first_day",
    "last_day",
    "is_final",
    "energy_kwh",
    *(f"{period}_kwh" for period in (*PERIODS, "no_period")),
    "kwh_without_price",
    "kwh_without_network_price",
    "kwh_without_funds_price",
    "power_factor_source",
    "known_cny",
    "windows",
    "windows_not_measured",
    "windows_without_energy",
    "windows_uncorrected",
    "revision",
)


def ledger_rows(source: Source, records: Sequence[Record]) -> pl.DataFrame:
    """Return the records of ledger.v1, one row each."""
    times = ("ts", "settled_until", "max_demand_at")
    rows = flat_rows(source, records, columns=LEDGER_RECORD, required=_LEDGER_REQUIRED, times=times)
    return rows if rows.is_empty() else rows.with_columns(pl.col("first_day", "last_day").str.to_date())


DEMAND_TABLE = TableSpec(
    DEMAND.name,
    "demand",
    "ts",
    (*DEMAND_RECORD, OFFSET),
    partial(
        flat_rows,
        columns=DEMAND_RECORD,
        required=tuple(name for name in DEMAND_RECORD if name not in _DEMAND_OPTIONAL),
        times=("ts", "month_max_at"),
    ),
)
LEDGER_TABLE = TableSpec(LEDGER.name, "ledger", "ts", (*LEDGER_RECORD, OFFSET), ledger_rows)
