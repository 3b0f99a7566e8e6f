"""What the embedded broker and its gate can and cannot do, measured on this machine.

Run with `python bench/embedded_broker.py facts`, `memory` or `gate`: the numbers in `docs/embedded.md` come
from here.
"""

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from streams.embedded.broker import EmbeddedBroker
from streams.embedded.ends import end_offsets
from streams.embedded.gate import Gate
from streams.embedded.wire import cluster_id_at

TOPIC = "bench"
PARTITIONS = 4
RECORDS = 200_000
RECORD_BYTES = 1_000
MEGABYTE = 1_000_000


async def create(bootstrap: str, **configs: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="wattloop-bench")
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1, topic_configs=configs)])
    await admin.close()


async def delete(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="wattloop-bench")
    await admin.start()
    await admin.delete_topics([TOPIC])
    await admin.close()


async def produce(producer: AIOKafkaProducer, value: bytes, records: int) -> float:
    """Send records to all partitions; return how many were acknowledged per second."""
    began_s = time.perf_counter()
    for start in range(0, records, 20_000):
        sends = [
            await producer.send(TOPIC, value, partition=number % PARTITIONS)
            for number in range(start, min(start + 20_000, records))
        ]
        await asyncio.gather(*sends)
    return records / (time.perf_counter() - began_s)


async def consume(bootstrap: str, client_id: str, records: int) -> float:
    """Read all records; return how many per second."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, client_id=client_id, group_id=None)
    await consumer.start()
    places = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    began_s, read = time.perf_counter(), 0
    while read < records:
        read += sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))
    rate = records / (time.perf_counter() - began_s)
    await consumer.stop()
    return rate


async def facts() -> None:
    """What Tansu honours."""
    began_s = time.perf_counter()
    broker = EmbeddedBroker()
    bootstrap = str(await broker.start())
    print(f"first answer after       {time.perf_counter() - began_s:.3f} s")
    told = await cluster_id_at(broker.address.host, broker.address.port)
    print(f"cluster id honoured      {told == broker.cluster_id}")

    await create(bootstrap, **{"message.timestamp.type": "LogAppendTime", "retention.ms": "1"})
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=100)
    await producer.start()
    await asyncio.gather(*[await producer.send(TOPIC, b"x", partition=0, timestamp_ms=1_000) for _ in range(10)])
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    place = TopicPartition(TOPIC, 0)
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    stamps = {m.timestamp for some in (await consumer.getmany(timeout_ms=2_000)).values() for m in some}
    print(f"LogAppendTime honoured   {stamps != {1_000}}")
    print(f"retention.ms=1 honoured  {not stamps}")
    wrong = (await consumer.end_offsets([place]))[place]
    right = (await end_offsets(bootstrap, [TOPIC]))[TOPIC, 0]
    print(f"end of 10 records        {wrong} by ListOffsets, {right} by the high watermark of a fetch")
    await consumer.stop()
    await producer.stop()
    idempotent = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    try:
        await idempotent.start()
        print("idempotent aiokafka      works")
    except KafkaError as error:
        print(f"idempotent aiokafka      fails: {error!r}")
    finally:
        await idempotent.stop()
    began_s = time.perf_counter()
    await broker.stop()
    print(f"stop takes               {time.perf_counter() - began_s:.3f} s")


async def memory() -> None:
    """What a record costs, and what gives the memory back."""
    reading = b'{"site_id":"zj-steel","meter_id":"main","ts":1790000100000,"import_kwh":6504321.173,"power_kw":512.44}'
    cases = {
        "1 kB of noise, full batches": (os.urandom(RECORD_BYTES), 100_000, 5),
        "one JSON reading, full batches": (reading, RECORDS, 20),
    }
    for name, (value, records, linger_ms) in cases.items():
        broker = EmbeddedBroker()
        bootstrap = str(await broker.start())
        await create(bootstrap)
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=linger_ms, max_batch_size=262_144)
        await producer.start()
        empty = broker.rss_bytes()
        await produce(producer, value, records)
        each = (broker.rss_bytes() - empty) / records
        print(f"{name:32} {len(value):5} bytes sent, {each:7.1f} bytes of memory each")
        await producer.stop()
        await broker.stop()

    broker = EmbeddedBroker()
    bootstrap = str(await broker.start())
    await create(bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    empty = broker.rss_bytes()
    for number in range(5_000):
        await producer.send_and_wait(TOPIC, b"x" * 100, partition=number % PARTITIONS)
    each = (broker.rss_bytes() - empty) / 5_000
    print(f"{'a batch of one record':32} {100:5} bytes sent, {each:7.1f} bytes of memory each")
    for round_number in range(1, 7):
        await produce(producer, os.urandom(RECORD_BYTES), 100_000)
        full = broker.rss_bytes()
        await delete(bootstrap)
        await asyncio.sleep(0.5)
        after = broker.rss_bytes()
        await create(bootstrap)
        freed = f"{full / MEGABYTE:6.0f} MB before DeleteTopics, {after / MEGABYTE:6.0f} MB after"
        print(f"round {round_number}: {freed}")
    await producer.stop()
    await broker.stop()


def hold(ours: Connection, gated: bool) -> None:
    """Hold broker and gate in a process of their own, as `wattloop run` does."""

    async def held() -> None:
        gate = Gate()
        broker = EmbeddedBroker(advertised=await gate.start() if gated else None)
        gate.open(await broker.start())
        ours.send(str(gate.address if gated else broker.address))
        await asyncio.to_thread(ours.recv)
        ours.send(time.process_time())
        await broker.stop()
        await gate.stop()

    uvloop.run(held())


async def load(bootstrap: str, client_id: str) -> tuple[float, float]:
    await create(bootstrap)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, client_id=client_id, acks="all", linger_ms=5, max_batch_size=262_144
    )
    await producer.start()
    produced = await produce(producer, os.urandom(RECORD_BYTES), RECORDS)
    await producer.stop()
    return produced, await consume(bootstrap, client_id, RECORDS)


async def gate() -> None:
    """How much slower it is through the gate."""
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        for name, gated, client_id in (
            ("direct", False, "press"),
            ("own client", True, "wattloop-bench"),
            ("foreign client", True, "press"),
        ):
            theirs, ours = context.Pipe()
            holder = context.Process(target=hold, args=(ours, gated))
            holder.start()
            bootstrap = await asyncio.to_thread(theirs.recv)
            produced, consumed = await load(bootstrap, client_id)
            theirs.send(None)
            cpu_s = await asyncio.to_thread(theirs.recv)
            await asyncio.to_thread(holder.join)
            rates = f"produce {produced:9,.0f}/s  consume {consumed:9,.0f}/s"
            print(f"{name:15} {rates}  holder {cpu_s:.2f} s of CPU")


MODES: dict[str, Callable[[], Awaitable[None]]] = {"facts": facts, "memory": memory, "gate": gate}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in MODES:
        sys.exit(f"usage: python {sys.argv[0]} {'|'.join(MODES)}")

    async def chosen() -> None:
        await MODES[sys.argv[1]]()

    uvloop.run(chosen())
