"""The worker of `wattloop run`: a process of its own, the same one production runs."""

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp

from streams.embedded.leash import Leash
from streams.settings import Settings, environment_name

READY_WITHIN_S = 60.0


class WorkerFailed(Exception):
    """The worker ended or did not get ready; the message holds the end of its log."""


def worker_environment(
    settings: Settings, overrides: Mapping[str, object], environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment that gives a worker these settings; secrets travel here, not on a command line."""
    values = {**settings.model_dump(mode="json"), **overrides}
    ours = {environment_name(name): _text(value) for name, value in values.items() if value is not None}
    ours.pop(environment_name("config"), None)
    inherited = {name: value for name, value in environ.items() if not name.startswith("WATTLOOP_")}
    return {**inherited, **ours}


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


class WorkerProcess:
    """One worker process at a time.

    Parameters
    ----------
    environment
        Its environment.
    log_path
        Where its log goes.
    admin
        Base address of its admin port.
    """

    def __init__(self, environment: Mapping[str, str], log_path: Path, admin: str) -> None:
        self._environment = dict(environment)
        self._log_path = log_path
        self._admin = admin
        self._process: asyncio.subprocess.Process | None = None
        self._leash: Leash | None = None

    @property
    def exit_code(self) -> int | None:
        """How the process ended; None while it runs."""
        return self._process.returncode if self._process is not None else None

    async def start(self) -> None:
        """Start and wait until it is ready.

        Raises
        ------
        WorkerFailed
            If it ends or is not ready in time.
        """
        with self._log_path.open("ab") as log:
            # A session of its own: Ctrl-C is for the supervisor, which stops things in the right order.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "streams.cli.main",
                "worker",
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._leash = await Leash.to(self._process.pid)
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while not await self._ready():
                    if self._process.returncode is not None:
                        raise WorkerFailed(f"the worker ended while starting:\n{self.log_tail()}")
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            await self.kill()
            raise WorkerFailed(f"the worker was not ready within {READY_WITHIN_S:g} s:\n{self.log_tail()}") from error

    async def stop(self, within_s: float) -> bool:
        """Ask it to end; return whether it ended cleanly in time. It is killed otherwise."""
        if self._process is None:
            return True
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), within_s)
        except TimeoutError:
            await self.kill()
        clean = self._process.returncode == 0
        await self._drop_leash()
        return clean

    async def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._drop_leash()

    async def wait(self) -> int:
        """Wait until it ends; return how."""
        if self._process is None:
            raise WorkerFailed("the worker was not started")
        return await self._process.wait()

    def log_tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        try:
            text = self._log_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    async def _ready(self) -> bool:
        try:
            timeout = aiohttp.ClientTimeout(total=1.0)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self._admin}/readyz") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _drop_leash(self) -> None:
        if self._leash is not None:
            await self._leash.drop()
            self._leash = None
