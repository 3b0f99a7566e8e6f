"""Why the process before this one ended, kept in the data directory, so that the next one can tell the metrics.

A worker that stops itself is gone before Prometheus could read why.
"""

import json
import logging
import time
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from streams.frame.pulse import StoodStill
from streams.ingest.limit import TooManyRejections
from streams.metrics import METRICS

log = logging.getLogger(__name__)

_NAME = "last_stop.json"


class StopReason(StrEnum):
    """Why a worker ended; the values of a label."""

    ASKED = "asked"
    REJECTION_LIMIT = "rejection_limit"
    STOOD_STILL = "stood_still"
    HARD_STOP = "hard_stop"
    FAILURE = "failure"


def reason_of(error: BaseException | None) -> StopReason:
    """Return what an error that ends the worker is called.

    Examples
    --------
    >>> [str(reason_of(one)) for one in (None, TooManyRejections(), KeyError())]
    ['asked', 'rejection_limit', 'failure']
    """
    if error is None:
        return StopReason.ASKED
    if isinstance(error, TooManyRejections):
        return StopReason.REJECTION_LIMIT
    return StopReason.STOOD_STILL if isinstance(error, StoodStill) else StopReason.FAILURE


def keep(data_dir: Path, reason: StopReason) -> None:
    """Keep why this process ends; a disk that takes no file must not stop it from ending."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        part = data_dir / f"{_NAME}.part"
        part.write_text(json.dumps({"at": time.time(), "reason": reason.value}), encoding="utf-8")
        part.replace(data_dir / _NAME)
    except OSError as error:
        log.warning("last_stop_not_kept", extra={"error": f"{type(error).__name__}: {error}"})


def tell(data_dir: Path) -> None:
    """Show the metrics when and why the process before this one ended; nothing if that is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads((data_dir / _NAME).read_text(encoding="utf-8"))
        METRICS.last_stop_timestamp_seconds.labels(StopReason(kept["reason"]).value).set(float(kept["at"]))
