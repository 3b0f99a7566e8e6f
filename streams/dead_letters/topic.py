"""Reading dead-letters.v1 from its beginning to where it ends now, and nothing that comes after."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.topics import DEAD_LETTERS
from streams.dead_letters.letter import BEGUN, DONE, Foreign, Letter, Note, Place, read
from streams.embedded.ends import end_offsets
from streams.leaving import leave

CLIENT_ID = "wattloop-dlq"
_POLL_MS = 200
_POLL_RECORDS = 10_000

Ends = Mapping[int, int]  # partition -> offset after its last record


class DeadLettersError(Exception):
    """What was asked for cannot be done; the text says why."""


class DeadLetters:
    """The topic of one deployment.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    prefix
        Put in front of topic names.
    """

    def __init__(self, brokers: Sequence[str], prefix: str = "") -> None:
        self.brokers = list(brokers)
        self.prefix = prefix
        self.name = prefix + DEAD_LETTERS.name

    async def ends(self, topic: str | None = None) -> dict[int, int]:
        """Return where a topic ends now, by partition.

        Parameters
        ----------
        topic
            Full name; None for dead-letters.v1.

        Raises
        ------
        DeadLettersError
            If the topic does not exist.
        """
        wanted = topic or self.name
        found = await end_offsets(",".join(self.brokers), [wanted], CLIENT_ID)
        if not found:
            raise DeadLettersError(f"there is no topic {wanted} on {', '.join(self.brokers)}")
        return {partition: end for (_, partition), end in found.items()}

    async def messages(self, ends: Ends, begins: Ends | None = None) -> AsyncGenerator[Letter | Note | Foreign, None]:
        """Yield what the topic holds up to these ends; each partition in order.

        Parameters
        ----------
        ends
            Only these partitions, up to these offsets.
        begins
            Where to begin in them; None for their first record.
        """
        async with aclosing(self.records(self.name, ends, begins)) as records:
            async for record in records:
                yield read(record)

    async def records(self, topic: str, ends: Ends, begins: Ends | None = None) -> AsyncGenerator[ConsumerRecord, None]:
        """Yield the records of a topic up to these ends."""
        async with self.consumer() as consumer:
            left = {TopicPartition(topic, partition): end for partition, end in ends.items()}
            consumer.assign(list(left))
            for place in left:
                if begins is None:
                    await consumer.seek_to_beginning(place)
                else:
                    consumer.seek(place, begins[place.partition])
            while left := {place: end for place, end in left.items() if await consumer.position(place) < end}:
                polled = await consumer.getmany(*left, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
                for place, records in polled.items():
                    for record in records:
                        if record.offset < left[place]:
                            yield record

    async def message(self, place: Place) -> Letter | Note | Foreign:
        """Return one message.

        Raises
        ------
        DeadLettersError
            If it is not there: not any more, or not yet.
        """
        ends = await self.ends()
        if place.partition not in ends:
            raise DeadLettersError(f"{self.name} has no partition {place.partition}; expected 0 to {len(ends) - 1}")
        begin = (await self.begins(self.name, [place.partition]))[place.partition]
        if begin <= place.offset < ends[place.partition]:
            only = self.messages({place.partition: place.offset + 1}, {place.partition: place.offset})
            if found := [one async for one in only]:
                return found[0]
        held = f"holds {begin} to {ends[place.partition] - 1}" if begin < ends[place.partition] else "is empty"
        raise DeadLettersError(f"there is no letter {place}: partition {place.partition} of {self.name} {held}")

    async def begins(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Return the first offset of each partition that the broker still has."""
        async with self.consumer() as consumer:
            found = await consumer.beginning_offsets([TopicPartition(topic, partition) for partition in partitions])
        return {place.partition: begin for place, begin in found.items()}

    @asynccontextmanager
    async def consumer(self, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer that is in no group; a group is named only to ask what it has committed."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.brokers,
            client_id=CLIENT_ID,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=4 << 20,
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await leave(consumer)


class Journal:
    """What earlier replays have noted about letters.

    Examples
    --------
    >>> journal = Journal()
    >>> journal.take(Note(Place(0, 7), "begun", "a", 1000, (3, 4), "weather.v1", {1: 20}))
    >>> journal.take(Note(Place(0, 8), "done", "a", 1001, (3,)))
    >>> [(note.run, [str(place) for place in unsure]) for note, unsure in journal.open_notes()]
    [('a', ['0:4'])]
    """

    def __init__(self) -> None:
        self._done: dict[int, set[int]] = {}
        self._begun: list[Note] = []

    def take(self, note: Note) -> None:
        """Take a note, in the order of the log."""
        if note.state == DONE:
            self.mark(Place(note.place.partition, offset) for offset in note.offsets)
        else:
            self._begun.append(note)

    def mark(self, places: Iterable[Place]) -> None:
        """Take letters for sent."""
        for place in places:
            self._done.setdefault(place.partition, set()).add(place.offset)

    def is_done(self, place: Place) -> bool:
        """Whether a letter was sent again."""
        return place.offset in self._done.get(place.partition, ())

    def state_of(self, place: Place) -> str:
        """Return `done`, `begun` or nothing: what is known of a letter being sent again."""
        if self.is_done(place):
            return DONE
        notes = (note for note in self._begun if note.place.partition == place.partition)
        return BEGUN if any(place.offset in note.offsets for note in notes) else ""

    def open_notes(self) -> Iterator[tuple[Note, list[Place]]]:
        """Yield each note of a beginning with those of its letters that are not known to be sent."""
        for note in self._begun:
            places = (Place(note.place.partition, offset) for offset in note.offsets)
            if unsure := [place for place in places if not self.is_done(place)]:
                yield note, unsure


@contextmanager
def broker_errors(brokers: Sequence[str]) -> Iterator[None]:
    """Say in one sentence what went wrong with the broker."""
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as error:
        why = str(error) or type(error).__name__
        raise DeadLettersError(f"cannot use the broker at {', '.join(brokers)}: {why}") from error
