"""A leash: ends another process when this one is gone, however it went."""

import asyncio
from contextlib import suppress


class Leash:
    """Kills a process as soon as the process that holds the leash is gone.

    The kernel closes our end of a pipe however we die, SIGKILL included, on Linux and macOS alike; `read` then returns
    and the other process goes too. PR_SET_PDEATHSIG is Linux only and needs code between fork and exec, which is unsafe
    in a process with threads (polars, ClickHouse).

    Parameters
    ----------
    process
        The watching shell.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def to(cls, pid: int) -> "Leash":
        """Put a process on a leash."""
        return cls(
            await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                'read -r _; kill -9 "$1" 2>/dev/null',
                "wattloop-leash",
                str(pid),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    async def drop(self) -> None:
        """Let the process live on by itself."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
