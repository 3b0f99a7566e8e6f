"""Left on: a meter that draws on in hours in which it is usually off or on stand-by.

Each part of a night (16:00 to 08:00 local, as far as it is off then) and each day-time is scored: how many hours'
worth of running it drew, above what it usually draws in these hours, in one go. Its limit is what it did in the same
part of nights, or in day-times, before. What goes on for longer is also scored as a whole, against the longest of each
day.

A night has parts because what is usual in one is not in another: who begins an hour early on some mornings would
otherwise hide what is left on in the evening. What is drawn in one go is not cut where a part of the night ends.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from agents.anomalies.limits import Limit, Rule
from agents.anomalies.profile import DayClass, Expectation, is_night

# In hours of running: 0.4 is half an hour at 80 % of the running level.
NIGHT = Rule(spans=60, least=30, margin=1.5, floor=0.4)
WORKING_DAYTIME = Rule(spans=60, least=30, margin=1.5, floor=0.4)
FREE_DAYTIME = Rule(spans=26, least=8, margin=1.25, floor=0.4)
WHOLE = Rule(spans=60, least=30, margin=1.3, floor=2.0)
_NIGHTS = ("night16", "night20", "night00", "night04")  # parts of a night, by the local hour they begin at
RULES = dict.fromkeys(_NIGHTS, NIGHT) | {"working": WORKING_DAYTIME, "free": FREE_DAYTIME, "whole": WHOLE}

_LEAST_EXCESS = 0.2  # of the span between off and running; less is no machine
_TOLERANCE = 1.0  # mean deviations that are left out of the excess
_FALL = 0.125  # what a usual quarter hour takes off the score
_LEAST_OFF_HOURS = {"night": 4, "working": 3, "free": 3}
QUARTER_H = 0.25


class Verdict(NamedTuple):
    """Of a quarter hour: whether the meter should be off then, and by how much it draws too much."""

    should_be_off: bool
    above_kw: float | None  # 0 where it is no more than usual; None where that cannot be said


class Beyond(NamedTuple):
    """A score, its limit, and how many spans the limit rests on."""

    score: float
    limit: float
    compared_with: int


@dataclass(slots=True)
class Idling:
    """What is known of one meter.

    Parameters
    ----------
    limits
        By kind of span: part of a night, day-time of a working day, day-time of another one; and of wholes.
    span
        The running span; empty before the first.
    score, highest
        Hours of running in one go: now, and the most of the span.
    whole, longest
        The same, but not cut where a span ends: now, and the most of the day.
    began_at
        When the excess began. [ms UTC]
    counted, day_counted
        Whether something of the span, and of the day, could be scored.
    """

    limits: dict[str, Limit] = field(default_factory=lambda: {name: Limit() for name in RULES})
    span: str = ""
    score: float = 0.0
    highest: float = 0.0
    whole: float = 0.0
    longest: float = 0.0
    began_at: int = 0
    counted: bool = False
    day_counted: bool = False

    def take(
        self, hour: int, of: DayClass, day: Expectation, power_kw: float | None, at: int, *, is_wanted: bool
    ) -> Verdict:
        """Take a quarter hour and judge it.

        Parameters
        ----------
        hour
            Local hour.
        of, day
            Class of the local day, and what is expected of it.
        power_kw
            Mean power; None = not known.
        at
            Start of the quarter hour. [ms UTC]
        is_wanted
            Whether something is made meanwhile.
        """
        part = "night" if is_night(hour) else "working" if of is DayClass.WORKING else "free"
        span = _night_of(hour) if part == "night" else part
        if span != self.span:
            self._end(goes_on=span in _NIGHTS and self.span in _NIGHTS)
            self.span = span
        if not day.is_off[hour]:
            self.score = self.whole = 0.0
            return Verdict(should_be_off=False, above_kw=None)
        if power_kw is None or not day.knows_off or day.off_hours(at_night=part == "night") < _LEAST_OFF_HOURS[part]:
            return Verdict(should_be_off=True, above_kw=None)
        self.counted = self.day_counted = True
        above_kw = power_kw - day.usual_kw[hour]
        share = min(above_kw / day.span_kw, 1.0) - _TOLERANCE * day.tolerance_kw[hour] / day.span_kw
        if share <= _LEAST_EXCESS or is_wanted:
            self.score = max(0.0, self.score - _FALL)
            self.whole = max(0.0, self.whole - _FALL)
            return Verdict(should_be_off=True, above_kw=0.0)
        if self.whole == 0.0:
            self.began_at = at
        self.score += share * QUARTER_H
        self.whole += share * QUARTER_H
        self.highest = max(self.highest, self.score)
        self.longest = max(self.longest, self.whole)
        return Verdict(should_be_off=True, above_kw=above_kw)

    def beyond(self) -> Beyond | None:
        """Return the score that is farthest beyond its limit; None while none is."""
        found = self.nearest()
        return found if found is not None and found.score > found.limit else None

    def nearest(self) -> Beyond | None:
        """Return the score that is largest against its limit; None while no limit is known."""
        found = None
        for name, score in ((self.span, self.score), ("whole", self.whole)):
            limit = self.limits[name].of(RULES[name]) if name else None  # before the first span
            if limit is not None and (found is None or score / limit > found.score / found.limit):
                found = Beyond(score, limit, self.limits[name].compared_with(RULES[name]))
        return found

    def stop(self) -> None:
        """Begin anew: what was in excess has been told, and ended."""
        self.score = self.whole = 0.0

    def end_day(self) -> None:
        """Remember the longest of the day."""
        if self.day_counted:
            self.limits["whole"].note(self.longest, WHOLE)
        self.longest = 0.0
        self.day_counted = False

    def _end(self, *, goes_on: bool) -> None:
        if self.counted:
            self.limits[self.span].note(self.highest, RULES[self.span])
        if not goes_on:
            self.score = 0.0
        self.highest = self.score
        self.counted = False


def _night_of(hour: int) -> str:
    """Return the part of the night a local hour belongs to.

    Examples
    --------
    >>> [_night_of(hour) for hour in (16, 19, 20, 23, 0, 7)]
    ['night16', 'night16', 'night20', 'night20', 'night00', 'night04']
    """
    return f"night{hour // 4 * 4:02d}"
