"""The demands of a site: revisions of its quarter hours, and the largest of each day."""

from array import array
from dataclasses import dataclass, field
from datetime import date

from agents.billing.spans import local_day

_NONE = -1
_ANSWERS = 4  # the running day and month, and those before


@dataclass(slots=True)
class Peaks:
    """Demands of recent quarter hours, which may still be revised, and the largest of each day before.

    Parameters
    ----------
    zone
        Time zone of the site.
    size
        Quarter hours that may still be revised.
    """

    zone: str
    size: int
    newest: int = 0  # newest quarter hour that was noted
    pico: "array[int]" = field(default_factory=lambda: array("q"))  # energy of those that count as a peak, else -1
    revision: "array[int]" = field(default_factory=lambda: array("i"))  # of the newest record, -1 before the first
    settled: dict[date, tuple[int, int]] = field(default_factory=dict)  # by local day: energy and quarter hour
    _asked: dict[tuple[date, date], tuple[int, int] | None] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Begin with nothing noted."""
        if not self.pico:
            self.pico = array("q", [_NONE]) * self.size
            self.revision = array("i", [_NONE]) * self.size

    def note(self, quarter: int, pico_kwh: int | None) -> int:
        """Note the energy of a quarter hour, None where it does not count, and return the revision of its record."""
        if quarter > self.newest:
            self._advance(quarter)
        self._answer_anew(quarter, pico_kwh)
        place = quarter % self.size
        self.pico[place] = _NONE if pico_kwh is None else pico_kwh
        self.revision[place] += 1
        return self.revision[place]

    def largest(self, first: date, last: date) -> tuple[int, int] | None:
        """Return energy and quarter hour of the largest demand of local days, both included; of equal ones the first.

        Parameters
        ----------
        first, last
            The days.
        """
        if (first, last) not in self._asked:
            self._asked[first, last] = self._largest(first, last)
        return self._asked[first, last]

    def _answer_anew(self, quarter: int, pico_kwh: int | None) -> None:
        """Keep the answers given so far right, without looking at all quarter hours again."""
        if len(self._asked) > _ANSWERS:
            self._asked.clear()
        day = local_day(self.zone, quarter)
        for (first, last), best in list(self._asked.items()):
            if not first <= day <= last:
                continue
            if best is not None and best[1] == quarter:
                del self._asked[first, last]  # revised: perhaps another one is the largest now
            elif pico_kwh is not None and (best is None or (pico_kwh, -quarter) > (best[0], -best[1])):
                self._asked[first, last] = (pico_kwh, quarter)

    def _largest(self, first: date, last: date) -> tuple[int, int] | None:
        found = [peak for day, peak in self.settled.items() if first <= day <= last]
        for quarter in range(self.newest - self.size + 1, self.newest + 1):
            pico = self.pico[quarter % self.size]
            if pico != _NONE and first <= local_day(self.zone, quarter) <= last:
                found.append((pico, quarter))
        return max(found, key=lambda peak: (peak[0], -peak[1]), default=None)

    def move_to(self, zone: str) -> None:
        """Take over another time zone."""
        self.zone = zone
        self._asked.clear()

    def forget_before(self, day: date) -> None:
        """Forget the days before."""
        self.settled = {one: peak for one, peak in self.settled.items() if one >= day}
        self._asked.clear()

    def _advance(self, quarter: int) -> None:
        for passing in range(max(self.newest + 1, quarter - self.size + 1), quarter + 1):
            place = passing % self.size
            leaving = self.pico[place]
            if leaving != _NONE:
                # Whatever stood here was noted one round ago at the latest, or it would have left before.
                self._settle(leaving, self._noted_at(place))
            self.pico[place] = self.revision[place] = _NONE
        self.newest = quarter

    def _noted_at(self, place: int) -> int:
        return self.newest - (self.newest - place) % self.size

    def _settle(self, pico_kwh: int, quarter: int) -> None:
        day = local_day(self.zone, quarter)
        held = self.settled.get(day)
        if held is None or pico_kwh > held[0] or (pico_kwh == held[0] and quarter < held[1]):
            self.settled[day] = (pico_kwh, quarter)
