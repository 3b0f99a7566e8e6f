"""Runs one schedule: the field sends, faults happen, a supervisor starts again what ended, and then it is judged."""

import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from chaos.brokers import Broker, some_broker
from chaos.histories import History, a_history
from chaos.judgement import judge
from chaos.schedule import Fault, Kind, Schedule, make_schedule
from chaos.wire import Ends, Sender, ends_of, has_committed, read_back
from pipeline import Pipeline

from schemas.topics import DEAD_LETTERS, EMISSIONS, ENERGY, METER_READINGS, TELEMETRY
from streams.topology import APP_ID

PREFIX = "chaos."
GRACE_S = 60.0  # what the chart gives a worker to end
_READY_S = 120.0
_IDLE_S = 180.0
_TICKS_S = 4.0  # enough for the ticks that close what was read, and for the records that follow from it
_BEGUN_S = 1.5  # a worker that is starting has done something, but is not ready


@dataclass(frozen=True, slots=True)
class Report:
    """What came out of a schedule; exact and orderly when there are no problems."""

    seed: int
    faults: tuple[str, ...]
    messages: int
    problems: tuple[str, ...]
    seconds: float


@dataclass(slots=True)
class Stand:
    """Where a schedule happens: a broker, a history, a worker under a supervisor, and at times a guest."""

    broker: Broker
    history: History
    worker: Pipeline
    guest: Pipeline
    problems: list[str] = field(default_factory=list)
    _was_frozen: bool = False
    _standstills: dict[Path, int] = field(default_factory=dict)
    _now: str = "start"

    def happen(self, fault: Fault) -> None:
        """Wait for its moment, and let it happen."""
        self.wait(fault.after_s)
        self.note(str(fault))
        match fault.kind:
            case Kind.KILL | Kind.KILL_TWICE:
                self._kill(fault)
            case Kind.TERMINATE:
                self.until_ready(self.worker)
                self.terminate()
                self.wait(fault.for_s, tending=False)
                self.worker.launch()
            case Kind.NAP | Kind.FREEZE:
                self.until_ready(self.worker)
                self._freeze(fault)
            case Kind.GUEST | Kind.GUEST_KILLED:
                self.guest.launch()
                self.wait(fault.for_s)
                self._guest_leaves(killed=fault.kind is Kind.GUEST_KILLED)
            case Kind.ZOMBIE:
                self.guest.launch()
                self.until_ready(self.worker)
                self.until_ready(self.guest)
                self._freeze(fault)
                self.wait(fault.for_s / 2)
                self._guest_leaves(killed=False)
            case Kind.BROKER_RESTART | Kind.BROKER_KILL:
                stop = self.broker.stop if fault.kind is Kind.BROKER_RESTART else self.broker.kill
                stop()
                self.wait(fault.for_s)
                self.broker.start()
            case Kind.BROKER_AWAY_TERMINATE:
                self.until_ready(self.worker)
                self.broker.stop()
                self.wait(fault.for_s)
                self._end(self.worker, "worker", must_be_zero=False)
                self.broker.start()
                self.worker.launch()
            case Kind.HISTORY_KILL | Kind.HISTORY_AWAY:
                self.history.kill()
                self.wait(fault.for_s)
                self.history.start()
            case Kind.HISTORY_FREEZE:
                self.history.freeze()
                self.wait(fault.for_s)
                self.history.thaw()

    def note(self, what: str) -> None:
        """Keep a diary, to be laid beside the logs."""
        self._now = what
        with (self.worker.directory.parent / "diary.log").open("a") as diary:
            diary.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {what}\n")

    def wait(self, seconds: float, *, tending: bool = True) -> None:
        """Let time pass."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if tending:
                self.tend()
            time.sleep(0.1)

    def tend(self) -> None:
        """Start the worker again when it ended by itself, as a supervisor does."""
        process = self.worker.worker
        if process is None or process.poll() is None:
            return
        frozen = process.returncode == 1 and self._was_frozen
        if not self._stood_still(self.worker, process.returncode) and not frozen:
            self.problems.append(f"worker ended by itself with {process.returncode} at: {self._now}")
        self._was_frozen = False
        self.note(f"worker ended with {process.returncode} and is started again")
        self.worker.launch()

    def _stood_still(self, one: Pipeline, returncode: int) -> bool:
        """Whether a worker ended because it got no time for longer than its session: that is as it should be."""
        times = (one.directory / "worker.log").read_bytes().count(b'"worker_stood_still"')
        before, self._standstills[one.directory] = self._standstills.get(one.directory, 0), times
        return returncode == 1 and times > before

    def until(self, happened: Callable[[], bool], within_s: float, what: str) -> bool:
        """Poll until a condition holds; a problem when it does not in time."""
        deadline = time.monotonic() + within_s
        while not happened():
            if time.monotonic() > deadline:
                self.problems.append(f"{what}: not within {within_s:g} s, at: {self._now}")
                return False
            self.wait(0.3)
        return True

    def until_ready(self, one: Pipeline) -> None:
        """Wait until a worker says it is ready."""
        self.until(lambda: one.get("/readyz")[0] == 200, _READY_S, "ready")

    def terminate(self) -> None:
        """SIGTERM the worker; it must end by itself, with 0, within its grace period."""
        self._end(self.worker, "worker", must_be_zero=True)

    def until_idle(self) -> None:
        """Wait until all that was sent has gone the whole way, hop by hop."""
        self.note("waiting until idle")
        group = PREFIX + APP_ID
        hops = ((METER_READINGS, f"{group}-ingest"), (TELEMETRY, group), (ENERGY, group))
        for topic, reader in hops:
            self.note(f"reading {topic.name} to its end")
            if not self._reads_up_to(self._ends(topic.name), reader, topic.name):
                return
            self.wait(_TICKS_S)
        stored = self._ends(TELEMETRY.name, ENERGY.name, EMISSIONS.name, DEAD_LETTERS.name)
        self._reads_up_to(stored, f"{group}-history", "history")

    def _ends(self, *topics: str) -> Ends:
        found: list[Ends] = []

        def answered() -> bool:
            found.append(ends_of(self.broker.address, [PREFIX + topic for topic in topics]))
            return bool(found[-1])

        self.until(answered, _READY_S, "broker answers")
        return found[-1]

    def _reads_up_to(self, ends: Ends, group: str, what: str) -> bool:
        return self.until(lambda: has_committed(self.broker.address, group, ends), _IDLE_S, f"{what} read to its end")

    def _kill(self, fault: Fault) -> None:
        self.worker.kill()
        if fault.kind is Kind.KILL_TWICE:
            self.worker.launch()
            self.wait(_BEGUN_S + fault.for_s)
            self.worker.kill()
        self.wait(fault.for_s, tending=False)
        self._was_frozen = False
        self.worker.launch()

    def _freeze(self, fault: Fault) -> None:
        process = self.worker.worker
        if process is None:
            return
        self._was_frozen = fault.kind is not Kind.NAP
        process.send_signal(signal.SIGSTOP)
        self.wait(fault.for_s, tending=False)
        process.send_signal(signal.SIGCONT)

    def _guest_leaves(self, *, killed: bool) -> None:
        process = self.guest.worker
        if process is not None and process.poll() is not None:
            if not self._stood_still(self.guest, process.returncode):
                self.problems.append(f"guest ended by itself with {process.returncode} at: {self._now}")
            self.guest.worker = None
        elif killed:
            self.guest.kill()
        else:
            # Before it is ready it may not have taken hold of the signal yet.
            self._end(self.guest, "guest", must_be_zero=self.guest.get("/readyz")[0] == 200)

    def _end(self, one: Pipeline, name: str, *, must_be_zero: bool) -> None:
        process = one.worker
        if process is None:
            return
        process.terminate()
        deadline = time.monotonic() + GRACE_S
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if process.poll() is None:
            self.problems.append(f"{name} did not end within {GRACE_S:g} s of SIGTERM at: {self._now}")
            one.kill()
        elif must_be_zero and process.returncode != 0 and not self._stood_still(one, process.returncode):
            self.problems.append(f"{name} ended with {process.returncode} after SIGTERM at: {self._now}")
        one.worker = None


def run_seed(seed: int, kind: str, directory: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Report:
    """Run the schedule of a seed in an empty directory and judge what it left.

    Parameters
    ----------
    seed
        The schedule.
    kind
        The broker: `apache` or `embedded`.
    directory
        Holds all of it afterwards: logs, histories, the broker's data.
    settings
        Environment of the workers, beside what a schedule needs.
    """
    started = time.monotonic()
    schedule = make_schedule(seed, int(time.time() * 1000), broker_keeps=kind == "apache")
    with some_broker(kind, directory) as broker, a_history(directory) as history:
        problems = _run(schedule, broker, history, directory, settings)
    seconds = time.monotonic() - started
    return Report(seed, tuple(map(str, schedule.faults)), len(schedule.feed.messages), tuple(problems), seconds)


def _run(
    schedule: Schedule, broker: Broker, history: History, directory: Path, settings: Mapping[str, str]
) -> list[str]:
    feed = schedule.feed
    places = [directory / "worker", directory / "guest"]
    for place in places:
        place.mkdir()
    worker, guest = (
        Pipeline(broker.address, PREFIX, place, settings=dict(settings), history=history.url) for place in places
    )
    plants = directory / "plants.yaml"
    plants.write_text(feed.registry)
    worker.command("registry", "apply", str(plants))
    stand = Stand(broker, history, worker, guest)
    try:
        worker.start()
        sender = Sender(broker.address, PREFIX, feed.messages, schedule.sending_s, idempotent=broker.keeps)
        sender.start()
        for fault in schedule.faults:
            stand.happen(fault)
        stand.until(lambda: not sender.is_alive(), _IDLE_S, "everything sent")
        if sender.error is not None:
            stand.problems.append(f"the field could not send: {sender.error!r}")
        stand.until_ready(worker)
        stand.until_idle()
        stand.note("stopping")
        stand.terminate()
        stand.note("stopped")
        kept = read_back(broker.address, PREFIX)
    finally:
        worker.kill()
        guest.kill()
    return [*stand.problems, *judge(worker, feed, kept)]


def forget(directory: Path) -> None:
    """Remove what a schedule left."""
    shutil.rmtree(directory, ignore_errors=True)
