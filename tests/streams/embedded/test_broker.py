import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from streams.embedded.broker import LOOPBACK, Address, BrokerError, EmbeddedBroker, free_port
from streams.embedded.ends import end_offsets
from streams.embedded.gate import Gate
from streams.embedded.wire import cluster_id_at

TOPIC = "meter.readings.v1"

OWNER = """
import asyncio
from streams.embedded.broker import EmbeddedBroker

async def own():
    broker = EmbeddedBroker()
    print((await broker.start()).port, flush=True)
    await asyncio.Event().wait()

asyncio.run(own())
"""


def run(scenario) -> None:
    async def within_patience() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(within_patience())


def a_script(folder: Path, text: str) -> Path:
    script = folder / "broker.sh"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return script


async def create_topic(bootstrap: Address, partitions: int = 2) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=str(bootstrap), client_id="wattloop-topics")
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, partitions, 1)])
    await admin.close()


async def read_all(bootstrap: Address) -> list[bytes]:
    """Every value of the topic, up to its true ends."""
    ends = await end_offsets(str(bootstrap), [TOPIC])
    consumer = AIOKafkaConsumer(bootstrap_servers=str(bootstrap), client_id="wattloop-drain", group_id=None)
    await consumer.start()
    places = [TopicPartition(topic, partition) for topic, partition in ends]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    values: list[bytes] = []
    while len(values) < sum(ends.values()):
        for messages in (await consumer.getmany(timeout_ms=200)).values():
            values.extend(message.value for message in messages)
    await consumer.stop()
    return values


@pytest.mark.integration
def test_each_start_is_an_empty_broker_under_a_new_cluster_id():
    async def scenario():
        broker = EmbeddedBroker()
        ids = []
        for _ in range(2):
            address = await broker.start()
            ids.append(await cluster_id_at(address.host, address.port))
            assert ids[-1] == broker.cluster_id
            assert await end_offsets(str(address), [TOPIC]) == {}
            await create_topic(address)
            assert set((await end_offsets(str(address), [TOPIC])).values()) == {0}
            assert broker.rss_bytes() > 1_000_000
            await broker.stop()
            assert not broker.running
            assert broker.rss_bytes() == 0
            assert not broker.died.is_set()
        assert ids[0] != ids[1]
        assert broker.starts == 2

    run(scenario)


@pytest.mark.integration
def test_a_broker_that_ends_unasked_says_so_and_can_be_started_again():
    async def scenario():
        broker = EmbeddedBroker()
        address = await broker.start()
        (process,) = (
            child for child in psutil.Process().children(recursive=True) if f"tcp://{address}" in child.cmdline()
        )
        process.kill()
        await broker.died.wait()

        assert not broker.running
        assert "exit status -9" in broker.output_tail()
        await broker.stop()
        await broker.start()
        assert broker.running
        assert not broker.died.is_set()
        await broker.stop()

    run(scenario)


def test_a_broker_that_dies_while_starting_is_reported_with_what_it_said(tmp_path):
    async def scenario():
        broker = EmbeddedBroker(binary=a_script(tmp_path, 'echo "no room left"; exit 3'))
        with pytest.raises(BrokerError, match=r"died while starting:\nno room left\n\(exit status 3\)"):
            await broker.start()
        assert not broker.running

    run(scenario)


def test_a_broker_that_never_answers_is_given_up_and_killed(tmp_path):
    async def scenario():
        broker = EmbeddedBroker(binary=a_script(tmp_path, "exec sleep 60"), port=free_port(), ready_within_s=0.2)
        with pytest.raises(BrokerError, match="did not answer"):
            await broker.start()
        assert not broker.running

    run(scenario)


def test_a_missing_binary_is_named(tmp_path):
    async def scenario():
        with pytest.raises(BrokerError, match="nowhere"):
            await EmbeddedBroker(binary=tmp_path / "nowhere").start()

    run(scenario)


def test_a_broker_that_ignores_the_request_to_end_is_killed(tmp_path):
    async def scenario():
        deaf = a_script(tmp_path, "trap '' TERM; exec sleep 60")
        broker = EmbeddedBroker(binary=deaf, port=free_port(), ready_within_s=0.2, stop_within_s=0.05)
        with pytest.raises(BrokerError):
            await broker.start()
        assert not broker.running

    run(scenario)


@pytest.mark.integration
def test_the_broker_goes_when_its_owner_is_killed():
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    port = owner.stdout.readline().strip()
    family = psutil.Process(owner.pid).children(recursive=True)
    assert any(f"tcp://{LOOPBACK}:{port}" in child.cmdline() for child in family)

    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()

    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s and any(alive(child) for child in family):
        psutil.wait_procs(family, timeout=0.1)
    assert not any(alive(child) for child in family)


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.integration
def test_the_end_of_a_partition_is_behind_its_last_record_and_not_inside_its_last_batch():
    async def scenario():
        broker = EmbeddedBroker()
        address = await broker.start()
        await create_topic(address, partitions=2)
        producer = AIOKafkaProducer(bootstrap_servers=str(address), linger_ms=200)
        await producer.start()
        await asyncio.gather(*[await producer.send(TOPIC, b"x", partition=0) for _ in range(10)])
        await producer.stop()

        assert await end_offsets(str(address), [TOPIC]) == {(TOPIC, 0): 10, (TOPIC, 1): 0}
        await broker.stop()

    run(scenario)


@pytest.mark.integration
def test_nothing_acknowledged_is_lost_across_restarts_of_the_broker_under_a_running_producer():
    async def scenario():
        gate = Gate()
        broker = EmbeddedBroker(advertised=await gate.start())
        await broker.start()
        gate.attach(broker.address)
        await create_topic(gate.address)
        gate.open()
        acknowledged: set[bytes] = set()
        goal = asyncio.Event()
        stop = asyncio.Event()
        wanted = 0

        async def press(name: str) -> None:
            producer = AIOKafkaProducer(
                bootstrap_servers=str(gate.address),
                client_id=name,
                acks="all",
                linger_ms=2,
                retry_backoff_ms=20,
            )
            await producer.start()
            number = 0
            while not stop.is_set():
                values = [f"{name}-{number + step}".encode() for step in range(50)]
                sends = [await producer.send(TOPIC, value, partition=number % 2) for value in values]
                number += len(sends)
                for value, outcome in zip(values, await asyncio.gather(*sends, return_exceptions=True), strict=True):
                    if not isinstance(outcome, KafkaError):
                        acknowledged.add(value)
                if len(acknowledged) >= wanted:
                    goal.set()
            await producer.stop()

        pressing = [asyncio.create_task(press(f"press-{number}")) for number in range(3)]
        kept: list[bytes] = []
        for _ in range(3):
            wanted = len(acknowledged) + 3_000
            goal.clear()
            await goal.wait()

            gate.close()
            await gate.settled()
            kept += await read_all(gate.address)
            await broker.stop()
            await broker.start()
            gate.attach(broker.address)
            await create_topic(gate.address)
            gate.open()
        stop.set()
        await asyncio.gather(*pressing)
        kept += await read_all(gate.address)

        assert len(acknowledged) >= 9_000
        assert acknowledged <= set(kept)
        await broker.stop()
        await gate.stop()

    run(scenario)
