"""`python -m bench.anomalies.data_faults`: faults of meters, not of energy, planted into recorded loads.

Every load sends its register and its power each quarter hour through the agent metering. Every fourth day a fault is
planted: a register that stands still, no readings at all, or a clock that is behind. A flag of its kind while it
lasts, or an hour (of clocks: three) after, has found it; every other flag is a false alarm.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.metering.step import Metering
from bench.anomalies.__main__ import COUNTRIES
from bench.anomalies.loads import PER_DAY, SHIPPED, loads_of
from schemas.contract import Tariff
from schemas.correction import CorrectionKind
from schemas.flow import Kind, Message, SiteRecord
from schemas.reading import TELEMETRY_ROWS
from schemas.registry import Meter, MeterKind, Site
from schemas.topics import CORRECTIONS

DAYS = 60
_BEGIN_MS = 1_770_000_300_000  # a whole quarter hour
_QUARTER_MS = 900_000
_LAG_MS = 3_000
_WARM_DAYS = 3
_EVERY_DAYS = 4
_LATENESS_S = 120
# By kind: how long it lasts, or how far a clock is behind (for twelve hours). [h], [h], [min]
SIZES: dict[CorrectionKind, tuple[int, ...]] = {
    CorrectionKind.REGISTER_STUCK: (2, 6, 24),
    CorrectionKind.SILENT: (2, 6, 24),
    CorrectionKind.CLOCK_SLIP: (5, 15, 60),
}
_CLOCK_HOURS = 12
_AFTER_MS = {CorrectionKind.CLOCK_SLIP: 3 * 3_600_000}
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault of a meter: its kind and size, and from when until when it lasts. [ms UTC]"""

    meter: str
    kind: CorrectionKind
    size: int
    from_ms: int
    until_ms: int


@dataclass(slots=True)
class Result:
    """What was planted and found, and what was flagged although nothing was planted."""

    planted: list[Planted] = field(default_factory=list)
    found: set[Planted] = field(default_factory=set)
    false_flags: Counter[str] = field(default_factory=Counter)
    meter_days: int = 0


def main() -> None:
    """Plant, run and print."""
    arguments = argparse.ArgumentParser(prog="python -m bench.anomalies.data_faults", description=__doc__)
    arguments.add_argument("--seed", type=int, default=0)
    seed = arguments.parse_args().seed
    powers: dict[str, NDArray[np.float64]] = {}
    for name, country in COUNTRIES.items():
        for load in loads_of(Path(SHIPPED / f"{name}.parquet"), country):
            whole = _whole_days(load.power_kw)
            if whole is not None:
                powers[f"{name}-{len(powers)}"] = whole
    print("\n".join(lines(run(powers, seed))))


def run(powers: dict[str, NDArray[np.float64]], seed: int, days: int = DAYS) -> Result:
    """Plant faults into loads and run metering over them.

    Parameters
    ----------
    powers
        By meter the mean power of its quarter hours; nothing is sent where it is NaN; shape (quarter hours,). [kW]
    seed
        Of what is planted.
    days
        How many of each load.
    """
    result = Result(meter_days=days * len(powers))
    sent = []
    for place, (meter, power_kw) in enumerate(powers.items()):
        rng = np.random.default_rng([seed, place])
        faults = _plant(meter, days, rng)
        result.planted += faults
        sent.append(_sent(meter, power_kw[: days * PER_DAY], faults))
    flags = _flags(pl.concat(sent).sort("arrived_at", maintain_order=True), sorted(powers), days)
    for at, meter, kind in flags.iter_rows():
        of = next((one for one in result.planted if one.meter == meter and _fits(one, kind, at)), None)
        if of is None:
            result.false_flags[kind] += 1
        else:
            result.found.add(of)
    return result


def lines(result: Result) -> list[str]:
    """Return a Markdown table."""
    rows = ["| | size | planted | recall | false flags per 30 meter-days |", "|---|--:|--:|--:|--:|"]
    for kind, sizes in SIZES.items():
        for size in (None, *sizes):
            planted = [one for one in result.planted if one.kind is kind and size in (None, one.size)]
            found = sum(one in result.found for one in planted)
            unit = "min behind" if kind is CorrectionKind.CLOCK_SLIP else "h"
            false = f"{30 * result.false_flags[kind.value] / result.meter_days:.2f}" if size is None else ""
            what = (kind.value, "all") if size is None else ("", f"{size} {unit}")
            rows.append(f"| {what[0]} | {what[1]} | {len(planted)} | {found / max(1, len(planted)):.3f} | {false} |")
    others = {kind: count for kind, count in result.false_flags.items() if kind not in SIZES}
    return [*rows, "", f"{result.meter_days} meter-days; other flags: {others or 'none'}"]


