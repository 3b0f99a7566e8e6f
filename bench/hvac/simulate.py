"""`python -m bench.hvac.simulate JOB.json`: one simulation, in a process of its own.

Needs the extra `hvac` (EnergyPlus). Without a recording of the building's own schedule it makes one; with one, a
controller is asked for the set-points of every quarter hour. It is not asked in sizing or warm-up days.
"""

import json
import sys
import tempfile
from ctypes import c_void_p
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

import numpy as np
from pyenergyplus.api import EnergyPlusAPI

from bench.hvac.controllers import Controller, controller_named, info_of
from bench.hvac.model import Thermostat, prepared, thermostats
from bench.hvac.trace import STEP_S, STEPS_PER_DAY, Trace
from bench.hvac.weather import Window

WEATHER_FILE_RUN = 3  # kind_of_sim
ABSENT_AT_C = 0.0  # what a thermostat reports for a set-point that is not in force
J_PER_KWH = 3.6e6

# End uses rather than Electricity:HVAC, which leaves out what EnergyPlus counts as plant: chillers, boilers, pumps.
END_USES = ("Heating", "Cooling", "Fans", "Pumps", "HeatRejection", "Humidifier", "HeatRecovery")
FUELS = ("NaturalGas", "Propane", "FuelOilNo1", "FuelOilNo2", "DistrictHeatingWater", "DistrictCooling")

PEOPLE = "Zone People Occupant Count"
BY_ZONE = (
    "Zone Mean Air Temperature",
    "Zone Air Relative Humidity",
    PEOPLE,
    "Zone Thermostat Heating Setpoint Temperature",
    "Zone Thermostat Cooling Setpoint Temperature",
)
OUTDOORS = (
    "Site Outdoor Air Drybulb Temperature",
    "Site Outdoor Air Relative Humidity",
    "Site Direct Solar Radiation Rate per Area",
    "Site Diffuse Solar Radiation Rate per Area",
)


@dataclass(frozen=True, slots=True)
class Job:
    """One simulation: where its inputs are, and where its trace goes."""

    idf: str
    epw: str
    window: str
    first: str
    days: int
    learning_days: int
    controller: str
    mode: str
    wall: bool
    keep_empty: bool
    recording: str
    result: str


