"""The replay: sends what the demo meters show to Kafka, faster than time until it has caught up with now.

Time and waiting are passed in, what is sent is a pure function of time (`recorded.py`), and the position only
moves on when the broker has acknowledged: a replay that is interrupted repeats readings and never skips one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Self

import polars as pl
from aiokafka import AIOKafkaProducer

from schemas.topics import METER_READINGS
from streams.broker import partition_for
from streams.demo.recorded import STEP_MS, readings_between

BATCH_MS = 86_400_000
LONGEST_NAP_S = 1.0  # a change of speed, of position or of the wall clock is noticed within this
SHORTEST_NAP_S = 0.05  # at high speed, several instants go out together instead of one by one
CLIENT_ID = "wattloop-replay"

Send = Callable[[pl.DataFrame], Awaitable[None]]


class Replay:
    """A run through the recorded loads.

    Parameters
    ----------
    start_ms
        The first instant to send. [ms since 1970 UTC]
    speed
        Event time per wall time until now is reached; from then on it is 1. [s/s]

    Attributes
    ----------
    sent
        Readings acknowledged so far.
    position_ms
        Everything before it has been sent. [ms since 1970 UTC]
    caught_up
        Whether the replay has reached now.

    Examples
    --------
    >>> hour_ms = 3_600_000
    >>> replay = Replay(start_ms=1_790_000_000_000, speed=3_600)
    >>> [len(batch) for batch in replay.batches(1_790_000_000_000, 1_790_000_000_000 + hour_ms)]
    [20]
    """

    def __init__(self, start_ms: int, speed: float) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, got {speed:g}")
        self.speed = speed
        self.sent = 0
        self.position_ms = start_ms
        self.caught_up = False
        self._event_ms = float(start_ms)
        self._going = asyncio.Event()
        self._going.set()
        self._sending = asyncio.Lock()

    def batches(self, from_ms: int, until_ms: int) -> Iterator[pl.DataFrame]:
        """Yield the readings of a period in event-time order, at most a day of them at a time.

        Parameters
        ----------
        from_ms, until_ms
            The period, its end not included. [ms since 1970 UTC]

        Yields
        ------
        pl.DataFrame
            Columns of `schemas.reading.FIELD`; never empty.
        """
        for start_ms in range(from_ms, until_ms, BATCH_MS):
            readings = readings_between(start_ms, min(start_ms + BATCH_MS, until_ms))
            if not readings.is_empty():
                yield readings

    async def run(
        self,
        send: Send,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Send readings until cancelled.

        Parameters
        ----------
        send
            Sends one batch and returns when all of it has been acknowledged.
        clock
            The wall clock. [s since 1970 UTC]
        sleep
            Waits for some seconds.
        """
        before_s = clock()
        while True:
            if not self._going.is_set():
                await self._going.wait()
                # A pause is no time in which the factories ran ahead of us.
                before_s = clock()
            now_s = clock()
            self._advance(now_s, max(0.0, now_s - before_s))
            before_s = now_s
            async with self._sending:
                await self._send_until(self._event_ms, send)
            await sleep(self._nap_s())

    async def pause(self) -> None:
        """Stop sending; returns when nothing is on its way any more."""
        self._going.clear()
        async with self._sending:
            return

    def resume(self) -> None:
        """Go on sending."""
        self._going.set()

    def rewind(self, position_ms: int) -> None:
        """Go back, to send again what a broker forgot; never forward. Only while paused.

        Parameters
        ----------
        position_ms
            The first instant to send again. [ms since 1970 UTC]
        """
        if self._going.is_set():
            raise RuntimeError("a running replay cannot be rewound: pause it first")
        if position_ms < self.position_ms:
            self.position_ms = position_ms
            self._event_ms = float(position_ms)
            self.caught_up = False

    def _advance(self, now_s: float, passed_s: float) -> None:
        now_ms = now_s * 1_000
        ahead_ms = self._event_ms + passed_s * 1_000 * self.speed
        self.caught_up = ahead_ms >= now_ms
        # A wall clock set back does not call back what has been sent.
        self._event_ms = max(self._event_ms, min(ahead_ms, now_ms))

    async def _send_until(self, event_ms: float, send: Send) -> None:
        if not self._going.is_set():
            return
        until_ms = int(event_ms) + 1
        if self._next_ms() >= until_ms:
            return
        for readings in self.batches(self.position_ms, until_ms):
            await send(readings)
            self.sent += len(readings)
            self.position_ms = int(readings["ts"][-1]) + 1
            if not self._going.is_set():
                return
        self.position_ms = until_ms

    def _next_ms(self) -> int:
        return -(-self.position_ms // STEP_MS) * STEP_MS

    def _nap_s(self) -> float:
        pace = 1.0 if self.caught_up else self.speed
        return min(max((self._next_ms() - self._event_ms) / 1_000 / pace, SHORTEST_NAP_S), LONGEST_NAP_S)


class FieldProducer:
    """Sends readings to the raw topic as meters in the field do: one JSON object per message.

    The key is the site, the partition is computed here and not by the client library, and the record
    timestamp is the event time.

    Parameters
    ----------
    bootstrap
        Where a broker is reached, as `host:port`.
    partitions
        Partitions of the topic.
    topic
        Full name of the topic.
    client_id
        A closed gate lets our own clients pass, by this name: pause the replay before a restart.
    """

    def __init__(
        self,
        bootstrap: str,
        partitions: int,
        topic: str = METER_READINGS.name,
        client_id: str = CLIENT_ID,
    ) -> None:
        self._partitions = partitions
        self._topic = topic
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, client_id=client_id, acks="all", linger_ms=5)

    async def __aenter__(self) -> Self:
        """Connect to the broker."""
        await self._producer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Flush and disconnect."""
        await self._producer.stop()

    async def send(self, readings: pl.DataFrame, topic: str | None = None) -> None:
        """Send readings in their order and wait until all are acknowledged; to another topic if one is named.

        Raises
        ------
        aiokafka.errors.KafkaError
            If a reading could not be delivered within the client's own retries.
        """
        keys = readings["site_id"].to_list()
        stamps = readings["ts"].to_list()
        acknowledgements = [
            await self._producer.send(
                self._topic if topic is None else topic,
                value=value,
                key=key.encode(),
                partition=partition_for(key, self._partitions),
                timestamp_ms=stamp,
            )
            for key, stamp, value in zip(keys, stamps, as_messages(readings), strict=True)
        ]
        await asyncio.gather(*acknowledgements)


def as_messages(readings: pl.DataFrame) -> list[bytes]:
    """Return each reading as a flat JSON object; registers a meter does not have are left out.

    Examples
    --------
    >>> as_messages(pl.DataFrame({"meter_id": ["main"], "ts": [0], "import_kwh": [1.25], "export_kwh": None}))
    [b'{"meter_id":"main","ts":0,"import_kwh":1.25}']
    """
    present = [name for name in readings.columns if readings[name].null_count() < len(readings)]
    return readings.select(present).write_ndjson().encode().splitlines()
