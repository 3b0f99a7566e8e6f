"""Messages on the wire."""

import json

import polars as pl
import pytest
from builders import NOON, a_reading, a_site, readings, windows

from schemas.flow import HEADER_ORIGIN, Kind, Output, SiteRecord
from schemas.topics import EMISSIONS, ENERGY
from streams.frame.codec import (
    BATCH_ROWS,
    Envelope,
    Origin,
    batch_value,
    control_headers,
    decode,
    envelopes,
    parse_place,
    record_value,
)

ORIGIN = Origin("energy.v1", 3, 1207)


def sent(output: Output, first_index: int = 0) -> list[Envelope]:
    return list(envelopes(output, ORIGIN, first_index, NOON, "wattloop/test"))


def some_records(*sites: str) -> Output:
    rows = [
        {"id": f"emissions/{site}/1/0", "site_id": site, "ts": NOON + place, "cost_cny": 0.1 + 0.2, "emitted_kg": None}
        for place, site in enumerate(sites)
    ]
    return Output(EMISSIONS, rows=pl.DataFrame(rows, schema_overrides={"emitted_kg": pl.Float64}))


def test_a_batch_comes_back_as_it_was_sent():
    rows = readings({"s": 1, "import_kwh": 0.1}, {"s": 2.5, "power_kw": -1e300, "meter_id": "名前"})
    (one,) = sent(Output(ENERGY, Kind.READINGS, rows))

    message = decode(one.value, dict(one.headers))

    assert (message.kind, message.arrived_at) == (Kind.READINGS, NOON)
    assert message.rows is not None
    assert message.rows.equals(rows)
    assert (one.topic, one.key, one.timestamp_ms) == ("energy.v1", None, NOON)


def test_a_large_batch_is_cut_and_its_parts_are_numbered():
    rows = pl.DataFrame([a_reading()], schema_overrides={"raw_offset": pl.Int64})
    rows = pl.concat([rows] * (2 * BATCH_ROWS + 1))

    parts = sent(Output(ENERGY, Kind.WINDOWS, rows), first_index=4)

    assert [dict(part.headers)[HEADER_ORIGIN] for part in parts] == [b"3:1207:4", b"3:1207:5", b"3:1207:6"]
    assert [decode(part.value, dict(part.headers)).rows.height for part in parts] == [BATCH_ROWS, BATCH_ROWS, 1]


def test_no_rows_are_no_message():
    assert sent(Output(ENERGY, Kind.WINDOWS, windows().clear())) == []
    assert sent(Output(EMISSIONS, rows=pl.DataFrame())) == []
    assert sent(Output(EMISSIONS)) == []


def test_a_tick_has_no_value():
    (one,) = sent(Output(ENERGY, Kind.TICK))

    assert one.value == b""
    assert decode(one.value, dict(one.headers)).kind is Kind.TICK


def test_a_site_record_comes_back_as_it_was_sent():
    record = SiteRecord(a_site(name_zh="纸厂"), 1_790_000_000_000_007)
    (one,) = sent(Output(ENERGY, Kind.SITE, record=record))

    assert decode(one.value, dict(one.headers)).record == record


def test_records_for_people_are_flat_json_one_a_message_keyed_by_site():
    first, second = sent(some_records("mill", "weaver"), first_index=2)

    assert json.loads(first.value) == {
        "id": "emissions/mill/1/0",
        "site_id": "mill",
        "ts": NOON,
        "cost_cny": 0.1 + 0.2,
        "emitted_kg": None,
    }
    assert (second.key, second.timestamp_ms) == (b"weaver", NOON + 1)
    headers = dict(second.headers)
    assert (headers["ce_id"], headers["ce_type"]) == (b"emissions/weaver/1/0", b"emissions.v1")
    assert headers[HEADER_ORIGIN] == b"3:1207:3"


def test_every_output_of_a_message_shares_a_trace_that_a_replay_repeats():
    traces = [dict(one.headers)["traceparent"] for one in sent(some_records("mill", "weaver"))]

    assert traces[0] == traces[1] == Origin("energy.v1", 3, 1207).trace_parent()
    assert Origin("energy.v1", 3, 1208).trace_parent() != traces[0]
    version, trace, parent, flags = traces[0].decode().split("-")
    assert (version, len(trace), len(parent), flags) == ("00", 32, 16, "01")


def test_a_batch_without_a_kind_is_a_bug():
    with pytest.raises(ValueError, match="needs a kind"):
        sent(Output(ENERGY, rows=windows()))


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"", {}),
        (b"", {"kind": b"tick"}),
        (b"", {"kind": b"party", "arrived_at": b"1"}),
        (b"", {"kind": b"tick", "arrived_at": b"soon"}),
        (b"", {"kind": b"readings", "arrived_at": b"1"}),
        (b"ARROW", {"kind": b"windows", "arrived_at": b"1"}),
        (b"{}", {"kind": b"site", "arrived_at": b"1"}),
        (b'{"revision": 1, "site": {}}', {"kind": b"site", "arrived_at": b"1"}),
    ],
)
def test_what_is_no_message_of_ours_is_a_bug(value: bytes, headers: dict[str, bytes]):
    with pytest.raises(ValueError, match="not a message of an internal topic"):
        decode(value, headers)


def test_places_are_read_as_they_are_written():
    assert parse_place(ORIGIN.place(2)) == (3, (1207, 2))


def test_control_headers_say_kind_and_arrival():
    assert dict(control_headers(Kind.SITE, 5)) == {"kind": b"site", "arrived_at": b"5"}


def test_values_of_equal_rows_and_records_are_equal_bytes():
    assert batch_value(readings({"s": 1})) == batch_value(readings({"s": 1}))
    assert record_value(SiteRecord(a_site(), 1)) == record_value(SiteRecord(a_site(), 1))
