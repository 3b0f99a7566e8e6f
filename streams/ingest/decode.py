"""Decoding what the field sends: JSON, NDJSON and Arrow IPC messages, many at a time.

A poll's JSON lines are read by one call of a columnar reader. Only where that fails are messages looked at in halves,
so that one bad message among thousands costs a few more calls and not a slow path for all. The same reader judges a
line wherever it stands, so what is accepted never depends on how messages were batched.
"""

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.reading import FIELD
from schemas.rejection import Reason
from streams.ingest.poll import ARROW_TYPE, Poll, RawMessage

JSON_TYPE = "application/json"
NDJSON_TYPE = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Refused:
    """A message, or one reading of it, that was refused; `value` are the bytes it came as."""

    message: int  # index into the poll
    index: int  # index of the reading within the message
    value: bytes
    content_type: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows of a poll, with the message (index into the poll) and the place in it each came from."""

    rows: pl.DataFrame  # columns of the contract, `message` (i64), `index` (i64)
    refused: list[Refused]


Columns = Mapping[str, pl.DataType]  # what the field may send

_ARROW_TYPES = {pl.String(): pa.large_string(), pl.Int64(): pa.int64(), pl.Float64(): pa.float64()}
_ACCEPTED = {
    pl.String(): (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    pl.Int64(): (pa.types.is_integer,),
    pl.Float64(): (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal),
}


def decode(poll: Poll, columns: Columns = FIELD) -> Decoded:
    """Decode a poll.

    Parameters
    ----------
    poll
        Messages in any mixture of encodings.
    columns
        The contract of their topic.

    Returns
    -------
    Decoded
        Rows in the order of the messages, and what could not be decoded.
    """
    refused: list[Refused] = []
    arrow = poll.arrow()
    frames = list(_arrow([(number, poll.values[number]) for number in arrow], columns, refused))
    if not arrow:
        whole = _lines_only(poll.values, columns)
        if whole is not None:
            return Decoded(whole, refused)
    in_arrow = set(arrow)
    texts = [(number, value) for number, value in enumerate(poll.values) if number not in in_arrow]
    frames.extend(_lines(texts, columns, refused))
    if not frames:
        return Decoded(pl.DataFrame(schema={**columns, "message": pl.Int64, "index": pl.Int64}), refused)
    rows = pl.concat(frames)
    # Each encoding is in order by itself.
    return Decoded(rows.sort("message", "index") if arrow and texts else rows, refused)


def original_row(message: RawMessage, index: int) -> tuple[bytes, str]:
    """Return the bytes of one reading of a message, and their content type."""
    if message.is_arrow:
        table = _table(message.value)
        body = io.BytesIO()
        with pa.ipc.new_stream(body, table.schema) as writer:
            writer.write_table(table.slice(index, 1))
        return body.getvalue(), ARROW_TYPE
    lines = _lines_of(message.value)
    return (message.value if len(lines) == 1 else lines[index]), JSON_TYPE


@lru_cache(maxsize=4)  # a message may be refused row by row
def _table(value: bytes) -> pa.Table:
    """Read Arrow IPC that nobody has checked: polars would panic, or abort the process, on some damaged streams."""
    with pa.ipc.open_stream(pa.py_buffer(value)) as reader:
        table = reader.read_all()
    table.validate(full=True)
    return table


@lru_cache(maxsize=4)
def _lines_of(value: bytes) -> tuple[bytes, ...]:
    """Cut a text into its lines, each as it came; JSON written over several lines is one."""
    several = b"\n" in value.strip() and _parsed(value) is None
    return tuple(value.split(b"\n")) if several else (value,)


def _arrow(messages: list[tuple[int, bytes]], columns: Columns, refused: list[Refused]) -> Iterator[pl.DataFrame]:
    """Read Arrow messages; as many at once as have the same columns one after another."""
    values = dict(messages)
    alike: list[tuple[int, pa.Table]] = []
    for number, value in messages:
        try:
            table = _table(value)
        except (pa.ArrowException, OSError, ValueError, TypeError, MemoryError):
            refused.append(Refused(number, 0, value, ARROW_TYPE, Reason.UNDECODABLE))
            continue
        if alike and not alike[0][1].schema.equals(table.schema):
            yield from _alike(alike, values, columns, refused)
            alike = []
        alike.append((number, table))
    if alike:
        yield from _alike(alike, values, columns, refused)


def _alike(
    alike: list[tuple[int, pa.Table]], values: Mapping[int, bytes], columns: Columns, refused: list[Refused]
) -> Iterator[pl.DataFrame]:
    """Turn tables of one schema into rows; one by one where that fails, so that each is judged by itself."""
    try:
        table = alike[0][1] if len(alike) == 1 else pa.concat_tables([table for _, table in alike])
        found = {name: _as_field(table, name, wanted) for name, wanted in columns.items()}
        frame = pl.DataFrame(pl.from_arrow(pa.table(found)), schema=columns)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError, TypeError, MemoryError):
        if len(alike) > 1:
            for one in alike:
                yield from _alike([one], values, columns, refused)
        else:
            number = alike[0][0]
            refused.append(Refused(number, 0, values[number], ARROW_TYPE, Reason.WRONG_TYPE))
        return
    sizes = pl.Series([table.num_rows for _, table in alike], dtype=pl.Int64)
    owners = pl.Series([number for number, _ in alike], dtype=pl.Int64)
    yield _in_messages(frame, owners, pl.zeros(len(alike), pl.Int64, eager=True), sizes)


def _as_field(table: pa.Table, name: str, wanted: pl.DataType) -> pa.ChunkedArray:
    """Return a column in the contract's type; what is of another kind is refused, not converted."""
    places = table.schema.get_all_field_indices(name)
    if not places:
        return pa.chunked_array([pa.nulls(table.num_rows, _ARROW_TYPES[wanted])])
    if len(places) > 1:
        raise TypeError(f"{name} is there {len(places)} times")
    column = _plain(table.column(places[0]))
    kind = column.type
    if pa.types.is_timestamp(kind) and wanted == pl.Int64():
        in_ms = column.cast(pa.timestamp("ms", kind.tz), safe=False)
        return in_ms.cast(pa.int64())
    if not pa.types.is_null(kind) and not any(test(kind) for test in _ACCEPTED[wanted]):
        raise TypeError(f"{name} is {column.type}")
    # Whole numbers must fit; of measures the nearest number will do.
    return column.cast(_ARROW_TYPES[wanted], safe=wanted != pl.Float64())


