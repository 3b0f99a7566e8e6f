"""Which produce requests of a connection still wait for their answer.

Only these matter when the gate closes: what has been acknowledged must be in the broker before it is drained.
A fetch or a group join may stay unanswered for as long as it likes.

References
----------
Apache Kafka protocol guide, https://kafka.apache.org/protocol: request header v1 and v2, Produce v0-v12.
"""

import struct

from streams.embedded.wire import WireError

PRODUCE = 0
FIRST_WITH_TRANSACTIONAL_ID = 3
FIRST_FLEXIBLE = 9  # header v2 with tagged fields, compact strings
REQUEST_HEAD_BYTES = 1_024
RESPONSE_HEAD_BYTES = 4
MOST_FRAME_BYTES = 1 << 30

_REQUEST = struct.Struct(">hhi")
_INT16 = struct.Struct(">h")


class Frames:
    """Cuts a byte stream into length-prefixed frames, and keeps only how each begins.

    Parameters
    ----------
    head_bytes
        How much of each frame is kept, at most. [bytes]
    """

    def __init__(self, head_bytes: int) -> None:
        self._head_bytes = head_bytes
        self._size = bytearray()
        self._head = bytearray()
        self._left = 0

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """Take the next bytes of the stream and return the heads of the frames they complete.

        Raises
        ------
        WireError
            If a length makes no sense.

        Examples
        --------
        >>> frames = Frames(head_bytes=2)
        >>> frames.feed(b"\\x00\\x00\\x00\\x03abc\\x00\\x00"), frames.feed(b"\\x00\\x02de")
        ([b'ab'], [b'de'])
        """
        heads = []
        place, end = 0, len(data)
        while place < end:
            if self._left == 0:
                part = data[place : place + 4 - len(self._size)]
                self._size += part
                place += len(part)
                if len(self._size) < 4:
                    break
                self._left = int.from_bytes(self._size, "big", signed=True)
                self._size.clear()
                self._head.clear()
                if not 0 < self._left <= MOST_FRAME_BYTES:
                    raise WireError(f"a frame of {self._left} bytes")
                continue
            taken = min(self._left, end - place)
            wanted = min(taken, self._head_bytes - len(self._head))
            if wanted > 0:
                self._head += data[place : place + wanted]
            place += taken
            self._left -= taken
            if self._left == 0:
                heads.append(bytes(self._head))
        return heads


class PendingProduces:
    """The produce requests of one connection that have been passed on whole and not been answered yet."""

    def __init__(self) -> None:
        self._requests = Frames(REQUEST_HEAD_BYTES)
        self._responses = Frames(RESPONSE_HEAD_BYTES)
        self._waiting: set[int] = set()

    def __len__(self) -> int:
        """Return how many answers are owed."""
        return len(self._waiting)

    def sent(self, data: bytes | bytearray) -> None:
        """Note bytes passed on to the broker."""
        for head in self._requests.feed(data):
            correlation = produce_awaiting_answer(head)
            if correlation is not None:
                self._waiting.add(correlation)

    def answered(self, data: bytes | bytearray) -> None:
        """Note bytes that came back."""
        for head in self._responses.feed(data):
            self._waiting.discard(int.from_bytes(head, "big", signed=True))


def produce_awaiting_answer(head: bytes) -> int | None:
    """Return the correlation id of a produce request that will be answered, None for every other request.

    Parameters
    ----------
    head
        The request from its API key on.

    Notes
    -----
    `acks=0` is never answered, and promises nothing. Where the head is cut before `acks`, an answer is
    expected: waiting in vain ends with the patience of the gate, not waiting could lose acknowledged records.
    """
    try:
        key, version, correlation = _REQUEST.unpack_from(head)
        if key != PRODUCE:
            return None
        return None if _acks(head, version) == 0 else int(correlation)
    except (struct.error, IndexError):
        return int.from_bytes(head[4:8], "big", signed=True) if head[:2] == b"\x00\x00" else None


def _acks(head: bytes, version: int) -> int:
    place = _REQUEST.size
    place += 2 + max(0, _int16(head, place))  # client id
    if version >= FIRST_FLEXIBLE:
        tags, place = _varint(head, place)
        for _ in range(tags):
            _, place = _varint(head, place)
            size, place = _varint(head, place)
            place += size
        length, place = _varint(head, place)
        place += max(0, length - 1)  # transactional id
    elif version >= FIRST_WITH_TRANSACTIONAL_ID:
        place += 2 + max(0, _int16(head, place))
    return _int16(head, place)


def _int16(data: bytes, place: int) -> int:
    return int(_INT16.unpack_from(data, place)[0])


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place += 1
        shift += 7
        if byte < 0x80:
            return value, place
