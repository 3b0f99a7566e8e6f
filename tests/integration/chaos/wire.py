"""What goes over the broker around a pipeline: the field sending, the raw log read back, how far its groups are."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from pipeline import PARTITIONS, Raw

from schemas.topics import METER_READINGS
from streams.broker import partition_for

Ends = Mapping[tuple[str, int], int]  # (full topic name, partition) -> offset after its last message

_CHUNKS_PER_S = 4
_PATIENCE_MS = 180_000
_ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as the raw topic holds it."""

    partition: int
    offset: int
    value: bytes


class Sender(threading.Thread):
    """Sends messages in chunks over some time, and waits for the broker when it is away.

    Parameters
    ----------
    broker
        Address.
    prefix
        Of topic names.
    messages
        In this order.
    sending_s
        How long it takes if nothing is in the way. [s]
    idempotent
        Whether the broker can drop what is sent twice over a broken connection.
    """

    def __init__(self, broker: str, prefix: str, messages: Sequence[Raw], sending_s: float, *, idempotent: bool):
        super().__init__(name="field", daemon=True)
        self._broker = broker
        self._topic = prefix + METER_READINGS.name
        self._messages = messages
        self._sending_s = sending_s
        self._idempotent = idempotent
        self.error: BaseException | None = None

    def run(self) -> None:
        """Send everything."""
        try:
            asyncio.run(self._send())
        except (KafkaError, OSError) as error:
            self.error = error

    async def _send(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._broker,
            acks="all",
            enable_idempotence=self._idempotent,
            linger_ms=5,
            request_timeout_ms=_PATIENCE_MS,
        )
        await producer.start()
        try:
            chunks = max(1, round(self._sending_s * _CHUNKS_PER_S))
            size = -(-len(self._messages) // chunks)
            started = time.monotonic()
            for number, first in enumerate(range(0, len(self._messages), size)):
                await asyncio.sleep(started + number / _CHUNKS_PER_S - time.monotonic())
                await self._chunk(producer, self._messages[first : first + size])
        finally:
            await producer.stop()

    async def _chunk(self, producer: AIOKafkaProducer, messages: Sequence[Raw]) -> None:
        sent = [
            await producer.send(
                self._topic,
                key=one.key.encode(),
                value=one.value,
                partition=partition_for(one.key, PARTITIONS),
                headers=[("content-type", one.content_type.encode())],
            )
            for one in messages
        ]
        await asyncio.gather(*sent)


def read_back(broker: str, prefix: str) -> list[Kept]:
    """Return everything the raw topic holds."""
    return asyncio.run(_read_back(broker, prefix + METER_READINGS.name))


async def _read_back(broker: str, topic: str) -> list[Kept]:
    ends = {TopicPartition(*place): end for place, end in (await _ends_of(broker, [topic])).items()}
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(ends))
        await consumer.seek_to_beginning(*ends)
        found: list[Kept] = []
        async with asyncio.timeout(60):
            while len(found) < sum(ends.values()):
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    found.extend(Kept(place.partition, one.offset, one.value or b"") for one in records)
        return found
    finally:
        await consumer.stop()


def ends_of(broker: str, topics: Sequence[str]) -> Ends:
    """Return where topics end; nothing while the broker does not answer."""
    try:
        return asyncio.run(_ends_of(broker, topics))
    except (KafkaError, OSError, TimeoutError):
        return {}


async def _ends_of(broker: str, topics: Sequence[str]) -> Ends:
    """Ask as `streams.embedded.ends` does, because the embedded broker answers the simple question wrongly.

    The number of partitions is known here: a client that has not subscribed to a topic may not find out.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, fetch_max_wait_ms=50)
    places = [TopicPartition(topic, partition) for topic in topics for partition in range(PARTITIONS)]
    async with asyncio.timeout(_ANSWER_S):
        await consumer.start()
        try:
            consumer.assign(places)
            await consumer.seek_to_end(*places)
            while any(consumer.highwater(place) is None for place in places):
                await consumer.getmany(timeout_ms=50)
            return {(place.topic, place.partition): consumer.highwater(place) or 0 for place in places}
        finally:
            await consumer.stop()


def has_committed(broker: str, group: str, ends: Ends) -> bool:
    """Whether a group has read up to these ends."""
    try:
        return asyncio.run(_has_committed(broker, group, ends))
    except (KafkaError, OSError, TimeoutError):
        return False


async def _has_committed(broker: str, group: str, ends: Ends) -> bool:
    """Ask as a consumer that joins nothing."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id=group, enable_auto_commit=False)
    async with asyncio.timeout(_ANSWER_S):
        await consumer.start()
        try:
            places = {TopicPartition(*place): end for place, end in ends.items() if end > 0}
            consumer.assign(list(places))
            for place, end in places.items():
                if (await consumer.committed(place) or 0) < end:
                    return False
            return True
        finally:
            await consumer.stop()
