"""Days that draw far more or less than they should, and consumption that grows slowly: judged once a day.

Each day is held against what `expecting` says of the eight weeks that ended a week ago. Three things are unusual:
a day that is farther above, or below, than the largest of the days before (what the last week had more or less is left
out of it), and days that lie above for so long that River's Page-Hinkley test says their level has changed.

A meter is judged in the first hours of the next day, each at a quarter hour of its own: fitting takes most of a
millisecond, and fifty thousand meters would otherwise do it in the same minute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import numpy as np
from river.drift import PageHinkley

from agents.anomalies.conditions import Day
from agents.anomalies.episodes import Episode, Toll
from agents.anomalies.expecting import Band, fit
from agents.anomalies.limits import Limit, Rule
from agents.anomalies.moments import Said
from agents.anomalies.profile import Floats
from schemas.anomaly import AnomalyKind, Status

# In shares of a usual working day.
DAY = Rule(spans=120, least=30, margin=1.2, floor=0.1)
NEWEST_DAYS, REFERENCE_DAYS = 7, 56
KEPT_DAYS = NEWEST_DAYS + REFERENCE_DAYS
LEAST_KEPT_DAYS = 21 + NEWEST_DAYS  # before a day can be expected
KINDS = (AnomalyKind.DAY_SURGE, AnomalyKind.DAY_SAG, AnomalyKind.DRIFT)
OFF_DAYS, LEAST_OFF_DAYS = 84, 21  # of which the test for drift knows how far they were off

_RECENT_SHARE, _RECENT_FARTHEST = 0.3, 4.0  # of a day in what the last week had more or less; mean deviations
# Of the test, in mean deviations: what is left out of each day, and the sum that says the level has changed.
_LEFT_OUT, _CHANGED, _KEPT_OF_SUM = 0.5, 15.0, 0.99
_FARTHEST, _STEPS = 4.0, 31  # mean deviations off; steps of one, so that a day is a byte
_LEAST_DRIFT = 0.05  # of a usual working day: a calm meter's test is sharper than anybody wants to be told
_REMEMBERED_DAYS = 14  # in which a level that was found to have changed may still rise so far
_ACCEPTED_AFTER_DAYS = 28  # what stays is the new normal
_BEFORE_DAYS = 28  # with which it is compared
_SLOTS = 24  # quarter hours of the next day in which meters are judged; grid meters come after those below
_DAY_MS = 86_400_000


class Spent(NamedTuple):
    """What a day's energy cost and emitted per kilowatt-hour; None where that is not known."""

    cny_per_kwh: float | None = 0.0
    kg_per_kwh: float | None = 0.0


def _nothing_kept() -> Floats:
    return np.full(KEPT_DAYS, np.nan, np.float32)


