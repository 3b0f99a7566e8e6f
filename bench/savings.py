"""`python -m bench.savings`: whether the two ways of proving a saving tell the truth, where the truth is known.

Everything goes through the agent as in the pipeline: registry entries, windows and weather in, savings.v1 out.

Switchback: hundreds of simulated offices at once, one block a day, with a measure that saves exactly what is said. The
baseline model: a meter whose saving is known to be 10 % (`--data DIR`, the samples of opendsm), and offices in which a
measure begins on a day and saves what is said. Asserts nothing.
"""

import argparse
import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from agents.pricing.pricing import Reference
from agents.savings.step import Savings
from agents.switching.blocks import Blocks
from schemas.contract import EnergyPrice, Tariff
from schemas.flow import Kind, Message, SiteRecord
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Meter, MeterKind, Site, Zone
from schemas.weather import WEATHER_ROWS
from schemas.window import WINDOW_ROWS
from streams.demo.plant import OFFICE, STEP_S, STEPS_PER_DAY, Plant, outdoor_c

Floats = npt.NDArray[np.float64]
Records = pl.DataFrame  # of savings.v1

BEFORE_DAYS = 42
BEGIN = date(2026, 1, 5)  # a Monday, as the plant's
SHANGHAI, CHICAGO = "Asia/Shanghai", "America/Chicago"
_PRICE = EnergyPrice(valid_from=date(2010, 1, 1), floating_base_cny_per_kwh=0.5252, fixed_part_cny_per_kwh=0.1551)


@cache
def offices(seeds: int, days: int) -> tuple[Floats, Floats]:
    """Return power of the zones without the measure, and outdoor temperatures; shape (days, 96, seeds). [kW, °C]"""
    chance = np.random.default_rng(1)
    outdoor = outdoor_c(days, seeds, chance)
    plant = Plant(OFFICE, seeds, chance)
    cooling, heating = np.full(seeds, 25.0), np.full(seeds, 20.0)
    power = np.stack([plant.step(step, outdoor[step], cooling, heating) for step in range(days * STEPS_PER_DAY)])
    shape = days, STEPS_PER_DAY, seeds
    return power.reshape(shape), outdoor.reshape(shape)


def a_site(name: str, zone: str = SHANGHAI, region: str = "CN-ZJ", **given: object) -> Site:
    """Return the registry entry of a site with a grid meter and a metered zone that is controlled."""
    meters = Meter(id="main", kind=MeterKind.GRID), Meter(id="hvac", kind=MeterKind.HVAC, parent="main")
    office = Zone.model_validate(
        {"id": "office", "name": "Office", "area_m2": 400.0, "meter": "hvac"}
        | {"hvac": {"equipment_kind": "dx", "mode": "act"}}
    )
    tariff = Tariff(plan="cn-zj-large-industry", prices=(_PRICE,))
    about = {"id": name, "tenant": "bench", "name": name, "region": region, "time_zone": zone, "tariff": tariff}
    about |= {"meters": meters, "zones": (office,), "works_on_holidays": True}
    return Site.model_validate(about | given)


def messages(sites: list[Site], days: Iterable[tuple[pl.DataFrame, pl.DataFrame]]) -> Iterator[Message]:
    """Yield what comes on energy.v1.

    Parameters
    ----------
    sites
        Registry entries.
    days
        Windows (`site_id`, `meter_id`, `meter_kind`, `window_start`, `window_s`, `import_kwh`) and weather (`site_id`,
        `ts`, `outdoor_c`) of one day after another, times in ms UTC.
    """
    for number, site in enumerate(sites):
        yield Message(Kind.SITE, 0, record=SiteRecord(site, number))
    for windows, weather in days:
        yield Message(Kind.WEATHER, 0, _rows(weather, WEATHER_ROWS, "ts"))
        yield Message(Kind.WINDOWS, 0, _rows(windows, WINDOW_ROWS, "window_start"))
        yield Message(Kind.TICK, 0)


def through_the_agent(sites: list[Site], days: Iterable[tuple[pl.DataFrame, pl.DataFrame]]) -> Records:
    """Return all that is said of sites, as the pipeline would; parameters as of `messages`."""
    agent = an_agent()
    outcomes = [agent.step(message) for message in messages(sites, days)]
    return pl.concat(output.rows for outcome in outcomes for output in outcome.outputs if output.rows is not None)


