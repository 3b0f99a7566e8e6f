"""Several worker processes from one command share the work, answer on one port, and end together."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.histories import a_history
from hops import wait_until_stored_to_the_end
from pipeline import LATENESS_S, PARTITIONS, Pipeline, as_json, wait_for
from test_month import MONTH, YEAR, assert_no_window_is_stored_twice, assert_the_month_is_exact

from streams.demo import DEMO_REGISTRY
from streams.demo.recorded import month_readings

pytestmark = pytest.mark.integration

BOTH = {"0", "1"}


@pytest.fixture
def two(pipeline: Pipeline, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline of two processes, on a history that is a server."""
    pipeline.arguments = ("--processes", "2")
    pipeline.settings["WATTLOOP_STATE_STORE"] = "rocksdb"
    pipeline.settings["WATTLOOP_INSTANCE_ID"] = "node-a"
    directory = tmp_path / "server"
    directory.mkdir()
    with a_history(directory) as history:
        pipeline.history = history.url
        pipeline.command("registry", "apply", str(DEMO_REGISTRY))
        yield pipeline
        pipeline.kill()


def log_lines(pipeline: Pipeline, event: str) -> list[dict[str, object]]:
    lines = (pipeline.directory / "worker.log").read_text().splitlines()
    return [found for line in lines if line.startswith("{") and (found := json.loads(line))["event"] == event]


def pids(pipeline: Pipeline) -> list[int]:
    return [int(str(line["pid"])) for line in log_lines(pipeline, "process_started")]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_two_processes_share_the_partitions_and_the_month_is_exact(two: Pipeline) -> None:
    two.start()
    wait_for(lambda: shared_out(two))
    two.send(as_json(month_readings(YEAR, MONTH, extra_s=2 * LATENESS_S)))
    wait_until_stored_to_the_end(two)
    checks = json.loads(two.get("/livez")[1])["checks"]
    two.stop()

    assert {name.partition("/")[0] for name in checks} == BOTH
    assert {str(line["process_number"]) for line in log_lines(two, "worker_stopped")} == BOTH
    assert_the_month_is_exact(two)
    assert_no_window_is_stored_twice(two)


def shared_out(pipeline: Pipeline) -> bool:
    """Whether each process has some partitions of the agents' group, and both together have all."""
    held = [pipeline.metric("wattloop_station_partitions", station="metering", process=process) for process in BOTH]
    return min(held) > 0 and sum(held) == PARTITIONS


def test_when_a_process_dies_the_others_end_and_the_command_says_which_and_fails(two: Pipeline) -> None:
    two.start()
    [_, second] = pids(two)
    os.kill(second, signal.SIGKILL)

    assert two.worker is not None
    assert two.worker.wait(60) != 0
    [line] = log_lines(two, "process_ended")
    assert (line["process_number"], line["exit_code"]) == (1, -signal.SIGKILL)
    assert not any(is_running(pid) for pid in pids(two))


def test_processes_do_not_outlive_a_command_that_is_killed(two: Pipeline) -> None:
    two.start()
    two.kill()

    wait_for(lambda: not any(is_running(pid) for pid in pids(two)), 10)
