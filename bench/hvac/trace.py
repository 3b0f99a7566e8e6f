"""What a simulation leaves behind: one row per quarter hour, kept as arrays."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEP_S = 900
STEPS_PER_DAY = 96


@dataclass(frozen=True, slots=True)
class Trace:
    """A simulated building, from the first step of learning to the last of the window.

    Attributes
    ----------
    zones
        Names of the zones with a thermostat.
    start
        Beginning of the first step, local standard time.
    air_c, rh, people, heating_c, cooling_c
        By step and zone; set-points are NaN where a zone has none. [°C, %, persons, °C, °C]
    outdoor_c, outdoor_rh, solar_w_m2
        By step. [°C, %, W/m²]
    electric_kwh, fuel_kwh
        Site energy of HVAC in each step, by step. [kWh]
    is_dst
        Whether the model's clock was on daylight saving time, by step.
    unanswered
        Set-points that a controller did not give, or that were no numbers. The building's own were used.
    """

    zones: tuple[str, ...]
    start: datetime
    air_c: Floats
    rh: Floats
    people: Floats
    heating_c: Floats
    cooling_c: Floats
    outdoor_c: Floats
    outdoor_rh: Floats
    solar_w_m2: Floats
    electric_kwh: Floats
    fuel_kwh: Floats
    is_dst: npt.NDArray[np.bool_]
    unanswered: int = 0

    def __len__(self) -> int:
        return len(self.outdoor_c)

    def now(self, step: int, *, wall: bool) -> datetime:
        """Return when a step begins: local standard time, or with `wall` what a clock on the wall shows."""
        standard = self.start + timedelta(seconds=step * STEP_S)
        return standard + timedelta(hours=1) if wall and self.is_dst[step] else standard

    def save(self, path: Path) -> None:
        """Write it, complete or not at all."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self) if field.name != "start"}
        half = path.with_suffix(".half.npz")
        np.savez_compressed(half, allow_pickle=False, start=np.array(self.start.isoformat()), **arrays)
        half.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Trace":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            arrays = {field.name: kept[field.name] for field in fields(cls)}
        arrays["zones"] = tuple(str(name) for name in arrays["zones"])
        arrays["start"] = datetime.fromisoformat(str(arrays["start"]))
        arrays["unanswered"] = int(arrays["unanswered"])
        return cls(**arrays)
