"""A small works that gets advice: what it draws, and what is said of it."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

import numpy as np
import polars as pl
from watched import MONDAY, REFERENCE, Load, at_ms, day_of, site_at, usual_kw

from agents.advice.step import Advice
from schemas.feedback import FEEDBACK_ROWS
from schemas.flow import Kind, Message
from schemas.reference.catalogue import load_charges
from schemas.registry import Site
from schemas.topics import ADVICE
from schemas.weather import WEATHER_ROWS

Rows = list[dict[str, object]]


def an_adviser() -> Advice:
    """An agent that knows nothing yet."""
    return Advice(REFERENCE, load_charges())


def tick_on(day: date) -> Message:
    """A tick at the end of a local day."""
    return Message(Kind.TICK, at_ms(day + timedelta(1)))


def lived(site: Site, first: date, days: int, load: Load = usual_kw, **given: object) -> Iterator[Message]:
    """Days of a site, each with a tick behind it."""
    for number in range(days):
        yield day_of(site, first + timedelta(number), load, **given)
        yield tick_on(first + timedelta(number))


def advised(agent: Advice, messages: Iterable[Message]) -> Rows:
    """The records on advice.v1 that follow."""
    return [
        row
        for message in messages
        for output in agent.step(message).outputs
        if output.topic is ADVICE and output.rows is not None
        for row in output.rows.iter_rows(named=True)
    ]


def told_of(site: Site, load: Load, days: int = 35, revision: int = 0) -> tuple[Advice, Rows]:
    """An agent that has seen the site for some days, and what it advises."""
    agent = an_adviser()
    agent.step(site_at(site, revision))
    return agent, advised(agent, lived(site, MONDAY, days, load))


def of_kind(rows: Rows, kind: str) -> Rows:
    """The records of one kind of measure."""
    return [row for row in rows if row["kind"] == kind]


def left_on_every(*weekdays: int, kw: float = 50.0) -> Load:
    """The press is left on after work, from 18:00 to 24:00, on some days of each week (1 = Monday)."""

    def load(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
        powers = usual_kw(meter, day)
        if day.isoweekday() not in weekdays or meter not in ("press", "main"):
            return powers
        own = usual_kw("press", day)
        powers = powers.copy()
        powers[72:] += kw - own[72:]
        return powers

    return load


def answered(at: int, verdict: str, advice_id: object, note: str | None = None) -> Message:
    """What somebody says of a measure."""
    row = {
        "tenant_id": "acme",
        "site_id": "mill",
        "ts": at,
        "verdict": verdict,
        "advice_id": advice_id,
        "said_by": "zhang",
        "note": note,
        "raw_partition": 0,
        "raw_offset": 0,
        "raw_index": 0,
    }
    rows = pl.DataFrame([row], schema=FEEDBACK_ROWS | {"ts": pl.Int64()}, orient="row")
    return Message(Kind.FEEDBACK, at, rows.with_columns(pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")))


def weather_of(day: date, w_m2: float, outdoor_c: float = 20.0) -> Message:
    """A day of weather, by the hour: so much sun from 08:00 to 16:00."""
    rows = [
        {
            "tenant_id": "acme",
            "site_id": "mill",
            "ts": at_ms(day, f"{hour:02d}:30"),
            "local_day": day,
            "outdoor_c": outdoor_c,
            "solar_w_m2": w_m2 if 8 <= hour < 16 else 0.0,
            "raw_partition": 0,
            "raw_offset": 0,
            "raw_index": 0,
        }
        for hour in range(24)
    ]
    frame = pl.DataFrame(rows, schema=WEATHER_ROWS | {"ts": pl.Int64()}, orient="row")
    return Message(Kind.WEATHER, at_ms(day), frame.with_columns(pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")))
