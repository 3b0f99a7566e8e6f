from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.pricing.tariff import (
    CALENDAR,
    EnergyPrice,
    energy_cost_cny,
    period_price_cny_per_kwh,
    tariff_calendar,
)
from schemas.reference.catalogue import load_tariffs
from schemas.reference.tariffs import DateRangeRule, HolidayRule, HotDayRule, TariffPlan

PLANS = load_tariffs()
SHANGHAI = ZoneInfo("Asia/Shanghai")
ZHEJIANG = PLANS["cn-zj-large-industry"]
JIANGSU = PLANS["cn-js-two-part-industry-315kva"]
GUANGDONG = PLANS["cn-gd-industry"]
SHANGHAI_PLAN = PLANS["cn-sh-two-part"]
ANHUI = PLANS["cn-ah-industry"]
SHANDONG = PLANS["cn-sd-industry"]
EDITIONS = {edition.id: edition for plan in PLANS.values() for edition in plan.editions}


def a_calendar(
    plan: TariffPlan,
    first: str,
    last: str | None = None,
    *,
    zone: ZoneInfo = SHANGHAI,
    prices: tuple[EnergyPrice, ...] = (),
    hot_days: frozenset[date] = frozenset(),
) -> pl.DataFrame:
    first_day = date.fromisoformat(first)
    last_day = date.fromisoformat(last) if last else first_day
    return tariff_calendar(plan, prices, zone, first_day, last_day, hot_days=hot_days)


def at(calendar: pl.DataFrame, local: str, zone: ZoneInfo = SHANGHAI, fold: int = 0) -> str | None:
    """Return the period at a local time."""
    moment = datetime.fromisoformat(local).replace(tzinfo=zone, fold=fold)
    ms = int(moment.timestamp() * 1000)
    found = calendar.filter(pl.col("starts_at") <= ms, pl.col("ends_at") > ms)["period"].to_list()
    assert len(found) == 1
    period: str | None = found[0]
    return period


def hours_by_period(calendar: pl.DataFrame) -> dict[str | None, float]:
    lengths = calendar.group_by("period").agg((pl.col("ends_at") - pl.col("starts_at")).sum())
    return {period: length_ms / 3_600_000 for period, length_ms in lengths.iter_rows()}


def example_prices(edition_id: str) -> dict[str, str]:
    """Return what the ratios make of the parts of the example price, as a price list prints it."""
    edition = EDITIONS[edition_id]
    example = edition.example_price
    assert example is not None
    ratios = {rule.name: rule.ratio for rule in edition.periods}
    prices = {
        period: period_price_cny_per_kwh(
            ratios[period], example.floating_base_cny_per_kwh, example.fixed_part_cny_per_kwh
        )
        for period in example.period_prices
    }
    return {period: f"{price:.4f}" for period, price in prices.items()}


@pytest.mark.parametrize(
    ("edition_id", "published"),
    [
        (
            "cn-js-2025-two-part-industry-315kva",
            {"flat": "0.6400", "peak": "0.9566", "valley": "0.3828"},
        ),
        (
            "cn-gd-2021-industry",
            {"flat": "0.6483", "sharp": "1.3465", "peak": "1.0827", "valley": "0.2635"},
        ),
    ],
)
def test_a_tariff_reproduces_its_published_prices(edition_id: str, published: dict[str, str]) -> None:
    assert example_prices(edition_id) == published


def test_zhejiang_reproduces_its_example_within_the_rounding_of_the_published_parts() -> None:
    # Published: flat 0.6803, peak 1.1267, valley 0.3653. By hand, valley: 0.1551 + 0.4 * 0.5252 = 0.36518.
    # The flat price and the floating base are themselves rounded to 0.0001, so 0.6803 - 0.6 * 0.5252 may be
    # 0.00005 * 1.6 = 0.00008 away, and the valley price printed one unit apart.
    assert example_prices("cn-zj-2026-large-industry") == {
        "flat": "0.6803",
        "peak": "1.1267",
        "valley": "0.3652",
    }


def test_every_example_price_of_the_file_is_compared_above() -> None:
    assert {name for name, edition in EDITIONS.items() if edition.example_price} == {
        "cn-js-2025-two-part-industry-315kva",
        "cn-gd-2021-industry",
        "cn-zj-2026-large-industry",
    }


