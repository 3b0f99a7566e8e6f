"""The ingest service: polls the field's topic, decodes, validates, re-batches by partition, stamps time.

What a poll caused is acknowledged by the broker before the next poll is sent. Every few seconds accounting.v1 is told
what became of what was read, and offsets are committed after that. So after a kill the same readings may be sent twice
but never out of order, and everyone downstream drops what it has seen.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import polars as pl
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from mode import Service

from schemas.flow import Kind
from schemas.rejection import Reason
from schemas.topics import DEAD_LETTERS, TELEMETRY
from streams.accounting.segment import note
from streams.frame.codec import (
    Envelope,
    Headers,
    Origin,
    batch_value,
    control_headers,
    record_value,
)
from streams.frame.letters import headers_of
from streams.frame.transport import FETCH_MAX_WAIT_MS
from streams.health.behind import Place, Reach
from streams.ingest.batches import fetched, flat
from streams.ingest.cut import cut
from streams.ingest.decode import Decoded, decode, original_row
from streams.ingest.field import READINGS, FieldTopic
from streams.ingest.limit import RejectionLimit
from streams.ingest.poll import Poll, RawMessage
from streams.ingest.progress import Forget, Progress, tick_due
from streams.ingest.ranges import Ranges, runs_of
from streams.ingest.records import records_of
from streams.ingest.sender import OrderedSender
from streams.ingest.validate import Bounds, Validated
from streams.leaving import leave
from streams.metrics import METRICS
from streams.reference_topic import InForce
from streams.settings import Settings, broker_addresses

log = logging.getLogger(__name__)

_TICK_OVERDUE_MS = 10_000
_POLL_RECORDS = 100_000  # then what was read is worked on; a fetch that was begun is read to its end
_LINGER_S = 0.05
_WAIT_S = 0.25  # for something to read; then ticks are looked after
_RETRY_S = 1.0
_COMMIT_S = 3.0  # what is read again after a kill is dropped downstream, so commits need not be many


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
        The live registry, with the edition of the reference data in force.
    group
        Consumer group.
    kafka_url
        The broker.
    on_bug
        Called with an error that must stop the worker.
    field
        What is read, and how it is judged.
    """

    def __init__(
        self,
        settings: Settings,
        registry: InForce,
        group: str,
        kafka_url: str,
        on_bug: Callable[[BaseException], Awaitable[None]],
        *,
        field: FieldTopic = READINGS,
    ) -> None:
        super().__init__()
        self.field = field
        self._on_bug = on_bug
        self._settings = settings
        self._registry = registry
        self._topic = settings.topic_prefix + field.topic.name
        self._bounds = Bounds(settings.future_allowance_s * 1000, settings.too_old_s * 1000)
        self._limit = RejectionLimit(settings.rejection_limit_share, settings.rejection_limit_count)
        self._known = field.known((), settings.partitions)
        self._known_version = -1
        self._announced: dict[tuple[int, str], int] = {}
        self._progress: dict[int, Progress] = {}
        self._passed_on: dict[TopicPartition, int] = {}
        self.moved = 0  # messages passed on and ticks sent
        self._ranges = Ranges(field.topic.name)
        self._settling = asyncio.Lock()
        self._settled_at = time.monotonic()
        self.waits_for_broker = False
        servers = list(broker_addresses(kafka_url))
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=servers,
            group_id=group,
            group_instance_id=settings.member_of(field.group),
            client_id=f"wattloop-{field.group}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 250),
            max_partition_fetch_bytes=4 << 20,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        )
        self._sender = OrderedSender(servers, settings.topic_prefix)

    async def on_start(self) -> None:
        """Connect."""
        await self._sender.start()
        await self._consumer.start()
        self._subscribe()

    def _subscribe(self) -> None:
        listener = Forget(self._progress, self._announced, self._ranges, self._settle_before_leaving)
        self._consumer.subscribe([self._topic], listener=listener)

    async def on_stop(self) -> None:
        """Commit and disconnect; what was not committed is read again by the next worker."""
        await self._settle_before_leaving()
        await leave(self._consumer)
        await self._sender.stop()

    @Service.task
    async def _work(self) -> None:
        while not self.should_stop:
            try:
                generation = self._ranges.generation
                messages, reached = await self._poll(generation)
                if messages:
                    for part in messages.parts():
                        started = time.perf_counter()
                        await self._pass_on(part, generation)
                        METRICS.ingest_batch_seconds.observe(time.perf_counter() - started)
                    self._passed_on.update(reached)
                    self.moved += len(messages)
                if self._ranges.generation != generation:
                    await self._rewind()  # partitions moved meanwhile, and it is not sure from when the messages are
                if time.monotonic() - self._settled_at >= _COMMIT_S:
                    await self._settle()
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
        known = {place: self._progress.get(place.partition, Progress()) for place in self._consumer.assignment()}
        return {p: Reach(at.position, self._consumer.highwater(p), at.arrived_at or None) for p, at in known.items()}

    def ticks_due(self, now_ms: int) -> int:
        """Return how many partitions wait for a tick: each gets one a second, whatever else happens. [now in ms UTC]"""
        if not self.field.is_the_clock:
            return 0
        ticked = (self._progress.get(one.partition, Progress()).ticked_at for one in self._consumer.assignment())
        return sum(now_ms - at > _TICK_OVERDUE_MS for at in ticked)

    async def _poll(self, generation: int) -> tuple[Poll, dict[TopicPartition, int]]:
        found = Poll()
        reached: dict[TopicPartition, int] = {}
        deadline = time.monotonic() + _LINGER_S
        wait_s = _WAIT_S
        while len(found) < _POLL_RECORDS:
            polled = await fetched(self._consumer, wait_s)
            arrival = int(time.time() * 1000)
            for place, some in polled.items():
                records = flat(some)
                reached[place] = records[-1].offset + 1
                await self._follow(place, records[0].offset, records[-1].offset, generation)
                found.extend(place.partition, records, arrival)
            wait_s = deadline - time.monotonic()
            if not len(found) or wait_s <= 0:
                break
        return found, reached

    async def _follow(self, place: TopicPartition, first_offset: int, last_offset: int, generation: int) -> None:
        """Keep track of where ranges begin, and of what the broker deleted before it was read."""
        if not self._ranges.knows(place.partition):
            committed = await self._consumer.committed(place)
            if self._ranges.generation != generation:
                return
            self._ranges.begin(place.partition, first_offset if committed is None else min(committed, first_offset))
        if self._ranges.generation == generation and self._ranges.poll(place.partition, first_offset, last_offset):
            self._ranges.log_begins(place.partition, (await self._consumer.beginning_offsets([place]))[place])

    async def _pass_on(self, messages: Poll, generation: int) -> None:
        METRICS.ingest_messages_total.labels(self.field.topic.name).inc(len(messages))
        if self._known_version != self._registry.version:
            self._known_version = self._registry.version
            self._known = self.field.known(self._registry.sites.values(), self._settings.partitions)
        decoded = decode(messages, self.field.sends)
        validated = self.field.validate(decoded, messages, self._known, self._bounds)
        self._judge(decoded, validated)
        letters = [
            self._letter(messages[one.message], one.index, one.value, one.content_type, one.reason)
            for one in decoded.refused
        ]
        for number, index, reason in validated.refused.iter_rows():
            value, content_type = original_row(messages[number], index)
            letters.append(self._letter(messages[number], index, value, content_type, Reason(reason)))
        arrived_at = max(messages.timestamps_ms)
        letters.sort(key=lambda one: one.place)
        batches = self._batches(validated.accepted, arrived_at)
        caused = await self._sender.send([*batches, *((one.place[0], one.envelope) for one in letters)])
        if self._ranges.generation == generation:
            self._ranges.add(list(runs_of(decoded, validated)), caused)
        for partition, newest in messages.newest_arrivals.items():
            progress = self._progress.setdefault(partition, Progress())
            progress.arrived_at = max(progress.arrived_at, newest)
        if self.field.is_the_clock:
            METRICS.ingest_readings_total.inc(validated.accepted.height)
        for letter in letters:
            METRICS.ingest_rejections_total.labels(letter.reason.value).inc()

    def _judge(self, decoded: Decoded, validated: Validated) -> None:
        """Stop instead of draining the topic into the dead letters when too much of it is refused."""
        arrivals = validated.places["arrived_at"]
        undecoded = pl.Series([one.message for one in decoded.refused], dtype=pl.Int64)
        refused = pl.concat([undecoded, validated.refused["message"]])
        reasons = Counter([one.reason.value for one in decoded.refused] + validated.refused["reason"].to_list())
        self._limit.take(arrivals.gather(validated.accepted["message"]), arrivals.gather(refused), reasons)

    def _batches(self, rows: pl.DataFrame, arrived_at: int) -> Iterator[tuple[int, Envelope]]:
        """Yield each partition's batches, new site records in front of them, and the records beside them."""
        for (partition,), mine in rows.partition_by("partition", as_dict=True, maintain_order=True).items():
            where = int(partition)
            for site in self._unannounced(where, mine):
                yield where, self._announcement(where, site, arrived_at)
            for chunk in cut(mine):
                value = batch_value(chunk.select(*self.field.rows))
                headers = control_headers(self.field.kind, arrived_at)
                yield where, Envelope(TELEMETRY.name, None, value, arrived_at, headers)
            for one in records_of(mine, self.field, arrived_at):
                yield where, one

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
        origin = Origin(self.field.topic.name, message.partition, message.offset)
        headers: Headers = headers_of(
            reason, "ingest", origin, index=index, arrived_at=message.timestamp_ms, content_type=content_type
        )
        own = {name for name, _ in headers}
        headers.extend((name, content) for name, content in message.headers if name not in own)
        envelope = Envelope(DEAD_LETTERS.name, message.key, value, message.timestamp_ms, headers)
        return _Letter(reason, (message.partition, message.offset, index), envelope)

    async def _settle(self) -> None:
        """Say what became of what was read since the last time, and commit it when the broker has that."""
        async with self._settling:
            self._settled_at = time.monotonic()
            segments = self._ranges.take()
            if not segments:
                return
            await self._sender.send((one.partition, one.envelope()) for one in segments)
            note(segments, time.time())
            try:
                await self._consumer.commit(
                    {TopicPartition(self._topic, one.partition): one.last_offset + 1 for one in segments}
                )
            except (CommitFailedError, IllegalStateError):
                log.info("commit_after_rebalance_left_to_the_next_owner")

    async def _settle_before_leaving(self) -> None:
        """Commit while it is still possible, so that the next owner has little to read again."""
        with suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(self._settle(), self._settings.session_timeout_s / 2)

    async def _rewind(self) -> None:
        """Read again from what was committed; what was sent already is dropped downstream."""
        self._announced.clear()
        self._limit.forget()
        self._ranges.forget()
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
                self._subscribe()
                return

    async def _tick(self) -> None:
        """Write a tick into every partition of ours, once a second of arrival time.

        While there is a backlog, arrival time is that of the newest message passed on: the clock of the meters must
        not run ahead of readings that have arrived but were not yet read.
        """
        ticks: list[tuple[int, Envelope]] = []
        for place in self._consumer.assignment():
            progress = self._progress.setdefault(place.partition, Progress())
            arrived_at = await self._arrival(place, progress)
            due = tick_due(place.partition, self._settings.partitions, progress.ticked_at, arrived_at)
            if self.field.is_the_clock and due:
                progress.ticked_at = arrived_at
                headers = control_headers(Kind.TICK, arrived_at)
                ticks.append((place.partition, Envelope(TELEMETRY.name, None, b"", arrived_at, headers)))
        await self._sender.send(ticks)
        self.moved += len(ticks)

    async def _arrival(self, place: TopicPartition, progress: Progress) -> int:
        end, polled_at = self._consumer.highwater(place), self._consumer.last_poll_timestamp(place)
        if end is None or polled_at is None:
            return progress.arrived_at
        progress.position = await self._consumer.position(place)
        if progress.position >= end:
            return max(progress.arrived_at, min(int(time.time() * 1000), int(polled_at)))
        return progress.arrived_at
