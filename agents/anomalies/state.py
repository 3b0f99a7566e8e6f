"""What is known of one site, as bytes: small things as JSON, and the arrays of its meters."""

import json
import struct
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, astuple
from typing import Any

import numpy as np

from agents.anomalies.conditions import Conditions
from agents.anomalies.drifting import KEPT_DAYS, Drifting, Spent
from agents.anomalies.episodes import Episode, Toll
from agents.anomalies.hearing import Ended, Hearing, Mute, Usual
from agents.anomalies.idling import RULES, Idling
from agents.anomalies.limits import Limit
from agents.anomalies.meter import DRAWN_QUARTERS, Drawn, MeterWatch
from agents.anomalies.profile import HOURS, DayClass, Floats, Profile
from agents.anomalies.sharing import Periods, Sharing
from agents.anomalies.shifting import Shifting
from agents.anomalies.site import Made, SiteWatch
from agents.anomalies.surging import SURGE_QUARTERS, Surging
from agents.pricing.pricing import Terms
from schemas.anomaly import AnomalyKind, Status
from schemas.flow import SiteRecord
from schemas.learning import LearningState

_LENGTH = struct.Struct(">I")
_FASTEST = 1
_CELLS = len(DayClass) * HOURS
# Of a meter: means, deviations, recent, energy and quarter hours of the running day.
_FLOATS = 2 * _CELLS + 3 * HOURS
# And, since layout 2: its newest days, how far they were from what was expected, its newest least powers, and what
# drew more than usual in the last hours; the lengths of the last three are in its head.
_LAYOUT = 2

Running = Mapping[str, list[float]]


def to_bytes(state: SiteWatch, running: Running) -> bytes:
    """Pack a site and the running quarter hours of its meters.

    A meter changes when a quarter hour of it ends, and a site with every minute of each: what was packed of a meter is
    kept until it changes.
    """
    if not state.packed_record:
        state.packed_record = zlib.compress(state.record.to_json(), _FASTEST)
    made = [[one.starts_at, one.ends_at, one.line] for one in state.made]
    about = {
        "layout": _LAYOUT,
        "made": made,
        "running": running,
        "meters": list(state.meters),
        "sharing": _sharing_head(state.sharing),
        "said": _said(state.hearing),
        "days": state.conditions.numbers(),
        "past": None if state.past is None else state.past.until,
    }
    head = json.dumps(about, separators=(",", ":"))
    sharing = state.sharing
    arrays = np.concatenate([sharing.kwh, sharing.dear, sharing.days.reshape(-1)])
    parts = [state.packed_record, head.encode(), arrays.astype("<f4").tobytes()]
    for watch in state.meters.values():
        if not watch.packed:
            text = json.dumps(_head(watch), separators=(",", ":")).encode()
            watch.packed = _arrays(watch) + zlib.compress(text, _FASTEST) + _newest(watch)
        parts.append(watch.packed)
    if state.past is not None:
        parts.append(to_bytes(state.past, {}))
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def from_bytes(packed: bytes) -> tuple[SiteWatch, Running]:
    """Unpack what `to_bytes` made."""
    parts, place = [], 0
    while place < len(packed):
        (length,) = _LENGTH.unpack_from(packed, place)
        place += _LENGTH.size + length
        parts.append(packed[place - length : place])
    record, text, arrays, *meters = parts
    head = json.loads(text)
    past = None
    if head.get("past") is not None:
        *meters, packed_past = meters
        past, _ = from_bytes(packed_past)
        past.until = head["past"]
    read = _meter if head.get("layout") == _LAYOUT else _meter_of_layout_1
    watches = {name: read(part) for name, part in zip(head["meters"], meters, strict=True)}
    site = SiteWatch(
        SiteRecord.of_json(zlib.decompress(record)),
        watches,
        [Made(*one) for one in head["made"]],
        _sharing(head["sharing"], np.frombuffer(arrays, "<f4")),
        _hearing(head["said"]),
        Conditions.of_numbers(head.get("days", [])),
        past,
        packed_record=record,
    )
    return site, head["running"]


