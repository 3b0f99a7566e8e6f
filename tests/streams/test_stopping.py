"""A process with a time limit for its end, as a process of its own."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.stopping import HARD_STOP

HEARS = """
import asyncio, sys, threading, time
from streams import logs
from streams.stopping import Stopping
logs.configure("info", "json")

async def main():
    stop = asyncio.Event()
    stopping = Stopping(float(sys.argv[2]), stop.set, lambda: print("told", flush=True))
    stopping.listen()
    print("ready", flush=True)
    if sys.argv[1] == "blocked":
        threading.Event().wait()
    if sys.argv[1] == "begun":
        stopping.begin()
        await asyncio.Event().wait()
    await stop.wait()
    if sys.argv[1] == "late":
        await asyncio.Event().wait()
    if sys.argv[1] == "log-held":
        import logging
        logging.getLogger().handlers[0].acquire()
        time.sleep(60)

%s
"""
LOOPS = {
    "asyncio": "asyncio.run(main())",
    "uvloop": "from streams.cli.loop import run_loop; run_loop(main())",
}


@contextmanager
def started(kind: str, within_s: float, loop: str = "uvloop") -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", HEARS % LOOPS[loop], kind, str(within_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("loop", list(LOOPS))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_loop_that_runs_hears_the_signal_and_ends_by_itself(loop: str, number: signal.Signals) -> None:
    with started("well", 20.0, loop) as process:
        process.send_signal(number)

        assert process.wait(15) == 0


@pytest.mark.parametrize("loop", list(LOOPS))
@pytest.mark.parametrize("kind", ["blocked", "late"])
def test_what_does_not_end_is_ended_in_time_and_the_stacks_say_where_it_hung(kind: str, loop: str) -> None:
    with started(kind, 0.3, loop) as process:
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=15)

        assert process.returncode == HARD_STOP
        assert time.monotonic() - asked >= 0.3
        assert out == "told\n"
        line, *stacks = err.splitlines()
        said = json.loads(line)
        assert (said["event"], said["exit_code"]) == ("worker_did_not_stop_in_time", HARD_STOP)
        assert any("in main" in frame for frame in stacks) or kind == "late"


def test_a_held_lock_of_the_log_does_not_keep_it_alive() -> None:
    with started("log-held", 0.3) as process:
        process.send_signal(signal.SIGTERM)

        assert process.wait(15) == HARD_STOP


def test_a_limit_that_was_begun_without_a_signal_counts_too() -> None:
    with started("begun", 0.3) as process:
        assert process.wait(15) == HARD_STOP
