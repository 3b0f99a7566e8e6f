"""An emissions snapshot of one site, as bytes.

A grid meter that is away for weeks leaves tens of thousands of minutes that wait for it, so they are packed by column.
"""

import io
import json
import struct

import polars as pl

from agents.emissions.minutes import HELD, WINDOWS
from agents.emissions.totals import SiteState

_LENGTH = struct.Struct(">I")
# Most sites have none of these, and there are thousands of sites: one frame for all.
_NO_HELD = pl.DataFrame(schema=dict(HELD))
_NO_WINDOWS = pl.DataFrame(schema=dict(WINDOWS))


def to_bytes(state: SiteState, waiting: pl.DataFrame, fresh: pl.DataFrame, *, moved: bool) -> bytes:
    """Pack a site's state.

    Parameters
    ----------
    state
        Record, totals and live figures.
    waiting
        Its `HELD`.
    fresh
        Its `WINDOWS` that came after the last tick.
    moved
        Whether its live record is due at the next tick.
    """
    head = json.dumps(state.to_json() | {"moved": moved}).encode()
    parts = (state.record_bytes(), head, _packed(waiting), _packed(fresh))
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def from_bytes(packed: bytes) -> tuple[SiteState, pl.DataFrame, pl.DataFrame, bool]:
    """Unpack what `to_bytes` made."""
    parts = []
    place = 0
    while place < len(packed):
        (length,) = _LENGTH.unpack_from(packed, place)
        place += _LENGTH.size + length
        parts.append(packed[place - length : place])
    record, head, waiting, fresh = parts
    moved = bool(json.loads(head)["moved"])
    return SiteState.restored(record, head), _unpacked(waiting, _NO_HELD), _unpacked(fresh, _NO_WINDOWS), moved


def _packed(rows: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    if not rows.is_empty():
        rows.write_ipc_stream(body, compression="zstd")
    return body.getvalue()


def _unpacked(body: bytes, nothing: pl.DataFrame) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(body)).select(nothing.columns) if body else nothing
