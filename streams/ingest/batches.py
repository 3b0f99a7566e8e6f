"""Reading whole record batches where the consumer would make an object of every record.

aiokafka parses record batches in C and then makes a Python object of each record, in a generator: 3 µs a message, more
than decoding and validating the reading in it. What it has fetched and not yet given out is therefore wrapped, so that
its own `getmany` gives out batches. Position, pausing, rebalances and errors stay with the library. What it has begun
to give out comes as single records as ever; callers take both.

What of its private parts this needs is that of aiokafka 0.14, which is pinned (docs/adr/0023).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import GEN_CREATED, getgeneratorstate
from types import GeneratorType

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of a partition, as they were stored; at least one."""

    records: Sequence[ConsumerRecord]


class BatchReader:
    """What was fetched of a partition, batch by batch; stands in for aiokafka's `PartitionRecords`.

    Parameters
    ----------
    fetched
        What nothing was taken of yet.

    Raises
    ------
    CorruptRecordException
        While reading, at a batch whose checksum is wrong; it is fetched again.
    """

    def __init__(self, fetched: PartitionRecords) -> None:
        self._fetched = fetched
        self.next_fetch_offset = fetched.next_fetch_offset
        # The generator refers to what was fetched, and that to the generator. The library parts them at the end only;
        # as garbage of a cycle, megabytes of messages would wait for a full collection.
        fetched._records_iterator = None

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        stored = self._fetched._records
        while stored.has_next():
            batch = stored.next_batch()
            if self._fetched._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._fetched._tp}")
            records: list[ConsumerRecord] = []
            if not batch.is_control_batch:
                records = list(batch)
                # A fetch begins with the whole batch its first offset is in.
                if records and records[0].offset < self.next_fetch_offset:
                    records = [one for one in records if one.offset >= self.next_fetch_offset]
            self.next_fetch_offset = batch.next_offset
            if records:
                return Batch(records)
        raise StopIteration


async def fetched(
    consumer: AIOKafkaConsumer, within_s: float
) -> Mapping[TopicPartition, Sequence[ConsumerRecord | Batch]]:
    """Return what was fetched, like `getmany`; wait for something if there is nothing."""
    _wrap(consumer)
    polled = await consumer.getmany()
    if polled or within_s <= 0:
        return polled
    waiter = consumer._fetcher._create_fetch_waiter()
    await asyncio.wait([waiter], timeout=within_s)
    waiter.cancel()
    _wrap(consumer)
    try:
        return await consumer.getmany()
    except ConsumerStoppedError:  # while it waited, as the library's own wait takes it
        return {}


def _wrap(consumer: AIOKafkaConsumer) -> None:
    for result in consumer._fetcher._records.values():
        if not isinstance(result, FetchResult):
            continue
        fetched = result._partition_records
        if type(fetched) is PartitionRecords and _is_untouched(fetched):
            result._partition_records = BatchReader(fetched)


def flat(polled: Sequence[ConsumerRecord | Batch]) -> list[ConsumerRecord]:
    """Return the records of what `getmany` gave out, whichever way it did."""
    records: list[ConsumerRecord] = []
    for one in polled:
        if isinstance(one, Batch):
            records.extend(one.records)
        else:
            records.append(one)
    return records


def _is_untouched(fetched: PartitionRecords) -> bool:
    """Whether no record was taken yet, and none has to be left out because its transaction was aborted."""
    taking = fetched._records_iterator
    return (
        isinstance(taking, GeneratorType)
        and getgeneratorstate(taking) == GEN_CREATED
        and fetched._isolation_level == READ_UNCOMMITTED
    )
