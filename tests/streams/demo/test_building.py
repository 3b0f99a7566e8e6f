"""The simulated building: it goes on where it stopped, gives back what ran out, and its meters add up."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streams.demo.building import SITE_ID, STEP_MS, ZONES, Building, Hold
from streams.demo.plant import in_use
from streams.demo.recorded import ANCHOR_MS

DAY_MS = 86_400_000
SUMMER_MS = ANCHOR_MS + 2380 * DAY_MS  # a Monday in July 2026
WORKSHOP, OFFICE = ZONES


def new(start_ms: int = SUMMER_MS) -> Building:
    return Building.new(start_ms)


def test_the_grid_meter_counts_what_the_zones_take_and_what_is_always_on():
    building = new()
    shown = building.advance(SUMMER_MS + 7 * DAY_MS).meters
    last = dict(shown.filter(ts=shown["ts"].max()).select("meter_id", "import_kwh").iter_rows())
    hours_of_use = sum(in_use(WORKSHOP.kind, building.step - 1 - step) for step in range(7 * 96)) / 4

    rest = last["main"] - last["hvac-workshop"] - last["hvac-office"]
    assert rest == pytest.approx(3.0 * 7 * 24 + 9.0 * hours_of_use)
    assert last["hvac-workshop"] > last["hvac-office"] > 50


def test_registers_and_powers_say_the_same():
    shown = new().advance(SUMMER_MS + DAY_MS).meters.filter(meter_id="main")
    grown = shown["import_kwh"].diff().drop_nulls()

    assert grown.to_list() == pytest.approx((shown["power_kw"][1:] / 4).to_list(), abs=2e-3)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 3 * DAY_MS), max_size=5).map(sorted))
def test_a_run_in_pieces_measures_what_one_run_does(cuts: list[int]):
    whole = new().advance(SUMMER_MS + 3 * DAY_MS)
    building, pieces = new(), list[pl.DataFrame]()
    for cut in [*cuts, 3 * DAY_MS]:
        pieces.append(building.advance(SUMMER_MS + cut).zones)
        building = Building.of_json(building.to_json())

    assert_frame_equal(pl.concat([piece for piece in pieces if piece.height]), whole.zones)
    assert building == Building.of_json(building.to_json())


def test_without_anybody_writing_its_own_schedule_holds_and_people_are_comfortable():
    zones = new().advance(SUMMER_MS + 14 * DAY_MS).zones
    with_people = zones.filter("occupied")

    assert_frame_equal(
        zones.select("cooling_c", "heating_c"), zones.select(cooling_c="own_cooling_c", heating_c="own_heating_c")
    )
    assert with_people["air_c"].min() > 19.9
    assert with_people["air_c"].max() < 25.1
    assert with_people.height < zones.filter(pl.col("own_cooling_c") == 25.0).height


def test_what_is_written_holds_until_its_end_and_no_longer_even_if_nobody_takes_it_back():
    noon_ms = SUMMER_MS + DAY_MS // 2
    building = new()
    building.advance(noon_ms)
    building.holds["office"] = Hold(28.0, None, 10, noon_ms + 60_000, noon_ms + 3 * STEP_MS)
    office = building.advance(noon_ms + 6 * STEP_MS).zones.filter(zone_id="office")

    assert office["cooling_c"].to_list() == [28.0, 28.0, 25.0, 25.0, 25.0, 25.0]
    assert set(office["heating_c"]) == {20.0}
    warmest = office["air_c"].arg_max()
    # The first step began before it was written, the last one that begins before its end is the third.
    assert warmest in {1, 2}
    assert office["air_c"][-1] < office["air_c"][warmest] - 1.0


def test_a_wider_band_takes_less():
    held, own = new(), new()
    held.holds["office"] = Hold(27.0, 18.0, 10, SUMMER_MS, SUMMER_MS + 7 * DAY_MS)
    for building in (held, own):
        building.advance(SUMMER_MS + 7 * DAY_MS)

    # Most of its heat is people's and the sun's, which a set-point does not change.
    assert held.counts["hvac-office"] < 0.97 * own.counts["hvac-office"]
    assert held.counts["hvac-workshop"] == own.counts["hvac-workshop"]
    assert own.counts["main"] - held.counts["main"] == own.counts["hvac-office"] - held.counts["hvac-office"]


def test_it_freezes_in_winter_only_outdoors():
    shown = new(ANCHOR_MS + 365 * DAY_MS).advance(ANCHOR_MS + 379 * DAY_MS)

    assert shown.weather["outdoor_c"].mean() == pytest.approx(10.0, abs=4.0)
    assert shown.zones["air_c"].min() > 13.0
    assert set(shown.zones["site_id"]) == {SITE_ID}


@pytest.mark.parametrize("text", ["", "[]", '{"step": 1}', '{"step":1,"air_c":{},"counts":{},"holds":{}}'])
def test_what_is_no_state_is_refused(text: str):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Building.of_json(text)
