"""A building of two days that was never simulated, for tests of what is made of traces."""

from dataclasses import replace
from datetime import datetime

import numpy as np

from bench.hvac.trace import STEPS_PER_DAY, Trace

STEPS = 2 * STEPS_PER_DAY
AT_WORK = slice(STEPS_PER_DAY + 32, STEPS_PER_DAY + 72)  # 08:00 to 18:00 of the second day


def office(**changes: object) -> Trace:
    """Return an office with people from 08:00 to 18:00 of the second day, and a store that is only heated."""
    people, heating_c, cooling_c = np.zeros((STEPS, 2)), np.full((STEPS, 2), 15.0), np.full((STEPS, 2), 30.0)
    people[AT_WORK, 0] = 3.0
    heating_c[AT_WORK, 0], cooling_c[AT_WORK, 0] = 21.0, 24.0
    heating_c[:, 1], cooling_c[:, 1] = 10.0, np.nan
    trace = Trace(
        zones=("office", "store"),
        start=datetime.fromisoformat("2023-03-11"),
        air_c=np.full((STEPS, 2), 22.0),
        rh=np.full((STEPS, 2), 40.0),
        people=people,
        heating_c=heating_c,
        cooling_c=cooling_c,
        outdoor_c=np.zeros(STEPS),
        outdoor_rh=np.full(STEPS, 50.0),
        solar_w_m2=np.zeros(STEPS),
        electric_kwh=np.full(STEPS, 1.0),
        fuel_kwh=np.full(STEPS, 3.0),
        is_dst=np.arange(STEPS) >= STEPS_PER_DAY + 8,
    )
    return replace(trace, **changes)
