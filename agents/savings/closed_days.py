"""Days that are over: energy, money and carbon of each scope, outdoor temperatures and production."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from agents.savings.baseline import Days, Floats
from agents.savings.open_days import COUNTS_PER_K, COUNTS_PER_KWH, Whole

SAMPLES = 24  # outdoor temperatures of a day
_LEAST_HOURS = 8  # with a temperature: what comes every three hours is enough
# A day with less of its minutes is unknown; of the others what is missing is taken to be like the rest.
_LEAST_KNOWN = 0.95
_MOST_KNOWN = 1.01  # more windows than a day has: its meters were exchanged for others


class Figure(IntEnum):
    """What is kept of a scope and day."""

    WHOLE_KWH = 0  # of the whole day
    COUNTED_KWH = 1  # without the hours in which the block before still has an effect
    COUNTED_CNY = 2
    COUNTED_KG = 3
    COUNTED_MARKET_KG = 4
    EXPECTED_KWH = 5  # of the whole day without the measure, foretold from earlier pairs


@dataclass(slots=True)
class ClosedDays:
    """Days of a site, ascending.

    Parameters
    ----------
    day
        Local days, as ordinals; shape (n,).
    outdoor_c
        Temperatures at even intervals, NaN where they are not known; shape (n, 24). [°C]
    produced
        What was made; shape (n,).
    figures
        Shape (scopes, 6, n), NaN where they are not known.
    """

    day: Whole
    outdoor_c: Floats
    produced: Floats
    figures: Floats

    @classmethod
    def none(cls, scopes: int) -> Self:
        """Return no days."""
        return cls(np.zeros(0, np.int64), np.zeros((0, SAMPLES)), np.zeros(0), np.zeros((scopes, len(Figure), 0)))

    def put(self, day: int, outdoor_c: Floats, produced: float, figures: Floats) -> None:
        """Add a day, or replace it; shapes (24,) and (scopes, 6)."""
        place = int(np.searchsorted(self.day, day))
        if place < len(self.day) and self.day[place] == day:
            self.outdoor_c[place], self.produced[place], self.figures[:, :, place] = outdoor_c, produced, figures
            return
        self.day = np.insert(self.day, place, day)
        self.outdoor_c = np.insert(self.outdoor_c, place, outdoor_c, axis=0)
        self.produced = np.insert(self.produced, place, produced)
        self.figures = np.insert(self.figures, place, figures, axis=2)

    def keep(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Let go of all other days."""
        if not chosen.all():
            self.day, self.outdoor_c, self.produced = self.day[chosen], self.outdoor_c[chosen], self.produced[chosen]
            self.figures = self.figures[:, :, chosen]

    def conditions(self, kinds: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]) -> Days:
        """Return what the energy of some days depends on; `kinds` has shape (n,)."""
        return Days(kinds[chosen], self.outdoor_c[chosen], self.produced[chosen])

    def with_scopes(self, before: Mapping[int, int], scopes: int) -> "ClosedDays":
        """Return the same with other scopes, as of `OpenDays.with_scopes`."""
        figures = np.full((scopes, len(Figure), len(self.day)), np.nan)
        for now, then in before.items():
            figures[now] = self.figures[then]
        return ClosedDays(self.day, self.outdoor_c, self.produced, figures)


def day_figures(counts: Whole, meters: Whole, carry_over: int, rates: Floats) -> Floats:
    """Work out a day.

    Parameters
    ----------
    counts
        Energy of each scope and seconds of its windows by quarter hour; shape (2 * scopes, quarters). [1e-6 kWh, s]
    meters
        How many each scope has; shape (scopes,).
    carry_over
        Quarter hours that do not count.
    rates
        Price and both factors by quarter hour, NaN where not known; shape (3, quarters).

    Returns
    -------
    Floats
        Shape (scopes, 6); `EXPECTED_KWH` is NaN.
    """
    scopes = len(meters)
    kwh, seconds = counts[:scopes] / COUNTS_PER_KWH, counts[scopes : 2 * scopes]
    figures = np.full((scopes, len(Figure)), np.nan)
    for scope, number in enumerate(meters.tolist()):
        for figure, begin in ((Figure.WHOLE_KWH, 0), (Figure.COUNTED_KWH, carry_over)):
            own = kwh[scope, begin:]
            known = seconds[scope, begin:].sum() / (number * len(own) * 900)
            if _LEAST_KNOWN <= known <= _MOST_KNOWN:
                figures[scope, figure] = own.sum() / known
                if figure is Figure.COUNTED_KWH:
                    figures[scope, Figure.COUNTED_CNY : Figure.EXPECTED_KWH] = rates[:, begin:] @ own / known
    return figures


def samples_of(sums: Whole, number: Whole) -> Floats:
    """Return outdoor temperatures at 24 even intervals of a day.

    Parameters
    ----------
    sums, number
        By quarter hour; shape (quarters,). [0.01 °C]

    Examples
    --------
    >>> every_three_hours = np.zeros(96, np.int64)
    >>> every_three_hours[::12] = 1
    >>> samples_of(every_three_hours * np.arange(96) * 25, every_three_hours)[:5].tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    hours = len(number) // 4
    of_hour, how_many = sums[: 4 * hours].reshape(hours, 4).sum(axis=1), number[: 4 * hours].reshape(hours, 4).sum(1)
    known = np.flatnonzero(how_many)
    if len(known) < _LEAST_HOURS:
        return np.full(SAMPLES, np.nan)
    means = of_hour[known] / how_many[known] / COUNTS_PER_K
    # Rounded, so that a restart, which keeps hundredths, changes nothing.
    return np.asarray(np.round(np.interp(np.linspace(0, hours - 1, SAMPLES), known, means), 2))
