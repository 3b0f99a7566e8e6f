"""What Faust does around a rebalance and a crash, through our transport."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import faust
from aiokafka import AIOKafkaConsumer
from faust.types import TP

from streams.app import build_app
from streams.frame.transport import FETCH_MAX_WAIT_MS, Transport
from streams.settings import Settings


def test_a_commit_after_every_partition_was_taken_away_is_no_crash(tmp_path: Path) -> None:
    async def commit() -> tuple[bool, bool]:
        app = an_app(tmp_path)
        thread = app.consumer._new_consumer_thread()
        thread._consumer = AIOKafkaConsumer(group_id="agents")  # a member that owns nothing
        committed = await thread._commit({TP("energy.v1", 0): 7})
        return committed, thread.crashed or app.crashed

    assert asyncio.run(commit()) == (False, False)


def test_a_producer_that_crashed_with_messages_in_its_buffer_lets_the_app_stop(tmp_path: Path) -> None:
    async def stop() -> faust.types.transports.ProducerT:
        app = an_app(tmp_path)
        producer = app.producer
        producer.buffer.pending.put_nowait(app.topic("energy.v1").as_future_message(value=b"1"))
        producer._crash(RuntimeError("planted"))
        await app.stop()
        return producer

    assert asyncio.run(stop()).buffer.size == 1


def test_the_consumer_asks_anew_every_few_milliseconds(tmp_path: Path) -> None:
    async def wait_ms() -> int:
        thread = an_app(tmp_path).consumer._new_consumer_thread()
        return thread._create_worker_consumer(thread.transport)._fetch_max_wait_ms

    assert asyncio.run(wait_ms()) == FETCH_MAX_WAIT_MS


def test_a_changelog_the_client_has_not_heard_of_yet_is_no_changelog_that_does_not_fit(tmp_path: Path) -> None:
    async def partitions() -> list[int | None]:
        thread = an_app(tmp_path).consumer._new_consumer_thread()
        thread._consumer = AIOKafkaConsumer(group_id="agents")
        thread._consumer._coordinator = SimpleNamespace(_metadata_snapshot={"energy.v1": 4, "changelog": 0})
        return [thread.topic_partitions(topic) for topic in ("energy.v1", "changelog", "unheard")]

    assert asyncio.run(partitions()) == [4, None, None]


def an_app(directory: Path) -> faust.App:
    app = build_app(Settings(data_dir=directory), "kafka://127.0.0.1:1")
    assert isinstance(app.transport, Transport)
    return app
