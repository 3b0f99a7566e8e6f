"""What a site's days were like, and what a meter draws depends on: working or not, how warm, and what was made."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import NamedTuple

from agents.anomalies.profile import DayClass

KEPT_DAYS = 70  # a little more than is kept of a meter
_WHOLE_SITE = ""
_LEAST_REPORTS = 5  # days with production before a day without is one on which nothing was made


class Day(NamedTuple):
    """A local day as a meter's consumption depends on it."""

    of: DayClass
    outdoor_c: float | None  # mean; None = not known
    units: float | None  # made; None = not known


@dataclass(slots=True)
class _Kept:
    of: int = -1  # -1 = not said yet
    degrees: float = 0.0  # sum of what was measured
    measured: int = 0
    made: dict[str, float] = field(default_factory=dict)  # units by line


@dataclass(slots=True)
class Conditions:
    """The newest days of one site, by their ordinal."""

    days: dict[int, _Kept] = field(default_factory=dict)

    def classify(self, day: int, of: DayClass) -> None:
        """Say of which class a day is."""
        self._of(day).of = int(of)

    def warm(self, day: int, outdoor_c: float) -> None:
        """Take in a temperature that was measured on a day. [°C]"""
        if isfinite(outdoor_c):
            kept = self._of(day)
            kept.degrees += outdoor_c
            kept.measured += 1

    def make(self, day: int, line: str | None, units: float) -> None:
        """Take in what was made on a day, by a line or by the whole site."""
        if isfinite(units):
            made = self._of(day).made
            made[line or _WHOLE_SITE] = made.get(line or _WHOLE_SITE, 0.0) + units

    def before(self, end: int, count: int, line: str | None) -> list[Day]:
        """Return the days until `end` (included), oldest first, with what was made by a line.

        Where a line reports nothing of its own, what the whole site made counts. A day without a report is one without
        production as soon as there are reports of five other days; before the first report it is not known.
        """
        kept = [self.days.get(day, _Kept()) for day in range(end - count + 1, end + 1)]
        own = line or _WHOLE_SITE
        has_own = any(own in one.made for one in kept)
        units = [(one.made.get(own) if has_own else sum(one.made.values())) if one.made else None for one in kept]
        reports = sum(one is not None for one in units)
        first = next((place for place, one in enumerate(units) if one is not None), count)
        return [
            Day(
                DayClass(one.of) if one.of >= 0 else DayClass.WORKING,
                one.degrees / one.measured if one.measured else None,
                None if reports < _LEAST_REPORTS or place < first else made or 0.0,
            )
            for place, (one, made) in enumerate(zip(kept, units, strict=True))
        ]

    def numbers(self) -> list[list[object]]:
        """Return all of it as lists, for `of_numbers`."""
        return [[day, one.of, one.degrees, one.measured, one.made] for day, one in self.days.items()]

    @classmethod
    def of_numbers(cls, numbers: Iterable[Sequence[object]]) -> "Conditions":
        """Take up what `numbers` gave."""
        return cls(dict(_read(numbers)))

    def _of(self, day: int) -> _Kept:
        found = self.days.get(day)
        if found is None:
            found = self.days[day] = _Kept()
            newest = max(self.days)
            self.days = {at: one for at, one in self.days.items() if at > newest - KEPT_DAYS}
        return found


def _read(numbers: Iterable[Sequence[object]]) -> Iterator[tuple[int, _Kept]]:
    for day, of, degrees, measured, made in numbers:
        if not isinstance(day, int) or not isinstance(of, int) or not isinstance(made, dict):
            raise TypeError(f"expected a day, its class and what was made, got {day!r}, {of!r}, {made!r}")
        yield day, _Kept(of, float(str(degrees)), int(str(measured)), made)
