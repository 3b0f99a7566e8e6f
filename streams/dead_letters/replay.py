"""Sending letters again, each at most once however often it is asked for and whoever asks at the same time.

Before a batch is sent, a note `begun` is written behind its letters, into their partition of dead-letters.v1; when the
broker has the batch, a note `done`. The log decides who of two replays was first, and a note lives as long as its
letters. Where `begun` has no `done`, the topic they go to says what was sent: every message names its letter.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError, MessageSizeTooLargeError

from schemas.rejection import HEADER_REPLAYED_FROM
from streams.broker import partition_for
from streams.dead_letters.letter import BEGUN, DONE, Filters, Letter, Note, Place, headers_again
from streams.dead_letters.topic import CLIENT_ID, DeadLetters, DeadLettersError, Journal
from streams.leaving import leave

BATCH_LETTERS = 500
BATCH_BYTES = 8 << 20
SEND_S = 30.0
LEASE_S = 120  # a replay sends within SEND_S of its note, or not at all

Clock = Callable[[], int]  # ms since 1970 UTC


@dataclass(slots=True)
class Replayed:
    """What a replay did, in letters.

    Parameters
    ----------
    sent
        By reason; on a dry run, what would be sent.
    before
        Sent by an earlier replay.
    busy
        Another replay has begun with them and may still be sending.
    unsure
        An earlier replay broke off with them, and what it sent has aged out of its topic.
    of_metering
        Not the original bytes, so not sent.
    too_large
        Refused by the broker for their size.
    """

    sent: Counter[str] = field(default_factory=Counter)
    before: int = 0
    busy: int = 0
    unsure: int = 0
    of_metering: Counter[str] = field(default_factory=Counter)
    too_large: list[Place] = field(default_factory=list)


@dataclass(slots=True)
class Replay:
    """One replay.

    Parameters
    ----------
    topic
        Where the letters are.
    run
        A name no other replay has.
    clock
        Wall clock. [ms since 1970 UTC]
    force
        Also send what metering refused, and letters of which nobody can know whether they were sent before.
    """

    topic: DeadLetters
    run: str
    clock: Clock
    force: bool = False
    _journal: Journal = field(default_factory=Journal)
    _busy: set[Place] = field(default_factory=set)
    _unsure: set[Place] = field(default_factory=set)
    _ends: dict[str, Mapping[int, int]] = field(default_factory=dict)
    _done: Replayed = field(default_factory=Replayed)

    @property
    def sent(self) -> int:
        """Letters known to be sent so far."""
        return self._done.sent.total()

    async def run_once(self, filters: Filters, *, limit: int | None = None, dry_run: bool = False) -> Replayed:
        """Send the letters that are meant, oldest first in each partition, and say what was done.

        Parameters
        ----------
        filters
            Which letters are meant.
        limit
            Send no more than so many.
        dry_run
            Send and write nothing.

        Raises
        ------
        DeadLettersError
            If it broke off; the same command then finds out what was sent.
        """
        ends = await self.topic.ends()
        async for one in self.topic.messages(ends):
            if isinstance(one, Note):
                self._journal.take(one)
        found = await self._settle()
        if dry_run:
            async for batch in self._batches(ends, filters, limit):
                self._done.sent.update(letter.reason for letter in batch)
            return self._done
        async with _producer(self.topic.brokers) as producer:
            sender = _Sender(self, producer, dict(ends))
            await sender.note_found(found)
            async for batch in self._batches(ends, filters, limit):
                await sender.send(batch, self._done)
        return self._done

    async def ends_of(self, topic: str) -> Mapping[int, int]:
        """Return where a topic that letters are sent to ended at some time before they were."""
        if topic not in self._ends:
            self._ends[topic] = await self.topic.ends(self.topic.prefix + topic)
        return self._ends[topic]

    async def _settle(self) -> list[Place]:
        """Find out what became of letters others have begun with; return those that were sent."""
        now = self.clock()
        asked: dict[str, set[Place]] = {}
        begins: dict[str, dict[int, int]] = {}
        for note, places in self._journal.open_notes():
            if now - note.at < LEASE_S * 1000:
                self._busy.update(places)
                continue
            asked.setdefault(note.topic, set()).update(places)
            begun = begins.setdefault(note.topic, {})
            for partition, end in note.ends.items():
                begun[partition] = min(end, begun.get(partition, end))
        sent: set[Place] = set()
        for topic, letters in asked.items():
            sent |= await self._sent_to(topic, letters, begins[topic])
        self._journal.mark(sent)
        return sorted(sent)

    async def _sent_to(self, topic: str, asked: set[Place], begins: Mapping[int, int]) -> set[Place]:
        """Return which of these letters are on a topic; they may be from these offsets on."""
        name = self.topic.prefix + topic
        kept = await self.topic.begins(name, begins)
        now = await self.ends_of(topic)
        from_there = {partition: max(begin, kept[partition]) for partition, begin in begins.items()}
        sent: set[Place] = set()
        async for record in self.topic.records(name, {partition: now[partition] for partition in begins}, from_there):
            sent.update(place for place in _replayed_from(record.headers) if place in asked)
        if any(kept[partition] > begin for partition, begin in begins.items()):
            self._unsure |= asked - sent
        return sent

    async def _batches(
        self, ends: Mapping[int, int], filters: Filters, limit: int | None
    ) -> AsyncGenerator[list[Letter], None]:
        """Yield the letters to send, a batch being of one partition, in its order, and for one topic."""
        batches: dict[tuple[int, str], list[Letter]] = {}
        taken = 0
        async with aclosing(self.topic.messages(ends)) as messages:
            async for one in messages:
                if limit is not None and taken >= limit:
                    break
                if not isinstance(one, Letter) or not filters.take(one) or not self._may_be_sent(one):
                    continue
                taken += 1
                kind = one.place.partition, one.topic_again
                batch = batches.setdefault(kind, [])
                batch.append(one)
                if len(batch) >= BATCH_LETTERS or sum(len(letter.value) for letter in batch) >= BATCH_BYTES:
                    yield batches.pop(kind)
        for batch in batches.values():
            yield batch

    def _may_be_sent(self, letter: Letter) -> bool:
        if self._journal.is_done(letter.place):
            self._done.before += 1
        elif letter.place in self._busy:
            self._done.busy += 1
        elif letter.place in self._unsure and not self.force:
            self._done.unsure += 1
        elif not letter.holds_what_came and not self.force:
            self._done.of_metering[letter.reason] += 1
        else:
            return True
        return False


@dataclass(slots=True)
class _Sender:
    """Notes and sends batches."""

    replay: Replay
    producer: AIOKafkaProducer
    seen: dict[int, int]  # how far notes of others are known
    taken: dict[int, set[int]] = field(default_factory=dict)  # letters those notes name

    async def note_found(self, sent: Sequence[Place]) -> None:
        """Note what a replay that broke off had sent, so that nobody has to look for it again."""
        for partition in sorted({place.partition for place in sent}):
            offsets = [place.offset for place in sent if place.partition == partition]
            for begin in range(0, len(offsets), BATCH_LETTERS):
                await self._note(partition, DONE, offsets[begin : begin + BATCH_LETTERS])

    async def send(self, batch: Sequence[Letter], done: Replayed) -> None:
        """Send a batch, except letters another replay was faster with."""
        partition, topic = batch[0].place.partition, batch[0].topic_again
        ends = await self.replay.ends_of(topic)
        targets = [(letter, target_partition(letter, len(ends))) for letter in batch]
        started = time.monotonic()
        offsets = [letter.place.offset for letter in batch]
        place = await self._note(partition, BEGUN, offsets, topic, {target: ends[target] for _, target in targets})
        taken = await self._taken_by_others(place)
        done.busy += len(taken.intersection(offsets))
        mine = [(letter, target) for letter, target in targets if letter.place.offset not in taken]
        if time.monotonic() - started > SEND_S:
            raise DeadLettersError(f"stood still for more than {SEND_S:g} s before sending; ask again in {LEASE_S} s")
        async with asyncio.timeout(SEND_S):
            futures = [
                await self.producer.send(
                    self.replay.topic.prefix + topic,
                    letter.value,
                    letter.key,
                    partition=target,
                    headers=headers_again(letter),
                )
                for letter, target in mine
            ]
            answers = await asyncio.gather(*futures, return_exceptions=True)
        sent: list[int] = []
        errors: list[BaseException] = []
        for (letter, _), answer in zip(mine, answers, strict=True):
            if isinstance(answer, MessageSizeTooLargeError):
                done.too_large.append(letter.place)
            elif isinstance(answer, BaseException):
                errors.append(answer)
            else:
                sent.append(letter.place.offset)
                done.sent[letter.reason] += 1
        if sent:
            await self._note(partition, DONE, sent, topic)
        if errors:
            raise errors[0]

    async def _taken_by_others(self, mine: Place) -> set[int]:
        """Return the letters that others began with or sent since our first look and before our note."""
        taken = self.taken.setdefault(mine.partition, set())
        begin = self.seen[mine.partition]
        if begin < mine.offset:
            async for one in self.replay.topic.messages({mine.partition: mine.offset}, {mine.partition: begin}):
                if isinstance(one, Note) and one.run != self.replay.run:
                    taken.update(one.offsets)
            self.seen[mine.partition] = mine.offset + 1
        return taken

    async def _note(
        self,
        partition: int,
        state: str,
        offsets: Iterable[int],
        topic: str = "",
        ends: Mapping[int, int] | None = None,
    ) -> Place:
        at = self.replay.clock()
        note = Note(Place(partition, -1), state, self.replay.run, at, tuple(offsets), topic, ends or {})
        written = await self.producer.send_and_wait(
            self.replay.topic.name, note.value, partition=partition, timestamp_ms=at, headers=note.headers
        )
        if written.offset == self.seen[partition]:
            self.seen[partition] += 1  # nobody was in between
        return Place(partition, written.offset)


def target_partition(letter: Letter, partitions: int) -> int:
    """Return the partition a letter is sent to: that of its key, else of its site, else where it came from.

    Parameters
    ----------
    letter
        The letter.
    partitions
        How many its topic has.
    """
    site = letter.key_text or letter.site
    return partition_for(site, partitions) if site else letter.source_partition % partitions


def _replayed_from(headers: Iterable[tuple[str, bytes]]) -> Iterable[Place]:
    for name, value in headers:
        if name == HEADER_REPLAYED_FROM:
            try:
                yield Place.parse(value.decode())
            except ValueError:
                continue  # the sender's, not ours


@asynccontextmanager
async def _producer(brokers: Sequence[str]) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose own retries repeat nothing, where the broker can do that (the embedded one cannot)."""
    producer = _new_producer(brokers, idempotent=True)
    try:
        try:
            await producer.start()
        except BrokerResponseError:
            await leave(producer)
            producer = _new_producer(brokers, idempotent=False)
            await producer.start()
        yield producer
    finally:
        await leave(producer)


def _new_producer(brokers: Sequence[str], *, idempotent: bool) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=list(brokers),
        client_id=CLIENT_ID,
        acks="all",
        enable_idempotence=idempotent,
        linger_ms=2,
        max_request_size=8 << 20,
        request_timeout_ms=20_000,
    )
