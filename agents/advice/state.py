"""What is known of one site, as bytes: small things as JSON, and the tables of its days."""

import json
import struct
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.advice.loads import HOURS, DayLoad, Floats, MeterLoad, MonthLoad, SiteLoad
from agents.advice.measure import Measure
from agents.advice.proving import Proof
from agents.advice.site import SiteAdvice
from schemas.advice import AdviceStatus, MeasureKind
from schemas.flow import SiteRecord

_LENGTH = struct.Struct(">I")
_FASTEST = 1

Numbers = NDArray[Any]


def to_bytes(state: SiteAdvice) -> bytes:
    """Pack a site. It changes every minute, and most of it once a day: that is kept as it was packed."""
    if not state.packed_record:
        state.packed_record = zlib.compress(state.record.to_json(), _FASTEST)
    load = state.load
    meters = dict(sorted(load.meters.items()))
    head: dict[str, object] = {
        "newest": load.newest,
        "running": {
            name: {day: _sparse(known) for day, known in meter.running.items()} for name, meter in meters.items()
        },
        "days": {day: _day(known) for day, known in load.running.items()},
        "cooling_set_c": state.cooling_set_c,
        "answers": state.answers,
        "past": None if state.past is None else state.past.until,
    }
    if state.packed_turn is None:
        state.packed_turn = _text(_turn(state)), _table(np.concatenate([load.price, load.dear, load.made]))
    parts = [state.packed_record, _text(head), *state.packed_turn]
    for meter in meters.values():
        if not meter.packed:
            meter.packed = _table(meter.days)
        parts.append(meter.packed)
    if state.past is not None:
        parts.append(to_bytes(state.past))
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def from_bytes(packed: bytes) -> SiteAdvice:
    """Unpack what `to_bytes` made."""
    parts, place = [], 0
    while place < len(packed):
        (length,) = _LENGTH.unpack_from(packed, place)
        place += _LENGTH.size + length
        parts.append(packed[place - length : place])
    record, text, turn, tables, *meters = parts
    head = json.loads(zlib.decompress(text)) | json.loads(zlib.decompress(turn))
    price, dear, made = np.split(_days(tables), 3)
    past = None
    if head["past"] is not None:
        *meters, packed_past = meters
        past = from_bytes(packed_past)
        past.until = head["past"]
    load = SiteLoad(
        {
            name: MeterLoad(_days(days), {int(day): _whole(cells) for day, cells in running.items()}, days)
            for (name, running), days in zip(head["running"].items(), meters, strict=True)
        },
        {int(day): _of_day(known) for day, known in head["days"].items()},
        {(year, month): _of_month(known) for year, month, known in head["months"]},
        head["folded"],
        head["newest"],
        head["works"],
        dear,
        price,
        _or_nan(head["outdoor_c"]),
        made,
        _or_nan(head["peaks_kw"]),
        [(active, reactive) for active, reactive in head["reactive"]],
    )
    measures = [_measure(one) for one in head["measures"]]
    return SiteAdvice(
        SiteRecord.of_json(zlib.decompress(record)),
        load,
        measures,
        head["cooling_set_c"],
        head["answers"],
        past,
        packed_record=record,
        packed_turn=(turn, tables),
    )


def _turn(state: SiteAdvice) -> dict[str, object]:
    """Return what changes in a turn of the site, and when people say something."""
    load = state.load
    return {
        "folded": load.folded,
        "works": load.works,
        "outdoor_c": _known(load.outdoor_c),
        "peaks_kw": _known(load.peaks_kw),
        "reactive": load.reactive,
        "months": [[*month, _month(known)] for month, known in load.months.items()],
        "measures": [asdict(one) for one in state.measures],
    }


def _text(found: dict[str, object]) -> bytes:
    return zlib.compress(json.dumps(found, separators=(",", ":"), sort_keys=True).encode(), _FASTEST)


def _table(table: Floats) -> bytes:
    return zlib.compress(table.astype("<f4").tobytes(), _FASTEST)


def _days(packed: bytes) -> Floats:
    return np.frombuffer(zlib.decompress(packed), "<f4").reshape(-1, HOURS).astype(np.float32)


def _sparse(table: Numbers) -> dict[str, list[int]]:
    """Return the columns that are not zero, by place."""
    return {str(place): table[:, place].tolist() for place in np.flatnonzero(table.any(axis=0)).tolist()}


def _whole(cells: dict[str, list[int]], places: int = HOURS) -> NDArray[np.int64]:
    table = np.zeros((2, places), np.int64)
    for place, column in cells.items():
        table[:, int(place)] = column
    return table


def _day(known: DayLoad) -> list[Any]:
    return [_sparse(known.quarters), known.reactive, known.outdoor, _sparse(known.sun), sorted(known.made)]


def _of_day(found: list[Any]) -> DayLoad:
    quarters, reactive, outdoor, sun, made = found
    return DayLoad(_whole(quarters, 96), reactive, outdoor, _whole(sun), set(made))


def _month(known: MonthLoad) -> dict[str, Any]:
    found = asdict(known)
    found |= {name: found[name].tolist() for name in ("kwh", "hours", "sun_w_m2", "sun_hours")}
    return found | {"energy_cny": _known([known.energy_cny])[0]}


def _of_month(found: dict[str, Any]) -> MonthLoad:
    tables = {name: np.array(found[name]) for name in ("kwh", "hours", "sun_w_m2", "sun_hours")}
    return MonthLoad(**(found | tables | {"energy_cny": _or_nan([found["energy_cny"]])[0]}))


def _known(values: list[float]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values]


def _or_nan(values: list[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _measure(found: dict[str, Any]) -> Measure:
    proof = found["proof"]
    return Measure(
        **(
            found
            | {
                "kind": MeasureKind(found["kind"]),
                "status": AdviceStatus(found["status"]),
                "weeks": [(monday, figure) for monday, figure in found["weeks"]],
                "proof": None if proof is None else Proof(*proof),
            }
        )
    )