@pytest.mark.parametrize(
    ("plan", "local", "period"),
    [
        # Zhejiang changes its edition at midnight of 1 July 2026.
        (ZHEJIANG, "2026-06-30T23:59", "flat"),
        (ZHEJIANG, "2026-06-30T10:00", "peak"),
        (ZHEJIANG, "2026-07-01T00:00", "valley"),
        (ZHEJIANG, "2026-07-01T10:00", "flat"),
        (ZHEJIANG, "2026-07-01T18:00", "sharp"),
        (ZHEJIANG, "2026-01-15T09:30", "sharp"),
        # Start inclusive, end exclusive, to the minute; half hours.
        (JIANGSU, "2026-07-15T19:29", "peak"),
        (JIANGSU, "2026-07-15T19:30", "sharp"),
        (JIANGSU, "2026-07-15T21:29", "sharp"),
        (JIANGSU, "2026-07-15T21:30", "peak"),
        (JIANGSU, "2028-02-29T14:00", "peak"),
        (JIANGSU, "2028-03-01T14:00", "flat"),
        # 24:00 ends the day.
        (ANHUI, "2026-09-10T23:59", "peak"),
        (ANHUI, "2026-09-11T00:00", "flat"),
        # Zhejiang until June 2026: the whole announced breaks, 10-14.
        (ZHEJIANG, "2026-05-01T10:00", "deep_valley"),
        (ZHEJIANG, "2026-05-05T13:59", "deep_valley"),
        (ZHEJIANG, "2026-05-05T14:00", "peak"),
        (ZHEJIANG, "2026-05-06T10:00", "peak"),
        (ZHEJIANG, "2026-02-15T10:00", "deep_valley"),
        (ZHEJIANG, "2026-02-23T10:00", "deep_valley"),
        (ZHEJIANG, "2026-02-14T10:00", "peak"),
        (ZHEJIANG, "2026-04-05T10:00", "peak"),
        # From July 2026: the first three days, 9-15.
        (ZHEJIANG, "2026-10-01T09:00", "deep_valley"),
        (ZHEJIANG, "2026-10-03T14:59", "deep_valley"),
        (ZHEJIANG, "2026-10-03T15:00", "flat"),
        (ZHEJIANG, "2026-10-04T09:00", "flat"),
        # Jiangsu: the statutory dates only.
        (JIANGSU, "2026-05-02T10:00", "deep_valley"),
        (JIANGSU, "2026-05-03T10:00", "valley"),
        # Anhui: breaks of three days or more.
        (ANHUI, "2025-10-08T11:00", "deep_valley"),
        (ANHUI, "2025-10-09T11:00", "valley"),
        (ANHUI, "2026-01-03T11:00", "deep_valley"),
        # Anhui: date ranges, also over the new year.
        (ANHUI, "2026-07-14T20:00", "peak"),
        (ANHUI, "2026-07-15T20:00", "sharp"),
        (ANHUI, "2026-08-31T21:59", "sharp"),
        (ANHUI, "2026-09-01T20:00", "peak"),
        (ANHUI, "2025-12-14T19:00", "peak"),
        (ANHUI, "2025-12-15T19:00", "sharp"),
        (ANHUI, "2026-01-31T20:59", "sharp"),
        (ANHUI, "2026-02-01T19:00", "peak"),
        # Shanghai: rest days by the announced calendar.
        (SHANGHAI_PLAN, "2026-03-06T05:00", "valley"),
        (SHANGHAI_PLAN, "2026-03-07T05:00", "deep_valley"),
        (SHANGHAI_PLAN, "2026-02-14T05:00", "valley"),
        (SHANGHAI_PLAN, "2026-10-06T05:00", "deep_valley"),
        (SHANGHAI_PLAN, "2026-10-08T05:00", "valley"),
        (SHANGHAI_PLAN, "2026-10-10T23:00", "valley"),
        (SHANGHAI_PLAN, "2026-01-02T22:00", "deep_valley"),
        # The last minute of a season and the first of the next.
        (JIANGSU, "2026-08-31T19:30", "sharp"),
        (JIANGSU, "2026-09-01T19:30", "peak"),
        (JIANGSU, "2026-11-30T18:00", "peak"),
        (JIANGSU, "2026-12-01T18:00", "sharp"),
        (JIANGSU, "2026-01-31T19:59", "sharp"),
        (JIANGSU, "2026-02-01T19:59", "peak"),
        (JIANGSU, "2026-05-31T14:30", "flat"),
        (JIANGSU, "2026-06-01T14:30", "peak"),
        (ANHUI, "2026-06-30T07:00", "peak"),
        (ANHUI, "2026-07-01T07:00", "valley"),
        (ANHUI, "2026-09-30T23:59", "peak"),
        (ANHUI, "2026-10-31T23:30", "valley"),
        (ANHUI, "2028-02-29T16:00", "peak"),
        (GUANGDONG, "2026-06-30T11:00", "peak"),
        (GUANGDONG, "2026-07-01T11:00", "sharp"),
        (GUANGDONG, "2026-09-30T16:59", "sharp"),
        (GUANGDONG, "2026-10-01T16:59", "peak"),
        (SHANGHAI_PLAN, "2026-08-31T12:00", "sharp"),
        (SHANGHAI_PLAN, "2026-09-01T12:00", "peak"),
        (SHANGHAI_PLAN, "2026-11-30T19:00", "peak"),
        (SHANGHAI_PLAN, "2026-12-01T19:00", "sharp"),
        # Jiangsu: the statutory dates of the spring festival are 16 to 19 February 2026.
        (JIANGSU, "2026-02-16T10:00", "deep_valley"),
        (JIANGSU, "2026-02-19T13:59", "deep_valley"),
        (JIANGSU, "2026-02-20T10:00", "flat"),
        (JIANGSU, "2026-02-20T11:00", "valley"),
        # Shandong: the last year of its edition.
        (SHANDONG, "2026-12-31T12:00", "deep_valley"),
    ],
)
def test_a_minute_is_in_the_period_its_notice_says(plan: TariffPlan, local: str, period: str) -> None:
    assert at(a_calendar(plan, local[:10]), local) == period


