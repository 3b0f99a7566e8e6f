"""Which fourteen days of a weather file are the hardest."""

import csv
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

YEAR = 2023  # 1 January is a Sunday, as the reference buildings have it; neither it nor the year before is a leap year
HEADER_LINES = 8
DRY_BULB = 6  # column, EnergyPlus Auxiliary Programs, "EPW data dictionary"
LEARNING_DAYS = 14
PEAK_DAYS = 14


@dataclass(frozen=True, slots=True)
class Window:
    """Days that are scored, after days of learning."""

    name: str
    first: date
    days: int
    learning_days: int = LEARNING_DAYS

    @property
    def begins(self) -> date:
        """First day that is simulated."""
        return self.first - timedelta(days=self.learning_days)

    @property
    def ends(self) -> date:
        """Last day."""
        return self.first + timedelta(days=self.days - 1)


def daily_outdoor_c(path: Path) -> list[float]:
    """Return mean dry-bulb temperatures of the 365 days of an EPW file. [°C]

    Raises
    ------
    ValueError
        If it holds other than 8,760 hours, or a temperature that is none.
    """
    with path.open(newline="", encoding="utf-8", errors="replace") as lines:
        rows = [row for number, row in enumerate(csv.reader(lines)) if number >= HEADER_LINES and row]
    rows = [row for row in rows if (row[1], row[2]) != ("2", "29")]
    if len(rows) != 8760:
        raise ValueError(f"{path.name}: expected 8,760 hours, found {len(rows):,}")
    hours = np.empty(len(rows))
    for number, row in enumerate(rows):
        try:
            hours[number] = float(row[DRY_BULB])
        except (IndexError, ValueError):
            line = number + HEADER_LINES + 1
            raise ValueError(f"{path.name}, line {line}: expected a dry-bulb temperature in column 7") from None
    return [float(day) for day in hours.reshape(365, 24).mean(axis=1)]


def windows(outdoor_c: list[float], days: int | None = None) -> dict[str, Window]:
    """Return the windows of a year by name.

    Parameters
    ----------
    outdoor_c
        Mean temperature of each of 365 days. [°C]
    days
        Score no more than the first so many days of each, for development.

    Returns
    -------
    dict[str, Window]
        `year`; `peak-heat` and `peak-cool`, the fourteen days in a row that are coldest and hottest on average.

    Examples
    --------
    >>> found = windows([-5.0] * 31 + [10.0] * 150 + [30.0] * 20 + [10.0] * 164)
    >>> found["peak-heat"].first, found["peak-cool"].first
    (datetime.date(2023, 1, 1), datetime.date(2023, 7, 1))
    """
    means = np.convolve(outdoor_c, np.full(PEAK_DAYS, 1 / PEAK_DAYS), mode="valid").round(6)
    jan = date(YEAR, 1, 1)
    lengths = {"year": (0, 365), "peak-heat": (int(means.argmin()), 14), "peak-cool": (int(means.argmax()), 14)}
    return {
        name: Window(name, jan + timedelta(days=offset), min(length, days or length))
        for name, (offset, length) in lengths.items()
    }
