"""`python -m bench.hvac_gateway`: what a gateway itself costs per step of all its zones, without devices and broker.

One command for each zone every 15 minutes, decided, kept on disk before and after, and answered; then one look for
leases that are over. Prints a table; asserts nothing.
"""

import argparse
import asyncio
import logging
import tempfile
import time
from pathlib import Path

from schemas.hvac import BacnetPoints, Hvac
from schemas.setpoint import Setpoint, command_id
from streams.hvac_gateway.gateway import Gateway
from streams.hvac_gateway.journal import Journal
from streams.hvac_gateway.lease import Served
from streams.hvac_gateway.plant import Rehearsal

START_MS = 1_784_008_800_000
STEP_MS = 900_000
STEPS = 4
POINTS = BacnetPoints(device=1, address="192.0.2.10", cooling_object="analog-value,1", heating_object="analog-value,2")
ZONE = Served("bench", Hvac.model_validate({"equipment_kind": "dx", "mode": "act", "bacnet": POINTS}))


def command(zone: int, issued_at: int) -> Setpoint:
    """Return a command for a zone, with a lease of two steps."""
    return Setpoint.model_validate(
        {
            "command_id": command_id("site", f"z{zone}", issued_at),
            "tenant_id": "bench",
            "site_id": "site",
            "zone_id": f"z{zone}",
            "mode": "act",
            "cooling_c": 25.5,
            "heating_c": 19.0,
            "issued_at": issued_at,
            "not_after": issued_at + 300_000,
            "lease_s": 2 * STEP_MS // 1000,
        }
    )


def measured(zones: int) -> tuple[float, float, float]:
    """Return seconds for a step, seconds for a turn without anything to do, and MB on disk; of the last step."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
        took, turned = asyncio.run(steps(journal, zones))
        return took, turned, sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6


async def steps(journal: Journal, zones: int) -> tuple[float, float]:
    """Take a few steps; return the seconds of the last one and of the turn after it."""
    now = [START_MS]
    gateway = Gateway(Rehearsal(), journal, lambda: now[0])
    gateway.zones = lambda _site, _zone: ZONE
    took = turned = 0.0
    for step in range(STEPS):
        now[0] = START_MS + step * STEP_MS
        commands = [command(zone, now[0]) for zone in range(zones)]
        began = time.perf_counter()
        await gateway.take(commands)
        took = time.perf_counter() - began
        gateway.sent(gateway.unsent)
        began = time.perf_counter()
        await gateway.turn()
        turned = time.perf_counter() - began
    return took, turned


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zones", type=int, nargs="*", default=[100, 1_000, 10_000])
    logging.disable(logging.CRITICAL)
    print(f"{'zones':>7} {'a step':>10} {'a turn':>10} {'on disk':>10}")
    for zones in parser.parse_args().zones:
        took, turned, kept = measured(zones)
        print(f"{zones:>7,} {took:>8.3f} s {turned:>8.3f} s {kept:>7.1f} MB")


if __name__ == "__main__":
    main()
