"""What a day's energy depends on: a regression on degree days and production.

    energy = base + per_unit * units + per_heating * HDD(heating_c) + per_cooling * CDD(cooling_c)

The candidates are a constant, heating, cooling or both, each with and without production. Balance points are searched;
only models whose slopes are not negative count, and of those the best by adjusted R² is taken.

References
----------
CalTRACK methods 3.4, https://docs.caltrack.org: balance points, qualification of degree days, choice by adjusted R².
ISO 50006:2014: production as a relevant variable beside degree days.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

BALANCE_POINTS_C: tuple[float, ...] = tuple(float(one) / 2 for one in range(-2, 65, 3))  # -1 to 32 in steps of 1.5 K
_LEAST_DAYS = 10  # with degree days, and
_LEAST_DEGREE_DAYS = 20.0  # of them in all, else a balance point says nothing


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted model.

    Parameters
    ----------
    base_kwh
        Energy of a day without anything else. [kWh]
    per_unit_kwh
        Energy per unit made; None where production is not in it. [kWh]
    heating_c, per_heating_kwh
        Below which outdoor temperature energy rises, and by how much per kelvin day. [°C, kWh/(K d)]
    cooling_c, per_cooling_kwh
        Above which outdoor temperature energy rises, and by how much. [°C, kWh/(K d)]
    days
        Days it was fitted to.
    adjusted_r2
        Share of the variance it explains, less what any variable would.
    cv_rmse
        Standard deviation of the residuals by the mean day.
    temperature_c, units
        Lowest and highest value it was fitted to; of units None where production is not in it.
    """

    base_kwh: float
    per_unit_kwh: float | None
    heating_c: float | None
    per_heating_kwh: float
    cooling_c: float | None
    per_cooling_kwh: float
    days: int
    adjusted_r2: float
    cv_rmse: float
    temperature_c: tuple[float, float]
    units: tuple[float, float] | None

    @property
    def depends_on(self) -> tuple[str, ...]:
        """What the energy depends on: `weather`, `production`, both or nothing."""
        weather = self.heating_c is not None or self.cooling_c is not None
        return (*(["weather"] if weather else []), *(["production"] if self.per_unit_kwh is not None else []))

    def expected_kwh(self, outdoor_c: Floats, units_made: Floats | None) -> Floats:
        """Return the energy of days.

        Parameters
        ----------
        outdoor_c
            Mean outdoor temperature of each day. [°C]
        units_made
            Good output of each day; needed where production is in the model.

        Raises
        ------
        ValueError
            If production is missing.
        """
        expected = np.full(len(outdoor_c), self.base_kwh)
        if self.heating_c is not None:
            expected += self.per_heating_kwh * heating_kd(outdoor_c, self.heating_c)
        if self.cooling_c is not None:
            expected += self.per_cooling_kwh * cooling_kd(outdoor_c, self.cooling_c)
        if self.per_unit_kwh is not None:
            if units_made is None:
                raise ValueError("the model contains production, but none is given")
            expected += self.per_unit_kwh * units_made
        return expected


def heating_kd(outdoor_c: Floats, balance_c: float) -> Floats:
    """Return the heating degree days of days.

    Examples
    --------
    >>> heating_kd(np.array([5.0, 15.0, 25.0]), 18.0).tolist()
    [13.0, 3.0, 0.0]
    """
    return np.maximum(balance_c - outdoor_c, 0.0)


def cooling_kd(outdoor_c: Floats, balance_c: float) -> Floats:
    """Return the cooling degree days of days.

    Examples
    --------
    >>> cooling_kd(np.array([5.0, 15.0, 28.5]), 26.0).tolist()
    [0.0, 0.0, 2.5]
    """
    return np.maximum(outdoor_c - balance_c, 0.0)


def fitted(days: pl.DataFrame, *, with_production: bool) -> Model:
    """Fit the best model to days.

    Parameters
    ----------
    days
        `energy_kwh`, `outdoor_c` and, if wanted, `units_made` of at least two days, nothing missing.
    with_production
        Whether production may be in it.

    Returns
    -------
    Model
        A constant where nothing else explains more.
    """
    energy = days["energy_kwh"].to_numpy().astype(np.float64)
    outdoor = days["outdoor_c"].to_numpy().astype(np.float64)
    units = days["units_made"].to_numpy().astype(np.float64) if with_production else None
    best: Model | None = None
    for points, produced in product(_points(outdoor), (False, True) if units is not None else (False,)):
        found = _fit(energy, outdoor, units if produced else None, points)
        # Of two that explain the same the one with fewer variables stays.
        if found is not None and (best is None or found.adjusted_r2 > best.adjusted_r2 + 1e-9):
            best = found
    if best is None:
        raise ValueError("a constant can always be fitted")
    return best


_Points = tuple[float | None, float | None]


def _points(outdoor: Floats) -> Iterator[_Points]:
    """Yield the balance points worth trying, the simplest models first."""
    heating = [at for at in BALANCE_POINTS_C if _says_something(heating_kd(outdoor, at))]
    cooling = [at for at in BALANCE_POINTS_C if _says_something(cooling_kd(outdoor, at))]
    yield None, None
    yield from ((at, None) for at in heating)
    yield from ((None, at) for at in cooling)
    yield from ((low, high) for low in heating for high in cooling if low <= high)


def _says_something(degree_days: Floats) -> bool:
    return int((degree_days > 0).sum()) >= _LEAST_DAYS and float(degree_days.sum()) >= _LEAST_DEGREE_DAYS


def _fit(energy: Floats, outdoor: Floats, units: Floats | None, points: _Points) -> Model | None:
    heating_c, cooling_c = points
    columns = [np.ones(len(energy))]
    if units is not None:
        columns.append(units)
    if heating_c is not None:
        columns.append(heating_kd(outdoor, heating_c))
    if cooling_c is not None:
        columns.append(cooling_kd(outdoor, cooling_c))
    n, p = len(energy), len(columns)
    if n <= p:
        return None
    matrix = np.column_stack(columns)
    solved, _, rank, _ = np.linalg.lstsq(matrix, energy, rcond=None)
    slopes = [float(one) for one in solved]
    if rank < p or any(slope < 0 for slope in slopes[1:]):
        return None
    residual = float(((energy - matrix @ solved) ** 2).sum())
    total = float(((energy - energy.mean()) ** 2).sum())
    r2 = 1 - residual / total if total > 0 else 0.0
    return _named(slopes, units, points, outdoor, (n, 1 - (1 - r2) * (n - 1) / (n - p), _cv(residual, n - p, energy)))


def _cv(residual: float, freedom: int, energy: Floats) -> float:
    mean = float(energy.mean())
    return float(np.sqrt(residual / freedom)) / mean if mean > 0 else float("inf")


def _named(
    slopes: Sequence[float], units: Floats | None, points: _Points, outdoor: Floats, quality: tuple[int, float, float]
) -> Model:
    rest = iter(slopes)
    base = next(rest)
    per_unit = next(rest) if units is not None else None
    per_heating = next(rest) if points[0] is not None else 0.0
    per_cooling = next(rest) if points[1] is not None else 0.0
    days, adjusted_r2, cv_rmse = quality
    return Model(
        base_kwh=base,
        per_unit_kwh=per_unit,
        heating_c=points[0],
        per_heating_kwh=per_heating,
        cooling_c=points[1],
        per_cooling_kwh=per_cooling,
        days=days,
        adjusted_r2=adjusted_r2,
        cv_rmse=cv_rmse,
        temperature_c=(float(outdoor.min()), float(outdoor.max())),
        units=None if units is None else (float(units.min()), float(units.max())),
    )
