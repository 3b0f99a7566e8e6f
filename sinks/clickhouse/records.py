"""Messages as a sink sees them: plain values, so that it knows neither Kafka nor Faust."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sinks.clickhouse.errors import Undecodable


@dataclass(frozen=True, slots=True)
class Record:
    """One message of a topic partition.

    Parameters
    ----------
    offset
        Its place in the partition.
    timestamp_ms
        Record timestamp. [ms UTC]
    key, value
        As read from the broker.
    headers
        Header values by name.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)

    def text(self, header: str) -> str | None:
        """Return a header as text, None when it is absent.

        Raises
        ------
        UnicodeDecodeError
            When it is not UTF-8.
        """
        value = self.headers.get(header)
        return None if value is None else value.decode()


class Source(NamedTuple):
    """A topic (by its name in the catalogue) and one of its partitions."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"

    def undecodable(self, record: Record, why: str) -> Undecodable:
        """Return the error that says which message does not hold what it should."""
        return Undecodable(f"{self} offset {record.offset}: {why}")