def an_agent() -> Savings:
    """Return the agent, with the release's reference data."""
    return Savings(Reference(load_factors(), load_tariffs(), REFERENCE_VERSION))


def _rows(given: pl.DataFrame, schema: dict[str, pl.DataType], time: str) -> pl.DataFrame:
    about = {"tenant_id": "bench", "quality": "measured", "revision": 0, "covered_s": 900.0}
    rows = given.with_columns(**{name: pl.lit(value) for name, value in about.items() if name in schema})
    rows = rows.with_columns(pl.from_epoch(time, "ms").dt.replace_time_zone("UTC"))
    missing = {name: pl.lit(None, kind) for name, kind in schema.items() if name not in rows.columns}
    return rows.with_columns(**missing).select(pl.col(name).cast(kind) for name, kind in schema.items())


def of_offices(power: Floats, outdoor: Floats) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield windows and weather of the zones of offices, a day at a time; shapes (days, 96, seeds)."""
    names = [f"office-{seed}" for seed in range(power.shape[2])]
    begin = _midnight(BEGIN, SHANGHAI)
    for day, (kw, air_c) in enumerate(zip(power, outdoor, strict=True)):
        starts = begin + (day * STEPS_PER_DAY + np.arange(STEPS_PER_DAY)) * STEP_S * 1000
        each = pl.DataFrame({"window_start": np.tile(starts, len(names)), "site_id": np.repeat(names, len(starts))})
        hvac = each.with_columns(import_kwh=pl.Series(kw.T.reshape(-1) * STEP_S / 3600), window_s=STEP_S)
        hvac = hvac.with_columns(meter_id=pl.lit("hvac"), meter_kind=pl.lit("hvac"))
        hourly = each.rename({"window_start": "ts"}).with_columns(outdoor_c=pl.Series(air_c.T.reshape(-1)))
        yield hvac, hourly.gather_every(4)


def _midnight(day: date, zone: str) -> int:
    return int(datetime.combine(day, datetime.min.time(), ZoneInfo(zone)).timestamp() * 1000)


def switchback(seeds: int, days: int, share: float, before: int) -> dict[str, float]:
    """Run an experiment in each office, and compare what is said after every day with the truth."""
    power, outdoor = offices(seeds, BEFORE_DAYS + days)
    power, outdoor = power[BEFORE_DAYS - before :].copy(), outdoor[BEFORE_DAYS - before :]
    begins = BEGIN + timedelta(days=before)
    sites = [a_site(f"office-{seed}", experiment={"starts_on": begins.isoformat()}) for seed in range(seeds)]
    for place, site in enumerate(sites):
        blocks = Blocks.of(site)
        if blocks is None:
            raise ValueError(f"{site.id} has no experiment")
        on = [blocks.has_measure(BEGIN.toordinal() + day) for day in range(before + days)]
        power[on, :, place] *= 1 - share
    return _told(through_the_agent(sites, of_offices(power, outdoor)), share, begins)


def baseline(seeds: int, days: int, share: float, before: int) -> dict[str, float]:
    """Let a measure begin in each office, and compare what is said after every day with the truth."""
    power, outdoor = offices(seeds, before + days)
    power = power.copy()
    power[before:] *= 1 - share
    begins = BEGIN + timedelta(days=before)
    sites = [a_site(f"office-{seed}", measure_started_on=begins.isoformat()) for seed in range(seeds)]
    return _told(through_the_agent(sites, of_offices(power, outdoor)), share, begins)


def _told(said: Records, share: float, begins: date) -> dict[str, float]:
    zone = said.filter(pl.col("zone_id") == "office")
    holds = (pl.col("share_low") <= share) & (pl.col("share_high") >= share)
    by_site = (
        zone.with_columns(holds=holds.fill_null(value=True), shown=pl.col("state") == "shown")
        .sort("ts")
        .group_by("site_id")
        .agg(
            pl.col("holds").last().alias("last"),
            pl.col("holds").all().alias("always"),
            pl.col("shown").any(),
            pl.col("to_day").filter("shown").first().alias("first_shown"),
            ((pl.col("share_high") - pl.col("share_low")) / 2).last().alias("reach"),
        )
    )
    after = by_site["first_shown"].str.to_date().drop_nulls() - begins
    median = (after.dt.total_days() + 1).median()
    return {
        "true saving": share,
        "covered at the end": _mean(by_site["last"]),
        "covered at every look": _mean(by_site["always"]),
        "claimed at any look": _mean(by_site["shown"]),
        "days until claimed, median": float("nan") if not isinstance(median, float) else median,
        "half of the interval at the end, mean": _mean(by_site["reach"]),
    }


def _mean(values: pl.Series) -> float:
    found = values.mean()
    return float(found) if isinstance(found, float) else float("nan")


def known_meter(directory: Path) -> dict[str, float]:
    """Compare a meter's year before a measure with the year after it; its saving is 10 %."""

    def read(name: str) -> pl.DataFrame:
        found = pl.read_csv(gzip.decompress((directory / name).read_bytes()))
        return found.select(at=pl.col(found.columns[0]), value=pl.col(found.columns[1]).cast(pl.Float64))

    used = read("mv_il-electricity-cdd-hdd-daily.csv.gz").with_columns(day=pl.col("at").str.slice(0, 10).str.to_date())
    felt = read("mv_il-tempF.csv.gz").with_columns(
        pl.col("at").str.to_datetime(time_zone="UTC").dt.epoch("ms").alias("ts"),
        day=pl.col("at").str.slice(0, 10).str.to_date(),
    )
    outdoor = felt.select("day", "ts", outdoor_c=(pl.col("value") - 32) * 5 / 9, site_id=pl.lit("meter"))
    begins, blackout = date(2017, 1, 4), date(2016, 12, 26)
    site = a_site("meter", zone=CHICAGO, region="US", measure_started_on=begins.isoformat())

    def days() -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        weather = outdoor.partition_by("day", as_dict=True)
        for day, kwh in used.sort("day").select("day", "value").drop_nulls().iter_rows():
            if blackout <= day < begins or day >= date(2018, 1, 4) or (day,) not in weather:
                continue
            first, end = _midnight(day, CHICAGO), _midnight(day + timedelta(days=1), CHICAGO)
            starts = np.arange(first, end, STEP_S * 1000)
            windows = pl.DataFrame({"window_start": starts}).with_columns(
                site_id=pl.lit("meter"),
                meter_id=pl.lit("main"),
                meter_kind=pl.lit("grid"),
                window_s=STEP_S,
                import_kwh=kwh / len(starts),
            )
            yield windows, weather[(day,)].drop("day")

    last = through_the_agent([site], days()).filter(pl.col("zone_id").is_null()).sort("ts").row(-1, named=True)
    return {
        "true saving": 0.10,
        "saving": last["share"],
        "low": last["share_low"],
        "high": last["share_high"],
        "daily CV(RMSE)": last["cv_rmse"],
        "NMBE": last["nmbe"],
        "fractional uncertainty": last["fractional_uncertainty"],
        "days before": last["baseline_days"],
        "days with the measure": last["measured_days"],
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=200)
    options.add_argument("--days", type=int, default=120)
    options.add_argument("--data", type=Path, help="directory with mv_il-*.csv.gz")
    chosen = options.parse_args()
    found: dict[str, dict[str, float]] = {}

    def measure(name: str, run: Callable[..., dict[str, float]], *given: object) -> None:
        found[name] = run(*given)
        print(name)
        for figure, value in found[name].items():
            print(f"  {value:>9.3f}  {figure}", flush=True)

    seeds, days = chosen.seeds, chosen.days
    for before in (BEFORE_DAYS, 0):
        for share in (0.0, 0.05, 0.10):
            measure(f"switchback {share:.0%}, after {before} days", switchback, seeds, days, share, before)
    for share in (0.0, 0.10):
        measure(f"baseline {share:.0%}, a measure after 90 days", baseline, seeds, days, share, 90)
    if chosen.data is not None:
        measure("baseline, a year after a year", known_meter, chosen.data)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
