"""What is known of the parts of minutes: whole numbers of 1e-9, and where they are known."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.balance.tree import Flags, Ints

Floats = NDArray[np.float64]

UNIT = 1e9
_OF_UNIT = 1 / UNIT  # what was always multiplied with: a quotient would differ in the last digit of a float
UNKNOWN = -1  # of qualities, places and flags
# In `Sites.flag` and in rows; the last one is that of meters.
FLAGS = ("negative_load", "export_above_generation", "export_not_measured", "negative_rest")


class Amount(NamedTuple):
    """Whole numbers of 1e-9, and where they are known."""

    value: Ints
    known: Flags

    @classmethod
    def of(cls, amounts: Floats) -> "Amount":
        """Count amounts; NaN is not known."""
        known = ~np.isnan(amounts)
        return cls(np.where(known, np.rint(amounts * UNIT), 0).astype(np.int64), known)

    def series(self) -> pl.Series:
        """Return the amounts; null where they are not known."""
        return pl.Series(np.where(self.known, self.value * _OF_UNIT, np.nan), nan_to_null=True)


@dataclass(frozen=True, slots=True)
class Sites:
    """What sites did in minutes."""

    imported: Amount
    exported: Amount
    generated: Amount
    load: Amount
    self_use: Amount
    own: Amount
    missing: Ints
    worst: Ints
    flag: Ints
    local_day: pl.Series
    period: pl.Series
    to_share: tuple[Amount, Amount, Amount]  # cost, carbon by location, carbon by market


@dataclass(frozen=True, slots=True)
class Meters:
    """What meters used in minutes."""

    window: Ints
    load: Ints
    own: Ints
    rest: Amount
    missing: Ints
    worst: Ints


@dataclass(frozen=True, slots=True)
class Virtual:
    """What virtual meters used in minutes."""

    minute: Ints
    number: Ints
    load: Amount
    missing: Ints
    worst: Ints
