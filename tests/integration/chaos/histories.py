"""A history for chaos: one for all workers, and one that can be stopped, killed and frozen like a server."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from chaos.brokers import free_port
from pipeline import wait_for

_SERVER = Path(__file__).resolve().parents[1] / "history_server.py"


class History:
    """The embedded engine behind HTTP."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its DSN."""
        return f"http://127.0.0.1:{self._port}/wattloop"

    def start(self) -> None:
        """Start it, on what it held before."""
        command = [sys.executable, str(_SERVER), "--path", str(self._directory / "tables"), "--port", str(self._port)]
        with (self._directory / "history.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._answers, 60)

    def kill(self) -> None:
        """SIGKILL it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP it: connections stay open, and no answer comes."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def a_history(directory: Path) -> Iterator[History]:
    """Run a history in a directory."""
    history = History(directory)
    history.start()
    try:
        yield history
    finally:
        history.kill()
