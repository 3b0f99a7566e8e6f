"""A few numbers for every meter of a partition, in one array by the meter's number."""

import numpy as np

from agents.metering.ragged import Ints, Rows


class ByMeter:
    """Numbers by meter.

    Parameters
    ----------
    blank
        What is known of a meter before anything came from it: one row.
    """

    def __init__(self, blank: Rows) -> None:
        self._blank = blank
        self.rows = blank[:0].copy()

    @property
    def nbytes(self) -> int:
        """Memory held. [bytes]."""
        return int(self.rows.nbytes)

    def welcome(self, meters: Ints) -> None:
        """Prepare for meters."""
        size = int(meters.max(initial=-1)) + 1
        if size > len(self.rows):
            more = max(size, 2 * len(self.rows)) - len(self.rows)
            self.rows = np.concatenate((self.rows, self._blank.repeat(more)))

    def forget(self, meters: Ints) -> None:
        """Drop everything about these meters."""
        self.rows[meters] = self._blank

    def move(self, before: Ints, after: Ints) -> None:
        """Give meters other numbers."""
        moved = self.rows[before]
        self.forget(before)
        self.rows[after] = moved
