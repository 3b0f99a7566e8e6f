"""Storing: the consumer that fills a store, one writer per topic: the tables of the history, and the archive.

Of every block of the history it says on accounting.v1 what is in it. Offsets are committed for lag only; where a
partition goes on is what the store itself says. While it is away nothing more is read, so what is held stays bounded,
and the same blocks are tried again until they are taken.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from mode import Service

from schemas.accounting import HISTORY
from schemas.topics import ACCOUNTING, BY_NAME, Encoding
from sinks.clickhouse.errors import Fenced, OffsetGap, SinkUnavailable
from sinks.clickhouse.records import Record
from sinks.clickhouse.rows import TableSpec
from sinks.clickhouse.writer import BlockResult, Resume
from streams.accounting.segment import Segment, Tally, note
from streams.block_size import ACCOUNTING_BLOCKS, HISTORY_BLOCKS, BlockSize
from streams.embedded.ends import end_offsets
from streams.health.behind import Place, Reach
from streams.history_thread import HistoryThread
from streams.leaving import leave
from streams.metrics import METRICS
from streams.settings import Settings, broker_addresses

log = logging.getLogger(__name__)

HELD_BYTES = 128 << 20  # what may be held of all partitions, and one poll more, before it is stored
_POLL_BATCHES = 100  # a batch may hold thousands of rows, and all of a poll is decoded at once
_POLL_RECORDS = 5_000  # of one row each
_PAUSE_S = 0.2  # between two polls that brought all there was: taking much at once costs hardly more than taking little
_RETRY_S = 1.0


class BlockWriter(Protocol):
    """What Storing asks of a writer; `sinks.clickhouse.writer` says what each call means."""

    spec: TableSpec

    def open(self, partition: int, *, log_start: int, log_end: int | None, committed: int | None) -> Resume: ...
    def add(self, partition: int, records: Iterable[Record]) -> None: ...
    def rows_pending(self, partition: int) -> int: ...
    def bytes_pending(self, partition: int) -> int: ...
    def flush(self, partition: int) -> BlockResult | None: ...
    def settle(self, *, everything: bool) -> bool: ...
    def close(self, partition: int) -> None: ...


class Storing(Service):
    """Stores what the topology yields.

    Parameters
    ----------
    settings
        Where the broker is.
    kafka_url
        Its address.
    group
        Consumer group.
    writers
        Full topic name -> its writer.
    thread
        Where calls to the store run.
    on_bug
        Called with an error that must stop the worker.
    store
        Which store it is.
    blocks
        When what is held is stored.
    """

    def __init__(
        self,
        settings: Settings,
        kafka_url: str,
        group: str,
        *,
        writers: Mapping[str, BlockWriter],
        thread: HistoryThread,
        on_bug: Callable[[BaseException], Awaitable[None]],
        store: str = "history",
        blocks: BlockSize = HISTORY_BLOCKS,
    ) -> None:
        super().__init__()
        self._store = store
        self._blocks = blocks
        self._hurry = False
        self._writers = writers
        self._thread = thread
        self._on_bug = on_bug
        self._batched = {topic for topic, one in writers.items() if BY_NAME[one.spec.topic].encoding is Encoding.BATCH}
        self._unsettled: set[str] = set()  # topics of which sums wait
        self._open: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._oldest: dict[TopicPartition, float] = {}  # since when the first of what is held waits
        self._newest: dict[TopicPartition, float] = {}  # when the last row of it came
        self._due_commits: dict[TopicPartition, int] = {}
        self._busy = asyncio.Lock()  # stopping may begin in the middle of a round
        self.available = True
        self._stored: dict[TopicPartition, int] = {}
        self._taken: dict[TopicPartition, Reach] = {}
        self.moved = 0  # messages taken
        self._untold: deque[Segment] = deque()  # stored, but not yet said on accounting.v1
        self._bootstrap = broker_addresses(kafka_url)[0]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=list(broker_addresses(kafka_url)),
            group_id=group,
            group_instance_id=settings.member_of(store),
            client_id=f"wattloop-{store}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 250),
            max_partition_fetch_bytes=8 << 20,
            fetch_max_bytes=64 << 20,
        )
        self._accounting_topic = settings.topic_prefix + ACCOUNTING.name
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(broker_addresses(kafka_url)), client_id=f"wattloop-{self._store}", acks="all"
        )

    async def on_start(self) -> None:
        """Connect."""
        await self._producer.start()
        await self._consumer.start()
        self._consumer.subscribe(
            list(self._writers), listener=_Reopen(self._store, self._open, self._oldest, self._newest)
        )

    async def on_stop(self) -> None:
        """Store what is held, then leave the group."""
        if self.available:
            with suppress(SinkUnavailable, KafkaError, OSError):
                async with self._busy:
                    await self._flush_due(everything=True)
                    await self._settle(everything=True)
                    await self._commit()
                    await self._tell()
        await leave(self._consumer)
        await leave(self._producer)

    @Service.task
    async def _work(self) -> None:
        while not self.should_stop:
            try:
                async with self._busy:
                    may_have_more = await self._round()
                if not may_have_more:
                    await self.sleep(_PAUSE_S)
            except SinkUnavailable as error:
                await self._wait_for_store(error)
            except (KafkaError, OSError) as error:
                log.warning("storing_waits_for_broker", extra={"error": f"{type(error).__name__}: {error}"})
                await self.sleep(_RETRY_S)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("storing_failed")
                await self._on_bug(error)
                return

    async def _round(self) -> bool:
        """Take some, store what is due, and return whether there may be more at hand."""
        if not self.available:
            await self._flush_due(everything=True)
        fresh = self._consumer.assignment() - self._open
        if fresh:
            await self._take_over(fresh)
        self._consumer.resume(*(self._paused & self._consumer.assignment()))
        self._paused.clear()
        polled, may_have_more = await self._poll()
        for place, records in polled.items():
            if place in self._open:
                await self._add(place, records)
        await self._flush_due(everything=self._hurry and not polled)
        await self._keep_within_bounds()
        await self._settle(everything=self._hurry)
        self.available = True
        await self._commit()
        await self._tell()
        return may_have_more

    async def _poll(self) -> tuple[dict[TopicPartition, list[ConsumerRecord]], bool]:
        """Return some messages, and whether there may be more of them at hand.

        As many as may be decoded at once, which are few of batches and many of single rows.
        """
        assigned = self._consumer.assignment()
        batches = [place for place in assigned if place.topic in self._batched]
        polled: dict[TopicPartition, list[ConsumerRecord]] = {}
        may_have_more = False
        for places, most in ((batches, _POLL_BATCHES), (assigned - set(batches), _POLL_RECORDS)):
            if places:
                some = await self._consumer.getmany(*places, timeout_ms=0, max_records=most)
                may_have_more |= sum(map(len, some.values())) >= most
                polled |= some
        if not assigned:
            await self._consumer.getmany(timeout_ms=0)  # keeps the membership in the group alive
        return polled, may_have_more

    async def reached(self, ends: Mapping[tuple[str, int], int]) -> bool:
        """Return whether everything before these ends has been stored, and said to be.

        Once asked, nothing is held back for long.
        """
        self._hurry = True
        return not (self._untold or self._unsettled) and all(
            end <= self._stored.get(TopicPartition(*place), 0) for place, end in ends.items()
        )

    def reaches(self) -> dict[Place, Reach]:
        """Return how far it is on its partitions; taken is what is stored or held for the next block."""
        return {
            place: replace(
                self._taken[place] if place in self._open and place in self._taken else Reach(None, None),
                end=self._consumer.highwater(place),
            )
            for place in self._consumer.assignment()
        }

    def stored(self) -> dict[Place, int]:
        """Return the offset behind what is stored, of each partition it has; one that is opened anew is among them."""
        return {place: self._stored[place] for place in self._consumer.assignment() if place in self._stored}

    async def _take_over(self, places: Collection[TopicPartition]) -> None:
        """Go on where the table says, not where the group's commits say."""
        begins = await self._consumer.beginning_offsets(places)
        ends = await end_offsets(self._bootstrap, {place.topic for place in places})
        for place in places:
            if place not in self._consumer.assignment():
                continue
            opening = partial(
                self._writers[place.topic].open,
                place.partition,
                log_start=begins[place],
                log_end=ends.get(place),  # a topic made just now may not be known everywhere yet
                committed=await self._consumer.committed(place),
            )
            resume = await self._thread.run(opening)
            self._consumer.seek(place, resume.next_offset)
            self._stored[place] = resume.next_offset
            self._taken[place] = Reach(resume.next_offset, None)
            self._open.add(place)
            self._unsettled.add(place.topic)
        log.info("partitions_opened", extra={"partitions": len(places)})

    async def _add(self, place: TopicPartition, records: list[ConsumerRecord]) -> None:
        taken = [Record(one.offset, one.timestamp, one.key, one.value or b"", dict(one.headers)) for one in records]
        writer = self._writers[place.topic]
        rows_before = writer.rows_pending(place.partition)
        try:
            await self._thread.run(lambda: writer.add(place.partition, taken))
        except OffsetGap as gap:
            log.warning(
                "messages_skipped_seeking_back",
                extra={
                    "table": writer.spec.table,
                    "partition": place.partition,
                    "expected": gap.expected_offset,
                },
            )
            self._consumer.seek(place, gap.expected_offset)
        self.moved += len(taken)
        self._taken[place] = Reach(taken[-1].offset + 1, None, taken[-1].timestamp_ms)
        now = time.monotonic()
        self._oldest.setdefault(place, now)
        if writer.rows_pending(place.partition) > rows_before:
            self._newest[place] = now

    async def _flush_due(self, *, everything: bool) -> None:
        now = time.monotonic()
        for place, since in list(self._oldest.items()):
            is_accounting = self._writers[place.topic].spec.topic == ACCOUNTING.name and not self._hurry
            size = ACCOUNTING_BLOCKS if is_accounting and self._store == HISTORY else self._blocks
            quiet_s = now - self._newest.get(place, now)
            due = size.is_due(rows=self._rows_pending(place), waits_s=now - since, quiet_s=quiet_s)
            if place in self._open and (everything or due):
                await self._flush(place)

    async def _keep_within_bounds(self) -> None:
        """Store the largest blocks when more is held than may be."""
        held_bytes = {
            place: self._writers[place.topic].bytes_pending(place.partition)
            for place in self._oldest
            if place in self._open
        }
        METRICS.sink_held_bytes.labels(self._store).set(sum(held_bytes.values()))
        excess = sum(held_bytes.values()) - HELD_BYTES
        for place in sorted(held_bytes, key=lambda one: held_bytes[one], reverse=True):
            if excess <= 0:
                return
            await self._flush(place)
            excess -= held_bytes[place]

    async def _settle(self, *, everything: bool) -> None:
        """Let the sums follow that have waited long enough."""
        for topic in sorted(self._unsettled):
            if await self._thread.run(partial(self._writers[topic].settle, everything=everything)):
                self._unsettled.discard(topic)

    def _rows_pending(self, place: TopicPartition) -> int:
        return self._writers[place.topic].rows_pending(place.partition)

    async def _flush(self, place: TopicPartition) -> None:
        writer = self._writers[place.topic]
        started = time.perf_counter()
        try:
            result = await self._thread.run(lambda: writer.flush(place.partition))
        except Fenced:
            log.warning("partition_fenced", extra={"table": writer.spec.table, "partition": place.partition})
            writer.close(place.partition)
            self._open.discard(place)
            self._oldest.pop(place, None)
            self._newest.pop(place, None)
            return
        self._oldest.pop(place, None)
        self._newest.pop(place, None)
        if result is None:
            return
        self._account(place, result)
        self._unsettled.add(place.topic)
        if result.last_offset >= self._stored.get(place, 0):
            # Messages that waited behind a recorded block are in the next one now; nothing else may ever flush it.
            self._oldest[place] = time.monotonic()
            if writer.rows_pending(place.partition):
                self._newest[place] = self._oldest[place]
        self._stored[place] = result.last_offset + 1
        METRICS.sink_flush_seconds.labels(writer.spec.table).observe(time.perf_counter() - started)
        METRICS.sink_rows_total.labels(writer.spec.table).inc(result.rows)
        METRICS.sink_duplicates_total.labels(writer.spec.table).inc(result.duplicates)
        self._due_commits[place] = result.last_offset + 1

    async def _commit(self) -> None:
        """Commit what was stored, of all partitions at once."""
        mine = {place: offset for place, offset in self._due_commits.items() if place in self._open}
        self._due_commits.clear()
        if not mine:
            return
        try:
            await self._consumer.commit(mine)
        except (CommitFailedError, IllegalStateError):
            log.info("commit_after_rebalance_left_to_the_next_owner")

    def _account(self, place: TopicPartition, result: BlockResult) -> None:
        """Note what is in a block, for `_tell`."""
        topic = self._writers[place.topic].spec.topic
        if self._store != HISTORY or not result.cut or topic == ACCOUNTING.name:
            return
        tally = Tally(
            messages=result.last_offset - result.first_offset + 1,
            received=result.rows,
            duplicates=result.duplicates,
            rows_until=result.last_offset if result.rows else None,
        )
        if result.import_kwh is not None:
            tally.sent_rows, tally.sent_import_kwh = result.rows, result.import_kwh
        self._untold.append(
            Segment(
                HISTORY,
                topic,
                place.partition,
                result.first_offset,
                result.last_offset,
                int(time.time() * 1000),
                tally,
            )
        )

    async def _tell(self) -> None:
        """Say on accounting.v1 what was stored; what the broker does not take is said later."""
        segments = list(self._untold)
        sent = []
        for segment in segments:
            one = segment.envelope()
            sent.append(
                await self._producer.send(
                    self._accounting_topic, one.value, one.key, segment.partition, one.timestamp_ms, one.headers
                )
            )
        await asyncio.gather(*sent)
        note(segments, time.time())
        for _ in segments:
            self._untold.popleft()

    async def _wait_for_store(self, error: SinkUnavailable) -> None:
        """Hold what there is and read nothing more until the store answers again."""
        if self.available:
            log.warning("history_store_unavailable", extra={"store": self._store, "error": str(error)})
        self.available = False
        METRICS.sink_retries_total.inc()
        # Paused partitions bring nothing, and stay so until the store has taken what is held: resumed for each attempt,
        # they would be fetched each time, and what is fetched of a paused partition is thrown away.
        self._paused = set(self._consumer.assignment())
        self._consumer.pause(*self._paused)
        await self.sleep(_RETRY_S)
        if not self.should_stop:
            await self._consumer.getmany(timeout_ms=0)  # keeps the membership in the group alive


class _Reopen(ConsumerRebalanceListener):
    """Partitions that were revoked are opened anew if they come back."""

    def __init__(self, store: str, is_open: set[TopicPartition], *times: dict[TopicPartition, float]) -> None:
        self._store = store
        self._is_open = is_open
        self._times = times

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Forget them; what was not stored is read again by the next owner."""
        self._is_open.clear()
        for memory in self._times:
            memory.clear()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Opening talks to the history store, so the loop does it."""
        METRICS.rebalances_total.labels(self._store).inc()
