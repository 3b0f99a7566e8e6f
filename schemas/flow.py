"""How agents are called and what they give back: the words between `agents` and the frame in `streams`.

An agent is one object per partition. It sees rows, site records and ticks in the order of the log, keeps its state to
itself and returns what follows. It never reads a clock: time is `arrived_at`, stamped by ingest.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol, Self
from weakref import WeakValueDictionary

import polars as pl

from schemas.reference.edition import SiteEdition
from schemas.registry import AS_CHECKED, Site
from schemas.topics import Topic


class Kind(StrEnum):
    """What a message on an internal topic holds (its `kind` header)."""

    READINGS = "readings"
    WINDOWS = "windows"
    LIVE = "live"
    BALANCE = "balance"
    TICK = "tick"  # no value: the time is in the `arrived_at` header
    WEATHER = "weather"
    PRODUCTION = "production"
    FEEDBACK = "feedback"
    ZONES = "zones"
    HISTORY = "history"
    # JSON {"revision": n, "site": {...}, "edition": {...}}: configuration travels in front of the data it governs
    SITE = "site"


# What is known around the energy. Only agents that ask for it are given it: `StageSpec.context`.
CONTEXT = frozenset({Kind.WEATHER, Kind.PRODUCTION, Kind.FEEDBACK, Kind.ZONES, Kind.HISTORY})
# What is made of the readings. Agents that do not need it are spared it: `StageSpec.windows`.
ENERGY_KINDS = frozenset({Kind.WINDOWS, Kind.LIVE})

HEADER_KIND = "kind"
HEADER_ARRIVED_AT = "arrived_at"  # ms UTC
HEADER_ORIGIN = "origin"  # "<partition>:<offset>:<index>" of the message this one was made from


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SiteRecord:
    """A site's configuration as of a revision.

    Parameters
    ----------
    site
        What registry.v1 says.
    revision
        Higher for later records of registry.v1, and for later editions.
    edition
        Factors and tariff plan of the published edition in force; None while none is: those of the release.
    """

    site: Site
    revision: int
    edition: SiteEdition | None = None

    @property
    def edition_version(self) -> str | None:
        """Name of the published edition."""
        return None if self.edition is None else self.edition.version

    def to_json(self) -> bytes:
        """Return the record as it travels and is kept."""
        found: dict[str, object] = {"revision": self.revision, "site": self.site.model_dump(mode="json")}
        if self.edition is not None:
            found["edition"] = self.edition.model_dump(mode="json")
        return json.dumps(found).encode()

    @classmethod
    def of_json(cls, text: bytes | str) -> Self:
        """Read what `to_json` gave.

        All agents of a process get the same record for the same text: each of thousands of sites is read once, and
        kept once.
        """
        key = blake2b(text.encode() if isinstance(text, str) else text, digest_size=16).digest()
        known = _READ.get(key)
        if isinstance(known, cls):
            return known
        found = json.loads(text)
        edition = found.get("edition")
        record = cls(
            Site.model_validate(found["site"], context=AS_CHECKED),
            found["revision"],
            # Strict models take dates and tuples from JSON only.
            None if edition is None else SiteEdition.model_validate_json(json.dumps(edition)),
        )
        _READ[key] = record
        return record


# What was read and is still in use, by the digest of its text.
_READ: WeakValueDictionary[bytes, SiteRecord] = WeakValueDictionary()


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
    """The highest origin applied per source; what is not above it was seen before.

    A source is a partition: its number, and for one that shares a topic with others a text, e.g. `weather/3`.

    Examples
    --------
    >>> seen = Origins()
    >>> seen.is_new(0, (7, 0)), seen.is_new(0, (7, 0)), seen.is_new(0, (7, 1)), seen.is_new(0, (6, 9))
    (True, False, True, False)
    """

    highest: dict[int | str, tuple[int, int]] = field(default_factory=dict)

    def is_new(self, source: int | str, place: tuple[int, int]) -> bool:
        """Return whether `place` (offset, index) is above all seen of `source`, and remember it."""
        if place <= self.highest.get(source, (-1, -1)):
            return False
        self.highest[source] = place
        return True
