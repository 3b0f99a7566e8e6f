"""When what was read is stored: how large the blocks of a store are."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockSize:
    """When what is held for one partition is stored: as soon as one of these is reached.

    A block costs a store tens of milliseconds however few rows it has, so blocks had better be few.

    Parameters
    ----------
    rows
        How many there are.
    age_s
        How long the first of them waits. [s]
    quiet_s
        How long no more rows have come; None for no matter. [s]

    Examples
    --------
    >>> HISTORY_BLOCKS.is_due(rows=100, waits_s=4.0, quiet_s=0.5)
    False
    >>> HISTORY_BLOCKS.is_due(rows=1, waits_s=2.0, quiet_s=2.0)
    True
    """

    rows: int
    age_s: float
    quiet_s: float | None

    def is_due(self, *, rows: int, waits_s: float, quiet_s: float) -> bool:
        """Say whether a block is to be stored."""
        return rows >= self.rows or waits_s >= self.age_s or (self.quiet_s is not None and quiet_s >= self.quiet_s)


# What every tick brings comes once a second; what comes in a burst is stored when the burst is over.
HISTORY_BLOCKS = BlockSize(100_000, 5.0, quiet_s=1.5)
# A few rows cost as much as thousands, and nobody waits for these.
ACCOUNTING_BLOCKS = BlockSize(100_000, 10.0, quiet_s=None)
# Each block is at least one file per partition and day, and a compaction has to read them all again.
ARCHIVE_BLOCKS = BlockSize(250_000, 900.0, quiet_s=None)
