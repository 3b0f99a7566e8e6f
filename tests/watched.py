"""A small works whose meters are watched for anomalies: what it usually draws, and days on which it does not."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from builders import a_meter, a_site

from agents.anomalies.step import Anomalies
from agents.pricing.pricing import Reference
from schemas.feedback import FEEDBACK_ROWS
from schemas.flow import Kind, Message, SiteRecord
from schemas.production import PRODUCTION_ROWS
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Site
from schemas.topics import ANOMALIES, Topic
from schemas.weather import WEATHER_ROWS
from schemas.window import WINDOW_ROWS

REFERENCE = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = date(2026, 5, 11)  # behind the May holidays; the Dragon Boat Festival, 19 to 21 June, is in it
LEARNT = 70  # days after which everything is armed
QUARTER_MS = 900_000

# Power of a meter [kW] on a local day, by quarter hour; None = no windows.
Load = Callable[[str, date], "np.ndarray[tuple[int], np.dtype[np.float64]] | None"]


def a_works(**given: object) -> Site:
    """A press and a compressor below the grid meter, and a server room."""
    equipment = (
        {"id": "press", "name": "Press line", "kind": "press"},
        {"id": "servers", "name": "Server room", "kind": "server"},
    )
    return a_site(
        "mill",
        a_meter("main"),
        a_meter("press", kind="sub_meter", parent="main", equipment="press"),
        a_meter("racks", kind="sub_meter", parent="main", equipment="servers"),
        **({"equipment": equipment} | given),
    )


def usual_kw(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """50 kW from 07:00 to 18:00 on working days, 2 kW else, some per cent up or down; the grid meter has 10 more."""
    noise = np.random.default_rng([day.toordinal(), sum(meter.encode())]).uniform(0.96, 1.04, 96)
    quarters = np.arange(96)
    works = day.isoweekday() <= 5 and day not in {date(2026, 6, 19)}
    running = (quarters >= 28) & (quarters < 72) & works
    press = np.where(running, 50.0, 2.0)
    return {"main": press + 10, "press": press, "racks": np.where(running, 8.0, 4.0)}[meter] * noise


def from_to(begin: str, end: str) -> slice:
    """Quarter hours between two times of day."""
    first, last = (int(at[:2]) * 4 + int(at[3:]) // 15 for at in (begin, end))
    return slice(first, last)


def at_ms(day: date, clock: str = "00:00") -> int:
    """A local time. [ms UTC]"""
    hour, minute = map(int, clock.split(":"))
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE).timestamp()) * 1000


def clock(ms: object) -> str:
    """Local date and time of a moment."""
    return f"{datetime.fromtimestamp(int(str(ms)) / 1000, ZONE):%Y-%m-%d %H:%M}"


def site_at(site: Site, revision: int = 0) -> Message:
    """The site's record."""
    return Message(Kind.SITE, at_ms(MONDAY), record=SiteRecord(site, revision))


def day_of(site: Site, day: date, load: Load, **given: object) -> Message:
    """All windows of a local day in one message."""
    parts = []
    for meter in site.meters:
        powers = load(meter.id, day)
        if powers is None:
            continue
        known = np.repeat(powers, 15)
        minutes = np.flatnonzero(np.isfinite(known))
        parts.append(
            pl.DataFrame(
                {"window_start": at_ms(day) + minutes * 60_000, "import_kwh": known[minutes] / 60}
            ).with_columns(meter_id=pl.lit(meter.id), meter_kind=pl.lit(meter.kind.value))
        )
    about = {
        "tenant_id": site.tenant,
        "site_id": site.id,
        "window_s": 60,
        "covered_s": 60.0,
        "quality": "measured",
        "revision": 0,
        "raw_partition": 0,
        "raw_offset_first": 0,
        "raw_offset_last": 0,
    } | given
    rows = pl.concat(parts).sort("window_start", maintain_order=True)
    rows = rows.with_columns(**{name: pl.lit(value) for name, value in about.items()})
    missing = {name: pl.lit(None) for name in WINDOW_ROWS if name not in rows.columns}
    cast = {name: kind for name, kind in WINDOW_ROWS.items() if name != "window_start"}
    rows = rows.with_columns(**missing).with_columns(pl.col(name).cast(kind) for name, kind in cast.items())
    rows = rows.with_columns(pl.from_epoch("window_start", "ms").dt.replace_time_zone("UTC"))
    return Message(Kind.WINDOWS, at_ms(day + timedelta(1)), rows.select(*WINDOW_ROWS))


