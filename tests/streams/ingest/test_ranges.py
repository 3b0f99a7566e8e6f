"""Ranges: what became of the messages ingest read, cut at arrival minutes and at commits."""

import pytest

from schemas.accounting import Caused
from schemas.flow import SiteRecord
from streams.ingest.decode import decode
from streams.ingest.poll import Poll, RawMessage
from streams.ingest.ranges import Ranges, Run, runs_of
from streams.ingest.validate import Bounds, known_meters, validate
from tests.builders import NOON, a_site

MINUTE = 60_000
NOTHING = Caused()


def a_message(offset: int, *lines: bytes, partition: int = 0, arrived_at: int = NOON) -> RawMessage:
    return RawMessage(partition, offset, arrived_at, b"mill", b"\n".join(lines))


def good(kwh: float) -> bytes:
    site = a_site()
    return b'{"site_id":"%s","meter_id":"%s","ts":%d,"import_kwh":%f}' % (
        site.id.encode(),
        site.meters[0].id.encode(),
        NOON,
        kwh,
    )


BAD = b"no json"
UNKNOWN = b'{"site_id":"mill","meter_id":"nobody","ts":%d,"import_kwh":1}' % NOON


def runs(*messages: RawMessage) -> list[Run]:
    poll = Poll.of(messages)
    decoded = decode(poll)
    meters = known_meters([SiteRecord(a_site(), 1)], 4)
    return list(runs_of(decoded, validate(decoded, poll, meters, Bounds(MINUTE, MINUTE))))


def test_a_poll_is_counted_per_partition_and_arrival_minute() -> None:
    assert runs(
        a_message(5, good(1.5), good(2.5)),
        a_message(6, BAD),
        a_message(7, good(4.0), arrived_at=NOON + MINUTE),
        a_message(0, UNKNOWN, good(8.0), partition=1),
    ) == [
        Run(0, 5, 6, NOON, 2, 2, 1, 4.0),
        Run(0, 7, 7, NOON + MINUTE, 1, 1, 0, 4.0),
        Run(1, 0, 0, NOON, 1, 1, 1, 8.0),
    ]


def test_refused_readings_are_counted_wherever_they_were_refused() -> None:
    [run] = runs(a_message(0, UNKNOWN), a_message(1, BAD), a_message(2, UNKNOWN), a_message(3, BAD))
    assert (run.messages, run.used, run.refused, run.register_checksum) == (4, 0, 4, 0.0)


def a_run(first: int, last: int, arrived_at: int = NOON) -> Run:
    return Run(0, first, last, arrived_at, last - first + 1, last - first + 1, 0, 1.0)


def places(ranges: Ranges) -> list[tuple[int, int]]:
    return [(one.first_offset, one.last_offset) for one in ranges.take()]


@pytest.fixture
def ranges() -> Ranges:
    made = Ranges()
    made.begin(0, 10)
    return made


def test_polls_of_one_minute_are_one_range(ranges: Ranges) -> None:
    ranges.add([a_run(10, 12)], Caused({("telemetry.v1", 0): 3}))
    ranges.add([a_run(13, 20)], Caused({("telemetry.v1", 0): 7}))
    [one] = ranges.take()
    assert (one.first_offset, one.last_offset, one.tally.received, one.tally.messages) == (10, 20, 11, 11)
    assert str(one.tally.caused) == "telemetry.v1/0@7"


def test_the_next_range_begins_where_the_one_before_was_committed(ranges: Ranges) -> None:
    ranges.add([a_run(10, 12)], NOTHING)
    assert places(ranges) == [(10, 12)]
    ranges.add([a_run(13, 14)], NOTHING)
    assert places(ranges) == [(13, 14)]


def test_control_records_between_messages_belong_to_the_range_behind_them(ranges: Ranges) -> None:
    ranges.add([a_run(11, 12)], NOTHING)
    ranges.add([a_run(15, 16, NOON + MINUTE)], NOTHING)
    assert places(ranges) == [(10, 12), (13, 16)]


def test_what_the_broker_deleted_before_it_was_read_is_in_no_range(ranges: Ranges) -> None:
    ranges.add([a_run(10, 12)], NOTHING)
    ranges.log_begins(0, 40)
    ranges.add([a_run(42, 50)], NOTHING)
    assert places(ranges) == [(10, 12), (40, 50)]


def test_a_poll_that_leaves_offsets_out_is_noticed(ranges: Ranges) -> None:
    assert [ranges.poll(0, *place) for place in ((10, 12), (13, 13), (15, 16))] == [False, False, True]


def test_what_is_read_again_is_counted_anew(ranges: Ranges) -> None:
    ranges.add([a_run(10, 12)], NOTHING)
    generation = ranges.generation
    ranges.forget()
    assert (ranges.generation, ranges.knows(0), places(ranges)) == (generation + 1, False, [])