def _plant(meter: str, days: int, rng: np.random.Generator) -> list[Planted]:
    faults = []
    for day in range(_WARM_DAYS, days - 2, _EVERY_DAYS):
        kind = list(SIZES)[int(rng.integers(len(SIZES)))]
        size = int(rng.choice(SIZES[kind]))
        hours = _CLOCK_HOURS if kind is CorrectionKind.CLOCK_SLIP else size
        begin = day * PER_DAY + int(rng.integers(PER_DAY))
        end = begin + hours * 4
        faults.append(Planted(meter, kind, size, _BEGIN_MS + begin * _QUARTER_MS, _BEGIN_MS + end * _QUARTER_MS))
    return faults


def _sent(meter: str, power_kw: NDArray[np.float64], faults: list[Planted]) -> pl.DataFrame:
    """Return the readings of a meter with its faults, and when each arrives."""
    ends_at = _BEGIN_MS + np.arange(1, len(power_kw) + 1) * _QUARTER_MS
    drawn_kwh, ts, is_sent = np.nan_to_num(power_kw) / 4, ends_at.copy(), ~np.isnan(power_kw)
    for fault in faults:
        during = (ends_at > fault.from_ms) & (ends_at <= fault.until_ms)
        if fault.kind is CorrectionKind.REGISTER_STUCK:
            drawn_kwh = np.where(during, 0.0, drawn_kwh)
        elif fault.kind is CorrectionKind.SILENT:
            is_sent &= ~during
        else:
            ts = np.where(during, ts - fault.size * 60_000, ts)
    frame = pl.DataFrame(
        {
            "arrived_at": ends_at + _LAG_MS,
            "meter_id": [meter] * len(ts),
            "ts": ts,
            "import_kwh": 1_000.0 + np.cumsum(drawn_kwh),
            "power_kw": power_kw,
        }
    )
    return frame.filter(pl.Series(is_sent))


def _flags(sent: pl.DataFrame, meters: list[str], days: int) -> pl.DataFrame:
    """Return what metering says of them: `at` [ms UTC], `meter` and `kind`."""
    agent = Metering(_LATENESS_S)
    site = Site(
        id="site",
        tenant="bench",
        name="Bench",
        region="CN-ZJ",
        time_zone="Asia/Shanghai",
        tariff=Tariff(plan="cn-zj-large-industry"),
        meters=tuple(Meter(id=name, kind=MeterKind.GRID, interval_s=900) for name in meters),
    )
    agent.step(Message(Kind.SITE, _BEGIN_MS, record=SiteRecord(site, 1)))
    known = sent.with_columns(
        pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC"),
        tenant_id=pl.lit("bench"),
        site_id=pl.lit("site"),
        raw_partition=pl.lit(0, pl.Int32),
        raw_offset=pl.int_range(pl.len()),
    ).with_columns(
        pl.lit(None, kind).alias(name)
        for name, kind in TELEMETRY_ROWS.items()
        if name not in sent.columns and name not in {"tenant_id", "site_id", "raw_partition", "raw_offset"}
    )
    found: list[tuple[int, str, str]] = []
    by_arrival = known.partition_by("arrived_at", as_dict=True, maintain_order=True)
    for quarter in range(1, days * PER_DAY + 1):
        at = _BEGIN_MS + quarter * _QUARTER_MS + _LAG_MS
        mine = by_arrival.get((at,))
        if mine is not None:
            agent.step(Message(Kind.READINGS, at, mine.select(*TELEMETRY_ROWS)))
        for output in agent.step(Message(Kind.TICK, at)).outputs:
            if output.topic is CORRECTIONS and output.rows is not None:
                said = output.rows.select("meter_id", "kind").filter(pl.col("kind").is_in(_FAULTS))
                found += [(at, meter, kind) for meter, kind in said.iter_rows()]
    return pl.DataFrame(found, schema={"at": pl.Int64, "meter": pl.String, "kind": pl.String}, orient="row")


# What is over again is no alarm, nor is what came late.
_FAULTS = [
    kind.value
    for kind in CorrectionKind
    if kind
    not in {
        CorrectionKind.LATE_DATA,
        CorrectionKind.REGISTER_MOVES,
        CorrectionKind.CLOCK_RIGHT,
        CorrectionKind.SPEAKS,
        CorrectionKind.DRAWS,
    }
]


def _fits(fault: Planted, kind: str, at: int) -> bool:
    after_ms = _AFTER_MS.get(fault.kind, _HOUR_MS)
    return fault.kind.value == kind and fault.from_ms <= at <= fault.until_ms + after_ms


def _whole_days(power_kw: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the first `DAYS` days in a row without a hole; shape (quarter hours,). None where there are none."""
    holes = np.isnan(power_kw).any(axis=1)
    for first in range(len(power_kw) - DAYS + 1):
        if not holes[first : first + DAYS].any():
            return power_kw[first : first + DAYS].reshape(-1)
    return None


if __name__ == "__main__":
    main()
