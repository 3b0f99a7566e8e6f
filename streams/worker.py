"""A worker: the Faust app with its agents, ingest, storing and the admin port, from start to a clean end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import faust
from aiokafka.errors import KafkaError as ClientError
from clickhouse_connect.driver.client import Client
from kafka.errors import KafkaError as AdminError
from prometheus_client import generate_latest

from schemas.topics import ACCOUNTING, ACTIVITIES, BY_NAME, REGISTRY, TELEMETRY, Topic
from sinks.clickhouse.checkpoints import load_latest, save
from sinks.clickhouse.client import connect, read_dsn
from sinks.clickhouse.errors import SinkUnavailable
from sinks.clickhouse.migrate import check_migrated, migrate
from sinks.clickhouse.peers import set_rules
from sinks.clickhouse.retention import keep as keep_for
from sinks.clickhouse.summing import SUMS_EVERY_S
from sinks.clickhouse.writer import TableWriter
from sinks.parquet.writer import ArchiveWriter
from streams.app import attach_stages, build_app
from streams.block_size import ARCHIVE_BLOCKS
from streams.broker import changelog_topic, ensure_topics, log_id
from streams.embedded.ends import end_offsets
from streams.frame.pulse import Pulse, StoodStill
from streams.frame.stage import Stage, StageSpec
from streams.health.observer import Observer
from streams.health.progress import Check, Progress
from streams.health.world import World
from streams.history_thread import HistoryThread
from streams.ingest.activities import Activities
from streams.ingest.field import FIELD_TOPICS
from streams.ingest.service import Ingest
from streams.last_stop import StopReason, keep, reason_of, tell
from streams.local_state import LocalState
from streams.metrics import METRICS
from streams.reference_topic import InForce, ReferenceView
from streams.registry_topic import RegistryTopicError, RegistryView
from streams.settings import Settings, broker_addresses
from streams.stopping import Stopping
from streams.storing import Storing
from streams.topology import APP_ID, STORED, stages
from streams.web.admin import Admin

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Ends = Mapping[tuple[str, int], int]  # (full topic name, partition) -> offset after its last message

_RETRY_S = 1.0
_OBSERVE_S = 1.0
SHUT_DOWN_S = 20.0  # what disconnecting may take after the drain or the last checkpoint


class StoppedEarly(Exception):
    """A signal came while the worker was still waiting for its broker or history store."""


class DrainTimeout(Exception):
    """Draining took longer than allowed; the state of this log was not kept."""


@dataclass(slots=True)
class Worker:
    """One worker process.

    Parameters
    ----------
    settings
        The settings.
    kafka_url
        The broker, embedded or not.
    topology
        What runs.
    thread
        Where calls to the history store run.
    migrates
        Whether it brings the history store to the newest version, or waits until another process has.
    """

    settings: Settings
    kafka_url: str
    topology: Callable[[Settings], tuple[StageSpec, ...]] = stages
    thread: HistoryThread = field(default_factory=HistoryThread)
    migrates: bool = True
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _bug: BaseException | None = None
    _client: Client | None = None
    _app: faust.App | None = None
    _stages: tuple[Stage, ...] = ()
    _registry: RegistryView | None = None
    _following: asyncio.Task[None] | None = None
    _reference: ReferenceView | None = None
    _following_reference: asyncio.Task[None] | None = None
    _beating: asyncio.Task[None] | None = None
    _ingests: tuple[Ingest, ...] = ()
    _activities: Activities | None = None
    _storing: Storing | None = None
    _archiving: Storing | None = None
    _archive_thread: HistoryThread = field(default_factory=lambda: HistoryThread("archive"))
    _log_id: str = ""
    _local_state: LocalState | None = None
    _progress: Progress = field(default_factory=lambda: Progress(time.monotonic()))
    _world: World = field(init=False)
    _observer: Observer = field(init=False)
    _stopping: Stopping = field(init=False)

    async def run(self) -> int:
        """Run until a signal or a bug; return the exit code."""
        data_dir = self.settings.data_dir
        self._stopping = Stopping(
            self.settings.drain_timeout_s + SHUT_DOWN_S,
            self._asked_to_stop,
            lambda: keep(data_dir, StopReason.HARD_STOP),
        )
        self._stopping.listen()
        tell(data_dir)
        self._world = World(broker_addresses(self.kafka_url), self.settings.clickhouse_dsn)
        self._observer = Observer(self.settings, self._progress, self._world, self.thread)
        observing = asyncio.create_task(self._observe(self._observer))
        admin = Admin(self.settings.admin_host, self.settings.admin_port, self._alive, self._ready, self._metrics)
        admin.start(self._world.watch())
        try:
            await self._start()
            await self._stop.wait()
            if self._bug is None and self.settings.broker_forgets:
                await self._drain()
            elif self._bug is None:
                within_s = self.settings.drain_timeout_s
                taken = await asyncio.gather(*(stage.last_checkpoint(within_s) for stage in self._stages))
                log.info("last_checkpoint", extra={"complete": all(taken)})
        except StoppedEarly as early:
            log.info("stopped_early", extra={"reason": str(early)})
        except Exception as error:
            keep(data_dir, reason_of(error))
            raise
        finally:
            self._stopping.begin()
            self._progress.stopping = True
            await self._shut_down()
            observing.cancel()
            admin.stop()
        keep(data_dir, reason_of(self._bug))
        if self._bug is not None:
            log.error("worker_stopped_by_a_bug", extra={"error": f"{type(self._bug).__name__}: {self._bug}"})
            return 1
        log.info("worker_stopped")
        return 0

    def _asked_to_stop(self) -> None:
        self._progress.stopping = True
        self._stop.set()

    async def _observe(self, observer: Observer) -> None:
        """Beat and look, from the event loop whose life is in question."""
        try:
            while True:
                asked_at = time.monotonic()
                await asyncio.sleep(_OBSERVE_S)
                METRICS.event_loop_delay_seconds.observe(max(0.0, time.monotonic() - asked_at - _OBSERVE_S))
                observer.look()
                if self._app is not None and self._app.crashed and self._bug is None:
                    # A part of Faust that nobody restarts, such as its fetcher, has ended: nothing would come any more.
                    reason = self._app.crash_reason or RuntimeError("Faust crashed and gave no reason")
                    log.error("faust_crashed", extra={"error": f"{type(reason).__name__}: {reason}"})
                    await self._fail(reason)
        except Exception as error:
            log.exception("observer_failed")  # without it no probe could be believed
            await self._fail(error)

    async def _start(self) -> None:
        started = time.monotonic()
        observer = self._observer
        self._client = await self._when_available("history store", self._open_history)
        changelogs = [
            changelog_topic(self.settings.topic_prefix, APP_ID, spec.name) for spec in self.topology(self.settings)
        ]
        prefix, partitions = self.settings.topic_prefix, self.settings.partitions
        copies = self.settings.replication_factor

        def prepare() -> str:
            ensure_topics(self.kafka_url, prefix, partitions, copies, changelogs)
            return f"{log_id(self.kafka_url)}/{prefix}"

        self._log_id = await self._when_available("broker", lambda: asyncio.to_thread(prepare))
        brokers = list(broker_addresses(self.kafka_url))
        self._registry = RegistryView(brokers, topic=prefix + REGISTRY.name)
        await self._when_available("registry", self._registry.start)
        self._following = asyncio.create_task(self._registry.follow())
        self._reference = ReferenceView(brokers, prefix=prefix)
        await self._when_available("reference data", self._reference.start)
        self._following_reference = asyncio.create_task(self._reference.follow())
        inherited = await self._inherited() if self.settings.broker_forgets else {}
        pulse = Pulse(self.settings.session_timeout_s)
        self._beating = asyncio.create_task(self._beat(pulse))
        self._local_state = await self._open_local_state()
        directory = None if self._local_state is None else self._local_state.directory
        self._app = build_app(self.settings, self.kafka_url, directory)
        specs = self.topology(self.settings)
        self._stages = attach_stages(self._app, self.settings, specs, inherited, pulse=pulse, on_bug=self._fail)
        group = prefix + APP_ID
        writers = {
            prefix + table.topic: TableWriter(self._client, table, self._log_id, SUMS_EVERY_S) for table in STORED
        }
        self._storing = Storing(
            self.settings,
            self.kafka_url,
            f"{group}-history",
            writers=writers,
            thread=self.thread,
            on_bug=self._fail,
        )
        if self.settings.archive_dir is not None:
            self._archiving = Storing(
                self.settings,
                self.kafka_url,
                f"{group}-archive",
                writers={prefix + TELEMETRY.name: ArchiveWriter(self.settings.archive_dir, self._log_id)},
                thread=self._archive_thread,
                on_bug=self._fail,
                store="archive",
                blocks=ARCHIVE_BLOCKS,
            )
        in_force = InForce(self._registry, self._reference)
        self._ingests = tuple(
            Ingest(self.settings, in_force, f"{group}-{one.group}", self.kafka_url, self._fail, field=one)
            for one in FIELD_TOPICS
        )
        self._activities = Activities(self.settings, in_force, f"{group}-activities", self.kafka_url, self._fail)
        # Side by side: a broker lets a group wait before it answers the first member, and none waits for another's.
        services = (self._app, self._storing, self._archiving, *self._ingests, self._activities)
        await asyncio.gather(*(one.start() for one in services if one is not None))
        observer.app, observer.stages = self._app, self._stages
        observer.storing, observer.archiving = self._storing, self._archiving
        observer.ingests, observer.activities = self._ingests, self._activities
        observer.started = True
        log.info(
            "worker_started",
            extra={
                "seconds": round(time.monotonic() - started, 2),
                "log_id": self._log_id,
                "sites": len(self._registry.sites),
            },
        )

    async def _open_history(self) -> Client:
        dsn = self.settings.clickhouse_dsn

        def open_it() -> Client:
            client = connect(dsn)
            if self.migrates:
                for applied in migrate(client):
                    log.info("migration_applied", extra={"migration": str(applied)})
            else:
                check_migrated(client)
            # On a server `wattloop migrate` says it: a worker configured otherwise must not drop others' history.
            if read_dsn(dsn).path is not None:
                for table in keep_for(client, self.settings.retention):
                    log.info("retention_set", extra={"table": table})
                if set_rules(client, self.settings.peer_rules):
                    log.info("peer_rules_set", extra={"min_tenants": self.settings.peer_min_tenants})
            return client

        return await self.thread.run(open_it)

    async def _open_local_state(self) -> LocalState | None:
        """Open what the agents keep on disk; nothing on a broker that forgets, whose changelog is not there to copy."""
        if self.settings.state_store == "memory" or self.settings.broker_forgets:
            return None
        state = LocalState.take(self.settings.data_dir, self._log_id)
        prefix = self.settings.topic_prefix
        changelogs = {spec.name: changelog_topic(prefix, APP_ID, spec.name) for spec in self.topology(self.settings)}
        broker = broker_addresses(self.kafka_url)[0]
        ends = await self._when_available("changelogs", lambda: end_offsets(broker, changelogs.values()))
        await asyncio.to_thread(state.check, changelogs, ends)
        return state

    async def _inherited(self) -> dict[str, dict[str, bytes]]:
        """Return the state of an earlier log, from the history store."""
        client = self._client
        if client is None:
            raise RuntimeError("the history store is not open")
        found: dict[str, dict[str, bytes]] = {}
        for spec in self.topology(self.settings):
            latest = await self.thread.run(partial(load_latest, client, spec.name))
            if latest is not None and latest[0] != self._log_id:
                found[spec.name] = latest[1]
                log.info("state_inherited", extra={"agent": spec.name, "sites": len(latest[1])})
        return found

    async def _when_available(self, what: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Wait for a broken world; everything else stops the worker."""
        self._observer.step(what)
        said = False
        while True:
            trying = asyncio.ensure_future(attempt())
            stopped = asyncio.create_task(self._stop.wait())
            await asyncio.wait([trying, stopped], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if self._stop.is_set():
                trying.cancel()
                await asyncio.gather(trying, stopped, return_exceptions=True)
                raise StoppedEarly(f"stopped while waiting for the {what}")
            try:
                found = await trying
            except (SinkUnavailable, RegistryTopicError, AdminError, ClientError, OSError) as error:
                if not said:
                    log.warning("waiting", extra={"for": what, "error": f"{type(error).__name__}: {error}"})
                said = True
                self._observer.step(what, waits=f"the {what} is away: {error}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), _RETRY_S)
            else:
                self._observer.step(f"{what} found")
                return found

    async def _beat(self, pulse: Pulse) -> None:
        try:
            await pulse.run()
        except StoodStill as error:
            log.error("worker_stood_still", extra={"error": str(error)})
            await self._fail(error)

    async def _fail(self, error: BaseException) -> None:
        self._bug = self._bug or error
        self._progress.failure = f"{type(error).__name__}: {error}"
        self._stopping.begin()
        self._stop.set()

    async def _drain(self) -> None:
        """Read every topic to its end, then keep the agents' state where the next log will find it."""
        storing, client, activities = self._storing, self._client, self._activities
        if not self._ingests or storing is None or client is None or activities is None:
            return
        started = time.monotonic()
        deadline = started + self.settings.drain_timeout_s
        await self._until(activities.reached, (ACTIVITIES,), deadline)
        # That of the readings last: without its ticks the ends stand still.
        readings, *beside = self._ingests
        await asyncio.gather(*(self._drain_ingest(ingest, deadline) for ingest in beside))
        await self._drain_ingest(readings, deadline)
        for source in dict.fromkeys(stage.spec.source for stage in self._stages):
            await self._drain_stages([stage for stage in self._stages if stage.spec.source == source], source, deadline)
        await asyncio.gather(self._drain_history(storing, deadline), self._drain_archive(deadline))
        for stage in self._stages:
            await self.thread.run(partial(save, client, stage.spec.name, self._log_id, stage.all_snapshots()))
        log.info("drained", extra={"seconds": round(time.monotonic() - started, 2)})

    async def _drain_ingest(self, ingest: Ingest, deadline: float) -> None:
        await self._until(ingest.reached, (ingest.field.topic,), deadline)
        await ingest.stop()

    async def _drain_stages(self, stages: list[Stage], source: Topic, deadline: float) -> None:
        async def reached(ends: Ends) -> bool:
            return all([await stage.reached(ends) for stage in stages])

        await self._until(reached, (source,), deadline)
        for stage in stages:
            await stage.account_for_all()

    async def _drain_history(self, storing: Storing, deadline: float) -> None:
        stored = tuple(BY_NAME[table.topic] for table in STORED)
        await self._until(storing.reached, tuple(topic for topic in stored if topic != ACCOUNTING), deadline)
        await self._until(storing.reached, (ACCOUNTING,), deadline)  # storing the others is accounted for there

    async def _drain_archive(self, deadline: float) -> None:
        if self._archiving is not None:
            await self._until(self._archiving.reached, (TELEMETRY,), deadline)

    async def _until(
        self, reached: Callable[[Ends], Awaitable[bool]], topics: tuple[Topic, ...], deadline: float
    ) -> None:
        names = [self.settings.topic_prefix + topic.name for topic in topics]
        ends = await end_offsets(broker_addresses(self.kafka_url)[0], names)
        while not await reached(ends):
            if time.monotonic() > deadline:
                raise DrainTimeout(f"{', '.join(names)} not read to the end in {self.settings.drain_timeout_s:g} s")
            await asyncio.sleep(0.05)

    async def _shut_down(self) -> None:
        """Stop what was started, in the order of the flow."""
        for service in (*self._ingests, self._activities, self._app, self._storing, self._archiving):
            if service is not None and service.started:
                try:
                    await service.stop()
                except Exception:  # the others must be stopped all the same, or the process does not end
                    log.exception("not_stopped_cleanly", extra={"service": type(service).__name__})
        for task in (self._following, self._following_reference, self._beating):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._registry is not None:
            await self._registry.stop()
        if self._reference is not None:
            await self._reference.stop()
        if self._local_state is not None:
            self._local_state.release()
        client = self._client
        if client is not None:
            await self.thread.run(client.close)
        self.thread.close()
        self._archive_thread.close()

    def _alive(self) -> dict[str, Check]:
        return self._progress.alive(time.monotonic())

    def _ready(self) -> dict[str, Check]:
        return self._observer.ready()

    def _metrics(self) -> bytes:
        for probe, checks in (("livez", self._alive()), ("readyz", self._ready())):
            for name, check in checks.items():
                METRICS.health_ok.labels(probe, name).set(check.well)
        self._observer.before_metrics()
        return generate_latest()
