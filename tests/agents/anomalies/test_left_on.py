"""Equipment that should be off and draws on."""

from datetime import date, timedelta

import numpy as np
import pytest
from watched import (
    LEARNT,
    MONDAY,
    QUARTER_MS,
    REFERENCE,
    a_works,
    at_ms,
    but,
    clock,
    day_of,
    days_of,
    from_to,
    learnt,
    made_at,
    told,
    usual_kw,
)

from agents.pricing.pricing import Pricing

TODAY = MONDAY + timedelta(LEARNT)  # a Monday
EVENING = from_to("18:00", "24:00")


def of(rows: list[dict[str, object]], meter: str = "press") -> list[dict[str, object]]:
    return [row for row in rows if row["meter_id"] == meter and row["kind"] == "left_on"]


def test_usual_weeks_with_a_public_holiday_raise_nothing():
    agent = learnt(a_works(), days=30)

    assert told(agent, days_of(a_works(), MONDAY + timedelta(30), 60, usual_kw)) == []


def test_a_press_left_on_in_the_evening_is_opened_updated_and_closed_when_it_stops():
    agent = learnt(a_works())
    rows = of(told(agent, [day_of(a_works(), TODAY, but(TODAY, "press", from_to("18:00", "22:00"), 50.0))]))

    assert [row["status"] for row in rows] == ["opened", "updated", "updated", "updated", "updated", "closed"]
    assert clock(rows[0]["began_at"]) == "2026-07-20 18:00"
    assert clock(rows[0]["opened_at"]) <= "2026-07-20 18:45"
    assert clock(rows[-1]["ended_at"]) == "2026-07-20 22:30"  # two usual quarter hours later
    assert {row["anomaly_id"] for row in rows} == {f"anomalies/left_on/mill/press/{rows[0]['opened_at']}"}
    assert [row["sequence"] for row in rows] == list(range(6))
    assert rows[-1]["end_reason"] == "stopped"
    assert rows[-1]["observed_kw"] == pytest.approx(50)
    assert rows[-1]["expected_kw"] == pytest.approx(2, rel=0.05)


def test_a_weekend_left_on_costs_what_was_planted():
    friday = TODAY + timedelta(4)
    load = but(friday, "press", EVENING, 50.0)
    for day in (1, 2):
        load = but(friday + timedelta(day), "press", from_to("00:00", "24:00"), 50.0, load)
    load = but(friday + timedelta(3), "press", from_to("00:00", "06:00"), 50.0, load)
    agent = learnt(a_works())
    rows = of(told(agent, days_of(a_works(), TODAY, 8, load)))

    last = rows[-1]
    pricing = Pricing(REFERENCE)
    pricing.learn([a_works()])
    kwh = cny = kg = 0.0
    for number in range(4):
        day = friday + timedelta(number)
        planted, usual = load("press", day), usual_kw("press", day)
        assert planted is not None
        for quarter in np.flatnonzero(planted != usual).tolist():
            terms = pricing.terms({"mill": at_ms(day) + quarter * QUARTER_MS})["mill"]
            wasted = float(planted[quarter] - usual[quarter]) / 4
            kwh += wasted
            cny += terms.cost_cny(wasted) or 0.0
            kg += terms.emitted_kg(wasted) or 0.0
    assert [row["status"] for row in rows if row["status"] != "updated"] == ["opened", "closed"]
    assert clock(last["ended_at"]) == "2026-07-27 06:30"
    assert last["wasted_kwh"] == pytest.approx(kwh, rel=0.02)
    assert last["wasted_cny"] == pytest.approx(cny, rel=0.02)
    assert last["wasted_kg"] == pytest.approx(kg, rel=0.02)


def test_the_sentence_says_what_it_is_and_what_it_costs_in_both_languages():
    agent = learnt(a_works())
    first = of(told(agent, [day_of(a_works(), TODAY, but(TODAY, "press", EVENING, 50.0))]))[0]

    assert str(first["message_en"]).startswith("Press line should have stopped at 07-20 18:00: it draws 50.0 kW")
    assert "CNY" in str(first["message_en"])
    assert str(first["message_zh"]).startswith("Press line应在07-20 18:00停机：现用电50.0 kW")


