import io
import json
import struct

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sinks.clickhouse.errors import Undecodable
from sinks.clickhouse.letters import letter_rows
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import emission_rows, telemetry_rows, window_rows
from tests.sinks.clickhouse.builders import (
    NOON_MS,
    a_letter,
    a_reading,
    a_window,
    an_emission,
    emission_message,
    readings_message,
    tick,
    windows_message,
)

TELEMETRY = Source("telemetry.v1", 3)
ENERGY = Source("energy.v1", 3)
EMISSIONS = Source("emissions.v1", 3)
LETTERS = Source("dead-letters.v1", 3)


def test_readings_carry_the_place_of_their_batch_and_of_their_raw_message():
    records = [
        readings_message(7, a_reading(raw_partition=2, raw_offset=40)),
        tick(8),
        readings_message(9, a_reading(raw_partition=2, raw_offset=41), a_reading(raw_partition=4, raw_offset=9)),
    ]

    rows = telemetry_rows(TELEMETRY, records)

    assert rows.select("topic_offset", "origin_source", "origin_offset", "origin_index").rows() == [
        (7, 2, 40, 0),
        (9, 2, 41, 0),
        (9, 4, 9, 0),
    ]


def test_windows_take_their_origin_from_the_header_and_live_rows_are_left_out():
    live = Record(5, NOON_MS, None, b"not looked at", {"kind": b"live", "origin": b"1:2:0"})

    rows = window_rows(ENERGY, [live, windows_message(6, a_window(), origin="1:2:1")])

    assert rows.select("topic_offset", "origin_source", "origin_offset", "origin_index").rows() == [(6, 1, 2, 1)]


def test_only_ticks_give_no_rows():
    assert telemetry_rows(TELEMETRY, [tick(1), tick(2)]).is_empty()
    assert window_rows(ENERGY, [tick(1)]).is_empty()
    assert emission_rows(EMISSIONS, []).is_empty()
    assert letter_rows(LETTERS, []).is_empty()


def test_a_batch_of_a_later_release_with_more_columns_is_read():
    buffer = io.BytesIO()
    pl.DataFrame([a_reading() | {"voltage_v": 230.0}]).with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC"))).drop(
        "export_kwh"
    ).write_ipc_stream(buffer)
    record = Record(1, NOON_MS, None, buffer.getvalue(), {"kind": b"readings"})

    rows = telemetry_rows(TELEMETRY, [record])

    assert rows["export_kwh"].to_list() == [None]
    assert "voltage_v" not in rows.columns


@pytest.mark.parametrize(
    ("decode", "source", "record", "why"),
    [
        (telemetry_rows, TELEMETRY, Record(5, 0, None, b"rubbish", {"kind": b"readings"}), "Arrow batch"),
        (telemetry_rows, TELEMETRY, readings_message(5, a_reading(raw_offset=None)), "raw_offset must not"),
        (window_rows, ENERGY, windows_message(5, a_window(), origin="here"), "<partition>:<offset>:<index>"),
        (emission_rows, EMISSIONS, emission_message(5, an_emission(ts=None)), "ts must not be missing"),
        (emission_rows, EMISSIONS, emission_message(5, an_emission(emitted_kg="much")), "JSON object"),
        (emission_rows, EMISSIONS, Record(5, 0, None, b"{\n}", {"origin": b"0:1:0"}), "one line"),
        (emission_rows, EMISSIONS, Record(5, 0, None, b"", {"origin": b"0:1:0"}), "one line"),
        (letter_rows, LETTERS, a_letter(5, dlq_offset=b"first"), "not a number"),
        (letter_rows, LETTERS, a_letter(5, dlq_reason=b"\xff"), "not UTF-8"),
        (letter_rows, LETTERS, Record(5, 0, None, b"", {}), "dlq_reason is missing"),
    ],
)
def test_what_cannot_be_decoded_is_named_with_its_place(decode, source, record, why):
    good = {
        telemetry_rows: readings_message(4, a_reading()),
        window_rows: windows_message(4, a_window()),
        emission_rows: emission_message(4, an_emission()),
        letter_rows: a_letter(4),
    }[decode]

    with pytest.raises(Undecodable, match=why) as raised:
        decode(source, [good, record])

    assert f"{source} offset 5" in str(raised.value)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
@example([0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308])
def test_numbers_in_json_are_read_bit_for_bit(values):
    records = [emission_message(n, an_emission(import_kwh=value)) for n, value in enumerate(values)]

    read = emission_rows(EMISSIONS, records)["import_kwh"].to_list()

    assert [struct.pack("<d", value) for value in read] == [struct.pack("<d", value) for value in values]


def test_an_emission_without_an_optional_field_has_null_there():
    emission = {name: value for name, value in an_emission().items() if name != "tariff_id"}

    rows = emission_rows(EMISSIONS, [Record(1, 0, None, json.dumps(emission).encode(), {"origin": b"0:1:0"})])

    assert rows["tariff_id"].to_list() == [None]


def test_two_stages_that_reject_parts_of_one_message_are_two_sources():
    rows = letter_rows(LETTERS, [a_letter(1), a_letter(2, dlq_stage=b"metering", dlq_offset=b"1")])

    assert rows["origin_source"].to_list() == ["ingest/meter.readings.v1/0", "metering/meter.readings.v1/0"]
