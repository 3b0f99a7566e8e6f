"""A gateway on Kafka: orders in, acknowledgements out, and a look at what nobody has acknowledged.

A few tasks share one gateway. Leases end in a task of their own that knows no Kafka; if one of the tasks fails, the
gateway gives everything back and ends.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

import polars as pl
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY, generate_latest

from schemas.ack import ACK_RECORD, Acknowledged, Awaited
from schemas.flow import Output
from schemas.setpoint import Setpoint
from schemas.topics import HVAC_ACKS, HVAC_OVERRIDES, HVAC_SETPOINTS, Topic
from schemas.topics import REGISTRY as REGISTRY_TOPIC
from streams.broker import partition_for
from streams.frame.codec import Origin, envelopes
from streams.health.progress import Check, Checks
from streams.hvac_gateway.gateway import Clock, Gateway
from streams.hvac_gateway.lease import Served
from streams.hvac_gateway.orders import read_command, read_override
from streams.leaving import leave
from streams.metrics import METRICS
from streams.registry_topic import RegistryTopicError, RegistryView
from streams.settings import Settings, broker_addresses
from streams.web.admin import Admin

log = logging.getLogger(__name__)

CLIENT_ID = "wattloop-hvac-gateway"
SOURCE = "wattloop/hvac-gateway"
_TURN_S = 1.0
_LOOK_S = 60.0
_SEND_S = 0.2
_RETRY_S = 2.0
_POLL_MS = 500
_LEAVE_S = 5.0
_LAST_ACKS_S = 5.0
_STUCK_MS = 120_000  # a turn may wait for devices that are away
# A gateway is no worker: it must not look like one to alerts that ask whether a worker is there.
_SHOWN = (
    "wattloop_hvac_acks_total",
    "wattloop_hvac_ignored_total",
    "wattloop_hvac_leases",
    "wattloop_hvac_unacknowledged_commands",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
)


class Service:
    """One gateway as a process.

    Parameters
    ----------
    settings
        The settings.
    kafka_url
        The broker.
    gateway
        The gateway.
    clock
        The time.
    answers
        Whether acknowledgements are sent and offsets committed; not in a dry run.
    """

    def __init__(self, settings: Settings, kafka_url: str, gateway: Gateway, clock: Clock, *, answers: bool) -> None:
        self._settings = settings
        self._brokers = list(broker_addresses(kafka_url))
        self._gateway = gateway
        self._clock = clock
        self._answers = answers
        self._stop = asyncio.Event()
        self._reading = False

    async def run(self) -> int:
        """Run as a process until a signal; return 0 if the plant has everything back, else 1."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        admin = Admin(self._settings.admin_host, self._settings.admin_port, self._alive, self._ready, _metrics)
        admin.start()
        try:
            return await self.serve()
        finally:
            admin.stop()

    async def serve(self) -> int:
        """Serve until cancelled, or until `run` is told to stop; return 0 if the plant has everything back, else 1."""
        asked = asyncio.create_task(self._stop.wait())
        tasks = [asyncio.create_task(one) for one in self._tasks()]
        try:
            await asyncio.wait([asked, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            for task in tasks:
                task.cancel()
            # The plant first: clients of a broker that is away take their time to leave it.
            given_back = await self._gateway.stop()
            ended, _ = await asyncio.wait(tasks, timeout=_LEAVE_S)
            await self._last_acks()
        broken = [error for task in ended if not task.cancelled() and (error := task.exception()) is not None]
        for error in broken:
            log.error("hvac_gateway_failed", exc_info=error)
        log.info("hvac_gateway_stopped", extra={"given_back": given_back})
        return 0 if given_back and not broken else 1

    def _tasks(self) -> Sequence[Coroutine[object, object, None]]:
        always = [self._turns(), self._looks(), self._orders(), self._watch()]
        return [*always, self._send()] if self._answers else always

    async def _turns(self) -> None:
        while True:
            await self._gateway.turn()
            await asyncio.sleep(_TURN_S)

    async def _looks(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            await self._gateway.look()

    async def _orders(self) -> None:
        view = RegistryView(self._brokers, topic=self._settings.topic_name(REGISTRY_TOPIC))
        try:
            while self._gateway.zones is None:
                try:
                    await view.start()
                except RegistryTopicError as error:
                    log.warning("registry_unreachable", extra={"why": str(error)})
                    await asyncio.sleep(_RETRY_S)
                else:
                    self._gateway.zones = _zones(view)
            async with asyncio.TaskGroup() as both:
                both.create_task(view.follow())
                both.create_task(self._follow_orders())
        finally:
            await view.stop()

    async def _follow_orders(self) -> None:
        overrides = self._settings.topic_name(HVAC_OVERRIDES)
        group = f"{self._settings.topic_prefix}{CLIENT_ID}-{self._settings.instance}" if self._answers else None
        async with self._consumer([HVAC_SETPOINTS, HVAC_OVERRIDES], group) as consumer:
            self._reading = True
            async for records in _polls(consumer):
                now = self._clock()
                orders = [
                    read_override(record.value, now) if record.topic == overrides else read_command(record.value, now)
                    for record in records
                ]
                if not orders:
                    continue
                await self._gateway.take(orders)
                if group is not None:
                    try:
                        await consumer.commit()
                    except KafkaError as error:  # read again after a restart, and known then
                        log.warning("commit_failed", extra={"error": f"{type(error).__name__}: {error}"})

    async def _watch(self) -> None:
        awaited = Awaited()
        setpoints = self._settings.topic_name(HVAC_SETPOINTS)
        async with self._consumer([HVAC_SETPOINTS, HVAC_ACKS], None) as consumer:
            async for records in _polls(consumer):
                for record in records:
                    _await(awaited, record, is_command=record.topic == setpoints)
                found = awaited.unacknowledged(self._clock())
                for last in ("none", "accepted"):
                    METRICS.hvac_unacknowledged_commands.labels(last).set(found[last])

    @asynccontextmanager
    async def _consumer(self, topics: Sequence[Topic], group: str | None) -> AsyncIterator[AIOKafkaConsumer]:
        """Read these topics from where the group was, or from their beginning; wait until they are there."""
        names = [self._settings.topic_name(one) for one in topics]
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._brokers,
                client_id=CLIENT_ID,
                group_id=group,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
            )
            try:
                await consumer.start()
                places = await _places(self._brokers)
                missing = sorted(set(names) - places.keys())
                if not missing:
                    consumer.assign([place for name in names for place in places[name]])
                    break
                log.warning("topics_missing", extra={"topics": missing, "advice": "wattloop topics apply"})
            except (KafkaError, OSError) as error:
                log.warning("broker_unreachable", extra={"error": f"{type(error).__name__}: {error}"})
            except BaseException:
                await leave(consumer)
                raise
            await leave(consumer)
            await asyncio.sleep(_RETRY_S)
        try:
            yield consumer
        finally:
            await leave(consumer)

    async def _send(self) -> None:
        while True:
            try:
                async with _producer(self._brokers) as producer:
                    while True:
                        await self._send_unsent(producer)
                        await asyncio.sleep(_SEND_S)
            except (KafkaError, OSError) as error:
                log.warning("acks_wait", extra={"unsent": len(self._gateway.unsent), "error": str(error)})
                await asyncio.sleep(_RETRY_S)

    async def _send_unsent(self, producer: AIOKafkaProducer) -> None:
        acks = self._gateway.unsent
        if not acks:
            return
        for ack in acks:
            rows = pl.DataFrame([ack.row(self._settings.instance)], schema=ACK_RECORD)
            for one in envelopes(Output(HVAC_ACKS, rows=rows), Origin(ack.id, -1, 0), 0, 0, SOURCE):
                name = self._settings.topic_name(HVAC_ACKS)
                partition = partition_for(ack.site_id, self._settings.partitions)
                await producer.send_and_wait(name, one.value, one.key, partition, one.timestamp_ms, one.headers)
        self._gateway.sent(acks)

    async def _last_acks(self) -> None:
        """Send what is left, if the broker is there; what is not sent is sent by the next start."""
        if not self._answers or not self._gateway.unsent:
            return
        try:
            async with asyncio.timeout(_LAST_ACKS_S), _producer(self._brokers) as producer:
                await self._send_unsent(producer)
        except (KafkaError, OSError) as error:
            log.warning("acks_wait", extra={"unsent": len(self._gateway.unsent), "error": str(error)})

    def _alive(self) -> Checks:
        late = self._clock() - self._gateway.turned_at
        return {"turns": Check(late < _STUCK_MS, f"leases were looked after {late / 1000:.0f} s ago")}

    def _ready(self) -> Checks:
        known = self._gateway.zones is not None
        return {
            "registry": Check(known, "known" if known else "not read yet"),
            "orders": Check(self._reading, "being read" if self._reading else "not read yet"),
        }


@asynccontextmanager
async def _producer(brokers: Sequence[str]) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=list(brokers), client_id=CLIENT_ID, acks="all")
    try:
        await producer.start()
        yield producer
    finally:
        await leave(producer)


async def _polls(consumer: AIOKafkaConsumer) -> AsyncIterator[list[ConsumerRecord]]:
    while True:
        polled = await consumer.getmany(timeout_ms=_POLL_MS)
        yield [record for records in polled.values() for record in records]


async def _places(brokers: Sequence[str]) -> dict[str, list[TopicPartition]]:
    """Return the partitions of all topics: a consumer of Apache Kafka knows those of topics it reads only."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(brokers), client_id=CLIENT_ID)
    try:
        await admin.start()
        topics = await admin.describe_topics()
    finally:
        await admin.close()
    return {
        one["topic"]: [TopicPartition(one["topic"], place["partition"]) for place in one["partitions"]]
        for one in topics
        if one["partitions"]
    }


def _zones(view: RegistryView) -> Callable[[str, str], Served | None]:
    def found(site_id: str, zone_id: str) -> Served | None:
        record = view.sites.get(site_id)
        zone = None if record is None else record.site.zone(zone_id)
        return None if record is None or zone is None else Served(record.site.tenant, zone.hvac)

    return found


def _await(awaited: Awaited, record: ConsumerRecord, *, is_command: bool) -> None:
    try:
        if is_command:
            awaited.take_command(Setpoint.model_validate_json(record.value or b""))
        else:
            awaited.take_ack(Acknowledged.model_validate_json(record.value or b""))
    except ValueError:
        return  # who it is sent to says so


def _metrics() -> bytes:
    return generate_latest(REGISTRY.restricted_registry(_SHOWN))
