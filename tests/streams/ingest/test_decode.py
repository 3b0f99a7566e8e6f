"""What the field may send, what it may not, and why: one message at a time, and many together (Hypothesis)."""

import gzip
import io
import json
import random
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pytest
from builders import NOON
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.reading import FIELD
from streams.ingest.decode import Decoded, decode, original_row
from streams.ingest.poll import ARROW_TYPE, Poll, RawMessage

READING = {"site_id": "mill", "meter_id": "main", "ts": NOON, "import_kwh": 12.5}
LINE = json.dumps(READING).encode()
ROW = ("mill", "main", NOON, 12.5, None, None, None, None, None)


def a_message(value: bytes, content_type: str = "", offset: int = 0) -> RawMessage:
    return RawMessage(0, offset, NOON, b"mill", value, content_type)


def decoded(*values: bytes, content_type: str = "") -> Decoded:
    return decode(Poll.of(a_message(value, content_type, offset) for offset, value in enumerate(values)))


def rows(found: Decoded) -> list[tuple[object, ...]]:
    return found.rows.select(*FIELD).rows()


def places(found: Decoded) -> list[tuple[int, int]]:
    return found.rows.select("message", "index").rows()


def reasons(found: Decoded) -> list[tuple[int, int, str]]:
    return sorted((one.message, one.index, one.reason.value) for one in found.refused)


