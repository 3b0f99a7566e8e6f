from dataclasses import replace

import pytest

from sinks.clickhouse.retention import Retention, keep
from sinks.clickhouse.rows import WINDOWS_TABLE
from sinks.clickhouse.writer import TableWriter
from tests.sinks.clickhouse.builders import a_window, ms, rows_of, windows_message

DEFAULT = Retention(13, 14, 36, 120, 13, 30)
LONG_AGO = ms(1999, 5, 1)


def test_the_second_time_nothing_is_changed(client):
    first, second = keep(client, DEFAULT), keep(client, DEFAULT)

    assert first == [table for table, _ in DEFAULT.expressions()]
    assert second == []


def test_only_what_differs_is_changed(client):
    keep(client, DEFAULT)

    assert keep(client, replace(DEFAULT, quarters_months=48)) == ["demand", "energy_15min", "emissions_15min"]
    assert keep(client, replace(DEFAULT, quarters_months=48)) == []


@pytest.mark.parametrize("table", [table for table, _ in DEFAULT.expressions()])
def test_a_row_outlives_neither_its_age_nor_the_days_after_it_was_written(client, table):
    keep(client, DEFAULT)
    times = {"dead_letters": "arrived_at"} | dict.fromkeys(
        (
            "readings",
            "emissions",
            "demand",
            "ledger",
            "corrections",
            "weather",
            "production",
            "anomalies",
            "feedback",
            "anomaly_learning",
            "advice",
            "zones",
            "setpoints",
            "setpoint_acks",
            "savings",
        ),
        "ts",
    )
    written = "computed_at" if table.endswith(("15min", "hour", "day")) else "written_at"
    key = "site_id" if table != "dead_letters" else "reason"
    for name, time, at in (
        ("old", "1999-05-01", "1999-05-02"),
        ("replayed", "1999-05-01", "now()"),
        ("new", "now()", "1999-05-02"),
    ):
        columns = f"{key}, {times.get(table, 'window_start')}, {written}"
        values = ", ".join(value if value == "now()" else f"'{value}'" for value in (time, at))
        client.command(f"INSERT INTO {table} ({columns}) VALUES ('{name}', {values})")
    client.command(f"OPTIMIZE TABLE {table} FINAL")

    assert rows_of(client, f"SELECT {key} FROM {table} ORDER BY {key}") == [("new",), ("replayed",)]


def test_sums_of_a_replayed_month_that_is_older_than_every_ttl_are_complete(client):
    keep(client, DEFAULT)
    writer = TableWriter(client, WINDOWS_TABLE, "log-1")
    writer.open(0)
    for offset in range(4):
        minutes = range(15 * offset, 15 * (offset + 1))
        windows = (a_window(window_start=LONG_AGO + n * 60_000, import_kwh=1.0) for n in minutes)
        writer.add(0, [windows_message(offset, *windows)])
        writer.flush(0)
        for table in ("energy_windows", "energy_15min", "energy_hour", "energy_day"):
            client.command(f"OPTIMIZE TABLE {table} FINAL")

    for level in ("hour", "day"):
        assert rows_of(client, f"SELECT import_kwh, windows FROM v_energy_{level}") == [(60.0, 60)]
