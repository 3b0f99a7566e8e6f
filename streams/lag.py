"""How far each consumer group is behind: in records, and in seconds since the oldest unread record arrived.

Records are counted from the committed offset to the true end of the partition. The seconds of a partition are the age
of the record at the committed offset. Its arrival is the timestamp of the record, except on the topics whose record
timestamp is event time: there the record's origin is followed to the message it was made from, and the arrival of that
one counts. So the seconds of every group mean the same.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from kafka import KafkaAdminClient

from schemas.flow import HEADER_ORIGIN
from schemas.topics import ACTIVITIES, TELEMETRY, Encoding
from streams.broker_admin import CLIENT_ID, PATIENCE_S, administering, named_trouble
from streams.frame.codec import parse_place
from streams.ingest.field import FIELD_TOPICS
from streams.leaving import leave
from streams.settings import Settings, broker_addresses
from streams.topic_plan import read_topics
from streams.topology import APP_ID, STORED, stages

Place = tuple[str, int]  # full topic name, partition
_FETCH_BYTES = 128 << 10  # of each partition a single record is wanted


@dataclass(frozen=True, slots=True)
class Reader:
    """A consumer group and a topic it reads."""

    group: str
    topic: str


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far a group is behind on one partition.

    Parameters
    ----------
    reader
        Group and topic.
    partition
        Number of the partition.
    committed
        The offset the group would go on with, None when it has committed nothing there yet.
    begin, end
        First offset the broker still holds, and the one after its last record.
    arrived_at
        When the oldest unread record arrived, None if nothing is unread or it is not known. [ms UTC]

    Examples
    --------
    >>> lag = PartitionLag(Reader("wattloop-ingest", "meter.readings.v1"), 0, 120, 150, 200, 5_000)
    >>> lag.records, lag.deleted, lag.seconds(now=7_500)
    (50, 30, 2.5)
    """

    reader: Reader
    partition: int
    committed: int | None
    begin: int
    end: int
    arrived_at: int | None = None

    @property
    def next_offset(self) -> int:
        """The offset that would be read next."""
        return self.begin if self.committed is None else max(self.begin, self.committed)

    @property
    def records(self) -> int:
        """Records behind."""
        return max(0, self.end - self.next_offset)

    @property
    def deleted(self) -> int:
        """Records the broker has deleted although the group had not committed them."""
        return 0 if self.committed is None else max(0, self.begin - self.committed)

    @property
    def beyond_end(self) -> bool:
        """Whether the group has committed what is not there: the topic was made anew, or the broker lost it."""
        return self.committed is not None and self.committed > self.end

    def seconds(self, now: int) -> float | None:
        """Return how long the oldest unread record has been waiting, None if it is not known. [s]

        Parameters
        ----------
        now
            The present. [ms UTC]
        """
        if not self.records:
            return 0.0
        return None if self.arrived_at is None else max(0, now - self.arrived_at) / 1000


@dataclass(frozen=True, slots=True)
class TopicLag:
    """How far a group is behind on a topic; without partitions, the topic does not exist."""

    reader: Reader
    partitions: tuple[PartitionLag, ...]

    @property
    def records(self) -> int:
        """Records behind, of all partitions."""
        return sum(one.records for one in self.partitions)

    @property
    def deleted(self) -> int:
        """Records deleted before the group had committed them."""
        return sum(one.deleted for one in self.partitions)

    @property
    def uncommitted(self) -> int:
        """Partitions that hold records, and on which the group has committed nothing yet."""
        return sum(one.committed is None and one.end > one.begin for one in self.partitions)

    @property
    def beyond_end(self) -> int:
        """Partitions on which the group has committed what is not there."""
        return sum(one.beyond_end for one in self.partitions)

    def seconds(self, now: int) -> float | None:
        """Return how long the oldest unread record of all has been waiting, None if one of them is not known. [s]

        Parameters
        ----------
        now
            The present. [ms UTC]
        """
        found = [one.seconds(now) for one in self.partitions]
        known = [one for one in found if one is not None]
        return max(known, default=0.0) if len(known) == len(found) else None


