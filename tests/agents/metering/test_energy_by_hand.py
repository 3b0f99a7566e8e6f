"""Metering, one rule a test, against numbers worked out by hand."""

import pytest
from builders import NOON, a_meter, a_site, fed, readings, refused, registers, rows_at, sent, site_at, tick_at, windows

from agents.metering.step import Metering
from schemas.flow import Kind, Message, Outcome
from schemas.registry import Site
from schemas.window import WINDOW_ROWS

LATENESS_S = 60


def measured(*messages: Message, site: Site | None = None) -> list[Outcome]:
    """What a new agent makes of messages, once it knows the site."""
    return fed(Metering(LATENESS_S), [site_at(site or a_site()), *messages])


def taken(by_second: dict[float, float], **given: object) -> list[Message]:
    """Readings of a register that arrive with the last one, and a tick late enough for all of them."""
    arrived_s = max(by_second)
    return [
        rows_at(Kind.READINGS, arrived_s, registers(by_second, **given)),
        tick_at(arrived_s + LATENESS_S),
    ]


def kwh_by_minute(outcomes: list[Outcome], column: str = "import_kwh") -> dict[int, object]:
    return {minute_of(row): row[column] for row in sent(outcomes, Kind.WINDOWS)}


def quality_by_minute(outcomes: list[Outcome]) -> dict[int, object]:
    return {minute_of(row): row["quality"] for row in sent(outcomes, Kind.WINDOWS)}


