from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.reading import FIELD
from streams.demo import DEMO_REGISTRY
from streams.demo.building import METER_IDS, SITE_ID
from streams.demo.recorded import (
    ANCHOR_MS,
    FACTORY_ZONE,
    LOADS,
    METERS,
    STEP_MS,
    month_bounds_ms,
    month_readings,
    readings_between,
)
from streams.demo.single_pass import HOUR_MS, single_pass_energy

DAY_MS = 24 * HOUR_MS
instants = st.integers(ANCHOR_MS, ANCHOR_MS + 4_000 * DAY_MS)


def at(text: str) -> int:
    """A wall clock time of the factories in ms since 1970 UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=FACTORY_ZONE).timestamp()) * 1_000


def shown_by(site_id: str, meter_id: str, from_ms: int, until_ms: int) -> pl.DataFrame:
    return readings_between(from_ms, until_ms).filter(site_id=site_id, meter_id=meter_id)


def test_the_register_counts_what_was_recorded_since_the_anchor():
    first = shown_by("zj-steel", "main", ANCHOR_MS, ANCHOR_MS + HOUR_MS)

    # Recorded: 12.68, 16.00, 12.96 kW in the first three quarters of Monday 2018-01-01.
    assert first["import_kwh"].to_list() == [0.0, 3.17, 3.17 + 4.0, 3.17 + 4.0 + 3.24]
    assert first["power_kw"].to_list()[1:] == [12.68, 16.0, 12.96]


def test_a_monday_morning_in_the_factory_is_a_recorded_monday_morning():
    recorded = pl.read_parquet(LOADS / "steel.parquet")
    wanted = recorded.filter(pl.col("timestamp") == pl.datetime(2018, 1, 8, 9))["steel_main"].item()

    shown = shown_by("zj-steel", "main", at("2020-01-13T09:15"), at("2020-01-13T09:30"))

    assert shown["power_kw"].to_list() == [wanted]


def test_the_recording_begins_again_after_its_last_week():
    cycle_ms = 39 * 7 * DAY_MS
    first = shown_by("zj-steel", "main", ANCHOR_MS + STEP_MS, ANCHOR_MS + DAY_MS)
    again = shown_by("zj-steel", "main", ANCHOR_MS + cycle_ms + STEP_MS, ANCHOR_MS + cycle_ms + DAY_MS)

    assert again["power_kw"].to_list() == first["power_kw"].to_list()
    cycle_kwh = pl.read_parquet(LOADS / "steel.parquet")["steel_main"].sum() / 4
    assert (again["import_kwh"] - first["import_kwh"]).to_list() == pytest.approx([cycle_kwh] * 95)


@given(instants, st.integers(0, 3 * DAY_MS), st.integers(0, 3 * DAY_MS))
def test_two_runs_read_the_same_meters(start_ms, before_ms, length_ms):
    start_ms = max(ANCHOR_MS, start_ms)
    whole = readings_between(start_ms, start_ms + before_ms + length_ms)
    later = readings_between(start_ms + before_ms, start_ms + before_ms + length_ms)

    assert later.rows() == whole.filter(pl.col("ts") >= start_ms + before_ms).rows()


@given(instants)
def test_a_register_never_goes_back_and_agrees_with_the_power(start_ms):
    shown = readings_between(start_ms, start_ms + DAY_MS)

    for _, meter in shown.group_by("site_id", "meter_id"):
        energies_kwh = np.diff(meter["import_kwh"].to_numpy())
        assert (energies_kwh >= 0).all()
        assert energies_kwh == pytest.approx(meter["power_kw"].to_numpy()[1:] / 4, abs=1e-6)


@given(instants, st.integers(0, 2 * DAY_MS))
def test_readings_come_at_recorded_instants_only_and_in_order(start_ms, length_ms):
    shown = readings_between(start_ms, start_ms + length_ms)

    assert shown.schema == pl.Schema(FIELD)
    assert (shown["ts"] % STEP_MS == 0).all()
    assert shown["ts"].is_sorted()
    assert shown["ts"].is_between(start_ms, start_ms + length_ms, closed="left").all()
    assert len(shown) == len(METERS) * (-(-(start_ms + length_ms) // STEP_MS) - -(-start_ms // STEP_MS))


def test_a_sub_meter_stays_below_its_grid_meter_at_every_moment():
    year = readings_between(ANCHOR_MS, ANCHOR_MS + 39 * 7 * DAY_MS)

    for site_id, sub_meter in (("gd-panels", "press-line"), ("js-textiles", "looms")):
        grid_kw = year.filter(site_id=site_id, meter_id="main")["power_kw"]
        assert (year.filter(site_id=site_id, meter_id=sub_meter)["power_kw"] < grid_kw).all()


def test_a_time_before_the_meters_began_to_count_is_refused():
    with pytest.raises(ValueError, match="began to count"):
        readings_between(ANCHOR_MS - 1, ANCHOR_MS)


def test_a_month_goes_from_its_first_to_its_last_midnight_in_china():
    start_ms, end_ms = month_bounds_ms(2026, 12)
    assert datetime.fromtimestamp(start_ms / 1_000, UTC) == datetime(2026, 11, 30, 16, tzinfo=UTC)

    december = month_readings(2026, 12, extra_s=1_800)

    assert december["ts"].min() == start_ms
    assert december["ts"].max() == end_ms + 1_800_000
    assert len(december) == len(METERS) * (31 * 96 + 1 + 2)


def test_the_registers_of_a_month_add_up_to_the_single_pass_over_the_files():
    start_ms, end_ms = month_bounds_ms(2026, 7)

    read = month_readings(2026, 7).sort("site_id", "meter_id", "ts").group_by("site_id", "meter_id")
    by_register = read.agg(read_kwh=pl.col("import_kwh").last() - pl.col("import_kwh").first())
    recorded = single_pass_energy(start_ms, end_ms).group_by("site_id", "meter_id").agg(pl.col("energy_kwh").sum())

    both = by_register.join(recorded, on=["site_id", "meter_id"], how="full", validate="1:1")
    assert len(both) == len(METERS)
    assert both["read_kwh"].to_list() == pytest.approx(both["energy_kwh"].to_list(), rel=1e-11)


def test_an_hour_of_the_single_pass_is_the_mean_of_four_recorded_quarters():
    start_ms = at("2020-01-06T09:00")

    hour = single_pass_energy(start_ms, start_ms + HOUR_MS).filter(site_id="js-textiles", meter_id="looms")

    recorded = pl.read_parquet(LOADS / "simbench.parquet")["sb_G4-H"][36:40]
    assert hour["energy_kwh"].to_list() == pytest.approx([2.0 * recorded.mean()])


def test_the_single_pass_takes_whole_hours_only():
    with pytest.raises(ValueError, match="whole hours"):
        single_pass_energy(ANCHOR_MS + 1, ANCHOR_MS + HOUR_MS)


@pytest.mark.parametrize("file", ["steel.parquet", "simbench.parquet"])
def test_a_recording_is_whole_weeks_from_a_monday_on_without_a_gap(file):
    recorded = pl.read_parquet(LOADS / file)

    assert recorded["timestamp"][0].weekday() == 0
    assert len(recorded) % (7 * 96) == 0
    assert recorded["timestamp"].diff().drop_nulls().unique().dt.total_minutes().to_list() == [15]
    assert recorded.null_count().sum_horizontal().item() == 0


def test_every_recording_is_named_in_the_notice_with_its_licence():
    notice = (LOADS / "NOTICE.md").read_text()

    for file in LOADS.glob("*.parquet"):
        assert f"## {file.name}" in notice
    for licence in ("creativecommons.org/licenses/by/4.0", "licenses/odbl/1-0", "licenses/dbcl/1-0"):
        assert licence in notice


def test_the_meters_are_those_of_the_demo_registry():
    registry = yaml.safe_load(DEMO_REGISTRY.read_text())

    registered = {(site["id"], meter["id"]) for site in registry["sites"] for meter in site["meters"]}

    simulated = {(SITE_ID, meter_id) for meter_id in METER_IDS}
    assert {(meter.site_id, meter.meter_id) for meter in METERS} | simulated == registered