def arrow(frame: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    frame.write_ipc_stream(body, compression="lz4")
    return body.getvalue()


def arrow_table(**columns: pa.Array) -> bytes:
    body = io.BytesIO()
    table = pa.table(columns)
    with pa.ipc.new_stream(body, table.schema) as writer:
        writer.write_table(table)
    return body.getvalue()


def with_field(name: str, text: str) -> bytes:
    fields = {key: json.dumps(value) for key, value in READING.items()} | {name: text}
    return ("{" + ", ".join(f'"{key}": {value}' for key, value in fields.items()) + "}").encode()


# Accepted


def test_a_json_object_is_one_reading():
    found = decoded(LINE)

    assert rows(found) == [ROW]
    assert dict(found.rows.schema) == FIELD | {"message": pl.Int64(), "index": pl.Int64()}


def test_ndjson_is_a_reading_a_line():
    found = decoded(LINE, LINE + b"\n" + LINE, LINE + b"\n")

    assert rows(found) == [ROW] * 4
    assert places(found) == [(0, 0), (1, 0), (1, 1), (2, 0)]


@pytest.mark.parametrize(
    "value",
    [
        LINE + b"\r\n" + LINE + b"\r\n",
        b"  " + LINE + b"  \n\t" + LINE,
        b"\n\n" + LINE + b"\n\n\r\n" + LINE + b"\n",
    ],
    ids=["CRLF", "indented", "blank lines"],
)
def test_white_space_between_readings_is_no_reading(value: bytes):
    found = decoded(value)

    assert rows(found) == [ROW, ROW]
    assert reasons(found) == []


@pytest.mark.parametrize("indent", [0, 2])
def test_an_object_written_over_several_lines_is_one_reading(indent: int):
    found = decoded(json.dumps(READING, indent=indent).encode(), LINE)

    assert rows(found) == [ROW, ROW]
    assert places(found) == [(0, 0), (1, 0)]


def test_a_key_that_is_there_twice_counts_the_first_time_on_one_line_and_on_several():
    line = b'{"meter_id": "a", "meter_id": "b", "ts": 1, "import_kwh": 1}'

    found = decoded(line, line.replace(b", ", b",\n"))

    assert found.rows["meter_id"].to_list() == ["a", "a"]


def test_fields_nobody_asked_for_are_left_out():
    assert rows(decoded(with_field("vendor", '{"firmware": [1, 2]}'))) == [ROW]


def test_a_whole_number_will_do_for_a_measure():
    assert rows(decoded(with_field("import_kwh", "12"))) == [(*ROW[:3], 12.0, None, None, None, None, None)]


def test_what_is_missing_is_null():
    assert rows(decoded(b"{}", with_field("ts", "null"))) == [(None,) * 9, (*ROW[:2], None, *ROW[3:])]


def test_arrow_in_the_types_of_the_contract_is_taken():
    frame = pl.DataFrame([READING, READING | {"import_kwh": None, "power_kw": 3.5}], schema=FIELD)

    found = decoded(arrow(frame), content_type=ARROW_TYPE)

    assert rows(found) == [ROW, ("mill", "main", NOON, None, None, 3.5, None, None, None)]
    assert places(found) == [(0, 0), (0, 1)]


def test_arrow_is_known_by_its_first_bytes_too():
    assert rows(decoded(arrow(pl.DataFrame([READING])))) == [ROW]


@pytest.mark.parametrize(
    "ts",
    [
        pa.array([NOON], pa.timestamp("ms", "UTC")),
        pa.array([NOON * 1000 + 999], pa.timestamp("us", "Asia/Shanghai")),
        pa.array([NOON * 1_000_000], pa.timestamp("ns")),
        pa.array([NOON // 1000], pa.timestamp("s", "UTC")),
        pa.array([NOON], pa.uint64()),
    ],
    ids=str,
)
def test_arrow_time_may_be_a_timestamp_or_milliseconds(ts: pa.Array):
    value = arrow_table(site_id=pa.array(["mill"]), meter_id=pa.array(["main"]), ts=ts, import_kwh=pa.array([12.5]))

    assert rows(decoded(value)) == [ROW]


@pytest.mark.parametrize(
    "names",
    [
        pa.array(["mill"]).dictionary_encode(),
        pa.array(["mill"], pa.large_string()),
        pa.array(["mill"], pa.string_view()),
    ],
    ids=["dictionary", "large_string", "string_view"],
)
def test_arrow_texts_may_be_laid_out_in_any_way(names: pa.Array):
    value = arrow_table(site_id=names, meter_id=pa.array(["main"]), ts=pa.array([NOON]), import_kwh=pa.array([12.5]))

    assert rows(decoded(value)) == [ROW]


def test_arrow_categories_of_polars_are_texts():
    frame = pl.DataFrame([READING] * 3).with_columns(pl.col("site_id", "meter_id").cast(pl.Categorical))

    assert rows(decoded(arrow(frame))) == [ROW] * 3


@pytest.mark.parametrize("kind", [pa.int32(), pa.float32(), pa.decimal128(21, 2), pa.uint8()], ids=str)
def test_arrow_measures_may_be_any_numbers(kind: pa.DataType):
    value = arrow_table(
        site_id=pa.array(["mill"]),
        meter_id=pa.array(["main"]),
        ts=pa.array([NOON]),
        power_kw=pa.array([3]).cast(kind),
        export_kwh=pa.nulls(1),
    )

    assert rows(decoded(value)) == [("mill", "main", NOON, None, None, 3.0, None, None, None)]


def test_arrow_without_rows_is_nothing():
    found = decoded(arrow(pl.DataFrame(schema=FIELD)))

    assert (rows(found), reasons(found)) == ([], [])


def test_messages_of_all_encodings_keep_their_order():
    found = decoded(LINE, arrow(pl.DataFrame([READING, READING])), LINE + b"\n" + LINE, b"garbage", LINE)

    assert places(found) == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (4, 0)]
    assert reasons(found) == [(3, 0, "undecodable")]


# Refused

UNDECODABLE = {
    "empty": b"",
    "blank": b" \n\r\n ",
    "cut off": LINE[:-1],
    "plain text": b"hello",
    "text": b'"hello"',
    "number": b"12",
    "null": b"null",
    "array": b"[" + LINE + b"]",
    "array over lines": b"[\n" + LINE + b"\n]",
    "two objects on a line": LINE + LINE,
    "rest behind the object": LINE + b" ,",
    "trailing comma": LINE[:-1] + b",}",
    "single quotes": LINE.replace(b'"', b"'"),
    "bad UTF-8": LINE.replace(b"mill", b"\xff\xfe"),
    "byte order mark": b"\xef\xbb\xbf" + LINE,
    "UTF-16": LINE.decode().encode("utf-16"),
    "gzip": gzip.compress(LINE),
    "zlib": zlib.compress(LINE),
    "zero byte": LINE + b"\0",
    "nested without end": b"[" * 100_000,
    "leading zero": with_field("ts", "01"),
    "control character": LINE.replace(b"mill", b"mi\x01l"),
    "Arrow cut off": arrow(pl.DataFrame([READING]))[:-60],
    "Arrow garbage": b"\xff\xff\xff\xff" + b"\x01" * 50,
}

WRONG_TYPE = {
    "time as text": with_field("ts", '"2026-07-15"'),
    "time with a fraction": with_field("ts", "1.5"),
    "time too large": with_field("ts", "9223372036854775808"),
    "time as truth": with_field("ts", "true"),
    "measure as text": with_field("import_kwh", '"12.5"'),
    "measure as truth": with_field("import_kwh", "true"),
    "measure as list": with_field("import_kwh", "[1]"),
    "measure as object": with_field("import_kwh", '{"value": 1}'),
    "endless whole number": with_field("import_kwh", "1" + "0" * 400),
    "over several lines": with_field("ts", '"noon"').replace(b", ", b",\n"),
    "Arrow text as measure": arrow(pl.DataFrame([READING | {"import_kwh": "12.5"}])),
    "Arrow truth as measure": arrow(pl.DataFrame([READING | {"import_kwh": True}])),
    "Arrow number as name": arrow(pl.DataFrame([READING | {"meter_id": 7}])),
    "Arrow number with dictionary as name": arrow_table(
        meter_id=pa.array([7]).dictionary_encode(), ts=pa.array([NOON]), import_kwh=pa.array([1.0])
    ),
    "Arrow float as time": arrow(pl.DataFrame([READING | {"ts": 1.0}])),
    "Arrow time too large": arrow(pl.DataFrame([READING | {"ts": 2**63}], schema_overrides={"ts": pl.UInt64})),
    "Arrow date as time": arrow(pl.DataFrame([READING | {"ts": datetime(2026, 7, 15, tzinfo=UTC).date()}])),
    "Arrow list as measure": arrow(pl.DataFrame([READING | {"import_kwh": [1.0]}])),
}

NOT_FINITE = {
    "NaN": with_field("import_kwh", "NaN"),
    "Infinity": with_field("power_kw", "-Infinity"),
    "too large": with_field("export_kwh", "1e999"),
}

REFUSED = [
    *((name, value, "undecodable") for name, value in UNDECODABLE.items()),
    *((name, value, "wrong_type") for name, value in WRONG_TYPE.items()),
    *((name, value, "not_finite") for name, value in NOT_FINITE.items()),
]


@pytest.mark.parametrize(("value", "reason"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_a_bad_message_is_refused_with_its_bytes_and_the_others_pass(value: bytes, reason: str):
    found = decoded(LINE, value, LINE)

    assert rows(found) == [ROW, ROW]
    assert places(found) == [(0, 0), (2, 0)]
    assert reasons(found) == [(1, 0, reason)]
    assert found.refused[0].value == value


def test_a_bad_line_is_refused_with_its_bytes_and_the_others_pass():
    bad = with_field("ts", '"noon"') + b" \r"

    found = decoded(b"\n".join([b"", LINE, bad, b"", b"{", LINE]))

    assert rows(found) == [ROW, ROW]
    assert places(found) == [(0, 1), (0, 5)]
    assert reasons(found) == [(0, 2, "wrong_type"), (0, 4, "undecodable")]
    assert [one.value for one in found.refused] == [bad, b"{"]


def test_a_text_nested_too_deep_for_anyone_is_refused_and_harms_nobody():
    found = decoded(b"{\n" + b'"x": {' * 100_000, LINE)

    assert rows(found) == [ROW]
    assert {reason for _, _, reason in reasons(found)} == {"undecodable"}


def test_a_packed_text_cannot_pass_for_the_readings_of_others():
    packed = zlib.compress(b"\n".join([with_field("import_kwh", "666")] * 2))
    assert packed.count(b"\n") == 0  # two rows from two messages: nobody would notice

    assert rows(decoded(packed, LINE)) == [ROW]


@pytest.mark.parametrize("seed", range(4))
def test_damaged_arrow_is_refused_and_never_worse(seed: int):
    chance = random.Random(seed)
    whole = arrow(pl.DataFrame([READING] * 5))
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)

        found = decode(Poll.of([a_message(bytes(damaged), ARROW_TYPE), a_message(LINE)]))

        assert ROW in rows(found)
        assert {one.value for one in found.refused} <= {bytes(damaged)}


def test_a_flood_of_garbage_takes_no_call_of_the_reader_each():
    found = decoded(*[b"{garbage %d" % number for number in range(3000)], LINE)

    assert rows(found) == [ROW]
    assert len(found.refused) == 3000


# Independence

GOOD = {
    "object": LINE,
    "other object": with_field("power_kw", "-3.25"),
    "no fields": b"{}",
    "two lines": LINE + b"\n" + with_field("ts", "5"),
    "a bad line": LINE + b"\n{\n" + LINE,
    "blank lines": b"\n" + LINE + b"\n\n" + LINE,
    "over lines": json.dumps(READING, indent=1).encode(),
    "arrow": arrow(pl.DataFrame([READING, READING | {"import_kwh": 1.0}])),
}
ALL = [*GOOD.values(), *(value for _, value, _ in REFUSED if len(value) < 1000)]


def outcome_of_each(values: Sequence[bytes]) -> list[tuple[object, ...]]:
    """What became of each message: its rows with their index, and its refusals."""
    found = decode(Poll.of(a_message(value) for value in values))
    by_message = found.rows.partition_by("message", as_dict=True)
    return [
        (
            by_message[(number,)].drop("message").rows() if (number,) in by_message else [],
            sorted((one.index, one.reason.value, one.value) for one in found.refused if one.message == number),
        )
        for number in range(len(values))
    ]


ALONE = {value: outcome_of_each([value])[0] for value in ALL}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(ALL), min_size=2, max_size=25))
def test_what_becomes_of_a_message_never_depends_on_its_neighbours(values: list[bytes]) -> None:
    assert outcome_of_each(values) == [ALONE[value] for value in values]


# Original bytes of what validation refuses


@pytest.mark.parametrize(
    ("value", "index", "expected"),
    [
        (LINE, 0, LINE),
        (b" " + LINE + b"\n", 0, b" " + LINE + b"\n"),
        (LINE + b"\r\n{}\r\n", 1, b"{}\r"),
        (b"\n" + LINE + b"\n{}", 2, b"{}"),
        (json.dumps(READING, indent=1).encode(), 0, json.dumps(READING, indent=1).encode()),
    ],
    ids=["object", "object with white space", "line", "line behind a blank one", "object over lines"],
)
def test_the_original_of_a_reading_is_its_bytes(value: bytes, index: int, expected: bytes):
    assert (0, index) in places(decoded(value))
    assert original_row(a_message(value), index) == (expected, "application/json")


def test_the_original_of_an_arrow_reading_is_its_row_with_all_columns():
    frame = pl.DataFrame([READING | {"vendor": "a"}, READING | {"vendor": "b", "ts": 5}])

    value, content_type = original_row(a_message(arrow(frame)), 1)

    assert content_type == ARROW_TYPE
    assert pl.read_ipc_stream(io.BytesIO(value)).equals(frame.tail(1))
