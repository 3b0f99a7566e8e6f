"""The recorded loads behind the demo factories, as meters that have been counting since 2020.

A recording is repeated in whole weeks, and its wall clock is read as that of the factory, so a Monday morning
stays a Monday morning. Registers and powers are pure functions of absolute time: two runs that start at
different times read the same meter. Sources and licences: `loads/NOTICE.md`.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.reading import FIELD

LOADS = Path(__file__).with_name("loads")
STEP_MS = 900_000  # every recording is in steps of 15 min
FACTORY_ZONE = ZoneInfo("Asia/Shanghai")  # UTC+8 at all times after the anchor: a day has 24 h
ANCHOR_MS = int(datetime(2020, 1, 6, tzinfo=FACTORY_ZONE).timestamp()) * 1_000  # a Monday, 00:00
COUNTS_PER_KWH = 1_000_000
STEPS_PER_H = 4
STEPS_PER_WEEK = 7 * 24 * STEPS_PER_H


@dataclass(frozen=True)
class RecordedMeter:
    """A meter of a demo factory and the recording behind it.

    Parameters
    ----------
    site_id, meter_id
        The meter, as `registry.yaml` names it.
    file
        Parquet file in `loads/`.
    column
        Column of mean powers in it. [kW]
    factor
        What the recorded power is multiplied by.
    """

    site_id: str
    meter_id: str
    file: str
    column: str
    factor: float

    @cached_property
    def powers_kw(self) -> NDArray[np.float64]:
        """Mean power of each interval of one cycle. [kW]"""
        recorded = pl.read_parquet(LOADS / self.file, columns=["timestamp", self.column]).sort("timestamp")
        if recorded["timestamp"][0].weekday() != 0 or len(recorded) % STEPS_PER_WEEK:
            raise ValueError(f"{self.file} is not a recording of whole weeks from a Monday on")
        # Rounded to what a meter would show: 0.1 W times a factor is not a round number in binary.
        return np.round(recorded[self.column].to_numpy() * self.factor, 3)

    @cached_property
    def counted(self) -> NDArray[np.int64]:
        """Register at the start of each interval of one cycle, and at its end. [1e-6 kWh]

        A meter counts in whole steps. So does this one, in integers, so that registers never drift: the
        difference of two of them is the recorded energy, however many cycles lie between.
        """
        counts = np.rint(self.powers_kw * (COUNTS_PER_KWH / STEPS_PER_H)).astype(np.int64)
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])

    @property
    def cycle_steps(self) -> int:
        """Intervals of one cycle."""
        return len(self.powers_kw)

    def import_kwh(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cumulative register at some interval boundaries.

        Parameters
        ----------
        steps
            Intervals since the anchor, not negative.

        Returns
        -------
        NDArray
            Energy counted since the anchor. [kWh]
        """
        cycles, within = np.divmod(steps, self.cycle_steps)
        counts: NDArray[np.int64] = cycles * self.counted[-1] + self.counted[within]
        return counts / COUNTS_PER_KWH

    def power_kw(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean power of the intervals that end at some boundaries. [kW]"""
        powers_kw: NDArray[np.float64] = self.powers_kw[(steps - 1) % self.cycle_steps]
        return powers_kw


METERS: tuple[RecordedMeter, ...] = (
    RecordedMeter("zj-steel", "main", "steel.parquet", "steel_main", 1.0),
    RecordedMeter("gd-panels", "main", "simbench.parquet", "sb_G3-H", 6.0),
    # The sub-meters are recordings of their own, scaled to stay below the grid meter at every moment.
    RecordedMeter("gd-panels", "press-line", "simbench.parquet", "sb_G4-A", 4.0),
    RecordedMeter("js-textiles", "main", "simbench.parquet", "sb_G3-A", 8.0),
    RecordedMeter("js-textiles", "looms", "simbench.parquet", "sb_G4-H", 2.0),
)


def readings_between(from_ms: int, until_ms: int) -> pl.DataFrame:
    """Return what the demo meters show at every recorded instant of a period.

    Parameters
    ----------
    from_ms, until_ms
        The period, its end not included. [ms since 1970 UTC]

    Returns
    -------
    pl.DataFrame
        Columns of `schemas.reading.FIELD`, ordered by time.

    Raises
    ------
    ValueError
        If the period begins before the meters began to count.

    Examples
    --------
    >>> hour_ms = 3_600_000
    >>> first = readings_between(ANCHOR_MS, ANCHOR_MS + hour_ms).filter(pl.col("site_id") == "zj-steel")
    >>> first.select("import_kwh", "power_kw").rows()
    [(0.0, 10.96), (3.17, 12.68), (7.17, 16.0), (10.41, 12.96)]
    """
    if from_ms < ANCHOR_MS:
        raise ValueError(f"the demo meters began to count at {ANCHOR_MS} ms; {from_ms} ms is before that")
    first, end = (-(-(bound - ANCHOR_MS) // STEP_MS) for bound in (from_ms, until_ms))
    steps = np.arange(first, end, dtype=np.int64)
    shown = [
        pl.DataFrame(
            {
                "ts": ANCHOR_MS + steps * STEP_MS,
                "import_kwh": meter.import_kwh(steps),
                "power_kw": meter.power_kw(steps),
            }
        ).with_columns(site_id=pl.lit(meter.site_id), meter_id=pl.lit(meter.meter_id))
        for meter in METERS
    ]
    together = pl.concat(shown).sort("ts", maintain_order=True)
    # Measures these meters do not have are null.
    return pl.concat([pl.DataFrame(schema=FIELD), together], how="diagonal_relaxed").select(
        pl.col(name).cast(kind) for name, kind in FIELD.items()
    )


def month_bounds_ms(year: int, month: int) -> tuple[int, int]:
    """Return the start of a month in the factories' time zone, and that of the next.

    Examples
    --------
    >>> start_ms, end_ms = month_bounds_ms(2026, 7)
    >>> (end_ms - start_ms) // 86_400_000
    31
    """
    start = datetime(year, month, 1, tzinfo=FACTORY_ZONE)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=FACTORY_ZONE)
    return int(start.timestamp()) * 1_000, int(end.timestamp()) * 1_000


def month_readings(year: int, month: int, extra_s: int = 0) -> pl.DataFrame:
    """Return a month of readings, from the one at its start to the one at its end.

    Parameters
    ----------
    year, month
        The month, in the factories' time zone.
    extra_s
        How long the readings go on after its end, so that its last windows can close. [s]
    """
    start_ms, end_ms = month_bounds_ms(year, month)
    return readings_between(start_ms, end_ms + extra_s * 1_000 + 1)
