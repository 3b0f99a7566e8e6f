"""Logs: one line per decision, fields instead of prose; JSON when nobody watches a terminal."""

import json
import logging
import sys
from datetime import UTC, datetime

_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_REPEATED_S = 10.0
_SAYINGS = 1_000  # remembered at most

# Libraries that say at INFO what only their developers want to know.
_QUIET = ("kafka", "aiokafka", "faust", "mode", "aiohttp", "asyncio", "clickhouse_connect")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _KNOWN}


class JsonLines(logging.Formatter):
    """One JSON object a line: `ts`, `level`, `logger`, `event` and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Console(logging.Formatter):
    """One line for people: time, level, event, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        text = f"{at} {record.levelname.lower():<8} {record.getMessage()} {fields}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class Seldom(logging.Filter):
    """Lets what a library says over and over pass once in a while.

    While a broker is away its client says so a hundred times a second; who reads the log needs the other lines.

    Parameters
    ----------
    every_s
        How long the same words of the same logger are held back after they passed. [s]
    """

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self._every_s = every_s
        self._passed: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record passes."""
        if record.name.partition(".")[0] not in _QUIET:
            return True
        said = record.name, record.getMessage()
        if record.created - self._passed.get(said, -self._every_s) < self._every_s:
            return False
        if len(self._passed) > _SAYINGS:
            self._passed.clear()
        self._passed[said] = record.created
        return True


class Process(logging.Filter):
    """Says on every line which of several processes wrote it.

    Parameters
    ----------
    number
        Its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def filter(self, record: logging.LogRecord) -> bool:
        """Mark the record; it always passes."""
        record.process_number = self._number
        return True


def configure(level: str, log_format: str, process: int | None = None) -> None:
    """Send all logs to standard error.

    Parameters
    ----------
    level
        Least severe level of our own logs; libraries speak from warnings on.
    log_format
        `json`, `console`, or `auto`: console on a terminal, JSON elsewhere.
    process
        Number of this process where several share the log.
    """
    for_people = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Seldom(_REPEATED_S))
    if process is not None:
        handler.addFilter(Process(process))
    handler.setFormatter(Console() if for_people else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
