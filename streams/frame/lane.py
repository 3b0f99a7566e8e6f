"""One partition of one agent: what may be applied next, what was seen before, and what a checkpoint holds.

No Faust and no Kafka here, so that the delivery rule can be tested by itself. The rule (why: docs/adr/0004):

* only the next offset is accepted; a later one means that messages were skipped, an earlier one that they are repeated;
* a site's snapshot carries the offset it includes, so a snapshot ahead of the partition's stamp skips what it has;
* what an earlier hop sent twice is dropped by its origin;
* a checkpoint is taken behind a tick that was applied: what agents took after their last tick must not meet an older
  tick, and a site whose snapshot is ahead meets some;
* a checkpoint opens by restating where the last one ended, then writes the sites, then where it ends itself. A process
  that dies in the middle, or wakes up after it was replaced, can so never leave a stamp that is ahead of its sites;
* a checkpoint may leave changed sites for later ones. It then ends where the first change began that is not written.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

import numpy as np
import polars as pl

from schemas.flow import CONTEXT, HEADER_ORIGIN, NOTHING, Agent, Kind, Message, Origins, Outcome
from streams.accounting.segment import ENERGY, Tally
from streams.frame.codec import ReadBatch, decode, parse_place
from streams.frame.decoding import read_batch

META = "__lane__/"
_STAMP = struct.Struct(">q")


class Verdict(Enum):
    """What to do with a message that arrived."""

    APPLY = "apply"
    SEEN = "seen"  # already inside the snapshot
    SKIPPED = "skipped"  # messages before it were never delivered: go back


@dataclass(slots=True)
class Lane:
    """The state of one agent on one partition.

    Parameters
    ----------
    agent
        A new agent, without state.
    partition
        The partition.
    next_offset
        The only offset accepted next.
    origins
        Highest origin applied per source partition.
    stamps
        Offset included in the snapshot of each site that was restored.
    settled
        Whether the agent took nothing since its last tick.
    accounted
        Offset up to which segments say what was made of the messages; between it and `next_offset` is the `tally`.
    tally
        What was counted since.
    arrived_at
        Arrival of the last message. [ms UTC]
    passes_over
        Kinds of messages the agent is not given: context it did not ask for, and what is not even decoded.
    read
        How the rows of a batch are read.
    """

    agent: Agent
    partition: int
    next_offset: int = 0
    origins: Origins = field(default_factory=Origins)
    stamps: dict[str, int] = field(default_factory=dict)
    settled: bool = True
    accounted: int = 0
    tally: Tally = field(default_factory=Tally)
    arrived_at: int = 0
    passes_over: frozenset[Kind] = CONTEXT
    read: ReadBatch = read_batch
    restart_offset: int = 0  # where a successor would begin: all before it is in snapshots
    _last_closing: bytes = b""
    _behind: dict[str, int] = field(default_factory=dict)  # changed site -> offset its snapshot is complete up to
    _endings: dict[int, bytes] = field(default_factory=dict)  # next offset -> what the partition's entry said there

    def __post_init__(self) -> None:
        """Remember what an empty log says."""
        self._begin()

    @classmethod
    def restored(
        cls,
        agent: Agent,
        partition: int,
        snapshots: Mapping[str, bytes],
        inherited: Mapping[str, bytes],
        passes_over: frozenset[Kind] = CONTEXT,
        *,
        read: ReadBatch = read_batch,
    ) -> "Lane":
        """Take up where the snapshots of this log end.

        Parameters
        ----------
        agent
            A new agent.
        partition
            The partition.
        snapshots
            What checkpoints wrote for this partition: stamped site snapshots and the partition's own entry.
        inherited
            Unstamped site snapshots of an earlier log, used where this log has none yet.
        passes_over
            Kinds of messages the agent is not given.
        read
            How the rows of a batch are read.
        """
        lane = cls(agent, partition, passes_over=passes_over, read=read)
        meta = snapshots.get(lane.meta_key)
        if meta is not None:
            found = json.loads(meta)
            lane.next_offset = found["next"]
            lane.accounted = found.get("accounted", lane.next_offset)
            lane.origins = Origins({_source(p): (at[0], at[1]) for p, at in found["origins"].items()})
        sites = {key: packed for key, packed in snapshots.items() if not key.startswith(META)}
        lane.stamps = {key: _STAMP.unpack_from(packed)[0] for key, packed in sites.items()}
        states = {**inherited, **{key: packed[_STAMP.size :] for key, packed in sites.items()}}
        if states:
            agent.restore(states)
        lane._begin()
        return lane

    def begin_at(self, offset: int) -> None:
        """Begin with this offset, where no checkpoint says with which."""
        self.next_offset = self.accounted = offset
        self._begin()

    def _begin(self) -> None:
        """Remember what a checkpoint would have said here: all before it is in the snapshots, or gone."""
        self.restart_offset = self.next_offset
        self._last_closing = self._closing()
        self._endings = {self.next_offset: self._last_closing}

    @property
    def ends_like_a_checkpoint(self) -> bool:
        """Whether the last message is the one a site's snapshot ends with: another worker's segment ended here too."""
        return self.next_offset - 1 in self.stamps.values()

    def cut(self) -> tuple[int, Tally]:
        """End the segment; return its first offset and what it counted. The next one begins behind it."""
        ended = self.accounted, self.tally
        self.accounted, self.tally = self.next_offset, Tally()
        return ended

    @property
    def meta_key(self) -> str:
        """Key of the partition's own entry among the snapshots."""
        return f"{META}{self.partition}"

    def verdict(self, offset: int) -> Verdict:
        """Judge a message by its offset."""
        if offset == self.next_offset:
            return Verdict.APPLY
        return Verdict.SEEN if offset < self.next_offset else Verdict.SKIPPED

    def apply(self, offset: int, value: bytes, headers: Mapping[str, bytes]) -> tuple[Message, Outcome]:
        """Apply the next message."""
        if offset != self.next_offset:
            raise ValueError(f"partition {self.partition}: expected offset {self.next_offset}, got {offset}")
        self.next_offset += 1
        message = decode(value, headers, self.passes_over, self.read)
        self.arrived_at = message.arrived_at
        rows = _rows_of(message)
        place = headers.get(HEADER_ORIGIN)
        if place is not None and not self.origins.is_new(*parse_place(place)):
            self.tally.take(offset, rows, 0)
            return message, NOTHING
        if message.kind in self.passes_over:
            return message, NOTHING
        raw = message.kind is Kind.READINGS or (message.kind in CONTEXT and place is None)
        if raw and message.rows is not None:
            message = Message(message.kind, message.arrived_at, self._unseen(message.kind, message.rows))
        # Counted before sites are left out: that a snapshot has them already does not unmake them.
        self.tally.take(offset, rows, _rows_of(message))
        message = self._without_sites_ahead(offset, message)
        if message.rows is None and message.record is None and message.kind is not Kind.TICK:
            return message, NOTHING
        self.settled = message.kind is Kind.TICK
        outcome = self.agent.step(message)
        self.tally.follow(outcome)
        return message, outcome

    def checkpoint(self, at_most: int | None = None) -> Iterator[tuple[str, bytes]]:
        """Yield what a checkpoint writes, in this order; nothing when it is not time for one (a repeated tick).

        Parameters
        ----------
        at_most
            Sites to write; those that have waited longest come first, the others are left for later checkpoints.
        """
        if not self.settled:
            return
        last = max(self._endings)
        for site in sorted(self.agent.changed()):
            self._behind.setdefault(site, last)
        self._endings[self.next_offset] = self._closing()
        yield self.meta_key, self._last_closing
        chosen = list(islice(self._behind, at_most))
        for site, packed in self.agent.snapshot(chosen).items():
            # A site that is ahead has what it has, whatever is applied to others meanwhile.
            yield site, _STAMP.pack(max(self.next_offset - 1, self.stamps.get(site, -1))) + packed
        for site in chosen:
            del self._behind[site]
        self.restart_offset = min(self._behind.values(), default=self.next_offset)
        self._endings = {place: said for place, said in self._endings.items() if place >= self.restart_offset}
        self._last_closing = self._endings[self.restart_offset]
        yield self.meta_key, self._last_closing

    def _closing(self) -> bytes:
        origins = dict(sorted(self.origins.highest.items(), key=_in_order))
        return json.dumps({"next": self.next_offset, "origins": origins, "accounted": self.accounted}).encode()

    def _unseen(self, kind: Kind, rows: pl.DataFrame) -> pl.DataFrame | None:
        """Drop rows whose raw message was applied before (ingest sends some twice after a kill)."""
        partitions, offsets = rows["raw_partition"].to_numpy(), rows["raw_offset"].to_numpy()
        keep = np.ones(len(offsets), np.bool_)
        for partition in np.unique(partitions).tolist():
            of_it = partitions == partition
            source = partition if kind is Kind.READINGS else f"{kind.value}/{partition}"
            seen = self.origins.highest.get(source, (-1, 0))[0]
            mine = offsets[of_it]
            if mine.min() <= seen:
                keep &= ~of_it | (offsets > seen)
            self.origins.highest[source] = (max(int(mine.max()), seen), 0)
        if keep.all():
            return None if rows.is_empty() else rows
        fresh = rows.filter(pl.Series(keep))
        return None if fresh.is_empty() else fresh

    def _without_sites_ahead(self, offset: int, message: Message) -> Message:
        """Leave out the sites whose snapshot already includes this offset."""
        if not self.stamps:
            return message
        ahead = [site for site, stamp in self.stamps.items() if stamp >= offset]
        if not ahead:
            self.stamps.clear()
            return message
        self.tally.partial = True
        if message.record is not None and message.record.site.id in ahead:
            return Message(message.kind, message.arrived_at)
        if message.rows is None:
            return message
        rows = message.rows.filter(~pl.col("site_id").is_in(ahead))
        return Message(message.kind, message.arrived_at, None if rows.is_empty() else rows)

    @staticmethod
    def unstamped(packed: bytes) -> bytes:
        """Return the agent's part of a site snapshot."""
        return packed[_STAMP.size :]


def _source(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _in_order(origin: tuple[int | str, tuple[int, int]]) -> tuple[bool, int, str]:
    source = origin[0]
    return (True, 0, source) if isinstance(source, str) else (False, source, "")


def _rows_of(message: Message) -> int:
    """Return the rows that are accounted for: readings, windows."""
    return message.rows.height if message.rows is not None and ENERGY in message.rows.columns else 0
