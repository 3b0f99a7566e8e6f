"""The simulated building of the demonstration: a workshop and an office that can be steered, with their own meters.

No recording can answer a set-point, so this is computed: `streams.demo.plant` under weather made from a seed. Weather
and use are pure functions of time; temperatures and registers go on from the state of the last step, because they
depend on what the zones were told.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import NamedTuple, Self

import numpy as np
import polars as pl

from streams.demo.plant import OFFICE, STEP_S, STEPS_PER_DAY, WORKSHOP, Floats, Plant, ZoneKind, in_use, outdoor_c
from streams.demo.recorded import ANCHOR_MS, COUNTS_PER_KWH

SITE_ID = "sim-building"
STEP_MS = STEP_S * 1000
_SEED = 20260706
_WEATHER_DAYS = 366 * 40  # from the anchor
_MEAN_C, _SEASON_K, _COLDEST_DAY = 19.0, 9.0, 14.0  # the anchor is early in January
_BASE_KW, _LIGHTS_KW = 3.0, 9.0  # beside the zones: always, and while the workshop is in use
_NIGHT_COOLING_C, _NIGHT_HEATING_C = 29.0, 15.0
_DAY_COOLING_C, _DAY_HEATING_C = 25.0, 20.0
_START_AIR_C = 22.0


@dataclass(frozen=True, slots=True)
class SteeredZone:
    """A zone of the building.

    Parameters
    ----------
    id, meter_id
        The zone, and the meter of its heating, cooling and fans.
    kind
        What it is made of, and when it is in use.
    own_first_hour, own_last_hour, own_days
        When its own schedule conditions it: wider than its use, as in many buildings. [h], days from Monday
    """

    id: str
    meter_id: str
    kind: ZoneKind
    own_first_hour: int
    own_last_hour: int
    own_days: int

    def own(self, step: int) -> "Setpoints":
        """Return what its own schedule asks for in a step."""
        day, of_day = divmod(step, STEPS_PER_DAY)
        hour = of_day * 24 / STEPS_PER_DAY
        is_day = day % 7 < self.own_days and self.own_first_hour <= hour < self.own_last_hour
        return _BY_DAY if is_day else _BY_NIGHT


ZONES = (
    SteeredZone("workshop", "hvac-workshop", WORKSHOP, 3, 24, 6),
    SteeredZone("office", "hvac-office", OFFICE, 5, 21, 6),
)
METER_IDS = ("main", *(zone.meter_id for zone in ZONES))


class Setpoints(NamedTuple):
    """Where cooling begins and heating ends. [°C]"""

    cooling_c: float
    heating_c: float


_BY_DAY, _BY_NIGHT = Setpoints(_DAY_COOLING_C, _DAY_HEATING_C), Setpoints(_NIGHT_COOLING_C, _NIGHT_HEATING_C)


@dataclass(frozen=True, slots=True)
class Hold:
    """Set-points written into a zone: until when, so that the building gives them back even if nobody else can.

    Parameters
    ----------
    cooling_c, heating_c
        None: its own schedule holds for that one. [°C]
    priority
        Place in the priority array.
    from_ms, until_ms
        When they hold. [ms UTC]
    """

    cooling_c: float | None
    heating_c: float | None
    priority: int
    from_ms: int
    until_ms: int


class Shown(NamedTuple):
    """What was measured in some steps: meters, zones and the weather; columns as the field sends them."""

    meters: pl.DataFrame
    zones: pl.DataFrame
    weather: pl.DataFrame


@dataclass(slots=True)
class Building:
    """The building, from some step on.

    Parameters
    ----------
    step
        Steps of 15 minutes since the anchor that are over.
    air_c
        Air temperature of each zone. [°C]
    counts
        Register of each meter. [1e-6 kWh]
    holds
        What was written into zones.
    experiment_on
        First local day of the blocks its saving is proved by, ISO 8601; empty until a run decides.

    Examples
    --------
    >>> building = Building.new(ANCHOR_MS + 190 * 86_400_000)
    >>> shown = building.advance(building.at_ms + 3_600_000)
    >>> shown.meters.height, shown.zones["zone_id"].unique(maintain_order=True).to_list(), shown.weather.height
    (12, ['workshop', 'office'], 4)
    """

    step: int
    air_c: dict[str, float]
    counts: dict[str, int]
    holds: dict[str, Hold] = field(default_factory=dict)
    experiment_on: str = ""

    @classmethod
    def new(cls, start_ms: int) -> Self:
        """Return one that begins to count. [ms UTC]"""
        step = max(0, -(-(start_ms - ANCHOR_MS) // STEP_MS))
        return cls(step, {zone.id: _START_AIR_C for zone in ZONES}, dict.fromkeys(METER_IDS, 0))

    @classmethod
    def of_json(cls, text: str) -> Self:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError, KeyError, TypeError
            If it is something else.
        """
        found = json.loads(text)
        holds = {zone: Hold(**hold) for zone, hold in found["holds"].items()}
        air_c = {zone.id: float(found["air_c"][zone.id]) for zone in ZONES}
        counts = {meter: int(found["counts"][meter]) for meter in METER_IDS}
        return cls(int(found["step"]), air_c, counts, holds, str(found.get("experiment_on", "")))

    def to_json(self) -> str:
        """Return its state."""
        return json.dumps(asdict(self))

    @property
    def at_ms(self) -> int:
        """Where it is: the end of the last step. [ms UTC]"""
        return _start_ms(self.step)

    def in_force(self, zone: SteeredZone, at_ms: int) -> Setpoints:
        """Return the set-points of a zone at a time. [ms UTC]"""
        own = zone.own((at_ms - ANCHOR_MS) // STEP_MS)
        hold = self.holds.get(zone.id)
        if hold is None or not hold.from_ms <= at_ms < hold.until_ms:
            return own
        return Setpoints(
            own.cooling_c if hold.cooling_c is None else hold.cooling_c,
            own.heating_c if hold.heating_c is None else hold.heating_c,
        )

    def advance(self, until_ms: int) -> Shown:
        """Go on by all whole steps until a time, and return what was measured at the end of each. [ms UTC]"""
        meters, zones, weather = list[dict[str, object]](), list[dict[str, object]](), list[dict[str, object]]()
        while _start_ms(self.step + 1) <= until_ms:
            used_kw = self._go_on()
            ts = self.at_ms
            common = {"site_id": SITE_ID, "ts": ts}
            for meter_id, power_kw in used_kw.items():
                register = {"import_kwh": self.counts[meter_id] / COUNTS_PER_KWH, "power_kw": round(power_kw, 3)}
                meters.append(common | {"meter_id": meter_id} | register)
            zones += [common | self._reading(zone, ts, used_kw[zone.meter_id]) for zone in ZONES]
            weather.append(common | {"outdoor_c": round(float(_outdoor_c()[self.step]), 2)})
        return Shown(pl.DataFrame(meters), pl.DataFrame(zones), pl.DataFrame(weather))

    def _go_on(self) -> Mapping[str, float]:
        day, outdoor = self.step // STEPS_PER_DAY, _outdoor_c()[self.step : self.step + 1]
        used_kw = {"main": _BASE_KW + _LIGHTS_KW * in_use(WORKSHOP, self.step)}
        for place, zone in enumerate(ZONES):
            # A plant of its own for each day: clouds and use depend on the day, and not on when the run began.
            plant = Plant(zone.kind, 1, np.random.default_rng([_SEED, day, place]))
            plant.air_c = np.array([self.air_c[zone.id]])
            told = self.in_force(zone, self.at_ms)
            power_kw = plant.step(self.step, outdoor, np.array([told.cooling_c]), np.array([told.heating_c]))
            self.air_c[zone.id] = float(plant.air_c[0])
            used_kw[zone.meter_id] = float(power_kw[0])
        # A meter counts in whole steps, and the grid meter counts what the others do.
        counted = {meter: round(kw * STEP_S / 3600 * COUNTS_PER_KWH) for meter, kw in used_kw.items()}
        counted["main"] = sum(counted.values())
        for meter, count in counted.items():
            self.counts[meter] += count
        self.step += 1
        return used_kw | {"main": sum(used_kw.values())}

    def _reading(self, zone: SteeredZone, ts: int, power_kw: float) -> dict[str, object]:
        told, own = self.in_force(zone, ts), zone.own(self.step)
        return {
            "zone_id": zone.id,
            "air_c": round(self.air_c[zone.id], 2),
            "occupied": in_use(zone.kind, self.step),
            "cooling_c": told.cooling_c,
            "heating_c": told.heating_c,
            "own_cooling_c": own.cooling_c,
            "own_heating_c": own.heating_c,
            "power_kw": round(power_kw, 3),
        }


def _start_ms(step: int) -> int:
    return ANCHOR_MS + step * STEP_MS


@cache
def _outdoor_c() -> Floats:
    """Outdoor temperature at each step since the anchor; shape (steps,). [°C]"""
    around = outdoor_c(_WEATHER_DAYS, 1, np.random.default_rng(_SEED), mean_c=0.0)[:, 0]
    days = np.arange(len(around)) / STEPS_PER_DAY
    seasons = _MEAN_C - _SEASON_K * np.cos(2 * np.pi * (days - _COLDEST_DAY) / 365.25)
    return np.asarray(seasons + around)
