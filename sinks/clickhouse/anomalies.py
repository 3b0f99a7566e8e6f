"""Anomalies, what people say of them, and how far the detectors are: records to rows."""

from functools import partial

from schemas.anomaly import ANOMALY_RECORD
from schemas.feedback import FEEDBACK_RECORD
from schemas.learning import LEARNING_RECORD
from schemas.topics import ANOMALIES, ANOMALY_LEARNING, SITE_FEEDBACK
from sinks.clickhouse.context import day_rows
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.rows import TableSpec, flat_rows

_MAY_BE_UNKNOWN = (
    "ended_at",
    "end_reason",
    "observed_kw",
    "expected_kw",
    "expected_high_kw",
    "expected_low_kw",
    "before_kw",
    "weather_kw",
    "production_kw",
    "observed_share",
    "expected_share",
    "wasted_cny",
    "wasted_kg",
    "feedback",
    "feedback_by",
)
_FEEDBACK_OPTIONAL = ("anomaly_id", "advice_id", "meter_id", "kind", "until", "said_by", "note")

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

LEARNING_TABLE = TableSpec(
    ANOMALY_LEARNING.name,
    "anomaly_learning",
    "ts",
    (*LEARNING_RECORD, OFFSET),
    partial(flat_rows, columns=LEARNING_RECORD, required=tuple(LEARNING_RECORD), times=("ts",)),
)

FEEDBACK_TABLE = TableSpec(
    SITE_FEEDBACK.name,
    "feedback",
    "ts",
    (*FEEDBACK_RECORD, OFFSET),
    partial(day_rows, columns=FEEDBACK_RECORD, optional=_FEEDBACK_OPTIONAL),
)
