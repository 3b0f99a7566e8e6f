from datetime import date

import pytest

from sinks.clickhouse.letters import DEAD_LETTERS_TABLE
from sinks.clickhouse.rows import EMISSIONS_TABLE, READINGS_TABLE, WINDOWS_TABLE
from sinks.clickhouse.writer import TableWriter
from tests.sinks.clickhouse.builders import (
    NOON_MS,
    a_letter,
    a_reading,
    a_window,
    an_emission,
    emission_message,
    ms,
    readings_message,
    rows_of,
    windows_message,
)

NIGHT = ms(2026, 6, 1)


def store(client, spec, *messages, log_id="log-1"):
    """Store each message as a block of its own, so that the table holds several parts."""
    writer = TableWriter(client, spec, log_id)
    writer.open(0)
    for message in messages:
        writer.add(0, [message])
        writer.flush(0)


def test_a_reading_that_was_sent_twice_is_shown_once_and_the_table_keeps_both(client):
    store(
        client,
        READINGS_TABLE,
        readings_message(0, a_reading(raw_offset=1, import_kwh=1.0), a_reading(raw_offset=1, meter_id="press")),
        readings_message(1, a_reading(raw_offset=2, import_kwh=2.0), a_reading(raw_offset=2, ts=NOON_MS + 1)),
    )

    shown = rows_of(client, "SELECT meter_id, toUnixTimestamp64Milli(ts), import_kwh FROM v_readings ORDER BY ALL")
    assert shown == [("main", NOON_MS, 2.0), ("main", NOON_MS + 1, 1000.0), ("press", NOON_MS, 1000.0)]
    assert rows_of(client, "SELECT count() FROM readings") == [(4,)]


def test_tenants_with_the_same_names_are_kept_apart(client):
    store(client, READINGS_TABLE, readings_message(0, a_reading(), a_reading(tenant_id="other", import_kwh=3.0)))
    store(client, WINDOWS_TABLE, windows_message(0, a_window(), a_window(tenant_id="other")))
    emissions = [emission_message(0, an_emission()), emission_message(1, an_emission(tenant_id="other"))]
    store(client, EMISSIONS_TABLE, *emissions)

    for view in ("v_readings", "v_energy", "v_energy_hour", "v_emissions", "v_site_day"):
        assert rows_of(client, "SELECT tenant_id FROM {view:Identifier} ORDER BY tenant_id", view=view) == [
            ("acme",),
            ("other",),
        ]


@pytest.mark.parametrize("merged", [False, True])
def test_the_highest_revision_of_a_window_is_shown_and_of_equal_ones_the_latest(client, merged):
    store(
        client,
        WINDOWS_TABLE,
        windows_message(0, a_window(revision=1, import_kwh=2.0)),
        windows_message(1, a_window(revision=0, import_kwh=1.0)),
        windows_message(2, a_window(revision=1, import_kwh=3.0)),
    )
    if merged:
        client.command("OPTIMIZE TABLE energy_windows FINAL")

    assert rows_of(client, "SELECT revision, import_kwh FROM v_energy") == [(1, 3.0)]
    assert rows_of(client, "SELECT windows, import_kwh FROM v_energy_hour") == [(1, 3.0)]


def test_the_highest_revision_of_an_emission_is_shown(client):
    store(
        client,
        EMISSIONS_TABLE,
        emission_message(0, an_emission(revision=1, emitted_kg=2.0)),
        emission_message(1, an_emission(revision=0, emitted_kg=1.0)),
    )

    assert rows_of(client, "SELECT revision, emitted_kg FROM v_emissions") == [(1, 2.0)]


def test_a_dead_letter_is_shown_once_per_stage_and_log(client):
    letters = [a_letter(0, dlq_offset=b"5"), a_letter(1, dlq_offset=b"5", dlq_stage=b"metering")]
    store(client, DEAD_LETTERS_TABLE, *letters)
    store(client, DEAD_LETTERS_TABLE, *letters, log_id="log-2")
    client.command("INSERT INTO dead_letters SELECT * FROM dead_letters")

    assert rows_of(client, "SELECT log_id, stage FROM v_dead_letters ORDER BY ALL") == [
        ("log-1", "ingest"),
        ("log-1", "metering"),
        ("log-2", "ingest"),
        ("log-2", "metering"),
    ]


