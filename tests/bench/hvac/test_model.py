"""What is read from models and weather files, and what is changed in models."""

from datetime import date
from pathlib import Path

import pytest

from bench.hvac.buildings import Building
from bench.hvac.model import prepared, thermostats
from bench.hvac.weather import Window, daily_outdoor_c, windows

MODEL = {
    "RunPeriod": {
        "January": {"begin_month": 1, "end_month": 1, "use_weather_file_daylight_saving_period": "No"},
        "July": {"begin_month": 7, "end_month": 7, "use_weather_file_daylight_saving_period": "Yes"},
    },
    "Timestep": {"Timestep 1": {"number_of_timesteps_per_hour": 6}},
    "SimulationControl": {
        "SimulationControl 1": {
            "do_zone_sizing_calculation": "Yes",
            "run_simulation_for_sizing_periods": "Yes",
            "run_simulation_for_weather_file_run_periods": "No",
        }
    },
    "RunPeriodControl:SpecialDays": {"New Year": {"start_date": "January 1", "special_day_type": "Holiday"}},
    "Output:Variable": {"Output:Variable 1": {"variable_name": "Zone Mean Air Temperature"}},
    "ZoneList": {"Offices": {"zones": [{"zone_name": "North"}, {"zone_name": "East"}]}},
    "ZoneControl:Thermostat": {
        "a": {"zone_or_zonelist_name": "OFFICES", "control_1_object_type": "ThermostatSetpoint:DualSetpoint"},
        "b": {"zone_or_zonelist_name": "Store", "control_1_object_type": "ThermostatSetpoint:SingleHeating"},
    },
}


def test_zones_without_a_thermostat_are_no_zones_and_heated_ones_have_no_cooling():
    found = [(one.zone, one.heats, one.cools) for one in thermostats(MODEL)]

    assert found == [("East", True, True), ("North", True, True), ("Store", True, False)]


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        ({}, "nothing to control"),
        (
            {"a": {"zone_or_zonelist_name": "Z", "control_1_object_type": "ThermostatSetpoint:SingleHeatingOrCooling"}},
            "a: ",
        ),
    ],
)
def test_a_model_that_cannot_be_controlled_is_refused(controls: dict[str, dict[str, str]], said: str):
    with pytest.raises(ValueError, match=said):
        thermostats({"ZoneControl:Thermostat": controls})


def test_a_model_is_changed_in_period_step_and_reports_only():
    changed = prepared(MODEL, Window("year", date(2023, 1, 1), 365))

    (period,) = changed["RunPeriod"].values()
    assert period == {
        "use_weather_file_daylight_saving_period": "No",
        "begin_year": 2022,
        "begin_month": 12,
        "begin_day_of_month": 18,
        "end_year": 2023,
        "end_month": 12,
        "end_day_of_month": 31,
    }
    assert changed["Timestep"] == {"Timestep 1": {"number_of_timesteps_per_hour": 4}}
    control = changed["SimulationControl"]["SimulationControl 1"]
    assert control["do_zone_sizing_calculation"] == "Yes"
    assert control["run_simulation_for_sizing_periods"] == "No"
    assert control["run_simulation_for_weather_file_run_periods"] == "Yes"
    untouched = {"RunPeriodControl:SpecialDays", "ZoneList", "ZoneControl:Thermostat"}
    assert {kind: changed[kind] for kind in untouched} == {kind: MODEL[kind] for kind in untouched}
    assert set(changed) == untouched | {"RunPeriod", "Timestep", "SimulationControl"}


def test_the_hardest_days_are_the_coldest_and_the_hottest_fourteen_in_a_row():
    outdoor_c = [10.0] * 365
    outdoor_c[40:54] = [-10.0] * 14
    outdoor_c[100] = -60.0  # one cold day is no peak of two weeks
    outdoor_c[200:214] = [30.0] * 14

    found = windows(outdoor_c)

    assert (found["peak-heat"].first, found["peak-heat"].days) == (date(2023, 2, 10), 14)
    assert (found["peak-cool"].begins, found["peak-cool"].ends) == (date(2023, 7, 6), date(2023, 8, 2))
    assert (found["year"].begins, found["year"].ends) == (date(2022, 12, 18), date(2023, 12, 31))
    assert windows(outdoor_c, days=3)["year"].ends == date(2023, 1, 3)


def weather_file(path: Path, hours: list[str]) -> Path:
    path.write_text("header\n" * 8 + "".join(f"2023,1,1,1,0,flags,{hour},0\n" for hour in hours))
    return path


def test_a_weather_file_becomes_means_of_days(tmp_path: Path):
    path = weather_file(tmp_path / "a.epw", ["1.0"] * 24 + ["2.0", "4.0"] * 4368)

    assert daily_outdoor_c(path)[:2] == [1.0, 3.0]


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (["1.0"] * 8759, "a.epw: expected 8,760 hours, found 8,759"),
        (["warm"] * 8760, "a.epw, line 9: expected a dry-bulb"),
    ],
)
def test_a_weather_file_that_is_none_is_refused(tmp_path: Path, hours: list[str], said: str):
    with pytest.raises(ValueError, match=said):
        daily_outdoor_c(weather_file(tmp_path / "a.epw", hours))


def test_a_recording_is_made_anew_when_an_input_changes(tmp_path: Path):
    idf, epw = tmp_path / "a.idf", tmp_path / "a.epw"
    idf.write_text("model")
    epw.write_text("weather")
    building, week = Building("a", idf, epw), Window("year", date(2023, 1, 1), 7)
    before = building.key(week)

    assert building.key(week) == before
    assert building.key(Window("year", date(2023, 1, 1), 8)) != before
    epw.write_text("other weather")
    assert building.key(week) != before
