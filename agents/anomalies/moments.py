"""What the detectors are given, and what they say."""

from typing import NamedTuple

from agents.anomalies.episodes import Episode
from agents.anomalies.profile import DayClass
from agents.pricing.pricing import Terms
from schemas.anomaly import AnomalyKind, Status

DEAR = frozenset({"sharp", "peak"})


class Moment(NamedTuple):
    """A quarter hour as a site lives it."""

    starts_at: int  # [ms UTC]
    day: int  # local date, as an ordinal
    hour: int  # local
    of: DayClass
    terms: Terms
    wanted: str = ""  # why it may draw what it likes: production, or said_normal; empty = it may not
    quiet: frozenset[AnomalyKind] = frozenset()  # kinds of which nothing is opened


class Said(NamedTuple):
    """A record that is due."""

    episode: Episode
    ts: int
    status: Status
    end_reason: str | None = None