@dataclass(slots=True)
class Drifting:
    """What is known of one meter.

    Parameters
    ----------
    kept_kw
        Mean power of the newest days, oldest first, NaN where not known; shape (63,).
    off
        How far the newest days were from what was expected, in 31sts of a mean deviation, as signed bytes.
    surge, sag
        Limits of days above and below.
    day, began_at
        The newest day that is kept, as an ordinal (0 before the first), and when it began. [ms UTC]
    spent
        What its energy cost.
    is_due
        Whether it is still to be judged.
    held
        What the last week had more when a day was found unusual, by kind: what follows is held against the same.
    above_kw
        How far the newest day that was judged was above what was expected.
    """

    kept_kw: Floats = field(default_factory=_nothing_kept)
    off: bytes = b""
    surge: Limit = field(default_factory=Limit)
    sag: Limit = field(default_factory=Limit)
    day: int = 0
    began_at: int = 0
    spent: Spent = field(default_factory=Spent)
    is_due: bool = False
    held: dict[AnomalyKind, float] = field(default_factory=dict)
    above_kw: float = 0.0

    def end_day(self, day: int, began_at: int, power_kw: float, spent: Spent) -> None:
        """Keep a day that ended; NaN for a power that is not known. Days that were passed over are not known either."""
        self._pass(day - self.day - 1 if self.day else 0)
        self.kept_kw[:-1] = self.kept_kw[1:]
        self.kept_kw[-1] = power_kw if np.isfinite(power_kw) else np.nan
        self.day, self.began_at, self.spent = day, began_at, spent
        self.is_due = True

    def known_days(self) -> int:
        """Return how many days are kept of which the power is known."""
        return int(np.isfinite(self.kept_kw).sum())

    def judge(
        self, days: Sequence[Day], ts: int, episodes: dict[AnomalyKind, Episode], quiet: frozenset[AnomalyKind]
    ) -> list[Said]:
        """Judge the newest day and return the records that follow.

        Parameters
        ----------
        days
            What the days that are kept were like, n = 63.
        ts
            When. [ms UTC]
        episodes
            Open anomalies of the meter; those of this module are opened and ended here.
        quiet
            Kinds of which nothing is opened.
        """
        self.is_due = False
        self.above_kw = 0.0
        if not np.isfinite(self.kept_kw[-1]):
            return []
        band = fit(self.kept_kw[:REFERENCE_DAYS], days[:REFERENCE_DAYS], days[-1].of)
        if band is None:
            return []
        newest = [
            float(kw) / band.usual_kw - band.expected(day)
            for kw, day in zip(self.kept_kw[-NEWEST_DAYS:], days[-NEWEST_DAYS:], strict=True)
        ]
        seen = _Seen(band, days, ts, newest, _recent(newest[:-1], band), episodes, quiet)
        self.above_kw = seen.new * band.usual_kw
        said: list[Said] = []
        for kind, limit, sign in ((KINDS[0], self.surge, 1), (KINDS[1], self.sag, -1)):
            said += self._judge_day(kind, limit.of(DAY), sign, seen)
            limit.note(max(0.0, sign * seen.new), DAY)
        steps = round(min(max(newest[-1] / band.deviation, -_FARTHEST), _FARTHEST) * _STEPS)
        self.off = (self.off + steps.to_bytes(1, signed=True))[-OFF_DAYS:]
        return said + self._judge_drift(seen)

    def allow(self, kind: AnomalyKind, score: float) -> None:
        """Learn that a day so far off is normal, or that a level which has changed is."""
        if kind is AnomalyKind.DRIFT:
            self.off = b""
        else:
            (self.surge if kind is AnomalyKind.DAY_SURGE else self.sag).allow(score, DAY)

    def _judge_day(
        self,
        kind: AnomalyKind,
        limit: float | None,
        sign: int,
        seen: "_Seen",
    ) -> list[Said]:
        episode = seen.episodes.get(kind)
        if episode is None:
            score = sign * seen.new
            if limit is None or score <= limit or kind in seen.quiet:
                return []
            self.held[kind] = seen.recent
            same = [place for place in range(KEPT_DAYS - 1 - _BEFORE_DAYS, KEPT_DAYS - 1) if seen.is_like_newest(place)]
            episode = Episode(kind, self.began_at, seen.ts, Toll(), score, limit, 0.0, 0, self.known_days())
            episode.compared_with = (self.surge if sign > 0 else self.sag).compared_with(DAY)
            self._compare(episode, seen, same, [KEPT_DAYS - 1])
            self._count(episode, seen, KEPT_DAYS - 1, seen.recent, limit)
            return [_open(seen.episodes, episode)]
        held = self.held.get(kind, 0.0)
        score = sign * (seen.newest[-1] - held)
        if score <= episode.limit / 2:
            return [self._end(episode, seen, "normal_again")]
        if seen.ts - episode.opened_at >= _ACCEPTED_AFTER_DAYS * _DAY_MS:
            self._forget()
            return [self._end(episode, seen, "new_normal")]
        episode.score = max(episode.score, score)
        self._count(episode, seen, KEPT_DAYS - 1, held, episode.limit)
        return [Said(episode, seen.ts, Status.UPDATED)]

    def _judge_drift(self, seen: "_Seen") -> list[Said]:
        known = [share for share in seen.newest if np.isfinite(share)]
        share = float(np.median(known))
        episode = seen.episodes.get(AnomalyKind.DRIFT)
        if episode is not None:
            if share <= self.held.get(AnomalyKind.DRIFT, 0.0) / 2:
                self.off = b""
                return [self._end(episode, seen, "normal_again")]
            if seen.ts - episode.opened_at >= _ACCEPTED_AFTER_DAYS * _DAY_MS:
                self._forget()
                return [self._end(episode, seen, "new_normal")]
            episode.score = max(episode.score, share)
            self._count(episode, seen, KEPT_DAYS - 1, 0.0, episode.limit)
            return [Said(episode, seen.ts, Status.UPDATED)]
        is_told = AnomalyKind.DAY_SURGE in seen.episodes  # a level that rose in a day
        if is_told or AnomalyKind.DRIFT in seen.quiet or not self._has_changed() or share <= _LEAST_DRIFT:
            return []
        since = self._days_since_change()
        self.held[AnomalyKind.DRIFT] = share
        limit = max(_LEAST_DRIFT, _LEFT_OUT * seen.band.deviation)
        began_at = self.began_at - (since - 1) * _DAY_MS
        episode = Episode(AnomalyKind.DRIFT, began_at, seen.ts, Toll(), share, limit, 0.0, 0, self.known_days())
        episode.compared_with = len(self.off)
        first = KEPT_DAYS - since
        before = [place for place in range(max(0, first - _BEFORE_DAYS), first) if np.isfinite(self.kept_kw[place])]
        self._compare(episode, seen, before, list(range(KEPT_DAYS - NEWEST_DAYS, KEPT_DAYS)))
        for place in range(first, KEPT_DAYS):
            self._count(episode, seen, place, 0.0, limit)
        return [_open(seen.episodes, episode)]

    def _has_changed(self) -> bool:
        """Return whether the test says of one of the newest days that the level has risen."""
        if len(self.off) < LEAST_OFF_DAYS:
            return False
        test = PageHinkley(
            min_instances=LEAST_OFF_DAYS, delta=_LEFT_OUT, threshold=_CHANGED, alpha=_KEPT_OF_SUM, mode="up"
        )
        changed_at = -OFF_DAYS
        for day, deviations in enumerate(self._deviations()):
            test.update(deviations)
            if test.drift_detected:
                changed_at = day
        return changed_at >= len(self.off) - _REMEMBERED_DAYS

    def _days_since_change(self) -> int:
        """Return how many days ago it began: behind the day at which the sum of the test is lowest."""
        off = np.array(self._deviations())
        sums = np.cumsum(off - off.mean() - _LEFT_OUT)
        return max(1, min(len(off) - 1 - int(sums.argmin()), REFERENCE_DAYS - _BEFORE_DAYS))

    def _deviations(self) -> list[float]:
        steps = np.frombuffer(self.off, np.int8).astype(np.float64) / _STEPS
        return [float(one) for one in steps]

    def _compare(self, episode: Episode, seen: "_Seen", before: Sequence[int], now: Sequence[int]) -> None:
        """Hold days against days before: what they drew, and what weather and production explain."""
        others = [seen.days[place] for place in before]
        if not others:
            return
        episode.before_kw = float(np.mean(self.kept_kw[list(before)], dtype=np.float64))
        weather = [seen.band.weather_kw(seen.days[place], others) for place in now]
        made = [seen.band.made_kw(seen.days[place], others) for place in now]
        episode.weather_kw, episode.production_kw = _mean(weather), _mean(made)

    def _count(self, episode: Episode, seen: "_Seen", place: int, recent: float, limit: float) -> None:
        """Add a day to what it cost; what is drawn too little costs nothing."""
        observed_kw = float(self.kept_kw[place])
        if not np.isfinite(observed_kw):
            return
        expected_kw = max(0.0, (seen.band.expected(seen.days[place]) + recent) * seen.band.usual_kw)
        width_kw = limit * seen.band.usual_kw
        episode.high_kw, episode.low_kw = expected_kw + width_kw, max(0.0, expected_kw - width_kw)
        wasted = Spent(0.0, 0.0) if episode.kind is AnomalyKind.DAY_SAG else self.spent
        episode.toll.add_day(observed_kw, expected_kw, wasted.cny_per_kwh, wasted.kg_per_kwh)

    def _end(self, episode: Episode, seen: "_Seen", reason: str) -> Said:
        del seen.episodes[episode.kind]
        self.held.pop(episode.kind, None)
        return Said(episode, seen.ts, Status.CLOSED, reason)

    def _forget(self) -> None:
        """Learn from what has been since a level changed, and from nothing before."""
        self.kept_kw[:-_ACCEPTED_AFTER_DAYS] = np.nan
        self.off = b""

    def _pass(self, days: int) -> None:
        passed = min(days, KEPT_DAYS)
        if passed > 0:
            self.kept_kw = np.concatenate([self.kept_kw[passed:], np.full(passed, np.nan, np.float32)])


