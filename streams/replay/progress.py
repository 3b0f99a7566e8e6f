"""How far a long command is: a bar on a terminal, a log line now and then elsewhere."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

LOG_EVERY_S = 10.0


@dataclass(slots=True)
class Reporter:
    """Reports rows done of rows to do.

    Parameters
    ----------
    console
        Where the bar goes; not a terminal = log lines.
    clock
        A monotonic clock. [s]
    """

    console: Console
    clock: Callable[[], float]
    _bar: Progress | None = None
    _task: TaskID | None = None
    _what: str = ""
    _begun: tuple[float, int] = (0.0, 0)
    _logged: float = field(default=float("-inf"))

    def __enter__(self) -> Self:
        """Show the bar, where there is a terminal."""
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]}"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def begin(self, what: str, done: int = 0) -> None:
        """Start with another part of the work.

        Parameters
        ----------
        what
            In words.
        done
            What was done of it before.
        """
        self._what, self._begun, self._logged = what, (self.clock(), done), self.clock()
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(what, total=None, rate="")

    def report(self, done: int, total: int) -> None:
        """Show how far it is.

        Parameters
        ----------
        done, total
            Rows, or messages.
        """
        now = self.clock()
        seconds = now - self._begun[0]
        per_s = (done - self._begun[1]) / seconds if seconds > 0 else 0.0
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=max(total, done), rate=f"{per_s:,.0f}/s")
        elif now - self._logged >= LOG_EVERY_S:
            self._logged = now
            left_s = round((total - done) / per_s) if per_s else None
            log.info(
                "replay_progress",
                extra={"of": self._what, "done": done, "total": total, "per_s": round(per_s), "left_s": left_s},
            )
