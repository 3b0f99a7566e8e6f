"""Sites with a bill, and minutes of their meters."""

from collections.abc import Iterable

import polars as pl
from builders import NOON, a_meter, a_site, rows_at, sent, tick_at, windows

from agents.billing.step import Billing
from agents.pricing.pricing import Reference
from schemas.contract import Tariff
from schemas.flow import Kind, Message, Outcome
from schemas.reference.catalogue import REFERENCE_VERSION, load_charges, load_factors, load_tariffs
from schemas.registry import Site
from schemas.topics import DEMAND, DEMAND_LIVE, LEDGER
from schemas.window import LIVE_ROWS

REFERENCE = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
CHARGES = load_charges()
JIANGSU = "cn-js-two-part-industry-315kva"
PRICE = {"valid_from": "2020-01-01", "floating_base_cny_per_kwh": 0.3957, "fixed_part_cny_per_kwh": 0.2443}


def billing(**given: int) -> Billing:
    return Billing(REFERENCE, CHARGES, **given)


def a_billed_site(name: str = "mill", *meters: str, region: str = "CN-JS", **tariff: object) -> Site:
    """A site in Jiangsu with the price list of October 2026."""
    agreed = Tariff.model_validate({"plan": JIANGSU, "prices": [PRICE]} | tariff)
    return a_site(name, *(a_meter(meter) for meter in meters or ("main",)), region=region, tariff=agreed)


def minutes_at(s: float, minutes: Iterable[int], **given: object) -> Message:
    """Windows of these minutes after NOON, arrived `s` seconds after NOON; 2.5 kWh each."""
    return rows_at(Kind.WINDOWS, s, windows(*({"minute": minute} | given for minute in minutes)))


def live_at(s: float, **given: object) -> Message:
    """Live state of a meter, arrived and read `s` seconds after NOON."""
    row = {
        "tenant_id": "acme",
        "site_id": "mill",
        "meter_id": "main",
        "meter_kind": "grid",
        "ts": NOON + round(s * 1000),
        "power_kw": 100.0,
        "open_import_kwh": 0.0,
    } | given
    return rows_at(Kind.LIVE, s, pl.DataFrame([row], schema=LIVE_ROWS, orient="row"))


def demands(outcomes: Iterable[Outcome]) -> list[dict[str, object]]:
    return sent(outcomes, None, DEMAND.name)


def runnings(outcomes: Iterable[Outcome]) -> list[dict[str, object]]:
    return sent(outcomes, None, DEMAND_LIVE.name)


def ledgers(outcomes: Iterable[Outcome], span: str) -> list[dict[str, object]]:
    return [row for row in sent(outcomes, None, LEDGER.name) if row["span"] == span]


def after(minute: int) -> Message:
    """A tick a second after the end of a minute after NOON."""
    return tick_at(minute * 60 + 61)
