"""Time between observations, whatever order they come in."""

from datetime import datetime

_AHEAD_AGAIN = 2


class Clock:
    """The last time that counted.

    Parameters
    ----------
    step_s
        Usual time between observations. [s]

    Examples
    --------
    >>> clock = Clock(900.0)
    >>> times = [datetime(2026, 1, 5, 8, minute) for minute in (0, 15, 10, 30)]
    >>> [clock.elapsed_s(at) for at in times]
    [900.0, 900.0, None, 900.0]
    """

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._last: datetime | None = None
        self._heard: datetime | None = None
        self._advances = 0

    def elapsed_s(self, now: datetime) -> float | None:
        """Return seconds since the last observation that counted, None for one that comes too late. [s]

        A clock that was set back (the end of summer time) counts again once it goes on from there.
        """
        now = now.replace(tzinfo=None)
        last, heard = self._last, self._heard
        self._heard = now
        if last is None:
            self._last = now
            return self._step_s
        if now > last:
            self._last, self._advances = now, 0
            return (now - last).total_seconds()
        self._advances = self._advances + 1 if heard is not None and heard < now else 0
        if self._advances < _AHEAD_AGAIN:
            return None
        self._last, self._advances = now, 0
        return self._step_s

    def to_texts(self) -> list[str]:
        """Return the times that matter, for `of_texts`."""
        return ["" if at is None else at.isoformat() for at in (self._last, self._heard)]

    def of_texts(self, texts: list[str]) -> None:
        """Take up what `to_texts` gave."""
        self._last, self._heard = (datetime.fromisoformat(text) if text else None for text in texts)
