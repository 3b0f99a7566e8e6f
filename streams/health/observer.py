"""Looks at the stations of a worker once a second, from its event loop, and tells progress and metrics what it saw."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence

import faust
from faust.tables.manager import TableManager

from schemas.topics import EMISSIONS
from streams.frame.stage import Stage
from streams.health.behind import Behind, Book, Place, Reach
from streams.health.progress import Check, PartitionName, Progress, Sighting
from streams.health.world import World
from streams.history_thread import HistoryThread
from streams.ingest.activities import STATION as ACTIVITIES
from streams.ingest.activities import Activities
from streams.ingest.service import Ingest
from streams.metrics import METRICS
from streams.settings import Settings
from streams.storing import Storing

HISTORY, ARCHIVE = "history", "archive"
RECOVERY, START = "recovery", "start"
RECOVERY_LIMIT_S = 120.0
START_LIMIT_S = 300.0


class Observer:
    """Sees how each station of a worker gets on. What it looks at is set when it has been started.

    Parameters
    ----------
    settings
        The settings.
    progress
        Told about every station.
    world
        Whether broker and history store answer.
    thread
        Where calls to the history store run.
    clock, wall
        A clock that goes on while the process stands still [s], and the wall clock [s since 1970 UTC].
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        world: World,
        thread: HistoryThread,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.app: faust.App | None = None
        self.stages: Sequence[Stage] = ()
        self.ingests: Sequence[Ingest] = ()
        self.activities: Activities | None = None
        self.storing: Storing | None = None
        self.archiving: Storing | None = None
        self.started = False
        self._settings = settings
        self._progress = progress
        self._world = world
        self._thread = thread
        self._clock = clock
        self._wall = wall
        self._book = Book()
        self._steps = 0
        self._step = "nothing has begun"
        self._waits = ""
        self._crashes: dict[str, int] = {}
        self._rebalances = 0
        self._store_away_since: float | None = None
        self._broker_excuse = self._store_excuse = ""

    def step(self, what: str, waits: str = "") -> None:
        """Note which step of starting is being taken, and what it waits for."""
        self._steps += not waits
        self._step = f"starting: {what}"
        self._waits = waits

    def look(self) -> None:
        """Look at everything once."""
        now = self._clock()
        self._progress.beat(now)
        if self._progress.stopping:
            return
        self._excuses(now)
        starting = Sighting(
            self._steps, int(not self.started), self._waits or self._broker_excuse or self._store_excuse
        )
        self._progress.saw(START, starting, now, START_LIMIT_S)
        reaches = self._reaches()
        for station, places in reaches.items():
            METRICS.station_partitions.labels(station).set(len(places))
        behind = self._book.compare(reaches, int(self._wall() * 1000))
        self._look_at_ingest(behind, now)
        self._look_at_agents(behind, reaches, now)
        self._look_at_history(behind, reaches, now)
        if self.archiving is not None:
            excuse = self._broker_excuse or ("" if self.archiving.available else "the archive takes nothing now")
            self._progress.saw(ARCHIVE, Sighting(self.archiving.moved, _records(behind, ARCHIVE), excuse), now)
        self._measure(behind)

    def ready(self) -> dict[str, Check]:
        """Answer `/readyz`."""
        now = self._clock()
        broker = self._world.broker.away_s(now)
        history = self._history_away_s(now)
        recovering = self._recovering()
        said = recovering or ("the agents have their partitions" if self.app is not None else "not started")
        return {
            "started": Check(self.started, "started" if self.started else self._waits or self._step),
            "broker": Check(not broker, f"away for {broker:.0f} s" if broker else "it answers"),
            "history_store": Check(not history, f"away for {history:.0f} s" if history else "it answers"),
            "archive": self._archive_takes(),
            "agents": Check(self.app is not None and not recovering, said),
            "ingest": Check(
                bool(self.ingests) and not self._ingest_waits,
                "it waits for the broker" if self._ingest_waits else "it runs",
            ),
        }

    def before_metrics(self) -> None:
        """Set the metrics that grow while nothing happens, and so must not wait for the event loop."""
        now = self._clock()
        METRICS.broker_away_seconds.set(self._world.broker.away_s(now))
        METRICS.history_away_seconds.set(self._history_away_s(now))
        if self._settings.data_dir.exists():
            usage = shutil.disk_usage(self._settings.data_dir)
            METRICS.disk_free_bytes.set(usage.free)
            METRICS.disk_size_bytes.set(usage.total)

    def _archive_takes(self) -> Check:
        if self.archiving is None:
            return Check(True, "there is none" if self._settings.archive_dir is None else "not started")
        return Check(
            self.archiving.available, "it takes what comes" if self.archiving.available else "it takes nothing"
        )

    def _history_away_s(self, now: float) -> float:
        refused_s = 0.0 if self._store_away_since is None else now - self._store_away_since
        return max(refused_s, self._world.history.away_s(now))

    def _excuses(self, now: float) -> None:
        waits = "ingest waits for the broker" if self._ingest_waits else ""
        self._broker_excuse = self._world.broker.excuse(now) or waits
        refused = self.storing is not None and not self.storing.available
        if not refused:
            self._store_away_since = None
        elif self._store_away_since is None:
            self._store_away_since = now
        told = "the history store takes nothing now" if refused else ""
        self._store_excuse = self._world.history.excuse(now) or told

    @property
    def _ingest_waits(self) -> bool:
        activities = self.activities
        return any(one.waits_for_broker for one in self.ingests) or (
            activities is not None and activities.waits_for_broker
        )

    def _recovering(self) -> str:
        app = self.app
        if app is None or not app.started:
            return ""
        if app.rebalancing:
            return "the agents wait for their partitions"
        return "the agents restore their state" if app.in_recovery else ""

    def _reaches(self) -> dict[str, Mapping[Place, Reach]]:
        found: dict[str, Mapping[Place, Reach]] = {one.field.group: one.reaches() for one in self.ingests}
        if self.activities is not None:
            found[ACTIVITIES] = self.activities.reaches()
        if self.app is not None and self.app.started:
            found |= {stage.spec.name: stage.reaches() for stage in self.stages}
        if self.storing is not None:
            found[HISTORY] = self.storing.reaches()
        if self.archiving is not None:
            found[ARCHIVE] = self.archiving.reaches()
        return found

    def _look_at_ingest(self, behind: Mapping[str, Mapping[str, Behind]], now: float) -> None:
        for one in self.ingests:
            name = one.field.group
            waiting = _records(behind, name) or one.ticks_due(int(self._wall() * 1000))
            self._progress.saw(name, Sighting(one.moved, waiting, self._broker_excuse), now)
        if self.activities is not None:
            waiting = _records(behind, ACTIVITIES)
            self._progress.saw(ACTIVITIES, Sighting(self.activities.moved, waiting, self._broker_excuse), now)

    def _look_at_agents(
        self,
        behind: Mapping[str, Mapping[str, Behind]],
        reaches: Mapping[str, Mapping[Place, Reach]],
        now: float,
    ) -> None:
        recovering = self._recovering()
        METRICS.recovering.set(bool(recovering))
        for stage in self.stages:
            name = stage.spec.name
            excuse = self._broker_excuse or recovering
            self._progress.saw(name, Sighting(stage.moved, _records(behind, name), excuse), now)
            waiting = self._book.waiting.get(name, {})
            partitions: dict[PartitionName, Sighting] = {
                place[1]: Sighting(reach.next_offset or 0, waiting[place], excuse)
                for place, reach in reaches.get(name, {}).items()
            }
            self._progress.saw_partitions(name, partitions, now)
            for _ in range(stage.crashes - self._crashes.get(name, 0)):
                self._progress.restarted(name, now)
            self._crashes[name] = stage.crashes
            if stage.checkpointed_at:
                oldest = min(stage.checkpointed_at.values())
                METRICS.checkpoint_timestamp_seconds.labels(name).set(oldest)
        if self.app is not None:
            remaining, done = 0, 0
            tables = self.app.tables
            if self.app.in_recovery and isinstance(tables, TableManager):
                recovery = tables.recovery
                # Faust puts None where an offset is not known yet.
                remaining, done = recovery.active_remaining_total(), sum(filter(None, recovery.active_offsets.values()))
            self._progress.saw(RECOVERY, Sighting(done, max(0, remaining), self._broker_excuse), now, RECOVERY_LIMIT_S)
            METRICS.rebalances_total.labels("agents").inc(self.app.rebalancing_count - self._rebalances)
            self._rebalances = self.app.rebalancing_count

    def _look_at_history(
        self,
        behind: Mapping[str, Mapping[str, Behind]],
        reaches: Mapping[str, Mapping[Place, Reach]],
        now: float,
    ) -> None:
        if self.storing is None:
            return
        # A call that does not return is work that waits, whether or not anything else does.
        waiting = _records(behind, HISTORY) or self._thread.begun - self._thread.ended
        done = self.storing.moved + self._thread.ended
        excuse = self._store_excuse or self._broker_excuse
        self._progress.saw(HISTORY, Sighting(done, waiting, excuse), now)
        # By what is stored: a partition whose blocks are never taken is read again and again.
        partitions: dict[PartitionName, Sighting] = {}
        for place, stored in self.storing.stored().items():
            reach = reaches[HISTORY].get(place)
            if reach is not None:
                end = (reach.next_offset or 0) + self._book.waiting[HISTORY].get(place, 0)
                name = f"{place[0].removeprefix(self._settings.topic_prefix)}[{place[1]}]"
                partitions[name] = Sighting(stored, max(0, end - stored), excuse)
        self._progress.saw_partitions(HISTORY, partitions, now)

    def _measure(self, behind: Mapping[str, Mapping[str, Behind]]) -> None:
        for station, topics in behind.items():
            for full_name, found in topics.items():
                topic = full_name.removeprefix(self._settings.topic_prefix)
                METRICS.station_lag_records.labels(station, topic).set(found.records)
                # Its record timestamps are event time, so they say nothing about when something arrived.
                if found.seconds is not None and not (station == HISTORY and topic == EMISSIONS.name):
                    METRICS.station_lag_seconds.labels(station, topic).set(found.seconds)
            still_s = self._clock() - (self._progress.moved_at(station) or self._clock())
            METRICS.station_progress_timestamp_seconds.labels(station).set(self._wall() - still_s)


def _records(behind: Mapping[str, Mapping[str, Behind]], station: str) -> int:
    return sum(found.records for found in behind.get(station, {}).values())
