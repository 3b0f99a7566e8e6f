"""Loads as quarter hours of one meter, and the moments they belong to."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.anomalies.moments import Moment
from agents.anomalies.site import class_of
from agents.pricing.pricing import Pricing, Reference
from schemas.contract import Tariff
from schemas.reference.catalogue import REFERENCE_VERSION, load_factors, load_tariffs
from schemas.registry import Meter, MeterKind, Site

SHIPPED = Path(__file__).with_name("loads")
PER_DAY = 96
ZONE = ZoneInfo("Asia/Shanghai")  # every wall clock is read as this one: no hour is missing, none is twice


@dataclass(frozen=True, slots=True)
class Load:
    """A recorded meter.

    Parameters
    ----------
    name
        What the source calls it.
    first_day
        Local date of the first row.
    power_kw
        Mean power of each quarter hour, NaN where it was not recorded, shape (days, 96).
    country
        Whose public holidays it has (ISO 3166-1).
    """

    name: str
    first_day: date
    power_kw: NDArray[np.float64]
    country: str

    def moments(self) -> list[list[Moment]]:
        """Return the quarter hours of each day, under a Chinese tariff of three and more periods."""
        site = Site(
            id="site",
            tenant="bench",
            name="Bench",
            region=self.country,
            time_zone=ZONE.key,
            tariff=Tariff(plan="cn-zj-large-industry"),
            meters=(Meter(id="main", kind=MeterKind.GRID),),
        )
        pricing = Pricing(Reference(load_factors(), load_tariffs(), REFERENCE_VERSION))
        pricing.learn([site])
        days = []
        for number in range(len(self.power_kw)):
            day = self.first_day + timedelta(number)
            # Priced as a day of the first year that the tariff is known for; only its periods matter here.
            known = date(2026, day.month, min(day.day, 28))
            of = class_of(site, day)
            begin, priced = (
                int(datetime(d.year, d.month, d.day, tzinfo=ZONE).timestamp()) * 1000 for d in (day, known)
            )
            days.append(
                [
                    Moment(
                        begin + 900_000 * quarter,
                        day.toordinal(),
                        quarter // 4,
                        of,
                        pricing.terms({"site": priced + 900_000 * quarter})["site"],
                        False,
                    )
                    for quarter in range(PER_DAY)
                ]
            )
        return days


def loads_of(path: Path, country: str) -> Iterator[Load]:
    """Read the meters of a Parquet file with `timestamp` (local wall clock), `meter` and `kw`.

    Values of longer intervals than a quarter hour count for all quarter hours of theirs.
    """
    rows = pl.read_parquet(path, columns=["timestamp", "meter", "kw"]).with_columns(pl.col("kw").cast(pl.Float64))
    for (name,), own in sorted(rows.partition_by("meter", as_dict=True).items()):
        ordered = own.sort("timestamp").unique("timestamp", keep="first", maintain_order=True)
        times = ordered["timestamp"].dt.replace_time_zone(None)
        step = int((times.diff().dt.total_minutes().median() or 15) // 15)
        first = times[0].date()
        days = (times[-1].date() - first).days + 1
        place = ((times - times.dt.truncate("1d").first()).dt.total_minutes() // 15).to_numpy()
        power = np.full(days * PER_DAY, np.nan)
        for offset in range(step):
            power[np.minimum(place + offset, len(power) - 1)] = ordered["kw"].to_numpy()
        yield Load(str(name), first, power.reshape(days, PER_DAY), country)


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp()) * 1000
