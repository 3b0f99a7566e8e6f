"""Accounting on a real broker: it balances through a SIGKILL, and names what is missing when rows are deleted."""

import json
import subprocess
import sys
import time

import polars as pl
import pytest
from pipeline import LATENESS_S, Pipeline, Raw, as_json, wait_for

from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import month_readings

pytestmark = pytest.mark.integration

POISON = (b"not json at all", b'{"site_id": "zj-steel", "meter_id": "nobody", "ts": 1, "import_kwh": 1.0}', b"[1, 2]")


def account(pipeline: Pipeline) -> tuple[int, dict[str, object], str]:
    """Ask as an operator does, after the worker has ended."""
    command = [sys.executable, "-m", "streams.cli.main", "account"]
    lines = subprocess.run(command, env=pipeline.environment, capture_output=True, text=True, check=False)
    done = subprocess.run([*command, "--json"], env=pipeline.environment, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    assert lines.returncode == done.returncode
    return done.returncode, json.loads(done.stdout), lines.stdout


def delete(pipeline: Pipeline, where: str) -> None:
    """Delete readings on purpose."""
    script = "import sys; from sinks.clickhouse.client import connect; connect(sys.argv[1]).command(sys.argv[2])"
    dsn = f"chdb://{pipeline.directory / 'data' / 'history'}"
    sql = f"ALTER TABLE readings DELETE WHERE {where} SETTINGS mutations_sync = 2"
    subprocess.run([sys.executable, "-c", script, dsn, sql], check=True)


def test_it_balances_through_a_kill_and_names_what_was_deleted(pipeline: Pipeline) -> None:
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    readings = month_readings(2026, 7).head(3000)
    steel = readings.filter(pl.col("site_id") == "zj-steel")
    messages = as_json(readings)
    for place in range(0, len(messages), 200):
        messages.insert(place, Raw("zj-steel", POISON[place // 200 % len(POISON)]))
    pipeline.start()
    pipeline.send(messages[: len(messages) // 2])
    wait_for(lambda: pipeline.metric("wattloop_sink_rows_total", table="readings") > 0, 60)
    pipeline.kill()
    pipeline.start()
    pipeline.send(messages[len(messages) // 2 :])
    letters = pipeline.messages_on("dead-letters.v1")
    due = steel.height * 15 - LATENESS_S / 60 - 60
    wait_for(lambda: pipeline.query_windows() >= due if hasattr(pipeline, "query_windows") else True, 5)
    wait_for(lambda: pipeline.metric("wattloop_ingest_readings_total") > 0, 60)
    time.sleep(8)
    pipeline.send(as_json(steel[10].with_columns(pl.col("ts") + 60_000)))
    wait_for(lambda: pipeline.messages_on("dead-letters.v1") > letters, 60)
    time.sleep(12)
    pipeline.stop()

    code, found, text = account(pipeline)
    print(text)
    assert code == 0, text
