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


@dataclass(frozen=True, slots=True)
class PriceShelf:
    """Intervals of one price, sorted by contract and time."""

    contracts: pl.DataFrame  # contract, number
    begins: NDArray[np.int64]  # number of the contract and start of the interval in one [minutes]
    intervals: pl.DataFrame  # ends_at and PRICED; a last row that means nothing is known

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
        begins = (rows["number"] * _ROOM_MINUTES + rows["starts_at"] // _MINUTE_MS).to_numpy()
        unknown = pl.DataFrame({name: [None] for name in rows.columns}, schema=rows.schema)
        contracts = pl.DataFrame(
            {"contract": names, "number": range(len(names))}, schema={"contract": pl.String, "number": pl.Int64}
        )
        return cls(contracts, begins, pl.concat([rows, unknown]).select("number", "starts_at", "ends_at", *PRICED))

    def at(self, contract: pl.Series, window_start: pl.Series) -> pl.DataFrame:
        """Return the columns of `tariff.PRICED` for minutes, and their interval; null where no calendar reaches.

        Parameters
        ----------
        contract
            Contract of each minute.
        window_start
            Start of each minute, on a whole one. [ms UTC]
        """
        wanted = pl.DataFrame({"contract": contract}).join(
            self.contracts, on="contract", how="left", maintain_order="left"
        )["number"]
        moments = window_start.to_numpy()
        place = wanted.fill_null(-1).to_numpy() * _ROOM_MINUTES + moments // _MINUTE_MS
        found = np.searchsorted(self.begins, place, side="right") - 1
        # Before the first interval is the last row, which means nothing.
        rows = self.intervals[np.where(found < 0, self.intervals.height - 1, found)]
        inside = (rows["number"] == wanted) & (pl.Series(moments) < rows["ends_at"])
        return rows.select(pl.when(inside).then(pl.col(name)).alias(name) for name in (*PRICED, "starts_at", "ends_at"))
