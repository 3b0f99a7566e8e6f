"""The registry on Kafka: one JSON record per tenant and site on the compacted topic `registry.v1`.

Keys are `tenant/<id>` and `site/<id>`; a record without a value deletes. The broker's time of a
site's record is the revision of its configuration. The topic has one partition, so its records have one order.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.flow import SiteRecord
from schemas.registry import Registry, Tenant
from schemas.topics import REGISTRY, Topic
from streams.broker import topic_config
from streams.leaving import leave
from streams.registry_state import Changes, RegistryState, changes, entries, revision_of

log = logging.getLogger(__name__)

CLIENT_ID = "wattloop-registry"
HEADERS = [("content-type", b"application/json")]
PATIENCE_S = 30.0
POLL_MS = 500


class RegistryTopicError(RuntimeError):
    """The topic cannot be read or written: the broker is unreachable, or refuses."""


async def publish(
    brokers: Sequence[str],
    registry: Registry,
    *,
    topic: str = REGISTRY.name,
    prune: bool = False,
    replication_factor: int = 1,
) -> Changes:
    """Bring the topic in line with a registry, writing only what differs; the topic is created if missing.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    registry
        What the topic should hold.
    topic
        Full name of the topic.
    prune
        Whether records that are not in the registry are deleted.
    replication_factor
        Copies of the topic, should it have to be created.

    Raises
    ------
    RegistryTopicError
        If the broker is unreachable or refuses.
    """
    await ensure_topic(brokers, topic, replication_factor)
    todo = changes(await read_all(brokers, topic=topic), registry, prune=prune)
    wanted = entries(registry)
    with broker_errors(brokers):
        producer = AIOKafkaProducer(bootstrap_servers=list(brokers), client_id=CLIENT_ID, acks="all")
        await producer.start()
        try:
            for key in (*todo.added, *todo.changed, *todo.deleted):
                entry = wanted.get(key)
                value = None if entry is None else entry.model_dump_json().encode()
                await producer.send_and_wait(topic, value, key.encode(), partition=0, headers=HEADERS)
        finally:
            await producer.stop()
    return todo


async def read_all(brokers: Sequence[str], *, topic: str = REGISTRY.name) -> RegistryState:
    """Read the topic from beginning to end.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    topic
        Full name of the topic; one that does not exist holds nothing.

    Raises
    ------
    RegistryTopicError
        If the broker is unreachable or refuses.
    """
    async with _reader(brokers, topic) as consumer:
        state = RegistryState()
        if topic in await consumer.topics():
            await _catch_up(consumer, topic, state)
        return state


async def ensure_topic(brokers: Sequence[str], topic: str, replication_factor: int, like: Topic = REGISTRY) -> None:
    """Create the topic if it is missing.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    topic
        Full name of the topic.
    replication_factor
        Copies the brokers keep of it.
    like
        How the catalogue has it.

    Raises
    ------
    RegistryTopicError
        If the broker is unreachable or refuses.
    """
    with broker_errors(brokers):
        admin = AIOKafkaAdminClient(bootstrap_servers=list(brokers), client_id=CLIENT_ID)
        try:
            await admin.start()
            if topic in await admin.list_topics():
                return
            new = NewTopic(topic, 1, replication_factor, topic_configs=topic_config(like))
            answer = await admin.create_topics([new])
            for _, code, *_ in answer.topic_errors:
                error = for_code(int(code or 0))
                if code and error is not TopicAlreadyExistsError:
                    raise error(topic)
        finally:
            await admin.close()


class RegistryView:
    """The registry as it is on the topic now, kept current by `follow`.

    A topic that was deleted and made again is noticed, and read anew, only while it is shorter than before:
    after a broker has lost its topics, start a new view. What was known stays until a record says otherwise,
    so that readings are not refused while the registry is being published again.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    topic
        Full name of the topic, which must exist.
    """

    def __init__(self, brokers: Sequence[str], *, topic: str = REGISTRY.name) -> None:
        self._brokers = tuple(brokers)
        self._topic = topic
        self._state = RegistryState()
        self._consumer: AIOKafkaConsumer | None = None
        self._news = asyncio.Event()

    @property
    def sites(self) -> Mapping[str, SiteRecord]:
        """The sites by id, each with its revision."""
        return self._state.sites

    @property
    def tenants(self) -> Mapping[str, Tenant]:
        """The tenants by id."""
        return self._state.tenants

    @property
    def version(self) -> int:
        """A number that increases with every change."""
        return self._state.version

    async def start(self) -> None:
        """Read the topic to its present end.

        Raises
        ------
        RegistryTopicError
            If the broker is unreachable or refuses.
        """
        consumer = _consumer(self._brokers)
        try:
            with broker_errors(self._brokers):
                await consumer.start()
                await _catch_up(consumer, self._topic, self._state)
        except BaseException:
            await leave(consumer)
            raise
        self._consumer = consumer

    async def poll(self, timeout_ms: int = POLL_MS) -> bool:
        """Take what has arrived, waiting a moment for it; return whether anything changed.

        Parameters
        ----------
        timeout_ms
            How long to wait when nothing is there. [ms]
        """
        if self._consumer is None:
            raise RuntimeError("the view has not been started")
        changed = await _take(self._consumer, self._state, timeout_ms)
        if await self._log_was_replaced(self._consumer):
            log.warning("registry_read_again", extra={"topic": self._topic})
            self._consumer.seek(TopicPartition(self._topic, 0), 0)
        if changed:
            self._news.set()
            self._news = asyncio.Event()
        return changed

    async def _log_was_replaced(self, consumer: AIOKafkaConsumer) -> bool:
        place = TopicPartition(self._topic, 0)
        end = consumer.highwater(place)
        return end is not None and end < await consumer.position(place)

    async def changed(self, since: int) -> int:
        """Wait until `version` is above `since`, and return it; something else must be following.

        Parameters
        ----------
        since
            The version that is known.
        """
        while self.version <= since:
            await self._news.wait()
        return self.version

    async def follow(self) -> None:
        """Keep the view current until cancelled; a broker that is away is waited for."""
        while True:
            try:
                await self.poll()
            except (KafkaError, TimeoutError) as error:
                log.warning("registry_unreachable", extra={"why": str(error)})
                await asyncio.sleep(POLL_MS / 1000)

    async def stop(self) -> None:
        """Leave the broker; what is known stays readable."""
        if self._consumer is not None:
            await leave(self._consumer)
            self._consumer = None


def _consumer(brokers: Sequence[str]) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=list(brokers),
        client_id=CLIENT_ID,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=100,
    )


@asynccontextmanager
async def _reader(brokers: Sequence[str], topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = _consumer(brokers)
    try:
        with broker_errors(brokers):
            await consumer.start()
            yield consumer
    finally:
        await leave(consumer)


async def _catch_up(consumer: AIOKafkaConsumer, topic: str, state: RegistryState) -> None:
    place = TopicPartition(topic, 0)
    consumer.assign([place])
    consumer.seek(place, 0)
    async with asyncio.timeout(PATIENCE_S):
        # The high watermark of a fetch, because Tansu's ListOffsets answers short of the last batch.
        while (end := consumer.highwater(place)) is None or await consumer.position(place) < end:
            await _take(consumer, state, POLL_MS)


async def _take(consumer: AIOKafkaConsumer, state: RegistryState, timeout_ms: int) -> bool:
    changed = False
    for records in (await consumer.getmany(timeout_ms=timeout_ms)).values():
        for record in records:
            changed |= state.take(record.key, record.value, revision_of(record.timestamp, record.offset))
    return changed


@contextmanager
def broker_errors(brokers: Sequence[str]) -> Iterator[None]:
    """Turn what a broker's client raises into `RegistryTopicError`."""
    try:
        yield
    except TimeoutError:
        raise RegistryTopicError(f"the broker at {', '.join(brokers)} did not answer within {PATIENCE_S:g} s") from None
    except KafkaError as error:
        raise RegistryTopicError(f"cannot use the broker at {', '.join(brokers)}: {error}") from error