def test_an_announced_hot_day_is_sharp_in_its_months_only() -> None:
    hot_days = frozenset({date(2026, 5, 20), date(2026, 7, 20)})

    may = a_calendar(GUANGDONG, "2026-05-19", "2026-05-20", hot_days=hot_days)
    assert [at(may, f"2026-05-19T{hour}") for hour in ("11:00", "15:00", "16:59")] == ["peak"] * 3
    assert [at(may, f"2026-05-20T{hour}") for hour in ("11:00", "15:00", "16:59")] == ["sharp"] * 3
    assert at(may, "2026-05-20T17:00") == "peak"

    july = a_calendar(GUANGDONG, "2026-07-20", hot_days=hot_days)
    assert july.equals(a_calendar(GUANGDONG, "2026-07-20"))
    assert a_calendar(ZHEJIANG, "2026-05-20", hot_days=hot_days).equals(a_calendar(ZHEJIANG, "2026-05-20"))


def test_a_hot_day_outside_the_months_of_the_rule_is_an_ordinary_day() -> None:
    edition = GUANGDONG.editions[0]
    assert edition.hot_day_rule is not None
    june_only = edition.hot_day_rule.model_copy(update={"months": frozenset({6})})
    plan = GUANGDONG.model_copy(update={"editions": (edition.model_copy(update={"hot_day_rule": june_only}),)})
    hot_days = frozenset({date(2026, 5, 20), date(2026, 6, 20)})

    assert at(a_calendar(plan, "2026-05-20", hot_days=hot_days), "2026-05-20T15:00") == "peak"
    assert at(a_calendar(plan, "2026-06-20", hot_days=hot_days), "2026-06-20T15:00") == "sharp"


def test_a_holiday_outranks_a_hot_day_and_that_a_date_range_and_that_the_ordinary_hours() -> None:
    edition = GUANGDONG.editions[0].model_copy(
        update={
            "holiday_rules": (
                HolidayRule(
                    name="deep_valley",
                    hours=((0, 6),),
                    ratio=0.2,
                    holidays=("labour_day",),
                    days="statutory_dates",
                ),
            ),
            "hot_day_rule": HotDayRule(
                name="sharp",
                hours=((3, 9),),
                ratio=2.0,
                months=frozenset({5}),
                threshold_c=35,
                station="here",
            ),
            "date_range_overrides": (
                DateRangeRule(name="peak", hours=((5, 12),), ratio=1.5, date_range=("05-01", "05-01")),
            ),
        }
    )
    plan = GUANGDONG.model_copy(update={"editions": (edition,)})

    calendar = a_calendar(plan, "2026-05-01", hot_days=frozenset({date(2026, 5, 1)}))

    assert calendar.select("period", "ratio").rows()[:4] == [
        ("deep_valley", 0.2),  # 0-6, though hot from 3
        ("sharp", 2.0),  # 6-9, though in the date range from 5
        ("peak", 1.5),  # 9-12, though flat until 10
        ("flat", 1.0),  # 12-14
    ]


