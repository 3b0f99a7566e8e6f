"""A metering snapshot of one site: its configuration, its points and the readings not yet among them, as bytes."""

import io
import json
import struct

import polars as pl

from agents.metering.points import EMPTY, POINTS
from schemas.flow import SiteRecord
from schemas.registry import Site

_LENGTH = struct.Struct(">I")


def to_bytes(record: SiteRecord, points: pl.DataFrame, fresh: pl.DataFrame) -> bytes:
    """Pack a site's record, its points, and the points that came after the last tick."""
    head = json.dumps({"revision": record.revision, "site": record.site.model_dump(mode="json")}).encode()
    return b"".join(_LENGTH.pack(len(part)) + part for part in (head, _packed(points), _packed(fresh)))


def from_bytes(packed: bytes) -> tuple[SiteRecord, pl.DataFrame, pl.DataFrame]:
    """Unpack what `to_bytes` made."""
    parts = []
    place = 0
    while place < len(packed):
        (length,) = _LENGTH.unpack_from(packed, place)
        place += _LENGTH.size + length
        parts.append(packed[place - length : place])
    head, points, fresh = parts
    found = json.loads(head)
    record = SiteRecord(Site.model_validate(found["site"]), found["revision"])
    return record, _unpacked(points), _unpacked(fresh)


def _packed(points: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    if not points.is_empty():
        points.write_ipc_stream(body, compression="lz4")
    return body.getvalue()


def _unpacked(body: bytes) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(body)).select(*POINTS) if body else EMPTY
