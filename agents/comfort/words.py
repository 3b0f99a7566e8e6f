"""Reasons in words and numbers. Kept as arrays, and written only when somebody asks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from agents.comfort.guard import BOUND_WORDS, BOUND_WORDS_ZH, Bound
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
    Plan.COMPARISON_DAY: "comparison day: the building's own set-points, to measure what the controller saves",
    Plan.NOBODY_CAME: "people were expected more than an hour ago and did not come",
    Plan.PRECOOLING: "energy gets dearer in {ahead:.1f} h: cooled in advance",
    Plan.PREHEATING: "energy gets dearer in {ahead:.1f} h: heated in advance",
    Plan.TRYING: "energy gets dearer in {ahead:.1f} h: tried out how the zone drifts with people in it",
}

PLAN_WORDS_ZH = {
    Plan.OWN_LEARNING: "沿用建筑自身设定值：一周中的这个时段尚未学习到",
    Plan.OWN_STALE: "沿用建筑自身设定值：半小时以上没有可信的温度",
    Plan.OWN_STUCK: "沿用建筑自身设定值：温度一整天没有变化",
    Plan.OWN_BEYOND_LIMITS: "沿用建筑自身设定值：它一贯不在限值之内",
    Plan.OVERRIDDEN: "有人手动设定：照办，且不从中学习",
    Plan.OUT_OF_ORDER: "观测早于上一次：保持不变",
    Plan.COMFORT: "有人或即将有人：保持在舒适范围边缘，还有 {ahead:.1f} 小时",
    Plan.RECOVERY: "有人且超出舒适范围",
    Plan.EARLY_START: "{ahead:.1f} 小时后有人：现在开始恢复，届时到位",
    Plan.COASTING: "{ahead:.1f} 小时后人员离开：允许温度漂移",
    Plan.EMPTY: "无人，预计 {ahead:.1f} 小时内也无人",
    Plan.COMPARISON_DAY: "对照日：沿用建筑自身设定值，以测量控制器的节能量",
    Plan.NOBODY_CAME: "预计有人但已超过一小时无人到来",
    Plan.PRECOOLING: "{ahead:.1f} 小时后电价上涨：提前制冷",
    Plan.PREHEATING: "{ahead:.1f} 小时后电价上涨：提前供热",
    Plan.TRYING: "{ahead:.1f} 小时后电价上涨：试探有人时室温如何变化",
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
        return [
            "; ".join([words, *bounds, f"{heating:.1f} to {cooling:.1f} °C at {air} °C"])
            for words, bounds, heating, cooling, air in self._parts(step_s, PLAN_WORDS, BOUND_WORDS)
        ]

    def sentences_zh(self, step_s: float) -> list[str]:
        """Return the same in Chinese."""
        return [
            "；".join([words, *bounds, f"室温 {air} °C，设定 {heating:.1f} 至 {cooling:.1f} °C"])
            for words, bounds, heating, cooling, air in self._parts(step_s, PLAN_WORDS_ZH, BOUND_WORDS_ZH)
        ]

    def _parts(
        self, step_s: float, plans: Mapping[Plan, str], bounds: Mapping[Bound, str]
    ) -> Iterator[tuple[str, list[str], float, float, str]]:
        """Yield for each zone the plan and the bounds in words, heating and cooling [°C], and the air temperature."""
        for zone, plan in enumerate(self.plan.tolist()):
            words = plans[Plan(plan)].format(ahead=self.steps[zone] * step_s / 3_600.0)
            said = [text for bound, text in bounds.items() if self.bounds[zone] & bound]
            air = "?" if np.isnan(self.air_c[zone]) else f"{self.air_c[zone]:.1f}"
            yield words, said, float(self.heating_c[zone]), float(self.cooling_c[zone]), air