def test_a_change_of_edition_at_midnight_leaves_no_gap_and_names_the_edition() -> None:
    calendar = a_calendar(ZHEJIANG, "2026-06-30", "2026-07-01")

    midnight_ms = int(datetime(2026, 6, 30, 16, tzinfo=UTC).timestamp() * 1000)
    before = calendar.filter(pl.col("ends_at") <= midnight_ms)
    after = calendar.filter(pl.col("starts_at") >= midnight_ms)
    assert len(before) + len(after) == len(calendar)
    assert before["tariff_id"].unique().to_list() == ["cn-zj-2024-large-industry"]
    assert after["tariff_id"].unique().to_list() == ["cn-zj-2026-large-industry"]
    assert hours_by_period(before) == {"valley": 10, "peak": 7, "flat": 7}
    assert hours_by_period(after) == {"valley": 10, "flat": 7, "peak": 3, "sharp": 4}


@pytest.mark.parametrize(
    ("plan", "first", "last"),
    [(ZHEJIANG, "2024-02-28", "2024-02-29"), (SHANDONG, "2027-01-01", "2027-01-02")],
)
def test_days_without_a_valid_edition_are_covered_by_nulls(plan: TariffPlan, first: str, last: str) -> None:
    prices = (EnergyPrice(date(2020, 1, 1), 0.5, 0.1),)

    calendar = a_calendar(plan, first, last, prices=prices)

    assert hours_by_period(calendar) == {None: 48}
    assert calendar.select("ratio", "price_cny_per_kwh", "tariff_id").row(0) == (None, None, None)


def test_the_first_day_of_an_edition_is_priced_and_the_day_before_is_not() -> None:
    calendar = a_calendar(ZHEJIANG, "2024-02-29", "2024-03-01")

    assert at(calendar, "2024-02-29T23:59") is None
    assert at(calendar, "2024-03-01T00:00") == "valley"


def test_a_price_holds_from_its_local_day_until_the_next_and_is_null_before_the_first() -> None:
    prices = (EnergyPrice(date(2026, 9, 3), 0.7, 0.1), EnergyPrice(date(2026, 9, 2), 0.5, 0.1))

    calendar = a_calendar(GUANGDONG, "2026-09-01", "2026-09-04", prices=prices)

    valley = calendar.filter(pl.col("period") == "valley")["price_cny_per_kwh"].to_list()
    assert valley == [
        None,
        *(pytest.approx(cny) for cny in (0.1 + 0.38 * 0.5, 0.1 + 0.38 * 0.7, 0.1 + 0.38 * 0.7)),
    ]
    assert calendar["ratio"].null_count() == 0


@pytest.mark.parametrize(
    ("plan", "zone", "day", "hours"),
    [
        # Clocks go forward at 2:00 or back at 3:00: valley is 0-8.
        (GUANGDONG, "Europe/Berlin", "2026-03-29", {"valley": 7, "flat": 9, "peak": 7}),
        (GUANGDONG, "Europe/Berlin", "2026-10-25", {"valley": 9, "flat": 9, "peak": 7}),
        (GUANGDONG, "Europe/Berlin", "2026-10-26", {"valley": 8, "flat": 9, "peak": 7}),
        # Half an hour, back from 2:00 to 1:30: flat 0-2 lasts 2.5 h.
        (JIANGSU, "Australia/Lord_Howe", "2026-04-05", {"flat": 9.5, "valley": 8, "peak": 7}),
        # Midnight does not exist: the day starts at 1:00.
        (GUANGDONG, "America/Havana", "2026-03-08", {"valley": 7, "flat": 9, "peak": 7}),
    ],
)
def test_a_day_on_which_clocks_change_is_covered_exactly(
    plan: TariffPlan, zone: str, day: str, hours: dict[str | None, float]
) -> None:
    calendar = a_calendar(plan, day, zone=ZoneInfo(zone))

    assert hours_by_period(calendar) == hours
    assert calendar["ends_at"][-1] - calendar["starts_at"][0] == sum(hours.values()) * 3_600_000


