"""About the most that set-points can save: a controller that knows who comes when, and need not be ready for them.

While people are in a zone it has the edges of the band, and at every other moment the limits. It jumps from one to the
other, so people may come into rooms that are not ready: what it costs to be ready in time comes on top. It is no level
to be reached. Only heat or cold that is stored where it is cheaper to make could go beyond it.
"""

from collections.abc import Mapping
from datetime import datetime

import numpy as np

from bench.hvac.trace import STEP_S, Trace


class Bound:
    """Holds the band while people are there, and nothing else.

    Parameters
    ----------
    own
        The building under its own schedule: who is there when, and its own set-points.
    within
        The band while people are there; None for the building's own of that moment. [°C]
    allowed_k
        How far outside of it the mode allows on average. [K]
    limits_c
        Lowest heating and highest cooling set-point. [°C]
    lead_s
        How long before people come the band is held already. [s]
    """

    def __init__(
        self,
        own: Trace,
        within: tuple[float, float] | None,
        allowed_k: float,
        limits_c: tuple[float, float],
        lead_s: int = 0,
    ) -> None:
        there = own.people > 0
        ahead = there.copy()
        for step in range(1, lead_s // STEP_S + 1):
            ahead[:-step] |= there[step:]
        own_low, own_high = np.nan_to_num(own.heating_c, nan=limits_c[0]), np.nan_to_num(own.cooling_c, nan=limits_c[1])
        if within is not None:
            # No building is asked for more than its own schedule asks for.
            own_low, own_high = np.minimum(own_low, within[0]), np.maximum(own_high, within[1])
        self._heating_c = np.where(ahead, own_low - allowed_k, np.minimum(own_low, limits_c[0]))
        self._cooling_c = np.where(ahead, own_high + allowed_k, np.maximum(own_high, limits_c[1]))
        self._zones = own.zones
        self._step = 0

    def reset(self, info: Mapping[str, object]) -> None:
        """Begin with the first step."""
        self._step = 0

    def act(self, now: datetime, observation: Mapping[str, object]) -> dict[str, dict[str, float]]:
        """Return the set-points of all zones until the next call."""
        step, self._step = self._step, self._step + 1
        return {
            "cooling_c": dict(zip(self._zones, self._cooling_c[step].tolist(), strict=True)),
            "heating_c": dict(zip(self._zones, self._heating_c[step].tolist(), strict=True)),
        }