def test_longer_intervals_are_sums_of_windows_and_show_how_well_they_are_known(client):
    minutes = [a_window(window_start=NIGHT + n * 60_000, import_kwh=0.5) for n in range(90)]
    minutes[20] |= {"quality": "estimated"}
    minutes[80] |= {"quality": "partial", "covered_s": 15.0}
    store(client, WINDOWS_TABLE, windows_message(0, *minutes))

    quarters = rows_of(
        client,
        "SELECT toMinute(window_start), import_kwh, windows, quality FROM v_energy_15min ORDER BY window_start",
    )
    hours = rows_of(
        client,
        "SELECT toHour(window_start), window_s, import_kwh, covered_s, windows, windows_estimated, "
        "windows_partial, quality FROM v_energy_hour ORDER BY window_start",
    )

    assert quarters == [
        (0, 7.5, 15, "measured"),
        (15, 7.5, 15, "estimated"),
        (30, 7.5, 15, "measured"),
        (45, 7.5, 15, "measured"),
        (0, 7.5, 15, "measured"),
        (15, 7.5, 15, "partial"),
    ]
    assert hours == [
        (0, 3600, 30.0, 3600.0, 60, 1, 0, "estimated"),
        (1, 3600, 15.0, 1755.0, 30, 0, 1, "partial"),
    ]
    assert rows_of(client, "SELECT toString(window_start), import_kwh, export_kwh FROM v_energy_day") == [
        ("2026-06-01 00:00:00", 45.0, None)
    ]


def test_a_site_day_says_how_many_windows_it_could_not_price(client):
    priced = an_emission(ts=NIGHT, import_kwh=1.0, emitted_kg=0.5, cost_cny=0.8)
    unpriced = an_emission(ts=NIGHT + 60_000, import_kwh=2.0, emitted_kg=None, cost_cny=None, quality="partial")
    next_day = an_emission(ts=NIGHT + 86_400_000, import_kwh=4.0, emitted_kg=2.0, cost_cny=None)
    store(client, EMISSIONS_TABLE, *(emission_message(n, e) for n, e in enumerate([priced, unpriced, next_day])))

    days = rows_of(
        client,
        "SELECT day_utc, import_kwh, emitted_kg, cost_cny, windows, windows_without_factor, "
        "windows_without_price, windows_not_measured FROM v_site_day ORDER BY day_utc",
    )

    assert days == [
        (date(2026, 6, 1), 3.0, 0.5, 0.8, 2, 1, 1, 1),
        (date(2026, 6, 2), 4.0, 2.0, None, 1, 0, 1, 0),
    ]


@pytest.mark.parametrize(
    ("view", "time"),
    [
        ("v_readings", "ts"),
        ("v_energy", "window_start"),
        ("v_energy_hour", "window_start"),
        ("v_emissions", "ts"),
    ],
)
def test_a_question_about_one_site_and_day_reads_that_site_and_day_only(client, view, time):
    spec, message, row = {
        "v_readings": (READINGS_TABLE, readings_message, a_reading),
        "v_emissions": (EMISSIONS_TABLE, emission_message, an_emission),
    }.get(view, (WINDOWS_TABLE, windows_message, a_window))
    column = "window_start" if spec is WINDOWS_TABLE else "ts"
    rows = [row(site_id=f"s{n}", **{column: ms(2026, month, 1)}) for n in range(3) for month in (4, 5)]
    if spec is EMISSIONS_TABLE:
        store(client, spec, *(message(n, one) for n, one in enumerate(rows)))
    else:
        store(client, spec, message(0, *rows))

    plan = "\n".join(
        str(line)
        for (line,) in rows_of(
            client,
            "EXPLAIN indexes = 1 SELECT count() FROM {view:Identifier} "
            "WHERE tenant_id = 'acme' AND site_id = 's1' "
            "AND {time:Identifier} >= '2026-05-01' AND {time:Identifier} < '2026-05-02'",
            view=view,
            time=time,
        )
    )

    keys = plan[plan.index("PrimaryKey") :]
    assert all(name in keys for name in ("tenant_id", "site_id", time))


def test_an_hour_of_which_the_grid_is_not_known_has_no_match_and_one_without_generation_no_self_use(client):
    kinds = [("mill", "grid", 3.0), ("mill", "generation", 5.0), ("dark", "generation", 5.0), ("plain", "grid", 3.0)]
    windows = [
        a_window(site_id=site, meter_id=kind, meter_kind=kind, import_kwh=kwh, export_kwh=None)
        for site, kind, kwh in kinds
    ]
    store(client, WINDOWS_TABLE, windows_message(0, *windows))

    shown = rows_of(client, "SELECT site_id, load_kwh, matched_kwh, self_use_kwh FROM v_carbon_free_hour ORDER BY 1")

    assert shown == [("dark", None, None, 5.0), ("mill", 8.0, 5.0, 5.0), ("plain", 3.0, 0.0, None)]
