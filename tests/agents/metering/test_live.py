"""What metering says about meters that moved, before their windows close."""

import pytest
from builders import a_meter, a_site, fed, readings, registers, rows_at, sent, site_at, tick_at

from agents.metering.step import Metering
from schemas.flow import Kind, Message
from schemas.window import LIVE_ROWS


def live(*messages: Message, lateness_s: int = 60, interval_s: int = 60) -> list[tuple[object, object]]:
    agent = Metering(lateness_s)
    outcomes = fed(agent, [site_at(a_site("mill", a_meter(interval_s=interval_s))), *messages])
    return [(row["power_kw"], row["open_import_kwh"]) for row in sent(outcomes, Kind.LIVE)]


def test_power_comes_from_the_registers_when_none_is_sent():
    assert live(rows_at(Kind.READINGS, 90, registers({0: 100.0, 60: 101.0, 90: 101.25})), tick_at(90)) == [(30.0, 1.25)]


def test_power_is_what_the_meter_says_when_it_says_it():
    rows = readings({"s": 0, "import_kwh": 1.0, "power_kw": 5.0}, {"s": 60, "import_kwh": 2.0, "power_kw": 7.0})

    assert live(rows_at(Kind.READINGS, 60, rows), tick_at(60)) == [(7.0, 1.0)]


def test_open_energy_begins_where_the_last_window_closed():
    messages = [rows_at(Kind.READINGS, 150, registers({0: 0.0, 60: 1.0, 120: 3.0, 150: 3.5})), tick_at(150)]

    assert live(*messages) == [(60.0, 2.5)]  # 90 s are settled, so the first minute is closed


def test_open_energy_of_power_alone_is_integrated():
    rows = readings({"s": 0, "power_kw": 60.0}, {"s": 30, "power_kw": 120.0})

    assert live(rows_at(Kind.READINGS, 30, rows), tick_at(30)) == [(120.0, pytest.approx(0.75))]


def test_a_register_that_goes_back_makes_neither_power_nor_energy_negative():
    messages = [rows_at(Kind.READINGS, 90, registers({0: 100.0, 60: 101.0, 90: 0.5})), tick_at(90)]

    assert live(*messages) == [(None, 1.0)]


def test_a_meter_without_import_has_no_open_import():
    rows = readings({"s": 0, "export_kwh": 1.0}, {"s": 30, "export_kwh": 2.0})

    assert live(rows_at(Kind.READINGS, 30, rows), tick_at(30)) == [(None, None)]


def test_only_meters_that_moved_are_in_it():
    agent = Metering(60)
    fed(agent, [site_at(a_site("mill", a_meter(), a_meter("second")))])
    first = fed(agent, [rows_at(Kind.READINGS, 0, registers({0: 1.0})), tick_at(0)])
    second = fed(agent, [rows_at(Kind.READINGS, 1, registers({0: 1.0}, meter_id="second")), tick_at(1), tick_at(2)])

    assert [row["meter_id"] for row in sent(first, Kind.LIVE)] == ["main"]
    assert [row["meter_id"] for row in sent(second, Kind.LIVE)] == ["second"]


def test_a_meter_whose_window_closed_by_waiting_has_moved():
    agent = Metering(60)
    fed(agent, [site_at(a_site()), rows_at(Kind.READINGS, 60, registers({0: 1.0, 60: 2.0})), tick_at(60)])

    outcomes = fed(agent, [tick_at(119), tick_at(120), tick_at(121)])

    assert [row["open_import_kwh"] for row in sent(outcomes, Kind.LIVE)] == [0.0]


def test_live_rows_keep_their_contract():
    agent = Metering(60)
    outcomes = fed(agent, [site_at(a_site()), rows_at(Kind.READINGS, 0, registers({0: 1.0})), tick_at(0)])

    (output,) = [one for outcome in outcomes for one in outcome.outputs if one.kind is Kind.LIVE]
    assert dict(output.rows.schema) == LIVE_ROWS
