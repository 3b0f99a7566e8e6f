"""How agents are called and what they give back: the words between `agents` and the frame in `streams`.

An agent is one object per partition. It sees rows, site records and ticks in the order of the log, keeps its state to
itself and returns what follows. It never reads a clock: time is `arrived_at`, stamped by ingest.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import polars as pl

from schemas.registry import Site
from schemas.topics import Topic


class Kind(StrEnum):
    """What a message on an internal topic holds (its `kind` header)."""

    READINGS = "readings"
    WINDOWS = "windows"
    LIVE = "live"
    BALANCE = "balance"
    TICK = "tick"  # no value: the time is in the `arrived_at` header
    SITE = "site"  # JSON {"revision": n, "site": {...}}: configuration travels in front of the data it governs


HEADER_KIND = "kind"
HEADER_ARRIVED_AT = "arrived_at"  # ms UTC
HEADER_ORIGIN = "origin"  # "<partition>:<offset>:<index>" of the message this one was made from


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """A site's configuration as of a revision (higher for later records of registry.v1)."""

    site: Site
    revision: int


@dataclass(frozen=True, slots=True)
class Output:
    """What goes to one topic.

    Rows for a BATCH topic become one Arrow message; rows for a JSON topic become one message each, keyed by `site_id`,
    with `ts` as record timestamp and `id` as the id of the event. A site record or a tick is passed on as it is.
    """

    topic: Topic
    kind: Kind | None = None
    rows: pl.DataFrame | None = None
    record: SiteRecord | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from one step: outputs, and rows that were refused with a `reason` column."""

    outputs: Sequence[Output] = ()
    rejected: pl.DataFrame | None = None


NOTHING = Outcome()


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an internal topic, decoded: rows of readings, windows or live state, a site record, or a tick."""

    kind: Kind
    arrived_at: int  # [ms UTC]
    rows: pl.DataFrame | None = None
    record: SiteRecord | None = None


class Agent(Protocol):
    """A stateful agent for one partition; state is kept and snapshotted per site."""

    def step(self, message: Message) -> Outcome:
        """Take one message, return what follows from it."""
        ...

    def changed(self) -> Iterable[str]:
        """Return the sites whose state changed since the last `snapshot`."""
        ...

    def snapshot(self, sites: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Return the state of these sites (of every changed one, if none are named) and forget that they changed."""
        ...

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Take over the state of these sites."""
        ...


@dataclass(slots=True)
class Origins:
    """The highest origin applied per source partition; what is not above it was seen before.

    Examples
    --------
    >>> seen = Origins()
    >>> seen.is_new(0, (7, 0)), seen.is_new(0, (7, 0)), seen.is_new(0, (7, 1)), seen.is_new(0, (6, 9))
    (True, False, True, False)
    """

    highest: dict[int, tuple[int, int]] = field(default_factory=dict)

    def is_new(self, partition: int, place: tuple[int, int]) -> bool:
        """Return whether `place` (offset, index) is above all seen of `partition`, and remember it."""
        if place <= self.highest.get(partition, (-1, -1)):
            return False
        self.highest[partition] = place
        return True
