"""Minutes of many meters become quarter hours, in arrays: one row per meter, one pass per message."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from agents.pricing.by_name import ByName
from schemas.reading import TIMESTAMP
from schemas.window import Quality

QUARTER_MIN = 15
_LEAST_MINUTES = 10  # measured, of a quarter hour whose power is said to be known
_GROWTH = 1024


class Closed(NamedTuple):
    """A quarter hour that is over for a meter."""

    row: int
    quarter: int  # since 1970 UTC
    power_kw: float | None  # mean of what was measured; None where that is too little


class Quarters:
    """The running quarter hour of every meter.

    A quarter hour is over when all its minutes are there, or one of a later quarter hour is. What comes for it
    afterwards is left out, and so are revisions: an anomaly is judged once, by what was known then.
    """

    def __init__(self) -> None:
        self._row: dict[tuple[str, str], int] = {}
        self._keys: list[tuple[str, str]] = []
        self._by_name: ByName | None = None
        self.quarter = np.full(_GROWTH, -1, np.int64)
        self.kwh = np.zeros(_GROWTH)
        self.measured = np.zeros(_GROWTH, np.int16)
        self.minutes = np.zeros(_GROWTH, np.int16)

    def watch(self, site: str, meter: str) -> int:
        """Return the row of a meter; from now on its windows are taken."""
        key = site, meter
        found = self._row.get(key)
        if found is None:
            found = self._row[key] = len(self._keys)
            self._keys.append(key)
            self._by_name = None
            if found == len(self.quarter):
                self.quarter = np.concatenate([self.quarter, np.full(found, -1, np.int64)])
                self.kwh = np.concatenate([self.kwh, np.zeros(found)])
                self.measured = np.concatenate([self.measured, np.zeros(found, np.int16)])
                self.minutes = np.concatenate([self.minutes, np.zeros(found, np.int16)])
        return found

    def forget(self, site: str, meter: str) -> None:
        """Take no more windows of a meter; its running quarter hour is dropped."""
        row = self._row.pop((site, meter), None)
        if row is not None:
            self._by_name = None
            self.quarter[row] = -1

    def key(self, row: int) -> tuple[str, str]:
        """Return site and meter of a row."""
        return self._keys[row]

    def take(self, windows: pl.DataFrame) -> Iterator[Closed]:
        """Take windows and yield the quarter hours that are over, by time, then in the order meters came.

        Parameters
        ----------
        windows
            Columns of `schemas.window.WINDOW_ROWS`; revisions, and meters that are not watched, are passed over.
        """
        is_first = windows["revision"] == 0
        first = windows if is_first.all() else windows.filter(is_first)
        rows = self._named().find(first["site_id"], first["meter_id"])
        if (rows < 0).any():
            first, rows = first.filter(pl.Series(rows >= 0, dtype=pl.Boolean)), rows[rows >= 0]
        if first.is_empty():
            return
        is_measured = (first["quality"] == Quality.MEASURED.value) & first["import_kwh"].is_not_null()
        measured = is_measured.to_numpy()
        energy_kwh = np.where(measured, first["import_kwh"].fill_null(0.0).to_numpy(), 0.0)
        quarters = first["window_start"].cast(TIMESTAMP).to_physical().to_numpy() // (60_000 * QUARTER_MIN)
        for quarter in np.unique(quarters).tolist():
            at = quarters == quarter
            here = rows[at]
            late = self.quarter[here] > quarter
            here, kwh, known = here[~late], energy_kwh[at][~late], measured[at][~late]
            touched = np.unique(here)
            yield from self._closed(touched[(self.quarter[touched] < quarter) & (self.minutes[touched] > 0)])
            begins = touched[self.quarter[touched] < quarter]
            self.quarter[begins] = quarter
            self.kwh[begins] = 0.0
            self.measured[begins] = self.minutes[begins] = 0
            np.add.at(self.kwh, here, kwh)
            np.add.at(self.measured, here, known.astype(np.int16))
            np.add.at(self.minutes, here, np.int16(1))
            whole = touched[self.minutes[touched] >= QUARTER_MIN]
            yield from self._closed(whole)
            self.quarter[whole] += 1
            self.kwh[whole] = 0.0
            self.measured[whole] = self.minutes[whole] = 0

    def numbers(self, site: str, meter: str) -> list[float]:
        """Return the running quarter hour of a watched meter, for `put_back`."""
        row = self._row[site, meter]
        return [
            int(self.quarter[row]),
            float(self.kwh[row]),
            int(self.measured[row]),
            int(self.minutes[row]),
        ]

    def put_back(self, site: str, meter: str, numbers: Sequence[float]) -> None:
        """Take up what `numbers` gave."""
        row = self.watch(site, meter)
        self.quarter[row], self.kwh[row], self.measured[row], self.minutes[row] = numbers

    def _named(self) -> ByName:
        if self._by_name is None:
            sites, meters = ([key[part] for key in self._row] for part in (0, 1))
            rows = np.fromiter(self._row.values(), np.int64)
            self._by_name = ByName(pl.Series(sites, dtype=pl.String), pl.Series(meters, dtype=pl.String), rows)
        return self._by_name

    def _closed(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[Closed]:
        for row in rows.tolist():
            measured = int(self.measured[row])
            power_kw = float(self.kwh[row]) * 60 / measured if measured >= _LEAST_MINUTES else None
            yield Closed(row, int(self.quarter[row]), power_kw)
