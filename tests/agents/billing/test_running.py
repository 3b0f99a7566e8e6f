"""The running quarter hour: what it has drawn, how it will end, and what to shed."""

import random

import pytest
from billed import a_billed_site, billing, live_at, minutes_at, runnings
from builders import NOON, fed, site_at, tick_at

from agents.billing.forecast import Spread, forecast, to_shed_kw

ACTUAL = [{"valid_from": "2026-07-01", "mode": "actual_max_demand"}]
CONTRACT = [{"valid_from": "2026-07-01", "mode": "contract_max_demand", "contract_kw": 500.0}]


def at(record: dict[str, object], *names: str) -> tuple[object, ...]:
    return tuple(record[name] for name in names)


def test_the_forecast_is_what_was_drawn_and_power_as_it_is_for_the_rest() -> None:
    agent = billing()
    outcomes = fed(
        agent,
        [
            site_at(a_billed_site(demand=CONTRACT)),
            live_at(0, power_kw=480.0, open_import_kwh=40.0),
            tick_at(0),
            live_at(300, power_kw=660.0, open_import_kwh=80.0),
            tick_at(301),
        ],
    )

    start, later = runnings(outcomes)
    assert at(start, "elapsed_s", "so_far_kwh", "so_far_kw", "forecast_kw") == (0.0, 0.0, None, 480.0)
    # 40 kWh in 5 min, then 660 kW for 10 min: 40 + 110 = 150 kWh = 600 kW; (600 - 500) x 15 / 10 to shed.
    assert at(later, "window_start", "elapsed_s", "so_far_kwh", "so_far_kw") == (NOON, 300.0, 40.0, 480.0)
    assert at(later, "forecast_kw", "limit_kw", "limit_kind") == (600.0, 500.0, "contract")
    assert at(later, "shed_kw", "can_be_met") == (pytest.approx(150.0), True)
    assert later["id"] == f"demand.live/mill/{NOON + 301_000}"


def test_where_a_quarter_hour_begins_between_two_readings_its_start_lies_on_the_line_between_them() -> None:
    outcomes = fed(
        billing(),
        [
            site_at(a_billed_site()),
            live_at(-40, open_import_kwh=10.0),
            tick_at(-39),
            live_at(20, open_import_kwh=16.0),
            tick_at(21),
        ],
    )

    assert at(runnings(outcomes)[0], "so_far_kwh", "forecast_kw", "limit_kw") == (None, None, None)
    assert at(runnings(outcomes)[1], "elapsed_s", "so_far_kwh") == (20.0, 2.0)


def test_minutes_that_close_meanwhile_change_nothing_of_what_was_drawn() -> None:
    agent = billing()
    fed(agent, [site_at(a_billed_site()), live_at(0, open_import_kwh=12.5), tick_at(0)])

    # Five minutes before noon close: 12.5 kWh leave the open energy.
    closed = minutes_at(300, range(-5, 0))
    (record,) = runnings(fed(agent, [closed, live_at(300, open_import_kwh=25.0), tick_at(300)]))

    assert record["so_far_kwh"] == 25.0


def test_the_limit_is_the_maximum_of_the_month_the_contract_or_a_number_of_ones_own() -> None:
    def limit(**terms: object) -> tuple[object, ...]:
        site = a_billed_site(demand=[{"valid_from": "2026-07-01"} | terms])
        messages = [site_at(site), minutes_at(0, range(-15, 0)), live_at(0), tick_at(1)]
        return at(runnings(fed(billing(), messages))[0], "limit_kw", "limit_kind")

    assert limit(mode="actual_max_demand") == (150.0, "month_maximum")
    assert limit(mode="contract_max_demand", contract_kw=500.0) == (500.0, "contract")
    assert limit(mode="contract_max_demand", contract_kw=500.0, limit="month_maximum") == (150.0, "month_maximum")
    assert limit(mode="transformer_capacity", capacity_kva=500.0) == (None, None)
    assert limit(mode="transformer_capacity", capacity_kva=500.0, limit_kw=400.0) == (400.0, "own")


def test_a_limit_that_was_passed_already_cannot_be_met() -> None:
    agent = billing()
    fed(agent, [site_at(a_billed_site(demand=CONTRACT)), live_at(0), tick_at(0)])

    (record,) = runnings(fed(agent, [live_at(600, open_import_kwh=130.0, power_kw=0.0), tick_at(600)]))

    assert at(record, "forecast_kw", "shed_kw", "can_be_met") == (520.0, pytest.approx(60.0), False)


def test_nothing_is_forecast_while_a_grid_meter_is_not_known() -> None:
    site = a_billed_site("mill", "main", "second")
    agent = billing()
    (alone,) = runnings(fed(agent, [site_at(site), live_at(0), tick_at(0)]))
    (both,) = runnings(fed(agent, [live_at(0, meter_id="second", power_kw=50.0), live_at(0), tick_at(1)]))

    assert at(alone, "so_far_kwh", "forecast_kw") == (None, None)
    assert at(both, "so_far_kwh", "forecast_kw", "power_kw") == (0.0, 150.0, 150.0)


def test_only_sites_that_moved_are_said_and_a_replay_says_none() -> None:
    agent = billing()
    assert len(runnings(fed(agent, [site_at(a_billed_site()), live_at(0), tick_at(0), tick_at(1)]))) == 1

    silent = billing(live=False)
    assert not runnings(fed(silent, [site_at(a_billed_site()), live_at(0), tick_at(0)]))


def test_too_few_changes_of_power_give_no_interval() -> None:
    spread = Spread()
    for n in range(5):
        spread.take(1000 + n * 10_000, 100.0 + n)

    assert forecast(0.0, 0.0, 104.0, spread).low_kw is None
    spread.take(51_000, 105.0)
    assert forecast(0.0, 0.0, 105.0, spread).low_kw is not None


@pytest.mark.parametrize("kind", ["walk", "noise", "steps"])
def test_about_nine_of_ten_quarter_hours_end_within_the_interval(kind: str) -> None:
    chance = random.Random(7)
    power_kw, spread, inside, total = 500.0, Spread(), 0, 0
    for _ in range(400):
        drawn_kwh, halfway = 0.0, None
        for second in range(0, 900, 15):
            if kind == "walk":
                power_kw = max(0.0, power_kw + chance.gauss(0, 8))
            elif kind == "noise":
                power_kw = 500 + chance.gauss(0, 60)
            elif chance.random() < 0.02:
                power_kw = chance.choice([300.0, 500.0, 700.0])
            spread.take(spread.ts + 15_000 or 1, power_kw)
            if second == 450:
                halfway = forecast(drawn_kwh, 450, power_kw, spread)
            drawn_kwh += power_kw * 15 / 3600
        if halfway is not None and halfway.low_kw is not None and halfway.high_kw is not None:
            inside += halfway.low_kw <= drawn_kwh * 4 <= halfway.high_kw
            total += 1

    assert total > 390
    assert 0.80 < inside / total <= 1.0


def test_to_shed_grows_as_time_runs_out() -> None:
    assert [to_shed_kw(510.0, 500.0, elapsed_s) for elapsed_s in (0, 450, 810)] == [10.0, 20.0, 100.0]
