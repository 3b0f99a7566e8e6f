"""Stand-by that grows for weeks."""

from datetime import timedelta

import pytest
from watched import MONDAY, a_works, at_ms, days_of, growing, learnt, told, usual_kw

DAY_MS = 86_400_000
BEGINS = MONDAY + timedelta(100)


def of(rows: list[dict[str, object]], meter: str) -> list[dict[str, object]]:
    return [row for row in rows if row["kind"] == "standby_creep" and row["meter_id"] == meter]


def test_a_press_whose_stand_by_doubles_within_three_weeks_is_found_and_becomes_the_new_normal():
    agent = learnt(a_works(), days=100)
    rows = of(told(agent, days_of(a_works(), BEGINS, 80, growing(BEGINS, 2.0, 21))), "press")

    opened = int(str(rows[0]["opened_at"])) - at_ms(BEGINS)
    assert rows[0]["status"] == "opened"
    assert 5 * DAY_MS < opened < 30 * DAY_MS
    assert rows[-1]["end_reason"] in {"new_normal", "normal_again"}
    assert rows[-1]["expected_kw"] == pytest.approx(2.0, rel=0.1)
    assert 3.0 < float(str(rows[-1]["observed_kw"])) < 4.1  # it was found while it grew
    days = len([row for row in rows if row["status"] == "updated"]) + 1
    assert rows[-1]["wasted_kwh"] == pytest.approx(2.0 * 24 * days, rel=0.3)


def test_stand_by_that_stays_is_none():
    agent = learnt(a_works(), days=100)

    assert [
        row for row in told(agent, days_of(a_works(), BEGINS, 60, usual_kw)) if row["kind"] == "standby_creep"
    ] == []