class Simulation:
    """One run of EnergyPlus.

    Parameters
    ----------
    found
        What is controlled.
    start, steps
        Beginning of the first step, and how many there are.
    asked
        Who is asked for set-points, and the recording of the own schedule; None to make the recording.
    wall
        Whether the controller is told the time of the clock on the wall.
    """

    def __init__(
        self,
        found: list[Thermostat],
        start: datetime,
        steps: int,
        asked: tuple[Controller, Trace] | None,
        *,
        wall: bool = False,
    ) -> None:
        self._thermostats, self._start, self._steps = found, start, steps
        self._asked, self._wall = asked, wall
        self._zones = tuple(thermostat.zone for thermostat in found)
        self._by_zone = np.full((len(BY_ZONE), steps, len(found)), np.nan)
        self._outdoors = np.full((len(OUTDOORS), steps), np.nan)
        self._energy_kwh = np.zeros((2, steps))
        self._is_dst = np.zeros(steps, dtype=bool)
        self._done = 0
        self._unanswered = 0
        self._ready = False
        self._error: Exception | None = None
        self._api = EnergyPlusAPI()
        self._exchange = self._api.exchange
        self._state = self._api.state_manager.new_state()

    def run(self, model: Path, epw: Path, directory: Path) -> Trace:
        """Simulate.

        Raises
        ------
        RuntimeError
            If EnergyPlus fails; with the end of its error file.
        """
        runtime = self._api.runtime
        runtime.set_console_output_status(self._state, False)
        for zone in self._zones:
            for name in BY_ZONE:
                self._exchange.request_variable(self._state, name, zone)
        for name in OUTDOORS:
            self._exchange.request_variable(self._state, name, "Environment")
        runtime.callback_begin_zone_timestep_before_init_heat_balance(self._state, self._begin)
        runtime.callback_end_zone_timestep_after_zone_reporting(self._state, self._end)
        code = runtime.run_energyplus(self._state, ["-w", str(epw), "-d", str(directory), str(model)])
        if self._error is not None:
            raise self._error
        if code or self._done != self._steps:
            errors = directory / "eplusout.err"
            said = errors.read_text(errors="replace")[-3000:] if errors.exists() else "no error file"
            raise RuntimeError(f"EnergyPlus ended with {code} after {self._done} of {self._steps} steps:\n{said}")
        air_c, rh, people, heating_c, cooling_c = self._by_zone
        outdoor_c, outdoor_rh, direct, diffuse = self._outdoors
        return Trace(
            self._zones,
            self._start,
            air_c,
            rh,
            people,
            heating_c,
            cooling_c,
            outdoor_c,
            outdoor_rh,
            direct + diffuse,
            self._energy_kwh[0],
            self._energy_kwh[1],
            self._is_dst,
            self._unanswered,
        )

    def _begin(self, state: c_void_p) -> None:
        """Ask the controller at the beginning of a step."""
        if self._asked is None or not self._counts(state):
            return
        controller, recording = self._asked
        try:
            answer = controller.act(recording.now(self._done, wall=self._wall), self._observation(recording))
            for side, (handles, own_c) in enumerate(
                ((self._heating, recording.heating_c), (self._cooling, recording.cooling_c))
            ):
                wanted = answer.get(("heating_c", "cooling_c")[side], {})
                for index, handle in enumerate(handles):
                    own = float(own_c[self._done, index])
                    if handle < 0:
                        continue
                    if np.isnan(own):  # the thermostat is switched to its other side
                        self._exchange.reset_actuator(state, handle)
                        continue
                    value = wanted.get(self._zones[index])
                    if value is None or not np.isfinite(value):
                        self._unanswered += 1
                        value = own
                    self._exchange.set_actuator_value(state, handle, float(value))
        except Exception as error:  # an exception in a callback would be lost in C
            self._fail(state, error)

    def _end(self, state: c_void_p) -> None:
        """Write down what a step was."""
        if not self._counts(state):
            return
        try:
            step = self._done
            self._check_clock(state, step)
            value = self._exchange.get_variable_value
            self._by_zone[:, step] = [
                [value(state, handle) if handle >= 0 else 0.0 for handle in handles] for handles in self._variables
            ]
            for side, has in ((3, "heats"), (4, "cools")):
                present = np.array([getattr(thermostat, has) for thermostat in self._thermostats])
                row = self._by_zone[side, step]
                row[~present | (row == ABSENT_AT_C)] = np.nan
            self._outdoors[:, step] = [value(state, handle) for handle in self._outdoor_handles]
            for kind, meters in enumerate(self._meters):
                joule = sum(self._exchange.get_meter_value(state, handle) for handle in meters)
                self._energy_kwh[kind, step] = joule / J_PER_KWH
            self._is_dst[step] = self._exchange.daylight_savings_time_indicator(state)
            self._done += 1
        except Exception as error:  # an exception in a callback would be lost in C
            self._fail(state, error)

    def _fail(self, state: c_void_p, error: Exception) -> None:
        self._error = self._error or error
        self._api.runtime.stop_simulation(state)

    def _counts(self, state: c_void_p) -> bool:
        """Whether this is a step of the run period: no sizing, no warm-up."""
        exchange = self._exchange
        if self._error is not None or not exchange.api_data_fully_ready(state):
            return False
        if exchange.warmup_flag(state) or exchange.kind_of_sim(state) != WEATHER_FILE_RUN or self._done >= self._steps:
            return False
        if not self._ready:
            self._find(state)
        return self._ready

    def _find(self, state: c_void_p) -> None:
        """Look up what is read and set."""
        exchange = self._exchange
        self._variables = [
            [exchange.get_variable_handle(state, name, zone) for zone in self._zones] for name in BY_ZONE
        ]
        self._outdoor_handles = [exchange.get_variable_handle(state, name, "Environment") for name in OUTDOORS]
        kinds = (("Electricity",), FUELS)
        found = [
            [exchange.get_meter_handle(state, f"{use}:{fuel}") for fuel in fuels for use in END_USES] for fuels in kinds
        ]
        self._meters = [[handle for handle in handles if handle >= 0] for handles in found]
        actuators = [
            [
                exchange.get_actuator_handle(state, "Zone Temperature Control", f"{side} Setpoint", thermostat.zone)
                if has(thermostat)
                else -1
                for thermostat in self._thermostats
            ]
            for side, has in (("Heating", _heats), ("Cooling", _cools))
        ]
        self._heating, self._cooling = actuators
        for name, handles in zip(BY_ZONE, self._variables, strict=True):
            missing = [zone for zone, handle in zip(self._zones, handles, strict=True) if handle < 0]
            if missing and name != PEOPLE:  # a zone that has none does not report them
                self._fail(state, RuntimeError(f"the model does not report {name} of {missing}"))
                return
        self._ready = True

    def _check_clock(self, state: c_void_p, step: int) -> None:
        """Make sure that this is the step we count it as."""
        expected = self._start + timedelta(seconds=step * STEP_S)
        exchange = self._exchange
        quarter = exchange.zone_time_step_number(state)
        seen = exchange.month(state), exchange.day_of_month(state), exchange.hour(state), quarter
        if seen != (expected.month, expected.day, expected.hour, expected.minute // 15 + 1):
            raise RuntimeError(f"step {step}: expected {expected:%m-%d %H:%M}, EnergyPlus is at {seen}")

    def _observation(self, recording: Trace) -> dict[str, object]:
        """Return what the building shows at the beginning of a step: how the step before ended."""
        step, last = self._done, self._done - 1
        seen: dict[str, object] = {
            "baseline_heating_c": self._zoned(recording.heating_c[step]),
            "baseline_cooling_c": self._zoned(recording.cooling_c[step]),
        }
        if last < 0:
            return seen
        air_c, rh, people, heating_c, cooling_c = self._by_zone[:, last]
        outdoor_c, outdoor_rh, direct, diffuse = self._outdoors[:, last].tolist()
        return seen | {
            "zone_temp_c": self._zoned(air_c),
            "zone_rh": self._zoned(rh),
            "zone_occupied": {zone: count > 0 for zone, count in zip(self._zones, people.tolist(), strict=True)},
            "heating_c": self._zoned(heating_c),
            "cooling_c": self._zoned(cooling_c),
            "outdoor_c": outdoor_c,
            "outdoor_rh": outdoor_rh,
            "solar_w_m2": direct + diffuse,
            "power_w": float(self._energy_kwh[:, last].sum()) * J_PER_KWH / STEP_S,
        }

    def _zoned(self, row: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> dict[str, float]:
        return {zone: value for zone, value in zip(self._zones, row.tolist(), strict=True) if not np.isnan(value)}


def _heats(thermostat: Thermostat) -> bool:
    return thermostat.heats


def _cools(thermostat: Thermostat) -> bool:
    return thermostat.cools


def simulate(job: Job) -> Trace:
    """Run a job.

    Raises
    ------
    RuntimeError
        If EnergyPlus cannot read the model, or fails.
    """
    first = datetime.fromisoformat(job.first).date()
    window = Window(job.window, first, job.days, job.learning_days)
    start = datetime.combine(window.begins, time())
    steps = (window.days + window.learning_days) * STEPS_PER_DAY
    with tempfile.TemporaryDirectory(prefix="hvac-") as scratch:
        directory = Path(scratch)
        model = prepared(_as_json(Path(job.idf), directory), window)
        found = thermostats(model)
        path = directory / "in.epJSON"
        path.write_text(json.dumps(model))
        if job.controller == "recording":
            return Simulation(found, start, steps, None).run(path, Path(job.epw), directory)
        own = Trace.load(Path(job.recording))
        controller = controller_named(job.controller, own, job.mode)
        controller.reset(info_of(own, job.mode, wall=job.wall, keep_empty=job.keep_empty))
        return Simulation(found, start, steps, (controller, own), wall=job.wall).run(path, Path(job.epw), directory)


def _as_json(idf: Path, directory: Path) -> dict[str, dict[str, dict[str, object]]]:
    """Return a model as epJSON, converted by EnergyPlus itself if it is an IDF."""
    converted = idf
    if idf.suffix.lower() != ".epjson":
        api = EnergyPlusAPI()
        state = api.state_manager.new_state()
        api.runtime.set_console_output_status(state, False)
        code = api.runtime.run_energyplus(state, ["--convert-only", "-d", str(directory), str(idf)])
        converted = directory / f"{idf.stem}.epJSON"
        if code or not converted.exists():
            errors = directory / "eplusout.err"
            said = errors.read_text(errors="replace")[-3000:] if errors.exists() else "no error file"
            raise RuntimeError(f"{idf.name}: EnergyPlus cannot convert it:\n{said}")
        api.state_manager.delete_state(state)
    model: dict[str, dict[str, dict[str, object]]] = json.loads(converted.read_text(errors="replace"))
    return model


def main() -> None:
    """Run the job that is named, and write its trace."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    simulate(job).save(Path(job.result))


if __name__ == "__main__":
    main()
