"""Accounting on a real broker: it balances through a SIGKILL, and names what is missing when rows are deleted."""

import json
import subprocess
import sys

import polars as pl
import pytest
from chaos.wire import ends_of, has_committed
from hops import wait_until_stored_to_the_end
from pipeline import Pipeline, Raw, as_json, wait_for

from schemas.topics import ACCOUNTING, DEAD_LETTERS, EMISSIONS, ENERGY, TELEMETRY
from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import month_readings
from streams.topology import APP_ID

pytestmark = pytest.mark.integration

DAY_READINGS = 4 * 24 * 3
POISON = (b"not json at all", b'{"site_id": "zj-steel", "meter_id": "nobody", "ts": 1, "import_kwh": 1.0}', b"[1, 2]")


def account(pipeline: Pipeline, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Ask as an operator does, after the worker has ended."""
    command = [sys.executable, "-m", "streams.cli.main", "account", *arguments]
    return subprocess.run(command, env=pipeline.environment, capture_output=True, text=True, check=False)


def delete(pipeline: Pipeline, where: str) -> None:
    """Delete readings on purpose."""
    script = "import sys; from sinks.clickhouse.client import connect; connect(sys.argv[1]).command(sys.argv[2])"
    dsn = f"chdb://{pipeline.directory / 'data' / 'history'}"
    sql = f"ALTER TABLE readings DELETE WHERE {where} SETTINGS mutations_sync = 2"
    subprocess.run([sys.executable, "-c", script, dsn, sql], check=True)


def accounted(pipeline: Pipeline, station: str, *outcomes: str) -> float:
    """Return what the running worker has accounted for."""
    return sum(
        pipeline.metric("wattloop_accounted_rows_total", station=station, outcome=outcome) for outcome in outcomes
    )


def until_all_is_stored(pipeline: Pipeline) -> None:
    """Wait until the history has what is on the topics now, accounting last."""
    for topics in ((TELEMETRY, ENERGY, EMISSIONS, DEAD_LETTERS), (ACCOUNTING,)):
        ends = ends_of(pipeline.broker, [pipeline.prefix + topic.name for topic in topics])
        group = f"{pipeline.prefix}{APP_ID}-history"
        wait_for(lambda ends=ends, group=group: has_committed(pipeline.broker, group, ends))


def test_it_balances_through_a_kill_and_names_what_was_deleted(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    readings = month_readings(2026, 7).head(3 * DAY_READINGS)
    steel = readings.filter(pl.col("site_id") == "zj-steel")
    messages = as_json(readings)
    half = readings.height // 2
    for place in range(0, readings.height, 100):
        messages.insert(place, Raw("zj-steel", POISON[place // 100 % len(POISON)]))
    poisoned = len(messages) - readings.height
    pipeline.start()
    pipeline.send(messages[:half])
    wait_for(lambda: pipeline.metric("wattloop_sink_rows_total", table="readings") > 0)
    pipeline.kill()
    pipeline.start()
    pipeline.send(messages[half:])
    wait_until_stored_to_the_end(pipeline)
    pipeline.send(as_json(steel[10].with_columns(pl.col("ts") + 60_000)))
    wait_for(lambda: accounted(pipeline, "metering", "late") >= 1)
    until_all_is_stored(pipeline)
    refused = account(pipeline)
    pipeline.stop()

    assert refused.returncode == 1
    assert "is open in another process" in refused.stderr

    balanced = account(pipeline)
    assert balanced.returncode == 0, balanced.stdout
    assert (
        f"{len(messages) + 1:,} readings in = {readings.height + 1:,} accepted (1 of them late) + {poisoned} rejected"
        in balanced.stdout
    )
    document = json.loads(account(pipeline, "--json").stdout)
    assert (document["balances"], document["imbalances"], document["in_flight"]) == (True, [], [])

    place = pipeline.query(
        "SELECT raw_partition, raw_offset, topic_partition, topic_offset FROM readings ORDER BY written_at, raw_offset"
    ).row(5)
    delete(pipeline, f"raw_partition = {place[0]} AND raw_offset = {place[1]}")
    broken = account(pipeline, "--json")
    assert broken.returncode == 1
    raw, telemetry = json.loads(broken.stdout)["imbalances"]
    for one, topic, partition, offset in (
        (raw, "meter.readings.v1", *place[:2]),
        (telemetry, "telemetry.v1", *place[2:]),
    ):
        assert (one["topic"], one["partition"], one["said"] - one["found"]) == (topic, partition, 1)
        assert one["first_offset"] <= offset <= one["last_offset"]
    assert "IMBALANCE meter.readings.v1[" in account(pipeline).stdout
