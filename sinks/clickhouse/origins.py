"""Duplicates are dropped by origin: one number per source partition, the highest applied (DESIGN 2.5)."""

from collections.abc import Mapping

import numpy as np
import polars as pl

# Place of a message in its source partition: offset, and index within what was made from that offset.
Place = tuple[int, int]

# Columns a decoder adds to its rows for this module.
SOURCE = "origin_source"  # partition number, or a text that names the partition and who read it
OFFSET = "origin_offset"
INDEX = "origin_index"
MESSAGE = "topic_offset"  # rows of one message stand or fall together

_INDEXES = 1 << 31
_SMALL_OFFSET = 1 << 31  # below it a place fits into 64 bits


def new_rows(rows: pl.DataFrame, applied: Mapping[str, Place]) -> tuple[pl.DataFrame, dict[str, Place]]:
    """Keep the rows whose origin is above all that were applied before their message.

    Parameters
    ----------
    rows
        Rows in the order of the log, with the four columns named above.
    applied
        Highest place applied per source before these rows.

    Returns
    -------
    tuple[pl.DataFrame, dict[str, Place]]
        The rows kept, and the highest places after them.

    Notes
    -----
    All rows of one message are judged against the state before it. So a producer must not spread what
    it makes from one origin over several messages of one partition, unless it numbers them by index.

    Examples
    --------
    >>> twice = pl.DataFrame({SOURCE: [0, 0, 0], OFFSET: [7, 7, 7], INDEX: [0, 0, 0], MESSAGE: [1, 1, 2]})
    >>> kept, applied = new_rows(twice, {})
    >>> kept[MESSAGE].to_list(), applied
    ([1, 1], {'0': (7, 0)})
    """
    if rows.is_empty():
        return rows, dict(applied)
    before = {source: offset * _INDEXES + index for source, (offset, index) in applied.items()}
    highest = _end_if_all_new(rows, before)
    if highest is not None:
        return rows, _places(before | highest)
    place = pl.col(OFFSET).cast(pl.Int128) * _INDEXES + pl.col(INDEX)
    messages = (
        rows.group_by(SOURCE, MESSAGE)
        .agg(highest=place.max())
        .sort(MESSAGE)
        .with_columns(seen=pl.col("highest").cum_max().shift(1).over(SOURCE))
    )
    applied_before = pl.Series(
        "applied", [before.get(str(source), -1) for source in messages[SOURCE].to_list()], dtype=pl.Int128
    )
    messages = messages.with_columns(floor=pl.max_horizontal("seen", applied_before))
    floors = messages.select(SOURCE, MESSAGE, "floor")
    kept = (
        rows.join(floors, on=[SOURCE, MESSAGE], how="left", maintain_order="left")
        .filter(place > pl.col("floor"))
        .drop("floor")
    )
    for source, highest in messages.group_by(SOURCE).agg(pl.col("highest").max()).iter_rows():
        before[str(source)] = max(before.get(str(source), -1), highest)
    return kept, _places(before)


def _places(numbers: Mapping[str, int]) -> dict[str, Place]:
    return {source: divmod(place, _INDEXES) for source, place in sorted(numbers.items())}


def _end_if_all_new(rows: pl.DataFrame, before: Mapping[str, int]) -> dict[str, int] | None:
    """Return the highest place where every message is wholly above all before it; None where it takes a closer look.

    That is so unless a worker was killed, and much less work to find out.
    """
    if rows[SOURCE].n_unique() > 1:
        return None
    offsets, indexes, messages = (rows[name].cast(pl.Int64).to_numpy() for name in (OFFSET, INDEX, MESSAGE))
    if offsets.max() >= _SMALL_OFFSET:
        return None
    source = str(rows[SOURCE][0])
    places = offsets * _INDEXES + indexes
    begins = np.concatenate(([0], np.flatnonzero(np.diff(messages)) + 1))
    lowest, highest = np.minimum.reduceat(places, begins), np.maximum.reduceat(places, begins)
    floors = np.concatenate(([before.get(source, -1)], highest[:-1]))
    return {source: int(highest[-1])} if bool((lowest > floors).all()) else None
