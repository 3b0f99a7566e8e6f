"""A balance snapshot of one site, as bytes."""

import io
import struct

import polars as pl

from agents.balance.minutes import HELD
from schemas.flow import SiteRecord

_LENGTHS = struct.Struct(">II")


def to_bytes(record: SiteRecord, held: pl.DataFrame, fresh: pl.DataFrame) -> bytes:
    """Pack what is known of a site: its record, minutes that are held, and what came after the last tick."""
    head = record.to_json()
    body = _packed(held)
    return _LENGTHS.pack(len(head), len(body)) + head + body + _packed(fresh)


def from_bytes(packed: bytes) -> tuple[SiteRecord, pl.DataFrame, pl.DataFrame]:
    """Unpack what `to_bytes` made."""
    head, body = _LENGTHS.unpack_from(packed)
    start = _LENGTHS.size
    record = SiteRecord.of_json(packed[start : start + head])
    middle = start + head + body
    return record, _unpacked(packed[start + head : middle]), _unpacked(packed[middle:])


def _packed(rows: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    if not rows.is_empty():
        rows.write_ipc_stream(body, compression="zstd")
    return body.getvalue()


def _unpacked(body: bytes) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(body)).select(*HELD) if body else pl.DataFrame(schema=HELD)
