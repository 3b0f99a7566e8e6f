"""Correction records to rows."""

from functools import partial

from schemas.correction import CORRECTION_RECORD
from schemas.topics import CORRECTIONS
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.rows import TableSpec, flat_rows

CORRECTIONS_TABLE = TableSpec(
    CORRECTIONS.name,
    "corrections",
    "ts",
    (*CORRECTION_RECORD, OFFSET),
    partial(
        flat_rows,
        columns=CORRECTION_RECORD,
        required=tuple(name for name in CORRECTION_RECORD if not name.endswith(("_kwh", "_slip_s"))),
        times=("ts", "window_from", "window_until"),
    ),
)
