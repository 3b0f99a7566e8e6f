"""The limit on rejections: beyond it ingest stops, rather than drain its topic into the dead letters.

A registry that was emptied, or a gateway that changed its format, makes every reading a dead letter. That is no bad
data, it is a broken world that needs a person.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import polars as pl

WINDOW_S = 60
_REMEMBERED_S = 3_600  # seconds of arrival time that are kept, those touched last


class TooManyRejections(Exception):
    """More readings were refused within a minute than is allowed; nothing of the poll that showed it was passed on."""


class RejectionLimit:
    """Counts readings by the second they arrived in, and judges every minute of arrival time.

    Partitions may be read from different times, so a minute is one of arrival time, whenever it is read. When messages
    that were counted are read again, call `forget` first.

    Parameters
    ----------
    share
        Part of the readings of a minute that may be refused, 0 to 1; 1 = no limit.
    count
        Number of readings of a minute that may always be refused.

    Examples
    --------
    >>> limit = RejectionLimit(share=0.5, count=2)
    >>> limit.take(pl.Series([0, 10]), pl.Series([20, 30]), {"unknown_meter": 2})
    >>> limit.take(pl.Series([], dtype=pl.Int64), pl.Series([40_000]), {"unknown_meter": 1})
    Traceback (most recent call last):
        ...
    streams.ingest.limit.TooManyRejections: 3 of 5 readings that arrived within the minute before \
1970-01-01T00:00:41Z were refused (the last: 1 unknown_meter), more than rejection_limit_share 0.5 and \
rejection_limit_count 2 allow. Their cause needs a person; nothing of these last was passed on or put aside, so \
nothing is lost
    """

    def __init__(self, share: float, count: int) -> None:
        self._share = share
        self._count = count
        self._seconds: dict[int, tuple[int, int]] = {}  # second of arrival -> readings, refused

    def take(self, accepted_at: pl.Series, refused_at: pl.Series, reasons: Mapping[str, int]) -> None:
        """Count the readings of a poll, before anything of it is sent.

        Parameters
        ----------
        accepted_at, refused_at
            Arrival of each reading that was accepted, and of each that was refused. [ms since 1970 UTC]
        reasons
            Why those of this poll were refused, for the error.

        Raises
        ------
        TooManyRejections
            When more than the share and more than the count of a minute were refused.
        """
        refused = _by_second(refused_at)
        for second, number in _by_second(accepted_at).items():
            self._add(second, number, 0)
        for second, number in refused.items():
            self._add(second, number, number)
        for second, readings, lost in self._minutes(refused):
            if lost > self._count and lost > self._share * readings:
                raise TooManyRejections(self._told(second, readings, lost, reasons))
        for second in list(self._seconds)[:-_REMEMBERED_S]:
            del self._seconds[second]

    def forget(self) -> None:
        """Count from nothing, because messages that were counted come again."""
        self._seconds.clear()

    def _add(self, second: int, readings: int, refused: int) -> None:
        before = self._seconds.pop(second, (0, 0))  # popped, so that what was touched last is last
        self._seconds[second] = (before[0] + readings, before[1] + refused)

    def _minutes(self, refused: Mapping[int, int]) -> Iterator[tuple[int, int, int]]:
        """Yield last second, readings and refused of every minute that one of these seconds is in."""
        if not refused:
            return
        first, last = min(refused) - WINDOW_S + 1, max(refused) + WINDOW_S - 1
        seconds = sorted(second for second in self._seconds if first <= second <= last)
        begin = readings = lost = 0
        for second in seconds:
            readings += self._seconds[second][0]
            lost += self._seconds[second][1]
            while seconds[begin] <= second - WINDOW_S:
                readings -= self._seconds[seconds[begin]][0]
                lost -= self._seconds[seconds[begin]][1]
                begin += 1
            if second >= first + WINDOW_S - 1:  # before it the minute is cut short
                yield second, readings, lost

    def _told(self, second: int, readings: int, lost: int, reasons: Mapping[str, int]) -> str:
        until = datetime.fromtimestamp(second + 1, UTC).isoformat().replace("+00:00", "Z")
        why = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items(), key=lambda one: -one[1]))
        return (
            f"{lost} of {readings} readings that arrived within the minute before {until} were refused (the last: "
            f"{why}), more than rejection_limit_share {self._share:g} and rejection_limit_count {self._count} allow. "
            "Their cause needs a person; nothing of these last was passed on or put aside, so nothing is lost"
        )


def _by_second(arrivals: pl.Series) -> dict[int, int]:
    counts = (arrivals // 1000).alias("second").value_counts()
    return {int(second): int(number) for second, number in counts.iter_rows()}
