"""Where the partitions of a topic really end.

Tansu answers ListOffsets(latest) with the *first* offset of the last batch plus one, so `end_offsets()` of
any Kafka client is short by the rest of that batch, and whoever drains up to it loses those records. The high
watermark of a fetch is right, on Tansu and on Apache Kafka alike, so that is what is asked for here.
"""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.leaving import leave


async def end_offsets(
    bootstrap: str,
    topics: Iterable[str],
    client_id: str = "wattloop-ends",
    patience_s: float = 10.0,
) -> dict[tuple[str, int], int]:
    """Return the offset after the last record of each partition.

    Parameters
    ----------
    bootstrap
        Where a broker is reached, as `host:port`.
    topics
        Topics to ask for; one that does not exist is left out.
    client_id
        Who asks. With the prefix of our own clients, a closed gate lets it pass.
    patience_s
        How long the broker may take. [s]

    Raises
    ------
    TimeoutError
        If not all partitions have answered in time.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        group_id=None,
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        known_topics = set(topics) & await consumer.topics()
        if not known_topics:
            return {}
        async with asyncio.timeout(patience_s):
            # Apache Kafka tells a consumer the partitions of topics it reads only, so it has to begin with all of them.
            consumer.subscribe(sorted(known_topics))
            while not all(consumer.partitions_for_topic(topic) for topic in known_topics):
                await consumer.getmany(timeout_ms=50)
            partitions = [
                TopicPartition(topic, partition)
                for topic in known_topics
                for partition in consumer.partitions_for_topic(topic) or ()
            ]
            consumer.unsubscribe()
            consumer.assign(partitions)
            # Near the end is enough: the first fetch from there brings the true end along.
            await consumer.seek_to_end(*partitions)
            while True:
                ends = {(place.topic, place.partition): consumer.highwater(place) for place in partitions}
                known = {place: end for place, end in ends.items() if end is not None}
                if len(known) == len(ends):
                    return known
                await consumer.getmany(timeout_ms=50)
    finally:
        await leave(consumer)