def _is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test in _ACCEPTED[pl.String()])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of texts without the dictionary that writers make of repeated names; others as they are."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return column
    wanted = _ARROW_TYPES[pl.String()]
    parts = [
        pa.DictionaryArray.from_arrays(part.indices, part.dictionary.cast(wanted)).dictionary_decode()
        for part in column.chunks
        if isinstance(part, pa.DictionaryArray)
    ]
    return pa.chunked_array(parts, wanted)


def _lines_only(values: Sequence[bytes], columns: Columns) -> pl.DataFrame | None:
    """Read messages of one line each, the usual case, all at once; None where they are anything else."""
    if any(map(bytes.isspace, values)) or not all(values):
        return None
    text = b"\n".join(values)
    if text.count(b"\n") != len(values) - 1:
        return None
    frame = _read(text, columns)
    if frame is None or frame.height != len(values):
        return None
    return frame.with_columns(message=pl.int_range(len(values), dtype=pl.Int64), index=pl.lit(0, pl.Int64))


def _lines(texts: list[tuple[int, bytes]], columns: Columns, refused: list[Refused]) -> Iterator[pl.DataFrame]:
    """Read the lines of messages; halve where that fails, down to the one that is bad."""
    if not texts:
        return
    stripped = [text.strip() for _, text in texts]
    counts = [text.count(b"\n") + 1 for text in stripped]
    frame = _read(b"\n".join(stripped), columns) if b"" not in stripped else None
    if frame is not None and frame.height == sum(counts):
        owners = pl.Series([number for number, _ in texts], dtype=pl.Int64)
        sizes = pl.Series(counts, dtype=pl.Int64)
        first = pl.Series([_lines_before(text) for _, text in texts], dtype=pl.Int64)
        yield _in_messages(frame, owners, first, sizes)
    elif broken := [place for place, text in enumerate(stripped) if _is_broken(text)]:
        # Said at once, because a flood of garbage must not take a call of the columnar reader each.
        for place in reversed(broken):
            number, text = texts.pop(place)
            refused.append(Refused(number, 0, text, JSON_TYPE, Reason.UNDECODABLE))
        yield from _lines(texts, columns, refused)
    elif len(texts) > 1:
        middle = len(texts) // 2
        yield from _lines(texts[:middle], columns, refused)
        yield from _lines(texts[middle:], columns, refused)
    else:
        yield from _line_by_line(*texts[0], columns, refused)


