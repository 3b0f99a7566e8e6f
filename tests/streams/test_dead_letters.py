"""Letters, notes and filters, without a broker."""

import io
import json
from dataclasses import dataclass, field

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rejection import Reason
from streams.dead_letters.letter import Filters, Foreign, Letter, Note, Place, headers_again, read, sites_in
from streams.dead_letters.replay import target_partition
from streams.dead_letters.text import excerpt, harmless, page, readable, row
from streams.dead_letters.topic import Journal
from streams.frame.codec import Origin
from streams.frame.letters import headers_of
from streams.ingest.decode import ARROW_TYPE, JSON_TYPE

ARRIVED = 1_784_011_500_600


@dataclass(frozen=True)
class Message:
    """A message as the broker gives it."""

    value: bytes | None
    headers: list[tuple[str, bytes]]
    key: bytes | None = b"mill"
    topic: str = "dead-letters.v1"
    partition: int = 3
    offset: int = 17
    timestamp: int = ARRIVED
    timestamp_type: int = 0
    extra: list[str] = field(default_factory=list)


def a_letter(
    value: bytes = b'{"site_id":"mill"}',
    *,
    key: bytes | None = b"mill",
    reason: Reason = Reason.UNKNOWN_METER,
    stage: str = "ingest",
    arrived_at: int = ARRIVED,
    content_type: str = JSON_TYPE,
    headers: tuple[tuple[str, bytes], ...] = (),
) -> Letter:
    origin = Origin("meter.readings.v1", 5, 1201)
    ours = headers_of(reason, stage, origin, index=2, arrived_at=arrived_at, content_type=content_type)
    found = read(Message(value, [*ours, *headers], key))
    assert isinstance(found, Letter)
    return found


def a_note(state: str, *offsets: int, run: str = "a", partition: int = 3) -> Note:
    ends = {1: 20} if state == "begun" else {}
    return Note(Place(partition, 100), state, run, ARRIVED, offsets, "weather.v1", ends)


def test_a_letter_tells_where_it_was_read_and_what_was_expected():
    letter = a_letter()

    assert (letter.place, letter.source_partition, letter.source_offset, letter.source_index) == ((3, 17), 5, 1201, 2)
    assert letter.detail == "expected a meter of this site in the registry"
    assert letter.arrived_at == ARRIVED


def test_the_headers_of_the_sender_are_kept_apart_from_ours_and_go_back_with_the_letter():
    letter = a_letter(headers=(("gateway", b"g-1"), ("dlq_replayed_from", b"1:2")))

    assert headers_again(letter) == [
        ("gateway", b"g-1"),
        ("content-type", b"application/json"),
        ("dlq_replayed_from", b"3:17"),
    ]


def test_a_note_survives_the_wire():
    note = a_note("begun", 4, 9)

    assert read(Message(note.value, note.headers, key=None, offset=100)) == note


def test_a_letter_whose_sender_used_the_header_of_a_note_is_still_a_letter():
    assert a_letter(headers=(("dlq_replay", b"begun"),)).reason == "unknown_meter"


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message(b"x", []), "header dlq_reason is missing"),
        (Message(b"not json", [("dlq_replay", b"done")]), "not as Wattloop writes it"),
        (Message(b"{}", [("dlq_replay", b"done")]), "header run is missing"),
    ],
)
def test_what_wattloop_has_not_written_is_named_and_not_a_crash(message, why):
    found = read(message)

    assert isinstance(found, Foreign)
    assert why in found.why


@pytest.mark.parametrize(
    ("value", "sites"),
    [
        (b'{"site_id":"mill","meter_id":"main"}', ["mill"]),
        (b'{"site_id" : "m\\u00fchle"}', ["mühle"]),
        (b'{"site_id":7}', ["7"]),
        (b'{"site_id":"mill","meter_id":', ["mill"]),
        (b'{"site_id":"a"}\n{"site_id":"b"}', ["a", "b"]),
        (b"\xff\xfe\x00", []),
        (b'{"site_id":"\xff"}', []),
        (b"", []),
    ],
)
def test_sites_are_found_in_bytes_that_are_no_valid_reading_too(value, sites):
    assert list(sites_in(value, JSON_TYPE)) == sites


