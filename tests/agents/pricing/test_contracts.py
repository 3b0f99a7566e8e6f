"""Retail contracts, hot days and prices over the calendar of a plan."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from agents.pricing.tariff import EnergyPrice, tariff_calendar
from schemas.contract import RetailContract
from schemas.reference.catalogue import load_tariffs

PLANS = load_tariffs()
SHANGHAI = ZoneInfo("Asia/Shanghai")
PRICES = (EnergyPrice(date(2020, 1, 1), 0.4, 0.2),)
JIANGSU = "cn-js-two-part-industry-315kva"


def a_contract(**given: object) -> RetailContract:
    return RetailContract.model_validate({"id": "retail", "valid_from": "2026-03-01"} | given)


def at(
    local: str, *contracts: RetailContract, plan: str = JIANGSU, zone: ZoneInfo = SHANGHAI, hot: str | None = None
) -> tuple[object, ...]:
    """Period, price and tariff at a local time."""
    moment = datetime.fromisoformat(local).replace(tzinfo=zone)
    hot_days = frozenset({date.fromisoformat(hot)} if hot else ())
    day = moment.date()
    calendar = tariff_calendar(PLANS[plan], PRICES, zone, day, day, hot_days=hot_days, contracts=contracts)
    ms = int(moment.timestamp() * 1000)
    found = calendar.filter(pl.col("starts_at") <= ms, pl.col("ends_at") > ms)
    (row,) = found.select("period", pl.col("price_cny_per_kwh").round(6), "tariff_id").rows()
    return row


NIGHT = a_contract(
    valid_to="2026-12-31",
    periods=[
        {"name": "valley", "hours": ["00:00-06:15", "22:45-24:00"], "ratio": 0.5},
        {"name": "flat", "hours": ["06:15-22:45"], "cny_per_kwh": 0.61},
    ],
)
RATIOS = a_contract(periods=[{"name": "peak", "ratio": 1.2}, {"name": "valley", "cny_per_kwh": 0.3, "months": [7]}])
SEASONS = a_contract(
    periods=[
        {"name": "peak", "hours": ["00:00-24:00"], "months": [7, 8], "ratio": 1.5},
        {"name": "flat", "hours": ["00:00-24:00"], "months": [1, 2, 3, 4, 5, 6, 9, 10, 11, 12], "ratio": 1.0},
    ]
)
WEEKENDS = a_contract(
    periods=[
        {"name": "flat", "hours": ["00:00-24:00"], "weekdays": [1, 2, 3, 4, 5], "ratio": 1.0},
        {"name": "valley", "hours": ["00:00-24:00"], "weekdays": [6, 7], "ratio": 0.5},
    ]
)


@pytest.mark.parametrize(
    ("local", "contract", "period", "price", "tariff"),
    [
        # Own hours to the quarter hour; the plan's holiday of 1 May does not apply.
        ("2026-05-06T06:14", NIGHT, "valley", 0.4, "contract:retail"),  # 0.2 + 0.5 x 0.4
        ("2026-05-06T06:15", NIGHT, "flat", 0.61, "contract:retail"),
        ("2026-05-06T22:44", NIGHT, "flat", 0.61, "contract:retail"),
        ("2026-05-06T22:45", NIGHT, "valley", 0.4, "contract:retail"),
        ("2026-05-06T23:59", NIGHT, "valley", 0.4, "contract:retail"),
        ("2026-05-01T11:00", NIGHT, "flat", 0.61, "contract:retail"),
        # From its first to its last day, both included.
        ("2026-02-28T23:59", NIGHT, "flat", 0.6, "cn-js-2025-two-part-industry-315kva"),
        ("2026-03-01T00:00", NIGHT, "valley", 0.4, "contract:retail"),
        ("2026-12-31T23:59", NIGHT, "valley", 0.4, "contract:retail"),
        ("2027-01-01T00:00", NIGHT, "valley", 0.34, "cn-js-2025-two-part-industry-315kva"),
        # Ratios or prices of its own over the hours of the plan, holidays included.
        ("2026-05-06T15:00", RATIOS, "peak", 0.68, "contract:retail"),  # 0.2 + 1.2 x 0.4
        ("2026-05-06T14:00", RATIOS, "flat", 0.6, "contract:retail"),
        ("2026-05-06T03:00", RATIOS, "valley", 0.34, "contract:retail"),  # the ratio of the plan, 0.35
        ("2026-07-06T03:00", RATIOS, "valley", 0.3, "contract:retail"),
        ("2026-05-01T11:00", RATIOS, "deep_valley", 0.312, "contract:retail"),
        # Seasons change at midnight, in leap years too.
        ("2026-06-30T23:59", SEASONS, "flat", 0.6, "contract:retail"),
        ("2026-07-01T00:00", SEASONS, "peak", 0.8, "contract:retail"),
        ("2026-08-31T23:59", SEASONS, "peak", 0.8, "contract:retail"),
        ("2026-09-01T00:00", SEASONS, "flat", 0.6, "contract:retail"),
        ("2028-02-29T12:00", SEASONS, "flat", 0.6, "contract:retail"),
        # Weekdays are those of the calendar: 14 February 2026 is a Saturday that was worked.
        ("2026-05-08T23:59", WEEKENDS, "flat", 0.6, "contract:retail"),
        ("2026-05-09T00:00", WEEKENDS, "valley", 0.4, "contract:retail"),
        ("2026-05-10T23:59", WEEKENDS, "valley", 0.4, "contract:retail"),
        ("2026-05-11T00:00", WEEKENDS, "flat", 0.6, "contract:retail"),
    ],
)
def test_a_contract_overrides_the_plan_while_it_is_in_force(
    local: str, contract: RetailContract, period: str, price: float, tariff: str
) -> None:
    assert at(local, contract) == (period, price, tariff)


@pytest.mark.parametrize(
    ("local", "hot", "period"),
    [
        ("2026-05-20T10:59", "2026-05-20", "peak"),
        ("2026-05-20T11:00", "2026-05-20", "sharp"),
        ("2026-05-20T12:00", "2026-05-20", "flat"),
        ("2026-05-20T15:00", "2026-05-20", "sharp"),
        ("2026-05-20T17:00", "2026-05-20", "peak"),
        ("2026-05-20T11:00", "2026-05-21", "peak"),
        ("2026-07-20T11:00", "2026-07-20", "sharp"),
        ("2026-10-01T11:00", "2026-10-01", "sharp"),
    ],
)
def test_an_announced_hot_day_is_sharp_in_guangdong(local: str, hot: str, period: str) -> None:
    assert at(local, plan="cn-gd-industry", hot=hot)[0] == period


def test_own_hours_set_hot_days_aside_and_own_ratios_do_not() -> None:
    assert at("2026-05-20T11:00", NIGHT, plan="cn-gd-industry", hot="2026-05-20")[0] == "flat"
    assert at("2026-05-20T11:00", RATIOS, plan="cn-gd-industry", hot="2026-05-20")[0] == "sharp"


def test_own_prices_of_a_contract_come_before_those_of_the_site() -> None:
    priced = a_contract(
        prices=[{"valid_from": "2026-04-01", "floating_base_cny_per_kwh": 0.5, "fixed_part_cny_per_kwh": 0.0}]
    )

    assert at("2026-04-01T00:30", priced)[1] == 0.5
    assert at("2026-03-31T00:30", priced)[1] is None  # the contract has prices of its own, and none for that day


def test_a_contract_with_hours_of_its_own_needs_no_valid_edition_and_others_do() -> None:
    assert at("2027-05-06T12:00", SEASONS, plan="cn-sd-industry") == ("flat", 0.6, "contract:retail")
    assert at("2027-05-06T12:00", RATIOS, plan="cn-sd-industry") == (None, None, None)


def test_both_passes_of_a_repeated_hour_are_in_the_same_period_of_a_contract() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    calendar = tariff_calendar(
        PLANS[JIANGSU], PRICES, berlin, date(2026, 10, 25), date(2026, 10, 25), contracts=(NIGHT,)
    )

    hours = calendar.group_by("period").agg((pl.col("ends_at") - pl.col("starts_at")).sum())
    assert {period: ms / 3_600_000 for period, ms in hours.iter_rows()} == {"valley": 8.5, "flat": 16.5}


def test_a_price_says_what_it_contains() -> None:
    day = date(2026, 5, 6)
    mixed = a_contract(contains=["network"], periods=[{"name": "valley", "cny_per_kwh": 0.3}])
    calendar = tariff_calendar(PLANS[JIANGSU], PRICES, SHANGHAI, day, day, contracts=(mixed,))

    assert dict(calendar.select("period", "price_contains").unique().iter_rows()) == {
        "valley": "network",
        "flat": "government_funds+network",
        "peak": "government_funds+network",
    }
