"""What a run of the benchmark costs is that of all its processes, also of those that its processes start."""

import sys
from pathlib import Path

import psutil

from bench.job.implementations import FLINK, IMPLEMENTATIONS, Place
from bench.job.processes import running, wait_for

BURNT_S = 0.2
HELD_MB = 40
# As PyFlink does: a command starts a Java machine, and that a worker.
WORKER = f"""
import threading, time
held = bytearray({HELD_MB} << 20)
while time.process_time() < {BURNT_S}:
    pass
print("burnt", flush=True)
threading.Event().wait()
"""
MIDDLE = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=False)"
FIRST = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=False)"
COMMAND = [sys.executable, "-c", FIRST, MIDDLE, WORKER]


def test_a_worker_of_a_process_of_a_process_is_counted_and_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running([COMMAND], [{}], log) as group:
        wait_for(lambda: "burnt" in log.read_text(), 30, "the worker has worked")
        found = group.all
        cost = group.cost()
        started = found[0]
        alone = psutil.Process(started.pid).cpu_times()
    assert len(found) == 3
    assert cost.cpu_s >= alone.user + alone.system + BURNT_S * 0.9
    assert cost.peak_mb > HELD_MB
    gone, alive = psutil.wait_procs(found, timeout=10)
    assert {process.pid for process in gone} == {process.pid for process in found}
    assert alive == []


def test_pyflink_runs_in_an_environment_of_its_own_with_its_jars(tmp_path: Path) -> None:
    (pyflink,) = [one for one in IMPLEMENTATIONS if one.name == "pyflink"]
    bench = Path(sys.executable)
    place = Place("127.0.0.1:1", "bench.", 4, 30, "json", 1, tmp_path, {}, 2, bench, bench)
    start = pyflink.start(place)
    (command,) = start.commands
    assert pyflink.environment == FLINK
    assert command[0] == str(FLINK / "bin/python")
    assert command[-2:] == [str(FLINK / "jars"), "2"]  # one cluster with two subtasks, not two clusters
    assert start.environments[0]["BENCH_JOB"] == str(tmp_path / "job.json")
