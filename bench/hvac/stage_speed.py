"""How long the stage takes for many sites: `python -m bench.hvac.stage_speed --sites 2000 --zones 5`.

One process, one core: readings of every zone each minute, ticks each minute, as the agent gets them of one partition.
Nothing is learnt of people yet, which costs as much as when it is.
"""

import argparse
import time

import numpy as np
import polars as pl

from agents.comfort.building import STEP_S
from agents.comfort.step import Comfort
from schemas.contract import Tariff
from schemas.flow import Kind, Message, SiteRecord
from schemas.registry import Meter, MeterKind, Site, Zone
from schemas.zone import ZONE_ROWS

_BEGIN_MS = 1_784_008_800_000
_MINUTE_MS = 60_000
_STEP_MINUTES = STEP_S // 60


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=2_000)
    parser.add_argument("--zones", type=int, default=5, help="of each site")
    parser.add_argument("--steps", type=int, default=4, help="of a quarter hour, after one in which everything is new")
    arguments = parser.parse_args()
    agent = Comfort()
    for number in range(arguments.sites):
        agent.step(Message(Kind.SITE, _BEGIN_MS, record=SiteRecord(_site(number, arguments.zones), 1)))
    chance = np.random.default_rng(0)
    commands, read_s, ticks_s = 0, 0.0, []
    for minute in range((1 + arguments.steps) * _STEP_MINUTES):
        at = _BEGIN_MS + minute * _MINUTE_MS
        readings = _readings(arguments.sites, arguments.zones, at, chance)
        before = time.process_time()
        agent.step(Message(Kind.ZONES, at, readings))
        between = time.process_time()
        outcome = agent.step(Message(Kind.TICK, at))
        after = time.process_time()
        if minute >= _STEP_MINUTES:
            read_s += between - before
            ticks_s.append(after - between)
            commands += sum(one.rows.height for one in outcome.outputs if one.rows is not None)
    before = time.process_time()
    packed = agent.snapshot()
    packed_s = time.process_time() - before
    zones, spent_s = arguments.sites * arguments.zones, read_s + sum(ticks_s)
    measured_s = arguments.steps * STEP_S
    print(f"{arguments.sites} sites, {zones} zones, readings and ticks each minute, {arguments.steps} steps")
    print(f"{spent_s:.1f} s of processor time in {measured_s} s: {100 * spent_s / measured_s:.2f} % of one core")
    print(f"of it readings {read_s:.1f} s; a tick {1e3 * np.mean(ticks_s):.0f} ms, at most {1e3 * max(ticks_s):.0f} ms")
    print(f"{commands} commands; snapshot of all: {sum(map(len, packed.values())) / 1e6:.1f} MB in {packed_s:.1f} s")


def _site(number: int, zones: int) -> Site:
    hvac = {"equipment_kind": "dx", "mode": "advise"}
    return Site(
        id=f"site-{number}",
        tenant="estate",
        name=f"Site {number}",
        region="CN-ZJ",
        time_zone="Asia/Shanghai",
        tariff=Tariff(plan="cn-zj-large-industry"),
        meters=(Meter(id="main", kind=MeterKind.GRID),),
        zones=tuple(
            Zone.model_validate({"id": f"zone-{zone}", "name": f"Zone {zone}", "area_m2": 100.0, "hvac": hvac})
            for zone in range(zones)
        ),
    )


def _readings(sites: int, zones: int, at: int, chance: np.random.Generator) -> pl.DataFrame:
    count = sites * zones
    known = pl.DataFrame(
        {
            "tenant_id": pl.repeat("estate", count, eager=True),
            "site_id": np.repeat([f"site-{number}" for number in range(sites)], zones),
            "zone_id": np.tile([f"zone-{zone}" for zone in range(zones)], sites),
            "ts": pl.repeat(at, count, eager=True),
            "air_c": 24.0 + chance.normal(0, 0.3, count),
            "occupied": chance.random(count) < 0.5,
            "own_cooling_c": np.full(count, 26.0),
            "own_heating_c": np.full(count, 20.0),
        }
    )
    missing = (pl.lit(None, kind).alias(name) for name, kind in ZONE_ROWS.items() if name not in known.columns)
    ts = pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")
    return known.with_columns(*missing).with_columns(ts).select(*ZONE_ROWS)


if __name__ == "__main__":
    main()
