"""What people said of anomalies, and what it changes.

That an excess was normal is learnt as a place in the week: the hours of the week it lasted, with one more on either
side, and a quarter more than the power it had in the mean. What stays within is wanted from then on, as if something
was made. Shares and least powers have no hours; there the limit is raised to what was said to be normal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from agents.anomalies.episodes import Episode
from schemas.anomaly import AnomalyKind, Status

KEPT_ENDED = 20  # anomalies of a site that ended: what is said of older ones comes too late
_HOUR = timedelta(hours=1)
_HOURS_OF_WEEK = 7 * 24
_MORE = 1.25
_KEPT_USUAL = 40  # of a site; the oldest goes first


class Mute(NamedTuple):
    """A meter (None: every one) and kind (None: every one) of which nothing is told until then. [ms UTC]."""

    meter: str | None
    kind: AnomalyKind | None
    until: int


class Usual(NamedTuple):
    """What was said to be normal: up to this power, in these hours of the week (0 = Monday 00:00 local)."""

    meter: str
    kind: AnomalyKind
    hours: tuple[int, ...]
    up_to_kw: float


@dataclass(slots=True)
class Ended:
    """An anomaly that ended, in case something is said of it."""

    meter: str
    episode: Episode
    ts: int
    status: Status
    end_reason: str

    def anomaly_id(self, site: str) -> str:
        """Return its id on anomalies.v1."""
        return self.episode.anomaly_id(site, self.meter)


@dataclass(slots=True)
class Hearing:
    """What was said at one site.

    Parameters
    ----------
    mutes
        Those that have not passed.
    usual
        What was said to be normal, oldest first.
    ended
        Anomalies that ended, oldest first.
    """

    mutes: list[Mute] = field(default_factory=list)
    usual: list[Usual] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)

    def mute(self, said: Mute, at: int) -> None:
        """Take in a mute that was said at a moment; one that ends in the past, or sooner than before, ends it."""
        others = [one for one in self.mutes if one.until > at and one[:2] != said[:2]]
        self.mutes = [*others, said] if said.until > at else others

    def muted(self, meter: str, at: int) -> frozenset[AnomalyKind]:
        """Return the kinds of which nothing is told of a meter at a moment. [ms UTC]."""
        if not self.mutes:
            return frozenset()
        mine = [one for one in self.mutes if one.until > at and one.meter in (None, meter)]
        return frozenset(kind for kind in AnomalyKind if any(one.kind in (None, kind) for one in mine))

    def allows(self, meter: str, kind: AnomalyKind, hour_of_week: int, power_kw: float) -> bool:
        """Return whether this was said to be normal."""
        return any(
            one.meter == meter and one.kind is kind and hour_of_week in one.hours and power_kw <= one.up_to_kw
            for one in self.usual
        )

    def learn(self, meter: str, episode: Episode, until: int, zone: ZoneInfo) -> None:
        """Learn that an excess until then was normal. [ms UTC]."""
        hours = tuple(hours_of_week(episode.began_at, until, zone))
        found = Usual(meter, episode.kind, hours, _MORE * episode.toll.mean_kw)
        others = [one for one in self.usual if one[:3] != found[:3]]
        self.usual = [*others, found][-_KEPT_USUAL:]

    def end(self, ended: Ended) -> None:
        """Remember an anomaly that ended."""
        self.ended = [*self.ended, ended][-KEPT_ENDED:]

    def keep(self, meters: Iterable[str]) -> None:
        """Forget what was said of other meters."""
        known = set(meters)
        self.mutes = [one for one in self.mutes if one.meter is None or one.meter in known]
        self.usual = [one for one in self.usual if one.meter in known]
        self.ended = [one for one in self.ended if one.meter in known]


def hours_of_week(begin: int, end: int, zone: ZoneInfo) -> list[int]:
    """Return the local hours of the week from an hour before to an hour behind, ascending. [ms UTC].

    Examples
    --------
    >>> shanghai = ZoneInfo("Asia/Shanghai")
    >>> monday_1900 = int(datetime(2026, 5, 11, 19, tzinfo=shanghai).timestamp()) * 1000
    >>> hours_of_week(monday_1900, monday_1900 + 5_400_000, shanghai)
    [18, 19, 20, 21]
    """
    at = datetime.fromtimestamp(begin / 1000, UTC) - _HOUR
    last = datetime.fromtimestamp(end / 1000, UTC) + _HOUR
    hours: set[int] = set()
    while at < last and len(hours) < _HOURS_OF_WEEK:
        local = at.astimezone(zone)
        hours.add(local.weekday() * 24 + local.hour)
        at += _HOUR
    return sorted(hours)


def mute_of(row: Mapping[str, object]) -> Mute:
    """Read a mute from a row of `schemas.feedback.FEEDBACK_ROWS`."""
    meter, kind, until = row["meter_id"], row["kind"], row["until"]
    return Mute(
        None if meter is None else str(meter),
        None if kind is None else AnomalyKind(str(kind)),
        int(str(until)),
    )
