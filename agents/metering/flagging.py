"""Flags: meters whose registers are stuck, whose clocks slipped, that are silent, or wired the wrong way round."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from agents.metering.clocks import Clocks
from agents.metering.closing import Segments
from agents.metering.correcting import of_reversed, of_silent, of_slipped, of_stood
from agents.metering.meters import Meters
from agents.metering.ragged import Ints, Rows
from agents.metering.reversed import Reversed
from agents.metering.silence import Silence
from agents.metering.stuck import Stuck


class Flagging:
    """What is known of the meters of a partition, beyond their energy."""

    def __init__(self) -> None:
        self._stuck = Stuck()
        self._clocks = Clocks()
        self._silence = Silence()
        self._reversed = Reversed()
        self._known = (self._stuck.known, self._clocks.known, self._silence.known, self._reversed.known)

    @property
    def nbytes(self) -> int:
        """Memory held. [bytes]."""
        return sum(each.nbytes for each in self._known)

    def look(self, due: Segments, meters: Ints, config: Meters) -> list[pl.DataFrame]:
        """Look at pairs of points whose windows close, and return what is to be said: `CORRECTION_RECORD`.

        Parameters
        ----------
        due
            Pairs of points, by meter and in order of time.
        meters
            The meters `due.place` refers to.
        config
            Descriptions of the meters.
        """
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN is null, and arithmetic on it is meant
            stood = self._stuck.look(due, meters, config)
            slipped = self._clocks.look(due, meters, config)
            backwards = self._reversed.look(due, meters, config)
        said = [] if stood is None else [of_stood(stood, config)]
        said += [of_slipped(one, config) for one in slipped]
        return said if backwards is None else [*said, of_reversed(backwards, config)]

    def hear(self, meters: Ints, rows: Rows, config: Meters) -> pl.DataFrame | None:
        """Take in readings as they arrive, and return which meters speak again: `CORRECTION_RECORD`; None for none.

        Parameters
        ----------
        meters, rows
            Readings, and the meter of each.
        config
            Descriptions of the meters.
        """
        speaking = self._silence.hear(meters, rows, config)
        return of_silent(speaking, config) if len(speaking.meters) else None

    def listen(self, now: int, config: Meters) -> tuple[Ints, pl.DataFrame] | None:
        """Return which meters are silent by a tick [ms UTC], and what is to be said of them: `CORRECTION_RECORD`."""
        silent = self._silence.look(now, config)
        return None if silent is None or not len(silent.meters) else (silent.meters, of_silent(silent, config))

    def welcome(self, meters: Ints) -> None:
        """Prepare for meters."""
        for each in self._known:
            each.welcome(meters)

    def forget(self, meters: Ints) -> None:
        """Drop everything about these meters."""
        for each in self._known:
            each.forget(meters)

    def move(self, before: Ints, after: Ints) -> None:
        """Give meters other numbers."""
        for each in self._known:
            each.move(before, after)

    def of(self, meters: Ints) -> tuple[Rows, ...]:
        """Return what is known of these meters: `STANDING`, `CLOCK`, `HEARD` and `BACKWARDS`."""
        return tuple(each.rows[meters] for each in self._known)

    def put(self, meters: Ints, known: Sequence[Rows]) -> None:
        """Take over what is known of these meters, as `of` returns it."""
        for each, rows in zip(self._known, known, strict=True):
            each.rows[meters] = rows
