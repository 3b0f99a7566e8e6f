from datetime import date
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from agents.emissions.tariff import PRICED, EnergyPrice, price_windows, tariff_calendar
from schemas.reference.catalogue import load_tariffs

SHANGHAI = ZoneInfo("Asia/Shanghai")
PLANS = load_tariffs()
DAY = date(2026, 9, 10)
PRICES = [EnergyPrice(date(2026, 1, 1), 0.5, 0.1)]
GUANGDONG = tariff_calendar(PLANS["cn-gd-industry"], PRICES, SHANGHAI, DAY, DAY)
JIANGSU = tariff_calendar(PLANS["cn-js-two-part-industry-315kva"], [], SHANGHAI, DAY, DAY)
MIDNIGHT_MS = GUANGDONG["starts_at"][0]


def windows_at(*minutes: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"window_start": [MIDNIGHT_MS + minute * 60_000 for minute in minutes]},
        schema={"window_start": pl.Int64},
    )


def test_a_window_takes_the_interval_it_starts_in() -> None:
    priced = price_windows(windows_at(0, 479, 480, 659, 660, 1439), GUANGDONG)

    assert priced["period"].to_list() == ["valley", "valley", "flat", "peak", "sharp", "flat"]
    assert priced["ratio"].to_list() == [0.38, 0.38, 1.0, 1.7, 2.125, 1.0]
    assert priced["price_cny_per_kwh"].to_list() == pytest.approx([0.29, 0.29, 0.6, 0.95, 1.1625, 0.6])
    assert set(priced["tariff_id"]) == {"cn-gd-2021-industry"}


def test_windows_keep_their_order_and_columns() -> None:
    minutes = [7 * minute % (24 * 60) for minute in range(24 * 60)]  # every minute once, out of order
    shuffled = windows_at(*minutes).with_columns(meter=pl.Series(minutes))

    priced = price_windows(shuffled, GUANGDONG)

    assert priced.columns == ["window_start", "meter", *PRICED]
    assert priced.select(shuffled.columns).equals(shuffled)
    assert priced.sort("meter").drop("meter").equals(price_windows(windows_at(*range(24 * 60)), GUANGDONG))


def test_a_window_outside_the_calendar_has_no_price() -> None:
    priced = price_windows(windows_at(-1, 0, 1440), GUANGDONG)

    assert priced["period"].to_list() == [None, "valley", None]
    assert priced["tariff_id"].to_list() == [None, "cn-gd-2021-industry", None]


def test_each_site_has_its_own_calendar() -> None:
    calendars = pl.concat([GUANGDONG.with_columns(site_id=pl.lit("gd")), JIANGSU.with_columns(site_id=pl.lit("js"))])
    windows = windows_at(180, 180, 180, 30).with_columns(site_id=pl.Series(["gd", "js", "elsewhere", "js"]))

    priced = price_windows(windows, calendars)

    assert priced["period"].to_list() == ["valley", "valley", None, "flat"]
    assert priced["tariff_id"].to_list() == [
        "cn-gd-2021-industry",
        "cn-js-2025-two-part-industry-315kva",
        None,
        "cn-js-2025-two-part-industry-315kva",
    ]
    assert priced["price_cny_per_kwh"].to_list() == [pytest.approx(0.29), None, None, None]


def test_one_calendar_serves_the_windows_of_many_sites() -> None:
    windows = windows_at(0, 480).with_columns(site_id=pl.Series(["a", "b"]))

    assert price_windows(windows, GUANGDONG)["period"].to_list() == ["valley", "flat"]


def test_no_windows_give_no_rows_with_all_columns() -> None:
    assert price_windows(windows_at(), GUANGDONG).columns == ["window_start", *PRICED]


@pytest.mark.parametrize(
    ("windows", "calendar", "expected"),
    [
        (windows_at(0).select(pl.col("window_start") + 1), GUANGDONG, "window_start on whole minutes"),
        (windows_at(0).cast(pl.Float64), GUANGDONG, "window_start of type Int64, found Float64"),
        (pl.DataFrame({"ts": [0]}), GUANGDONG, "window_start of type Int64, found none"),
        (windows_at(0).with_columns(period=pl.lit("flat")), GUANGDONG, "already have columns.*period"),
        (windows_at(0), GUANGDONG.with_columns(site_id=pl.lit("a")), "site_id of type String, found none"),
        (windows_at(0), GUANGDONG.with_columns(pl.col("ends_at") + 1), "ends_at on whole minutes"),
        (windows_at(0), GUANGDONG.drop("ratio"), "ratio of type Float64, found none"),
    ],
)
def test_frames_that_do_not_fit_are_refused(windows: pl.DataFrame, calendar: pl.DataFrame, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        price_windows(windows, calendar)
