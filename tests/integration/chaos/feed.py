"""What the field sends in one schedule, and what follows from it: one pass over the messages, none of our pipeline.

Registers count in 1/1024 kWh, so that floats hold them exactly, and every reading lies on a minute. So the energy of
a minute is the difference of two registers divided by the minutes between them, whatever the pipeline went through.
"""

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl
import yaml
from pipeline import LATENESS_S, Raw

from schemas.rejection import Reason

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
UNITS_PER_KWH = 1024

# Nothing may come so late that a window has closed without it: the newest reading of its meter, the readings one
# message holds and the wall time a schedule takes are all inside what is left of the allowed lateness.
MOST_DELAY_S = LATENESS_S // 2
_TAIL_MS = 2 * LATENESS_S * 1000  # after what is judged, so that all of it closes
_MOST_LINES = 8

_REGIONS = {
    "CN-ZJ": "cn-zj-large-industry",
    "CN-GD": "cn-gd-industry",
    "CN-JS": "cn-js-two-part-industry-315kva",
}


@dataclass(frozen=True, slots=True)
class MeterInField:
    """A meter of the registry."""

    site_id: str
    meter_id: str
    kind: str
    interval_s: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample of an import register."""

    site_id: str
    meter_id: str
    ts: int  # ms UTC
    import_kwh: float


@dataclass(frozen=True, slots=True)
class Feed:
    """Everything one schedule sends.

    Parameters
    ----------
    registry
        The registry, as YAML.
    meters
        Its meters.
    regions
        Site -> region.
    messages
        In the order of sending.
    meaning
        Value of a message -> its readings, or why it must be refused. Repetitions share one entry.
    from_ms, until_ms
        What must be there at the end, whole hours; windows after it may still be open. [ms UTC]
    """

    registry: str
    meters: tuple[MeterInField, ...]
    regions: Mapping[str, str]
    messages: tuple[Raw, ...]
    meaning: Mapping[bytes, tuple[Reading, ...] | Reason]
    from_ms: int
    until_ms: int


def make_feed(chance: random.Random, now_ms: int) -> Feed:
    """Make a feed.

    Parameters
    ----------
    chance
        Where its shape comes from.
    now_ms
        The present; the readings are of the days before it. [ms UTC]
    """
    regions = {f"plant-{number}-{chance.randrange(1000)}": region for number, region in enumerate(_some(chance))}
    meters = tuple(meter for site in regions for meter in _meters_of(site, chance))
    from_ms = now_ms // DAY_MS * DAY_MS - 3 * DAY_MS + chance.randrange(24) * HOUR_MS
    until_ms = from_ms + chance.randint(4, 9) * HOUR_MS
    meaning: dict[bytes, tuple[Reading, ...] | Reason] = {}
    timed: list[tuple[float, Raw]] = []
    shuffled, repeated = chance.choice((0.0, 0.3, 1.0)), chance.choice((0.0, 0.1, 0.5))
    for meter in meters:
        for group in _messages_of(_readings_of(meter, from_ms, until_ms + _TAIL_MS, chance), meter, chance):
            raw = _as_message(group)
            meaning[raw.value] = group
            for _ in range(1 + (chance.random() < repeated)):
                delay_s = chance.random() * MOST_DELAY_S if chance.random() < shuffled else 0.0
                timed.append((group[-1].ts + delay_s * 1000, raw))
    timed.sort(key=lambda one: one[0])
    messages = [raw for _, raw in timed]
    poison = list(_poison(tuple(regions), now_ms, chance))
    scattered = len(poison) // 3
    for raw, reason in poison[:scattered]:
        meaning[raw.value] = reason
        messages.insert(chance.randrange(len(messages)), raw)
    burst_at = chance.randrange(len(messages))
    meaning.update((raw.value, reason) for raw, reason in poison[scattered:])
    messages[burst_at:burst_at] = [raw for raw, _ in poison[scattered:]]
    return Feed(_registry(regions, meters), meters, regions, tuple(messages), meaning, from_ms, until_ms)


def expected_windows(readings: Iterable[Reading]) -> pl.DataFrame:
    """Return the energy of every minute between the first and the last reading of each meter.

    Returns
    -------
    pl.DataFrame
        `site_id`, `meter_id`, `window_start` (ms UTC), `expected_kwh`.
    """
    registers: dict[tuple[str, str], dict[int, float]] = {}
    for one in readings:
        registers.setdefault((one.site_id, one.meter_id), {})[one.ts] = one.import_kwh
    rows: list[tuple[str, str, int, float]] = []
    for (site_id, meter_id), by_ts in registers.items():
        stamps = sorted(by_ts)
        for first, last in pairwise(stamps):
            share_kwh = (by_ts[last] - by_ts[first]) / ((last - first) // MINUTE_MS)
            rows.extend((site_id, meter_id, start, share_kwh) for start in range(first, last, MINUTE_MS))
    schema = {
        "site_id": pl.String(),
        "meter_id": pl.String(),
        "window_start": pl.Int64(),
        "expected_kwh": pl.Float64(),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _some(chance: random.Random) -> list[str]:
    return [chance.choice(sorted(_REGIONS)) for _ in range(chance.randint(3, 5))]


def _meters_of(site: str, chance: random.Random) -> Iterator[MeterInField]:
    for number in range(chance.randint(1, 2)):
        yield MeterInField(site, f"grid-{number}", "grid", chance.choice((60, 900)))
    for number in range(chance.randint(0, 2)):
        yield MeterInField(site, f"line-{number}", "sub_meter", chance.choice((60, 900)))


def _readings_of(meter: MeterInField, from_ms: int, until_ms: int, chance: random.Random) -> list[Reading]:
    """Return its readings, some left out: the energy of a gap is spread over it."""
    found: list[Reading] = []
    units = chance.randrange(1000 * UNITS_PER_KWH)
    for ts in range(from_ms, until_ms + 1, meter.interval_s * 1000):
        if ts in (from_ms, until_ms) or chance.random() > 0.02:
            found.append(Reading(meter.site_id, meter.meter_id, ts, units / UNITS_PER_KWH))
        units += chance.randrange(1, 100 * meter.interval_s)
    return found


def _messages_of(
    readings: Sequence[Reading], meter: MeterInField, chance: random.Random
) -> Iterator[tuple[Reading, ...]]:
    """Cut readings into messages: mostly one each, sometimes several of a minute meter."""
    most = _MOST_LINES if meter.interval_s == 60 else 1
    place = 0
    while place < len(readings):
        size = chance.randint(2, most) if most > 1 and chance.random() < 0.1 else 1
        yield tuple(readings[place : place + size])
        place += size


def _as_message(group: Sequence[Reading]) -> Raw:
    lines = [
        json.dumps({"site_id": one.site_id, "meter_id": one.meter_id, "ts": one.ts, "import_kwh": one.import_kwh})
        for one in group
    ]
    kind = "application/json" if len(lines) == 1 else "application/x-ndjson"
    return Raw(group[0].site_id, "\n".join(lines).encode(), kind)


def _poison(sites: Sequence[str], now_ms: int, chance: random.Random) -> Iterator[tuple[Raw, Reason]]:
    """Yield messages that must be refused; each has bytes of its own."""
    good = {"meter_id": "grid-0", "ts": now_ms - DAY_MS, "import_kwh": 1.0}
    for number in range(chance.choice((30, 100, 600))):
        site = chance.choice(sites)
        mark = {"mark": number, "site_id": site}
        kinds: tuple[tuple[Reason, bytes], ...] = (
            (Reason.UNDECODABLE, b"no json, number %d" % number),
            (Reason.UNDECODABLE, b"\xff\xfe\x00 %d" % number),
            (Reason.UNDECODABLE, b'{"mark": %d, "site_id"' % number),
            (Reason.UNKNOWN_METER, json.dumps(good | mark | {"meter_id": "nobody"}).encode()),
            (Reason.MISSING_FIELD, json.dumps({"ts": now_ms - DAY_MS, "import_kwh": 1.0} | mark).encode()),
            (Reason.NOT_FINITE, json.dumps(good | mark | {"import_kwh": float("nan")}).encode()),
            (Reason.FUTURE_TIMESTAMP, json.dumps(good | mark | {"ts": now_ms + DAY_MS}).encode()),
            (Reason.TOO_OLD, json.dumps(good | mark | {"ts": 0}).encode()),
            (Reason.WRONG_TYPE, json.dumps(good | mark | {"ts": "yesterday"}).encode()),
        )
        reason, value = chance.choice(kinds)
        yield Raw(site, value), reason


def _registry(regions: Mapping[str, str], meters: Sequence[MeterInField]) -> str:
    sites = [
        {
            "id": site,
            "tenant": "chaos",
            "name": site,
            "region": region,
            "time_zone": "Asia/Shanghai",
            "tariff": {
                "plan": _REGIONS[region],
                "voltage": "1-10(20)kV",
                "prices": [
                    {
                        "valid_from": "2020-01-01",
                        "floating_base_cny_per_kwh": 0.5,
                        "fixed_part_cny_per_kwh": 0.125,
                    }
                ],
            },
            "meters": [
                {"id": meter.meter_id, "kind": meter.kind, "interval_s": meter.interval_s}
                | ({"parent": "grid-0"} if meter.kind == "sub_meter" else {})
                for meter in meters
                if meter.site_id == site
            ],
        }
        for site, region in regions.items()
    ]
    return str(yaml.safe_dump({"tenants": [{"id": "chaos", "name": "Chaos"}], "sites": sites}, sort_keys=False))
