"""The supervisor of `wattloop run`.

It holds the gate, the embedded broker, the replay and the screen, and runs the pipeline as a worker process. When the
broker's memory passes its bound, or the run ends, it goes the same way: nothing new is let in, the worker reads every
topic to its end and keeps its state in the history store, and only then the broker, which keeps nothing, is stopped.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from rich.console import Console

from schemas.registry import Registry
from schemas.topics import METER_READINGS, REGISTRY, SAVINGS, SITE_LIVE, Topic
from streams.broker import TOPICS_CLIENT_ID, changelog_topic, ensure_topics
from streams.demo.building import SITE_ID
from streams.demo.replay import FieldProducer, Replay
from streams.demo.screen import Factory, Progress, Screen, Served
from streams.demo.steered import SteeredBuilding, steer
from streams.embedded.broker import EmbeddedBroker, free_port
from streams.embedded.gate import Gate
from streams.leaving import leave
from streams.registry_topic import publish
from streams.run.child import WorkerFailed, WorkerProcess, worker_environment
from streams.run.position import load_position_ms, save_position_ms
from streams.settings import Settings, broker_addresses, masked
from streams.topology import APP_ID, stages

log = logging.getLogger(__name__)

MB = 1_000_000
DAY_S = 86_400
WATCH_S = 0.25
RECYCLE_DRAIN_S = 180.0  # a full broker is much to read, and what is not read is lost with it
STOP_WITHIN_S = 30.0  # for the last drain: it takes about 3 s, and longer when the machine is busy
MAX_WORKER_RESTARTS = 3
# Reading a full broker to its end still adds what follows from the unread part: the rest is left for that.
RESTART_AT = 0.7


@dataclass(slots=True)
class Supervisor:
    """One run.

    Parameters
    ----------
    settings
        The settings.
    registry
        Applied to every broker that is started.
    speed
        Event time per wall time of the replay; None = no replay. [s/s]
    days
        How far back the replay starts when there was no earlier run. [d]
    console
        Where the screen goes.
    clock
        The wall clock. [s since 1970 UTC]
    """

    settings: Settings
    registry: Registry
    speed: float | None
    days: float
    console: Console
    clock: Callable[[], float] = time.time
    broker_restarts: int = 0
    _gate: Gate | None = None
    _broker: EmbeddedBroker | None = None
    _worker: WorkerProcess = field(init=False)
    _replay: Replay | None = None
    _building: SteeredBuilding | None = None
    _screen: Screen = field(init=False)
    _producer: FieldProducer | None = None
    _kafka_url: str = ""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _rate: tuple[float, int] = (0.0, 0)
    _started: bool = False

    async def run(self) -> int:
        """Run until told to stop; return the exit code."""
        settings = self.settings
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        try:
            await self._prepare()
            await self._start_log()
            self._spawn("screen", self._screen.run(self.console))
            self._spawn("live", self._follow_live())
            self._spawn_replay()
            if self._building is not None:
                self._spawn("building", steer(settings, self._kafka_url, self._building, self._clock_ms))
            return await self._watch()
        except WorkerFailed as error:
            log.error("worker_failed", extra={"error": str(error)})
            return 1
        finally:
            await self._finish()

    def stop(self) -> None:
        """End the run cleanly."""
        self._stopping.set()

    @property
    def kafka(self) -> str:
        """Bootstrap address for clients, `host:port`."""
        return broker_addresses(self._kafka_url)[0]

    @property
    def _restart_at_bytes(self) -> float:
        return RESTART_AT * self.settings.broker_memory_mb * MB

    @property
    def _position_path(self) -> Path:
        return self.settings.data_dir / "replay.json"

    @property
    def _drain_timeout_s(self) -> float:
        return max(self.settings.drain_timeout_s, RECYCLE_DRAIN_S)

    async def _prepare(self) -> None:
        settings = self.settings
        overrides: dict[str, object] = {"data_dir": settings.data_dir.absolute()}
        if settings.kafka_url is None:
            self._gate = Gate(settings.broker_port)
            address = await self._gate.start()
            # It keeps nothing, so there is nothing to wait for when it is stopped.
            self._broker = EmbeddedBroker(advertised=address, stop_within_s=0.2)
            self._kafka_url = f"kafka://{address}"
            overrides |= {
                "kafka_url": self._kafka_url,
                "broker_forgets": True,
                "drain_timeout_s": self._drain_timeout_s,
            }
            if settings.archive_dir is None:
                # What the broker forgets can be replayed from nowhere else.
                overrides["archive_dir"] = settings.data_dir.absolute() / "archive"
        else:
            self._kafka_url = settings.kafka_url
        port = settings.admin_port or free_port()
        overrides["admin_port"] = port
        admin = f"http://{settings.admin_host}:{port}"
        environment = worker_environment(settings, overrides, os.environ)
        self._worker = WorkerProcess(environment, settings.data_dir / "worker.log", admin)
        if self.speed is not None:
            kept = load_position_ms(self._position_path)
            first = int((self.clock() - self.days * DAY_S) * 1000)
            self._replay = Replay(first if kept is None else kept, self.speed)
            if any(site.id == SITE_ID for site in self.registry.sites):
                path = settings.data_dir / f"{SITE_ID}.json"
                self._building = SteeredBuilding(path, self._replay.position_ms, self._clock_ms)
                self.registry = self._building.proven(self.registry)
        self._screen = Screen(
            [Factory(s.id, s.name, s.name_zh, ZoneInfo(s.time_zone)) for s in self.registry.sites],
            Served(self.kafka, admin, masked(settings.clickhouse_dsn), self._broker is not None),
            Progress(self.speed, bound_bytes=settings.broker_memory_mb * MB if self._broker else None),
        )

    async def _start_log(self) -> None:
        """Start an empty broker, if it is ours, and the worker on it."""
        settings = self.settings
        prefix = settings.topic_prefix
        if self._broker is not None and self._gate is not None:
            address = await self._broker.start()
            self._gate.attach(address, only=TOPICS_CLIENT_ID)
        changelogs = [changelog_topic(prefix, APP_ID, spec.name) for spec in stages(settings)]
        await asyncio.to_thread(
            ensure_topics,
            self._kafka_url,
            prefix,
            settings.partitions,
            settings.replication_factor,
            changelogs,
        )
        if self._gate is not None:
            self._gate.admit_own()
        await publish(broker_addresses(self._kafka_url), self.registry, topic=prefix + REGISTRY.name)
        await self._worker.start()
        self._producer = FieldProducer(self.kafka, settings.partitions, prefix + METER_READINGS.name)
        await self._producer.__aenter__()
        if self._gate is not None:
            self._gate.open()
        self._started = True

    async def _end_log(self, within_s: float) -> bool:
        """Let nothing more in, let the worker finish, stop the broker; return whether all of it was read."""
        if self._replay is not None:
            await self._replay.pause()
        if self._gate is not None:
            self._gate.close()
            await self._gate.settled()
        await self._close_producer()
        clean = await self._worker.stop(within_s)
        if clean and self._replay is not None:
            save_position_ms(self._position_path, self._replay.position_ms)
        if self._broker is not None:
            await self._broker.stop()
        return clean

    async def _watch(self) -> int:
        """Keep everything going until told to stop."""
        worker_restarts = 0
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), WATCH_S)
            for name, task in self._tasks.items():
                if task.done():
                    error = None if task.cancelled() else task.exception()
                    raise WorkerFailed(f"{name} ended: {error!r}") from error
            self._report()
            if self._broker is not None and self._broker.died.is_set():
                log.error("embedded_broker_died", extra={"output": self._broker.output_tail()})
                await self._recover()
            elif self._broker is not None and self._broker.rss_bytes() > self._restart_at_bytes:
                await self._recycle()
            elif self._worker.exit_code is not None:
                worker_restarts += 1
                log.error("worker_ended", extra={"code": self._worker.exit_code, "restarts": worker_restarts})
                if worker_restarts > MAX_WORKER_RESTARTS:
                    raise WorkerFailed(f"the worker ended {worker_restarts} times:\n{self._worker.log_tail()}")
                await self._worker.start()
            elif self._broker is None and self._replay is not None:
                save_position_ms(self._position_path, self._replay.position_ms)
        return 0

    async def _recycle(self) -> None:
        """Restart the embedded broker empty, losing nothing."""
        self._note("the broker reached its memory bound: reading it to its end, then starting it anew")
        started = time.monotonic()
        if not await self._end_log(self._drain_timeout_s + STOP_WITHIN_S):
            raise WorkerFailed(f"the worker did not read the broker to its end:\n{self._worker.log_tail()}")
        self.broker_restarts += 1
        await self._start_log()
        if self._replay is not None:
            self._replay.resume()
        self._note("")
        seconds = round(time.monotonic() - started, 2)
        log.info("embedded_broker_restarted", extra={"restarts": self.broker_restarts, "seconds": seconds})

    async def _recover(self) -> None:
        """Start anew after the broker died: what it held is gone, so the replay goes back to what was kept."""
        self._note("the broker died: starting it anew from the last kept state")
        await self._cancel("replay")
        await self._worker.kill()
        await self._close_producer()
        if self._replay is not None and self.speed is not None:
            kept = load_position_ms(self._position_path)
            first = int((self.clock() - self.days * DAY_S) * 1000)
            self._replay = Replay(first if kept is None else kept, self.speed)
        self.broker_restarts += 1
        if self._broker is not None:
            await self._broker.stop()
        await self._start_log()
        self._spawn_replay()
        self._note("")

    async def _finish(self) -> None:
        # The building gets everything back while there is a broker to tell it to.
        await self._cancel("building", "screen", "live")
        if self._started and not await self._end_log(STOP_WITHIN_S):
            # The broker's memory goes with it; what was sent since the last kept state is sent again next time.
            log.warning("stopped_before_everything_was_read")
        await self._cancel("replay")
        if self._gate is not None:
            await self._gate.stop()

    async def _cancel(self, *names: str) -> None:
        found = [task for name in names if (task := self._tasks.pop(name, None)) is not None]
        for task in found:
            task.cancel()
        await asyncio.gather(*found, return_exceptions=True)

    async def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.__aexit__(None, None, None), 2.0)

    async def _send(self, readings: pl.DataFrame) -> None:
        if self._producer is None:
            raise RuntimeError("the replay sends although no broker is there")
        await self._producer.send(readings)
        if self._building is not None:
            await self._building.go_on(int(readings["ts"][-1]), self._send_to)

    async def _send_to(self, topic: Topic, measured: pl.DataFrame) -> None:
        if self._producer is None:
            raise RuntimeError("the building measures although no broker is there")
        await self._producer.send(measured, self.settings.topic_name(topic))

    def _clock_ms(self) -> int:
        return int(self.clock() * 1000)

    async def _follow_live(self) -> None:
        """Feed the screen; it shows what any consumer of site.live.v1 and savings.v1 sees."""
        live, savings = (self.settings.topic_prefix + topic.name for topic in (SITE_LIVE, SAVINGS))
        while True:
            consumer = AIOKafkaConsumer(
                live,
                savings,
                bootstrap_servers=list(broker_addresses(self._kafka_url)),
                client_id="wattloop-screen",
                group_id=None,
                auto_offset_reset="latest",
            )
            restarts = self.broker_restarts
            try:
                await consumer.start()
                while restarts == self.broker_restarts:
                    for records in (await consumer.getmany(timeout_ms=250)).values():
                        for record in records:
                            said = json.loads(record.value or b"{}")
                            if record.topic == live:
                                self._screen.update(said)
                            elif self._building is not None:
                                self._building.hear(said)
            except (KafkaError, OSError) as error:
                log.info("screen_waits_for_broker", extra={"error": f"{type(error).__name__}: {error}"})
            finally:
                await leave(consumer)
            await asyncio.sleep(0.2)

    def _spawn(self, name: str, work: Coroutine[object, object, None]) -> None:
        self._tasks[name] = asyncio.get_running_loop().create_task(work, name=name)

    def _spawn_replay(self) -> None:
        if self._replay is not None:
            self._spawn("replay", self._replay.run(self._send, self.clock))

    def _report(self) -> None:
        now = time.monotonic()
        sent = self._replay.sent if self._replay is not None else 0
        then, before = self._rate
        if now - then >= 1.0:
            rate = (sent - before) / (now - then) if then else 0.0
            self._rate = (now, sent)
            self._screen.progress = replace(self._screen.progress, readings_per_s=rate)
        self._screen.progress = replace(
            self._screen.progress,
            caught_up=self._replay is not None and self._replay.caught_up,
            readings=sent,
            broker_bytes=self._broker.rss_bytes() if self._broker is not None else None,
            broker_restarts=self.broker_restarts,
            building="" if self._building is None else self._building.text(),
        )

    def _note(self, text: str) -> None:
        self._screen.progress = replace(self._screen.progress, note=text)
        if text:
            log.info("run_note", extra={"note": text})
