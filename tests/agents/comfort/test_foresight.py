"""Prices by hour: what is cooled and heated in advance, what it saves, and that nothing changes without them."""

import copy
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from agents.comfort.controller import Controller
from agents.comfort.snapshot import from_bytes, to_bytes
from streams.demo.plant import OFFICE, STEPS_PER_DAY, Plant, in_use, outdoor_c

MONDAY = datetime.fromisoformat("2026-07-06")
BAND = {"occupied": (20.0, 26.0), "unoccupied": (15.0, 28.0)}
DEAR = [0.4 if hour < 14 else 1.2 if hour < 18 else 0.6 for hour in range(24)]
Lived = dict[str, Any]


def a_controller(**info: Any) -> Controller:
    controller = Controller()
    controller.reset({"zones": ["a"], "step_s": 900, "start": MONDAY, "comfort": BAND} | info)
    return controller


class Office:
    """A simulated office that obeys, and meters itself."""

    def __init__(self, controller: Controller, days: int, mean_c: float, prices: list[float] | None = None) -> None:
        chance = np.random.default_rng(1)
        self.controller = controller
        self._plant, self._outdoors = Plant(OFFICE, 1, chance), outdoor_c(days, 1, chance, mean_c)
        self._prices = prices
        self._answer: dict[str, dict[str, float]] = {}
        self._step, self._kw = 0, 0.0
        self.lived: list[Lived] = []

    def live(self, days: int) -> list[Lived]:
        for _ in range(days * STEPS_PER_DAY):
            self._go_on()
        return self.lived[-days * STEPS_PER_DAY :]

    def _go_on(self) -> None:
        step, at = self._step, MONDAY + timedelta(minutes=15 * self._step)
        own = (20.0, 25.0) if in_use(OFFICE, step) else (15.6, 29.0)
        observation: dict[str, object] = self._answer | {
            "zone_temp_c": {"a": float(self._plant.air_c[0])},
            "zone_occupied": {"a": step > 0 and in_use(OFFICE, step - 1)},
            "zone_power_w": {"a": 1000.0 * self._kw},
            "outdoor_c": float(self._outdoors[step, 0]),
            "baseline_heating_c": {"a": own[0]},
            "baseline_cooling_c": {"a": own[1]},
        }
        if self._prices is not None:
            observation["price"] = self._prices[at.hour]
        self._answer = self.controller.act(at, observation)
        cooling_c, heating_c = (np.array([self._answer[side]["a"]]) for side in ("cooling_c", "heating_c"))
        self._kw = float(self._plant.step(step, self._outdoors[step], cooling_c, heating_c)[0])
        self._step += 1
        self.lived.append(
            {
                "at": at,
                "kw": self._kw,
                "air_c": float(self._plant.air_c[0]),
                "used": in_use(OFFICE, step),
                "plan": self.controller.plans["a"],
                "reason": self.controller.reasons["a"],
                "reason_zh": self.controller.reasons_zh["a"],
                "expected": self.controller.expected["a"],
                "answer": self._answer,
            }
        )


def cost(lived: list[Lived], prices: list[float]) -> float:
    return sum(one["kw"] / 4 * prices[one["at"].hour] for one in lived)


def outside_kh(lived: list[Lived]) -> float:
    return sum(max(20 - one["air_c"], one["air_c"] - 26, 0.0) / 4 for one in lived if one["used"])


@pytest.fixture(scope="module")
def summer() -> tuple[Office, Office]:
    """Two weeks without prices, and with."""
    offices = Office(a_controller(), 16, 28.0), Office(a_controller(), 16, 28.0, DEAR)
    for office in offices:
        office.live(14)
    return offices


def test_what_gets_dear_is_used_before_and_less_is_paid(summer):
    blind, seeing = summer
    without, with_it = (office.lived[10 * STEPS_PER_DAY : 12 * STEPS_PER_DAY] for office in (blind, seeing))

    assert cost(with_it, DEAR) < 0.95 * cost(without, DEAR)
    assert outside_kh(with_it) <= outside_kh(without) + 0.5
    # A plant at its limit draws more the hotter it is outside, but no more than it did in recoveries.
    assert max(one["kw"] for one in with_it) <= 1.05 * max(one["kw"] for one in blind.lived)
    said = [one for one in with_it if one["plan"] == "precooling"]
    assert said
    assert all("energy gets dearer in" in one["reason"] and "提前" in one["reason_zh"] for one in said)
    # In the dear hours themselves nothing is done in advance of anything.
    assert {one["plan"] for one in with_it if DEAR[one["at"].hour] == max(DEAR)}.isdisjoint({"precooling"})


def test_how_a_zone_drifts_with_people_in_it_is_tried_out_before_it_is_planned_with(summer):
    plans = [one["plan"] for one in summer[1].lived]

    assert plans.index("trying") < plans.index("precooling")
    assert "trying" not in plans[-3 * STEPS_PER_DAY :]


@pytest.mark.parametrize("info", [{"price": 0.7, "carbon": 0.5}, {"price": [0.7] * 24}])
def test_with_prices_that_do_not_differ_nothing_changes(summer, info):
    told = Office(a_controller(**info), 16, 28.0).live(9)

    assert [one["answer"] for one in told] == [one["answer"] for one in summer[0].lived[: 9 * STEPS_PER_DAY]]


def test_prices_that_are_known_at_the_start_serve_as_well_as_those_that_are_told(summer):
    told = Office(a_controller(price=DEAR), 16, 28.0).live(10)

    assert [one["plan"] for one in told][-STEPS_PER_DAY:] == [
        one["plan"] for one in summer[1].lived[9 * STEPS_PER_DAY : 10 * STEPS_PER_DAY]
    ]


def test_what_a_command_saves_is_said_and_is_less_than_nothing_while_it_is_cooled_in_advance(summer):
    lived = summer[1].lived
    early, late = lived[:STEPS_PER_DAY], lived[9 * STEPS_PER_DAY :]

    assert {one["expected"] for one in early} == {(None, None, None)}
    in_advance = [one["expected"] for one in late if one["plan"] == "precooling"]
    assert min(kwh for kwh, _, _ in in_advance if kwh is not None) < -1.0
    afterwards = [one["expected"] for one in late if one["used"] and DEAR[one["at"].hour] == max(DEAR)]
    assert max(cny for _, cny, _ in afterwards if cny is not None) > 0
    assert {kg for _, _, kg in in_advance} == {None}  # no carbon was told


def test_a_restart_plans_on_with_what_was_learnt(summer):
    whole, broken = copy.deepcopy(summer[1]), copy.deepcopy(summer[1])
    packed = broken.controller.snapshot()
    broken.controller = a_controller()
    broken.controller.restore(packed)

    assert [one["answer"] for one in whole.live(1)] == [one["answer"] for one in broken.live(1)]


def test_a_snapshot_of_before_prices_were_learnt_is_taken_up(summer):
    office = copy.deepcopy(summer[1])
    arrays, about = from_bytes(office.controller.snapshot())
    older = {name: kept for name, kept in arrays.items() if not name.startswith(("response", "power", "foresight"))}
    office.controller = a_controller()
    office.controller.restore(to_bytes(older, {"zones": about["zones"], "clock": about["clock"]}))

    assert "own_learning" not in {one["plan"] for one in office.live(1)}
