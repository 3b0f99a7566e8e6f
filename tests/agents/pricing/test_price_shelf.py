"""Prices of many minutes are found on one shelf, each in the interval of its own contract."""

from datetime import date
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from agents.pricing.price_shelf import PriceShelf
from agents.pricing.tariff import PRICED, EnergyPrice, tariff_calendar
from schemas.reference.catalogue import load_tariffs

SHANGHAI = ZoneInfo("Asia/Shanghai")
PLANS = load_tariffs()
DAY = date(2026, 9, 10)
PRICES = [EnergyPrice(date(2026, 1, 1), 0.5, 0.1)]
GUANGDONG = tariff_calendar(PLANS["cn-gd-industry"], PRICES, SHANGHAI, DAY, DAY)
JIANGSU = tariff_calendar(PLANS["cn-js-two-part-industry-315kva"], [], SHANGHAI, DAY, DAY)
MIDNIGHT_MS = GUANGDONG["starts_at"][0]
SHELF = PriceShelf.of({("gd", DAY): GUANGDONG, ("js", DAY): JIANGSU})


def at(*minutes: int, contract: str = "gd") -> pl.DataFrame:
    moments = pl.Series([MIDNIGHT_MS + minute * 60_000 for minute in minutes], dtype=pl.Int64)
    return SHELF.at(pl.Series([contract] * len(minutes), dtype=pl.String), moments)


def test_a_minute_takes_the_interval_it_starts_in() -> None:
    priced = at(0, 479, 480, 659, 660, 1439)

    assert priced["period"].to_list() == ["valley", "valley", "flat", "peak", "sharp", "flat"]
    assert priced["ratio"].to_list() == [0.38, 0.38, 1.0, 1.7, 2.125, 1.0]
    assert priced["price_cny_per_kwh"].to_list() == pytest.approx([0.29, 0.29, 0.6, 0.95, 1.1625, 0.6])
    assert set(priced["tariff_id"]) == {"cn-gd-2021-industry"}


def test_minutes_are_answered_in_their_order() -> None:
    minutes = [7 * minute % (24 * 60) for minute in range(24 * 60)]  # every minute once, out of order

    shuffled = at(*minutes).with_columns(minute=pl.Series(minutes)).sort("minute").drop("minute")

    assert shuffled.equals(at(*range(24 * 60)))


def test_each_minute_of_a_day_lies_in_the_interval_that_is_named() -> None:
    priced = at(*range(24 * 60)).with_columns(start=pl.Series(range(24 * 60)) * 60_000 + MIDNIGHT_MS)

    assert priced.filter(~pl.col("start").is_between("starts_at", pl.col("ends_at") - 1)).is_empty()
    assert priced.null_count().select("period", "starts_at", "ends_at").row(0) == (0, 0, 0)


@pytest.mark.parametrize("contract", ["gd", "js"])
def test_a_minute_outside_the_calendars_has_no_price(contract: str) -> None:
    priced = at(-1, 0, 1440, contract=contract)

    assert priced["period"].is_null().to_list() == [True, False, True]
    assert priced["tariff_id"].is_null().to_list() == [True, False, True]


def test_each_contract_has_its_own_calendar() -> None:
    contracts = pl.Series(["gd", "js", "elsewhere", "js"])
    moments = pl.Series([MIDNIGHT_MS + minute * 60_000 for minute in (180, 180, 180, 30)])

    priced = SHELF.at(contracts, moments)

    assert priced["period"].to_list() == ["valley", "valley", None, "flat"]
    assert priced["tariff_id"].to_list() == [
        "cn-gd-2021-industry",
        "cn-js-2025-two-part-industry-315kva",
        None,
        "cn-js-2025-two-part-industry-315kva",
    ]
    assert priced["price_cny_per_kwh"].to_list() == [pytest.approx(0.29), None, None, None]


def test_months_of_one_contract_follow_each_other() -> None:
    august, september = (
        tariff_calendar(PLANS["cn-gd-industry"], PRICES, SHANGHAI, day, day)
        for day in (date(2026, 8, 31), date(2026, 9, 1))
    )
    shelf = PriceShelf.of({("gd", date(2026, 9, 1)): september, ("gd", date(2026, 8, 1)): august})
    midnight = september["starts_at"][0]

    priced = shelf.at(pl.Series(["gd", "gd"]), pl.Series([midnight - 60_000, midnight]))

    assert priced["ends_at"].to_list() == [midnight, september["ends_at"][0]]


def test_no_minutes_and_no_calendars_give_no_rows_with_all_columns() -> None:
    nothing = pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.Int64)

    assert at().columns == PriceShelf.of({}).at(*nothing).columns == [*PRICED, "starts_at", "ends_at"]
    assert PriceShelf.of({}).at(pl.Series(["gd"]), pl.Series([MIDNIGHT_MS]))["period"].to_list() == [None]
