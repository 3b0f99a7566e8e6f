"""A balance snapshot of one site, as bytes."""

import io
import struct
from dataclasses import dataclass

import polars as pl

from agents.balance.minutes import HELD, LET_GO
from schemas.flow import SiteRecord

_LENGTHS = struct.Struct(">III")
# Most sites have none of these, and there are thousands of sites: one frame for all.
_NO_HELD = pl.DataFrame(schema=dict(HELD))
_NO_LET_GO = pl.DataFrame(schema=dict(LET_GO))


@dataclass(frozen=True, slots=True)
class SiteState:
    """What is known of a site.

    Parameters
    ----------
    record
        Its record.
    held
        Minutes that are held, as `agents.balance.minutes.HELD`.
    fresh
        What came after the last tick, likewise.
    let_go
        Stretches of minutes that were let go, as `agents.balance.minutes.LET_GO`.
    """

    record: SiteRecord
    held: pl.DataFrame
    fresh: pl.DataFrame
    let_go: pl.DataFrame


def to_bytes(state: SiteState) -> bytes:
    """Pack what is known of a site."""
    head = state.record.to_json()
    held, fresh = _packed(state.held), _packed(state.fresh)
    return _LENGTHS.pack(len(head), len(held), len(fresh)) + head + held + fresh + _packed(state.let_go)


def from_bytes(packed: bytes) -> SiteState:
    """Unpack what `to_bytes` made."""
    parts, begin = [], _LENGTHS.size
    for length in (*_LENGTHS.unpack_from(packed), len(packed)):
        parts.append(packed[begin : begin + length])
        begin += length
    head, held, fresh, let_go = parts
    return SiteState(
        SiteRecord.of_json(head), _unpacked(held, _NO_HELD), _unpacked(fresh, _NO_HELD), _unpacked(let_go, _NO_LET_GO)
    )


def _packed(rows: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    if not rows.is_empty():
        rows.write_ipc_stream(body, compression="zstd")
    return body.getvalue()


def _unpacked(body: bytes, nothing: pl.DataFrame) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(body)).select(nothing.columns) if body else nothing
