"""The reference data on Kafka: editions are published on `factors.v1` and `tariffs.v1`, and followed."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.flow import SiteRecord
from schemas.reference.edition import RegionFactors
from schemas.reference.tariffs import TariffPlan
from schemas.topics import FACTORS, TARIFFS
from streams.leaving import leave
from streams.reference_state import EDITION_KEY, Published, ReferenceState, Stamp, digest_of
from streams.registry_state import revision_of
from streams.registry_topic import PATIENCE_S, POLL_MS, RegistryView, broker_errors, ensure_topic

log = logging.getLogger(__name__)

CLIENT_ID = "wattloop-reference"
HEADERS = [("content-type", b"application/json")]
ROWS = (FACTORS, TARIFFS)


async def publish(
    brokers: Sequence[str],
    regions: Mapping[str, RegionFactors],
    plans: Mapping[str, TariffPlan],
    version: str,
    *,
    prefix: str = "",
    replication_factor: int = 1,
) -> int:
    """Put an edition in force: write the rows that differ, delete those it does not have, and name it last.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    regions, plans
        All rows of the edition, by id.
    version
        Its name.
    prefix
        Of topic names.
    replication_factor
        Copies of the topics, should they have to be created.

    Returns
    -------
    int
        Rows written; 0 when the edition is in force already, and then nothing is written.

    Raises
    ------
    RegistryTopicError
        If the broker is unreachable or refuses.
    """
    for topic in ROWS:
        await ensure_topic(brokers, prefix + topic.name, replication_factor, topic)
    held = await read_all(brokers, prefix=prefix)
    digest = digest_of(regions, plans)
    in_force = held.in_force
    same_rows = digest == digest_of(held.regions, held.plans)
    if in_force is not None and in_force.version == version and same_rows:
        return 0
    wanted: dict[str, Mapping[str, RegionFactors | TariffPlan]] = {FACTORS.name: regions, TARIFFS.name: plans}
    had: dict[str, Mapping[str, RegionFactors | TariffPlan]] = {FACTORS.name: held.regions, TARIFFS.name: held.plans}
    written = 0
    with broker_errors(brokers):
        producer = AIOKafkaProducer(bootstrap_servers=list(brokers), client_id=CLIENT_ID, acks="all")
        await producer.start()
        try:
            for name, rows in wanted.items():
                for key in sorted(rows.keys() | had[name].keys()):
                    row = rows.get(key)
                    if row == had[name].get(key):
                        continue
                    value = None if row is None else row.model_dump_json().encode()
                    await producer.send_and_wait(prefix + name, value, key.encode(), partition=0, headers=HEADERS)
                    written += 1
            stamp = Stamp(version=version, digest=digest).model_dump_json().encode()
            await producer.send_and_wait(
                prefix + FACTORS.name, stamp, EDITION_KEY.encode(), partition=0, headers=HEADERS
            )
        finally:
            await producer.stop()
    return written + 1


async def send_rows(brokers: Sequence[str], rows: Iterable[tuple[str, bytes]], *, prefix: str = "") -> None:
    """Write records to factors.v1 that are no part of an edition: hours of a grid's intensity.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    rows
        Keys and values.
    prefix
        Of topic names.
    """
    with broker_errors(brokers):
        producer = AIOKafkaProducer(bootstrap_servers=list(brokers), client_id=CLIENT_ID, acks="all")
        await producer.start()
        try:
            for key, value in rows:
                await producer.send_and_wait(prefix + FACTORS.name, value, key.encode(), partition=0, headers=HEADERS)
        finally:
            await producer.stop()


async def read_all(brokers: Sequence[str], *, prefix: str = "") -> ReferenceState:
    """Read both topics from beginning to end; one that does not exist holds nothing.

    Raises
    ------
    RegistryTopicError
        If the broker is unreachable or refuses.
    """
    view = ReferenceView(brokers, prefix=prefix)
    await view.start()
    await view.stop()
    return view.state


class ReferenceView:
    """The edition in force now, kept current by `follow`.

    Parameters
    ----------
    brokers
        Addresses, as `host:port`.
    prefix
        Of topic names.
    """

    def __init__(self, brokers: Sequence[str], *, prefix: str = "") -> None:
        self._brokers = tuple(brokers)
        self._names = {prefix + topic.name: topic.name for topic in ROWS}
        self.state = ReferenceState()
        self._consumer: AIOKafkaConsumer | None = None
        self._news = asyncio.Event()

    @property
    def in_force(self) -> Published | None:
        """The edition in force; None while none was published."""
        return self.state.in_force

    @property
    def version(self) -> int:
        """A number that increases whenever another edition comes into force."""
        return self.state.version

    async def start(self) -> None:
        """Read the topics to their present ends.

        Raises
        ------
        RegistryTopicError
            If the broker is unreachable or refuses.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=list(self._brokers),
            client_id=CLIENT_ID,
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        try:
            with broker_errors(self._brokers):
                await consumer.start()
                there = await consumer.topics()
                places = [TopicPartition(name, 0) for name in self._names if name in there]
                if places:
                    consumer.assign(places)
                    for place in places:
                        consumer.seek(place, 0)
                    async with asyncio.timeout(PATIENCE_S):
                        # The high watermark of a fetch, because Tansu's ListOffsets answers short of the last batch.
                        for place in places:
                            while (end := consumer.highwater(place)) is None or await consumer.position(place) < end:
                                await self._take(consumer)
        except BaseException:
            await leave(consumer)
            raise
        self._consumer = consumer

    async def follow(self) -> None:
        """Keep the view current until cancelled; a broker that is away is waited for."""
        while self._consumer is not None:
            try:
                await self._take(self._consumer)
            except (KafkaError, TimeoutError) as error:
                log.warning("reference_unreachable", extra={"why": str(error)})
                await asyncio.sleep(POLL_MS / 1000)

    async def changed(self, since: int) -> None:
        """Wait until `version` is above `since`; something else must be following."""
        while self.version <= since:
            await self._news.wait()

    async def stop(self) -> None:
        """Leave the broker; what is known stays readable."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await leave(consumer)

    async def _take(self, consumer: AIOKafkaConsumer) -> None:
        for place, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
            for record in records:
                revision = revision_of(record.timestamp, record.offset)
                if self.state.take(self._names[place.topic], record.key, record.value, revision):
                    self._news.set()
                    self._news = asyncio.Event()


class InForce:
    """The sites with the edition that each is priced with: what ingest puts in front of readings.

    Parameters
    ----------
    registry, reference
        Both views, followed by somebody else.
    """

    def __init__(self, registry: RegistryView, reference: ReferenceView) -> None:
        self._registry = registry
        self._reference = reference
        self._known: tuple[int, Mapping[str, SiteRecord]] = (-1, {})

    @property
    def version(self) -> int:
        """A number that increases with every change of either."""
        return self._registry.version + self._reference.version

    @property
    def sites(self) -> Mapping[str, SiteRecord]:
        """The sites by id; a record is as new as the newer of its site and its edition."""
        if self._known[0] != self.version:
            self._known = self.version, with_edition(self._registry.sites, self._reference.in_force)
        return self._known[1]


def with_edition(sites: Mapping[str, SiteRecord], published: Published | None) -> Mapping[str, SiteRecord]:
    """Return site records that carry their part of an edition.

    Parameters
    ----------
    sites
        Records of the registry.
    published
        The edition in force; None while none was published, and the records stay as they are.
    """
    if published is None:
        return sites
    terms = {(record.site.region, record.site.tariff.plan) for record in sites.values()}
    parts = {term: published.of_site(*term) for term in terms}
    return {
        name: SiteRecord(
            record.site,
            max(record.revision, published.revision),
            parts[record.site.region, record.site.tariff.plan],
        )
        for name, record in sites.items()
    }