def _meter(packed: bytes) -> MeterWatch:
    floats = np.frombuffer(packed, "<f4", _FLOATS)
    place = floats.nbytes
    kept = np.frombuffer(packed, "<f4", KEPT_DAYS, place)
    place += kept.nbytes
    text = zlib.decompressobj()
    head = json.loads(text.decompress(packed[place:]))
    rest = text.unused_data
    levels, excess = head["creep"][1], head["surge"][1]
    numbers = np.frombuffer(rest, "<f4", levels + excess).astype(np.float32).tolist()
    head["creep"][1] = numbers[:levels]
    head["surge"][1] = [None if np.isnan(one) else one for one in numbers[levels:]]
    watch = _watch(head, floats)
    off = rest[4 * (levels + excess) :]
    watch.drifting = _drifting(head["drift"], kept, off)
    watch.began_at, watch.cost_cny, watch.emitted_kg, watch.told_kwh = head["spent"]
    watch.packed = packed
    return watch


def _meter_of_layout_1(packed: bytes) -> MeterWatch:
    """Read a meter as releases before 0.3 packed it: nothing is known of its days."""
    floats = np.frombuffer(packed, "<f4", _FLOATS)
    head = json.loads(zlib.decompress(packed[floats.nbytes :]))
    head["creep"][1] = [float("nan") if one is None else one for one in head["creep"][1]]
    return _watch(head, floats)


def _drifting(head: list[Any], kept_kw: Floats, off: bytes) -> Drifting:
    surge, sag, day, began_at, spent, is_due, held, above_kw = head
    return Drifting(
        kept_kw.astype(np.float32),
        off,
        Limit.of_numbers(surge),
        Limit.of_numbers(sag),
        day,
        began_at,
        Spent(*spent),
        is_due,
        {AnomalyKind(kind): share for kind, share in held.items()},
        above_kw,
    )


def _sharing_head(sharing: Sharing) -> dict[str, object]:
    return {
        "limit": sharing.limit.numbers(),
        "day": sharing.day,
        "periods": list(sharing.periods),
        "meter": sharing.meter,
        "open": None if sharing.episode is None else asdict(sharing.episode),
    }


def _sharing(head: Mapping[str, Any], floats: Floats) -> Sharing:
    kwh, dear, days = np.split(floats.astype(np.float32), [HOURS, 2 * HOURS])
    return Sharing(
        Limit.of_numbers(head["limit"]),
        days.reshape(-1, HOURS),
        head["day"],
        kwh,
        dear,
        Periods(*head["periods"]),
        None if head["open"] is None else _episode(head["open"]),
        head["meter"],
    )


def _said(hearing: Hearing) -> dict[str, object]:
    ended = [[one.meter, asdict(one.episode), one.ts, one.status, one.end_reason] for one in hearing.ended]
    return {"mutes": hearing.mutes, "usual": hearing.usual, "ended": ended}


def _hearing(head: Mapping[str, Any]) -> Hearing:
    return Hearing(
        [Mute(meter, None if kind is None else AnomalyKind(kind), until) for meter, kind, until in head["mutes"]],
        [Usual(meter, AnomalyKind(kind), tuple(hours), kw) for meter, kind, hours, kw in head["usual"]],
        [Ended(meter, _episode(one), ts, Status(status), why) for meter, one, ts, status, why in head["ended"]],
    )


def _arrays(watch: MeterWatch) -> bytes:
    profile = watch.profile
    parts = (
        profile.mean_kw,
        profile.deviation_kw,
        profile.recent_kw,
        watch.kwh,
        watch.quarters,
        watch.drifting.kept_kw,
    )
    return b"".join(part.astype("<f4").tobytes() for part in parts)


