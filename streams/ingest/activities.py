"""The activities service: fuels and heat from the field, checked, priced and passed on in their order.

What a poll caused is acknowledged by the broker, then accounting.v1 is told, then offsets are committed. After a kill
the same activities are passed on again with the same ids and origins, and the history drops them.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import groupby

import polars as pl
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from mode import Service

from schemas.accounting import INGEST, Caused
from schemas.activity import ACTIVITY_RECORD
from schemas.flow import Output, SiteRecord
from schemas.reference.catalogue import REFERENCE_VERSION, load_fuels
from schemas.rejection import HEADER_DETAIL
from schemas.topics import ACTIVITIES, ACTIVITY, DEAD_LETTERS
from streams.accounting.segment import Segment, Tally, minute_of, note
from streams.broker import partition_for
from streams.frame.codec import Envelope, Origin, envelopes
from streams.frame.letters import headers_of
from streams.health.behind import Place, Reach
from streams.ingest.activity_lines import Refused, judged
from streams.ingest.sender import OrderedSender
from streams.leaving import leave
from streams.metrics import METRICS
from streams.reference_topic import InForce
from streams.settings import Settings, broker_addresses

log = logging.getLogger(__name__)

STATION = "activities"
_POLL_RECORDS = 500
_POLL_MS = 500
_RETRY_S = 1.0


class Activities(Service):
    """Activities of one worker.

    Parameters
    ----------
    settings
        Where the broker is.
    registry
        The sites in force.
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
        registry: InForce,
        group: str,
        kafka_url: str,
        on_bug: Callable[[BaseException], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._settings = settings
        self._registry = registry
        self._on_bug = on_bug
        self._fuels = load_fuels()
        self._passed_on: dict[TopicPartition, int] = {}
        self.moved = 0  # messages passed on
        self.waits_for_broker = False
        servers = list(broker_addresses(kafka_url))
        self._topic = settings.topic_prefix + ACTIVITIES.name
        self._consumer = AIOKafkaConsumer(
            self._topic,
            bootstrap_servers=servers,
            group_id=group,
            group_instance_id=settings.member_of(STATION),
            client_id=f"wattloop-{STATION}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 250),
        )
        self._sender = OrderedSender(servers, settings.topic_prefix)

    async def on_start(self) -> None:
        """Connect."""
        await self._sender.start()
        await self._consumer.start()

    async def on_stop(self) -> None:
        """Disconnect; what was not committed is read again by the next worker."""
        await leave(self._consumer)
        await self._sender.stop()

    async def reached(self, ends: Mapping[tuple[str, int], int]) -> bool:
        """Return whether everything before these ends has been passed on."""
        return all(end <= self._passed_on.get(TopicPartition(*place), 0) for place, end in ends.items())

    def reaches(self) -> dict[Place, Reach]:
        """Return how far it is on its partitions."""
        consumer = self._consumer
        return {one: Reach(self._passed_on.get(one), consumer.highwater(one), None) for one in consumer.assignment()}

    @Service.task
    async def _work(self) -> None:
        while not self.should_stop:
            try:
                for place, records in (
                    await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
                ).items():
                    await self._pass_on(place, records)
                self.waits_for_broker = False
            except (KafkaError, OSError) as error:
                self.waits_for_broker = True
                log.warning("activities_wait_for_broker", extra={"error": f"{type(error).__name__}: {error}"})
                await self.sleep(_RETRY_S)
                await self._rewind()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("activities_failed")
                await self._on_bug(error)
                return

    async def _pass_on(self, place: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        begin = await self._begin(place, records[0].offset)
        sites = self._registry.sites
        followed_by = [list(followed(one, sites, self._fuels, self._settings.partitions)) for one in records]
        caused = await self._sender.send([one for some in followed_by for one in some])
        refused = [sum(one.topic == DEAD_LETTERS.name for _, one in some) for some in followed_by]
        used = [len(some) - letters for some, letters in zip(followed_by, refused, strict=True)]
        METRICS.ingest_messages_total.labels(ACTIVITIES.name).inc(len(records))
        log.info(
            "activities_taken",
            extra={"messages": len(records), "activities": sum(used), "refused": sum(refused)},
        )
        segments = list(segments_of(place.partition, begin, list(zip(records, used, refused, strict=True)), caused))
        await self._sender.send((one.partition, one.envelope()) for one in segments)
        note(segments, time.time())
        after = records[-1].offset + 1
        try:
            await self._consumer.commit({place: after})
        except (CommitFailedError, IllegalStateError):
            log.info("commit_after_rebalance_left_to_the_next_owner")
        self._passed_on[place] = after
        self.moved += len(records)

    async def _begin(self, place: TopicPartition, first_offset: int) -> int:
        """Return where the account of a poll begins: where the last one ended, or behind what the broker deleted."""
        committed = await self._consumer.committed(place)
        if committed is None or committed >= first_offset:
            return first_offset
        return max(committed, min(first_offset, (await self._consumer.beginning_offsets([place]))[place]))

    async def _rewind(self) -> None:
        """Read again from what was committed."""
        try:
            for place in self._consumer.assignment():
                committed = await self._consumer.committed(place)
                if committed is None:
                    await self._consumer.seek_to_beginning(place)
                else:
                    self._consumer.seek(place, committed)
        except (KafkaError, OSError) as error:
            log.warning("activities_rewind_failed", extra={"error": f"{type(error).__name__}: {error}"})


def followed(
    record: ConsumerRecord, sites: Mapping[str, SiteRecord], fuels: pl.DataFrame, partitions: int
) -> Iterator[tuple[int, Envelope]]:
    """Yield what follows from a message of activities.v1: priced activities and dead letters, with their partitions.

    Parameters
    ----------
    record
        The message.
    sites
        The registry's sites by id.
    fuels
        Rows of `schemas.reference.catalogue.load_fuels`.
    partitions
        Partitions of the topics.
    """
    origin = Origin(ACTIVITIES.name, record.partition, record.offset)
    for index, one in enumerate(judged(record.value, sites, fuels, REFERENCE_VERSION)):
        if isinstance(one, Refused):
            headers = headers_of(
                one.reason,
                STATION,
                origin,
                index=one.index,
                arrived_at=record.timestamp,
                content_type="application/json",
            )
            said = [(name, one.detail.encode() if name == HEADER_DETAIL else text) for name, text in headers]
            yield record.partition, Envelope(DEAD_LETTERS.name, record.key, one.line, record.timestamp, said)
            continue
        rows = pl.DataFrame([one], schema=ACTIVITY_RECORD)
        partition = partition_for(str(one["site_id"]), partitions)
        for envelope in envelopes(Output(ACTIVITY, rows=rows), origin, index, record.timestamp, "wattloop/activities"):
            yield partition, envelope


def segments_of(
    partition: int, begin: int, records: Sequence[tuple[ConsumerRecord, int, int]], caused: Caused
) -> Iterator[Segment]:
    """Yield what accounting.v1 is told of a poll: a segment for each minute of arrival.

    Parameters
    ----------
    partition
        The partition of activities.v1.
    begin
        The offset behind the last account.
    records
        Each message, how many of its lines were passed on, and how many refused.
    caused
        The last messages that followed.
    """
    for _, some in groupby(records, key=lambda one: minute_of(one[0].timestamp)):
        mine = list(some)
        last = mine[-1][0]
        refused = sum(letters for _, _, letters in mine)
        tally = Tally(
            messages=len(mine),
            received=refused + sum(used for _, used, _ in mine),
            refused=refused,
            rows_until=max((one.offset for one, used, letters in mine if used or letters), default=None),
            caused=caused,
        )
        yield Segment(INGEST, ACTIVITIES.name, partition, begin, last.offset, last.timestamp, tally)
        begin = last.offset + 1
