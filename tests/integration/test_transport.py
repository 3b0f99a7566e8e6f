"""What a fetch does that is still under way when Faust stops its flow, on a real broker."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faust.types import TP
from kafka.admin import KafkaAdminClient, NewTopic

from streams.app import build_app
from streams.settings import Settings

pytestmark = pytest.mark.integration


def test_what_a_fetch_gets_after_the_flow_was_stopped_is_fetched_again(broker: str, tmp_path: Path) -> None:
    changelog = TP(f"transport-test-{tmp_path.name}-changelog", 0)
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.create_topics([NewTopic(changelog.topic, num_partitions=1, replication_factor=1)])
    admin.close()

    async def fetch_across_a_rebalance() -> tuple[int, int]:
        app = build_app(Settings(data_dir=tmp_path), f"kafka://{broker}")
        thread = app.consumer._new_consumer_thread()
        reader = AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest", enable_auto_commit=False)
        writer = AIOKafkaProducer(bootstrap_servers=broker)
        await writer.start()
        await writer.send_and_wait(changelog.topic, b"before", partition=changelog.partition)
        await reader.start()
        try:
            reader.assign([TopicPartition(*changelog)])
            await reader.seek_to_end()
            await reader.position(TopicPartition(*changelog))
            app.consumer.resume_flow()
            asked_before = asyncio.create_task(thread._fetch_records(reader, set(), timeout=60.0))
            await asyncio.sleep(0)
            app.consumer.stop_flow()
            await writer.send_and_wait(changelog.topic, b"state", partition=changelog.partition)
            too_late = await asked_before
            app.consumer.resume_flow()
            again = await thread._fetch_records(reader, {changelog}, timeout=60.0)
            return len(too_late), sum(map(len, again.values()))
        finally:
            await writer.stop()
            await reader.stop()

    assert asyncio.run(asyncio.wait_for(fetch_across_a_rebalance(), 120)) == (0, 1)