def test_what_works_on_a_free_day_to_make_something_is_wanted():
    sunday = TODAY + timedelta(6)
    load = but(sunday, "press", from_to("08:00", "16:00"), 50.0)

    agent = learnt(a_works())
    before = days_of(a_works(), TODAY, 6, usual_kw)
    assert of(told(agent, [*before, made_at(sunday, "08:00", 8, "press"), day_of(a_works(), sunday, load)])) == []

    agent = learnt(a_works())
    before = days_of(a_works(), TODAY, 6, usual_kw)
    rows = of(told(agent, [*before, made_at(sunday, "08:00", 8, "other"), day_of(a_works(), sunday, load)]))
    assert rows[0]["status"] == "opened"


def test_production_that_is_reported_later_suppresses_it():
    sunday = TODAY + timedelta(6)
    load = but(sunday, "press", from_to("08:00", "16:00"), 50.0)
    whole = day_of(a_works(), sunday, load)
    assert whole.rows is not None
    halves = [day_of(a_works(), sunday, load) for _ in range(2)]
    cut = len(whole.rows) // 2
    morning, afternoon = (
        type(whole)(whole.kind, whole.arrived_at, rows)
        for half, rows in zip(halves, (whole.rows[:cut], whole.rows[cut:]), strict=True)
    )
    agent = learnt(a_works())
    told(agent, days_of(a_works(), TODAY, 6, usual_kw))
    rows = of(told(agent, [morning, made_at(sunday, "08:00", 8), afternoon]))

    assert rows[0]["status"] == "opened"
    assert rows[-1]["status"] == "suppressed"
    assert rows[-1]["end_reason"] == "production"


def test_a_server_room_may_run_at_night():
    agent = learnt(a_works())

    assert of(told(agent, [day_of(a_works(), TODAY, but(TODAY, "racks", EVENING, 8.0))]), "racks") == []


def test_a_holiday_is_a_day_off_and_a_press_that_runs_on_it_is_found():
    holiday = date(2026, 10, 1)  # National Day, a Thursday
    agent = learnt(a_works(), days=(holiday - MONDAY).days)
    rows = of(told(agent, [day_of(a_works(), holiday, usual_kw)]))

    assert rows[0]["status"] == "opened"
    assert clock(rows[0]["began_at"]) == "2026-10-01 07:00"


def test_what_is_estimated_or_missing_raises_nothing():
    night = but(TODAY, "press", EVENING, 50.0)
    agent = learnt(a_works())
    assert of(told(agent, [day_of(a_works(), TODAY, night, quality="estimated")])) == []

    agent = learnt(a_works())
    assert of(told(agent, [day_of(a_works(), TODAY, night, revision=1)])) == []


def test_nothing_is_said_while_too_little_is_known():
    agent = learnt(a_works(), days=14)
    tuesday = MONDAY + timedelta(15)

    assert told(agent, days_of(a_works(), MONDAY + timedelta(14), 3, but(tuesday, "press", EVENING, 50.0))) == []


def test_early_starts_on_some_mornings_do_not_hide_what_is_left_on_in_the_evening():
    load = usual_kw
    for number in range(0, LEARNT, 7):
        load = but(MONDAY + timedelta(number), "press", from_to("04:00", "06:00"), 50.0, load)
    agent = learnt(a_works(), load)
    rows = of(told(agent, [day_of(a_works(), TODAY, but(TODAY, "press", EVENING, 50.0))]))

    assert rows[0]["status"] == "opened"
    assert clock(rows[0]["opened_at"]) <= "2026-07-20 18:45"


def test_what_is_drawn_in_one_go_is_one_anomaly_in_all_parts_of_a_night():
    agent = learnt(a_works())
    rows = of(told(agent, [day_of(a_works(), TODAY, but(TODAY, "press", from_to("19:45", "21:00"), 50.0))]))

    assert clock(rows[0]["began_at"]) == "2026-07-20 19:45"
    assert clock(rows[0]["opened_at"]) == "2026-07-20 20:15"
    assert [row["status"] for row in rows].count("opened") == 1


def test_what_goes_on_every_night_becomes_usual():
    load = usual_kw
    for number in range(60):
        load = but(TODAY + timedelta(number), "press", EVENING, 50.0, load)
    agent = learnt(a_works())
    rows = of(told(agent, days_of(a_works(), TODAY, 60, load)))
    opened = [clock(row["opened_at"])[:10] for row in rows if row["status"] == "opened"]

    assert opened[0] == "2026-07-20"
    assert len(opened) < 30
    assert opened[-1] < "2026-09-01"
