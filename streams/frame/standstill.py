"""Where the group's offset stands still although all agents are beyond it.

Faust commits the offset up to which every agent on a topic has acknowledged every message. Around a recovery it can
pass over messages it had fetched before and which are inside the agents' state already: nobody misses them, so nobody
seeks and nobody ever acknowledges them, and the group's offset waits for them for ever. Agents go on, but
`wattloop lag` rises and a successor would read everything again. The remedy is to read from the group's offset once
more: agents acknowledge what they have as seen.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import faust
from aiokafka.errors import IllegalStateError
from faust.transport.consumer import Consumer
from faust.types import TP

from streams.metrics import METRICS

log = logging.getLogger(__name__)

LOOK_S = 2.0
PATIENCE_S = 15.0  # Faust commits once a second


@dataclass(slots=True)
class Standstill:
    """Notices partitions whose committed offset does not follow.

    Parameters
    ----------
    patience_s
        How long a committed offset may stay below what could be committed. [s]
    clock
        A clock. [s]

    Examples
    --------
    >>> now = 0.0
    >>> standstill = Standstill(15.0, clock=lambda: now)
    >>> place = TP("energy.v1", 0)
    >>> standstill.due({place: 5}, {place: 9})
    {}
    >>> now = 15.0
    >>> standstill.due({place: 5}, {place: 30})
    {TP(topic='energy.v1', partition=0): 5}
    """

    patience_s: float = PATIENCE_S
    clock: Callable[[], float] = time.monotonic
    _since: dict[TP, tuple[int, float]] = field(default_factory=dict)

    def due(self, committed: Mapping[TP, int], passed: Mapping[TP, int]) -> dict[TP, int]:
        """Return what must be read again, and from where.

        Parameters
        ----------
        committed
            Where the group is, by partition.
        passed
            Offset below which every agent has everything in its snapshots, by partition.
        """
        now = self.clock()
        behind = {place: committed[place] for place, offset in passed.items() if committed[place] < offset}
        self._since = {
            place: self._since[place] if self._since.get(place, (None, 0.0))[0] == offset else (offset, now)
            for place, offset in behind.items()
        }
        due = {place: offset for place, (offset, since) in self._since.items() if now - since >= self.patience_s}
        for place in due:
            del self._since[place]
        return due


def group_offset(app: faust.App, place: TP) -> int | None:
    """Return where Faust has the group on a partition, None if it has committed nothing there."""
    consumer = app.consumer
    # Nowhere else does Faust say it without asking the broker.
    return consumer._committed_offset[place] if isinstance(consumer, Consumer) else None


def mend_standstills(app: faust.App, passed: Callable[[], Mapping[TP, int]]) -> None:
    """Look regularly whether the group's offsets follow the agents, and read again from where one does not.

    Parameters
    ----------
    app
        The app.
    passed
        Returns the offset below which every agent has everything in its snapshots, by partition.
    """
    standstill = Standstill()

    async def look(app: faust.App) -> None:
        if app.rebalancing or app.in_recovery:
            return  # Faust itself seeks now
        reached = passed()
        committed = {place: group_offset(app, place) or 0 for place in reached}
        for place, offset in standstill.due(committed, reached).items():
            which = {"topic": place.topic, "partition": place.partition}
            METRICS.group_offset_standstills_total.inc()
            log.warning(
                "group_offset_stands_still_reading_again",
                extra={**which, "offset": offset, "passed": reached[place]},
            )
            try:
                await app.consumer.seek_wait({place: offset})
            except IllegalStateError:
                log.info("seek_left_to_the_next_owner", extra=which)

    app.timer(interval=LOOK_S)(look)