def test_both_passes_of_a_repeated_hour_are_in_the_same_period() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    calendar = a_calendar(JIANGSU, "2026-10-25", zone=berlin)

    assert at(calendar, "2026-10-25T01:59", berlin) == "flat"
    assert [at(calendar, "2026-10-25T02:00", berlin, fold=fold) for fold in (0, 1)] == ["valley", "valley"]
    assert at(calendar, "2026-10-25T05:59", berlin) == "valley"
    assert at(calendar, "2026-10-25T06:00", berlin) == "flat"


@settings(deadline=None)  # the first look at a year fills the holiday cache
@given(
    plan=st.sampled_from(list(PLANS.values())),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "UTC"]),
    year=st.integers(2023, 2028),
    month=st.integers(1, 12),
    hot_days=st.frozensets(st.dates(date(2023, 1, 1), date(2028, 12, 31)), max_size=5),
)
def test_every_minute_of_any_month_is_in_exactly_one_period(
    plan: TariffPlan, zone: str, year: int, month: int, hot_days: frozenset[date]
) -> None:
    first = date(year, month, 1)
    after = date(year + month // 12, month % 12 + 1, 1)
    site_zone = ZoneInfo(zone)

    calendar = tariff_calendar(plan, (), site_zone, first, after - timedelta(days=1), hot_days=hot_days)

    assert dict(calendar.schema) == CALENDAR
    starts, ends = calendar["starts_at"].to_list(), calendar["ends_at"].to_list()
    assert datetime.fromtimestamp(starts[0] / 1000, site_zone) == datetime(year, month, 1, tzinfo=site_zone)
    assert datetime.fromtimestamp(ends[-1] / 1000, site_zone) == datetime(after.year, after.month, 1, tzinfo=site_zone)
    assert starts[1:] == ends[:-1]
    assert all(start < end for start, end in zip(starts, ends, strict=True))
    assert all(moment % 60_000 == 0 for moment in starts)
    assert (calendar["period"].is_null() == calendar["tariff_id"].is_null()).all()


@settings(deadline=None)  # the first look at a year fills the holiday cache
@given(
    plan=st.sampled_from([GUANGDONG, SHANDONG, PLANS["cn-js-single-part-100kva"]]),  # no special days
    minute=st.integers(0, 569 * 24 * 60),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin"]),
)
def test_a_minute_has_the_period_that_reading_the_file_by_eye_gives(plan: TariffPlan, minute: int, zone: str) -> None:
    site_zone = ZoneInfo(zone)
    utc = datetime(2025, 6, 2, tzinfo=UTC) + timedelta(minutes=minute)
    local = utc.astimezone(site_zone)
    hour = local.hour + local.minute / 60

    calendar = tariff_calendar(plan, (), site_zone, local.date(), local.date())

    ms = int(utc.timestamp() * 1000)
    (edition,) = plan.editions
    by_eye = [
        (rule.name, rule.ratio)
        for rule in edition.periods
        if local.month in rule.months
        and local.isoweekday() in rule.weekdays
        and any(start <= hour < end for start, end in rule.hours)
    ]
    found = calendar.filter(pl.col("starts_at") <= ms, pl.col("ends_at") > ms)
    assert found.select("period", "ratio").rows() == by_eye


def test_days_in_the_wrong_order_and_two_prices_of_one_day_are_refused() -> None:
    with pytest.raises(ValueError, match="last day 2026-06-30 comes before"):
        a_calendar(GUANGDONG, "2026-07-01", "2026-06-30")
    price = EnergyPrice(date(2026, 1, 1), 0.5, 0.1)
    with pytest.raises(ValueError, match="two prices of plan cn-gd-industry"):
        a_calendar(GUANGDONG, "2026-07-01", prices=(price, price))
    with pytest.raises(ValueError, match="finite"):
        EnergyPrice(date(2026, 1, 1), float("nan"), 0.1)


def test_cost_is_the_same_formula_on_a_column_and_missing_stays_missing() -> None:
    frame = pl.DataFrame({"kwh": [2000.0, 2000.0], "price": [0.6803, None]})

    cost = frame.select(cost=energy_cost_cny(pl.col("kwh"), pl.col("price")))["cost"]

    assert cost.to_list() == [pytest.approx(1360.6), None]
