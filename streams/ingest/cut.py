"""Cutting what ingest accepted into batches."""

from collections.abc import Iterator

import polars as pl

from streams.frame.codec import BATCH_ROWS


def cut(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut rows into batches, never within one raw message: a repeated message is dropped whole or not at all."""
    if rows.height <= BATCH_ROWS:
        yield rows
        return
    starts = rows.with_row_index("row").group_by("message", maintain_order=True).agg(pl.col("row").first())["row"]
    begin = 0
    previous = 0
    for start in [*starts.to_list(), rows.height]:
        if start - begin > BATCH_ROWS and previous > begin:
            yield rows.slice(begin, previous - begin)
            begin = previous
        previous = start
    yield rows.slice(begin)