def minute_of(row: dict[str, object]) -> int:
    return int((row["window_start"].timestamp() * 1000 - NOON) // 60_000)


def test_the_energy_of_a_minute_is_the_difference_of_the_register():
    outcomes = measured(*taken({0: 100.0, 60: 101.0, 120: 103.5}))

    assert kwh_by_minute(outcomes) == {0: 1.0, 1: 2.5}
    assert quality_by_minute(outcomes) == {0: "measured", 1: "measured"}


def test_a_window_has_every_column_of_its_contract_in_order():
    outcomes = measured(*taken({0: 1.0, 60: 2.0}))

    (closed,) = [output.rows for outcome in outcomes for output in outcome.outputs if output.kind is Kind.WINDOWS]
    assert dict(closed.schema) == WINDOW_ROWS
    assert closed.equals(windows({"import_kwh": 1.0}))


def test_a_register_that_straddles_minutes_is_shared_out_by_time():
    outcomes = measured(*taken({0: 10.0, 90: 13.0, 120: 13.5}))

    assert kwh_by_minute(outcomes) == pytest.approx({0: 2.0, 1: 1.5})  # 3 kWh in 90 s; 1 of them after the minute


def test_the_multiplier_applies_to_registers():
    site = a_site("mill", a_meter(multiplier=40.0))

    assert kwh_by_minute(measured(*taken({0: 100.0, 60: 100.5}), site=site)) == {0: 20.0}


def test_the_multiplier_applies_to_power():
    site = a_site("mill", a_meter(multiplier=40.0))
    outcomes = measured(
        rows_at(Kind.READINGS, 60, readings({"s": 0, "power_kw": 3.0}, {"s": 60, "power_kw": 3.0})),
        tick_at(120),
        site=site,
    )

    assert kwh_by_minute(outcomes) == {0: pytest.approx(2.0)}  # 120 kW for a minute


def test_power_alone_is_integrated_by_trapezoids():
    outcomes = measured(
        rows_at(Kind.READINGS, 240, readings({"s": 0, "power_kw": 10.0}, {"s": 240, "power_kw": 20.0})),
        tick_at(300),
        site=a_site("mill", a_meter(interval_s=120)),
    )

    # 10 to 20 kW in four minutes: means of 11.25, 13.75, 16.25 and 18.75 kW
    by_hand = {0: 11.25 / 60, 1: 13.75 / 60, 2: 16.25 / 60, 3: 18.75 / 60}
    assert kwh_by_minute(outcomes) == pytest.approx(by_hand, rel=1e-12)
    assert sum(by_hand.values()) == pytest.approx(1.0)
    assert set(quality_by_minute(outcomes).values()) == {"measured"}


def test_power_that_flows_out_is_export_and_never_negative_import():
    outcomes = measured(
        rows_at(Kind.READINGS, 120, readings({"s": 0, "power_kw": 60.0}, {"s": 120, "power_kw": -60.0})),
        tick_at(180),
        site=a_site("mill", a_meter(interval_s=120)),
    )

    # 60 kW falls to 0 at 60 s and to -60 kW at 120 s: a triangle of 0.5 kWh on each side
    assert kwh_by_minute(outcomes) == pytest.approx({0: 0.5, 1: 0.0})
    assert kwh_by_minute(outcomes, "export_kwh") == {0: None, 1: pytest.approx(0.5)}


def test_export_is_taken_from_its_own_register():
    rows = readings(*({"s": s, "import_kwh": 5.0, "export_kwh": kwh} for s, kwh in ((0, 1.0), (60, 1.25))))

    outcomes = measured(rows_at(Kind.READINGS, 60, rows), tick_at(120))

    assert kwh_by_minute(outcomes, "export_kwh") == {0: 0.25}
    assert kwh_by_minute(outcomes) == {0: 0.0}


def test_a_measure_the_meter_does_not_have_is_null_and_not_zero():
    outcomes = measured(*taken({0: 1.0, 60: 2.0}))

    assert kwh_by_minute(outcomes, "export_kwh") == {0: None}


def test_measures_of_one_moment_in_two_messages_are_one_reading():
    outcomes = measured(
        rows_at(Kind.READINGS, 60, registers({0: 1.0, 60: 2.0})),
        rows_at(Kind.READINGS, 60, readings(*({"s": s, "export_kwh": kwh} for s, kwh in ((0, 7.0), (60, 7.5))))),
        tick_at(120),
    )

    assert kwh_by_minute(outcomes) == {0: 1.0}
    assert kwh_by_minute(outcomes, "export_kwh") == {0: 0.5}


def test_registers_read_at_different_moments_are_both_measured():
    rows = readings(
        {"s": 0, "import_kwh": 10.0, "export_kwh": 5.0},
        {"s": 30, "export_kwh": 5.5},
        {"s": 60, "import_kwh": 11.0},
        {"s": 90, "import_kwh": 12.0, "export_kwh": 6.5},
        {"s": 120, "import_kwh": 13.0, "export_kwh": 7.0},
    )

    outcomes = measured(rows_at(Kind.READINGS, 120, rows), tick_at(180))

    assert kwh_by_minute(outcomes) == pytest.approx({0: 1.0, 1: 2.0})
    assert kwh_by_minute(outcomes, "export_kwh") == pytest.approx({0: 1.0, 1: 1.0})


def test_where_there_is_a_register_power_alone_does_not_cut_its_energy():
    rows = readings({"s": 0, "import_kwh": 10.0}, {"s": 30, "power_kw": 999.0}, {"s": 60, "import_kwh": 11.0})

    assert kwh_by_minute(measured(rows_at(Kind.READINGS, 60, rows), tick_at(120))) == {0: 1.0}


def test_three_intervals_between_readings_are_no_gap():
    outcomes = measured(*taken({0: 1.0, 180: 4.0}))

    assert quality_by_minute(outcomes) == dict.fromkeys(range(3), "measured")


def test_a_longer_pause_is_spread_and_estimated():
    outcomes = measured(*taken({0: 1.0, 60: 2.0, 360: 12.0}))

    assert kwh_by_minute(outcomes) == pytest.approx({0: 1.0} | dict.fromkeys(range(1, 6), 2.0))
    assert quality_by_minute(outcomes) == {0: "measured"} | dict.fromkeys(range(1, 6), "estimated")


def test_a_pause_is_estimated_also_when_it_was_cut_by_a_closed_window():
    # At 200 s the minute up to 180 s can close only when its other end is known, then the whole pause is one.
    outcomes = measured(
        rows_at(Kind.READINGS, 30, registers({0: 1.0, 30: 1.5})),
        tick_at(200),
        rows_at(Kind.READINGS, 330, registers({330: 6.5})),
        tick_at(390),
    )

    assert quality_by_minute(outcomes) == dict.fromkeys(range(5), "estimated")
    assert kwh_by_minute(outcomes)[0] == pytest.approx(1.0)


def test_of_power_alone_a_longer_pause_is_left_out():
    rows = readings(*({"s": s, "power_kw": 60.0} for s in (0, 60, 90, 400, 420, 480)))

    outcomes = measured(rows_at(Kind.READINGS, 480, rows), tick_at(540))

    assert kwh_by_minute(outcomes) == pytest.approx({0: 1.0, 1: 0.5, 6: 20 / 60, 7: 1.0})
    assert quality_by_minute(outcomes) == {0: "measured", 1: "partial", 6: "partial", 7: "measured"}
    assert kwh_by_minute(outcomes, "covered_s") == {0: 60.0, 1: 30.0, 6: 20.0, 7: 60.0}


def test_the_first_window_of_a_meter_is_partial():
    outcomes = measured(*taken({40: 5.0, 60: 5.5, 120: 6.5}))

    assert kwh_by_minute(outcomes) == pytest.approx({0: 0.5, 1: 1.0})
    assert kwh_by_minute(outcomes, "covered_s") == {0: 20.0, 1: 60.0}
    assert quality_by_minute(outcomes) == {0: "partial", 1: "measured"}


def test_a_register_that_goes_back_is_rejected_once_and_is_no_energy():
    outcomes = measured(*taken({0: 100.0, 60: 101.0, 120: 5.0, 180: 6.0}))

    assert kwh_by_minute(outcomes) == {0: 1.0, 2: 1.0}
    (rejection,) = refused(outcomes)
    assert rejection["reason"] == "register_decreased"
    assert (rejection["ts"], rejection["import_kwh"]) == (NOON + 120_000, 5.0)


def test_a_register_that_goes_back_within_windows_leaves_them_partial():
    outcomes = measured(*taken({0: 100.0, 90: 101.5, 150: 2.0, 210: 3.0, 240: 3.5}))

    assert kwh_by_minute(outcomes) == pytest.approx({0: 1.0, 1: 0.5, 2: 0.5, 3: 1.0})
    assert quality_by_minute(outcomes) == {0: "measured", 1: "partial", 2: "partial", 3: "measured"}
    assert [row["reason"] for row in refused(outcomes)] == ["register_decreased"]


def test_a_register_that_goes_back_is_rejected_once_however_often_windows_close():
    messages = [
        one
        for s, kwh in ((0, 100.0), (50, 101.0), (170, 2.0), (230, 3.0), (300, 4.0), (360, 5.0))
        for one in (rows_at(Kind.READINGS, s, registers({s: kwh})), tick_at(s))
    ]

    outcomes = measured(*messages, tick_at(420))

    assert [row["reason"] for row in refused(outcomes)] == ["register_decreased"]
    assert all(kwh >= 0 for kwh in kwh_by_minute(outcomes).values())


def test_what_comes_within_the_lateness_is_no_register_that_goes_back():
    # The minute's end lies between 50 s and 150 s, and the reading of 90 s, which bends the line, is still to come.
    outcomes = measured(
        rows_at(Kind.READINGS, 150, registers({0: 0.0, 50: 0.0, 150: 100.0})),
        tick_at(150),
        rows_at(Kind.READINGS, 150, registers({95: 1.0})),
        tick_at(210),
    )

    assert refused(outcomes) == []
    assert kwh_by_minute(outcomes) == pytest.approx({0: 10 / 45, 1: 1.0 - 10 / 45 + 99 * 25 / 55})


def test_a_reading_of_a_closed_window_is_late():
    outcomes = measured(*taken({0: 1.0, 60: 2.0}), rows_at(Kind.READINGS, 121, registers({30: 1.5})), tick_at(121))

    assert [(row["reason"], row["ts"]) for row in refused(outcomes)] == [("late", NOON + 30_000)]
    assert kwh_by_minute(outcomes) == {0: 1.0}


def test_late_readings_are_rejected_also_when_a_site_record_or_a_checkpoint_comes_before_the_tick():
    agent = Metering(LATENESS_S)
    fed(agent, [site_at(a_site()), *taken({0: 1.0, 60: 2.0}), rows_at(Kind.READINGS, 121, registers({30: 1.5}))])

    agent.snapshot()
    outcomes = fed(agent, [site_at(a_site(name_zh="厂"), revision=2), tick_at(121)])

    assert [row["reason"] for row in refused(outcomes)] == ["late"]


def test_the_last_reading_of_a_closed_window_may_be_repeated():
    outcomes = measured(*taken({0: 1.0, 60: 2.0}), rows_at(Kind.READINGS, 121, registers({60: 2.0})), tick_at(121))

    assert refused(outcomes) == []


def test_another_reading_of_that_moment_is_late():
    outcomes = measured(*taken({0: 1.0, 60: 2.0}), rows_at(Kind.READINGS, 121, registers({60: 2.1})), tick_at(121))

    assert [row["reason"] for row in refused(outcomes)] == ["late"]


def test_a_window_closes_by_waiting_and_not_before_the_lateness_is_over():
    agent = Metering(LATENESS_S)
    fed(agent, [site_at(a_site()), rows_at(Kind.READINGS, 1000, registers({0: 1.0, 60: 2.0}))])

    assert sent(fed(agent, [tick_at(1000), tick_at(1059.999)]), Kind.WINDOWS) == []
    assert kwh_by_minute(fed(agent, [tick_at(1060)])) == {0: 1.0}
    assert sent(fed(agent, [tick_at(1061), tick_at(9999)]), Kind.WINDOWS) == []


def test_a_window_closes_when_newer_readings_come():
    agent = Metering(LATENESS_S)
    fed(agent, [site_at(a_site()), rows_at(Kind.READINGS, 0, registers({0: 1.0, 60: 2.0, 119.999: 3.0}))])

    assert sent(fed(agent, [tick_at(0)]), Kind.WINDOWS) == []
    fed(agent, [rows_at(Kind.READINGS, 0, registers({120: 3.0}))])
    assert kwh_by_minute(fed(agent, [tick_at(0)])) == {0: 1.0}


def test_meters_of_a_site_and_meters_of_the_same_name_elsewhere_never_mix():
    agent = Metering(LATENESS_S)
    fed(agent, [site_at(a_site("mill", a_meter(), a_meter("press", kind="sub_meter", parent="main")))])
    fed(agent, [site_at(a_site("weaver"))])
    rows = readings(
        *({"s": s, "import_kwh": s / 60} for s in (0, 60)),
        *({"s": s, "meter_id": "press", "import_kwh": 500 + s / 30} for s in (0, 60)),
        *({"s": s, "site_id": "weaver", "import_kwh": 90 - s} for s in (0, 60)),
        *({"s": s, "site_id": "weaver", "import_kwh": 30 + s / 15} for s in (60, 120)),
    )

    outcomes = fed(agent, [rows_at(Kind.READINGS, 120, rows), tick_at(180)])

    found = {
        (row["site_id"], row["meter_id"], row["meter_kind"], minute_of(row)): row["import_kwh"]
        for row in sent(outcomes, Kind.WINDOWS)
    }
    assert found == {
        ("mill", "main", "grid", 0): 1.0,
        ("mill", "press", "sub_meter", 0): 2.0,
        ("weaver", "main", "grid", 1): 8.0,
    }
    assert [(row["site_id"], row["reason"]) for row in refused(outcomes)] == [("weaver", "register_decreased")]


def test_a_reading_of_an_unknown_meter_is_rejected_and_the_others_pass():
    rows = readings(
        {"s": 0, "import_kwh": 1.0}, {"s": 0, "meter_id": "ghost", "import_kwh": 9.0}, {"s": 60, "import_kwh": 2.0}
    )

    outcomes = measured(rows_at(Kind.READINGS, 60, rows), tick_at(120))

    assert [(row["meter_id"], row["reason"]) for row in refused(outcomes)] == [("ghost", "unknown_meter")]
    assert kwh_by_minute(outcomes) == {0: 1.0}


def test_a_window_says_which_raw_messages_it_was_made_from():
    rows = readings(
        *({"s": s, "import_kwh": s, "raw_partition": 3, "raw_offset": 40 + s} for s in (0, 30, 60, 90, 120))
    )

    outcomes = measured(rows_at(Kind.READINGS, 120, rows), tick_at(180))

    places = [
        (row["raw_partition"], row["raw_offset_first"], row["raw_offset_last"]) for row in sent(outcomes, Kind.WINDOWS)
    ]
    assert places == [(3, 40, 100), (3, 100, 160)]


def test_an_older_record_of_a_site_changes_nothing():
    agent = Metering(LATENESS_S)
    outcomes = fed(agent, [site_at(a_site(), 5), site_at(a_site("mill", a_meter(multiplier=9.0)), 4)])

    assert [len(outcome.outputs) for outcome in outcomes] == [2, 0]  # the record and the profile
    assert kwh_by_minute(fed(agent, taken({0: 1.0, 60: 2.0}))) == {0: 1.0}


def test_another_multiplier_is_no_energy():
    agent = Metering(LATENESS_S)
    fed(agent, [site_at(a_site()), rows_at(Kind.READINGS, 60, registers({0: 1000.0, 60: 1001.0})), tick_at(60)])
    fed(agent, [site_at(a_site("mill", a_meter(multiplier=30.0)), revision=2)])

    outcomes = fed(agent, taken({120: 1002.0, 180: 1003.0}))

    assert kwh_by_minute(outcomes) == pytest.approx({0: 30.0, 1: 30.0, 2: 30.0})
    assert refused(outcomes) == []


def test_the_open_windows_of_a_meter_that_is_gone_are_dropped():
    agent = Metering(LATENESS_S)
    press = a_meter("press", kind="sub_meter", parent="main")
    fed(agent, [site_at(a_site("mill", a_meter(), press))])
    rows = readings(*({"s": s, "meter_id": name, "import_kwh": s} for name in ("main", "press") for s in (0, 60)))
    fed(agent, [rows_at(Kind.READINGS, 60, rows), tick_at(60), rows_at(Kind.READINGS, 70, rows.head(0))])

    outcomes = fed(agent, [site_at(a_site(), revision=2), tick_at(120)])

    assert [row["meter_id"] for row in sent(outcomes, Kind.WINDOWS)] == ["main"]
    assert [row["meter_id"] for row in sent(outcomes, Kind.LIVE)] == ["main"]


def test_a_message_of_another_kind_is_a_bug():
    with pytest.raises(ValueError, match="metering takes readings"):
        measured(rows_at(Kind.WINDOWS, 0, windows({})))


def test_the_rest_of_a_pause_stays_estimated_after_its_windows_closed():
    outcomes = measured(*taken({0: 1.0, 60: 2.0, 390: 13.0}), *taken({420: 14.0}))

    assert quality_by_minute(outcomes) == {0: "measured"} | dict.fromkeys(range(1, 7), "estimated")
    assert kwh_by_minute(outcomes)[6] == pytest.approx(2.0)  # 1 kWh of the pause, 1 kWh of the 30 s behind it


def test_a_restored_agent_closes_windows_by_waiting():
    before, after = Metering(LATENESS_S), Metering(LATENESS_S)
    fed(before, [site_at(a_site()), rows_at(Kind.READINGS, 60, registers({0: 1.0, 60: 2.0})), tick_at(61)])

    after.restore(before.snapshot())

    assert sent(fed(after, [tick_at(119)]), Kind.WINDOWS) == []
    assert kwh_by_minute(fed(after, [tick_at(120)])) == {0: 1.0}


def test_readings_that_wait_for_a_tick_are_fitted_to_a_new_record_too():
    agent = Metering(LATENESS_S)
    press = a_meter("press", kind="sub_meter", parent="main")
    rows = readings(*({"s": s, "meter_id": name, "import_kwh": s} for name in ("main", "press") for s in (0, 60)))
    fed(agent, [site_at(a_site("mill", a_meter(), press)), rows_at(Kind.READINGS, 60, rows)])

    outcomes = fed(agent, [site_at(a_site("mill", a_meter(multiplier=2.0)), revision=2), tick_at(120)])

    assert [(row["meter_id"], row["import_kwh"]) for row in sent(outcomes, Kind.WINDOWS)] == [("main", 120.0)]
