"""Observation streams as no sane sensor sends them, and what a guard must hold for each of them.

`python -m bench.hvac.fuzz --streams 10000` runs a controller on each stream: values missing, stuck, absurd, of another
type, out of order or silent. After every step each set-point is checked against limits, dead band, ramp and minimum
times, and each fallback against its reason.
"""

import argparse
import math
import random
import time
from collections import Counter
from datetime import datetime, timedelta
from functools import cache

from agents.comfort.controller import Controller
from agents.comfort.guard import RAMP_K_PER_H
from agents.comfort.planning import Plan
from agents.comfort.settings import DEAD_BAND_K, PROTECTION, UNKNOWN_EQUIPMENT
from agents.comfort.words import PLAN_WORDS

_ABSURD: tuple[object, ...] = (
    None, math.nan, math.inf, -math.inf, -273.15, 1e308, 10**400, -40, 0, 19.99, 85.0, 4095, "21", "n/a", [], {}, True,
)  # fmt: skip
_TINY_K = 1e-6
_BY_ZONE = (
    "zone_temp_c", "zone_rh", "zone_occupied", "cooling_c", "heating_c", "baseline_cooling_c", "baseline_heating_c",
    "zone_power_w",
)  # fmt: skip
_OF_SITE = ("outdoor_c", "outdoor_rh", "solar_w_m2", "power_w", "price", "carbon")

Answer = dict[str, dict[str, float]]