def readers(settings: Settings) -> tuple[Reader, ...]:
    """Return every consumer group of a deployment with the topics it reads, in the order of the flow.

    Several agents may read one topic in one group: it stands here once.
    """
    group = settings.topic_prefix + APP_ID
    found = (
        *(Reader(f"{group}-{one.group}", settings.topic_name(one.topic)) for one in FIELD_TOPICS),
        *(Reader(group, settings.topic_name(spec.source)) for spec in stages(settings)),
        Reader(f"{group}-activities", settings.topic_name(ACTIVITIES)),
        *(Reader(f"{group}-history", settings.topic_prefix + table.topic) for table in STORED),
        *([Reader(f"{group}-archive", settings.topic_name(TELEMETRY))] if settings.archive_dir else []),
    )
    return tuple(dict.fromkeys(found))


def made_from(settings: Settings) -> dict[str, str]:
    """Return the topics whose record timestamp is event time, each with the topic its records are made from."""
    return {
        settings.topic_name(topic): settings.topic_name(spec.source)
        for spec in stages(settings)
        for topic in spec.yields
        if topic.encoding is Encoding.JSON
    }


async def read_lag(settings: Settings, kafka_url: str, patience_s: float = PATIENCE_S) -> tuple[TopicLag, ...]:
    """Ask the broker how far every group is behind.

    Parameters
    ----------
    settings
        Prefix and topology.
    kafka_url
        The broker.
    patience_s
        How long it may take for one answer. [s]

    Raises
    ------
    BrokerTrouble
        If the broker cannot be reached, does not answer in time, or refuses.
    """
    asked = readers(settings)
    # In this order: an end that was read before the commit could lie below it.
    committed, places = await asyncio.to_thread(_ask_admin, kafka_url, asked, patience_s)
    bootstrap = ",".join(broker_addresses(kafka_url))
    with named_trouble(kafka_url):
        async with single_records(bootstrap) as consumer:
            begins = await consumer.beginning_offsets([TopicPartition(*place) for place in places])
            ends = await true_ends(consumer, places, patience_s)
            rows = [
                PartitionLag(one, place[1], committed[one.group].get(place), begins[TopicPartition(*place)], end)
                for one in asked
                for place, end in sorted(ends.items())
                if place[0] == one.topic
            ]
            waiting = {(one.reader.topic, one.partition, one.next_offset) for one in rows if one.records}
            arrivals = await _arrivals(consumer, waiting, made_from(settings), patience_s)
    dated = [
        replace(one, arrived_at=arrivals.get((one.reader.topic, one.partition, one.next_offset)))
        if one.records
        else one
        for one in rows
    ]
    return tuple(TopicLag(reader, tuple(one for one in dated if one.reader == reader)) for reader in asked)


def _ask_admin(
    kafka_url: str, asked: Sequence[Reader], patience_s: float
) -> tuple[dict[str, dict[Place, int]], list[Place]]:
    """Return the committed offsets of each group, and the partitions of the topics that exist."""
    with administering(kafka_url, patience_s) as admin:
        found = read_topics(admin, ())
        topics = {one.topic for one in asked} & found.keys()
        places = [(topic, number) for topic in sorted(topics) for number in range(found[topic].partitions)]
        groups = sorted({one.group for one in asked})
        # Asking for a group that never was makes a fresh Apache Kafka answer that it has no coordinator.
        known = {one["group_id"] for one in admin.list_groups()}
        return {group: _committed_by(admin, group) if group in known else {} for group in groups}, places


def _committed_by(admin: KafkaAdminClient, group: str) -> dict[Place, int]:
    found = admin.list_group_offsets({group: None})[group]
    return {(place.topic, place.partition): one.offset for place, one in found.items() if one.offset >= 0}


