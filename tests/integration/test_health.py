"""`/livez` tells a worker that hangs from one that is idle or waits for the world; and every worker ends when asked."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pipeline import PARTITIONS, Pipeline, Raw, a_broker, free_port, wait_for

from schemas.topics import METER_READINGS
from streams.broker import changelog_topic, ensure_topics
from streams.demo import DEMO_REGISTRY
from streams.stopping import HARD_STOP
from streams.worker import SHUT_DOWN_S

pytestmark = pytest.mark.integration

RED_WITHIN_S = 60.0
DRAIN_S = 1.0
GRACE_S = DRAIN_S + SHUT_DOWN_S + 5.0
PLANTED = Path(__file__).with_name("planted_worker.py")
READING = b'{"site_id": "zj-steel", "meter_id": "main", "ts": %d, "import_kwh": %d}'


def health(pipeline: Pipeline, path: str) -> tuple[int, dict[str, dict[str, object]]]:
    """Return the status, and the checks that are not well."""
    status, text = pipeline.get(path)
    checks = json.loads(text)["checks"] if text else {}
    return status, {name: check for name, check in checks.items() if not check["well"]}


def plant(pipeline: Pipeline, kind: str) -> Path:
    """Start a worker in which a stall waits for its sign."""
    pipeline.settings["WATTLOOP_DRAIN_TIMEOUT_S"] = str(DRAIN_S)
    pipeline.command("registry", "apply", str(DEMO_REGISTRY))
    sign = pipeline.directory / "stall"
    with (pipeline.directory / "worker.log").open("ab") as log:
        pipeline.worker = subprocess.Popen(
            [sys.executable, str(PLANTED), kind, str(sign)], env=pipeline.environment, stdout=log, stderr=log
        )
    wait_for(lambda: pipeline.get("/readyz")[0] == 200, 60)
    return sign


@contextmanager
def readings_coming(pipeline: Pipeline) -> Iterator[None]:
    """Send a few readings each second, as the field does."""
    over = threading.Event()

    def send() -> None:
        number = 0
        while not over.wait(1.0):
            number += 1
            stamp = int(time.time() * 1000)
            pipeline.send([Raw("zj-steel", READING % (stamp, number))])

    field = threading.Thread(target=send, daemon=True)
    field.start()
    try:
        yield
    finally:
        over.set()
        field.join(30)


def turns_red_within_s(pipeline: Pipeline, check: str) -> float:
    started = time.monotonic()
    wait_for(lambda: check in health(pipeline, "/livez")[1], RED_WITHIN_S)
    return time.monotonic() - started


def ends_within_s(pipeline: Pipeline) -> tuple[int, float]:
    """SIGTERM; return the exit code and how long it took."""
    assert pipeline.worker is not None
    started = time.monotonic()
    pipeline.worker.send_signal(signal.SIGTERM)
    code = pipeline.worker.wait(GRACE_S)
    pipeline.worker = None
    return code, time.monotonic() - started


@pytest.mark.parametrize(
    ("kind", "check", "says"),
    [
        ("blocks", "event_loop", "event loop stalled for "),
        ("waits", "metering", "nothing was taken for "),
        ("history", "history", "nothing was taken for "),
        ("crashes", "metering_restarts", "metering was restarted 3 times within 300 s"),
    ],
)
def test_a_planted_stall_turns_livez_red_within_a_minute_and_sigterm_still_ends_it(
    pipeline: Pipeline, kind: str, check: str, says: str, record_property: Callable[[str, object], None]
) -> None:
    sign = plant(pipeline, kind)
    with readings_coming(pipeline):
        wait_for(lambda: pipeline.metric("wattloop_agent_events_total", agent="emissions") > 0, 30)
        assert health(pipeline, "/livez") == (200, {})
        sign.touch()
        red_after_s = turns_red_within_s(pipeline, check)
        _, wrong = health(pipeline, "/livez")
    record_property("red_after_s", round(red_after_s, 1))
    assert says in str(wrong[check]["reason"])
    assert pipeline.metric("wattloop_health_ok", probe="livez", check=check) == 0
    code, seconds = ends_within_s(pipeline)
    record_property("ended_after_s", round(seconds, 1))
    if kind in {"blocks", "history"}:
        assert code == HARD_STOP
        assert "worker_did_not_stop_in_time" in pipeline.log()


def test_a_signal_is_heard_while_the_main_thread_is_in_a_call_that_does_not_return(pipeline: Pipeline) -> None:
    sign = plant(pipeline, "masked")
    sign.touch()
    wait_for(lambda: "ran 3 s ago" in pipeline.get("/livez")[1], 30)
    code, _ = ends_within_s(pipeline)
    assert code == HARD_STOP


def test_a_worker_in_which_faust_crashes_ends_by_itself_and_its_successor_loses_nothing(pipeline: Pipeline) -> None:
    sign = plant(pipeline, "faust crashes")
    with readings_coming(pipeline):
        wait_for(lambda: pipeline.metric("wattloop_agent_events_total", agent="emissions") > 0, 30)
        sign.touch()
        assert pipeline.worker is not None
        code = pipeline.worker.wait(GRACE_S)
        pipeline.worker = None
    assert (code, "worker_stopped_by_a_bug" in pipeline.log()) == (1, True)
    pipeline.start()
    pipeline.stop()
    assert pipeline.imbalances() == []


def test_an_idle_worker_stays_green(pipeline: Pipeline) -> None:
    pipeline.start()
    idle_until = time.monotonic() + RED_WITHIN_S
    while time.monotonic() < idle_until:
        assert health(pipeline, "/livez") == (200, {})
        threading.Event().wait(2.0)
    assert health(pipeline, "/readyz") == (200, {})
    pipeline.stop()


def test_a_broker_that_went_away_is_not_ready_but_alive_and_sigterm_ends_the_worker(tmp_path: Path) -> None:
    with a_broker() as address:
        pipeline = Pipeline(address, "away.", tmp_path, settings={"WATTLOOP_DRAIN_TIMEOUT_S": str(DRAIN_S)})
        pipeline.start()
    try:
        wait_for(lambda: "broker" in health(pipeline, "/readyz")[1], 30)
        away_until = time.monotonic() + 75.0
        while time.monotonic() < away_until:
            assert health(pipeline, "/livez") == (200, {})
            threading.Event().wait(3.0)
        assert pipeline.metric("wattloop_broker_away_seconds") > 60
        code, _ = ends_within_s(pipeline)
        assert code in {0, HARD_STOP}
    finally:
        pipeline.kill()


def test_a_worker_that_waits_for_its_broker_says_so_and_ends_on_sigterm(tmp_path: Path) -> None:
    pipeline = Pipeline(f"127.0.0.1:{free_port()}", "", tmp_path, settings={"WATTLOOP_DRAIN_TIMEOUT_S": str(DRAIN_S)})
    pipeline.launch()
    try:
        wait_for(lambda: "broker" in health(pipeline, "/readyz")[1], 60)
        assert pipeline.get("/livez")[0] == 200
        code, seconds = ends_within_s(pipeline)
        assert (code, seconds < 15.0) == (0, True)
    finally:
        pipeline.kill()


def test_a_history_store_that_accepts_and_never_answers_is_not_ready_but_alive(broker: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            "WATTLOOP_DRAIN_TIMEOUT_S": str(DRAIN_S),
            "WATTLOOP_CLICKHOUSE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/energy",
        }
        pipeline = Pipeline(broker, "silent.", tmp_path, settings=settings)
        pipeline.launch()
        try:
            wait_for(lambda: "history_store" in health(pipeline, "/readyz")[1], 60)
            assert pipeline.get("/livez")[0] == 200
            code, _ = ends_within_s(pipeline)
            assert code in {0, HARD_STOP}
        finally:
            pipeline.kill()


def refusal(pipeline: Pipeline) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli.main", "worker"],
        env=pipeline.environment | {"WATTLOOP_LOG_LEVEL": "error"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


def test_another_partition_count_is_refused_with_a_sentence(pipeline: Pipeline) -> None:
    ensure_topics(f"kafka://{pipeline.broker}", pipeline.prefix, PARTITIONS, 1, ())
    pipeline.settings["WATTLOOP_PARTITIONS"] = str(PARTITIONS + 2)
    code, said = refusal(pipeline)
    assert code == 2
    assert len(said.strip().splitlines()) == 1, said
    assert f"topic {pipeline.prefix}{METER_READINGS.name} has {PARTITIONS} partitions, but {PARTITIONS + 2} are" in said
    assert "set partitions to what the topics have" in said


def test_a_changelog_that_is_not_co_partitioned_is_refused_with_a_sentence(pipeline: Pipeline) -> None:
    name = changelog_topic(pipeline.prefix, "wattloop", "metering")
    ensure_topics(f"kafka://{pipeline.broker}", pipeline.prefix, PARTITIONS + 1, 1, [name])
    ensure_topics(f"kafka://{pipeline.broker}", "other.", PARTITIONS, 1, ())
    pipeline.settings["WATTLOOP_PARTITIONS"] = str(PARTITIONS)
    code, said = refusal(pipeline)
    assert code == 2
    assert f"topic {name} has {PARTITIONS + 1} partitions, but {PARTITIONS} are configured" in said