def test_sites_are_found_in_arrow_and_damaged_arrow_has_none():
    body = io.BytesIO()
    pl.DataFrame({"site_id": ["mill", "mill", "weaver"], "meter_id": ["main"] * 3}).write_ipc_stream(body)

    assert list(sites_in(body.getvalue(), ARROW_TYPE)) == ["mill", "weaver"]
    assert list(sites_in(body.getvalue()[:60], ARROW_TYPE)) == []


@given(st.binary(max_size=200))
def test_no_bytes_break_what_is_shown_of_them(value):
    letter = a_letter(value, key=value[:9])

    text = "\n".join([*page(letter, ""), *map(str, row(letter, ""))])

    assert "\x1b" not in text
    assert "\r" not in text
    assert Filters(site="nobody").take(letter) in {True, False}


@pytest.mark.parametrize(
    ("filters", "taken"),
    [
        (Filters(), True),
        (Filters(reasons=("late", "unknown_meter")), True),
        (Filters(reasons=("late",)), False),
        (Filters(stages=("metering",)), False),
        (Filters(site="mill"), True),
        (Filters(site="in-the-bytes"), True),
        (Filters(site="nobody"), False),
        (Filters(from_ms=ARRIVED), True),
        (Filters(from_ms=ARRIVED + 1), False),
        (Filters(to_ms=ARRIVED), False),
        (Filters(to_ms=ARRIVED + 1), True),
        (Filters(reasons=("unknown_meter",), site="nobody"), False),
    ],
)
def test_a_letter_is_meant_when_it_passes_every_filter(filters, taken):
    assert filters.take(a_letter(b'{"site_id":"in-the-bytes"}')) is taken


def test_a_letter_goes_to_the_partition_of_its_key_then_of_its_site_then_to_where_it_was():
    # murmur2 of zj-steel modulo 8 is 5, of js-textiles 0: see docs/architecture.md and the Kafka clients
    by_key = a_letter(b'{"site_id":"js-textiles"}', key=b"zj-steel")
    by_site = a_letter(b'{"site_id":"zj-steel"}', key=None)
    by_neither = a_letter(b"\xff", key=b"\xff")

    assert [target_partition(one, 8) for one in (by_key, by_site, by_neither)] == [5, 5, 5]
    assert target_partition(by_neither, 4) == 1


def test_a_letter_is_unsure_only_until_it_is_noted_as_done():
    journal = Journal()
    journal.take(a_note("begun", 4, 9))
    journal.take(a_note("done", 9))
    journal.take(a_note("begun", 9, partition=1))

    unsure = [places for _, places in journal.open_notes()]

    assert unsure == [[Place(3, 4)], [Place(1, 9)]]
    assert [journal.state_of(Place(3, offset)) for offset in (4, 9, 5)] == ["begun", "done", ""]


def test_a_letter_is_noted_as_done_whichever_replay_did_it():
    journal = Journal()
    journal.take(a_note("begun", 4, run="killed"))
    journal.take(a_note("done", 4, run="another"))

    assert list(journal.open_notes()) == []


def test_bytes_that_are_text_are_shown_as_text_and_others_as_a_hex_dump():
    assert readable("电表\n".encode()) == "电表\n"
    assert readable(b"\xff\xfe\x00broken") == f"00000000  {'ff fe 00 62 72 6f 6b 65 6e':<48} ...broken"


def test_what_would_steer_a_terminal_is_written_out():
    assert harmless("\x1b[2J\u202ea\tb") == "\\x1b[2J\\u202ea\\tb"
    assert excerpt(b"x" * 61) == "x" * 60 + "…"


def test_a_note_is_json_that_others_can_read():
    said = json.loads(a_note("begun", 4).value)

    assert said == {"run": "a", "letters": [4], "topic": "weather.v1", "ends": {"1": 20}}


@pytest.mark.parametrize("text", ["", "3", "3:", "a:1", "3:1:0", "-1:2", "3:1 "])
def test_a_place_that_is_none_is_refused_with_what_was_expected(text):
    with pytest.raises(ValueError, match="expected PARTITION:OFFSET"):
        Place.parse(text)