async def _arrivals(
    consumer: AIOKafkaConsumer,
    wanted: Iterable[tuple[str, int, int]],
    sources: Mapping[str, str],
    patience_s: float,
) -> dict[tuple[str, int, int], int]:
    """Return when the records at these offsets arrived, by topic, partition and offset; those that are known."""
    records = await records_at(consumer, wanted, patience_s)
    origins = {place: _origin(record, sources[place[0]]) for place, record in records.items() if place[0] in sources}
    causes = await records_at(consumer, (place for place in origins.values() if place is not None), patience_s)
    arrivals = {place: record.timestamp for place, record in records.items() if place not in origins}
    arrivals |= {
        place: causes[cause].timestamp for place, cause in origins.items() if cause is not None and cause in causes
    }
    return arrivals


def _origin(record: ConsumerRecord, source: str) -> tuple[str, int, int] | None:
    header = dict(record.headers).get(HEADER_ORIGIN)
    if header is None:
        return None
    partition, (offset, _) = parse_place(header)
    return source, partition, offset


@asynccontextmanager
async def single_records(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect a consumer for `records_at`.

    Parameters
    ----------
    bootstrap
        Addresses of brokers, `host:port` separated by commas.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id=CLIENT_ID,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await leave(consumer)


async def true_ends(consumer: AIOKafkaConsumer, places: Sequence[Place], patience_s: float) -> dict[Place, int]:
    """Return the offset after the last record of each partition, by the high watermark of a fetch.

    `streams.embedded.ends` says why ListOffsets will not do. Partitions are given here, because a consumer that has
    subscribed to nothing is told of no topic by Apache Kafka.

    Parameters
    ----------
    consumer
        One of `single_records`.
    places
        Topics and partitions; all must exist.
    patience_s
        How long the broker may take. [s]

    Raises
    ------
    TimeoutError
        If not all partitions have answered in time.
    """
    partitions = [TopicPartition(*place) for place in places]
    if not partitions:
        return {}
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    async with asyncio.timeout(patience_s):
        while True:
            ends = {(place.topic, place.partition): consumer.highwater(place) for place in partitions}
            known = {place: end for place, end in ends.items() if end is not None}
            if len(known) == len(ends):
                return known
            await consumer.getmany(timeout_ms=50)


async def records_at(
    consumer: AIOKafkaConsumer, wanted: Iterable[tuple[str, int, int]], patience_s: float
) -> dict[tuple[str, int, int], ConsumerRecord]:
    """Read single records by topic, partition and offset; those that are not there (any more) are left out.

    Parameters
    ----------
    consumer
        One of `single_records`.
    wanted
        Topic, partition and offset.
    patience_s
        How long the broker may take. [s]
    """
    waiting = sorted(set(wanted))
    found: dict[tuple[str, int, int], ConsumerRecord] = {}
    try:
        async with asyncio.timeout(patience_s):
            while waiting:
                turn = {TopicPartition(topic, number): offset for topic, number, offset in reversed(waiting)}
                async for record in _first_records(consumer, turn):
                    if record.offset == turn[TopicPartition(record.topic, record.partition)]:
                        found[record.topic, record.partition, record.offset] = record
                waiting = [one for one in waiting if turn[TopicPartition(one[0], one[1])] != one[2]]
    except TimeoutError:
        pass  # what is not known is said to be not known
    return found


async def _first_records(
    consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]
) -> AsyncIterator[ConsumerRecord]:
    """Yield the first record at or after an offset of each partition."""
    consumer.assign(list(offsets))
    for place, offset in offsets.items():
        consumer.seek(place, offset)
    left = set(offsets)
    while left:
        for place, records in (await consumer.getmany(*left, timeout_ms=100)).items():
            if records:
                left.discard(place)
                consumer.pause(place)
                yield records[0]
