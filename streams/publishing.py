"""Records that a command sends by itself, and the registry a command goes by: the broker's if there is one."""

import asyncio

import polars as pl
from aiokafka import AIOKafkaProducer

from schemas.flow import Output
from schemas.registry import Registry
from schemas.topics import REGISTRY, Topic
from streams.broker import partition_for
from streams.broker_admin import named_trouble
from streams.frame.codec import Origin, envelopes
from streams.leaving import leave
from streams.registry_topic import read_all
from streams.settings import Settings, broker_addresses


def registry_in_force(settings: Settings, in_files: Registry) -> Registry:
    """Return what registry.v1 holds, or without a broker what the files say.

    Raises
    ------
    RegistryTopicError
        If the broker cannot be read.
    """
    if settings.kafka_url is None:
        return in_files
    state = asyncio.run(read_all(list(broker_addresses(settings.kafka_url)), topic=settings.topic_name(REGISTRY)))
    sites = tuple(state.sites[name].site for name in sorted(state.sites))
    return Registry(tenants=tuple(state.tenants.values()), sites=sites)


def send_records(settings: Settings, topic: Topic, rows: pl.DataFrame, cause: str) -> None:
    """Send records to a JSON topic, each to the partition of its site; nothing is sent without a broker.

    Parameters
    ----------
    settings
        Names the broker.
    topic
        Where to.
    rows
        With `id`, `site_id` and `ts`.
    cause
        What they follow from; the trace context is made of it.

    Raises
    ------
    BrokerTrouble
        When the broker does not take them: send them again, they have the same ids.
    """
    url = settings.kafka_url
    if url is None or rows.is_empty():
        return

    async def sent() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=list(broker_addresses(url)), client_id="wattloop", acks="all")
        await producer.start()
        try:
            # No partition of any topic: the history drops what a command has stored itself.
            for one in envelopes(Output(topic, rows=rows), Origin(cause, -1, 0), 0, 0, "wattloop/command"):
                partition = partition_for((one.key or b"").decode(), settings.partitions)
                name = settings.topic_name(topic)
                await producer.send_and_wait(name, one.value, one.key, partition, one.timestamp_ms, one.headers)
        finally:
            await leave(producer)

    with named_trouble(url):
        asyncio.run(sent())