class Stream:
    """One stream: a building that is drawn by chance, and faults that come and go.

    Parameters
    ----------
    seed
        Decides everything that is not given.
    zones, step_s
        How many, and how often. [s]
    rate
        How often a value is spoilt.
    """

    def __init__(
        self, seed: int, zones: int | None = None, step_s: float | None = None, rate: float | None = None
    ) -> None:
        chance = self._chance = random.Random(seed)
        drawn_zones, drawn_s = chance.choice((1, 2, 5)), chance.choice((300.0, 900.0, 900.0, 900.0, 1800.0, 3600.0))
        self.zones = [f"zone-{index}" for index in range(drawn_zones if zones is None else zones)]
        self.step_s = drawn_s if step_s is None else step_s
        cooling_low, heating_low = chance.uniform(18, 24), chance.uniform(8, 18)
        self.limits = {
            "cooling_c": (cooling_low, cooling_low + chance.uniform(3, 12)),
            "heating_c": (heating_low, heating_low + chance.uniform(2, 10)),
        }
        self.equipment = chance.choice(("", "direct_expansion", "chiller", "furnace"))
        # Half of the streams begin at once, half with a controller that has learnt for nine days.
        self.is_new = chance.random() < 0.5
        self._at = datetime.fromisoformat("2026-01-14") + timedelta(hours=chance.randrange(24 * 300))
        self.begins_at = self._at
        self._air_c = {zone: chance.uniform(10, 32) for zone in self.zones}
        drawn_rate = chance.choice((0.0, 0.01, 0.05, 0.2, 0.5))
        self._rate = drawn_rate if rate is None else rate
        self._told_ahead = chance.choice((1, 32))
        self._stuck: set[str] = set()
        self._silent: set[str] = set()

    @property
    def info(self) -> dict[str, object]:
        """What the controller is told at `reset`."""
        info: dict[str, object] = {
            "zones": self.zones,
            "step_s": self.step_s,
            "start": self._at,
            "limits": self.limits,
            "equipment": self.equipment,
        }
        if self._chance.random() < 0.8:
            info["comfort"] = {"occupied": (20.0, 26.0), "unoccupied": (15.0, 30.0)}
        return info

    def step(self, setpoints: Answer | None) -> tuple[datetime, dict[str, object]]:
        """Return the next time and observation, after set-points were in force."""
        chance = self._chance
        self._at += timedelta(seconds=self.step_s)
        occupied = 7 <= self._at.hour < 18 and self._at.weekday() < 5
        for zone in self.zones:
            heating, cooling = (15.0, 30.0)
            if setpoints is not None:
                heating, cooling = setpoints["heating_c"][zone], setpoints["cooling_c"][zone]
            if zone not in self._stuck:
                drift = chance.uniform(-1.5, 1.5)
                pull = 2.0 * (self._air_c[zone] < heating) - 2.0 * (self._air_c[zone] > cooling)
                self._air_c[zone] += (drift + pull) * self.step_s / 3_600
        own = (21.0, 24.0) if occupied else (15.6, 29.4)
        observation: dict[str, object] = {
            "zone_temp_c": dict(self._air_c),
            "zone_rh": dict.fromkeys(self.zones, 45.0),
            "zone_occupied": dict.fromkeys(self.zones, occupied),
            "baseline_heating_c": dict.fromkeys(self.zones, own[0]),
            "baseline_cooling_c": dict.fromkeys(self.zones, own[1]),
            "outdoor_c": 12.0 + 8 * math.sin(self._at.hour / 24 * math.tau),
            "power_w": 4000.0,
            "zone_power_w": {zone: 1000.0 + 500.0 * abs(self._air_c[zone] - 22.0) for zone in self.zones},
            # Dear in some hours; by some it is told as a number, by some for the coming hours.
            "price": [0.4 if (self._at.hour + ahead // 4) % 6 < 3 else 1.2 for ahead in range(self._told_ahead)],
            "carbon": 0.6,
        }
        if setpoints is not None:
            observation |= {name: dict(values) for name, values in setpoints.items()}
        self._spoil(observation)
        at = self._at
        if chance.random() < self._rate / 3:
            at += timedelta(seconds=chance.choice((-86_400, -3_600, -900, -1, 0, 3_600, 200_000)))
        return at, observation

    def _spoil(self, observation: dict[str, object]) -> None:
        chance = self._chance
        for zone in self.zones:
            for faults in (self._stuck, self._silent):
                if chance.random() < self._rate / 20:
                    faults.symmetric_difference_update({zone})
        for name in (*_BY_ZONE, *_OF_SITE):
            values = observation.get(name)
            if isinstance(values, dict):
                for zone in self.zones:
                    if chance.random() < self._rate:
                        values[zone] = chance.choice(_ABSURD)
                    if zone in self._silent and name == "zone_temp_c":
                        values.pop(zone, None)
            if chance.random() < self._rate / 4:
                observation[name] = chance.choice(_ABSURD)
            if chance.random() < self._rate / 4:
                observation.pop(name, None)


class Rules:
    """What has to hold between one answer and the next.

    Parameters
    ----------
    stream
        Of which the limits are checked.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._protection = PROTECTION.get(stream.equipment, UNKNOWN_EQUIPMENT)
        self._before: Answer | None = None
        self._calls: dict[tuple[str, str], tuple[bool, float]] = {}

    def broken(self, answer: Answer, controller: Controller, elapsed_s: float) -> list[str]:
        """Return in words what an answer breaks."""
        stream, before, found = self._stream, self._before, []
        most_k = RAMP_K_PER_H * stream.step_s / 3_600
        reasons, air = controller.reasons, controller.believed_c
        for zone in stream.zones:
            reason = reasons[zone]
            for name, (low, high) in stream.limits.items():
                value = answer[name][zone]
                # A zone may be left at its own set-points: less heating and cooling than the limits allow, never more.
                left_alone = "own schedule always was" in reason and (
                    value < low if name == "heating_c" else value > high
                )
                if not low - _TINY_K <= value <= high + _TINY_K and not left_alone:
                    found.append(f"{zone}: {name} of {value} is outside {low} to {high}")
                moved_k = 0.0 if before is None else abs(value - before[name][zone])
                if moved_k > most_k + _TINY_K and "without ramp" not in reason:
                    found.append(f"{zone}: {name} moved by {moved_k} K in a step")
                if before is not None and self._too_soon((zone, name), air[zone], before[name][zone], value, elapsed_s):
                    found.append(f"{zone}: {name} of {value} turns a call before its time")
            if answer["cooling_c"][zone] - answer["heating_c"][zone] < DEAD_BAND_K - _TINY_K:
                found.append(f"{zone}: no dead band")
            if _kind_of(reason) not in _plan_starts() or not reason.endswith("°C"):
                found.append(f"{zone}: no reason given: {reason!r}")
        self._before = {name: dict(values) for name, values in answer.items()}
        return found

    def _too_soon(self, whose: tuple[str, str], air_c: float, before_c: float, now_c: float, elapsed_s: float) -> bool:
        """Follow a call, and return whether the set-point, not the air, turned it before its time."""
        sign = 1 if whose[1] == "heating_c" else -1
        was, lasted_s = self._calls.get(whose, (sign * (before_c - air_c) > 0, math.inf))
        lasted_s += elapsed_s
        if math.isnan(air_c):
            self._calls[whose] = was, lasted_s
            return False
        by_air, by_setpoint = sign * (before_c - air_c) > 0, sign * (now_c - air_c) > 0
        least_s = self._protection.min_on_s if was else self._protection.min_off_s
        self._calls[whose] = by_setpoint, 0.0 if by_setpoint != was else lasted_s
        return by_air != by_setpoint and lasted_s < least_s


def _plan_starts() -> list[str]:
    return [words.split("{")[0] for words in PLAN_WORDS.values()]


def _kind_of(reason: str) -> str:
    return next((start for start in _plan_starts() if reason.startswith(start)), "no known reason")


@cache
def _learnt(zones: int, step_s: float) -> bytes:
    """Return what a controller knows after nine days without faults."""
    stream = Stream(0, zones, step_s, rate=0.0)
    controller = Controller()
    controller.reset(stream.info)
    answer: Answer | None = None
    for _ in range(round(9 * 86_400 / step_s)):
        answer = controller.act(*stream.step(answer))
    return controller.snapshot()


def run(seed: int, steps: int) -> tuple[list[str], Counter[str]]:
    """Return what one stream broke, and how often each kind of reason was given."""
    stream = Stream(seed)
    controller, rules = Controller(), Rules(stream)
    controller.reset(stream.info)
    if not stream.is_new:
        controller.restore(_learnt(len(stream.zones), stream.step_s))
    said: Counter[str] = Counter()
    answer: Answer | None = None
    latest = stream.begins_at
    for _ in range(steps):
        at, observation = stream.step(answer)
        answer = controller.act(at, observation)
        said.update(_kind_of(reason) for reason in controller.reasons.values())
        counted = not controller.reasons[stream.zones[0]].startswith(PLAN_WORDS[Plan.OUT_OF_ORDER])
        elapsed_s = (at - latest).total_seconds() if at > latest else float(stream.step_s)
        broken = rules.broken(answer, controller, elapsed_s if counted else 0.0)
        latest = at if counted else latest
        if broken:
            return [f"stream {seed} at {at}: {one}" for one in broken], said
    return [], said


def main() -> None:
    """Run the streams that the command line asks for, and exit with 1 if one breaks a rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=96, help="of each stream")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    arguments = parser.parse_args()
    began, said, broken = time.perf_counter(), Counter[str](), list[str]()
    for seed in range(arguments.first, arguments.first + arguments.streams):
        found, words = run(seed, arguments.steps)
        said += words
        broken += found
    print(f"{arguments.streams} streams of {arguments.steps} steps in {time.perf_counter() - began:.0f} s")
    for words, count in said.most_common(30):
        print(f"{count:>10} {words}")
    print("\n".join(broken[:20]))
    print(f"{len(broken)} broken rules")
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
