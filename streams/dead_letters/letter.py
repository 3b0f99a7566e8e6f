"""One message of dead-letters.v1 as an operator sees it: a letter, or a note that letters were sent again."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import ConsumerRecord

from schemas.rejection import (
    HEADER_CONTENT_TYPE,
    HEADER_DETAIL,
    HEADER_INDEX,
    HEADER_OFFSET,
    HEADER_PARTITION,
    HEADER_REASON,
    HEADER_REPLAY,
    HEADER_REPLAYED_FROM,
    HEADER_STAGE,
    HEADER_TIMESTAMP,
    HEADER_TOPIC,
    Reason,
)
from schemas.topics import ACTIVITIES, ANOMALY_FEEDBACK, METER_READINGS
from streams.ingest.decode import decode
from streams.ingest.field import FIELD_TOPICS
from streams.ingest.poll import ARROW_TYPE, Poll, RawMessage

BEGUN = "begun"
_OF_FEEDBACK = frozenset({Reason.UNKNOWN_ANOMALY.value, Reason.UNKNOWN_ADVICE.value})  # rows of what people said
AS_IT_CAME = frozenset({ACTIVITIES.name, *(one.topic.name for one in FIELD_TOPICS)})  # letters of these hold the bytes
DONE = "done"

# Also found in JSON that is broken, where most of what operators look for is.
_SITE = re.compile(rb'"site_id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)')


class Place(NamedTuple):
    """Where a letter is on dead-letters.v1."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read a place as it is printed.

        Raises
        ------
        ValueError
            When it is not `partition:offset`.

        Examples
        --------
        >>> Place.parse("3:1207")
        Place(partition=3, offset=1207)
        """
        found = re.fullmatch(r"([0-9]+):([0-9]+)", text)
        if found is None:
            raise ValueError(f"expected PARTITION:OFFSET such as 3:1207, got {text!r}")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    Parameters
    ----------
    place
        Where it is on dead-letters.v1.
    reason, detail
        Why it was refused, and what was expected.
    stage
        Who refused it: `ingest`, `activities` or an agent.
    source_topic, source_partition, source_offset, source_index
        The message it was in, and which part of it.
    arrived_at
        When that arrived. [ms UTC]
    key, value, content_type, headers
        As they came; `headers` without those the refusal added.
    """

    place: Place
    reason: str
    detail: str
    stage: str
    source_topic: str
    source_partition: int
    source_offset: int
    source_index: int
    arrived_at: int
    key: bytes | None
    value: bytes
    content_type: str
    headers: tuple[tuple[str, bytes], ...]

    @property
    def site(self) -> str | None:
        """Whose it is, as ingest would see it: the site its bytes name, else the key."""
        return next(iter(sites_in(self.value, self.content_type)), None) or self.key_text

    @property
    def holds_what_came(self) -> bool:
        """Whether its bytes are those the field sent; agents refuse rows of batches."""
        return self.source_topic in AS_IT_CAME

    @property
    def topic_again(self) -> str:
        """Where it is sent again, without prefix: where it came from, or where rows can begin anew."""
        if self.holds_what_came:
            return self.source_topic
        return ANOMALY_FEEDBACK.name if self.reason in _OF_FEEDBACK else METER_READINGS.name

    @property
    def key_text(self) -> str | None:
        """The key, None when there is none or it is not UTF-8."""
        try:
            return self.key.decode() if self.key else None
        except UnicodeDecodeError:
            return None


