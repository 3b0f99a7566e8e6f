"""Far more power than usual while electricity is dear."""

from datetime import timedelta

import pytest
from watched import LEARNT, MONDAY, a_works, but, clock, day_of, days_of, from_to, learnt, told, usual_kw

TODAY = MONDAY + timedelta(LEARNT)  # a Monday in July: in Zhejiang the peak begins at 16:00
AFTERNOON = from_to("15:00", "18:00")


def of(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [row for row in rows if row["kind"] == "peak_surge"]


def test_a_surge_in_peak_hours_is_found_at_the_grid_meter_and_names_what_drives_it():
    agent = learnt(a_works())
    rows = of(told(agent, [day_of(a_works(), TODAY, but(TODAY, "press", AFTERNOON, 90.0))]))

    assert [row["status"] for row in rows if row["status"] != "updated"] == ["opened", "closed"]
    assert {row["meter_id"] for row in rows} == {"main"}
    assert clock(rows[0]["began_at"]) == "2026-07-20 16:00"
    assert clock(rows[0]["opened_at"]) == "2026-07-20 16:15"
    assert str(rows[0]["drivers"]).startswith("press +")
    assert "press +" in str(rows[0]["message_en"])
    assert rows[-1]["wasted_kwh"] == pytest.approx(2 * 40, rel=0.05)  # what it drew before the peak is not counted


def test_the_same_at_night_is_no_matter_of_peak_hours():
    agent = learnt(a_works())

    assert of(told(agent, [day_of(a_works(), TODAY, but(TODAY, "press", from_to("00:00", "04:00"), 90.0))])) == []


def test_a_day_that_is_high_all_along_is_no_surge():
    agent = learnt(a_works())
    load = but(TODAY, "press", from_to("07:00", "18:00"), 65.0)

    assert of(told(agent, [day_of(a_works(), TODAY, load)])) == []


def test_usual_days_raise_nothing():
    agent = learnt(a_works(), days=45)

    assert of(told(agent, days_of(a_works(), MONDAY + timedelta(45), 45, usual_kw))) == []