def _line_by_line(number: int, text: bytes, columns: Columns, refused: list[Refused]) -> Iterator[pl.DataFrame]:
    lines = _lines_of(text)
    for index, line in enumerate(lines):
        if len(lines) > 1 and not line.strip():
            continue
        # A line end within JSON can only be white space.
        frame = _read(line.strip().replace(b"\n", b" "), columns)
        if frame is not None and frame.height == 1:
            yield _placed(frame, pl.Series([number]), pl.Series([index]))
        else:
            refused.append(Refused(number, index, line, JSON_TYPE, _why(line)))


def _lines_before(text: bytes) -> int:
    """Return the number of blank lines a text of several lines begins with."""
    return text[: len(text) - len(text.lstrip())].count(b"\n") if b"\n" in text.strip() else 0


def _is_broken(text: bytes) -> bool:
    """Whether a text of one line is surely no JSON."""
    if b"\n" in text:
        return False
    try:
        json.loads(text.decode())
    except (json.JSONDecodeError, UnicodeDecodeError):
        return True
    except (ValueError, RecursionError):  # a number too long or a nesting too deep for Python
        return False
    return False


def _parsed(text: bytes) -> object:
    """Parse JSON as Python does; None when it is none."""
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError):
        return None


def _read(lines: bytes, columns: Columns) -> pl.DataFrame | None:
    try:
        # The first bytes must not be the sender's: the reader would take some for a compressed file, and unpack it.
        return pl.read_ndjson(io.BytesIO(b"\n" + lines), schema=columns)
    except (pl.exceptions.PolarsError, OSError):
        return None


def _why(line: bytes) -> Reason:
    found = _parsed(line)
    if not isinstance(found, dict):
        return Reason.UNDECODABLE
    numbers = [value for value in found.values() if isinstance(value, float)]
    return Reason.WRONG_TYPE if all(math.isfinite(number) for number in numbers) else Reason.NOT_FINITE


def _in_messages(frame: pl.DataFrame, numbers: pl.Series, first: pl.Series, sizes: pl.Series) -> pl.DataFrame:
    """Say of rows in which message they are, and where in it."""
    sizes_of, begins = sizes.to_numpy(), np.concatenate(([0], sizes.cum_sum().to_numpy()[:-1]))
    index = np.arange(frame.height) - np.repeat(begins - first.to_numpy(), sizes_of)
    return _placed(frame, pl.Series(np.repeat(numbers.to_numpy(), sizes_of)), pl.Series(index))


def _placed(frame: pl.DataFrame, message: pl.Series, index: pl.Series) -> pl.DataFrame:
    return frame.with_columns(message.cast(pl.Int64).alias("message"), index.cast(pl.Int64).alias("index"))
