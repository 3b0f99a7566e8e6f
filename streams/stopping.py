"""Stopping: signals are heard while the event loop stands still, and a hard stop ends what does not end by itself.

Python runs signal handlers between two steps of the main thread, and the event loop delivers them in between two of
its own: a loop that stands still hears no SIGTERM. The interpreter does write the number of a signal to a file
descriptor at once, whatever the main thread does, and a thread of our own reads it here.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

log = logging.getLogger(__name__)

HARD_STOP = 3  # exit code
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOG_WITHIN_S = 1.0


class Stopping:
    """Hears SIGTERM and SIGINT, and gives stopping a time limit.

    Parameters
    ----------
    within_s
        How long the process may take from the first signal, or from `begin`, to its end. [s]
    on_signal
        Called in the event loop.
    on_hard_stop
        Called in a thread just before the process is ended hard; it may fail or hang.
    """

    def __init__(self, within_s: float, on_signal: Callable[[], None], on_hard_stop: Callable[[], None]) -> None:
        self._within_s = within_s
        self._on_signal = on_signal
        self._on_hard_stop = on_hard_stop
        self._begun = threading.Lock()
        self._reading, self._writing = socket.socketpair()

    def listen(self) -> None:
        """Hear signals from now on; call it in the main thread, in the event loop that shall stop."""
        loop = asyncio.get_running_loop()
        self._writing.setblocking(False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)  # what to do is decided in the thread
        signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._hear, args=(loop,), name="stopping", daemon=True).start()

    def begin(self) -> None:
        """Start the time limit; only the first call counts."""
        if self._begun.acquire(blocking=False):
            timer = threading.Timer(self._within_s, self._end)
            timer.daemon = True
            timer.start()

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        while numbers := self._reading.recv(64):
            if not {signal.Signals(one) for one in numbers}.isdisjoint(_SIGNALS):
                self.begin()
                with suppress(RuntimeError):  # the loop is closed: it has stopped already
                    loop.call_soon_threadsafe(self._on_signal)

    def _end(self) -> None:
        # A hanging thread may hold the lock of the log, so that is not waited for.
        telling = threading.Thread(target=self._tell, daemon=True)
        telling.start()
        telling.join(_LOG_WITHIN_S)
        os._exit(HARD_STOP)

    def _tell(self) -> None:
        log.error("worker_did_not_stop_in_time", extra={"within_s": self._within_s, "exit_code": HARD_STOP})
        self._on_hard_stop()
        faulthandler.dump_traceback(sys.stderr)
