"""How the agents behave from hundreds to a million meters: one partition, one core, no broker.

Every tick brings about the same number of readings whatever the number of meters, as a worker sees it that catches up,
so that figures per reading can be compared. CPU time is taken, because machines are shared.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
import psutil

from agents.balance.step import Balance
from agents.billing.step import Billing
from agents.emissions.step import Emissions
from agents.metering.step import Metering
from agents.pricing.pricing import Reference
from schemas.contract import Tariff
from schemas.flow import Agent, Kind, Message, SiteRecord
from schemas.reading import INTERVAL_MEASURES, TELEMETRY_ROWS, TIMESTAMP
from schemas.reference.catalogue import REFERENCE_VERSION, load_charges, load_factors, load_tariffs
from schemas.registry import Meter, MeterKind, Site

PER_SITE = 50
PER_TICK = 25_000
INTERVAL_MS = 15_000
WARM_SWEEPS, SWEEPS = 10, 8  # of all meters, at least; windows close in both
TICKS = 8  # at least, in each
START_MS = 1_784_000_040_000
SITES_AT_ONCE = 500  # as streams.frame.stage writes them in one checkpoint

Figures = dict[str, float]


def sites(meters: int) -> Iterator[Site]:
    """Yield sites with one grid meter and 49 sub-meters each, read every 15 s."""
    kinds = [MeterKind.GRID] + [MeterKind.SUB_METER] * (PER_SITE - 1)
    devices = tuple(Meter(id=f"m{place}", kind=kind, interval_s=15) for place, kind in enumerate(kinds))
    tariff = Tariff(plan="cn-zj-large-industry")
    for number in range(meters // PER_SITE):
        yield Site(
            id=f"site-{number:05d}",
            tenant="bench",
            name="Bench",
            region="CN-ZJ",
            time_zone="Asia/Shanghai",
            tariff=tariff,
            meters=devices,
        )


def batches(meters: int, first_sweep: int, sweeps: int, per_tick: int = PER_TICK) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield event time and readings of one tick after another; meters come in a scrambled, repeated order."""
    order = np.random.default_rng(7).permutation(meters)
    names = pl.DataFrame({"site": order // PER_SITE, "meter": order % PER_SITE}).select(
        site_id=pl.format("site-{}", pl.col("site").cast(pl.String).str.zfill(5)),
        meter_id=pl.format("m{}", pl.col("meter")),
    )
    waiting: list[pl.DataFrame] = []
    for sweep in range(first_sweep, first_sweep + sweeps):
        at = START_MS + sweep * INTERVAL_MS
        for begin in range(0, meters, per_tick):
            part = names.slice(begin, per_tick).with_columns(
                tenant_id=pl.lit("bench"),
                ts=pl.lit(at, pl.Int64).cast(TIMESTAMP),
                import_kwh=pl.lit(100.0 + sweep / 7),
                export_kwh=pl.lit(None, pl.Float64),
                **dict.fromkeys(("import_kvarh", *INTERVAL_MEASURES), pl.lit(None, pl.Float64)),
                power_kw=pl.lit(4.0 + sweep),
                raw_partition=pl.lit(0, pl.Int32),
                raw_offset=pl.lit(sweep, pl.Int64),
            )
            waiting.append(part.select(*TELEMETRY_ROWS))
            if sum(part.height for part in waiting) >= per_tick:
                yield at + begin * INTERVAL_MS // meters, pl.concat(waiting).rechunk()
                waiting = []


def spent_s(work: Callable[[], object]) -> float:
    """Return the CPU time of a piece of work. [s]."""
    began = time.process_time()
    work()
    return time.process_time() - began


def figures_of(meters: int) -> Figures:
    """Measure the agents with this many meters."""
    memory = psutil.Process().memory_info
    reference = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
    records = [SiteRecord(site, 1) for site in sites(meters)]
    charges = load_charges()
    metering = Metering(60)
    fed: dict[str, Callable[[], Agent]] = {  # with what metering says
        "emissions": lambda: Emissions(reference),
        "billing": lambda: Billing(reference, charges),
        "balance": lambda: Balance(reference),
    }
    agents = {name: new() for name, new in fed.items()}
    before = memory().rss
    for record in records:
        for agent in (metering, *agents.values()):
            agent.step(Message(Kind.SITE, START_MS, record=record))
    now = START_MS
    warm, measured = (max(sweeps, TICKS * PER_TICK // meters) for sweeps in (WARM_SWEEPS, SWEEPS))
    took_s = dict.fromkeys(("metering", *agents), 0.0)
    readings = windows = 0
    for at, rows in batches(meters, 0, warm + measured):
        now = at + 1000
        counts = at >= START_MS + warm * INTERVAL_MS
        began = time.process_time()
        metering.step(Message(Kind.READINGS, at, rows))
        outcome = metering.step(Message(Kind.TICK, now))
        took_s["metering"] += counts * (time.process_time() - began)
        said = [Message(one.kind, now, one.rows, one.record) for one in outcome.outputs if one.kind is not None]
        for name, agent in agents.items():
            began = time.process_time()
            for message in said:
                agent.step(message)
            took_s[name] += counts * (time.process_time() - began)
        if counts:
            readings += rows.height
            windows += sum(one.rows.height for one in said if one.kind is Kind.WINDOWS and one.rows is not None)
    held = memory().rss - before
    idle = [spent_s(lambda: metering.step(Message(Kind.TICK, now))) for _ in range(50)]
    figures = {
        "metering [readings/s]": readings / took_s["metering"],
        **{f"{name} [windows/s]": windows / took_s[name] for name in agents},
        "all of them [CPU s per million readings]": sum(took_s.values()) / readings * 1e6,
        "metering, tick that changes nothing [ms]": statistics.median(idle) * 1e3,
        "all agents, memory per meter [bytes]": held / meters,
        "metering, points and numbers per meter [bytes]": metering.nbytes / meters,
    }
    figures |= snapshots_of("metering", metering, lambda: Metering(60))
    for name, agent in agents.items():
        figures |= snapshots_of(name, agent, fed[name])
    return figures


def snapshots_of(name: str, agent: Agent, new: Callable[[], Agent]) -> Figures:
    """Measure one checkpoint's snapshots, and a restore of everything."""
    changed = sorted(agent.changed())
    stalls, kept = [], {}
    for begin in range(0, len(changed), SITES_AT_ONCE):
        began = time.process_time()
        kept |= agent.snapshot(changed[begin : begin + SITES_AT_ONCE])
        stalls.append(time.process_time() - began)
    return {
        f"{name}, snapshots of one checkpoint, slowest [ms]": max(stalls) * 1e3,
        f"{name}, snapshot of a site [bytes]": sum(map(len, kept.values())) / len(kept),
        f"{name}, restore of all sites [s]": spent_s(lambda: new().restore(kept)),
    }


def print_scale(sizes: list[int]) -> dict[int, Figures]:
    """Measure each size and print a table."""
    measured: dict[int, Figures] = {}
    for meters in sizes:
        measured[meters] = figures_of(meters)
    print(" ".join(f"{meters:>14,}" for meters in sizes) + "  meters in one partition")
    for name in measured[sizes[0]]:
        values = [measured[meters][name] for meters in sizes]
        print(" ".join(f"{value:>14,.2f}" if value < 100 else f"{value:>14,.0f}" for value in values) + f"  {name}")
    return measured
