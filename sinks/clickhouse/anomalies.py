"""Anomaly records to rows."""

from functools import partial

from schemas.anomaly import ANOMALY_RECORD
from schemas.topics import ANOMALIES
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.rows import TableSpec, flat_rows

_MAY_BE_UNKNOWN = (
    "ended_at",
    "end_reason",
    "observed_kw",
    "expected_kw",
    "expected_high_kw",
    "observed_share",
    "expected_share",
    "wasted_cny",
    "wasted_kg",
)

ANOMALIES_TABLE = TableSpec(
    ANOMALIES.name,
    "anomalies",
    "ts",
    (*ANOMALY_RECORD, OFFSET),
    partial(
        flat_rows,
        columns=ANOMALY_RECORD,
        required=tuple(name for name in ANOMALY_RECORD if name not in _MAY_BE_UNKNOWN),
        times=("ts", "began_at", "opened_at", "ended_at"),
    ),
)
