import io
from dataclasses import replace

import polars as pl
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from sinks.clickhouse.errors import Fenced, LogMismatch, OffsetGap, Undecodable
from sinks.clickhouse.letters import DEAD_LETTERS_TABLE
from sinks.clickhouse.records import Record
from sinks.clickhouse.rows import EMISSIONS_TABLE, READINGS_TABLE, WINDOWS_TABLE
from sinks.clickhouse.writer import EMPTY_CUT_OFFSETS, BlockResult, Resume, TableWriter
from tests.sinks.clickhouse.builders import (
    CutShort,
    PowerCutError,
    a_letter,
    a_reading,
    a_window,
    an_emission,
    emission_message,
    kill_between_token_and_block,
    ms,
    readings_message,
    rows_of,
    tick,
    windows_message,
)


def some_readings(offsets, **given):
    return [
        readings_message(offset, a_reading(raw_offset=offset, ts=ms(2026, 6, 1) + offset * 1000, **given))
        for offset in offsets
    ]


def a_writer(client, spec=READINGS_TABLE, log_id="log-1", partition=0, **given):
    writer = TableWriter(client, spec, log_id)
    writer.open(partition, **given)
    return writer


def stored_offsets(client, table="readings"):
    return [
        offset
        for (offset,) in rows_of(
            client, "SELECT topic_offset FROM {table:Identifier} ORDER BY topic_offset", table=table
        )
    ]


def recorded_cuts(client):
    return rows_of(client, "SELECT first_offset, last_offset FROM sink_blocks ORDER BY first_offset")


def test_rows_are_stored_with_the_place_they_came_from(client):
    writer = a_writer(client, partition=3, log_start=5)
    reading = a_reading(import_kwh=0.1 + 0.2, raw_partition=2, raw_offset=40)

    writer.add(3, [tick(5), readings_message(6, reading), tick(7)])
    result = writer.flush(3)

    assert result == BlockResult(rows=1, duplicates=0, first_offset=5, last_offset=7)
    assert rows_of(
        client,
        "SELECT tenant_id, site_id, meter_id, toUnixTimestamp64Milli(ts), import_kwh, export_kwh, power_kw, "
        "raw_partition, raw_offset, log_id, topic_partition, topic_offset FROM readings",
    ) == [("acme", "zj-paper", "main", reading["ts"], 0.1 + 0.2, None, None, 2, 40, "log-1", 3, 6)]


def test_every_table_of_the_sink_takes_what_its_topic_carries(client):
    windows, emissions = a_writer(client, WINDOWS_TABLE), a_writer(client, EMISSIONS_TABLE)
    windows.add(0, [windows_message(0, a_window(), a_window(meter_id="press", import_kwh=None))])
    emissions.add(0, [emission_message(0, an_emission())])

    assert windows.flush(0).rows == 2
    assert emissions.flush(0).rows == 1
    assert rows_of(client, "SELECT meter_id, import_kwh FROM energy_windows ORDER BY meter_id") == [
        ("main", 2.5),
        ("press", None),
    ]
    assert rows_of(client, "SELECT emitted_kg, period, cost_cny FROM emissions") == [(1.25, None, 2.0)]


def test_a_column_of_nulls_only_is_null_or_refused_and_never_zero(client):
    windows = a_writer(client, WINDOWS_TABLE)
    windows.add(0, [windows_message(0, a_window(import_kwh=None, export_kwh=None))])
    windows.flush(0)
    assert rows_of(client, "SELECT import_kwh, export_kwh FROM energy_windows") == [(None, None)]

    required = replace(READINGS_TABLE, decode=without_meter)
    readings = a_writer(client, required)
    readings.add(0, some_readings([0]))
    with pytest.raises(ClickHouseError, match="NULL"):
        readings.flush(0)


def without_meter(source, records):
    return READINGS_TABLE.decode(source, records).with_columns(meter_id=pl.lit(None, pl.String))


def test_bytes_of_dead_letters_come_back_unchanged(client):
    every_byte = bytes(range(256))
    writer = a_writer(client, DEAD_LETTERS_TABLE)
    extra = {"traceparent": b"\xfe\x00", "ce_id": b"17"}
    writer.add(0, [a_letter(0, key=every_byte, value=every_byte, **extra), a_letter(1, key=None, value=b"")])

    writer.flush(0)

    found = client.query(
        "SELECT key, value, headers FROM dead_letters ORDER BY topic_offset",
        column_formats={"key": "bytes", "value": "bytes", "headers": "bytes"},
    ).result_rows
    assert [tuple(row) for row in found] == [
        (every_byte, every_byte, {name.encode(): value for name, value in extra.items()}),
        (None, b"", {}),
    ]
    assert rows_of(client, "SELECT reason, stage, source_topic, source_offset FROM dead_letters LIMIT 1") == [
        ("undecodable", "ingest", "meter.readings.v1", 0)
    ]


