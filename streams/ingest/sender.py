"""Sending what ingest made: strictly in order on each partition, and acknowledged before anything else happens."""

import asyncio
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from schemas.accounting import Caused
from streams.frame.codec import Envelope
from streams.leaving import leave


class OrderedSender:
    """Sends envelopes to partitions.

    Parameters
    ----------
    brokers
        `host:port` of the brokers.
    prefix
        Prefix of all topic names.
    """

    def __init__(self, brokers: Sequence[str], prefix: str) -> None:
        self._prefix = prefix
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(brokers),
            client_id="wattloop-ingest",
            acks="all",
            linger_ms=2,
            max_batch_size=1 << 20,
            max_request_size=8 << 20,
        )

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await leave(self._producer)

    async def send(self, envelopes: Iterable[tuple[int, Envelope]]) -> Caused:
        """Send to these partitions and wait for the acknowledgements; on each partition strictly in this order.

        Returns
        -------
        Caused
            Where the last one on each partition is.
        """
        by_place: dict[tuple[str, int], list[Envelope]] = {}
        for partition, one in envelopes:
            by_place.setdefault((one.topic, partition), []).append(one)
        ends = await asyncio.gather(*(self._send_in_order(*place, ones) for place, ones in by_place.items()))
        return Caused(zip(by_place, ends, strict=True))

    async def _send_in_order(self, topic: str, partition: int, envelopes: Sequence[Envelope]) -> int:
        """Return the offset of the last message."""
        # A later message must never get through where an earlier one did not: downstream, what is not above the
        # highest origin seen is dropped. So a batch is sent whole, and the next one when it was acknowledged.
        place = TopicPartition(self._prefix + topic, partition)
        waiting = list(envelopes)
        last_offset = -1
        while waiting:
            batch = self._producer.create_batch()
            taken = 0
            for one in waiting:
                added = batch.append(key=one.key, value=one.value, timestamp=one.timestamp_ms, headers=one.headers)
                if added is None:
                    break
                taken += 1
            if not taken:
                raise MessageSizeTooLargeError(f"{place}: {len(waiting[0].value)} bytes")
            sent = await self._producer.send_batch(batch, place.topic, partition=place.partition)
            last_offset = (await sent).offset + taken - 1
            del waiting[:taken]
        return last_offset
