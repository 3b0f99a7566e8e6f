"""What one poll of the field's topic brought, in columns: an object per message would cost more than reading it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl
from aiokafka import ConsumerRecord

ARROW_TYPE = "application/vnd.apache.arrow.stream"
ARROW_MAGIC = b"\xff\xff\xff\xff"  # continuation marker every Arrow IPC stream begins with

# What is worked on at once, so that a fetch of a backlog does not become memory many times its size. Arrow streams are
# compressed, and a hundred bytes of one are ten readings.
PART_BYTES = 8 << 20
ARROW_PART_BYTES = 1 << 20

_CREATE_TIME = 0  # the record's timestamp is the sender's, so it says nothing about arrival

RawHeaders = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message of the field, as read from the broker."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    content_type: str = ""
    headers: RawHeaders = ()

    @property
    def is_arrow(self) -> bool:
        """Whether it is an Arrow IPC stream: its first bytes say so, or its sender does and it is no JSON object."""
        if self.value.startswith(ARROW_MAGIC):
            return True
        return self.content_type == ARROW_TYPE and not self.value.startswith(b"{")


@dataclass(slots=True)
class Poll:
    """Messages in the order they were read; every list has an entry per message.

    Examples
    --------
    >>> poll = Poll.of([RawMessage(3, 17, 1784008800000, b"mill", b"{}")])
    >>> len(poll), poll[0].offset, poll.newest_arrivals
    (1, 17, {3: 1784008800000})
    """

    partitions: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)  # arrival [ms UTC]
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    headers: list[Sequence[tuple[str, bytes]]] = field(default_factory=list)
    newest_arrivals: dict[int, int] = field(default_factory=dict)  # partition -> [ms UTC]

    @classmethod
    def of(cls, messages: Iterable[RawMessage]) -> "Poll":
        """Gather messages; the content type of each goes back into its headers."""
        poll = cls()
        for one in messages:
            said = content_type_of(one.headers) == one.content_type
            headers = one.headers if said else (("content-type", one.content_type.encode()), *one.headers)
            poll.partitions.append(one.partition)
            poll.offsets.append(one.offset)
            poll.timestamps_ms.append(one.timestamp_ms)
            poll.keys.append(one.key)
            poll.values.append(one.value)
            poll.headers.append(headers)
            poll._arrived(one.partition, one.timestamp_ms)
        return poll

    def extend(self, partition: int, records: Sequence[ConsumerRecord], now_ms: int) -> None:
        """Add what was read of a partition.

        Parameters
        ----------
        partition
            The partition.
        records
            As the consumer gave them.
        now_ms
            When they were read: the arrival of those the broker did not stamp itself. [ms UTC]
        """
        self.partitions.extend([partition] * len(records))
        self.offsets.extend([one.offset for one in records])
        arrivals = [one.timestamp for one in records]
        if _CREATE_TIME in {one.timestamp_type for one in records}:
            arrivals = [now_ms if one.timestamp_type == _CREATE_TIME else one.timestamp for one in records]
        self.timestamps_ms.extend(arrivals)
        self._arrived(partition, max(arrivals, default=0))
        self.keys.extend([one.key for one in records])
        self.values.extend([one.value or b"" for one in records])
        self.headers.extend([one.headers for one in records])

    def _arrived(self, partition: int, at_ms: int) -> None:
        self.newest_arrivals[partition] = max(at_ms, self.newest_arrivals.get(partition, 0))

    def parts(self) -> Iterator["Poll"]:
        """Yield it in parts that are small enough to be worked on, in order; a message larger than that is one."""
        most_bytes = ARROW_PART_BYTES if self.values and self.values[0].startswith(ARROW_MAGIC) else PART_BYTES
        begin = size = 0
        for number, value in enumerate(self.values):
            if size + len(value) > most_bytes and number > begin:
                yield self._slice(begin, number)
                begin, size = number, 0
            size += len(value)
        yield self if begin == 0 else self._slice(begin, len(self.values))

    def _slice(self, begin: int, end: int) -> "Poll":
        part = Poll(
            self.partitions[begin:end],
            self.offsets[begin:end],
            self.timestamps_ms[begin:end],
            self.keys[begin:end],
            self.values[begin:end],
            self.headers[begin:end],
        )
        for partition, at_ms in zip(part.partitions, part.timestamps_ms, strict=True):
            part._arrived(partition, at_ms)
        return part

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, number: int) -> RawMessage:
        """Return one message."""
        headers = self.headers[number]
        return RawMessage(
            self.partitions[number],
            self.offsets[number],
            self.timestamps_ms[number],
            self.keys[number],
            self.values[number],
            content_type_of(headers),
            tuple(headers),
        )

    def arrow(self) -> list[int]:
        """Return which messages are Arrow IPC streams."""
        # Most are JSON objects, and no Arrow stream begins like one: their headers need not be looked at.
        others = [number for number, value in enumerate(self.values) if value[:1] != b"{"]
        return [number for number in others if self[number].is_arrow]

    def places(self) -> pl.DataFrame:
        """Return a row per message: `message`, `raw_partition`, `raw_offset`, `arrived_at` and `key`."""
        texts = {key: _text(key) for key in set(self.keys)}
        return pl.DataFrame(
            {
                "message": pl.int_range(len(self), eager=True),
                "raw_partition": pl.Series(self.partitions, dtype=pl.Int32),
                "raw_offset": pl.Series(self.offsets, dtype=pl.Int64),
                "arrived_at": pl.Series(self.timestamps_ms, dtype=pl.Int64),
                "key": pl.Series([texts[key] for key in self.keys], dtype=pl.String),
            }
        )


def content_type_of(headers: Sequence[tuple[str, bytes]]) -> str:
    """Return the `content-type` header in lower case and without parameters; empty when there is none."""
    for name, value in headers:
        if name == "content-type":
            return (value or b"").decode("ascii", "replace").split(";")[0].strip().lower()
    return ""


def _text(key: bytes | None) -> str | None:
    try:
        return key.decode() if key else None
    except UnicodeDecodeError:
        return None
