"""Whole batches hold what single records would: the same records, and the same offset to go on with."""

import gc
import weakref

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, MemoryRecords, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from streams.ingest.batches import BatchReader, flat
from streams.ingest.poll import Poll

PLACE = TopicPartition("meter.readings.v1", 3)
HEADERS = [("content-type", b"application/json")]


def stored(sizes: list[int], codec: int = 0) -> bytes:
    """Return batches of so many records, one behind the other."""
    batches, offset = [], 100
    for size in sizes:
        builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 20)
        for number in range(size):
            key = None if number % 3 == 0 else b"mill"
            builder.append(number, 1_784_008_800_000 + number, key, f"value {offset + number}".encode(), HEADERS)
        batch = bytearray(builder.build())
        batch[:8] = offset.to_bytes(8, "big")
        batches.append(bytes(batch))
        offset += size
    return b"".join(batches)


def fetched(data: bytes, begin: int) -> PartitionRecords:
    return PartitionRecords(PLACE, MemoryRecords(data), None, begin, None, None, True, READ_UNCOMMITTED)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 9), st.sampled_from([0, 1]))
def test_batches_hold_what_single_records_would(sizes: list[int], begin: int, codec: int) -> None:
    data = stored(sizes, codec)
    one_by_one = fetched(data, 100 + begin)
    expected, whole = list(one_by_one), BatchReader(fetched(data, 100 + begin))
    records = flat(list(whole))
    assert whole.next_fetch_offset == one_by_one.next_fetch_offset
    polls = []
    for some in (records, expected):
        poll = Poll()
        poll.extend(3, some, 5)
        polls.append([poll[number] for number in range(len(poll))])
    assert polls[0] == polls[1]


def test_a_batch_with_a_wrong_checksum_is_not_given_out():
    data = bytearray(stored([2, 2]))
    data[-1] ^= 1
    whole = BatchReader(fetched(bytes(data), 100))
    assert [one.offset for one in next(whole).records] == [100, 101]
    with pytest.raises(CorruptRecordException):
        next(whole)
    assert whole.next_fetch_offset == 102


def test_what_was_read_does_not_wait_for_a_garbage_collection():
    gc.disable()
    try:
        made = fetched(stored([3, 3]), 100)
        alive = weakref.ref(made)
        whole = BatchReader(made)
        assert len(flat(list(whole))) == 6
        del made, whole
        assert alive() is None
    finally:
        gc.enable()
