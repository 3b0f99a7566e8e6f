"""Scores: energy, peaks and discomfort after the days of learning, against the building's own schedule."""

from pathlib import Path

import numpy as np
import pytest
from simulated import AT_WORK, STEPS, office

from bench.hvac.controllers import info_of, own_band_c
from bench.hvac.scoring import score
from bench.hvac.table import table
from bench.hvac.trace import STEPS_PER_DAY, Trace

KEY = ("office", "peak-heat", "timer", "neutral")


def test_the_own_schedule_saves_exactly_nothing():
    one = score(KEY, office(), office(), 1)

    assert one.saving == 0.0
    assert [one.beyond_own_k(band) for band in ("own", "held", "safe")] == [0.0, 0.0, 0.0]


def test_energy_and_peaks_are_those_after_the_days_of_learning():
    electric = np.full(STEPS, 0.5)
    electric[:STEPS_PER_DAY] = 100.0  # while it learns: does not count
    electric[-1] = 2.0

    one = score(KEY, office(electric_kwh=electric), office(), 1)

    assert one.own_kwh == pytest.approx(96 * 4.0)
    assert one.saving == pytest.approx((96 * 0.5 - 1.5) / (96 * 4.0))
    assert (one.peak_kw, one.own_peak_kw) == (20.0, 16.0)
    assert (one.peak_electric_kw, one.own_peak_electric_kw) == (8.0, 4.0)


def test_discomfort_counts_while_people_are_there_and_nowhere_else():
    air_c = np.full((STEPS, 2), 22.0)
    air_c[:, 1] = -5.0  # a store without people
    air_c[: AT_WORK.start, 0] = 5.0  # at night, and while it learns
    air_c[AT_WORK.start, 0] = 19.0  # a quarter of an hour, 2 K below the own band and 1 K below 20 °C
    air_c[AT_WORK.start + 1, 0] = 25.0  # 1 K above the own band

    one = score(KEY, office(air_c=air_c), office(), 1)

    assert one.occupied_h == 10.0
    assert one.discomfort.own_kh == pytest.approx(0.25 * (2 + 1))
    assert one.discomfort.safe_kh == pytest.approx(0.25 * 1)
    assert one.beyond_own_k("own") == pytest.approx(0.075)


def test_what_the_own_schedule_misses_is_not_the_controllers_fault():
    cold = np.full((STEPS, 2), 20.0)

    assert score(KEY, office(air_c=cold), office(air_c=cold), 1).beyond_own_k("own") == 0.0


def test_the_own_band_of_a_moment_is_wider_than_the_one_held_where_the_schedule_has_gone_back():
    early = office().heating_c.copy()
    early[AT_WORK.start : AT_WORK.start + 4, 0] = 15.0  # people are in an hour before it heats
    own = office(heating_c=early)
    air_c = np.full((STEPS, 2), 22.0)
    air_c[AT_WORK.start : AT_WORK.start + 4, 0] = 20.0

    one = score(KEY, office(air_c=air_c), own, 1)

    assert one.discomfort.own_kh == 0.0
    assert one.discomfort.held_kh == pytest.approx(1.0)


def test_traces_of_other_steps_are_not_compared():
    shorter = office(outdoor_c=np.zeros(96))

    with pytest.raises(ValueError, match="not of the same zones and steps"):
        score(KEY, shorter, office(), 1)


def test_a_trace_is_read_as_it_was_written(tmp_path: Path):
    office(unanswered=3).save(tmp_path / "trace.npz")
    read = Trace.load(tmp_path / "trace.npz")

    assert (read.zones, read.start, read.unanswered) == (("office", "store"), office().start, 3)
    np.testing.assert_array_equal(read.cooling_c, office().cooling_c)


def test_the_table_has_means_in_which_each_building_counts_alike():
    small = score(KEY, office(fuel_kwh=np.full(STEPS, 2.0)), office(), 1)  # 25 % less
    large = score(
        ("hall", *KEY[1:]), office(fuel_kwh=np.full(STEPS, 3e6)), office(fuel_kwh=np.full(STEPS, 3e6)), 1
    )  # 0 %

    lines = table([small, large]).splitlines()

    assert lines[2].startswith("| peak-heat | timer | neutral | 12.5% | 0.0% | +0.000 |")
    assert lines[2].endswith("| 0 | 0 | 2 |")
    assert [line.split(" | ")[6] for line in lines[6:]] == ["25.0%", "0.0%"]


def test_the_own_band_is_what_the_schedule_holds_while_people_are_there():
    low, high = own_band_c(office())

    assert low.tolist() == [21.0, 10.0]
    assert high.tolist() == [24.0, 32.0]  # the store has no cooling: the limit


def test_modes_differ_by_the_occupied_band_and_nothing_else():
    neutral, safe = info_of(office(), "neutral"), info_of(office(), "20-26")

    assert neutral["comfort"]["occupied"] == {"office": (21.0, 24.0), "store": (10.0, 32.0)}
    assert safe["comfort"].pop("occupied") == (20.0, 26.0)
    del neutral["comfort"]["occupied"]
    assert neutral == safe


def test_a_store_may_be_told_to_stay_within_its_own_set_points():
    assert info_of(office(), "neutral")["comfort"]["unoccupied"]["store"] == (12.0, 32.0)
    assert info_of(office(), "neutral", keep_empty=True)["comfort"]["unoccupied"] == {
        "office": (12.0, 32.0),
        "store": (10.0, 32.0),
    }


def test_a_clock_on_the_wall_skips_an_hour_and_standard_time_does_not():
    trace = office()
    step = STEPS_PER_DAY + 8

    assert [trace.now(at, wall=True).hour for at in (step - 1, step)] == [1, 3]
    assert [trace.now(at, wall=False).hour for at in (step - 1, step)] == [1, 2]
