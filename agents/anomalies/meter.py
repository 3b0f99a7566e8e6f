"""One meter, quarter hour by quarter hour: what it learns, and the anomalies it is in."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from agents.anomalies.conditions import Day
from agents.anomalies.drifting import Drifting, Spent
from agents.anomalies.episodes import QUARTER_H, Episode, Toll, copied
from agents.anomalies.idling import Idling
from agents.anomalies.learning import Progress, of_creep, of_days, of_idling, of_surging
from agents.anomalies.moments import DEAR, Moment, Said
from agents.anomalies.profile import HOURS, DayClass, Expectation, Floats, Profile
from agents.anomalies.shifting import CREEP, KEPT_DAYS, Shifting, base_kw
from agents.anomalies.surging import SURGE, Surging
from agents.pricing.pricing import Terms
from schemas.anomaly import AnomalyKind, Status
from schemas.learning import LearningState

DRAWN_QUARTERS = 8  # two hours
_QUARTER_MS = 900_000
_SAID_EVERY = 4  # quarter hours: an open anomaly is updated once an hour
_TOLD_BY_HOURS = frozenset({AnomalyKind.LEFT_ON, AnomalyKind.PEAK_SURGE})
_LEAST_DAY_QUARTERS = 80  # known, of a day whose energy is judged
_STOPPED_AFTER = 2  # usual quarter hours
_ACCEPTED_AFTER_MS = 28 * 86_400_000  # creep that stays is the new normal


class Drawn(NamedTuple):
    """A quarter hour of the last two: for what a surge costs, and which meters drive it."""

    observed_kw: float
    expected_kw: float
    terms: Terms

    @property
    def above_kw(self) -> float:
        """More than expected. [kW]."""
        return self.observed_kw - self.expected_kw


def _no_hours() -> Floats:
    return np.zeros(HOURS, np.float32)


@dataclass(slots=True)
class MeterWatch:
    """The state of one meter.

    Parameters
    ----------
    profile, idling, surging, creep, drifting
        What was learnt.
    day, of
        The running local day, as an ordinal (0 before the first), and its class.
    kwh, quarters
        Of the running day by local hour, shape (24,).
    began_at, cost_cny, emitted_kg
        When the running day began [ms UTC], and what its energy cost and emitted; None where that is not known.
    told_kwh
        What was told of it as left on or as a surge, or said to be normal: its day is not told for the same.
    drawn
        The last two hours.
    toll
        What was drawn since the excess of `idling` began.
    episodes
        Open anomalies.
    surged_on
        Day of the last surge: one a day is told.
    unusual
        Local hours of the running day in which it was left on: they are not learnt from.
    learning
        How far each detector was when it was said last.
    """

    profile: Profile = field(default_factory=Profile)
    idling: Idling = field(default_factory=Idling)
    surging: Surging = field(default_factory=Surging)
    creep: Shifting = field(default_factory=Shifting)
    drifting: Drifting = field(default_factory=Drifting)
    day: int = 0
    of: DayClass = DayClass.WORKING
    kwh: Floats = field(default_factory=_no_hours)
    quarters: Floats = field(default_factory=_no_hours)
    began_at: int = 0
    cost_cny: float | None = 0.0
    emitted_kg: float | None = 0.0
    told_kwh: float = 0.0
    drawn: deque[Drawn] = field(default_factory=lambda: deque(maxlen=DRAWN_QUARTERS))
    toll: Toll = field(default_factory=Toll)
    episodes: dict[AnomalyKind, Episode] = field(default_factory=dict)
    surged_on: int = 0
    unusual: list[int] = field(default_factory=list)
    packed: bytes = field(default=b"", compare=False, repr=False)  # as a snapshot has it; empty once it has changed
    news: list[Progress] = field(default_factory=list, compare=False, repr=False)  # of the day that just ended
    learning: dict[AnomalyKind, LearningState] = field(default_factory=dict)  # as it was said last
    _expected: Expectation | None = None
    _is_expected: bool = False

    def take(self, at: Moment, power_kw: float | None, *, surges: bool, may_idle: bool) -> list[Said]:
        """Take a quarter hour and return the records that follow.

        Parameters
        ----------
        at
            The quarter hour.
        power_kw
            Its mean power; None where too little of it was measured.
        surges
            Whether it is looked at for surges: a meter at the grid connection.
        may_idle
            Whether it may be off at all: not a server room or a cold store.
        """
        said: list[Said] = []
        self.packed = b""
        self.news = []
        if at.day != self.day:
            has_ended = 0 < self.day < at.day
            said += self._begin_day(at)
            if has_ended:
                self.say(self._progress(surges=surges, may_idle=may_idle))
        if not self._is_expected:
            self._expected, self._is_expected = self.profile.expectation(self.of), True
        expected = self._expected
        if power_kw is not None:
            self.kwh[at.hour] += power_kw * QUARTER_H
            self.quarters[at.hour] += 1
            self._spend(power_kw * QUARTER_H, at.terms)
        if expected is not None and power_kw is not None:
            self.drawn.append(Drawn(power_kw, expected.expected_kw[at.hour], at.terms))
        if expected is not None and may_idle:
            said += self._idle(at, expected, power_kw)
        if surges:
            said += self._surge(at, expected, power_kw)
        is_told = at.wanted == "said_normal" or not _TOLD_BY_HOURS.isdisjoint(self.episodes)
        if expected is not None and power_kw is not None and is_told:
            self._tell(at, power_kw - expected.expected_kw[at.hour], said)
        creep = self.episodes.get(AnomalyKind.STANDBY_CREEP)
        if creep is not None and power_kw is not None:
            creep.toll.add(creep.score + creep.high_kw - creep.limit, creep.high_kw - creep.limit, at.terms)
        return said

    def hear(self, kind: AnomalyKind, ts: int, status: Status, reason: str) -> Said:
        """End an open anomaly because of what was said."""
        self.packed = b""
        return self._end(self.episodes[kind], ts, status, reason)

    def judge_day(self, at: Moment, days: Sequence[Day]) -> list[Said]:
        """Judge the whole day that ended last; `days` are those that `drifting` keeps, and what they were like."""
        self.packed = b""
        return self.drifting.judge(days, at.starts_at + _QUARTER_MS, self.episodes, at.quiet)

    def allow(self, kind: AnomalyKind, score: float) -> None:
        """Learn that what has no hours of its own and reached such a score is normal."""
        self.packed = b""
        if kind is AnomalyKind.STANDBY_CREEP:
            self.creep.limit.allow(score, CREEP)
        else:
            self.drifting.allow(kind, score)

    def say(self, progress: Iterable[Progress]) -> None:
        """Say at the end of a day how far detectors are: those that still learn, and those that are further."""
        for one in progress:
            if one.state is LearningState.LEARNING or self.learning.get(one.kind) is not one.state:
                self.news.append(one)
                self.learning[one.kind] = one.state

    def _progress(self, *, surges: bool, may_idle: bool) -> list[Progress]:
        """Return how far the detectors are that look at this meter."""
        found = [of_creep(self.creep), *of_days(self.drifting)]
        if may_idle:
            found.append(of_idling(self.profile, self.idling))
        return [*found, of_surging(self.surging)] if surges else found

    def _begin_day(self, at: Moment) -> list[Said]:
        said: list[Said] = []
        if self.day and at.day > self.day:
            hours = np.where(self.quarters > 0, self.quarters * np.float32(QUARTER_H), np.float32(np.nan))
            hourly = self.kwh / hours
            usual = hourly.astype(np.float32)
            usual[self.unusual] = np.nan
            self.profile.learn(self.of, usual)
            known = float(self.quarters.sum())
            kwh = max(0.0, float(self.kwh.sum()) - self.told_kwh)
            power_kw = kwh / (known * QUARTER_H) if known >= _LEAST_DAY_QUARTERS else float("nan")
            self.drifting.end_day(self.day, self.began_at, power_kw, self._spent())
            said = self._end_of_day(at, hourly.tolist())
            for _ in range(min(at.day - self.day - 1, KEPT_DAYS)):
                self.creep.take(float("nan"))
        self.surging.end_day()
        self.idling.end_day()
        self.day, self.of = at.day, at.of
        self.kwh, self.quarters = _no_hours(), _no_hours()
        self.began_at, self.cost_cny, self.emitted_kg, self.told_kwh = at.starts_at, 0.0, 0.0, 0.0
        self.unusual = []
        self._is_expected = False
        return said

    def _tell(self, at: Moment, above_kw: float, said: Iterable[Said]) -> None:
        """Count what is told of the running day, from when it began: that of one quarter hour, or as it was opened."""
        kwh = max(0.0, above_kw) * QUARTER_H
        for one in said:
            if one.status is Status.OPENED and one.episode.kind in _TOLD_BY_HOURS:
                toll = one.episode.toll
                today = min(toll.quarters, (at.starts_at - self.began_at) // _QUARTER_MS + 1)
                kwh = max(kwh, toll.wasted_kwh * today / toll.quarters if toll.quarters else 0.0)
        self.told_kwh += kwh

    def _spend(self, energy_kwh: float, terms: Terms) -> None:
        cny, kg = terms.cost_cny(energy_kwh), terms.emitted_kg(energy_kwh)
        self.cost_cny = None if cny is None or self.cost_cny is None else self.cost_cny + cny
        self.emitted_kg = None if kg is None or self.emitted_kg is None else self.emitted_kg + kg

    def _spent(self) -> Spent:
        """Return what a kilowatt-hour of the running day cost in the mean."""
        kwh = float(self.kwh.sum())
        if kwh <= 0:
            return Spent(None, None)
        cny, kg = self.cost_cny, self.emitted_kg
        return Spent(None if cny is None else cny / kwh, None if kg is None else kg / kwh)

    def _idle(self, at: Moment, expected: Expectation, power_kw: float | None) -> list[Said]:
        verdict = self.idling.take(at.hour, self.of, expected, power_kw, at.starts_at, is_wanted=bool(at.wanted))
        draws_on = power_kw is not None and verdict.above_kw is not None and verdict.above_kw > 0
        if not verdict.should_be_off or self.idling.whole == 0.0:
            self.toll = Toll()
        if power_kw is not None and draws_on:
            self.toll.add(power_kw, expected.expected_kw[at.hour], at.terms)
        episode = self.episodes.get(AnomalyKind.LEFT_ON)
        if episode is None:
            return self._begin_idling(at, expected) if draws_on and AnomalyKind.LEFT_ON not in at.quiet else []
        ts = at.starts_at + _QUARTER_MS
        if not verdict.should_be_off:
            return [self._end(episode, ts, Status.CLOSED, "usual_hours")]
        if at.wanted:
            return [self._end(episode, ts, Status.SUPPRESSED, at.wanted)]
        if power_kw is not None and draws_on:
            episode.quiet = 0
            self._exclude(at.hour)
            episode.toll.add(power_kw, expected.expected_kw[at.hour], at.terms)
            beyond = self.idling.beyond()
            if beyond is not None:
                episode.score = max(episode.score, beyond.score / beyond.limit * episode.limit)
            return self._went_on(episode, ts)
        episode.quiet += verdict.above_kw is not None
        return [self._end(episode, ts, Status.CLOSED, "stopped")] if episode.quiet >= _STOPPED_AFTER else []

    def _begin_idling(self, at: Moment, expected: Expectation) -> list[Said]:
        beyond = self.idling.beyond()
        if beyond is None:
            return []
        for back in range(self.toll.quarters):
            if at.hour - back // 4 >= 0:
                self._exclude(at.hour - back // 4)
        return [
            self._open(
                Episode(
                    AnomalyKind.LEFT_ON,
                    self.idling.began_at,
                    at.starts_at + _QUARTER_MS,
                    copied(self.toll),
                    beyond.score,
                    beyond.limit,
                    expected.usual_kw[at.hour] + expected.tolerance_kw[at.hour],
                    beyond.compared_with,
                    expected.learnt_days,
                )
            )
        ]

    def _surge(self, at: Moment, expected: Expectation | None, power_kw: float | None) -> list[Said]:
        is_dear = at.terms.period in DEAR
        score = self.surging.take(at.hour, self.of, expected, power_kw, is_dear=is_dear)
        episode = self.episodes.get(AnomalyKind.PEAK_SURGE)
        if episode is None:
            if score is None or expected is None or self.surged_on == self.day or AnomalyKind.PEAK_SURGE in at.quiet:
                return []
            return self._begin_surge(at, expected, score)
        ts = at.starts_at + _QUARTER_MS
        if not is_dear or (score is not None and score < episode.limit / 2):
            return [self._end(episode, ts, Status.CLOSED, "normal_again")]
        if score is None or power_kw is None or expected is None:
            return []
        episode.toll.add(power_kw, expected.expected_kw[at.hour], at.terms)
        episode.score = max(episode.score, score)
        return self._went_on(episode, ts)

    def _exclude(self, hour: int) -> None:
        if hour not in self.unusual:
            self.unusual.append(hour)

    def _begin_surge(self, at: Moment, expected: Expectation, score: float) -> list[Said]:
        limit = self.surging.limit.of(SURGE)
        if limit is None or score <= limit:
            return []
        # It began with the newest dear quarter hours in a row that were above what was expected.
        above: list[Drawn] = []
        for quarter in reversed(self.drawn):
            if quarter.above_kw <= 0 or quarter.terms.period not in DEAR:
                break
            above.insert(0, quarter)
        toll = Toll()
        for quarter in above:
            toll.add(quarter.observed_kw, quarter.expected_kw, quarter.terms)
        self.surged_on = self.day
        ts = at.starts_at + _QUARTER_MS
        return [
            self._open(
                Episode(
                    AnomalyKind.PEAK_SURGE,
                    ts - len(above) * _QUARTER_MS,
                    ts,
                    toll,
                    score,
                    limit,
                    expected.expected_kw[at.hour] + limit / 2 * expected.running_kw,
                    self.surging.limit.compared_with(SURGE),
                    expected.learnt_days,
                )
            )
        ]

    def _end_of_day(self, at: Moment, hourly_kw: Sequence[float]) -> list[Said]:
        """Judge the least power of the day that ended."""
        episode = self.episodes.get(AnomalyKind.STANDBY_CREEP)
        compared = self.creep.limit.compared_with(CREEP)
        found = self.creep.take(base_kw(hourly_kw))
        if found is None:
            return []
        shift, limit = found
        ts = at.starts_at
        if episode is not None:
            if shift.score <= episode.limit / 2:
                return [self._end(episode, ts, Status.CLOSED, "normal_again")]
            if ts - episode.opened_at >= _ACCEPTED_AFTER_MS:
                return [self._end(episode, ts, Status.CLOSED, "new_normal")]
            episode.score = max(episode.score, shift.score)
            return [Said(episode, ts, Status.UPDATED)]
        running_kw = float(np.nanmax(self.profile.mean_kw)) if self.profile.days[0] else 0.0
        if limit is None or shift.score <= max(limit, 0.01 * running_kw) or AnomalyKind.STANDBY_CREEP in at.quiet:
            return []
        learnt_days = sum(self.profile.days)
        return [
            self._open(
                Episode(
                    AnomalyKind.STANDBY_CREEP,
                    ts,
                    ts,
                    Toll(),
                    shift.score,
                    limit,
                    shift.before + limit,
                    compared,
                    learnt_days,
                )
            )
        ]

    def _went_on(self, episode: Episode, ts: int) -> list[Said]:
        is_due = episode.toll.quarters % _SAID_EVERY == 0
        return [Said(episode, ts, Status.UPDATED)] if is_due else []

    def _open(self, episode: Episode) -> Said:
        self.episodes[episode.kind] = episode
        return Said(episode, episode.opened_at, Status.OPENED)

    def _end(self, episode: Episode, ts: int, status: Status, reason: str) -> Said:
        del self.episodes[episode.kind]
        if episode.kind is AnomalyKind.LEFT_ON:
            self.idling.stop()
            self.toll = Toll()
        return Said(episode, ts, status, reason)