def days_of(site: Site, first: date, days: int, load: Load) -> Iterator[Message]:
    """A message for each day."""
    for number in range(days):
        yield day_of(site, first + timedelta(number), load)


def made_at(day: date, begin: str, hours: int, line: str | None = None, units: float = 12.0) -> Message:
    """Something was made."""
    row = {
        "tenant_id": "acme",
        "site_id": "mill",
        "line_id": line,
        "ts": at_ms(day, begin),
        "local_day": day,
        "interval_s": hours * 3600,
        "units_made": units,
        "unit": "t",
        "shift": None,
        "raw_partition": 0,
        "raw_offset": 0,
        "raw_index": 0,
    }
    schema = PRODUCTION_ROWS | {"ts": pl.Int64()}
    rows = pl.DataFrame([row], schema=schema, orient="row")
    stamped = rows.with_columns(pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC"))
    return Message(Kind.PRODUCTION, at_ms(day, begin), stamped)


def warm_at(day: date, outdoor_c: float) -> Message:
    """A temperature at noon."""
    row = {"tenant_id": "acme", "site_id": "mill", "ts": at_ms(day, "12:00"), "local_day": day, "outdoor_c": outdoor_c}
    rows = pl.DataFrame([row], schema=WEATHER_ROWS | {"ts": pl.Int64()}, orient="row")
    stamped = rows.with_columns(pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC"))
    return Message(Kind.WEATHER, at_ms(day, "12:00"), stamped)


def times(of: Callable[[date], float], meter: str, load: Load = usual_kw) -> Load:
    """The load with a meter's power multiplied on each day; other meters are as they were."""

    def changed(name: str, on: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
        powers = load(name, on)
        return powers if name != meter or powers is None else powers * of(on)

    return changed


def told(agent: Anomalies, messages: Iterable[Message], topic: Topic = ANOMALIES) -> list[dict[str, object]]:
    """The records that follow on a topic."""
    return [
        row
        for message in messages
        for output in agent.step(message).outputs
        if output.rows is not None and output.topic is topic
        for row in output.rows.iter_rows(named=True)
    ]


def learnt(site: Site, load: Load = usual_kw, days: int = LEARNT) -> Anomalies:
    """An agent that knows the site."""
    agent = Anomalies(REFERENCE)
    agent.step(site_at(site))
    told(agent, days_of(site, MONDAY, days, load))
    return agent


def but(day: date, meter: str, when: slice, kw: float, load: Load = usual_kw) -> Load:
    """The load with another power at a time of one day; the grid meter has it as well."""

    def changed(of: str, on: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
        powers = load(of, on)
        if on != day or powers is None or of not in (meter, "main"):
            return powers
        own = load(meter, on)
        assert own is not None
        powers = powers.copy()
        powers[when] += kw - own[when]
        return powers

    return changed


def said(at: int, verdict: str, anomaly_id: object = None, **given: object) -> Message:
    """What somebody says of an anomaly, or a mute."""
    row = {
        "tenant_id": "acme",
        "site_id": "mill",
        "ts": at,
        "verdict": verdict,
        "anomaly_id": anomaly_id,
        "said_by": "zhang",
        "raw_partition": 0,
        "raw_offset": 0,
        "raw_index": 0,
    }
    rows = pl.DataFrame([row | given], schema=FEEDBACK_ROWS | {"ts": pl.Int64()}, orient="row")
    return Message(Kind.FEEDBACK, at, rows.with_columns(pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")))


def growing(begins: date, by_kw: float, days: int) -> Load:
    """The press draws more by the day, up to so much."""

    def load(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
        powers = usual_kw(meter, day)
        share = min(max((day - begins).days, 0) / days, 1.0)
        return powers + by_kw * share if meter in {"press", "main"} else powers

    return load


def later(from_day: date) -> Load:
    """From a day on everything happens four hours later: in Zhejiang the peak begins at 16:00 in summer."""

    def load(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
        powers = usual_kw(meter, day)
        return np.roll(powers, 16) if day >= from_day else powers

    return load
