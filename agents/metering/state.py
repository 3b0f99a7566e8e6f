"""A metering snapshot of one site: its record, its points and the readings not yet among them, as bytes.

Points are written as they lie in memory, the first bytes of all, then the second ones (neighbours are alike, so this
packs well), because an Arrow stream for each of thousands of sites would stop the worker for seconds.
"""

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from agents.metering.clocks import NO_CLOCK
from agents.metering.meters import Described, described
from agents.metering.past import PAST, REVISED
from agents.metering.ragged import Ints, Rows
from agents.metering.reversed import NOT_BACKWARDS
from agents.metering.shelves import POINT
from agents.metering.silence import NOT_HEARD
from agents.metering.stuck import NO_STANDING
from schemas.flow import SiteRecord

_LENGTH = struct.Struct(">I")
_FASTEST = 1
_CODEC = pa.Codec("lz4_raw")
# The numbers beside the points: points of each meter, its anchor, and what is kept of its closed windows.
# Points of snapshots that were written before meters had reactive energy: they have one part less.
_OLD_PARTS = 7
# Snapshots that were written before meters were flagged have no parts about that.
_UNFLAGGED_PARTS = 8
_EDITION = b"\x03"
_FLAGS = (NO_STANDING, NO_CLOCK, NOT_HEARD, NOT_BACKWARDS)
_OLD_POINT, _OLD_PAST = (
    np.dtype([(name, kind[name]) for name in kind.names or () if name != "import_kvarh"]) for kind in (POINT, PAST)
)
_BESIDE = np.dtype(
    [("count", "<i8"), ("closed_until", "<i8"), ("anchor_since", "<i8"), ("strips", "<i8"), ("marks", "<i8")]
)
_PLACE = np.dtype([("place", "<i8")])


@dataclass(frozen=True, slots=True)
class Head:
    """The record of a site: what metering uses of it, and all of it packed."""

    tenant_id: str
    revision: int
    meters: Sequence[Described]  # in the order of their ids
    packed: bytes

    @classmethod
    def of(cls, record: SiteRecord) -> "Head":
        """Pack a record."""
        plain = record.site.model_dump(mode="json")
        packed = zlib.compress(record.to_json(), _FASTEST)
        return cls(record.site.tenant, record.revision, described(plain["meters"]), packed)

    @classmethod
    def unpacked(cls, packed: bytes) -> "Head":
        """Read only what metering needs."""
        found = json.loads(zlib.decompress(packed))
        return cls(found["site"]["tenant"], found["revision"], described(found["site"]["meters"]), packed)

    @property
    def record(self) -> SiteRecord:
        """The whole record."""
        return SiteRecord.of_json(zlib.decompress(self.packed))


@dataclass(frozen=True, slots=True)
class SiteState:
    """What metering keeps of a site; meters are in the order of their ids."""

    head: Head
    counts: Ints  # points of each meter
    closed_until: Ints
    anchor_since: Ints
    rows: Rows
    fresh_places: Ints  # place of the meter of each reading that came after the last tick
    fresh: Rows
    strip_counts: Ints  # kept points of closed windows of each meter, `agents.metering.past`
    strips: Rows
    mark_counts: Ints  # ranges of revised windows of each meter
    marks: Rows
    flags: Sequence[Rows]  # what is known of each meter beyond its energy, `agents.metering.flagging`

    def to_bytes(self) -> bytes:
        """Pack it."""
        beside = np.empty(len(self.counts), _BESIDE)
        for name, numbers in zip(
            _BESIDE.names or (),
            (self.counts, self.closed_until, self.anchor_since, self.strip_counts, self.mark_counts),
            strict=True,
        ):
            beside[name] = numbers
        places = np.ascontiguousarray(self.fresh_places).view(_PLACE)
        arrays = (beside, self.rows, places, self.fresh, self.strips, self.marks, *self.flags)
        parts = (self.head.packed, *(_packed(rows) for rows in arrays), _EDITION)
        return b"".join(_LENGTH.pack(len(part)) + part for part in parts)

    @classmethod
    def from_bytes(cls, packed: bytes) -> "SiteState":
        """Unpack what `to_bytes` made."""
        parts = []
        place = 0
        while place < len(packed):
            (length,) = _LENGTH.unpack_from(packed, place)
            place += _LENGTH.size + length
            parts.append(packed[place - length : place])
        head = Head.unpacked(parts[0])
        is_old = len(parts) == _OLD_PARTS
        point, past = (_OLD_POINT, _OLD_PAST) if is_old else (POINT, PAST)
        kinds = (_BESIDE, point, _PLACE, point, past, REVISED)
        beside, rows, places, fresh, strips, marks = (
            _unpacked(part, kind) for part, kind in zip(parts[1:_OLD_PARTS], kinds, strict=True)
        )
        if is_old:
            rows, fresh, strips = _renewed(rows, POINT), _renewed(fresh, POINT), _renewed(strips, PAST)
        flags = parts[_OLD_PARTS:-1] if len(parts) > _UNFLAGGED_PARTS else []
        flags += [b""] * (len(_FLAGS) - len(flags))  # what an older release knew nothing of
        counts, closed_until, since, strip_counts, mark_counts = (beside[name].copy() for name in _BESIDE.names or ())
        return cls(
            head,
            counts,
            closed_until,
            since,
            rows,
            places["place"].copy(),
            fresh,
            strip_counts,
            strips,
            mark_counts,
            marks,
            [
                _unpacked(part, nothing.dtype) if part else nothing.repeat(len(counts))
                for part, nothing in zip(flags, _FLAGS, strict=True)
            ],
        )


def _renewed(old: Rows, kind: np.dtype[np.void]) -> Rows:
    """Return points as they are now, from those of an older release: what these do not have is not known."""
    rows = np.empty(len(old), kind)
    for name in kind.names or ():
        rows[name] = old[name] if name in (old.dtype.names or ()) else np.nan
    return rows


def _packed(rows: Rows) -> bytes:
    """Pack an array: first the first bytes of all its items, then the second ones, and so on."""
    if not len(rows):
        return b""
    bytewise = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1).T
    return _LENGTH.pack(len(rows)) + _CODEC.compress(np.ascontiguousarray(bytewise).tobytes(), asbytes=True)


def _unpacked(packed: bytes, kind: np.dtype[np.void]) -> Rows:
    if not packed:
        return np.empty(0, kind)
    (length,) = _LENGTH.unpack_from(packed)
    plain = _CODEC.decompress(packed[_LENGTH.size :], length * kind.itemsize, asbytes=True)
    bytewise = np.frombuffer(plain, np.uint8).reshape(kind.itemsize, length)
    return np.ascontiguousarray(bytewise.T).view(kind)[:, 0]
