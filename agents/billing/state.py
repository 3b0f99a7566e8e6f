"""A billing snapshot of one site, as bytes: the record, everything small as JSON, and the rings of its meters."""

import io
import json
import struct
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import date

import numpy as np
import polars as pl

from agents.billing.forecast import Spread
from agents.billing.minutes import FRESH, Ring
from agents.billing.peaks import Peaks
from agents.billing.site import LiveMeter, Said, SiteBill
from agents.billing.spans import Booked, Rate
from schemas.flow import SiteRecord

_LENGTH = struct.Struct(">I")
# Most sites have none of these, and there are thousands of sites: one frame for all.
_NO_FRESH = pl.DataFrame(schema=dict(FRESH))
_FASTEST = 1


@dataclass(frozen=True, slots=True)
class MeterState:
    """A grid meter: end of its newest minute, all it ever had (pico-kWh), and its recent minutes."""

    reached: int
    closed: int
    ring: Ring


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All there is of one site.

    Parameters
    ----------
    bill
        Its state.
    newest
        Its newest minute.
    meters
        Its grid meters, in the order of the record.
    pending
        Quarter hours whose record is due, and since when they wait for a meter (0 = not yet). [ms UTC]
    fresh
        Minutes since the last tick.
    moved
        Whether its live record is due at the next tick.
    """

    bill: SiteBill
    newest: int
    meters: Sequence[MeterState]
    pending: Sequence[tuple[int, int]]
    fresh: pl.DataFrame
    moved: bool


def to_bytes(taken: Snapshot) -> bytes:
    """Pack a site."""
    bill = taken.bill
    if not bill.packed_record:
        bill.packed_record = zlib.compress(bill.record.to_json(), _FASTEST)
    head = {
        "kept_from": bill.kept_from.isoformat(),
        "days": [[day.isoformat(), list(booked.cells.items()), booked.counts()] for day, booked in bill.days.items()],
        "said": [[kind, day.isoformat(), said.revision, said.is_final] for (kind, day), said in bill.said.items()],
        "dirty": sorted(day.isoformat() for day in bill.dirty),
        "live": {meter: astuple(one) for meter, one in bill.live.items()},
        "spread": asdict(bill.spread),
        "size": bill.peaks.size,
        "noted": bill.peaks.newest,
        "settled": [[day.isoformat(), *peak] for day, peak in bill.peaks.settled.items()],
        "newest": taken.newest,
        "meters": [[one.reached, one.closed] for one in taken.meters],
        "pending": taken.pending,
        "moved": taken.moved,
    }
    small = [json.dumps(head).encode(), bill.peaks.pico.tobytes(), bill.peaks.revision.tobytes()]
    parts = [bill.packed_record, *(zlib.compress(part, _FASTEST) for part in small), _packed(taken.fresh)]
    for one in taken.meters:
        parts += _ring_parts(one.ring)
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def from_bytes(packed: bytes) -> Snapshot:
    """Unpack what `to_bytes` made."""
    parts = []
    place = 0
    while place < len(packed):
        (length,) = _LENGTH.unpack_from(packed, place)
        place += _LENGTH.size + length
        parts.append(packed[place - length : place])
    record, head_part, pico, revision, fresh, *rings = parts
    described, head = SiteRecord.of_json(zlib.decompress(record)), json.loads(zlib.decompress(head_part))
    settled = {date.fromisoformat(day): (energy, quarter) for day, energy, quarter in head["settled"]}
    peaks = Peaks(
        described.site.time_zone,
        head["size"],
        head["noted"],
        array("q", zlib.decompress(pico)),
        array("i", zlib.decompress(revision)),
        settled,
    )
    bill = SiteBill(
        described,
        peaks,
        {date.fromisoformat(day): _booked(cells, counts) for day, cells, counts in head["days"]},
        date.fromisoformat(head["kept_from"]),
        {(kind, date.fromisoformat(day)): Said(number, final) for kind, day, number, final in head["said"]},
        {date.fromisoformat(day) for day in head["dirty"]},
        {meter: LiveMeter(*one) for meter, one in head["live"].items()},
        Spread(**head["spread"]),
        record,
    )
    meters = [
        MeterState(reached, closed, _ring(rings[5 * number : 5 * number + 5]))
        for number, (reached, closed) in enumerate(head["meters"])
    ]
    pending = [(quarter, since) for quarter, since in head["pending"]]
    return Snapshot(bill, head["newest"], meters, pending, _unpacked(fresh, _NO_FRESH), head["moved"])


def _booked(cells: list[tuple[list[object], int]], counts: list[int]) -> Booked:
    return Booked({Rate._make(rate): pico for rate, pico in cells}, *counts)


def _ring_parts(ring: Ring) -> list[bytes]:
    """Pack a ring; energies hardly ever compress, the rest nearly vanishes."""
    steps = np.diff(ring.minute, prepend=0)
    kvarh = b"" if np.isnan(ring.kvarh).all() else ring.kvarh.tobytes()
    return [
        zlib.compress(steps.tobytes(), _FASTEST),
        ring.kwh.tobytes(),
        kvarh,
        zlib.compress(ring.code.tobytes(), _FASTEST),
        zlib.compress(ring.revision.tobytes(), _FASTEST),
    ]


def _ring(parts: Sequence[bytes]) -> Ring:
    steps, kwh, kvarh, code, revision = parts
    minute = np.cumsum(np.frombuffer(zlib.decompress(steps), np.int64))
    return Ring(
        minute,
        np.frombuffer(kwh, np.float64),
        np.frombuffer(kvarh, np.float64) if kvarh else np.full(len(minute), np.nan),
        np.frombuffer(zlib.decompress(code), np.uint8),
        np.frombuffer(zlib.decompress(revision), np.uint16),
    )


def _packed(rows: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    if not rows.is_empty():
        rows.write_ipc_stream(body, compression="zstd")
    return body.getvalue()


def _unpacked(body: bytes, nothing: pl.DataFrame) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(body)).select(nothing.columns) if body else nothing
