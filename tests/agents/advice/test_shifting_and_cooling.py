"""Load that moves out of dear hours, and set-points that rise."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from advised import Rows, advised, an_adviser, left_on_every, lived, of_kind, told_of, weather_of
from builders import a_meter
from watched import MONDAY, a_works, at_ms, site_at, usual_kw

from schemas.flow import Kind, Message
from schemas.registry import Site
from schemas.zone import ZONE_ROWS


def early_or_late(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
    """Eight hours of work: two days a week from 06:00, the others from 14:00, when the peak comes; no night work."""
    powers = usual_kw(meter, day)
    if day.isoweekday() > 5:
        return powers
    quarters = np.arange(96)
    begins = 24 if day.isoweekday() in (1, 2) else 56
    press = np.where((quarters >= begins) & (quarters < begins + 32), 50.0, 2.0)
    return press + 10 if meter == "main" else press if meter == "press" else powers


def test_days_that_begin_early_show_what_moving_load_saves():
    found = of_kind(told_of(a_works(), early_or_late)[1], "shift_load")[0]
    evidence = dict(part.split("=") for part in str(found["evidence"]).split(", "))

    assert float(evidence["best_dear_share"]) < float(evidence["dear_share"])
    assert 0 < float(str(found["saved_cny_low"])) <= float(str(found["saved_cny_high"]))
    assert (found["saved_kwh_low"], found["saved_kwh_high"], found["saved_kg_high"]) == (0.0, 0.0, 0.0)
    assert "Press line" in str(found["message_en"])
    # What is moved cannot cost less than nothing, nor save more than the whole spread of the tariff (0.6 CNY here).
    assert float(str(found["saved_cny_high"])) < 1.2 * float(evidence["moved_kwh_high"])


def test_a_night_that_was_left_on_is_no_good_example():
    assert of_kind(told_of(a_works(), left_on_every(2, 4))[1], "shift_load") == []


def cooled(set_c: float, outdoor_c: float) -> Rows:
    zones = ({"id": "hall", "name": "Hall", "area_m2": 400.0, "meter": "chiller"},)
    meters = (*a_works().meters, a_meter("chiller", kind="hvac", parent="main"))
    site: Site = a_works(meters=meters, zones=zones)
    agent = an_adviser()
    agent.step(site_at(site))

    def load(meter: str, day: date) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
        return np.full(96, 10.0) if meter == "chiller" else usual_kw(meter, day)

    rows: Rows = []
    for number in range(35):
        day = MONDAY + timedelta(number)
        rows += advised(
            agent, [weather_of(day, 400.0, outdoor_c), set_point_of(day, set_c), *lived(site, day, 1, load)]
        )
    return of_kind(rows, "set_point")


def set_point_of(day: date, cooling_c: float) -> Message:
    """What the hall is cooled to."""
    row = {
        "tenant_id": "acme",
        "site_id": "mill",
        "zone_id": "hall",
        "ts": at_ms(day, "10:00"),
        "own_cooling_c": cooling_c,
        "occupied": True,
        "raw_partition": 0,
        "raw_offset": 0,
        "raw_index": 0,
    }
    frame = pl.DataFrame([row], schema=ZONE_ROWS | {"ts": pl.Int64()}, orient="row")
    return Message(Kind.ZONES, at_ms(day), frame.with_columns(pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")))


def test_two_kelvin_less_cooling_save_six_to_twenty_percent_of_it():
    found = cooled(24.0, 30.0)[0]

    # 14 warm days of 240 kWh; at most they are 150 a year.
    assert found["saved_kwh_low"] == pytest.approx(14 * 240 * 2 * 0.03, rel=1e-6)
    assert found["saved_kwh_high"] == pytest.approx(150 * 240 * 2 * 0.10, rel=1e-6)
    assert "Hall" in str(found["message_en"])


@pytest.mark.parametrize(("set_c", "outdoor_c"), [(26.0, 30.0), (24.0, 15.0)], ids=["mild already", "no warm day"])
def test_nothing_is_said_where_nothing_is_cooled_too_deeply(set_c: float, outdoor_c: float):
    assert cooled(set_c, outdoor_c) == []
