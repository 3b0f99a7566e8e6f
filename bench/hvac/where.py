"""When a building's energy is drawn: `python -m bench.hvac.where`, after `python -m bench.hvac --controllers own`.

Reads the recordings of own schedules. What is drawn while nobody is in any zone is all that set-backs can save; the
rest depends on the band, on ventilation and on fans.
"""

import argparse
from pathlib import Path

import numpy as np

from bench.hvac.trace import STEPS_PER_DAY, Trace
from bench.hvac.weather import LEARNING_DAYS


def main() -> None:
    """Print a row for each recording."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, default=Path(".wattloop/hvac"), metavar="DIR")
    arguments = parser.parse_args()
    print("| building, window | kWh | of it fuel | while nobody is in any zone | in the first hour with people |")
    print("|---|--:|--:|--:|--:|")
    for path in sorted(arguments.recordings.glob("*.npz")):
        own = Trace.load(path)
        scored = slice(LEARNING_DAYS * STEPS_PER_DAY, None)
        fuel_kwh = own.fuel_kwh[scored]
        kwh, used = own.electric_kwh[scored] + fuel_kwh, (own.people[scored] > 0).any(axis=1)
        begins = np.flatnonzero(used[1:] & ~used[:-1]) + 1
        first = np.zeros(len(used), dtype=bool)
        for begin in begins:
            first[begin : begin + 4] = True
        name = ", ".join(path.name.split("-")[:2])
        shares = (fuel_kwh.sum(), kwh[~used].sum(), kwh[first & used].sum())
        print(f"| {name} | {kwh.sum():,.0f} | {' | '.join(f'{share / kwh.sum():.0%}' for share in shares)} |")


if __name__ == "__main__":
    main()