def _newest(watch: MeterWatch) -> bytes:
    excess = [np.nan if one is None else one for one in watch.surging.excess]
    return np.array([*watch.creep.levels, *excess], "<f4").tobytes() + watch.drifting.off


def _head(watch: MeterWatch) -> dict[str, object]:
    idling, surging, drifting = watch.idling, watch.surging, watch.drifting
    return {
        "days": watch.profile.days,
        "night": {name: limit.numbers() for name, limit in idling.limits.items()},
        "idle": [
            idling.span,
            idling.score,
            idling.highest,
            idling.whole,
            idling.longest,
            idling.began_at,
            idling.counted,
            idling.day_counted,
        ],
        "surge": [surging.limit.numbers(), len(surging.excess), surging.highest, surging.counted],
        "creep": [watch.creep.limit.numbers(), len(watch.creep.levels)],
        "drift": [
            drifting.surge.numbers(),
            drifting.sag.numbers(),
            drifting.day,
            drifting.began_at,
            drifting.spent,
            drifting.is_due,
            drifting.held,
            drifting.above_kw,
        ],
        "spent": [watch.began_at, watch.cost_cny, watch.emitted_kg, watch.told_kwh],
        "day": [watch.day, int(watch.of), watch.surged_on, watch.unusual],
        "drawn": [[one.observed_kw, one.expected_kw, astuple(one.terms)] for one in watch.drawn],
        "toll": asdict(watch.toll),
        "open": [asdict(one) for one in watch.episodes.values()],
        "learning": watch.learning,
    }


def _watch(head: Mapping[str, Any], floats: Floats) -> MeterWatch:
    mean, deviation, recent, kwh, quarters = np.split(
        floats.astype(np.float32), [_CELLS, 2 * _CELLS, 2 * _CELLS + HOURS, 2 * _CELLS + 2 * HOURS]
    )
    shape = len(DayClass), HOURS
    surge, excess, surge_highest, surge_counted = head["surge"]
    creep, levels = head["creep"]
    day, of, surged_on, unusual = head["day"]
    return MeterWatch(
        Profile(mean.reshape(shape), deviation.reshape(shape), recent, head["days"]),
        Idling(
            _limits(head["night"]),
            *_of_span(head["idle"]),
        ),
        Surging(Limit.of_numbers(surge), deque(excess, SURGE_QUARTERS), surge_highest, surge_counted),
        Shifting(Limit.of_numbers(creep), levels),
        Drifting(),
        day,
        DayClass(of),
        kwh,
        quarters,
        drawn=deque(
            (Drawn(observed, expected, Terms(*terms)) for observed, expected, terms in head["drawn"]), DRAWN_QUARTERS
        ),
        toll=Toll(**head["toll"]),
        episodes={AnomalyKind(one["kind"]): _episode(one) for one in head["open"]},
        surged_on=surged_on,
        unusual=unusual,
        # A snapshot of an older release does not say.
        learning={AnomalyKind(kind): LearningState(state) for kind, state in head.get("learning", {}).items()},
    )


def _limits(numbers: Mapping[str, list[float]]) -> dict[str, Limit]:
    """Take up limits; a snapshot of rule version 1 has one for the whole night, with which each part of it begins."""
    whole_night = numbers.get("night", [0])
    return {name: Limit.of_numbers(numbers.get(name, whole_night)) for name in RULES}


def _of_span(idle: list[Any]) -> list[Any]:
    """Take up the running span; one that is no longer a span of its own is not noted when it ends."""
    span, score, highest, whole, longest, began_at, counted, day_counted = idle
    if span not in RULES:
        span, counted = "", False
    return [span, score, highest, whole, longest, began_at, counted, day_counted]


def _episode(found: dict[str, Any]) -> Episode:
    return Episode(**(found | {"kind": AnomalyKind(found["kind"]), "toll": Toll(**found["toll"])}))
