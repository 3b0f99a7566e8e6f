"""With `state_store = rocksdb`, what is on disk is a beginning of the changelog, whatever became of the worker."""

import asyncio
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from hops import wait_until_stored_to_the_end
from pipeline import LATENESS_S, PARTITIONS, Pipeline, as_json, wait_for
from rocksdict import Options, Rdict
from test_month import (
    MONTH,
    YEAR,
    assert_no_window_is_stored_twice,
    assert_the_month_is_exact,
)

from streams.broker import changelog_topic
from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import month_readings
from streams.embedded.ends import end_offsets
from streams.frame.local_copy import LocalCopy
from streams.local_state import state_root
from streams.topology import APP_ID

pytestmark = pytest.mark.integration

Record = tuple[bytes, bytes]


@pytest.fixture
def copying(pipeline: Pipeline) -> Pipeline:
    """A pipeline whose agents keep a copy of their changelogs on disk."""
    pipeline.settings["WATTLOOP_STATE_STORE"] = "rocksdb"
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    return pipeline


def tables(pipeline: Pipeline) -> Path:
    [found] = state_root(pipeline.directory / "data").glob("*/*/v1/tables")
    return found


def copied(pipeline: Pipeline, agent: str) -> dict[int, tuple[int, dict[bytes, bytes]]]:
    """Return what is on disk: partition -> offset of its last record, and the table."""
    found = {}
    for partition in range(PARTITIONS):
        place = tables(pipeline) / f"{agent}-{partition}.db"
        if place.exists():
            database = Rdict(str(place), options=Options(raw_mode=True))
            entries = {bytes(key): bytes(value) for key, value in database.items()}
            database.close()
            found[partition] = int(entries.pop(LocalCopy.offset_key, b"-1")), entries
    return found


def changelog(pipeline: Pipeline, agent: str) -> dict[int, list[Record]]:
    """Return the records of a changelog, by partition and offset."""
    return asyncio.run(_read(pipeline.broker, changelog_topic(pipeline.prefix, APP_ID, agent)))


async def _read(broker: str, topic: str) -> dict[int, list[Record]]:
    ends = await end_offsets(broker, [topic])
    found: dict[int, list[Record]] = {partition: [] for _, partition in ends}
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(*place) for place in ends]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        while any(len(found[partition]) < end for (_, partition), end in ends.items()):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                assert [one.offset for one in records][:1] == [len(found[place.partition])]  # nothing was compacted
                found[place.partition] += [(one.key or b"", one.value or b"") for one in records]
    finally:
        await consumer.stop()
    return found


def run_until_some_checkpoints(pipeline: Pipeline, messages: int, chance: random.Random) -> None:
    pipeline.send(as_json(month_readings(YEAR, MONTH, extra_s=0))[:messages])
    wait_for(lambda: pipeline.metric("wattloop_checkpoint_entries_total") > chance.randint(100, 200))


def test_after_a_kill_the_disk_holds_a_beginning_of_the_changelog(copying: Pipeline) -> None:
    copying.start()
    run_until_some_checkpoints(copying, 4000, random.Random(3))
    copying.kill()

    for agent in ("metering", "emissions"):
        written = changelog(copying, agent)
        found = copied(copying, agent)
        assert any(end >= 0 for end, _ in found.values())
        for partition, (end, entries) in found.items():
            assert entries == dict(written[partition][: end + 1])


def test_the_totals_are_the_same_when_the_disk_is_lost_after_some_of_the_kills(copying: Pipeline) -> None:
    messages = as_json(month_readings(YEAR, MONTH, extra_s=2 * LATENESS_S))
    chance = random.Random(5)
    quarter = len(messages) // 4
    copying.start()
    for kill in range(3):
        copying.send(messages[kill * quarter : (kill + 1) * quarter])
        some = copying.metric("wattloop_agent_events_total", agent="metering") + chance.randint(1, 12)
        wait_for(lambda some=some: copying.metric("wattloop_agent_events_total", agent="metering") >= some)
        copying.kill()
        if kill != 1:
            shutil.rmtree(tables(copying))
        copying.start()
    copying.send(messages[3 * quarter :])
    wait_until_stored_to_the_end(copying)
    copying.stop()

    assert_the_month_is_exact(copying)
    assert_no_window_is_stored_twice(copying)


def test_a_copy_ahead_of_its_changelog_is_removed_and_read_anew(copying: Pipeline) -> None:
    copying.start()
    run_until_some_checkpoints(copying, 4000, random.Random(4))
    copying.stop()
    partition = next(partition for partition, (end, _) in copied(copying, "metering").items() if end >= 0)
    database = Rdict(str(tables(copying) / f"metering-{partition}.db"), options=Options(raw_mode=True))
    database.put(LocalCopy.offset_key, b"1000000")
    database.put(b"a-site-the-changelog-lost", b"\0" * 20)
    database.close()

    copying.start()
    copying.stop()

    assert "local_copy_ahead_of_changelog_removed" in (copying.directory / "worker.log").read_text()
    assert b"a-site-the-changelog-lost" not in copied(copying, "metering")[partition][1]


def test_a_second_worker_on_the_same_directory_is_refused_with_a_sentence(copying: Pipeline) -> None:
    copying.start()
    second = Pipeline(copying.broker, copying.prefix, copying.directory, settings=dict(copying.settings))
    second.settings["WATTLOOP_CLICKHOUSE_URL"] = f"chdb://{copying.directory}/history-of-the-second"
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli.main", "worker"],
        env=second.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    copying.stop()

    assert done.returncode == 1
    assert "another worker has" in done.stderr.splitlines()[-1]
    assert "give each worker a data_dir of its own" in done.stderr
    assert "Traceback" not in done.stderr
