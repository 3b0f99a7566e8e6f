"""What ticks need to know of the partitions of ingest, and what is forgotten when these move."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiokafka import ConsumerRebalanceListener, TopicPartition

from streams.ingest.ranges import Ranges
from streams.metrics import METRICS

TICK_MS = 1000


def tick_due(partition: int, partitions: int, ticked_at: int, arrived_at: int) -> bool:
    """Say whether a partition is due a tick: once a second, each at another part of it.

    At a tick every agent works off what came since the last one. If all partitions did that at once, the last one would
    wait for all the others.

    Parameters
    ----------
    partition, partitions
        Which one of how many.
    ticked_at
        Arrival time of its last tick; 0 for none. [ms UTC]
    arrived_at
        Arrival time up to which everything was passed on. [ms UTC]

    Examples
    --------
    >>> [tick_due(partition, 4, 9_000, 9_600) for partition in range(4)]
    [False, True, True, False]
    """
    phase = TICK_MS * partition // partitions
    return (arrived_at - phase) // TICK_MS > (ticked_at - phase) // TICK_MS


@dataclass(slots=True)
class Progress:
    """What ticks need to know of one partition."""

    arrived_at: int = 0  # of the newest message passed on
    ticked_at: int = 0
    position: int | None = None


class Forget(ConsumerRebalanceListener):
    """Forget what belongs to partitions that may have had another owner in between."""

    def __init__(
        self,
        progress: dict[int, Progress],
        announced: dict[tuple[int, str], int],
        ranges: Ranges,
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self._progress = progress
        self._announced = announced
        self._ranges = ranges
        self._settle = settle

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Commit what was passed on; nothing else is kept for them."""
        if revoked:  # at the first join there are none
            await self._settle()
            self._ranges.forget()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Start anew: another worker may have sent other records since."""
        self._progress.clear()
        self._announced.clear()
        METRICS.rebalances_total.labels("ingest").inc()
