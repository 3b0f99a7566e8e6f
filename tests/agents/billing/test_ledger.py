"""Running bills against bills worked out by hand."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from billed import PRICE, a_billed_site, after, billing, ledgers, minutes_at
from builders import NOON, fed, ms, readings, rows_at, site_at, tick_at, windows

from agents.metering.step import Metering
from schemas.flow import Kind, Message, Outcome
from schemas.registry import Site

SHANGHAI = ZoneInfo("Asia/Shanghai")
OCTOBER = ms(2026, 9, 30, 16)  # midnight in Shanghai
SEPTEMBER = ms(2026, 8, 31, 16)
MINUTES_OF_OCTOBER = 31 * 24 * 60
CONTRACT = {"valid_from": "2026-10-01", "mode": "contract_max_demand", "contract_kw": 500.0, "capacity_kva": 1000.0}
DEMAND = CONTRACT | {"cny_per_kw_month": 51.2, "cny_per_kva_month": 32.0}


def steadily(start: int, minutes: int, kwh: float, kvarh: float | None = None) -> list[Message]:
    """Windows of equal energy, and the tick that closes them."""
    rows = windows({"window_start": start, "import_kwh": kwh})
    rows = pl.concat([rows] * minutes).with_columns(
        window_start=pl.col("window_start") + pl.duration(minutes=pl.int_range(pl.len())),
        import_kvarh=pl.lit(kvarh, pl.Float64),
    )
    end_s = (start - NOON) / 1000 + minutes * 60
    return [rows_at(Kind.WINDOWS, end_s, rows), tick_at(end_s + 1)]


def bill(site: Site, messages: list[Message], span: str = "month") -> dict[str, object]:
    """The newest record of the span."""
    return ledgers(fed(billing(), [site_at(site), *messages]), span)[-1]


def at(record: dict[str, object], *names: str) -> tuple[object, ...]:
    return tuple(record[name] for name in names)


def test_a_month_in_jiangsu_under_a_demand_contract_is_the_bill_worked_out_by_hand() -> None:
    # 600 kW throughout October 2026. Hours: peak 15-22 on 31 days; deep valley 10-14 on the first three days.
    # peak 217 h x 600 = 130200 kWh x (0.2443 + 1.8  x 0.3957 = 0.95656 ) = 124544.112
    # flat 279 h x 600 = 167400 kWh x                          0.64       = 107136
    # valley 236 h     = 141600 kWh x (0.2443 + 0.35 x 0.3957 = 0.382795) =  54203.772
    # deep  12 h       =   7200 kWh x (0.2443 + 0.28 x 0.3957 = 0.355096) =   2556.6912
    # demand: 500 kW contracted, 600 - 525 = 75 kW above the band: (500 + 2 x 75) x 51.2 = 33280
    # power factor 0.85: 5 x 0.5 % of 288440.5752 + 33280 - 13124.16 of government funds
    record = bill(a_billed_site(demand=[DEMAND], power_factor=0.85), steadily(OCTOBER, MINUTES_OF_OCTOBER, 10.0))

    assert at(record, "energy_kwh", "peak_kwh", "flat_kwh", "valley_kwh", "deep_valley_kwh", "sharp_kwh") == (
        446_400.0,
        130_200.0,
        167_400.0,
        141_600.0,
        7_200.0,
        0.0,
    )
    assert at(record, "peak_cny", "flat_cny", "valley_cny", "deep_valley_cny", "energy_cny") == (
        pytest.approx(124_544.112),
        pytest.approx(107_136.0),
        pytest.approx(54_203.772),
        pytest.approx(2_556.6912),
        pytest.approx(288_440.5752),
    )
    assert at(record, "network_cny", "funds_cny") == (0.0, 0.0)  # the price list contains both
    assert record["network_in_energy_cny"] == pytest.approx(446_400 * 0.1298)
    assert record["funds_in_energy_cny"] == pytest.approx(446_400 * 0.0294)
    assert at(record, "billed_demand_kw", "excess_demand_kw", "max_demand_kw") == (500.0, 75.0, 600.0)
    assert at(record, "basic_fee_month_cny", "basic_fee_cny") == (pytest.approx(33_280.0), pytest.approx(33_280.0))
    assert at(record, "power_factor", "power_factor_source", "power_factor_share") == (0.85, "registry", 0.025)
    assert record["power_factor_cny"] == pytest.approx(7_714.91038)
    assert record["total_cny"] == record["known_cny"] == pytest.approx(329_435.48558)
    assert at(record, "is_final", "first_day", "last_day") == (True, "2026-10-01", "2026-10-31")


@pytest.mark.parametrize(
    ("terms", "fee_cny", "mode"),
    [
        (DEMAND, 33_280.0, "contract_max_demand"),
        (DEMAND | {"mode": "transformer_capacity"}, 32_000.0, "transformer_capacity"),  # 1000 kVA x 32
        (DEMAND | {"mode": "actual_max_demand"}, 30_720.0, "actual_max_demand"),  # 600 kW x 51.2
        ({"valid_from": "2026-10-01", "mode": "single_part"}, 0.0, "single_part"),
        # Contracted 300 kW, but 40 % of 1000 kVA are charged: 400 + 2 x (600 - 420) = 760 kW x 51.2.
        (DEMAND | {"contract_kw": 300.0}, 38_912.0, "contract_max_demand"),
    ],
)
def test_the_basic_fee_follows_the_mode_and_half_a_month_accrues_half_of_it(
    terms: dict[str, object], fee_cny: float, mode: str
) -> None:
    record = bill(a_billed_site(demand=[terms]), steadily(OCTOBER, MINUTES_OF_OCTOBER // 2, 10.0))

    assert at(record, "basic_fee_month_cny", "basic_fee_cny") == (pytest.approx(fee_cny), pytest.approx(fee_cny / 2))
    assert at(record, "demand_mode", "is_final") == (mode, False)


def test_a_month_in_guangdong_by_actual_demand_and_measured_power_factor_is_the_bill_worked_out_by_hand() -> None:
    # 300 kW throughout September 2026: valley 8 h, flat 9, peak 4, sharp 3 a day; price list of Shantou.
    # valley 72000 x 0.263528 + flat 81000 x 0.6483 + peak 36000 x 1.08272 + sharp 27000 x 1.346475 = 146819.061
    # demand: 300 x 36.1 = 10830; reactive 0.75 of active: power factor 0.80, 10 x 0.5 % of 157649.061
    shantou = {"valid_from": "2026-09-01", "floating_base_cny_per_kwh": 0.6206, "fixed_part_cny_per_kwh": 0.0277}
    site = a_billed_site(
        region="CN-GD",
        plan="cn-gd-industry",
        network_zone="east_west_wings",
        prices=[shantou],
        demand=[{"valid_from": "2026-09-01", "mode": "actual_max_demand", "cny_per_kw_month": 36.1}],
    )

    record = bill(site, steadily(SEPTEMBER, 30 * 24 * 60, 5.0, kvarh=3.75))

    assert at(record, "valley_kwh", "flat_kwh", "peak_kwh", "sharp_kwh") == (72_000.0, 81_000.0, 36_000.0, 27_000.0)
    assert record["energy_cny"] == pytest.approx(146_819.061)
    assert record["basic_fee_cny"] == pytest.approx(10_830.0)
    assert at(record, "reactive_kvarh", "power_factor", "power_factor_source") == (162_000.0, 0.8, "measured")
    assert record["power_factor_cny"] == pytest.approx(7_882.45305)
    assert record["total_cny"] == pytest.approx(165_531.51405)
    assert record["network_in_energy_cny"] == pytest.approx(216_000 * (0.0979 - 0.058))
    assert record["funds_in_energy_cny"] is None  # not in the reference data for Guangdong


def test_a_contract_whose_price_contains_nothing_has_network_and_funds_added_once() -> None:
    contract = {
        "id": "retail-2026",
        "valid_from": "2026-10-01",
        "periods": [{"name": "flat", "hours": ["00:00-24:00"], "cny_per_kwh": 0.4}],
    }
    site = a_billed_site(contracts=[contract], demand=[{"valid_from": "2026-10-01", "mode": "single_part"}])

    record = bill(site, steadily(OCTOBER, 24 * 60, 1.0), "day")

    # Single-part network price of Jiangsu at 10 kV: 0.2131; government funds 0.0294.
    assert at(record, "flat_kwh", "energy_cny") == (1440.0, pytest.approx(576.0))
    assert at(record, "network_cny", "funds_cny") == (pytest.approx(1440 * 0.2131), pytest.approx(1440 * 0.0294))
    assert at(record, "network_in_energy_cny", "funds_in_energy_cny") == (0.0, 0.0)
    assert record["known_cny"] == pytest.approx(1440 * (0.4 + 0.2131 + 0.0294))


def test_what_is_not_known_is_null_with_its_energy_and_the_rest_is_still_said() -> None:
    site = a_billed_site(prices=[PRICE | {"valid_from": "2026-10-02"}])

    record = bill(site, steadily(OCTOBER, 2 * 24 * 60, 1.0))

    assert at(record, "energy_kwh", "kwh_without_price") == (2880.0, 1440.0)
    assert at(record, "energy_cny", "flat_cny", "network_cny", "funds_cny", "total_cny") == (None,) * 5
    # The second day: 5 h of flat, 8 h of valley - 4 h of deep valley, 7 h of peak; statutory holiday.
    by_hand = 540 * 0.64 + 240 * 0.382795 + 240 * 0.355096 + 420 * 0.95656
    assert record["known_cny"] == pytest.approx(by_hand)
    assert at(record, "demand_mode", "basic_fee_month_cny", "basic_fee_cny") == (None, None, None)
    assert at(record, "power_factor", "power_factor_source", "power_factor_cny") == (None, "not_measured", None)


def test_a_price_of_the_reference_data_is_used_when_it_was_checked_and_never_when_it_was_recalled() -> None:
    actual = [{"valid_from": "2026-07-01", "mode": "actual_max_demand"}]
    huizhou = a_billed_site(region="CN-GD", plan="cn-gd-industry", network_zone="huizhou", demand=actual)

    checked = bill(huizhou, steadily(NOON, 15, 2.5))
    recalled = bill(a_billed_site(demand=actual), steadily(NOON, 15, 2.5))

    assert checked["basic_fee_month_cny"] == pytest.approx(150 * 36.1)
    assert at(recalled, "max_demand_kw", "basic_fee_month_cny", "total_cny") == (150.0, None, None)


def test_a_day_has_its_own_energy_and_its_share_of_the_fee_of_the_month() -> None:
    site = a_billed_site(demand=[DEMAND], power_factor=0.9)
    outcomes = fed(billing(), [site_at(site), *steadily(OCTOBER, 36 * 60, 10.0)])

    first, second = ledgers(outcomes, "day")
    (month,) = ledgers(outcomes, "month")
    assert at(first, "first_day", "energy_kwh", "is_final") == ("2026-10-01", 14_400.0, True)
    assert at(second, "first_day", "energy_kwh", "is_final") == ("2026-10-02", 7_200.0, False)
    assert first["basic_fee_cny"] == pytest.approx(33_280.0 / 31)
    assert second["basic_fee_cny"] == pytest.approx(33_280.0 / 31 / 2)
    assert month["basic_fee_cny"] == pytest.approx(33_280.0 / 31 * 1.5)
    assert month["total_cny"] == pytest.approx(sum(float(str(day["total_cny"])) for day in (first, second)))


def test_the_mode_of_demand_is_chosen_anew_for_a_month() -> None:
    terms = [
        {"valid_from": "2026-09-01", "mode": "transformer_capacity", "capacity_kva": 100.0, "cny_per_kva_month": 30.0},
        {"valid_from": "2026-10-01", "mode": "actual_max_demand", "cny_per_kw_month": 50.0},
    ]
    outcomes = fed(billing(), [site_at(a_billed_site(demand=terms)), *steadily(OCTOBER - 3_600_000, 120, 1.0)])

    september, october = ledgers(outcomes, "month")
    assert at(september, "demand_mode", "basic_fee_month_cny", "is_final") == ("transformer_capacity", 3_000.0, True)
    assert at(october, "demand_mode", "basic_fee_month_cny", "is_final") == ("actual_max_demand", 3_000.0, False)


def test_a_record_has_a_deterministic_id_and_a_revision_that_counts_up() -> None:
    agent = billing()
    outcomes = fed(agent, [site_at(a_billed_site()), minutes_at(900, range(15)), after(15)])
    outcomes += fed(agent, [minutes_at(1800, range(15, 30)), after(30), after(31)])

    assert [row["id"] for row in ledgers(outcomes, "day")] == [f"ledger/mill/day/2026-07-15/{n}" for n in (0, 1)]
    assert [row["id"] for row in ledgers(outcomes, "month")] == [f"ledger/mill/month/2026-07-01/{n}" for n in (0, 1)]
    assert ledgers(outcomes, "day")[0]["ts"] == int(datetime(2026, 7, 14, 16, tzinfo=UTC).timestamp() * 1000)


def test_the_bill_is_said_when_a_quarter_hour_closed_and_not_before() -> None:
    agent = billing()
    outcomes = fed(agent, [site_at(a_billed_site())])
    for minute in range(45):
        outcomes += fed(agent, [minutes_at(60 * minute, [minute]), after(minute)])

    assert [row["energy_kwh"] for row in ledgers(outcomes, "day")] == [37.5, 75.0, 112.5]


def test_a_revised_minute_corrects_the_bill_by_what_changed() -> None:
    agent = billing()
    outcomes = fed(agent, [site_at(a_billed_site()), minutes_at(900, range(15)), after(15)])
    outcomes += fed(agent, [minutes_at(1000, [3], import_kwh=0.5, revision=1, quality="estimated"), tick_at(1000)])

    before, now = ledgers(outcomes, "day")
    assert at(before, "energy_kwh", "windows", "windows_not_measured") == (37.5, 15, 0)
    assert at(now, "energy_kwh", "windows", "windows_not_measured") == (35.5, 15, 1)


def test_a_revision_of_a_minute_that_is_no_longer_known_is_counted_and_changes_no_sum() -> None:
    days = 3 * 24 * 60
    agent = billing()
    fed(agent, [site_at(a_billed_site()), *steadily(NOON, days, 1.0)])

    late = minutes_at(days * 60, [5], import_kwh=9.0, revision=1)
    assert late.rows is not None
    silent = late.rows.drop("previous_import_kwh")  # as a release before revisions sends it
    outcomes = fed(agent, [Message(late.kind, late.arrived_at, silent), tick_at(days * 60 + 2)])

    assert at(ledgers(outcomes, "month")[0], "energy_kwh", "windows_uncorrected") == (float(days), 1)


def test_a_late_revision_that_says_what_it_replaces_corrects_the_bill_however_old_it_is() -> None:
    days = 3 * 24 * 60
    agent = billing()
    fed(agent, [site_at(a_billed_site()), *steadily(NOON, days, 1.0)])

    late = minutes_at(days * 60, [5, 6], import_kwh=9.0, revision=1)
    assert late.rows is not None
    told = late.rows.with_columns(previous_import_kwh=pl.Series([1.0, None]))  # of the second nothing was sent
    outcomes = fed(agent, [Message(late.kind, late.arrived_at, told), tick_at(days * 60 + 2)])

    month = ledgers(outcomes, "month")[0]
    assert at(month, "energy_kwh", "windows_uncorrected") == (days + 8.0 + 9.0, 0)


def test_a_meter_that_comes_back_after_days_is_billed_although_its_quarter_hours_were_sent() -> None:
    days = 3 * 24 * 60
    agent = billing()
    fed(agent, [site_at(a_billed_site("mill", "main", "second")), *steadily(NOON, days, 1.0)])

    spread = minutes_at(days * 60, range(days), meter_id="second", import_kwh=0.5, quality="estimated")
    outcomes = fed(agent, [spread, tick_at(days * 60 + 2)])

    month = ledgers(outcomes, "month")[-1]
    assert at(month, "energy_kwh", "windows_not_measured", "windows_uncorrected") == (1.5 * days, days, 0)
    assert sum(float(str(row["energy_kwh"])) for row in newest(outcomes)) == 1.5 * days


def newest(outcomes: list[Outcome]) -> list[dict[str, object]]:
    return list({row["first_day"]: row for row in ledgers(outcomes, "day")}.values())


def test_days_and_months_are_local_and_a_day_of_25_hours_is_one_day() -> None:
    berlin = a_billed_site().model_copy(update={"time_zone": "Europe/Berlin"})
    start = ms(2026, 10, 24, 22)  # midnight of 25 October, when clocks go back

    first, second = newest(fed(billing(), [site_at(berlin), *steadily(start, 26 * 60, 1.0)]))

    assert at(first, "first_day", "energy_kwh", "is_final") == ("2026-10-25", 1500.0, True)
    assert at(second, "first_day", "energy_kwh", "is_final") == ("2026-10-26", 60.0, False)


def test_energy_on_days_without_a_tariff_has_no_period_and_no_price() -> None:
    site = a_billed_site(plan="cn-sd-industry", region="CN-SD")  # its edition ends with 2026

    record = bill(site, steadily(ms(2026, 12, 31, 16), 60, 1.0), "day")

    assert at(record, "no_period_kwh", "kwh_without_price", "energy_cny") == (60.0, 60.0, None)


def test_registers_of_a_meter_make_the_power_factor_of_its_bill_and_win_over_the_registry() -> None:
    # 4 kWh and 3 kvarh a minute: power factor 0.80. Without the reactive register the 0.95 of the registry counts.
    site = a_billed_site(power_factor=0.95)
    minutes = range(61)
    both = readings(*({"s": 60 * n, "import_kwh": 4.0 * n, "import_kvarh": 7.0 + 3.0 * n} for n in minutes))
    found = []
    for rows in (both, both.with_columns(import_kvarh=pl.lit(None, pl.Float64))):
        metered = fed(Metering(120), [site_at(site), rows_at(Kind.READINGS, 3_600, rows), tick_at(4_000)])
        windows_of = [one.rows for outcome in metered for one in outcome.outputs if one.kind is Kind.WINDOWS]
        messages = [rows_at(Kind.WINDOWS, 4_000, rows) for rows in windows_of if rows is not None]
        found.append(bill(site, [*messages, tick_at(4_001), tick_at(4_200)]))

    names = ("reactive_kvarh", "power_factor", "power_factor_source")
    assert [at(record, *names) for record in found] == [(180.0, 0.8, "measured"), (None, 0.95, "registry")]
