"""`wattloop topics`, `lag` and `doctor` on a real broker, as an operator runs them."""

import asyncio
import json
import subprocess
import sys
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from pipeline import PARTITIONS, Pipeline, as_json, wait_for

from schemas.topics import CATALOGUE
from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import month_readings

pytestmark = pytest.mark.integration

HOUR_MS = 3_600_000
CHANGELOGS = 8  # one for each agent
SHARED = [topic for topic in CATALOGUE if not topic.single_partition]


def run(pipeline: Pipeline, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "streams.cli.main", *arguments],
        env=pipeline.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def lag_of(pipeline: Pipeline, group: str, topic: str) -> dict[str, object]:
    document = json.loads(pipeline.command("lag", "--json"))
    wanted = (pipeline.prefix + group, pipeline.prefix + topic)
    return next(one for one in document["topics"] if (one["group"], one["topic"]) == wanted)


def findings(pipeline: Pipeline) -> dict[str, dict[str, str]]:
    examined = run(pipeline, "doctor", "--json")
    return {one["check"]: one for one in json.loads(examined.stdout)["findings"]}


def change_config(pipeline: Pipeline, topic: str, key: str, value: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=[pipeline.broker], client_id="wattloop-test")
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, pipeline.prefix + topic, {key: value})
        admin.alter_configs([resource], raise_on_unknown=False)
    finally:
        admin.close()


async def send(
    pipeline: Pipeline, topic: str, partition: int, stamps: list[int], headers: list[tuple[str, bytes]]
) -> None:
    """Send a record per timestamp, all of them in one batch."""
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.broker, acks="all")
    await producer.start()
    try:
        batch = producer.create_batch()
        for stamp in stamps:
            batch.append(key=None, value=b"{}", timestamp=stamp, headers=headers)
        await (await producer.send_batch(batch, pipeline.prefix + topic, partition=partition))
    finally:
        await producer.stop()


async def commit(pipeline: Pipeline, group: str, topic: str, partition: int, offset: int) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=pipeline.broker, group_id=pipeline.prefix + group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        place = TopicPartition(pipeline.prefix + topic, partition)
        consumer.assign([place])
        await consumer.commit({place: offset})
    finally:
        await consumer.stop()


def test_topics_are_planned_then_applied_then_as_planned(pipeline: Pipeline) -> None:
    before = run(pipeline, "topics", "plan")
    applied = run(pipeline, "topics", "apply")
    after = run(pipeline, "topics", "plan")

    assert before.returncode == 3, before.stderr
    assert f"{len(CATALOGUE) + CHANGELOGS} to create" in before.stdout
    assert applied.returncode == 0, applied.stderr
    assert after.returncode == 0, after.stdout
    assert "nothing to do" in after.stdout


def test_a_setting_somebody_changed_is_shown_and_put_back(pipeline: Pipeline) -> None:
    pipeline.command("topics", "apply")
    change_config(pipeline, "emissions.v1", "retention.bytes", "123456789")

    planned = run(pipeline, "topics", "plan")
    examined = findings(pipeline)
    applied = run(pipeline, "topics", "apply")

    assert planned.returncode == 3
    assert "emissions.v1  retention.bytes: 123456789 -> 1073741824" in planned.stdout
    assert examined["topics"]["level"] == "warn"
    assert applied.returncode == 0, applied.stderr
    assert run(pipeline, "topics", "plan").returncode == 0


def test_another_partition_count_is_refused_and_nothing_is_done(pipeline: Pipeline) -> None:
    pipeline.command("topics", "apply")
    change_config(pipeline, "registry.v1", "max.message.bytes", "2000000")

    planned = run(pipeline, "topics", "plan", "--partitions", str(2 * PARTITIONS))
    applied = run(pipeline, "topics", "apply", "--partitions", str(2 * PARTITIONS))

    assert planned.returncode == applied.returncode == 1
    assert f"have {PARTITIONS} partitions, but {2 * PARTITIONS} are configured" in planned.stdout
    assert "registry.v1  max.message.bytes: 2000000 -> 1048576" in run(pipeline, "topics", "plan").stdout


def test_lag_counts_every_record_of_a_batch_from_the_committed_offset(pipeline: Pipeline) -> None:
    pipeline.command("topics", "apply")
    now = int(time.time() * 1000)
    asyncio.run(send(pipeline, "telemetry.v1", 2, [now - 2 * HOUR_MS] * 4 + [now - HOUR_MS] * 6, []))
    asyncio.run(commit(pipeline, "wattloop", "telemetry.v1", 2, 4))

    agents = lag_of(pipeline, "wattloop", "telemetry.v1")
    history = lag_of(pipeline, "wattloop-history", "telemetry.v1")

    assert (agents["records"], history["records"]) == (6, 10)
    assert agents["seconds"] == pytest.approx(3600, abs=60)
    assert history["seconds"] == pytest.approx(7200, abs=60)


def test_lag_dates_event_time_records_by_the_arrival_of_what_they_were_made_from(pipeline: Pipeline) -> None:
    pipeline.command("topics", "apply")
    now = int(time.time() * 1000)
    asyncio.run(send(pipeline, "energy.v1", 1, [now - 3 * HOUR_MS, now - HOUR_MS], []))
    asyncio.run(send(pipeline, "emissions.v1", 1, [now - 900 * HOUR_MS], [("origin", b"1:1:0")]))

    lag = lag_of(pipeline, "wattloop-history", "emissions.v1")

    assert lag["records"] == 1
    assert lag["seconds"] == pytest.approx(3600, abs=60)


def test_lag_does_not_guess_when_what_a_record_was_made_from_is_gone(pipeline: Pipeline) -> None:
    pipeline.command("topics", "apply")
    now = int(time.time() * 1000)
    asyncio.run(send(pipeline, "energy.v1", 1, [now], []))
    asyncio.run(send(pipeline, "emissions.v1", 1, [now], []))

    assert lag_of(pipeline, "wattloop-history", "emissions.v1")["seconds"] is None


def test_doctor_looks_at_a_pipeline_that_runs_and_at_one_that_has_ended(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    pipeline.start()
    pipeline.send(as_json(month_readings(2026, 7).head(500)))
    wait_for(lambda: pipeline.metric("wattloop_sink_rows_total", table="readings") == 500)
    running = run(pipeline, "doctor", "--json")
    wait_for(lambda: lag_of(pipeline, "wattloop-ingest", "meter.readings.v1")["records"] == 0)
    pipeline.stop()
    ended = findings(pipeline)

    by_check = {one["check"]: one for one in json.loads(running.stdout)["findings"]}
    assert running.returncode == 0, running.stdout
    assert by_check["history"]["level"] == "warn"
    assert "open in another process" in by_check["history"]["sentence"]
    for check in ("broker", "topics", "co-partitioning", "retention", "registry"):
        assert by_check[check]["level"] == "ok", by_check[check]
    for check in ("history", "migrations", "dedup-windows"):
        assert ended[check]["level"] == "ok", ended[check]


def test_topics_of_a_former_partition_count_are_found_by_doctor(pipeline: Pipeline) -> None:
    pipeline.command("topics", "apply", "--partitions", "2")

    examined = run(pipeline, "doctor")

    assert examined.returncode == 1
    assert "fail  topics" in examined.stdout
    assert f"ok    co-partitioning   {len(SHARED) + CHANGELOGS} topics have 2 partitions each" in examined.stdout
