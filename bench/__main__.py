"""`python -m bench`: how fast the hot paths are on this machine, one core, without a broker.

Prints a table; asserts nothing. Each figure is the median of several rounds, because machines are noisy. Then the
agents with 500, 50,000 and 1,000,000 meters, or as many as `--meters` says; a million take some minutes and 4 GB.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import polars as pl

from agents.emissions.step import Emissions
from agents.metering.step import Metering
from agents.pricing.pricing import Reference
from bench.scale import print_scale
from schemas.contract import Tariff
from schemas.flow import Kind, Message, SiteRecord
from schemas.reading import INTERVAL_MEASURES
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Meter, MeterKind, Site
from streams.ingest.decode import NDJSON_TYPE, decode
from streams.ingest.poll import Poll, RawMessage
from streams.ingest.validate import Bounds, known_meters, validate

ROUNDS = 7
SITES, METERS = 100, 50
START_MS = 1_784_000_040_000
STEP_MS = 15_000


def sites() -> list[Site]:
    """Return sites with one grid meter and 49 sub-meters each, read every 15 s."""
    return [
        Site(
            id=f"site-{site:03d}",
            tenant="bench",
            name="Bench",
            region="CN-ZJ",
            time_zone="Asia/Shanghai",
            tariff=Tariff(plan="cn-zj-large-industry"),
            meters=tuple(
                Meter(id=f"m{meter}", kind=MeterKind.SUB_METER if meter else MeterKind.GRID, interval_s=15)
                for meter in range(METERS)
            ),
        )
        for site in range(SITES)
    ]


def readings(step: int) -> pl.DataFrame:
    """Return one reading of every meter."""
    names = [(f"site-{site:03d}", f"m{meter}") for site in range(SITES) for meter in range(METERS)]
    return pl.DataFrame(names, schema={"site_id": pl.String, "meter_id": pl.String}, orient="row").with_columns(
        ts=pl.lit(START_MS + step * STEP_MS, pl.Int64), import_kwh=pl.lit(100.0 + step), power_kw=pl.lit(4.0)
    )


def telemetry(step: int) -> pl.DataFrame:
    """Return the same as rows of telemetry.v1."""
    return readings(step).select(
        pl.lit("bench").alias("tenant_id"),
        "site_id",
        "meter_id",
        pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC"),
        "import_kwh",
        pl.lit(None, pl.Float64).alias("export_kwh"),
        "power_kw",
        *(pl.lit(None, pl.Float64).alias(name) for name in ("import_kvarh", *INTERVAL_MEASURES)),
        pl.lit(0, pl.Int32).alias("raw_partition"),
        pl.lit(step, pl.Int64).alias("raw_offset"),
    )


def rate(rows: int, work: Callable[[], object]) -> float:
    """Return rows per second, the median of the rounds."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return rows / statistics.median(times)


def ingest_rate(lines_per_message: int) -> float:
    """Return readings/s of decoding and validating JSON messages."""
    lines = readings(0).write_ndjson().encode().splitlines() * 4
    values = [b"\n".join(lines[at : at + lines_per_message]) for at in range(0, len(lines), lines_per_message)]
    messages = [RawMessage(0, number, START_MS, b"site-000", value, NDJSON_TYPE) for number, value in enumerate(values)]
    poll = Poll.of(messages)
    meters = known_meters([SiteRecord(site, 1) for site in sites()], 8)
    bounds = Bounds(300_000, 86_400_000)
    return rate(len(lines), lambda: validate(decode(poll), poll, meters, bounds))


def pipeline_rates() -> tuple[float, float]:
    """Return readings/s of metering, and windows/s of emissions, over ten minutes of 15 s readings with ticks."""
    reference = Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)
    steps = 40
    batches = [telemetry(step) for step in range(steps)]
    metering_s, emissions_s, windows = [], [], 0
    for _ in range(ROUNDS):
        metering, emissions = Metering(60), Emissions(reference)
        spent_m = spent_e = 0.0
        windows = 0
        for site in sites():
            for agent in (metering, emissions):
                agent.step(Message(Kind.SITE, START_MS, record=SiteRecord(site, 1)))
        for step, rows in enumerate(batches):
            arrived_at = START_MS + step * STEP_MS
            started = time.perf_counter()
            metering.step(Message(Kind.READINGS, arrived_at, rows))
            outcome = metering.step(Message(Kind.TICK, arrived_at + 1000))
            between = time.perf_counter()
            for output in outcome.outputs:
                if output.kind is not None:
                    emissions.step(Message(output.kind, arrived_at, output.rows, output.record))
                if output.kind is Kind.WINDOWS and output.rows is not None:
                    windows += output.rows.height
            spent_e += time.perf_counter() - between
            spent_m += between - started
        metering_s.append(spent_m)
        emissions_s.append(spent_e)
    total = steps * SITES * METERS
    return total / statistics.median(metering_s), windows / statistics.median(emissions_s)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--meters", type=int, nargs="+", default=[500, 50_000, 1_000_000], help="meters per partition")
    sizes: list[int] = parser.parse_args().meters
    metering, emissions = pipeline_rates()
    figures = {
        "ingest, one reading per JSON message [readings/s]": ingest_rate(1),
        "ingest, NDJSON of 100 [readings/s]": ingest_rate(100),
        "metering, 5,000 meters at 15 s, a tick per reading [readings/s]": metering,
        "emissions [windows/s]": emissions,
    }
    for name, value in figures.items():
        print(f"{value:>12,.0f}  {name}")
    scale = print_scale(sizes)
    print(json.dumps({name: round(value) for name, value in figures.items()} | {"scale": scale}))


if __name__ == "__main__":
    main()
