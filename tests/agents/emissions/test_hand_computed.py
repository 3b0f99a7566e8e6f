"""One day of a Zhejiang large-industry site, before and after the tariff changed on 1 July 2026, by hand."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from builders import a_site

from agents.pricing.pricing import Pricing, Reference
from schemas.contract import EnergyPrice, Tariff
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs

# The two parts of the 2026 example: floating base 0.5252 and fixed part 0.6803 - 0.5252 = 0.1551 CNY/kWh.
PRICE = EnergyPrice(valid_from=date(2026, 1, 1), floating_base_cny_per_kwh=0.5252, fixed_part_cny_per_kwh=0.1551)
SITE = a_site(tariff=Tariff(plan="cn-zj-large-industry", prices=(PRICE,)))

# kWh drawn in each local hour 0..23 of both days; 5220 kWh in all.
HOURLY_KWH = [
    *(118, 112, 110, 108, 109, 115, 128),  # 0-7: 800
    240,  # 7
    *(310, 325, 325),  # 8-11: 960
    *(280, 210),  # 11-13: 490
    260,  # 13
    *(330, 320),  # 14-16: 650
    *(300, 270),  # 16-18: 570
    *(250, 240, 225, 205),  # 18-22: 920
    180,  # 22
    150,  # 23
]


def minutes_of(day: date) -> pl.DataFrame:
    """Windows of 60 s, the load constant within each hour; Zhejiang is 8 h ahead of UTC."""
    midnight_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000) - 8 * 3_600_000
    return pl.DataFrame(
        {
            "window_start": [midnight_ms + minute * 60_000 for minute in range(24 * 60)],
            "import_kwh": [HOURLY_KWH[minute // 60] / 60 for minute in range(24 * 60)],
        }
    )


def bill_of(day: date) -> pl.DataFrame:
    """Energy, cost and carbon per period, as the product computes them: window by window."""
    pricing = Pricing(Reference(load_factors(), load_tariffs(), REFERENCE_VERSION))
    pricing.learn([SITE])
    return (
        pricing.priced(minutes_of(day).with_columns(site_id=pl.lit(SITE.id)))
        .group_by("period", "tariff_id")
        .agg(pl.col("import_kwh", "cost_cny", "emitted_kg").sum())
        .sort("period")
    )


def test_a_july_day_of_2026_is_split_by_the_new_tariff() -> None:
    bill = bill_of(date(2026, 7, 15))

    assert bill["tariff_id"].unique().to_list() == ["cn-zj-2026-large-industry"]
    assert dict(bill.select("period", "import_kwh").iter_rows()) == pytest.approx(
        {
            "flat": 2000.0,  # 7-11: 240 + 960 = 1200; 14-16: 650; 23-24: 150
            "peak": 750.0,  # 16-18: 570; 22-23: 180
            "sharp": 920.0,  # 18-22: 920
            "valley": 1550.0,  # 0-7: 800; 11-14: 490 + 260 = 750
        },
        rel=1e-12,
    )
    assert dict(bill.select("period", "cost_cny").iter_rows()) == pytest.approx(
        {
            "flat": 1360.6,  # 2000 * 0.6803; 0.1551 + 1.00 * 0.5252 = 0.6803
            "peak": 845.04,  # 750 * 1.12672; 0.1551 + 1.85 * 0.5252 = 0.1551 + 0.97162
            "sharp": 1133.2192,  # 920 * 1.23176; 0.1551 + 2.05 * 0.5252 = 0.1551 + 1.07666
            "valley": 566.029,  # 1550 * 0.36518; 0.1551 + 0.40 * 0.5252 = 0.1551 + 0.21008
        },
        rel=1e-12,
    )
    assert bill["cost_cny"].sum() == pytest.approx(3904.8882, rel=1e-12)
    assert bill["emitted_kg"].sum() == pytest.approx(2689.866, rel=1e-12)  # 5220 * 0.5153 (Zhejiang 2022)


def test_a_june_day_of_2026_is_split_by_the_old_tariff() -> None:
    bill = bill_of(date(2026, 6, 17))

    assert bill["tariff_id"].unique().to_list() == ["cn-zj-2024-large-industry"]
    assert dict(bill.select("period", "import_kwh").iter_rows()) == pytest.approx(
        {
            # No sharp hours in June.
            "flat": 1520.0,  # 17-24: 270 + 920 + 180 + 150
            "peak": 2170.0,  # 8-11: 960; 13-17: 260 + 650 + 300 = 1210
            "valley": 1530.0,  # 0-8: 800 + 240 = 1040; 11-13: 490
        },
        rel=1e-12,
    )
    assert dict(bill.select("period", "cost_cny").iter_rows()) == pytest.approx(
        {
            "flat": 1034.056,  # 1520 * 0.6803
            "peak": 2217.0456,  # 2170 * 1.02168; 0.1551 + 1.65 * 0.5252 = 0.1551 + 0.86658
            "valley": 542.65428,  # 1530 * 0.354676; 0.1551 + 0.38 * 0.5252 = 0.1551 + 0.199576
        },
        rel=1e-12,
    )
    assert bill["cost_cny"].sum() == pytest.approx(3793.75588, rel=1e-12)
    assert bill["emitted_kg"].sum() == pytest.approx(2689.866, rel=1e-12)  # the same energy and factor
