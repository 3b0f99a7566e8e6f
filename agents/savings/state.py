"""What is known of one site, as bytes. Days that are over are packed once a day, and the record once a revision."""

import json
import struct
import zlib

import numpy as np

from agents.savings.closed_days import SAMPLES, ClosedDays, Figure
from agents.savings.local import QUARTERS_PER_UTC_DAY
from agents.savings.open_days import OpenDays
from agents.savings.scopes import scopes_of
from agents.savings.site import WatchedSite
from schemas.flow import SiteRecord

_LENGTH = struct.Struct(">I")
_FASTEST = 1
_UNKNOWN_C = -32_768  # temperatures are kept as hundredths, which they are rounded to


def to_bytes(site: WatchedSite) -> bytes:
    """Pack it."""
    if not site.packed_record:
        site.packed_record = zlib.compress(site.record.to_json(), _FASTEST)
    if not site.packed_closed:
        site.packed_closed = _packed(site.closed)
    about = {
        "produced": list(site.produced.items()),
        "acting_since": site.acting_since,
        "newest": site.newest,
        "closed_until": site.closed_until,
        "touched": site.touched,
        "kept_from": site.kept_from,
        "open": sorted(site.open.days),
    }
    head = json.dumps(about, separators=(",", ":")).encode()
    quarters = b"".join(site.open.days[day].astype("<i8").tobytes() for day in sorted(site.open.days))
    parts = (site.packed_record, site.packed_closed, head, zlib.compress(quarters, _FASTEST))
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def from_bytes(packed: bytes) -> WatchedSite:
    """Unpack what `to_bytes` made."""
    parts, place = [], 0
    while place < len(packed):
        (length,) = _LENGTH.unpack_from(packed, place)
        place += _LENGTH.size + length
        parts.append(packed[place - length : place])
    packed_record, packed_closed, head, quarters = parts
    record, about = SiteRecord.of_json(zlib.decompress(packed_record)), json.loads(head)
    scopes = scopes_of(record.site)
    shape = len(about["open"]), 2 * len(scopes) + 2, QUARTERS_PER_UTC_DAY
    held = np.frombuffer(zlib.decompress(quarters), "<i8").reshape(shape)
    return WatchedSite(
        record,
        scopes,
        OpenDays(len(scopes), {day: held[number].copy() for number, day in enumerate(about["open"])}),
        _unpacked(packed_closed, len(scopes)),
        dict(about["produced"]),
        about["acting_since"],
        about["newest"],
        about["closed_until"],
        about["touched"],
        about["kept_from"],
        packed_record,
        packed_closed,
    )


def _packed(days: ClosedDays) -> bytes:
    outdoor = np.where(np.isnan(days.outdoor_c), _UNKNOWN_C, np.round(days.outdoor_c * 100)).astype("<i2")
    numbers = np.concatenate([days.produced, days.figures.reshape(-1)]).astype("<f8")
    return zlib.compress(days.day.astype("<i4").tobytes() + outdoor.tobytes() + numbers.tobytes(), _FASTEST)


def _unpacked(packed: bytes, scopes: int) -> ClosedDays:
    found = zlib.decompress(packed)
    count = len(found) // (4 + 2 * SAMPLES + 8 * (1 + scopes * len(Figure)))
    outdoor_at, numbers_at = 4 * count, (4 + 2 * SAMPLES) * count
    outdoor = np.frombuffer(found, "<i2", count * SAMPLES, outdoor_at).reshape(count, SAMPLES)
    numbers = np.frombuffer(found, "<f8", offset=numbers_at)
    return ClosedDays(
        np.frombuffer(found, "<i4", count).astype(np.int64),
        np.where(outdoor == _UNKNOWN_C, np.nan, np.round(outdoor / 100, 2)),
        numbers[:count].copy(),
        numbers[count:].reshape(scopes, len(Figure), count).copy(),
    )
