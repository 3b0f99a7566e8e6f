"""What is read from a building's model, and what is changed in it: period, step and reports, nothing else."""

import copy
from dataclasses import dataclass
from typing import Any

from bench.hvac.weather import Window

Model = dict[str, Any]  # epJSON: object type -> name -> fields

_HEATS = ("ThermostatSetpoint:DualSetpoint", "ThermostatSetpoint:SingleHeating")
_COOLS = ("ThermostatSetpoint:DualSetpoint", "ThermostatSetpoint:SingleCooling")
_REPORTS = ("Output:", "OutputControl:", "Meter:CustomDecrement")
_KEPT_REPORTS = ("OutputControl:Files", "Output:EnergyManagementSystem")
_CHOICES = (
    "use_weather_file_daylight_saving_period",
    "use_weather_file_holidays_and_special_days",
    "apply_weekend_holiday_rule",
    "use_weather_file_rain_indicators",
    "use_weather_file_snow_indicators",
)


@dataclass(frozen=True, slots=True)
class Thermostat:
    """The thermostat of a zone: which set-points it has."""

    zone: str
    heats: bool
    cools: bool


def _named(model: Model, kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a type, whatever the case in which the type is written."""
    found: dict[str, dict[str, Any]] = {}
    for name, objects in model.items():
        if name.upper() == kind.upper():
            found |= objects
    return found


def thermostats(model: Model) -> list[Thermostat]:
    """Return the thermostats of a model, in the order of their zones' names.

    Raises
    ------
    ValueError
        If there is none, or one of a kind whose set-points cannot be told apart.
    """
    lists = {
        name.upper(): [member["zone_name"] for member in fields["zones"]]
        for name, fields in _named(model, "ZoneList").items()
    }
    found: dict[str, Thermostat] = {}
    for name, fields in _named(model, "ZoneControl:Thermostat").items():
        kinds = [fields[key] for key in (f"control_{index}_object_type" for index in range(1, 5)) if key in fields]
        strange = [kind for kind in kinds if kind not in _HEATS + _COOLS]
        if strange:
            raise ValueError(
                f"thermostat {name}: expected heating and cooling set-points of their own, found {strange}"
            )
        for zone in lists.get(fields["zone_or_zonelist_name"].upper(), [fields["zone_or_zonelist_name"]]):
            heats, cools = any(kind in _HEATS for kind in kinds), any(kind in _COOLS for kind in kinds)
            found[zone.upper()] = Thermostat(zone, heats, cools)
    if not found:
        raise ValueError("the model has no ZoneControl:Thermostat: nothing to control")
    return [found[zone] for zone in sorted(found)]


def prepared(model: Model, window: Window) -> Model:
    """Return a model that is simulated from the first day of learning to the last of a window, in quarter hours.

    Daylight saving and holidays stay as the model has them; weekdays are those of 2023.
    """
    changed = {
        kind: copy.deepcopy(objects)
        for kind, objects in model.items()
        if kind in _KEPT_REPORTS or not kind.startswith(_REPORTS)
    }
    periods = list(_named(model, "RunPeriod").values())
    first = periods[0] if periods else {}
    for kind in [kind for kind in changed if kind.upper() in ("RUNPERIOD", "TIMESTEP")]:
        del changed[kind]
    changed["Timestep"] = {"Timestep 1": {"number_of_timesteps_per_hour": 4}}
    changed["RunPeriod"] = {
        window.name: {choice: first[choice] for choice in _CHOICES if choice in first}
        | {
            "begin_year": window.begins.year,
            "begin_month": window.begins.month,
            "begin_day_of_month": window.begins.day,
            "end_year": window.ends.year,
            "end_month": window.ends.month,
            "end_day_of_month": window.ends.day,
        }
    }
    control = next(iter(_named(model, "SimulationControl").values()), {})
    changed["SimulationControl"] = {
        "SimulationControl 1": control
        | {
            "run_simulation_for_sizing_periods": "No",
            "run_simulation_for_weather_file_run_periods": "Yes",
        }
    }
    return changed
