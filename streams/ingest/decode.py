"""Decoding what the field sends: JSON, NDJSON and Arrow IPC messages, many at a time.

A poll's JSON lines are read by one call of a columnar reader. Only where that fails are messages looked at in halves,
so that one bad message among thousands costs a few more calls and not a slow path for all. The same reader judges a
line wherever it stands, so what is accepted never depends on how messages were batched.
"""

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl
import pyarrow as pa

from schemas.reading import FIELD
from schemas.rejection import Reason

ARROW_TYPE = "application/vnd.apache.arrow.stream"
JSON_TYPE = "application/json"
NDJSON_TYPE = "application/x-ndjson"

_ARROW_MAGIC = b"\xff\xff\xff\xff"  # continuation marker every Arrow IPC stream begins with


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message of the field, as read from the broker."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    content_type: str = ""
    headers: tuple[tuple[str, bytes], ...] = ()


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
    """Readings of a poll, with the message (index into the poll) and the place in it each came from."""

    rows: pl.DataFrame  # FIELD columns, `message` (i64), `index` (i64)
    refused: list[Refused]


_PLACED = {**FIELD, "message": pl.Int64(), "index": pl.Int64()}

_ARROW_TYPES = {pl.String(): pa.large_string(), pl.Int64(): pa.int64(), pl.Float64(): pa.float64()}
_ACCEPTED = {
    pl.String(): (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    pl.Int64(): (pa.types.is_integer,),
    pl.Float64(): (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal),
}


def decode(messages: Sequence[RawMessage]) -> Decoded:
    """Decode a poll.

    Parameters
    ----------
    messages
        Messages in any mixture of encodings.

    Returns
    -------
    Decoded
        Rows in the order of the messages, and what could not be decoded.
    """
    frames: list[pl.DataFrame] = []
    refused: list[Refused] = []
    texts: list[tuple[int, bytes]] = []
    for number, message in enumerate(messages):
        if message.content_type == ARROW_TYPE or message.value.startswith(_ARROW_MAGIC):
            frame = _arrow(number, message, refused)
            if frame is not None:
                frames.append(frame)
        else:
            texts.append((number, message.value))
    frames.extend(_lines(texts, refused))
    if not frames:
        return Decoded(pl.DataFrame(schema=_PLACED), refused)
    return Decoded(pl.concat(frames).sort("message", "index"), refused)


def content_type_of(headers: Sequence[tuple[str, bytes]]) -> str:
    """Return the `content-type` header in lower case and without parameters; empty when there is none."""
    for name, value in headers:
        if name == "content-type":
            return value.decode("ascii", "replace").split(";")[0].strip().lower()
    return ""


def original_row(message: RawMessage, index: int) -> tuple[bytes, str]:
    """Return the bytes of one reading of a message, and their content type."""
    if message.content_type == ARROW_TYPE or message.value.startswith(_ARROW_MAGIC):
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


def _arrow(number: int, message: RawMessage, refused: list[Refused]) -> pl.DataFrame | None:
    reason = Reason.UNDECODABLE
    try:
        table = _table(message.value)
        reason = Reason.WRONG_TYPE
        columns = {name: _as_field(table, name, wanted) for name, wanted in FIELD.items()}
        frame = pl.DataFrame(pl.from_arrow(pa.table(columns)), schema=FIELD)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError, TypeError, MemoryError):
        refused.append(Refused(number, 0, message.value, ARROW_TYPE, reason))
        return None
    whose = pl.Series([number]).new_from_index(0, frame.height)
    return _placed(frame, whose, pl.int_range(frame.height, eager=True))


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


def _lines(texts: list[tuple[int, bytes]], refused: list[Refused]) -> Iterator[pl.DataFrame]:
    """Read the lines of messages; halve where that fails, down to the one that is bad."""
    if not texts:
        return
    stripped = [text.strip() for _, text in texts]
    counts = [text.count(b"\n") + 1 for text in stripped]
    frame = _read(b"\n".join(stripped)) if b"" not in stripped else None
    if frame is not None and frame.height == sum(counts):
        owners = pl.Series([number for number, _ in texts], dtype=pl.Int64)
        sizes = pl.Series(counts, dtype=pl.Int64)
        first = pl.Series([_lines_before(text) for _, text in texts], dtype=pl.Int64)
        places = pl.int_ranges(first, first + sizes, eager=True)
        placed = pl.DataFrame({"message": owners, "index": places}).explode("index")
        yield _placed(frame, placed["message"], placed["index"])
    elif broken := [place for place, text in enumerate(stripped) if _is_broken(text)]:
        # Said at once, because a flood of garbage must not take a call of the columnar reader each.
        for place in reversed(broken):
            number, text = texts.pop(place)
            refused.append(Refused(number, 0, text, JSON_TYPE, Reason.UNDECODABLE))
        yield from _lines(texts, refused)
    elif len(texts) > 1:
        middle = len(texts) // 2
        yield from _lines(texts[:middle], refused)
        yield from _lines(texts[middle:], refused)
    else:
        yield from _line_by_line(*texts[0], refused)


def _line_by_line(number: int, text: bytes, refused: list[Refused]) -> Iterator[pl.DataFrame]:
    lines = _lines_of(text)
    for index, line in enumerate(lines):
        if len(lines) > 1 and not line.strip():
            continue
        # A line end within JSON can only be white space.
        frame = _read(line.strip().replace(b"\n", b" "))
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


def _read(lines: bytes) -> pl.DataFrame | None:
    try:
        # The first bytes must not be the sender's: the reader would take some for a compressed file, and unpack it.
        return pl.read_ndjson(io.BytesIO(b"\n" + lines), schema=FIELD)
    except (pl.exceptions.PolarsError, OSError):
        return None


def _why(line: bytes) -> Reason:
    found = _parsed(line)
    if not isinstance(found, dict):
        return Reason.UNDECODABLE
    numbers = [value for value in found.values() if isinstance(value, float)]
    return Reason.WRONG_TYPE if all(math.isfinite(number) for number in numbers) else Reason.NOT_FINITE


def _placed(frame: pl.DataFrame, message: pl.Series, index: pl.Series) -> pl.DataFrame:
    return frame.with_columns(message.cast(pl.Int64).alias("message"), index.cast(pl.Int64).alias("index"))