@dataclass(frozen=True, slots=True)
class Note:
    """A record of `wattloop dlq replay` about letters of its own partition; no letter.

    Parameters
    ----------
    place
        Where it is on dead-letters.v1.
    state
        `begun` before the letters are sent, `done` when the broker has them.
    run
        Which replay wrote it.
    at
        When. [ms UTC]
    offsets
        The letters.
    topic
        `begun`: where they are sent, without prefix.
    ends
        `begun`: partition of that topic -> an offset at or before the first message that can follow from it.
    """

    place: Place
    state: str
    run: str
    at: int
    offsets: tuple[int, ...]
    topic: str = ""
    ends: Mapping[int, int] = field(default_factory=dict)

    @property
    def value(self) -> bytes:
        """The note on the wire."""
        said = {"run": self.run, "letters": self.offsets, "topic": self.topic, "ends": self.ends}
        return json.dumps(said).encode()

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """The headers on the wire; the first one tells it from a letter."""
        return [(HEADER_REPLAY, self.state.encode()), (HEADER_CONTENT_TYPE, b"application/json")]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A message on dead-letters.v1 that Wattloop has not written."""

    place: Place
    why: str


def read(record: ConsumerRecord) -> Letter | Note | Foreign:
    """Return what a message of dead-letters.v1 is."""
    place = Place(record.partition, record.offset)
    headers = dict(record.headers)
    try:
        # A letter keeps the headers it came with, so the header of a note alone says nothing.
        is_note = HEADER_REPLAY in headers and HEADER_REASON not in headers
        return _note(place, record, headers) if is_note else _letter(place, record, headers)
    except KeyError as missing:
        return Foreign(place, f"header {missing.args[0]} is missing")
    except (ValueError, TypeError) as wrong:
        return Foreign(place, f"not as Wattloop writes it: {wrong}")


def _letter(place: Place, record: ConsumerRecord, headers: Mapping[str, bytes]) -> Letter:
    return Letter(
        place,
        headers[HEADER_REASON].decode(),
        headers.get(HEADER_DETAIL, b"").decode(),
        headers[HEADER_STAGE].decode(),
        headers[HEADER_TOPIC].decode(),
        int(headers[HEADER_PARTITION]),
        int(headers[HEADER_OFFSET]),
        int(headers.get(HEADER_INDEX, b"0")),
        int(headers[HEADER_TIMESTAMP]),
        record.key,
        record.value or b"",
        headers.get(HEADER_CONTENT_TYPE, b"").decode(errors="replace"),
        tuple((name, value) for name, value in record.headers if name not in _OURS),
    )


def _note(place: Place, record: ConsumerRecord, headers: Mapping[str, bytes]) -> Note:
    said = json.loads(record.value or b"")
    return Note(
        place,
        headers[HEADER_REPLAY].decode(),
        str(said["run"]),
        record.timestamp,
        tuple(int(offset) for offset in said["letters"]),
        str(said["topic"]),
        {int(partition): int(end) for partition, end in said["ends"].items()},
    )


_OURS = frozenset(
    {
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
)


def sites_in(value: bytes, content_type: str) -> Iterator[str]:
    """Yield the sites that bytes of the field name, also where they are no valid reading.

    Examples
    --------
    >>> list(sites_in(b'{"site_id": "mill", "meter_id": 1}', "application/json"))
    ['mill']
    >>> list(sites_in(b'{"site_id": "mill', "application/json"))
    []
    """
    if content_type == ARROW_TYPE:
        rows = decode(Poll.of([RawMessage(0, 0, 0, None, value, content_type)])).rows
        yield from (str(site) for site in rows["site_id"].drop_nulls().unique(maintain_order=True))
        return
    for found in _SITE.findall(value):
        try:
            yield str(json.loads(found))
        except ValueError:
            continue


@dataclass(frozen=True, slots=True)
class Filters:
    """Which letters are meant; what is empty or None lets every letter pass.

    Parameters
    ----------
    reasons, stages
        One of these.
    site
        The key, or a site the bytes name.
    from_ms, to_ms
        Arrival from the first on and before the second. [ms UTC]
    """

    reasons: Collection[str] = ()
    stages: Collection[str] = ()
    site: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def take(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.stages or letter.stage in self.stages)
            and (self.from_ms is None or letter.arrived_at >= self.from_ms)
            and (self.to_ms is None or letter.arrived_at < self.to_ms)
            and (self.site is None or self._is_of_site(letter))
        )

    def _is_of_site(self, letter: Letter) -> bool:
        return self.site == letter.key_text or self.site in set(sites_in(letter.value, letter.content_type))


def headers_again(letter: Letter) -> list[tuple[str, bytes]]:
    """Headers of a letter that is sent again: those it came with, and which letter it was."""
    kept: Sequence[tuple[str, bytes]] = [one for one in letter.headers if one[0] != HEADER_REPLAYED_FROM]
    content_type = [(HEADER_CONTENT_TYPE, letter.content_type.encode())] if letter.content_type else []
    return [*kept, *content_type, (HEADER_REPLAYED_FROM, str(letter.place).encode())]