def test_messages_with_a_known_origin_are_stored_once(client):
    windows = a_writer(client, WINDOWS_TABLE)
    windows.add(0, [windows_message(0, a_window(), origin="2:7:0"), windows_message(1, a_window(), origin="2:7:0")])
    first = windows.flush(0)
    windows.add(0, [windows_message(2, a_window(), origin="2:7:0"), windows_message(3, a_window(), origin="2:7:1")])
    second = windows.flush(0)

    assert (first.rows, first.duplicates) == (1, 1)
    assert (second.rows, second.duplicates) == (1, 1)
    assert stored_offsets(client, "energy_windows") == [0, 3]


def test_what_was_applied_is_remembered_across_a_restart(client):
    first = a_writer(client)
    first.add(0, some_readings([0, 1]))
    first.flush(0)
    again = TableWriter(client, READINGS_TABLE, "log-1")
    resume = again.open(0)
    twice_sent = [readings_message(2, a_reading(raw_offset=1)), readings_message(3, a_reading(raw_offset=2))]

    again.add(0, [*some_readings([0, 1]), *twice_sent])
    replayed, following = again.flush(0), again.flush(0)

    assert resume == Resume(next_offset=0, must_end_at=1)
    assert replayed == BlockResult(rows=2, duplicates=0, first_offset=0, last_offset=1)
    assert following == BlockResult(rows=1, duplicates=1, first_offset=2, last_offset=3)
    assert stored_offsets(client) == [0, 1, 3]


def test_a_recorded_block_is_stored_with_its_own_end_whatever_is_given(client):
    broken = TableWriter(CutShort(client, 2, stored=False), READINGS_TABLE, "log-1")
    broken.open(0)
    broken.add(0, some_readings([0, 1, 2]))
    with pytest.raises(PowerCutError):
        broken.flush(0)

    writer = TableWriter(client, READINGS_TABLE, "log-1")
    writer.open(0)
    writer.add(0, some_readings([0, 1]))
    before_its_end = writer.flush(0)
    writer.add(0, some_readings([2, 3, 4]))
    results = [writer.flush(0), writer.flush(0), writer.flush(0)]

    assert before_its_end is None
    assert [(result.first_offset, result.last_offset) for result in results[:2]] == [(0, 2), (3, 4)]
    assert results[2] is None
    assert recorded_cuts(client) == [(0, 2), (3, 4)]
    assert stored_offsets(client) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("insert_number", "stored"), [(1, False), (1, True), (2, False), (2, True)])
def test_a_flush_that_failed_sends_the_same_block_again_and_later_messages_wait(client, insert_number, stored):
    writer = TableWriter(CutShort(client, insert_number, stored=stored), READINGS_TABLE, "log-1")
    writer.open(0)
    writer.add(0, some_readings([0, 1]))
    with pytest.raises(PowerCutError):
        writer.flush(0)
    held = writer.bytes_pending(0)
    writer.add(0, some_readings([2]))

    assert writer.rows_pending(0) == 2
    assert writer.bytes_pending(0) > held
    assert (writer.flush(0).last_offset, writer.flush(0).last_offset) == (1, 2)
    assert recorded_cuts(client) == [(0, 1), (2, 2)]
    assert stored_offsets(client) == [0, 1, 2]


