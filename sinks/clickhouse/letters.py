"""Dead letters to rows: reason and place as columns, key and value byte for byte."""

from collections.abc import Sequence

import polars as pl

from schemas.reading import TIMESTAMP
from schemas.rejection import (
    HEADER_CONTENT_TYPE,
    HEADER_DETAIL,
    HEADER_INDEX,
    HEADER_OFFSET,
    HEADER_PARTITION,
    HEADER_REASON,
    HEADER_REPLAY,
    HEADER_STAGE,
    HEADER_TIMESTAMP,
    HEADER_TOPIC,
)
from schemas.topics import DEAD_LETTERS
from sinks.clickhouse.origins import INDEX, MESSAGE, OFFSET, SOURCE
from sinks.clickhouse.records import Record, Source
from sinks.clickhouse.rows import TableSpec

_NAMED_HEADERS = {
    HEADER_REASON,
    HEADER_DETAIL,
    HEADER_STAGE,
    HEADER_TOPIC,
    HEADER_PARTITION,
    HEADER_OFFSET,
    HEADER_INDEX,
    HEADER_TIMESTAMP,
    HEADER_CONTENT_TYPE,
}

LETTER_ROWS: dict[str, pl.DataType] = {
    "reason": pl.String(),
    "detail": pl.String(),
    "stage": pl.String(),
    "source_topic": pl.String(),
    "source_partition": pl.Int32(),
    "source_offset": pl.Int64(),
    "source_index": pl.Int32(),
    "arrived_at": TIMESTAMP,
    "content_type": pl.String(),
    "key": pl.Binary(),
    "value": pl.Binary(),
    "header_names": pl.List(pl.String()),  # the table makes a map of these two
    "header_values": pl.List(pl.Binary()),
}


def letter_rows(source: Source, records: Sequence[Record]) -> pl.DataFrame:
    """Return the messages of dead-letters.v1, one row each.

    A stage reads each partition of a topic in order, so stage, topic and partition together name the source
    of an origin: two stages may both reject parts of the same message. Notes of a replay are no letters.
    """
    letters = [one for one in records if HEADER_REPLAY not in one.headers or HEADER_REASON in one.headers]
    if not letters:
        return pl.DataFrame()
    rows = pl.DataFrame(
        [_letter(source, record) for record in letters],
        schema=LETTER_ROWS | {MESSAGE: pl.Int64()},
        orient="row",
    )
    return rows.with_columns(
        pl.format("{}/{}/{}", "stage", "source_topic", "source_partition").alias(SOURCE),
        pl.col("source_offset").alias(OFFSET),
        pl.col("source_index").cast(pl.Int64).alias(INDEX),
    )


def _letter(source: Source, record: Record) -> tuple[object, ...]:
    def words(header: str) -> str:
        text = record.text(header)
        if text is None:
            raise source.undecodable(record, f"header {header} is missing")
        return text

    others = {name: value for name, value in record.headers.items() if name not in _NAMED_HEADERS}
    try:
        return (
            words(HEADER_REASON),
            record.text(HEADER_DETAIL) or "",
            words(HEADER_STAGE),
            words(HEADER_TOPIC),
            int(words(HEADER_PARTITION)),
            int(words(HEADER_OFFSET)),
            int(record.text(HEADER_INDEX) or 0),
            int(words(HEADER_TIMESTAMP)),
            (record.headers.get(HEADER_CONTENT_TYPE) or b"").decode(errors="replace"),  # the sender's, not ours
            record.key,
            record.value,
            list(others),
            list(others.values()),
            record.offset,
        )
    except UnicodeDecodeError as error:
        raise source.undecodable(record, "a dlq_ header is not UTF-8") from error
    except ValueError as error:
        raise source.undecodable(record, f"a dlq_ header is not a number: {error}") from error


DEAD_LETTERS_TABLE = TableSpec(DEAD_LETTERS.name, "dead_letters", "arrived_at", tuple(LETTER_ROWS), letter_rows)
