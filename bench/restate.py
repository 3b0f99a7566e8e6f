"""`python -m bench.restate`: how long a restatement of one year takes; 50 sites unless `--sites` says otherwise.

Uses an embedded ClickHouse in a directory of its own, which is removed. Prints figures, asserts nothing.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from agents.pricing.pricing import Reference
from schemas.contract import EnergyPrice, Tariff
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Meter, MeterKind, Site
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.restatements import Restatements
from streams.replay.what_if import FACTORS, with_files
from streams.restate import restate

# A year of quarter hours of each site, priced as an older edition had it.
_FILL = """
INSERT INTO emissions_15min (
    tenant_id, site_id, window_start, import_kwh, emitted_kg, market_emitted_kg, cost_cny, windows, version, computed_at
)
SELECT
    'bench', concat('site-', toString(intDiv(number, 35040))),
    toDateTime('2025-12-31 16:00:00', 'UTC') + toIntervalMinute(15 * (number % 35040)),
    50 + number % 97 AS kwh, kwh * 0.5153, kwh * 0.6096, kwh * 0.7, 15, 15, now('UTC')
FROM numbers(35040 * {sites:UInt32})
SETTINGS max_partitions_per_insert_block = 0
"""
_NEW_FACTORS = """\
region_code,region_name_en,region_name_zh,year,kind,kg_co2_per_kwh,source,checked,seen_in,gas,note
CN-ZJ,Zhejiang,浙江,2024,average,0.5000,an edition of the benchmark,1,,CO2,
"""


def main() -> None:
    """Fill, restate twice, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.restate")
    parser.add_argument("--sites", type=int, default=50)
    count: int = parser.parse_args().sites
    price = EnergyPrice(valid_from="2020-01-01", floating_base_cny_per_kwh=0.5252, fixed_part_cny_per_kwh=0.1551)
    sites = [
        Site(
            id=f"site-{number}",
            tenant="bench",
            name="Bench",
            region="CN-ZJ",
            time_zone="Asia/Shanghai",
            tariff=Tariff(plan="cn-zj-large-industry", prices=(price,)),
            meters=(Meter(id="main", kind=MeterKind.GRID),),
        )
        for number in range(count)
    ]
    with tempfile.TemporaryDirectory(prefix="wattloop-bench-") as scratch:
        file = Path(scratch) / "factors.csv"
        file.write_text(_NEW_FACTORS, encoding="utf-8")
        shipped = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
        edition = with_files(shipped, {FACTORS: file}, "2026-12-01")
        client = connect(f"chdb://{scratch}/history")
        migrate(client)
        client.command(_FILL, parameters={"sites": count})
        figures: dict[str, float] = {}
        for name, reference in (("first", edition), ("second edition on top of it", shipped)):
            started, begun = time.perf_counter(), time.process_time()
            done = restate(Restatements(client), reference, {"factors": _NEW_FACTORS}, sites)
            figures[name] = time.perf_counter() - started
            counts = f"{done.quarters:,} quarter hours, {done.differences.height} differences"
            print(f"{figures[name]:8.1f} s, {time.process_time() - begun:.1f} s of CPU  {name}: {counts}")
        client.close()
    print(json.dumps({"sites": count, **{name: round(value, 1) for name, value in figures.items()}}))


if __name__ == "__main__":
    main()
