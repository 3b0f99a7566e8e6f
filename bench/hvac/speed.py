"""How long a controller takes for many zones: `python -m bench.hvac.speed --zones 10000`.

One process, one core. The zones of an office estate, with noise on each temperature, so that recoveries end and are
learnt all the time; measured are days after those in which everything is new.
"""

import argparse
import time
from datetime import datetime, timedelta

import numpy as np

from agents.comfort.controller import Controller

STEP_S = 900
_DAY_STEPS = 86_400 // STEP_S
_LEARNING_DAYS = 8


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zones", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=1, help="that are measured, after eight days of learning")
    parser.add_argument("--prices", action="store_true", help="energy gets dear twice a day")
    arguments = parser.parse_args()
    zones = [f"zone-{index}" for index in range(arguments.zones)]
    chance = np.random.default_rng(0)
    controller = Controller()
    controller.reset({"zones": zones, "step_s": STEP_S})
    began = datetime.fromisoformat("2026-01-05")
    air_c = np.full(len(zones), 21.0)
    took_s: list[float] = []
    heating_c = np.full(len(zones), 21.0)
    for step in range((_LEARNING_DAYS + arguments.days) * _DAY_STEPS):
        day, of_day = divmod(step, _DAY_STEPS)
        used = day % 7 < 5 and 32 <= of_day < 72
        # Towards the set-point at 3 K/h, away from it at 0.5 K/h.
        air_c = np.where(air_c < heating_c, np.minimum(air_c + 0.75, heating_c), air_c - 0.125)
        own = (21.0, 24.0) if used else (15.6, 27.0)
        observation = {
            "zone_temp_c": dict(zip(zones, (air_c + chance.normal(0, 0.02, len(zones))).tolist(), strict=True)),
            "zone_occupied": dict.fromkeys(zones, used),
            "outdoor_c": 3.0,
            "baseline_heating_c": dict.fromkeys(zones, own[0]),
            "baseline_cooling_c": dict.fromkeys(zones, own[1]),
        }
        if arguments.prices:
            hours = (of_day / 4 + np.arange(32) / 4) % 24
            observation["price"] = np.where(
                (hours >= 9) & (hours < 12) | (hours >= 15) & (hours < 18), 1.2, 0.4
            ).tolist()
        before = time.process_time()
        answer = controller.act(began + timedelta(seconds=step * STEP_S), observation)
        took_s.append(time.process_time() - before)
        heating_c = np.fromiter(answer["heating_c"].values(), dtype=float)
    measured = np.array(took_s[_LEARNING_DAYS * _DAY_STEPS :])
    before = time.process_time()
    packed = controller.snapshot()
    packed_s = time.process_time() - before
    print(
        f"{len(zones)} zones: {1e3 * measured.mean():.0f} ms of processor time a step, at most {measured.max():.2f} s"
    )
    print(f"a step is {STEP_S} s: {100 * measured.mean() / STEP_S:.3f} % of one core")
    print(f"snapshot: {len(packed) / 1e6:.1f} MB in {packed_s:.2f} s")


if __name__ == "__main__":
    main()
