"""Rows of many meters in one array, each meter's side by side and in order: the arithmetic of their places."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.void]


def starts_of(counts: Ints) -> Ints:
    """Return where each group begins.

    Examples
    --------
    >>> starts_of(np.array([2, 1, 3])).tolist()
    [0, 2, 3]
    """
    begins = np.zeros(len(counts), np.int64)
    np.cumsum(counts[:-1], out=begins[1:])
    return begins


def ranges(first: Ints, counts: Ints) -> Ints:
    """Return `first[0], first[0] + 1, ...` of every group, one after another.

    Examples
    --------
    >>> ranges(np.array([10, 50]), np.array([2, 3])).tolist()
    [10, 11, 50, 51, 52]
    """
    return np.repeat(first - starts_of(counts), counts) + np.arange(counts.sum())


def runs(keys: Ints) -> tuple[Ints, Ints]:
    """Return where runs of equal keys begin, and how long they are.

    Examples
    --------
    >>> begins, counts = runs(np.array([7, 7, 3, 9, 9]))
    >>> begins.tolist(), counts.tolist()
    ([0, 2, 3], [2, 1, 2])
    """
    if not len(keys):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    begins = np.concatenate(([0], np.flatnonzero(keys[1:] != keys[:-1]) + 1))
    return begins, np.diff(begins, append=len(keys))
