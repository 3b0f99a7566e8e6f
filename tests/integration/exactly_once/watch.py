"""Feeds numbers and reads what came out of them, as a consumer that reads only what was committed."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from exactly_once.counter import PARTITIONS

KEYS_A_PARTITION = 5


def placed(number: int) -> tuple[int, bytes]:
    """Return partition and key of a number."""
    partition = number % PARTITIONS
    return partition, f"{partition}-{number // PARTITIONS % KEYS_A_PARTITION}".encode()


def places(topic: str) -> Iterator[TopicPartition]:
    """Yield the partitions of a topic."""
    return (TopicPartition(topic, partition) for partition in range(PARTITIONS))


async def create(broker: str, *topics: str) -> None:
    """Create topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics])
    finally:
        await admin.close()


async def feed(broker: str, topic: str, total: int, rate_s: float | None) -> None:
    """Send the numbers 0 to `total` - 1, evenly or as fast as possible, each exactly once."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", enable_idempotence=True, linger_ms=5)
    await producer.start()
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        sent = []
        for number in range(total):
            partition, key = placed(number)
            sent.append(await producer.send(topic, str(number).encode(), key=key, partition=partition))
            if rate_s is not None and number % 10 == 0:
                await asyncio.sleep(max(0.0, started + number / rate_s - loop.time()))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


@asynccontextmanager
async def committed_reader(broker: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer of all partitions from their beginning that sees committed records only."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, isolation_level="read_committed", enable_auto_commit=False, metadata_max_age_ms=2000
    )
    await consumer.start()
    try:
        consumer.assign(list(places(topic)))
        await consumer.seek_to_beginning(*places(topic))
        yield consumer
    finally:
        await consumer.stop()


class Output:
    """What was seen on the output topic so far."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()
        self.last_at = 0.0

    async def follow(self, broker: str, topic: str) -> None:
        """Read until cancelled."""
        loop = asyncio.get_running_loop()
        async with committed_reader(broker, topic) as consumer:
            while True:
                with suppress(KafkaError):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        self.seen.update(int(record.value or b"-1") for record in records)
                        self.last_at = loop.time()


async def table_counts(broker: str, topic: str) -> dict[bytes, int]:
    """Return what the committed records of a changelog say at their end."""
    found: dict[bytes, int] = {}
    quiet = 0
    async with committed_reader(broker, topic) as consumer:
        while quiet < 4:
            batches = await consumer.getmany(timeout_ms=500)
            quiet = 0 if batches else quiet + 1
            for records in batches.values():
                for record in records:
                    found[record.key or b""] = int(json.loads(record.value or b"0"))
    return found


async def held_back(broker: str, topic: str) -> int:
    """Return how many offsets lie behind an open transaction, where readers of committed records wait."""
    async with committed_reader(broker, topic) as consumer:
        quiet = 0
        while quiet < 4:
            quiet = 0 if await consumer.getmany(timeout_ms=500) else quiet + 1
        ends = await consumer.end_offsets(list(places(topic)))
        return sum([max(0, end - await consumer.position(place)) for place, end in ends.items()])


async def uncommitted(broker: str, topic: str, group: str) -> int:
    """Return how many input offsets the group has not committed."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(places(topic)))
        return sum([end - (await consumer.committed(place) or 0) for place, end in ends.items()])
    finally:
        await consumer.stop()
