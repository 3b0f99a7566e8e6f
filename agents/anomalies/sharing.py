"""Peak share: a larger part of a week's energy falls into sharp and peak hours than in the weeks before.

Both are counted by the periods that hold now: what the weeks before would have had under them. So a tariff that changes
its hours with the season raises nothing; a works that moves its load does.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from agents.anomalies.episodes import QUARTER_H, Episode, Toll
from agents.anomalies.limits import Limit, Rule
from agents.anomalies.moments import DEAR, Moment, Said
from agents.anomalies.profile import HOURS, Floats
from schemas.anomaly import AnomalyKind, Status

# In shares of the energy.
SHARE = Rule(spans=120, least=30, margin=1.2, floor=0.03)
NEWEST_DAYS, BEFORE_DAYS = 7, 28
KEPT_DAYS = NEWEST_DAYS + BEFORE_DAYS
_LEAST_DAYS = 5  # of the newest with any energy
_ACCEPTED_AFTER_MS = 28 * 86_400_000  # what stays is the new normal


def _no_days() -> Floats:
    return np.zeros((0, HOURS), np.float32)


def _no_hours() -> Floats:
    return np.zeros(HOURS, np.float32)


class Periods(NamedTuple):
    """Quarter hours and prices of a day, inside sharp and peak periods and outside."""

    dear: int = 0
    dear_cny_per_kwh: float | None = 0.0  # sum of the quarter hours; None when one is not known
    other: int = 0
    other_cny_per_kwh: float | None = 0.0

    def add(self, at: Moment) -> "Periods":
        """Add a quarter hour."""
        price = at.terms.price_cny_per_kwh
        if at.terms.period in DEAR:
            return self._replace(dear=self.dear + 1, dear_cny_per_kwh=_plus(self.dear_cny_per_kwh, price))
        return self._replace(other=self.other + 1, other_cny_per_kwh=_plus(self.other_cny_per_kwh, price))

    @property
    def dearer_cny_per_kwh(self) -> float | None:
        """How much dearer sharp and peak hours are than the others, in the mean."""
        if not self.dear or not self.other or self.dear_cny_per_kwh is None or self.other_cny_per_kwh is None:
            return None
        return self.dear_cny_per_kwh / self.dear - self.other_cny_per_kwh / self.other


class Shares(NamedTuple):
    """Of the newest days and of those before, and the energy of the newest. [kWh]."""

    newest: float
    usual: float
    total_kwh: float


@dataclass(slots=True)
class Sharing:
    """What is known of one site.

    Parameters
    ----------
    limit
        Of the difference of shares.
    days
        Energy of the newest days by local hour, oldest first, shape (n, 24), n at most 35. [kWh]
    day
        The running local day, as an ordinal; 0 before the first.
    kwh
        Its energy by local hour, shape (24,).
    dear
        How many of its quarter hours of each hour were dear, shape (24,).
    periods
        Its quarter hours and prices.
    episode
        The anomaly that is open.
    meter
        The grid meter it is told of.
    """

    limit: Limit = field(default_factory=Limit)
    days: Floats = field(default_factory=_no_days)
    day: int = 0
    kwh: Floats = field(default_factory=_no_hours)
    dear: Floats = field(default_factory=_no_hours)
    periods: Periods = field(default_factory=Periods)
    episode: Episode | None = None
    meter: str = ""

    def take(self, at: Moment, power_kw: float | None) -> list[Said]:
        """Take a quarter hour of a grid meter; a day is judged with the first one of the next."""
        said: list[Said] = []
        if at.day > self.day:
            if self.day:
                said = self._end_day(at)
            self.day, self.periods = at.day, Periods()
            self.kwh, self.dear = _no_hours(), _no_hours()
        if at.day < self.day or power_kw is None:
            return said  # another grid meter that is behind
        self.kwh[at.hour] += power_kw * QUARTER_H
        self.dear[at.hour] += at.terms.period in DEAR
        self.periods = self.periods.add(at)
        return said

    def _end_day(self, at: Moment) -> list[Said]:
        passed = min(at.day - self.day - 1, KEPT_DAYS)
        self.days = np.concatenate([self.days, self.kwh[None], np.zeros((passed, HOURS), np.float32)])[-KEPT_DAYS:]
        if len(self.days) < KEPT_DAYS or not self.dear.any():
            return []
        is_dear = self.dear > 0
        newest, before = self.days[-NEWEST_DAYS:].astype(np.float64), self.days[:BEFORE_DAYS].astype(np.float64)
        total, former = float(newest.sum()), float(before.sum())
        if int((newest.sum(axis=1) > 0).sum()) < _LEAST_DAYS or total <= 0 or former <= 0:
            return []
        shares = Shares(float(newest[:, is_dear].sum()) / total, float(before[:, is_dear].sum()) / former, total)
        said = self._judge(at, shares)
        self.limit.note(shares.newest - shares.usual, SHARE)
        return said

    def hear(self, ts: int, status: Status, reason: str) -> Said:
        """End the open anomaly because of what was said."""
        if self.episode is None:
            raise ValueError("no anomaly is open")
        episode, self.episode = self.episode, None
        return Said(episode, ts, status, reason)

    def allow(self, score: float) -> None:
        """Learn that a share which is larger by so much is normal."""
        self.limit.allow(score, SHARE)

    def _judge(self, at: Moment, shares: Shares) -> list[Said]:
        ts = at.starts_at
        share, usual, total_kwh = shares
        limit = self.limit.of(SHARE)
        episode = self.episode
        moved_kwh = (share - usual) * float(self.kwh.sum())
        if episode is None:
            if limit is None or share - usual <= limit or AnomalyKind.PEAK_SHARE in at.quiet:
                return []
            episode = self.episode = Episode(
                AnomalyKind.PEAK_SHARE,
                ts - NEWEST_DAYS * 86_400_000,
                ts,
                Toll(),
                share - usual,
                limit,
                usual + limit,
                self.limit.compared_with(SHARE),
                KEPT_DAYS,
            )
            moved_kwh = (share - usual) * total_kwh
            status, reason = Status.OPENED, None
        elif share - usual <= episode.limit / 2:
            self.episode, status, reason = None, Status.CLOSED, "normal_again"
        elif ts - episode.opened_at >= _ACCEPTED_AFTER_MS:
            self.episode, status, reason = None, Status.CLOSED, "new_normal"
        else:
            status, reason = Status.UPDATED, None
        episode.share, episode.usual_share = share, usual
        episode.score = max(episode.score, share - usual)
        episode.toll.move(max(0.0, moved_kwh), self.periods.dearer_cny_per_kwh)
        return [Said(episode, ts, status, reason)]


def _plus(total: float | None, price: float | None) -> float | None:
    return None if total is None or price is None else total + price
