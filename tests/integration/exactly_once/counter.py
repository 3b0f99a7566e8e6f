"""A plain Faust app that counts: one table, one output for each input. What it is measured for: run.py.

Nothing of Wattloop is in it, and nothing is set that a user who reads Faust's manual would not set.
"""

import os

import faust
from faust.types import StreamT

PARTITIONS = 4

app = faust.App(
    os.environ.get("COUNTER_ID", "counter"),
    broker=os.environ.get("COUNTER_BROKER", "kafka://127.0.0.1:9092"),
    processing_guarantee=os.environ.get("COUNTER_GUARANTEE", "exactly_once"),
    store="memory://",
    topic_partitions=PARTITIONS,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    # A killed member must be missed soon, or every run would be spent waiting.
    broker_session_timeout=6,
    broker_rebalance_timeout=6,
    broker_heartbeat_interval=1.5,
    broker_commit_interval=0.5,
    web_enabled=False,
)
numbers = app.topic(
    f"{app.conf.id}-numbers", key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
)
counted = app.topic(
    f"{app.conf.id}-counted", key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
)
counts = app.Table("counts", default=int, partitions=PARTITIONS, key_type=bytes)


@app.agent(numbers)
async def count(stream: StreamT[bytes]) -> None:
    """Count the numbers of each key, and pass each on."""
    async for event in stream.events():
        key, number = event.key, event.value
        if isinstance(key, bytes) and isinstance(number, bytes):
            counts[key] += 1
            await counted.send(key=key, value=number, partition=event.message.partition)
