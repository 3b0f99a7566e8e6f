"""The ingest service: polls the field's topic, decodes, validates, re-batches by partition, stamps time.

What a poll caused is acknowledged by the broker before the next poll is sent, and offsets are committed after that. So
after a kill the same readings may be sent twice but never out of order, and everyone downstream drops what it has seen.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from mode import Service

from schemas.flow import Kind
from schemas.reading import TELEMETRY_ROWS
from schemas.rejection import Reason
from schemas.topics import DEAD_LETTERS, METER_READINGS, TELEMETRY
from streams.frame.codec import (
    BATCH_ROWS,
    Envelope,
    Headers,
    Origin,
    batch_value,
    control_headers,
    record_value,
)
from streams.frame.letters import headers_of
from streams.health.behind import Place, Reach
from streams.ingest.decode import Decoded, RawMessage, decode, original_row
from streams.ingest.limit import RejectionLimit
from streams.ingest.validate import Bounds, Validated, known_meters, validate
from streams.leaving import leave
from streams.metrics import METRICS
from streams.registry_topic import RegistryView
from streams.settings import Settings, broker_addresses

log = logging.getLogger(__name__)

TICK_MS = 1000
_TICK_OVERDUE_MS = 10_000
_POLL_RECORDS = 100_000
_LINGER_S = 0.05
_RETRY_S = 1.0
_CREATE_TIME = 0  # the record's timestamp is the sender's, so it says nothing about arrival


@dataclass(slots=True)
class _Progress:
    """What ticks need to know of one partition."""

    arrived_at: int = 0  # of the newest message passed on
    ticked_at: int = 0
    position: int | None = None


@dataclass(frozen=True, slots=True)
class _Letter:
    """A dead letter and its place in the raw topic: partition, offset, index."""

    reason: Reason
    place: tuple[int, int, int]
    envelope: Envelope


class Ingest(Service):
    """Ingest of one worker.

    Parameters
    ----------
    settings
        Where the broker is, and the allowances.
    registry
        The live registry.
    group
        Consumer group.
    kafka_url
        The broker.
    on_bug
        Called with an error that must stop the worker.
    """

    def __init__(
        self,
        settings: Settings,
        registry: RegistryView,
        group: str,
        kafka_url: str,
        on_bug: Callable[[BaseException], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._on_bug = on_bug
        self._settings = settings
        self._registry = registry
        self._topic = settings.topic_prefix + METER_READINGS.name
        self._bounds = Bounds(settings.future_allowance_s * 1000, settings.too_old_s * 1000)
        self._limit = RejectionLimit(settings.rejection_limit_share, settings.rejection_limit_count)
        self._meters = known_meters((), settings.partitions)
        self._meters_version = -1
        self._announced: dict[tuple[int, str], int] = {}
        self._progress: dict[int, _Progress] = {}
        self._passed_on: dict[TopicPartition, int] = {}
        self.moved = 0  # messages passed on and ticks sent
        self.waits_for_broker = False
        servers = list(broker_addresses(kafka_url))
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=servers,
            group_id=group,
            group_instance_id=settings.member_of("ingest"),
            client_id="wattloop-ingest",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 250),
            max_partition_fetch_bytes=4 << 20,
        )
        self._producer = AIOKafkaProducer(
            bootstrap_servers=servers,
            client_id="wattloop-ingest",
            acks="all",
            linger_ms=2,
            max_batch_size=1 << 20,
            max_request_size=8 << 20,
        )

    async def on_start(self) -> None:
        """Connect."""
        await self._producer.start()
        await self._consumer.start()
        self._consumer.subscribe([self._topic], listener=_Forget(self._progress, self._announced))

    async def on_stop(self) -> None:
        """Disconnect; what was not committed is read again by the next worker."""
        await leave(self._consumer)
        await leave(self._producer)

    @Service.task
    async def _work(self) -> None:
        while not self.should_stop:
            try:
                messages, reached = await self._poll()
                if messages:
                    started = time.perf_counter()
                    await self._pass_on(messages)
                    METRICS.ingest_batch_seconds.observe(time.perf_counter() - started)
                    self.moved += len(messages)
                    await self._commit(reached)
                await self._tick()
                self.waits_for_broker = False
            except (MessageSizeTooLargeError, TopicAuthorizationFailedError) as error:
                log.exception("ingest_failed")  # waiting would not help
                await self._on_bug(error)
                return
            except (KafkaError, OSError) as error:
                # A broken world is waited for. Nothing was committed, so the same messages come again.
                self.waits_for_broker = True
                log.warning("ingest_waits_for_broker", extra={"error": f"{type(error).__name__}: {error}"})
                await self.sleep(_RETRY_S)
                await self._rewind()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("ingest_failed")
                await self._on_bug(error)
                return

    async def reached(self, ends: Mapping[tuple[str, int], int]) -> bool:
        """Return whether everything before these ends has been passed on."""
        return all(end <= self._passed_on.get(TopicPartition(*place), 0) for place, end in ends.items())

    def reaches(self) -> dict[Place, Reach]:
        """Return how far it is on its partitions."""
        known = {place: self._progress.get(place.partition, _Progress()) for place in self._consumer.assignment()}
        return {p: Reach(at.position, self._consumer.highwater(p), at.arrived_at or None) for p, at in known.items()}

    def ticks_due(self, now_ms: int) -> int:
        """Return how many partitions wait for a tick: each gets one a second, whatever else happens. [now in ms UTC]"""
        ticked = (self._progress.get(one.partition, _Progress()).ticked_at for one in self._consumer.assignment())
        return sum(now_ms - at > _TICK_OVERDUE_MS for at in ticked)

    async def _poll(self) -> tuple[list[RawMessage], dict[TopicPartition, int]]:
        found: list[RawMessage] = []
        reached: dict[TopicPartition, int] = {}
        deadline = time.monotonic() + _LINGER_S
        wait_s = TICK_MS / 4000
        while len(found) < _POLL_RECORDS:
            polled = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=_POLL_RECORDS)
            arrival = int(time.time() * 1000)
            for place, records in polled.items():
                reached[place] = records[-1].offset + 1
                found.extend(
                    RawMessage(
                        place.partition,
                        record.offset,
                        arrival if record.timestamp_type == _CREATE_TIME else record.timestamp,
                        record.key,
                        record.value or b"",
                        _content_type(record.headers),
                        tuple(record.headers),
                    )
                    for record in records
                )
            wait_s = deadline - time.monotonic()
            if not found or wait_s <= 0:
                break
        return found, reached

    async def _pass_on(self, messages: Sequence[RawMessage]) -> None:
        METRICS.ingest_messages_total.labels(METER_READINGS.name).inc(len(messages))
        if self._meters_version != self._registry.version:
            self._meters_version = self._registry.version
            self._meters = known_meters(self._registry.sites.values(), self._settings.partitions)
        decoded = decode(messages)
        validated = validate(decoded, messages, self._meters, self._bounds)
        self._judge(messages, decoded, validated)
        letters = [
            self._letter(messages[one.message], one.index, one.value, one.content_type, one.reason)
            for one in decoded.refused
        ]
        for number, index, reason in validated.refused.iter_rows():
            value, content_type = original_row(messages[number], index)
            letters.append(self._letter(messages[number], index, value, content_type, Reason(reason)))
        arrived_at = max(message.timestamp_ms for message in messages)
        letters.sort(key=lambda one: one.place)
        batches = self._batches(validated.accepted, arrived_at)
        await self._send([*batches, *((one.place[0], one.envelope) for one in letters)])
        for message in messages:
            progress = self._progress.setdefault(message.partition, _Progress())
            progress.arrived_at = max(progress.arrived_at, message.timestamp_ms)
        METRICS.ingest_readings_total.inc(validated.accepted.height)
        for letter in letters:
            METRICS.ingest_rejections_total.labels(letter.reason.value).inc()

    def _judge(self, messages: Sequence[RawMessage], decoded: Decoded, validated: Validated) -> None:
        """Stop instead of draining the topic into the dead letters when too much of it is refused."""
        arrivals = pl.Series([message.timestamp_ms for message in messages], dtype=pl.Int64)
        undecoded = pl.Series([one.message for one in decoded.refused], dtype=pl.Int64)
        refused = pl.concat([undecoded, validated.refused["message"]])
        reasons = Counter([one.reason.value for one in decoded.refused] + validated.refused["reason"].to_list())
        self._limit.take(arrivals.gather(validated.accepted["message"]), arrivals.gather(refused), reasons)

    def _batches(self, rows: pl.DataFrame, arrived_at: int) -> Iterator[tuple[int, Envelope]]:
        """Yield each partition's batches, new site records in front of them."""
        for (partition,), mine in rows.partition_by("partition", as_dict=True, maintain_order=True).items():
            where = int(partition)
            for site in self._unannounced(where, mine):
                yield where, self._announcement(where, site, arrived_at)
            for chunk in _cut(mine):
                value = batch_value(chunk.select(*TELEMETRY_ROWS))
                yield (
                    where,
                    Envelope(TELEMETRY.name, None, value, arrived_at, control_headers(Kind.READINGS, arrived_at)),
                )

    def _unannounced(self, partition: int, rows: pl.DataFrame) -> list[str]:
        """Return the sites whose current record this process has not yet sent in front of their readings."""
        sites = rows["site_id"].unique(maintain_order=True).to_list()
        return [site for site in sites if self._announced.get((partition, site)) != self._registry.sites[site].revision]

    def _announcement(self, partition: int, site: str, arrived_at: int) -> Envelope:
        record = self._registry.sites[site]
        self._announced[partition, site] = record.revision
        headers = control_headers(Kind.SITE, arrived_at)
        return Envelope(TELEMETRY.name, site.encode(), record_value(record), arrived_at, headers)

    def _letter(self, message: RawMessage, index: int, value: bytes, content_type: str, reason: Reason) -> _Letter:
        origin = Origin(METER_READINGS.name, message.partition, message.offset)
        headers: Headers = headers_of(
            reason, "ingest", origin, index=index, arrived_at=message.timestamp_ms, content_type=content_type
        )
        own = {name for name, _ in headers}
        headers.extend((name, content) for name, content in message.headers if name not in own)
        envelope = Envelope(DEAD_LETTERS.name, message.key, value, message.timestamp_ms, headers)
        return _Letter(reason, (message.partition, message.offset, index), envelope)

    async def _send(self, envelopes: Iterable[tuple[int, Envelope]]) -> None:
        """Send and wait for the acknowledgements; on each partition strictly in this order."""
        by_place: dict[TopicPartition, list[Envelope]] = {}
        for partition, one in envelopes:
            place = TopicPartition(self._settings.topic_prefix + one.topic, partition)
            by_place.setdefault(place, []).append(one)
        await asyncio.gather(*(self._send_in_order(place, ones) for place, ones in by_place.items()))

    async def _send_in_order(self, place: TopicPartition, envelopes: Sequence[Envelope]) -> None:
        # A later message must never get through where an earlier one did not: downstream, what is not above the
        # highest origin seen is dropped. So a batch is sent whole, and the next one when it was acknowledged.
        waiting = list(envelopes)
        while waiting:
            batch = self._producer.create_batch()
            taken = 0
            for one in waiting:
                added = batch.append(key=one.key, value=one.value, timestamp=one.timestamp_ms, headers=one.headers)
                if added is None:
                    break
                taken += 1
            if not taken:
                raise MessageSizeTooLargeError(f"{place}: {len(waiting[0].value)} bytes")
            sent = await self._producer.send_batch(batch, place.topic, partition=place.partition)
            await sent
            del waiting[:taken]

    async def _commit(self, reached: dict[TopicPartition, int]) -> None:
        self._passed_on.update(reached)
        try:
            await self._consumer.commit(reached)
        except (CommitFailedError, IllegalStateError):
            log.info("commit_after_rebalance_left_to_the_next_owner")

    async def _rewind(self) -> None:
        """Read again from what was committed; what was sent already is dropped downstream."""
        self._announced.clear()
        self._limit.forget()
        for place in self._consumer.assignment():
            try:
                committed = await self._consumer.committed(place)
                if committed is None:
                    await self._consumer.seek_to_beginning(place)
                else:
                    self._consumer.seek(place, committed)
            except (KafkaError, OSError) as error:
                log.warning("ingest_rewind_failed", extra={"error": f"{type(error).__name__}: {error}"})
                self._consumer.unsubscribe()
                self._consumer.subscribe([self._topic], listener=_Forget(self._progress, self._announced))
                return

    async def _tick(self) -> None:
        """Write a tick into every partition of ours, at most once a second of arrival time.

        While there is a backlog, arrival time is that of the newest message passed on: the clock of the meters must
        not run ahead of readings that have arrived but were not yet read.
        """
        ticks: list[tuple[int, Envelope]] = []
        for place in self._consumer.assignment():
            progress = self._progress.setdefault(place.partition, _Progress())
            arrived_at = await self._arrival(place, progress)
            if arrived_at >= progress.ticked_at + TICK_MS:
                progress.ticked_at = arrived_at
                headers = control_headers(Kind.TICK, arrived_at)
                ticks.append((place.partition, Envelope(TELEMETRY.name, None, b"", arrived_at, headers)))
        await self._send(ticks)
        self.moved += len(ticks)

    async def _arrival(self, place: TopicPartition, progress: _Progress) -> int:
        end, polled_at = self._consumer.highwater(place), self._consumer.last_poll_timestamp(place)
        if end is None or polled_at is None:
            return progress.arrived_at
        progress.position = await self._consumer.position(place)
        if progress.position >= end:
            return max(progress.arrived_at, min(int(time.time() * 1000), int(polled_at)))
        return progress.arrived_at


class _Forget(ConsumerRebalanceListener):
    """Forget what belongs to partitions that may have had another owner in between."""

    def __init__(self, progress: dict[int, _Progress], announced: dict[tuple[int, str], int]) -> None:
        self._progress = progress
        self._announced = announced

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing is kept for them."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Start anew: another worker may have sent other records since."""
        self._progress.clear()
        self._announced.clear()
        METRICS.rebalances_total.labels("ingest").inc()


def _cut(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut rows into batches, never within one raw message: a repeated message is dropped whole or not at all."""
    if rows.height <= BATCH_ROWS:
        yield rows
        return
    starts = rows.with_row_index("row").group_by("message", maintain_order=True).agg(pl.col("row").first())["row"]
    begin = 0
    previous = 0
    for start in [*starts.to_list(), rows.height]:
        if start - begin > BATCH_ROWS and previous > begin:
            yield rows.slice(begin, previous - begin)
            begin = previous
        previous = start
    yield rows.slice(begin)


def _content_type(headers: Sequence[tuple[str, bytes]]) -> str:
    for name, value in headers:
        if name == "content-type":
            return value.decode("ascii", "replace").split(";")[0].strip().lower()
    return ""
