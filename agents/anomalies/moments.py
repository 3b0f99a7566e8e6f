"""What the detectors are given, and what they say."""

from typing import NamedTuple

from agents.anomalies.episodes import Episode
from agents.anomalies.profile import DayClass
from agents.pricing.pricing import Terms
from schemas.anomaly import Status

DEAR = frozenset({"sharp", "peak"})


class Moment(NamedTuple):
    """A quarter hour as a site lives it."""

    starts_at: int  # [ms UTC]
    day: int  # local date, as an ordinal
    hour: int  # local
    of: DayClass
    terms: Terms
    is_wanted: bool  # something is made meanwhile


class Said(NamedTuple):
    """A record that is due."""

    episode: Episode
    ts: int
    status: Status
    end_reason: str | None = None
