"""Liveness is progress: judged from what every station was seen to do. No clock, no broker and no thread in here.

A station (ingest, each agent, the history writer) is red when something waits for it and it has taken nothing for
`STALL_S`, unless it has an excuse: the broker or the history store is away, or its partitions are being moved. So an
idle worker is green, one that catches up is green, and one whose world is broken is green: a restart would mend none.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

STALL_S: Final = 40.0  # and a sighting each second, and a probe each few seconds: red within a minute
PARTITION_STALL_S: Final = 120.0  # others that are far behind may have their turn first
LOOP_STALL_S: Final = 30.0
RESTARTS: Final = 3
RESTARTS_WITHIN_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: whether it is well, and why in a sentence.

    Parameters
    ----------
    well
        Whether it is.
    reason
        What was seen.
    """

    well: bool
    reason: str


Checks = Mapping[str, Check]
PartitionName = int | str


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen of a station at one moment.

    Parameters
    ----------
    done
        A number that grows with everything the station takes.
    behind
        How many records wait for it, as far as this process knows.
    excuse
        Why it may stand still now; empty for no reason.
    """

    done: int
    behind: int
    excuse: str = ""


@dataclass(frozen=True, slots=True)
class _Station:
    seen: Sighting
    moved_at: float  # since when it has had work, no excuse, and done nothing
    limit_s: float


@dataclass(slots=True)
class Progress:
    """What is known of the progress of a worker.

    One thread tells it, another may ask. All times are of one clock that goes on while the process stands still. [s]

    Examples
    --------
    >>> progress = Progress(started_at=0.0)
    >>> progress.saw("metering", Sighting(done=10, behind=0), now=0.0)
    >>> progress.saw("metering", Sighting(done=10, behind=7), now=1.0)
    >>> progress.beat(now=50.0)
    >>> for name, check in progress.alive(now=50.0).items():
    ...     print(name, check.well, check.reason)
    event_loop True the event loop ran 0 s ago
    metering False 7 records wait, and nothing was taken for 50 s
    """

    started_at: float
    failure: str = ""
    stopping: bool = False
    _beat_at: float = field(init=False)
    _stations: dict[str, _Station] = field(default_factory=dict)
    _partitions: dict[str, dict[PartitionName, _Station]] = field(default_factory=dict)
    _restarts: dict[str, deque[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with a beat."""
        self._beat_at = self.started_at

    def beat(self, now: float) -> None:
        """Note that the event loop runs."""
        self._beat_at = now

    def saw(self, station: str, sighting: Sighting, now: float, limit_s: float = STALL_S) -> None:
        """Note what a station looks like now.

        Parameters
        ----------
        station
            Its name.
        sighting
            What was seen.
        now
            When. [s]
        limit_s
            How long it may stand still while something waits. [s]
        """
        self._stations[station] = _followed(self._stations.get(station), sighting, now, limit_s)

    def saw_partitions(self, station: str, sightings: Mapping[PartitionName, Sighting], now: float) -> None:
        """Note what each partition of a station looks like: one that is never fetched hides behind those that move.

        Parameters
        ----------
        station
            Its name.
        sightings
            Partition, with its topic where several are read -> what was seen; those not named are not its own any
            more.
        now
            When. [s]
        """
        before = self._partitions.get(station, {})
        self._partitions[station] = {
            partition: _followed(before.get(partition), sighting, now, PARTITION_STALL_S)
            for partition, sighting in sightings.items()
        }

    def restarted(self, agent: str, now: float) -> None:
        """Note that an agent was started again after an error."""
        self._restarts.setdefault(agent, deque(maxlen=RESTARTS)).append(now)

    def moved_at(self, station: str) -> float | None:
        """Return since when a station stands still although it should not; the present, if it moves. [s]"""
        known = self._stations.get(station)
        return None if known is None else known.moved_at

    def alive(self, now: float) -> dict[str, Check]:
        """Answer `/livez`."""
        silent_s = now - self._beat_at
        running = silent_s < LOOP_STALL_S
        said = f"the event loop ran {silent_s:.0f} s ago" if running else f"event loop stalled for {silent_s:.0f} s"
        checks = {"event_loop": Check(running, said)}
        if self.failure:
            checks["failure"] = Check(False, self.failure)
        if self.stopping:
            # Whatever stands still now, the hard stop ends it in time.
            checks["stopping"] = Check(True, "the worker is stopping")
            return checks
        checks |= {name: _judged(station, now) for name, station in dict(self._stations).items()}
        for name, partitions in dict(self._partitions).items():
            checks[f"{name}_partitions"] = _judged_partitions(partitions, now)
        for agent, times in dict(self._restarts).items():
            checks[f"{agent}_restarts"] = _judged_restarts(agent, tuple(times), now)
        return checks


def _followed(before: _Station | None, sighting: Sighting, now: float, limit_s: float) -> _Station:
    still = before is not None and before.seen.done == sighting.done and sighting.behind and not sighting.excuse
    return _Station(sighting, before.moved_at if before and still else now, limit_s)


def _judged_partitions(partitions: Mapping[PartitionName, _Station], now: float) -> Check:
    for partition, station in sorted(partitions.items(), key=lambda one: str(one[0])):
        check = _judged(station, now)
        if not check.well:
            return Check(False, f"partition {partition}: {check.reason}")
    return Check(True, "every partition moves where something waits")


def _judged(station: _Station, now: float) -> Check:
    seen, still_s = station.seen, now - station.moved_at
    if seen.excuse:
        return Check(True, f"waits: {seen.excuse}")
    if not seen.behind:
        return Check(True, "nothing waits")
    waiting = f"{seen.behind} record{' waits' if seen.behind == 1 else 's wait'}"
    if still_s >= station.limit_s:
        return Check(False, f"{waiting}, and nothing was taken for {still_s:.0f} s")
    return Check(True, f"{waiting}, the last was taken within {still_s:.0f} s")


def _judged_restarts(agent: str, times: tuple[float, ...], now: float) -> Check:
    recent = sum(now - at <= RESTARTS_WITHIN_S for at in times)
    said = f"{agent} was restarted {recent} time{'' if recent == 1 else 's'} within {RESTARTS_WITHIN_S:.0f} s"
    return Check(recent < RESTARTS, said)
