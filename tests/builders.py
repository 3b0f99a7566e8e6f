"""Sites, readings, windows and messages that supply what does not matter; a test states what does."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime

import polars as pl

from schemas.contract import EnergyPrice, Tariff
from schemas.flow import Agent, Kind, Message, Outcome, SiteRecord
from schemas.reading import TELEMETRY_ROWS
from schemas.registry import Meter, MeterKind, Site
from schemas.window import WINDOW_ROWS

ZHEJIANG = "cn-zj-large-industry"
PRICE = EnergyPrice(valid_from=date(2020, 1, 1), floating_base_cny_per_kwh=0.5252, fixed_part_cny_per_kwh=0.1551)


def ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """Moment in UTC. [ms]"""
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


NOON = ms(2026, 7, 15, 4)  # in Zhejiang


def a_meter(name: str = "main", **given: object) -> Meter:
    """A grid meter that sends every minute."""
    return Meter.model_validate({"id": name, "kind": MeterKind.GRID} | given)


def a_site(name: str = "mill", *meters: Meter, **given: object) -> Site:
    """A site in Zhejiang with one grid meter."""
    about = {
        "id": name,
        "tenant": "acme",
        "name": name,
        "region": "CN-ZJ",
        "time_zone": "Asia/Shanghai",
        "tariff": Tariff(plan=ZHEJIANG, prices=(PRICE,)),
        "meters": meters or (a_meter(),),
    }
    return Site.model_validate(about | given)


def readings(*rows: Mapping[str, object]) -> pl.DataFrame:
    """Readings as on telemetry.v1; `s` is the time in seconds after NOON."""
    return pl.DataFrame([a_reading(**row) for row in rows], schema=TELEMETRY_ROWS, orient="row")


def a_reading(**given: object) -> dict[str, object]:
    """One reading of the meter `main` of `mill`."""
    seconds = given.pop("s", 0)
    about: dict[str, object] = dict.fromkeys(TELEMETRY_ROWS)
    about |= {"tenant_id": "acme", "site_id": "mill", "meter_id": "main", "raw_partition": 0, "raw_offset": 0}
    return about | {"ts": NOON + round(float(str(seconds)) * 1000)} | given


def registers(by_second: Mapping[float, float], **given: object) -> pl.DataFrame:
    """Readings of an import register by seconds after NOON."""
    return readings(*({"s": s, "import_kwh": kwh} | given for s, kwh in by_second.items()))


def windows(*rows: Mapping[str, object]) -> pl.DataFrame:
    """Closed windows of a minute; `minute` is its number after NOON."""
    return pl.DataFrame([a_window(**row) for row in rows], schema=WINDOW_ROWS, orient="row")


def a_window(**given: object) -> dict[str, object]:
    """One measured window of the grid meter `main` of `mill`."""
    minute = int(str(given.pop("minute", 0)))
    return {
        "tenant_id": "acme",
        "site_id": "mill",
        "meter_id": "main",
        "meter_kind": "grid",
        "window_start": NOON + minute * 60_000,
        "window_s": 60,
        "import_kwh": 2.5,
        "export_kwh": None,
        "covered_s": 60.0,
        "quality": "measured",
        "revision": 0,
        "previous_import_kwh": None,
        "raw_partition": 0,
        "raw_offset_first": 0,
        "raw_offset_last": 0,
    } | given


def site_at(site: Site, revision: int = 1, s: float = 0) -> Message:
    """A site record, arrived `s` seconds after NOON."""
    return Message(Kind.SITE, NOON + round(s * 1000), record=SiteRecord(site, revision))


def tick_at(s: float) -> Message:
    """A tick, arrived `s` seconds after NOON."""
    return Message(Kind.TICK, NOON + round(s * 1000))


def rows_at(kind: Kind, s: float, rows: pl.DataFrame) -> Message:
    """Rows, arrived `s` seconds after NOON."""
    return Message(kind, NOON + round(s * 1000), rows)


def fed(agent: Agent, messages: Iterable[Message]) -> list[Outcome]:
    """What follows from each message."""
    return [agent.step(message) for message in messages]


def sent(outcomes: Iterable[Outcome], kind: Kind | None, topic: str | None = None) -> list[dict[str, object]]:
    """Rows of all outputs of a kind, or to a topic."""
    return [
        row
        for outcome in outcomes
        for output in outcome.outputs
        if output.kind is kind and topic in {None, output.topic.name} and output.rows is not None
        for row in output.rows.to_dicts()
    ]


def refused(outcomes: Iterable[Outcome]) -> list[dict[str, object]]:
    """Rows that were rejected."""
    return [row for outcome in outcomes if outcome.rejected is not None for row in outcome.rejected.to_dicts()]