def test_a_block_that_spreads_over_thirteen_months_is_split_by_month(client):
    months = [(2025 + n // 12, n % 12 + 1) for n in range(5, 18)]
    readings = [a_reading(ts=ms(*month, 15), raw_offset=n) for n, month in enumerate(months)]
    writer = a_writer(client)
    writer.add(0, [readings_message(0, *readings)])

    writer.flush(0)

    parts = rows_of(
        client,
        "SELECT partition FROM system.parts "
        "WHERE database = currentDatabase() AND table = 'readings' AND active ORDER BY partition",
    )
    assert parts == [(f"{year}{month:02}",) for year, month in months]
    assert rows_of(client, "SELECT count() FROM readings") == [(13,)]


@pytest.mark.parametrize("insert_number", [2, 3, 4])
@pytest.mark.parametrize("stored", [False, True])
def test_a_crash_between_two_months_is_made_good_after_the_restart(client, insert_number, stored):
    def months():
        return [readings_message(0, *(a_reading(ts=ms(2026, month, 1), raw_offset=0) for month in (4, 5, 6)))]

    broken = TableWriter(CutShort(client, insert_number, stored=stored), READINGS_TABLE, "log-1")
    broken.open(0)
    broken.add(0, months())
    with pytest.raises(PowerCutError):
        broken.flush(0)

    writer = a_writer(client)
    writer.add(0, months())
    writer.flush(0)

    assert rows_of(client, "SELECT toMonth(ts) FROM readings ORDER BY ts") == [(4,), (5,), (6,)]


@pytest.mark.parametrize("insert_number", [2, 3, 4])
def test_a_block_is_stored_once_though_the_table_has_forgotten_its_tokens(client, insert_number):
    def months():
        return [readings_message(0, *(a_reading(ts=ms(2026, month, 1), raw_offset=0) for month in (4, 5, 6)))]

    client.command("ALTER TABLE readings MODIFY SETTING non_replicated_deduplication_window = 1")
    broken = TableWriter(CutShort(client, insert_number, stored=True), READINGS_TABLE, "log-1")
    broken.open(0)
    broken.add(0, months())
    with pytest.raises(PowerCutError):
        broken.flush(0)
    other = a_writer(client, partition=1)
    for offset in range(9):
        other.add(1, [readings_message(offset, a_reading(ts=ms(2026, 4 + offset % 3, 2), raw_offset=offset))])
        other.flush(1)

    writer = a_writer(client)
    writer.add(0, months())
    writer.flush(0)

    mine = "SELECT toMonth(ts) FROM readings WHERE topic_partition = 0 ORDER BY ts"
    assert rows_of(client, mine) == [(4,), (5,), (6,)]


@pytest.mark.parametrize(("table", "insert_number"), [("sink_blocks", 1), ("readings", 2)])
def test_a_kill_of_the_engine_itself_loses_no_block_and_stops_nobody(client, table, insert_number):
    broken = TableWriter(CutShort(client, insert_number, stored=True), READINGS_TABLE, "log-1")
    broken.open(0)
    broken.add(0, some_readings([0, 1]))
    with pytest.raises(PowerCutError):
        broken.flush(0)
    kill_between_token_and_block(client, table)

    writer = a_writer(client)
    writer.add(0, some_readings([0, 1, 2]))
    first = writer.flush(0)
    writer.flush(0)

    assert first.last_offset == (2 if table == "sink_blocks" else 1)  # nobody knows of a cut that was not recorded
    assert stored_offsets(client) == [0, 1, 2]
    again = a_writer(client)
    again.add(0, some_readings([0, 1, 2]))
    again.flush(0)
    assert stored_offsets(client) == [0, 1, 2]


def test_of_two_writers_that_meet_a_forgotten_cut_one_goes_on(client):
    broken = TableWriter(CutShort(client, 1, stored=True), READINGS_TABLE, "log-1")
    broken.open(0)
    broken.add(0, some_readings([0]))
    with pytest.raises(PowerCutError):
        broken.flush(0)
    kill_between_token_and_block(client, "sink_blocks")
    one, other = a_writer(client), a_writer(client)
    one.add(0, some_readings([0, 1]))
    other.add(0, some_readings([0, 1, 2]))

    assert one.flush(0).last_offset == 1
    with pytest.raises(Fenced):
        other.flush(0)

    assert recorded_cuts(client) == [(0, 1)]


def test_messages_that_were_handed_over_before_are_skipped(client):
    writer = a_writer(client)
    writer.add(0, some_readings([0, 1, 2]))
    writer.add(0, some_readings([1, 2, 3]))

    assert writer.flush(0) == BlockResult(rows=4, duplicates=0, first_offset=0, last_offset=3)


def test_a_gap_is_refused_and_says_where_to_seek(client):
    writer = a_writer(client)

    with pytest.raises(OffsetGap, match=r"telemetry.v1\[0\]: offset 1 is next, but 2") as raised:
        writer.add(0, some_readings([0, 2]))

    assert raised.value.expected_offset == 1
    assert writer.flush(0).last_offset == 0


def test_an_undecodable_message_takes_nothing_with_it(client):
    writer = a_writer(client)

    with pytest.raises(Undecodable, match=r"telemetry.v1\[0\] offset 1"):
        writer.add(0, [*some_readings([0]), Record(1, 0, None, b"rubbish", {"kind": b"readings"})])

    assert writer.flush(0) is None


def test_ticks_alone_are_recorded_only_when_they_are_many(client):
    writer = a_writer(client)
    writer.add(0, [tick(offset) for offset in range(EMPTY_CUT_OFFSETS - 1)])
    few = writer.flush(0)
    cuts_of_few = recorded_cuts(client)
    writer.add(0, [tick(EMPTY_CUT_OFFSETS - 1)])
    many = writer.flush(0)

    assert (few.rows, few.last_offset, cuts_of_few) == (0, EMPTY_CUT_OFFSETS - 2, [])
    assert many.last_offset == EMPTY_CUT_OFFSETS - 1
    assert recorded_cuts(client) == [(0, EMPTY_CUT_OFFSETS - 1)]


def test_another_log_id_starts_from_the_beginning(client):
    for log_id in ("log-1", "log-2"):
        writer = a_writer(client, log_id=log_id)
        writer.add(0, some_readings([0]))
        writer.flush(0)

    assert rows_of(client, "SELECT log_id, count() FROM readings GROUP BY log_id ORDER BY log_id") == [
        ("log-1", 1),
        ("log-2", 1),
    ]


def test_of_two_writers_of_a_partition_one_goes_on_and_the_other_is_fenced(client):
    asleep = a_writer(client)
    asleep.add(0, some_readings([0, 1]))
    awake = a_writer(client)
    awake.add(0, some_readings([0, 1, 2]))
    awake.flush(0)

    with pytest.raises(Fenced, match=r"0\.\.1 were to be stored, but another writer has recorded 0\.\.2"):
        asleep.flush(0)

    assert recorded_cuts(client) == [(0, 2)]
    assert stored_offsets(client) == [0, 1, 2]


def test_a_writer_that_wakes_up_after_many_blocks_of_another_is_fenced(client):
    asleep = a_writer(client)
    asleep.add(0, some_readings([0, 1]))
    awake = a_writer(client)
    for offset in range(12):
        awake.add(0, some_readings([offset]))
        awake.flush(0)

    with pytest.raises(Fenced):
        asleep.flush(0)

    assert stored_offsets(client) == list(range(12))


def test_two_first_writers_that_begin_at_different_offsets_cannot_both_go_on(client):
    early, late = a_writer(client, log_start=0), a_writer(client, log_start=2)
    early.add(0, some_readings([0, 1, 2]))
    late.add(0, some_readings([2, 3]))
    early.flush(0)

    with pytest.raises(Fenced):
        late.flush(0)

    assert recorded_cuts(client) == [(0, 2)]


def stored_up_to_two(client):
    writer = a_writer(client)
    writer.add(0, some_readings([0, 1, 2]))
    writer.flush(0)
    return TableWriter(client, READINGS_TABLE, "log-1")


def test_a_log_that_is_shorter_than_what_was_stored_is_refused(client):
    with pytest.raises(LogMismatch, match="needs another log id"):
        stored_up_to_two(client).open(0, log_end=2)


def test_messages_the_broker_deleted_before_they_were_stored_are_not_passed_over(client):
    writer = stored_up_to_two(client)

    with pytest.raises(LogMismatch, match="begins at offset 9"):
        writer.open(0, log_start=9)
    with pytest.raises(LogMismatch):
        writer.open(0, log_start=9, committed=3)
    assert writer.open(0, log_start=9, accept_gap=True) == Resume(9, None)


def test_a_stored_block_the_broker_no_longer_holds_is_not_asked_for_again(client):
    writer = stored_up_to_two(client)

    with pytest.raises(LogMismatch):
        writer.open(0, log_start=3)
    assert writer.open(0, log_start=3, committed=3) == Resume(3, None)
    writer.add(0, [readings_message(3, a_reading(raw_offset=2)), readings_message(4, a_reading(raw_offset=3))])
    assert writer.flush(0) == BlockResult(rows=1, duplicates=1, first_offset=3, last_offset=4)


def test_a_closed_partition_is_read_again(client):
    writer = a_writer(client)
    writer.add(0, some_readings([0]))
    writer.close(0)

    assert writer.open(0) == Resume(0, None)
    assert writer.rows_pending(0) == 0


def test_reactive_energy_is_stored_and_null_where_a_batch_of_an_older_release_has_none(client):
    old = pl.read_ipc_stream(readings_message(0, a_reading(raw_offset=0, import_kwh=1.0)).value).drop("import_kvarh")
    body = io.BytesIO()
    old.write_ipc_stream(body)
    writer = a_writer(client)
    writer.add(0, [Record(0, ms(2026, 6, 1), None, body.getvalue(), {"kind": b"readings"})])
    writer.add(0, [readings_message(1, a_reading(raw_offset=1, ts=ms(2026, 6, 1), import_kwh=2.0, import_kvarh=7.5))])
    writer.flush(0)
    windows = a_writer(client, WINDOWS_TABLE)
    windows.add(0, [windows_message(0, a_window(import_kvarh=0.25))])
    windows.flush(0)

    registers = rows_of(client, "SELECT import_kwh, import_kvarh FROM v_readings ORDER BY import_kwh")
    assert registers == [(1.0, None), (2.0, 7.5)]
    assert rows_of(client, "SELECT import_kvarh FROM v_energy") == [(0.25,)]
