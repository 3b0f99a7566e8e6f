"""Processes of a run: what they are, what they cost, and that none of them outlives it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]

_AFTERWARDS = 'while kill -0 "$1" 2>&-; do sleep 1; done; shift; exec "$@"'


class NotInTimeError(Exception):
    """Something did not happen in its time."""


class EndedError(Exception):
    """A process ended that should run."""


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(happened: Callable[[], bool], within_s: float, what: str, every_s: float = 0.05) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > deadline:
            raise NotInTimeError(f"{what}: not within {within_s:g} s")
        time.sleep(every_s)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time and peak memory of some processes together."""

    cpu_s: float
    peak_mb: float


class Group:
    """One or several processes and all their children."""

    def __init__(self, processes: Sequence[psutil.Process], log: Path | None = None) -> None:
        self._roots = list(processes)
        self._log = log

    @property
    def all(self) -> list[psutil.Process]:
        """The processes that live."""
        found = []
        for root in self._roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [root, *root.children(recursive=True)]
        return found

    def check(self) -> None:
        """Raise when one of them ended."""
        for root in self._roots:
            if not root.is_running() or root.status() == psutil.STATUS_ZOMBIE:
                tail = "" if self._log is None else self._log.read_text(errors="replace")[-3000:]
                raise EndedError(f"process {root.pid} ended; its last words:\n{tail}")

    def hold(self) -> None:
        """Stop them where they are."""
        for process in self.all:
            process.send_signal(signal.SIGSTOP)

    def go(self) -> None:
        """Let them go on."""
        for process in self.all:
            process.send_signal(signal.SIGCONT)

    def cost(self) -> Cost:
        """Return what they have cost so far."""
        cpu_s, peak_kb = 0.0, 0
        for process in self.all:
            with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                times = process.cpu_times()
                cpu_s += times.user + times.system
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak_kb += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return Cost(cpu_s, peak_kb / 1024)


@contextlib.contextmanager
def _when_the_bench_is_killed(*command: str) -> Iterator[None]:
    """Have somebody at hand who runs a command if the bench ends in a way that it cannot handle itself."""
    guard = subprocess.Popen(
        ["sh", "-c", _AFTERWARDS, "guard", str(os.getpid()), *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()


@contextlib.contextmanager
def running(commands: Sequence[Sequence[str]], environments: Sequence[Mapping[str, str]], log: Path) -> Iterator[Group]:
    """Run processes, in a session of their own, and kill them and their children in the end."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        with log.open("ab") as target:
            for command, environment in zip(commands, environments, strict=True):
                started.append(
                    subprocess.Popen(
                        list(command),
                        cwd=ROOT,
                        env={**os.environ, **environment},
                        stdout=target,
                        stderr=target,
                        start_new_session=True,
                    )
                )
        groups = [f"-{one.pid}" for one in started]
        with _when_the_bench_is_killed("kill", "-KILL", "--", *groups):
            yield Group([psutil.Process(one.pid) for one in started], log)
    finally:
        for one in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()


@contextlib.contextmanager
def a_history(directory: Path, python: Path) -> Iterator[tuple[int, Group]]:
    """Run the embedded ClickHouse engine as a server; yield its port and its process.

    The server is that of the integration tests: it stands for a ClickHouse server in both.
    """
    port = free_port()
    script = ROOT / "tests/integration/history_server.py"
    command = [str(python), str(script), "--path", str(directory / "tables"), "--port", str(port)]

    def answers() -> bool:
        group.check()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with running([command], [{}], directory / "history.log") as group:
        wait_for(answers, 60, "the history answers")
        yield port, group


@contextlib.contextmanager
def a_kafka(directory: Path, port: int) -> Iterator[tuple[str, Group]]:
    """Run an Apache Kafka; yield its address and its process."""
    script = [str(ROOT / "deploy/kafka/kafka")]
    place = ["--data", str(directory)]
    subprocess.run(
        [*script, "start", *place, "--port", str(port), "--heap-mb", "1024"], check=True, stdout=subprocess.DEVNULL
    )
    try:
        pid = int((directory / "kafka.pid").read_text())
        with _when_the_bench_is_killed(*script, "kill", *place):
            yield f"127.0.0.1:{port}", Group([psutil.Process(pid)])
    finally:
        subprocess.run([*script, "stop", *place], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
