"""What a building pays that knows when energy is dear: `python -m bench.hvac.prices`.

The simulated building of the demonstration under the agent, three times over the same weeks: by its own schedule,
steered without prices, and steered with those of its tariff. Asserts nothing.

examples:
  python -m bench.hvac.prices                     a July, after two weeks of learning
  python -m bench.hvac.prices --first-day 2191   a January
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from agents.comfort.step import Comfort
from agents.pricing.pricing import Pricing, Reference
from schemas.flow import Kind, Message, SiteRecord
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Site
from schemas.setpoint import Setpoint
from schemas.weather import WEATHER_ROWS
from schemas.zone import ZONE_ROWS
from streams.demo.building import METER_IDS, SITE_ID, STEP_MS, Building, Hold
from streams.demo.recorded import ANCHOR_MS, COUNTS_PER_KWH

DAY = 96  # steps
_DAY_MS = DAY * STEP_MS
_REGISTRY = Path(__file__).parents[2] / "streams" / "demo" / "registry.yaml"
_STEERED = METER_IDS[1:]


@dataclass(frozen=True, slots=True)
class Paid:
    """What some weeks were; arrays have shape (steps,).

    Attributes
    ----------
    kwh, cny_per_kwh
        Drawn by heating, cooling and fans, and what it cost. [kWh, CNY/kWh]
    outside_kh
        Outside 20 to 26 °C while zones were in use. [K·h]
    said
        How often each reason was given.
    """

    kwh: np.ndarray[tuple[int], np.dtype[np.float64]]
    cny_per_kwh: np.ndarray[tuple[int], np.dtype[np.float64]]
    outside_kh: float
    said: Mapping[str, int]

    @property
    def cny(self) -> float:
        """What was paid. [CNY]"""
        return float(self.kwh @ self.cny_per_kwh)


@cache
def demonstrated() -> Site:
    """Return the simulated building, as the demonstration registers it."""
    sites = yaml.safe_load(_REGISTRY.read_text(encoding="utf-8"))["sites"]
    return Site.model_validate_json(json.dumps(next(site for site in sites if site["id"] == SITE_ID), default=str))


@cache
def reference() -> Reference:
    """Return factors and tariffs of the release."""
    return Reference(load_factors(), load_tariffs(), REFERENCE_VERSION)


def lived(agent: Comfort | None, first_day: int, learning_days: int, days: int) -> Paid:
    """Return what some weeks were.

    Parameters
    ----------
    agent
        Who steers; None: its own schedule.
    first_day
        On which it begins, counted from 6 January 2020.
    learning_days, days
        Before it counts, and that do.
    """
    building = Building.new(ANCHOR_MS + first_day * _DAY_MS)
    if agent is not None:
        agent.step(Message(Kind.SITE, building.at_ms, record=SiteRecord(demonstrated(), 1)))
    drawn, outside_kh, said = list[tuple[int, float]](), 0.0, dict[str, int]()
    for step in range((learning_days + days) * DAY):
        before = sum(building.counts[meter] for meter in _STEERED)
        begins = building.at_ms
        shown = building.advance(begins + STEP_MS)
        for told in [] if agent is None else _told(agent, building.at_ms, shown.weather, shown.zones):
            if told["mode"] == "act":
                command = Setpoint.model_validate_json(json.dumps(told))
                hold = Hold(command.cooling_c, command.heating_c, 10, command.issued_at, command.ends_at)
                building.holds[command.zone_id] = hold
            else:
                building.holds.pop(str(told["zone_id"]), None)
            said[str(told["reason"])] = said.get(str(told["reason"]), 0) + 1
        if step >= learning_days * DAY:
            drawn.append((begins, (sum(building.counts[meter] for meter in _STEERED) - before) / COUNTS_PER_KWH))
            for air_c in shown.zones.filter("occupied")["air_c"]:
                outside_kh += max(20.0 - air_c, air_c - 26.0, 0.0) * STEP_MS / 3_600_000
    begins_at, kwh = (np.array(column) for column in zip(*drawn, strict=True))
    return Paid(kwh, _prices(begins_at), outside_kh, said)


def _told(agent: Comfort, at: int, weather: pl.DataFrame, zones: pl.DataFrame) -> Iterator[dict[str, object]]:
    """Yield what is said after a step of the building."""
    for message in (
        Message(Kind.WEATHER, at, _columns(weather, WEATHER_ROWS)),
        Message(Kind.ZONES, at, _columns(zones, ZONE_ROWS)),
        *(Message(Kind.TICK, at + minute * 60_000) for minute in range(STEP_MS // 60_000)),
    ):
        for output in agent.step(message).outputs:
            if output.rows is not None:
                yield from output.rows.iter_rows(named=True)


def _columns(rows: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    missing = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in rows.columns]
    ts = pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC")
    return rows.with_columns(*missing).with_columns(ts).select(pl.col(name).cast(kind) for name, kind in schema.items())


def _prices(begins: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    pricing = Pricing(reference())
    pricing.learn([demonstrated()])
    minutes = pl.DataFrame({"site_id": pl.repeat(SITE_ID, len(begins), eager=True), "window_start": begins})
    return pricing.tariffed(minutes)["price_cny_per_kwh"].to_numpy()


def main() -> None:
    """Live through what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first-day", type=int, default=2359, help="counted from 6 January 2020")
    parser.add_argument("--learning-days", type=int, default=14)
    parser.add_argument("--days", type=int, default=28)
    arguments = parser.parse_args()
    print("| | kWh | of it in the dearest hours | CNY | saved CNY | K·h outside 20–26 °C | peak kW |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    own: Paid | None = None
    for name, agent in (
        ("own schedule", None),
        ("steered, no prices", Comfort()),
        ("steered, prices", Comfort(reference())),
    ):
        paid = lived(agent, arguments.first_day, arguments.learning_days, arguments.days)
        own = own or paid
        dear = paid.cny_per_kwh >= paid.cny_per_kwh.max() - 1e-9
        print(
            f"| {name} | {paid.kwh.sum():,.0f} | {paid.kwh[dear].sum():,.0f} | {paid.cny:,.0f} "
            f"| {1 - paid.cny / own.cny:.1%} | {paid.outside_kh:.1f} | {4 * paid.kwh.max():.1f} |",
            flush=True,
        )
        if agent is not None:
            print(f"    {dict(sorted(paid.said.items()))}")


if __name__ == "__main__":
    main()
