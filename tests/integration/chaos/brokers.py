"""Brokers for chaos: one for each schedule, and one that can be stopped and killed."""

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket

from pipeline import a_broker

ROOT = Path(__file__).resolve().parents[3]

# Below the range clients connect from: a client of a broker that is away could otherwise reach itself, and take the
# port the broker wants back.
_PORTS = range(20_000, 22_700)
_CONTROLLER_ABOVE = 10_000


class Broker:
    """A broker at `address`; `script` runs it, if it can be stopped."""

    def __init__(self, address: str, script: tuple[str, ...] | None = None) -> None:
        self.address = address
        self._script = script

    @property
    def keeps(self) -> bool:
        """Whether it can be restarted and keeps its topics."""
        return self._script is not None

    def stop(self) -> None:
        """Stop it cleanly."""
        self._run("stop")

    def kill(self) -> None:
        """SIGKILL it."""
        self._run("kill")

    def start(self) -> None:
        """Start it again."""
        for patience in (2, 1, 0):  # on a busy machine a start may fail, or its port not be free again
            try:
                self._run("start")
            except AssertionError:
                if not patience:
                    raise
                time.sleep(1)
            else:
                break

    def _run(self, verb: str) -> None:
        if self._script is None:
            raise ValueError("the embedded broker keeps nothing")
        script, *options = self._script
        done = subprocess.run([script, verb, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@contextmanager
def some_broker(kind: str, directory: Path) -> Iterator[Broker]:
    """Run a broker: `apache` is Apache Kafka 4, anything else the embedded one."""
    if kind != "apache":
        with a_broker() as address:
            yield Broker(address)
        return
    port = free_port()
    options = ("--data", str(directory / "kafka"), "--port", str(port))
    script = str(ROOT / "deploy/kafka/kafka")
    broker = Broker(f"127.0.0.1:{port}", (script, *options))
    try:
        broker.start()
        yield broker
    finally:
        subprocess.run([script, "kill", *options], check=False, capture_output=True)


def free_port() -> int:
    """Return a port that is free, with the one a controller takes."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        if all(map(_is_free, (port, port + _CONTROLLER_ABOVE))):
            return port


def _is_free(port: int) -> bool:
    with closing(socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
