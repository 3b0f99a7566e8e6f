"""What the totals of a replayed period must be: one pass over the recorded files, no register, no window.

It shares the list of meters with the replay and nothing else, so it can stand against what went through the
whole pipeline.
"""

import numpy as np
import polars as pl

from streams.demo.recorded import ANCHOR_MS, LOADS, METERS

INTERVAL_MS = 15 * 60 * 1_000
INTERVAL_H = 0.25
HOUR_MS = 3_600_000


def single_pass_energy(from_ms: int, until_ms: int) -> pl.DataFrame:
    """Return the recorded energy of each demo meter and hour.

    Parameters
    ----------
    from_ms, until_ms
        The period: whole hours since the meters began to count, its end not included. [ms since 1970 UTC]

    Returns
    -------
    pl.DataFrame
        `site_id`, `meter_id`, `hour_ms` (start of the hour, ms UTC) and `energy_kwh`.

    Raises
    ------
    ValueError
        If the period is not one of whole hours after the anchor.

    Examples
    --------
    >>> first = single_pass_energy(ANCHOR_MS, ANCHOR_MS + HOUR_MS).filter(pl.col("site_id") == "zj-steel")
    >>> first["energy_kwh"].round(6).to_list()
    [13.72]
    """
    if from_ms < ANCHOR_MS or from_ms % HOUR_MS or until_ms % HOUR_MS or until_ms < from_ms:
        raise ValueError(f"expected whole hours from {ANCHOR_MS} ms on, got {from_ms} to {until_ms}")
    hours = np.arange(from_ms, until_ms, HOUR_MS)
    tables = []
    for meter in METERS:
        recorded_kw = pl.read_parquet(LOADS / meter.file)[meter.column].to_numpy()
        starts = np.arange(from_ms, until_ms, INTERVAL_MS)
        played_kw = recorded_kw[(starts - ANCHOR_MS) // INTERVAL_MS % len(recorded_kw)] * meter.factor
        energies_kwh = np.bincount((starts - from_ms) // HOUR_MS, weights=played_kw * INTERVAL_H)
        tables.append(
            pl.DataFrame({"hour_ms": hours, "energy_kwh": energies_kwh}).select(
                pl.lit(meter.site_id).alias("site_id"),
                pl.lit(meter.meter_id).alias("meter_id"),
                "hour_ms",
                "energy_kwh",
            )
        )
    return pl.concat(tables)