class _Seen(NamedTuple):
    """A day that is judged."""

    band: Band
    days: Sequence[Day]
    ts: int
    newest: list[float]  # of the last seven days: above what was expected, as a share of a usual working day
    recent: float  # of the six before it, the newer the more
    episodes: dict[AnomalyKind, Episode]  # that are open
    quiet: frozenset[AnomalyKind]  # kinds of which nothing is opened

    @property
    def new(self) -> float:
        """Of the newest day, less what the last week had more."""
        return self.newest[-1] - self.recent

    def is_like_newest(self, place: int) -> bool:
        """Return whether a day is of the class of the newest, and was known."""
        return self.days[place].of is self.days[-1].of


def slot_of(meter: str, *, is_grid: bool) -> int:
    """Return in which quarter hour of the next day a meter is judged.

    Examples
    --------
    >>> slot_of("press", is_grid=False), slot_of("main", is_grid=True)
    (13, 24)
    """
    return _SLOTS if is_grid else crc32(meter.encode()) % _SLOTS


def drivers(above_kw: Mapping[str, float], count: int) -> str:
    """Return the meters that were farthest above what was expected, largest first.

    Examples
    --------
    >>> drivers({"press": 12.0, "oven": 40.04, "fan": -3.0}, 3)
    'oven +40.0 kW, press +12.0 kW'
    """
    found = sorted(((kw, name) for name, kw in above_kw.items() if kw > 0), reverse=True)
    return ", ".join(f"{name} +{kw:.1f} kW" for kw, name in found[:count])


def _open(episodes: dict[AnomalyKind, Episode], episode: Episode) -> Said:
    episodes[episode.kind] = episode
    return Said(episode, episode.opened_at, Status.OPENED)


def _recent(shares: Sequence[float], band: Band) -> float:
    """Return what days had more or less; one far off counts little, or the next would seem to be off the other way."""
    known = [share for share in shares if np.isfinite(share)]
    recent = float(np.median(known)) if known else 0.0
    farthest = _RECENT_FARTHEST * band.deviation
    for share in known:
        recent += _RECENT_SHARE * min(max(share - recent, -farthest), farthest)
    return recent


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
