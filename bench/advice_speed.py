"""`python -m bench.advice_speed`: what advice costs with many meters at one-minute windows, and in a turn of a site."""

import argparse
import time

import numpy as np
import polars as pl

from agents.advice.step import Advice
from agents.pricing.pricing import Reference
from bench.anomalies.speed import DAY_MIN, START_MS, windows
from bench.scale import sites
from schemas.flow import Kind, Message, SiteRecord
from schemas.reference.catalogue import REFERENCE_VERSION, load_charges, load_factors, load_tariffs

LEARNT_DAYS, MINUTES = 28, 30


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="python -m bench.advice_speed", description=__doc__)
    arguments.add_argument("--meters", type=int, default=10_000)
    meters = arguments.parse_args().meters
    agent = Advice(Reference(load_factors(), load_tariffs(), REFERENCE_VERSION), load_charges())
    works = list(sites(meters))
    for site in works:
        agent.step(Message(Kind.SITE, START_MS, record=SiteRecord(site, 0)))
    names = pl.DataFrame(
        [(site.id, meter.id, meter.kind.value) for site in works for meter in site.meters],
        schema=["site_id", "meter_id", "meter_kind"],
        orient="row",
    )
    tick = Message(Kind.TICK, START_MS)
    turns: list[float] = []
    for day in range(LEARNT_DAYS + 1):
        for hour in range(24):
            minutes = day * DAY_MIN + hour * 60 + np.arange(60)
            agent.step(Message(Kind.WINDOWS, START_MS, windows(names, minutes)))
        began = time.process_time()
        agent.step(tick)
        turns.append((time.process_time() - began) / len(works))
    taken = 0.0
    for minute in range(MINUTES):
        message = Message(Kind.WINDOWS, START_MS, windows(names, np.array([(LEARNT_DAYS + 1) * DAY_MIN + minute])))
        began = time.process_time()
        agent.step(message)
        taken += time.process_time() - began
    packing = []
    for _ in ("turn", "minute"):
        began = time.process_time()
        kept = agent.snapshot([site.id for site in works])
        packing.append((time.process_time() - began) / len(kept))
    print(f"{meters:,} meters of {len(works):,} sites, one partition, {LEARNT_DAYS} days kept")
    print(f"windows per CPU second        {meters * MINUTES / taken:>12,.0f}")
    print(f"of one core, in real time     {taken / (MINUTES * 60):>12.2%}")
    print(f"a site's turn, once a day [ms] {turns[-1] * 1000:>11.1f}")
    print(f"snapshot of a site [bytes]    {sum(map(len, kept.values())) / len(kept):>12,.0f}")
    print(
        f"snapshot of a site, after its turn [ms] {packing[0] * 1000:.3f}, after a minute [ms] {packing[1] * 1000:.3f}"
    )


if __name__ == "__main__":
    main()
