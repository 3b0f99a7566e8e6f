"""Demand and the ledger as rows and as views."""

import json

import pytest

from schemas.bill import DEMAND_RECORD, LEDGER_RECORD
from sinks.clickhouse.bills import DEMAND_TABLE, LEDGER_TABLE
from sinks.clickhouse.errors import Undecodable
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.writer import TableWriter
from tests.sinks.clickhouse.builders import NOON_MS, rows_of

DEMAND = dict.fromkeys(DEMAND_RECORD) | {
    "id": "demand/mill/1/0",
    "tenant_id": "acme",
    "site_id": "mill",
    "ts": NOON_MS,
    "window_s": 900,
    "import_kwh": 37.5,
    "demand_kw": 150.0,
    "quality": "measured",
    "counts_as_peak": True,
    "windows": 15,
    "windows_missing": 0,
    "billing_month": "2026-06",
    "month_max_kw": 150.0,
    "month_max_at": NOON_MS,
    "revision": 0,
}
LEDGER = (
    dict.fromkeys(LEDGER_RECORD)
    | {name: 0.0 for name in LEDGER_RECORD if name.endswith("_kwh") or name.startswith("kwh_")}
    | {name: 0 for name in LEDGER_RECORD if name.startswith("windows")}
    | {
        "id": "ledger/mill/day/2026-06-01/0",
        "tenant_id": "acme",
        "site_id": "mill",
        "ts": NOON_MS,
        "span": "day",
        "first_day": "2026-06-01",
        "last_day": "2026-06-01",
        "is_final": False,
        "energy_kwh": 37.5,
        "network_in_energy_cny": None,
        "power_factor_source": "not_measured",
        "known_cny": 24.0,
        "revision": 0,
    }
)


def message(offset, record):
    return Record(offset, NOON_MS, b"mill", json.dumps(record).encode(), {"origin": f"0:{offset}:0".encode()})


def store(client, spec, *records):
    writer = TableWriter(client, spec, "log-1")
    writer.open(0)
    for offset, record in enumerate(records):
        writer.add(0, [message(offset, record)])
        writer.flush(0)


def test_the_highest_revision_of_a_quarter_hour_is_shown(client):
    store(client, DEMAND_TABLE, DEMAND | {"revision": 1, "demand_kw": None, "counts_as_peak": False}, DEMAND)

    assert rows_of(client, "SELECT demand_kw, counts_as_peak, revision FROM v_demand") == [(None, False, 1)]


def test_days_and_months_of_the_ledger_are_kept_apart_and_the_newest_of_each_is_shown(client):
    month = LEDGER | {"span": "month", "energy_kwh": 900.0, "total_cny": 3.5}
    store(client, LEDGER_TABLE, LEDGER, LEDGER | {"revision": 1, "energy_kwh": 75.0}, month)

    found = rows_of(client, "SELECT span, energy_kwh, total_cny, toString(first_day) FROM v_ledger ORDER BY span")
    assert found == [("day", 75.0, None, "2026-06-01"), ("month", 900.0, 3.5, "2026-06-01")]


@pytest.mark.parametrize(
    ("spec", "record", "field"), [(DEMAND_TABLE, DEMAND, "quality"), (LEDGER_TABLE, LEDGER, "energy_kwh")]
)
def test_a_record_without_a_field_it_must_have_is_a_bug_and_is_raised(spec, record, field):
    with pytest.raises(Undecodable, match=f"{field} must not be missing"):
        spec.decode(Source(spec.topic, 0), [message(0, record | {field: None})])
