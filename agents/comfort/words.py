"""Reasons in words and numbers. Kept as arrays, and written only when somebody asks."""

from dataclasses import dataclass, replace

import numpy as np

from agents.comfort.guard import BOUND_WORDS, Bound
from agents.comfort.planning import Plan
from agents.comfort.settings import Counts, Floats

PLAN_WORDS = {
    Plan.OWN_LEARNING: "the building's own set-points: this time of the week has not been seen yet",
    Plan.OWN_STALE: "the building's own set-points: no plausible temperature for more than half an hour",
    Plan.OWN_STUCK: "the building's own set-points: the temperature has not moved for a day",
    Plan.OWN_BEYOND_LIMITS: "the building's own set-points: they never were within the limits",
    Plan.OVERRIDDEN: "somebody set the zone by hand: obeyed, nothing is learnt",
    Plan.OUT_OF_ORDER: "the observation is older than the last one: nothing changes",
    Plan.COMFORT: "people are there or come at once: the edges of the band, {ahead:.1f} h to go",
    Plan.RECOVERY: "people are there and the zone is outside its band",
    Plan.EARLY_START: "people come in {ahead:.1f} h: recovery begins now to be done by then",
    Plan.COASTING: "people leave in {ahead:.1f} h: the zone may drift",
    Plan.EMPTY: "nobody is there or expected for {ahead:.1f} h",
    Plan.NOBODY_CAME: "people were expected more than an hour ago and did not come",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What was decided last; arrays have shape (zones,).

    Parameters
    ----------
    plan, bounds
        A `Plan`, and `Bound` flags.
    steps
        How far the plan looks ahead.
    air_c, cooling_c, heating_c
        Temperature and set-points. [°C]
    """

    plan: Counts
    steps: Counts
    bounds: Counts
    air_c: Floats
    cooling_c: Floats
    heating_c: Floats

    @classmethod
    def nothing(cls, zones: int) -> "Said":
        """Return what is said before anything is."""
        none, nan = np.zeros(zones, dtype=np.int64), np.full(zones, np.nan)
        return cls(none, none, none, nan, nan, nan)

    def again(self, plan: Plan) -> "Said":
        """Return that everything stays, and why."""
        return replace(self, plan=np.full_like(self.plan, plan), bounds=self.bounds & Bound.OWN_LIMIT)

    def sentences(self, step_s: float) -> list[str]:
        """Return a reason for each zone."""
        return [self._sentence(zone, step_s) for zone in range(len(self.plan))]

    def _sentence(self, zone: int, step_s: float) -> str:
        words = PLAN_WORDS[Plan(int(self.plan[zone]))].format(ahead=self.steps[zone] * step_s / 3_600.0)
        bounds = [text for bound, text in BOUND_WORDS.items() if self.bounds[zone] & bound]
        air = "?" if np.isnan(self.air_c[zone]) else f"{self.air_c[zone]:.1f}"
        numbers = f"{self.heating_c[zone]:.1f} to {self.cooling_c[zone]:.1f} °C at {air} °C"
        return "; ".join([words, *bounds, numbers])
