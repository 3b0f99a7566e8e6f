"""Decoding of batches: once for all agents of a process that read the same topic."""

import io
from collections import Counter, OrderedDict
from collections.abc import Iterable

import polars as pl

from schemas.flow import Kind

_MOST_ROWS = 200_000  # held for agents that are behind the others; beyond that they decode for themselves


def read_batch(kind: Kind, value: bytes) -> pl.DataFrame:
    """Return the rows of an Arrow IPC stream, whatever they are."""
    return pl.read_ipc_stream(io.BytesIO(value))


class SharedBatches:
    """Reads batches, and keeps each until all have asked for it.

    The consumer hands the very same bytes to every agent on a topic, so they are told apart by identity: nothing is
    compared or hashed, and what was read of other bytes is never returned.

    Parameters
    ----------
    passed_over
        For each agent on the topic, the kinds it does not ask for.

    Examples
    --------
    >>> from streams.frame.codec import batch_value
    >>> batches = SharedBatches([frozenset(), frozenset({Kind.LIVE})])
    >>> value = batch_value(pl.DataFrame({"meter_id": ["press"]}))
    >>> batches(Kind.WINDOWS, value) is batches(Kind.WINDOWS, value), batches.held_rows
    (True, 0)
    """

    def __init__(self, passed_over: Iterable[frozenset[Kind]]) -> None:
        self._readers = Counter(kind for kinds in passed_over for kind in Kind if kind not in kinds)
        self._held: OrderedDict[int, tuple[bytes, pl.DataFrame, int]] = OrderedDict()
        self.held_rows = 0

    def __call__(self, kind: Kind, value: bytes) -> pl.DataFrame:
        """Return the rows of a batch of this kind; nobody may change them."""
        number = id(value)
        held = self._held.pop(number, None)
        if held is not None and held[0] is value:
            _, rows, left = held
            self.held_rows -= rows.height
        else:
            rows, left = read_batch(kind, value), self._readers[kind]
        if left > 1:
            self._held[number] = value, rows, left - 1
            self.held_rows += rows.height
            while self.held_rows > _MOST_ROWS and len(self._held) > 1:
                _, (_, oldest, _) = self._held.popitem(last=False)
                self.held_rows -= oldest.height
        return rows
