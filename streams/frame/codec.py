"""Messages on the wire: internal Arrow batches and control records, and flat JSON for people and services."""

import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from schemas.flow import HEADER_ARRIVED_AT, HEADER_KIND, HEADER_ORIGIN, Kind, Message, Output, SiteRecord
from schemas.topics import Encoding
from streams.frame.decoding import read_batch

Headers = list[tuple[str, bytes]]
ReadBatch = Callable[[Kind, bytes], pl.DataFrame]

BATCH_ROWS = 8_000  # keeps a batch well below a broker's limit for one message


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message as it is sent: topic without prefix, the rest as Kafka takes it."""

    topic: str
    key: bytes | None
    value: bytes
    timestamp_ms: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class Origin:
    """The message an output was made from."""

    topic: str
    partition: int
    offset: int

    def place(self, index: int) -> bytes:
        """Return the `origin` header of the output number `index` made from it."""
        return f"{self.partition}:{self.offset}:{index}".encode()

    def trace_parent(self) -> bytes:
        """Return a W3C trace context that every output of this message shares, the same at every replay."""
        digest = hashlib.blake2b(f"{self.topic}/{self.partition}/{self.offset}".encode(), digest_size=24).hexdigest()
        return f"00-{digest[:32]}-{digest[32:]}-01".encode()


def parse_place(header: bytes) -> tuple[int, tuple[int, int]]:
    """Read an `origin` header: source partition, and (offset, index) within it.

    Examples
    --------
    >>> parse_place(b"3:1207:2")
    (3, (1207, 2))
    """
    partition, offset, index = header.split(b":")
    return int(partition), (int(offset), int(index))


def batch_value(rows: pl.DataFrame) -> bytes:
    """Encode rows as an Arrow IPC stream, compressed with lz4."""
    body = io.BytesIO()
    rows.write_ipc_stream(body, compression="lz4")
    return body.getvalue()


def record_value(record: SiteRecord) -> bytes:
    """Encode a site record."""
    return record.to_json()


def control_headers(kind: Kind, arrived_at: int) -> Headers:
    """Headers of a message on an internal topic."""
    return [(HEADER_KIND, kind.value.encode()), (HEADER_ARRIVED_AT, str(arrived_at).encode())]


def envelopes(output: Output, origin: Origin, first_index: int, arrived_at: int, source: str) -> Iterator[Envelope]:
    """Turn an output into messages, numbered from `first_index` within what the origin caused on this topic."""
    if output.topic.encoding is Encoding.BATCH:
        if output.kind is None:
            raise ValueError(f"an output to {output.topic.name} needs a kind")
        values = [b""]
        if output.rows is not None:
            values = [batch_value(part) for part in output.rows.iter_slices(BATCH_ROWS)]
        elif output.record is not None:
            values = [record_value(output.record)]
        for index, value in enumerate(values, first_index):
            headers = [*control_headers(output.kind, arrived_at), (HEADER_ORIGIN, origin.place(index))]
            yield Envelope(output.topic.name, None, value, arrived_at, headers)
        return
    if output.rows is None or output.rows.is_empty():
        return
    lines = output.rows.write_ndjson().encode().splitlines()
    shared: Headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_type", output.topic.name.encode()),
        ("ce_source", source.encode()),
        ("traceparent", origin.trace_parent()),
    ]
    columns = zip(output.rows["site_id"], output.rows["ts"], output.rows["id"], lines, strict=True)
    for index, (site_id, ts, event_id, line) in enumerate(columns, first_index):
        headers = [*shared, ("ce_id", str(event_id).encode()), (HEADER_ORIGIN, origin.place(index))]
        yield Envelope(output.topic.name, str(site_id).encode(), line, int(ts), headers)


def decode(
    value: bytes, headers: Mapping[str, bytes], unread: Collection[Kind] = (), read: ReadBatch = read_batch
) -> Message:
    """Decode a message of an internal topic; of kinds that are `unread`, only what kind it is and when it arrived.

    Raises
    ------
    ValueError
        When it is not one: nobody but Wattloop writes there, so this is a bug and stops the worker.
    """
    try:
        kind = Kind(headers[HEADER_KIND].decode())
        arrived_at = int(headers[HEADER_ARRIVED_AT])
        if kind is Kind.TICK or kind in unread:
            return Message(kind, arrived_at)
        if kind is Kind.SITE:
            return Message(kind, arrived_at, record=SiteRecord.of_json(value))
        return Message(kind, arrived_at, rows=read(kind, value))
    except (KeyError, ValueError, pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"not a message of an internal topic ({type(error).__name__}: {error})") from error
