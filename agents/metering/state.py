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

from agents.metering.meters import Described, described
from agents.metering.ragged import Ints, Rows
from agents.metering.shelves import POINT
from schemas.flow import SiteRecord
from schemas.registry import Site

_LENGTH = struct.Struct(">I")
_FASTEST = 1
_CODEC = pa.Codec("lz4_raw")
# The numbers beside the points: points of each meter, and its anchor.
_BESIDE = np.dtype([("count", "<i8"), ("closed_until", "<i8"), ("anchor_since", "<i8")])
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
        text = json.dumps({"revision": record.revision, "site": record.site.model_dump(mode="json")})
        packed = zlib.compress(text.encode(), _FASTEST)
        return cls(record.site.tenant, record.revision, described(record.site), packed)

    @classmethod
    def unpacked(cls, packed: bytes) -> "Head":
        """Read only what metering needs: whole sites would be checked anew, which takes a restart of many too long."""
        found = json.loads(zlib.decompress(packed))
        meters = sorted(
            Described(one["id"], one["kind"], one["multiplier"], one["interval_s"]) for one in found["site"]["meters"]
        )
        return cls(found["site"]["tenant"], found["revision"], meters, packed)

    @property
    def record(self) -> SiteRecord:
        """The whole record."""
        found = json.loads(zlib.decompress(self.packed))
        return SiteRecord(Site.model_validate(found["site"]), found["revision"])


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

    def to_bytes(self) -> bytes:
        """Pack it."""
        beside = np.empty(len(self.counts), _BESIDE)
        beside["count"], beside["closed_until"], beside["anchor_since"] = (
            self.counts,
            self.closed_until,
            self.anchor_since,
        )
        places = np.ascontiguousarray(self.fresh_places).view(_PLACE)
        parts = (self.head.packed, *(_packed(rows) for rows in (beside, self.rows, places, self.fresh)))
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
        beside, rows, places, fresh = (
            _unpacked(part, kind) for part, kind in zip(parts[1:], (_BESIDE, POINT, _PLACE, POINT), strict=True)
        )
        anchors = beside["closed_until"].copy(), beside["anchor_since"].copy()
        return cls(head, beside["count"].copy(), *anchors, rows, places["place"].copy(), fresh)


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
