"""How far the stations of one process are behind, from what their consumers know anyway: no question to the broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Place = tuple[str, int]  # full topic name, partition


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a station is on one of its partitions.

    Parameters
    ----------
    next_offset
        The offset it takes next, None while it has not taken anything there.
    end
        The end of the partition by the last fetch of its consumer, None before the first.
    arrived_at
        When the newest message it took arrived, None if that is not known. [ms UTC]
    """

    next_offset: int | None
    end: int | None
    arrived_at: int | None = None


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a station is behind on a topic.

    Parameters
    ----------
    records
        Records that wait.
    seconds
        Age of the newest record taken, on the partition where that is the oldest and something waits; 0 if nothing
        waits, None if it is not known. [s]
    """

    records: int
    seconds: float | None


@dataclass(slots=True)
class Book:
    """Compares the stations of a process.

    Several stations read the same topic through consumers of their own. The furthest end that any of them was told is
    the end for all of them: a consumer that has ceased to fetch believes for ever that nothing waits.

    Examples
    --------
    >>> book = Book()
    >>> dead, alive = Reach(100, 100, 5_000), Reach(180, 180, 9_000)
    >>> seen = book.compare({"history": {("t", 0): alive}, "metering": {("t", 0): dead}}, now_ms=9_500)
    >>> seen["metering"]["t"], seen["history"]["t"]
    (Behind(records=80, seconds=4.5), Behind(records=0, seconds=0.0))

    Where a station has not begun, what has come since it was given the partition counts:

    >>> book.compare({"metering": {("t", 1): Reach(None, 1_000)}}, now_ms=0)["metering"]["t"].records
    0
    >>> book.compare({"metering": {("t", 1): Reach(None, 1_003)}}, now_ms=0)["metering"]["t"].records
    3
    """

    waiting: dict[str, dict[Place, int]] = field(
        default_factory=dict
    )  # records, by station and partition, at last look
    _begun_at: dict[tuple[str, Place], int] = field(default_factory=dict)

    def compare(self, stations: Mapping[str, Mapping[Place, Reach]], now_ms: int) -> dict[str, dict[str, Behind]]:
        """Return how far each station is behind, by topic.

        Parameters
        ----------
        stations
            Station -> partitions that are assigned to it -> how far it is.
        now_ms
            The present. [ms UTC]
        """
        ends: dict[Place, int] = {}
        for reaches in stations.values():
            for place, reach in reaches.items():
                ends[place] = max(reach.end or 0, ends.get(place, 0))
        begun = self._begun_at
        self._begun_at = {
            (station, place): begun.get((station, place), ends[place])
            for station, reaches in stations.items()
            for place, reach in reaches.items()
            if reach.next_offset is None
        }
        self.waiting = {station: self._waiting(station, reaches, ends) for station, reaches in stations.items()}
        return {station: self._of_station(station, reaches, now_ms) for station, reaches in stations.items()}

    def _waiting(self, station: str, reaches: Mapping[Place, Reach], ends: Mapping[Place, int]) -> dict[Place, int]:
        found: dict[Place, int] = {}
        for place, reach in reaches.items():
            taken = self._begun_at[station, place] if reach.next_offset is None else reach.next_offset
            found[place] = max(0, ends[place] - taken)
        return found

    def _of_station(self, station: str, reaches: Mapping[Place, Reach], now_ms: int) -> dict[str, Behind]:
        found: dict[str, Behind] = {}
        for place, reach in reaches.items():
            records = self.waiting[station][place]
            age_s = 0.0 if not records else None
            if records and reach.arrived_at is not None:
                age_s = max(0, now_ms - reach.arrived_at) / 1000
            so_far = found.get(place[0], Behind(0, 0.0))
            seconds = None if age_s is None or so_far.seconds is None else max(age_s, so_far.seconds)
            found[place[0]] = Behind(so_far.records + records, seconds)
        return found
