"""`python -m bench.anomalies.speed`: what all detectors cost with many learnt meters at one-minute windows."""

import argparse
import time
from dataclasses import replace

import numpy as np
import polars as pl
import psutil

from agents.anomalies.state import from_bytes, to_bytes
from agents.anomalies.step import Anomalies
from agents.pricing.pricing import Reference
from bench.scale import PER_SITE, sites
from schemas.flow import Kind, Message, SiteRecord
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.window import WINDOW_ROWS

LEARNT_DAYS, MINUTES = 70, 60
START_MS = 1_780_243_200_000  # 2026-06-01 00:00 in Shanghai, a Monday
MINUTE_MS, DAY_MIN = 60_000, 1440


def windows(names: pl.DataFrame, minutes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.DataFrame:
    """Return the windows of all meters in these minutes: 50 kW from 07:00 to 18:00, 2 kW else, each a little off."""
    at = pl.DataFrame({"minute": minutes})
    hour = pl.col("minute") % DAY_MIN // 60
    power = pl.when((hour >= 7) & (hour < 18)).then(50.0).otherwise(2.0)
    wobble = 1 + 0.02 * ((pl.col("minute") * 7 + pl.int_range(pl.len())) % 11 - 5) / 5
    rows = at.join(names, how="cross").with_columns(
        tenant_id=pl.lit("bench"),
        window_start=pl.from_epoch(START_MS + pl.col("minute") * MINUTE_MS, "ms").dt.replace_time_zone("UTC"),
        import_kwh=power * wobble / 60,
        quality=pl.lit("measured"),
        revision=pl.lit(0),
    )
    missing = {name: pl.lit(None) for name in WINDOW_ROWS if name not in rows.columns}
    cast = [pl.col(name).cast(kind) for name, kind in WINDOW_ROWS.items() if name != "window_start"]
    return rows.with_columns(**missing).with_columns(cast).select(*WINDOW_ROWS)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="python -m bench.anomalies.speed", description=__doc__)
    arguments.add_argument("--meters", type=int, default=50_000)
    meters = arguments.parse_args().meters
    agent = Anomalies(Reference(load_factors(), load_tariffs(), REFERENCE_VERSION))
    first, *others = sites(meters)
    agent.step(Message(Kind.SITE, START_MS, record=SiteRecord(first, 0)))
    of_site = pl.DataFrame(
        {"meter_id": [m.id for m in first.meters], "meter_kind": [m.kind.value for m in first.meters]}
    )
    for day in range(LEARNT_DAYS):
        rows = windows(of_site.with_columns(site_id=pl.lit(first.id)), np.arange(DAY_MIN) + day * DAY_MIN)
        agent.step(Message(Kind.WINDOWS, START_MS, rows))
    packed = agent.snapshot()[first.id]
    before = psutil.Process().memory_info().rss
    for site in others:
        state, running = from_bytes(packed)
        agent.restore({site.id: to_bytes(replace(state, record=SiteRecord(site, 0), packed_record=b""), running)})
    held = psutil.Process().memory_info().rss - before
    names = pl.concat(of_site.with_columns(site_id=pl.lit(site.id)) for site in (first, *others))
    taken = 0.0
    for minute in range(MINUTES):
        message = Message(Kind.WINDOWS, START_MS, windows(names, np.array([LEARNT_DAYS * DAY_MIN + minute])))
        began = time.process_time()
        agent.step(message)
        taken += time.process_time() - began
    stalls = []
    for after in ("quarter hour", "minute"):
        began = time.process_time()
        kept = agent.snapshot([site.id for site in (first, *others)])
        stalls.append((after, (time.process_time() - began) / len(kept)))
    print(f"{meters:,} learnt meters, {MINUTES} minutes of one-minute windows, one partition")
    print(f"windows per CPU second        {meters * MINUTES / taken:>12,.0f}")
    print(f"of one core, in real time     {taken / (MINUTES * 60):>12.2%}")
    print(f"memory per meter [bytes]      {held / max(1, len(others) * PER_SITE):>12,.0f}")
    print(f"snapshot of a site [bytes]    {sum(map(len, kept.values())) / len(kept):>12,.0f}")
    for after, stall_s in stalls:
        print(f"snapshot of a site, after a {after:<12} [ms] {stall_s * 1000:.3f}")


if __name__ == "__main__":
    main()
