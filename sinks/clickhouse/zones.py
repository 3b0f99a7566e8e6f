"""Zones: what is measured in them, what they are told, and what became of it: records to rows."""

from functools import partial

from schemas.ack import ACK_RECORD
from schemas.setpoint import SETPOINT_RECORD
from schemas.topics import HVAC_ACKS, HVAC_SETPOINTS, SITE_ZONES
from schemas.zone import ZONE_MEASURES, ZONE_RECORD
from sinks.clickhouse.context import day_rows
from sinks.clickhouse.origins import OFFSET
from sinks.clickhouse.rows import TableSpec, flat_rows

_NEEDED = ("id", "tenant_id", "site_id", "zone_id", "ts", "command_id")

ZONES_TABLE = TableSpec(
    SITE_ZONES.name,
    "zones",
    "ts",
    (*ZONE_RECORD, OFFSET),
    partial(day_rows, columns=ZONE_RECORD, optional=ZONE_MEASURES),
)
SETPOINTS_TABLE = TableSpec(
    HVAC_SETPOINTS.name,
    "setpoints",
    "ts",
    (*SETPOINT_RECORD, OFFSET),
    partial(
        flat_rows,
        columns=SETPOINT_RECORD,
        required=(*_NEEDED, "mode", "issued_at", "not_after", "lease_s", "priority", "reason", "model_version"),
        times=("ts", "issued_at", "not_after"),
    ),
)
ACKS_TABLE = TableSpec(
    HVAC_ACKS.name,
    "setpoint_acks",
    "ts",
    (*ACK_RECORD, OFFSET),
    # A gateway answers by itself: nothing on a topic of ours caused it.
    partial(
        flat_rows,
        columns=ACK_RECORD,
        required=(*_NEEDED, "state", "reason", "message", "gateway"),
        times=("ts",),
        has_origin=False,
    ),
)
