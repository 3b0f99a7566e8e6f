"""The tariff calendars of all contracts on one shelf, so that the prices of many minutes are found by one search."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.pricing.tariff import CALENDAR, PRICED

_ROOM_MINUTES = 1 << 40  # minutes since 1970 of one contract; the next one's come after them
_MINUTE_MS = 60_000
_INTERVAL = ("starts_at", "ends_at")


@dataclass(frozen=True, slots=True)
class PriceShelf:
    """Intervals of one price, sorted by contract and time."""

    contracts: Mapping[str, int]  # numbers
    begins: NDArray[np.int64]  # number of the contract and start of the interval in one [minutes]
    ends: NDArray[np.int64]  # likewise, where it ends; a last one before all minutes
    intervals: pl.DataFrame  # PRICED and the interval; a last row that means nothing is known

    @classmethod
    def of(cls, calendars: Mapping[tuple[str, date], pl.DataFrame]) -> "PriceShelf":
        """Put calendars on a shelf.

        Parameters
        ----------
        calendars
            Rows of `tariff.CALENDAR` by contract and month; the months of a contract do not overlap.
        """
        names = sorted({contract for contract, _ in calendars})
        number = {contract: place for place, contract in enumerate(names)}
        parts = [calendars[key].with_columns(number=pl.lit(number[key[0]], pl.Int64)) for key in sorted(calendars)]
        rows = pl.concat([pl.DataFrame(schema={**CALENDAR, "number": pl.Int64()}), *parts])
        first, end = ((rows["number"] * _ROOM_MINUTES + rows[at] // _MINUTE_MS).to_numpy() for at in _INTERVAL)
        unknown = pl.DataFrame({name: [None] for name in rows.columns}, schema=rows.schema)
        return cls(
            number, first, np.append(end, -_ROOM_MINUTES), pl.concat([rows, unknown]).select(*PRICED, *_INTERVAL)
        )

    def at(self, contract: pl.Series, window_start: pl.Series) -> pl.DataFrame:
        """Return the columns of `tariff.PRICED` for minutes, and their interval; null where no calendar reaches.

        Parameters
        ----------
        contract
            Contract of each minute.
        window_start
            Start of each minute, on a whole one. [ms UTC]
        """
        numbers = np.fromiter((self.contracts.get(one, -1) for one in contract), np.int64, len(contract))
        return self.of_numbers(numbers, window_start.to_numpy())

    def of_numbers(self, contracts: NDArray[np.int64], window_start: NDArray[np.int64]) -> pl.DataFrame:
        """Return the same for numbers of contracts; -1 for one that has no calendar."""
        place = contracts * _ROOM_MINUTES + window_start // _MINUTE_MS
        found = np.searchsorted(self.begins, place, side="right") - 1
        # What lies in no interval, or before the first one, gets the last row, which means nothing.
        rows: pl.DataFrame = self.intervals[np.where(place < self.ends[found], found, self.intervals.height - 1)]
        return rows
