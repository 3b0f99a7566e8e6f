"""Modules are sized on the load: what they make is geometry, what is used is the smaller of load and sun."""

import math
from datetime import date, timedelta

import numpy as np
import pytest
from advised import advised, an_adviser, lived, of_kind, told_of, weather_of
from builders import a_meter
from hypothesis import given
from hypothesis import strategies as st
from watched import MONDAY, REFERENCE, a_works, site_at, usual_kw

from agents.advice.panels import PERFORMANCE
from agents.advice.sun import CAPITALS, CLEARNESS, MONTH_DAYS, above_the_air_w_m2, sun_over


def test_radiation_above_the_air_is_that_of_the_published_example():
    hourly = above_the_air_w_m2(-20.0, 120.0, 246)
    assert hourly.sum() * 3600 / 1e6 == pytest.approx(32.2, abs=0.05)  # FAO-56, example 8


@given(latitude=st.floats(-60.0, 60.0), day=st.integers(1, 365), longitude=st.floats(80.0, 130.0))
def test_the_hours_of_a_day_add_up_to_the_closed_form_of_the_day(latitude: float, day: int, longitude: float):
    phi, turn = math.radians(latitude), 2 * math.pi * day / 365
    declination = 0.409 * math.sin(turn - 1.39)
    sunset = math.acos(-math.tan(phi) * math.tan(declination))
    # FAO-56, equation 21.
    inner = sunset * math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.sin(sunset)
    mj = 24 * 60 / math.pi * 0.0820 * (1 + 0.033 * math.cos(turn)) * inner

    hourly = above_the_air_w_m2(latitude, longitude, day)
    assert hourly.sum() * 3600 / 1e6 == pytest.approx(mj, rel=0.01, abs=0.02)
    assert (hourly >= 0).all()


def test_noon_is_later_on_the_clock_in_the_west():
    noon = {region: int(above_the_air_w_m2(*CAPITALS[region], 105).argmax()) for region in ("CN-SH", "CN-XJ")}
    assert noon == {"CN-SH": 11, "CN-XJ": 14}


def test_every_region_with_factors_of_its_own_lies_somewhere():
    regions = {name for name in REFERENCE.factors["region_code"].unique() if name.count("-") == 1 and len(name) == 5}
    assert regions <= CAPITALS.keys()


def test_a_region_nobody_knows_gets_no_modules():
    assert sun_over("DE-BE", {}) is None


def test_modules_make_no_more_than_the_load_can_use_itself():
    found = of_kind(told_of(a_works(), usual_kw)[1], "pv")[0]
    evidence = dict(part.split("=") for part in str(found["evidence"]).split(", "))

    assert 0.9 <= float(evidence["self_use_share_low"]) <= float(evidence["self_use_share_high"]) <= 1.0
    days = np.array(MONTH_DAYS, float)[:, None]
    above = np.array([above_the_air_w_m2(*CAPITALS["CN-ZJ"], 15 + 30 * month) for month in range(12)]) / 1000
    for end, clear, ratio in (("low", CLEARNESS.low, PERFORMANCE.low), ("high", CLEARNESS.high, PERFORMANCE.high)):
        # Days in the middle of months that are a day or two off.
        assert float(evidence[f"yield_kwh_per_kwp_{end}"]) == pytest.approx(
            (above * days).sum() * clear * ratio, rel=0.01
        )
    size = float(evidence["size_kwp"])
    # All of it at a share of self-use, worth its price, less the upkeep.
    assert found["saved_kwh_high"] == pytest.approx(
        size * float(evidence["yield_kwh_per_kwp_high"]) * float(evidence["self_use_share_low"]), rel=0.001
    )
    assert found["payback_years_low"] == pytest.approx(
        float(str(found["investment_cny_low"])) / float(str(found["saved_cny_high"]))
    )


def test_a_small_roof_bounds_the_modules():
    found = of_kind(told_of(a_works(floor_area_m2=160.0), usual_kw)[1], "pv")[0]
    assert "size_kwp=20," in str(found["evidence"])


def test_who_has_modules_is_advised_none():
    site = a_works()
    roof = a_meter("roof", kind="generation")
    with_roof = a_works(meters=(*site.meters, roof))
    agent = an_adviser()
    agent.step(site_at(with_roof))
    rows = advised(agent, lived(site, MONDAY, 35))
    assert of_kind(rows, "pv") == []


def test_a_month_of_the_sites_own_sun_counts_before_geometry():
    site = a_works()
    agent = an_adviser()
    agent.step(site_at(site))
    first = date(2026, 6, 1)
    rows = []
    for number in range(35):
        day = first + timedelta(number)
        rows += advised(agent, [weather_of(day, 500.0), *lived(site, day, 1)])
    found = of_kind(rows, "pv")[-1]

    assert "own irradiance of 1 months" in str(found["assumptions_en"])
    assert "实测辐照度" in str(found["assumptions_zh"])
