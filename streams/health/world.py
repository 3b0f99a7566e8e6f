"""Whether the broker and the history store answer, asked beside the pipeline and never by a probe.

The clients of the pipeline learn slowly that a server is gone (a produce request waits 40 s, a query 300 s), and until
then a worker that waits for the world looks like one that hangs. So a small question goes out every few seconds, on a
thread and connections of its own: ApiVersions to the broker, `/ping` to ClickHouse. It also goes out while the event
loop of the pipeline stands still.
"""

import asyncio
import logging
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from streams.embedded.wire import MOST_REQUEST_BYTES, request

log = logging.getLogger(__name__)

ASK_EVERY_S = 3.0
ANSWER_WITHIN_S = 3.0
AWAY_AFTER_S = 9.0  # one lost answer is no absence
RETURNING_S = 60.0  # what clients may take to notice that it is back
_API_VERSIONS = 18
_SIZE = struct.Struct(">i")
_DEFAULT_PORTS = {"http": 8123, "https": 8443}
_AWAY_STATUS = 500


@dataclass(slots=True)
class Contact:
    """What is known of one server of the world.

    Parameters
    ----------
    name
        What it is called.
    since
        When it was first asked. [s]

    Examples
    --------
    >>> broker = Contact("the broker", since=0.0)
    >>> broker.asked(True, now=1.0)
    >>> broker.excuse(now=2.0)
    ''
    >>> broker.asked(False, now=12.0)
    >>> broker.excuse(now=12.0), broker.away_s(now=12.0)
    ('the broker has not answered for 11 s', 11.0)
    >>> broker.asked(True, now=30.0)
    >>> broker.excuse(now=40.0), broker.away_s(now=40.0), broker.excuse(now=90.0)
    ('the broker came back 10 s ago', 0.0, '')
    """

    name: str
    since: float
    _answered_at: float = field(init=False)
    _answered: bool = True
    _returned_at: float | None = None

    def __post_init__(self) -> None:
        """Begin as if it had answered."""
        self._answered_at = self.since

    def asked(self, answered: bool, now: float) -> None:
        """Note whether it answered."""
        if answered:
            if not self._answered and now - self._answered_at >= AWAY_AFTER_S:
                self._returned_at = now
                log.info("answers_again", extra={"server": self.name, "after_s": round(now - self._answered_at, 1)})
            self._answered_at = now
        elif self._answered:
            log.info("does_not_answer", extra={"server": self.name})
        self._answered = answered

    def away_s(self, now: float) -> float:
        """Return how long it has been away, 0 if it answers. [s]"""
        silent_s = now - self._answered_at
        return silent_s if not self._answered and silent_s >= AWAY_AFTER_S else 0.0

    def excuse(self, now: float) -> str:
        """Return why what depends on it may stand still; nothing if it may not."""
        if (away_s := self.away_s(now)) > 0:
            return f"{self.name} has not answered for {away_s:.0f} s"
        if self._returned_at is not None and now - self._returned_at < RETURNING_S:
            return f"{self.name} came back {now - self._returned_at:.0f} s ago"
        return ""


class World:
    """The broker and the history store, as seen from beside the pipeline.

    Parameters
    ----------
    brokers
        `host:port` of the brokers; one that answers is enough.
    clickhouse_dsn
        The history store; an embedded one is not asked, it is in this process.
    clock
        The clock. [s]
    """

    def __init__(
        self, brokers: Sequence[str], clickhouse_dsn: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._addresses = [_host_and_port(one) for one in brokers]
        self._ping = ping_url(clickhouse_dsn)
        self.broker = Contact("the broker", clock())
        self.history = Contact("the history store", clock())

    async def watch(self) -> None:
        """Ask until cancelled."""
        await asyncio.gather(
            self._ask(self.broker, self._broker_answers), self._ask(self.history, self._history_answers)
        )

    async def _ask(self, contact: Contact, answers: Callable[[], Awaitable[bool]]) -> None:
        while True:
            answered = False
            with suppress(OSError, EOFError, TimeoutError, aiohttp.ClientError):
                answered = await asyncio.wait_for(answers(), ANSWER_WITHIN_S)
            contact.asked(answered, self._clock())
            await asyncio.sleep(ASK_EVERY_S)

    async def _broker_answers(self) -> bool:
        asking = [asyncio.ensure_future(broker_answers(*address)) for address in self._addresses]
        try:
            for one in asyncio.as_completed(asking):
                with suppress(OSError, EOFError):
                    if await one:
                        return True
            return False
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _history_answers(self) -> bool:
        if self._ping is None:
            return True
        # No certificate is needed to learn that somebody answers, and nothing secret is sent.
        connector = aiohttp.TCPConnector(ssl=False)
        async with aiohttp.ClientSession(connector=connector) as session, session.get(self._ping) as answer:
            return answer.status < _AWAY_STATUS


async def broker_answers(host: str, port: int) -> bool:
    """Ask a broker for the versions it speaks: the one question every broker answers without looking anything up.

    Parameters
    ----------
    host, port
        Where it listens.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request(_API_VERSIONS, 0, 1, "wattloop-health", b""))
        await writer.drain()
        (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
        if not 0 < size <= MOST_REQUEST_BYTES:
            return False
        await reader.readexactly(size)
        return True
    finally:
        writer.close()


def ping_url(dsn: str) -> str | None:
    """Return where ClickHouse answers without a password, None for an embedded one.

    Examples
    --------
    >>> ping_url("https://loop:secret@db.example/energy"), ping_url("http://db.example:80/energy")
    ('https://db.example:8443/ping', 'http://db.example:80/ping')
    >>> ping_url("chdb:///var/lib/wattloop/history") is None
    True
    """
    parts = urlsplit(dsn)
    if parts.scheme not in _DEFAULT_PORTS:
        return None
    host = parts.hostname or ""
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}:{parts.port or _DEFAULT_PORTS[parts.scheme]}/ping"


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
