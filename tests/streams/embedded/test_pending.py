import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.embedded.pending import Frames, PendingProduces
from streams.embedded.wire import WireError, client_id_of, request

FETCH, PRODUCE = 1, 0


def a_produce(correlation: int, acks: int = -1, version: int = 7, client_id: str = "press") -> bytes:
    """A produce request as clients up to version 8 write it, with some bytes for records."""
    body = struct.pack(">hhi", -1, acks, 30_000) + b"records" * 200
    return request(PRODUCE, version, correlation, client_id, body)


def a_flexible_produce(correlation: int, acks: int) -> bytes:
    """A produce request of version 9, with one tagged field in its header and a transactional id."""
    tags = b"\x01" + b"\x05" + b"\x03abc"
    body = tags + b"\x04" + b"tx1" + struct.pack(">h", acks) + b"records" * 50
    return request(PRODUCE, 9, correlation, "press", body)


def an_answer(correlation: int) -> bytes:
    """A response frame."""
    payload = struct.pack(">i", correlation) + b"offsets"
    return struct.pack(">i", len(payload)) + payload


def test_a_produce_request_is_owed_an_answer_until_it_comes():
    pending = PendingProduces()

    pending.sent(a_produce(1) + a_produce(2))
    assert len(pending) == 2

    pending.answered(an_answer(1))
    assert len(pending) == 1

    pending.answered(an_answer(2))
    assert len(pending) == 0


def test_a_produce_request_without_acknowledgement_is_owed_nothing():
    pending = PendingProduces()

    pending.sent(a_produce(9, acks=0))

    assert len(pending) == 0


@pytest.mark.parametrize(("acks", "owed"), [(-1, 1), (1, 1), (0, 0)])
def test_the_acks_of_a_flexible_produce_request_are_found_behind_its_tagged_fields(acks, owed):
    pending = PendingProduces()

    pending.sent(a_flexible_produce(3, acks))

    assert len(pending) == owed


def test_an_old_produce_request_has_its_acks_right_behind_the_client_id():
    pending = PendingProduces()

    pending.sent(request(PRODUCE, 2, 4, "press", struct.pack(">hi", 0, 1_000)))
    pending.sent(request(PRODUCE, 2, 5, "press", struct.pack(">hi", 1, 1_000)))

    assert len(pending) == 1


def test_other_requests_may_stay_unanswered():
    pending = PendingProduces()

    pending.sent(request(FETCH, 11, 1, "press", b"\x00" * 60))

    assert len(pending) == 0


def test_a_request_passed_on_in_part_is_not_owed_an_answer_yet():
    pending, produce = PendingProduces(), a_produce(1)

    pending.sent(produce[:-1])
    assert len(pending) == 0

    pending.sent(produce[-1:])
    assert len(pending) == 1


def test_a_produce_request_too_short_to_tell_its_acks_is_owed_an_answer():
    pending = PendingProduces()

    pending.sent(request(PRODUCE, 7, 1, "press", b""))

    assert len(pending) == 1


@given(
    st.lists(st.tuples(st.sampled_from([FETCH, PRODUCE]), st.integers(-1, 1), st.integers(0, 40)), max_size=12),
    st.data(),
)
def test_where_the_stream_is_cut_changes_nothing(kinds, data):
    stream, owed = b"", set()
    for correlation, (kind, acks, size) in enumerate(kinds):
        body = struct.pack(">hhi", -1, acks, 0) + b"r" * size
        stream += request(kind, 7, correlation, "press", body)
        if kind == PRODUCE and acks != 0:
            owed.add(correlation)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pending = PendingProduces()

    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        pending.sent(stream[start:end])
    assert len(pending) == len(owed)

    for correlation in owed:
        pending.answered(an_answer(correlation))
    assert len(pending) == 0


def test_a_frame_of_no_length_is_refused():
    with pytest.raises(WireError):
        Frames(head_bytes=4).feed(b"\x00\x00\x00\x00")


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdef"])
def test_a_browser_and_a_tls_client_are_told_from_kafka_clients(first):
    with pytest.raises(WireError):
        client_id_of(first)


def test_a_client_that_does_not_say_who_it_is_has_an_empty_client_id():
    anonymous = struct.pack(">ihhih", 10, 18, 0, 1, -1)

    assert client_id_of(anonymous) == ""


@given(st.integers(0, 40))
def test_a_client_id_is_read_as_soon_as_it_is_complete(length):
    whole = request(18, 0, 1, "wattloop-ingest", b"")

    read = client_id_of(whole[:length])

    assert read == ("wattloop-ingest" if length >= len(whole) else None)
