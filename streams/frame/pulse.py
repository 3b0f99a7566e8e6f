"""The pulse: notices that this process stood still for longer than its group waits for a member.

A worker that was paused (SIGSTOP, a frozen virtual machine, a stall) has been replaced without knowing. What it would
write to its changelog then is old, and newer than what its successor wrote: the one thing that stamps cannot mend.
So it must not write: it stops, and starts anew as a member of its group.
"""

import asyncio
import time
from collections.abc import Callable

BEAT_S = 0.25


class StoodStill(Exception):
    """The process was paused for longer than a member of its group may be silent."""


class Pulse:
    """Beats while the event loop runs.

    Parameters
    ----------
    limit_s
        How long a member may be silent before it is replaced. [s]
    clock
        A clock that goes on while the process stands still. [s]

    Examples
    --------
    >>> now = 0.0
    >>> pulse = Pulse(6.0, clock=lambda: now)
    >>> pulse.check()
    >>> now = 7.0
    >>> pulse.check()
    Traceback (most recent call last):
    ...
    streams.frame.pulse.StoodStill: stood still for 7.0 s, a member of the group is replaced after 6 s
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._last = clock()

    def check(self) -> None:
        """Raise if too much time has passed since the last beat.

        Raises
        ------
        StoodStill
            When this process may have been replaced.
        """
        silent_s = self._clock() - self._last
        if silent_s >= self._limit_s:
            limit = f"a member of the group is replaced after {self._limit_s:g} s"
            raise StoodStill(f"stood still for {silent_s:.1f} s, {limit}")

    def beat(self) -> None:
        """Check, then note that the process runs."""
        self.check()
        self._last = self._clock()

    async def run(self) -> None:
        """Beat until cancelled, or until the process stood still."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_S)
