"""The chain of segments: which of them, end to end, account for every offset once.

A killed worker may have sent segments that it never committed; its successor begins at the last commit and counts
again. So segments overlap, and adding them up would count twice. But every process begins where a segment of the one
before it ends. So segments are edges from `first_offset` to `last_offset + 1`, and a stretch is accounted for when a
path of edges leads through it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

FIRST, LAST, PARTIAL, WRITTEN = "first_offset", "last_offset", "partial", "topic_offset"


@dataclass(frozen=True, slots=True)
class Hole:
    """Offsets no segment accounts for, both ends included."""

    first_offset: int
    last_offset: int


@dataclass(frozen=True, slots=True)
class Chain:
    """The segments that count, in order, and the holes between them."""

    segments: pl.DataFrame
    holes: Sequence[Hole]


def chained(segments: pl.DataFrame) -> Chain:
    """Choose the segments that account for one partition.

    Parameters
    ----------
    segments
        At least `first_offset`, `last_offset`, `partial` and `topic_offset` of the segments of one station, topic,
        partition and log, in any order. Of several with the same range the one with the lowest `topic_offset` counts,
        and a path with fewer partial ones is preferred.

    Examples
    --------
    >>> ranges = [(0, 4), (5, 9), (5, 6), (7, 11), (14, 20)]
    >>> found = chained(pl.DataFrame([(*r, False, n) for n, r in enumerate(ranges)],
    ...     schema=[FIRST, LAST, PARTIAL, WRITTEN], orient="row"))
    >>> found.segments.select(FIRST, LAST).rows(), found.holes
    ([(0, 4), (5, 6), (7, 11), (14, 20)], [Hole(first_offset=12, last_offset=13)])
    """
    once = segments.sort(FIRST, LAST, WRITTEN).unique([FIRST, LAST], keep="first", maintain_order=True)
    if (once[FIRST] == once[LAST].shift(1) + 1).fill_null(value=True).all():
        return Chain(once, [])
    edges = [(int(first), int(last) + 1, bool(part)) for first, last, part in once.select(FIRST, LAST, PARTIAL).rows()]
    taken: list[int] = []
    holes: list[Hole] = []
    furthest = max(end for _, end, _ in edges)
    start = edges[0][0]
    while True:
        steps = _reached(edges, start)
        end = max(steps)
        if end == furthest:
            taken += _path(edges, steps, end)
            return Chain(once[taken], holes)
        # Nothing leads on. What begins next cannot be reached, so offsets before it are missing: go back to the last
        # place in front of it, and begin anew there.
        following = min(first for first, after, _ in edges if after > end and first not in steps)
        back = max(place for place in steps if place <= following)
        taken += _path(edges, steps, back)
        holes.append(Hole(back, following - 1))
        start = following


_Steps = Mapping[int, tuple[int, int, int]]  # place -> partial edges, edges, number of the last edge


def _reached(edges: Sequence[tuple[int, int, bool]], start: int) -> _Steps:
    """Return the best way to every place that can be reached; edges are sorted by their begin."""
    best = {start: (0, 0, -1)}
    for number, (first, end, partial) in enumerate(edges):
        if first in best:
            partials, count, _ = best[first]
            way = (partials + partial, count + 1, number)
            if end not in best or way[:2] < best[end][:2]:
                best[end] = way
    return best


def _path(edges: Sequence[tuple[int, int, bool]], steps: _Steps, end: int) -> list[int]:
    path: list[int] = []
    while (number := steps[end][2]) >= 0:
        path.append(number)
        end = edges[number][0]
    return path[::-1]
