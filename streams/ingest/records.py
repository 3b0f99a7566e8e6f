"""Records that ingest sends beside its batches: each row by itself, for people and the history."""

from collections.abc import Iterator

import polars as pl

from schemas.flow import Output
from streams.frame.codec import Envelope, Origin, envelopes
from streams.ingest.field import FieldTopic


def records_of(rows: pl.DataFrame, field: FieldTopic, arrived_at: int) -> Iterator[Envelope]:
    """Yield a message per row, numbered within the raw message it came in; none where the topic has no records.

    Parameters
    ----------
    rows
        Rows for one partition, in the order of the poll.
    field
        What they are.
    arrived_at
        When they arrived. [ms UTC]
    """
    if field.record is None:
        return
    ts = pl.col("ts").dt.epoch("ms")
    places = ("raw_partition", "raw_offset", "raw_index")
    records = rows.with_columns(
        ts=ts,
        local_day=pl.col("local_day").dt.to_string("iso"),
        id=pl.format(f"{field.kind.value}/{{}}/{{}}/{{}}-{{}}-{{}}", "site_id", ts, *places),
    )
    for key, mine in records.partition_by(*places[:2], as_dict=True, maintain_order=True).items():
        origin = Origin(field.topic.name, int(key[0]), int(key[1]))
        output = Output(field.record.topic, rows=mine.select(*field.record.columns))
        yield from envelopes(output, origin, 0, arrived_at, "wattloop/ingest")
