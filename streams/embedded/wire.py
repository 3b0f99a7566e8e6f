"""The few bytes of the Kafka protocol that the embedded broker and its gate look at themselves.

References
----------
Apache Kafka protocol guide, https://kafka.apache.org/protocol: request header v0-v2, Produce, Metadata.
"""

import asyncio
import struct

METADATA = 3
METADATA_VERSION = 2

_HEADER = struct.Struct(">ihhi")
_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")

LEAST_BYTES = 2 + 2 + 4 + 2  # the shortest header: key, version, correlation id, absent client id
MOST_REQUEST_BYTES = 104_857_600  # what Apache Kafka takes by default; TLS and HTTP begin with larger 'sizes'
MOST_API_KEY = 1_000


class WireError(ValueError):
    """The bytes are no Kafka request."""


def client_id_of(head: bytes | bytearray) -> str | None:
    """Return the client id of the request a connection begins with.

    Parameters
    ----------
    head
        First bytes of the connection: size, API key, version, correlation id, client id.

    Returns
    -------
    str or None
        The client id, empty when the client sent none; None while `head` is too short to say.

    Raises
    ------
    WireError
        If no request can begin like this.

    Examples
    --------
    >>> client_id_of(request(METADATA, 2, 7, "wattloop-replay", b""))
    'wattloop-replay'
    >>> client_id_of(request(METADATA, 2, 7, "wattloop-replay", b"")[:20]) is None
    True
    """
    named = 4 + LEAST_BYTES
    if len(head) < named:
        return None
    size, key, version, _ = _HEADER.unpack_from(head)
    if not LEAST_BYTES <= size <= MOST_REQUEST_BYTES or not 0 <= key <= MOST_API_KEY or version < 0:
        raise WireError(f"no Kafka request begins with size {size}, API key {key}, version {version}")
    (length,) = _INT16.unpack_from(head, named - 2)
    if length < 0:
        return ""
    if len(head) < named + length:
        return None
    return bytes(head[named : named + length]).decode(errors="replace")


def request(key: int, version: int, correlation: int, client_id: str, body: bytes) -> bytes:
    """Return a request with a rigid header (v1)."""
    name = client_id.encode()
    head = struct.pack(">hhih", key, version, correlation, len(name)) + name
    return _INT32.pack(len(head) + len(body)) + head + body


async def cluster_id_at(host: str, port: int, client_id: str = "wattloop-probe") -> str | None:
    """Ask a broker for its cluster id; an answer means that it serves.

    Parameters
    ----------
    host, port
        Where the broker listens.
    client_id
        Who asks.

    Returns
    -------
    str or None
        The cluster id, None if the broker has none.

    Raises
    ------
    OSError
        If nothing listens there.
    EOFError
        If the connection was closed before the answer was complete.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        no_topics = _INT32.pack(0)
        writer.write(request(METADATA, METADATA_VERSION, 1, client_id, no_topics))
        await writer.drain()
        (size,) = _INT32.unpack(await reader.readexactly(4))
        return _cluster_id(await reader.readexactly(size))
    finally:
        writer.close()


def _cluster_id(answer: bytes) -> str | None:
    place = 4  # after the correlation id
    (brokers,) = _INT32.unpack_from(answer, place)
    place += 4
    for _ in range(brokers):
        place += 4  # node id
        _, place = _string(answer, place)  # host
        place += 4  # port
        _, place = _string(answer, place)  # rack
    cluster_id, _ = _string(answer, place)
    return cluster_id


def _string(data: bytes, place: int) -> tuple[str | None, int]:
    (length,) = _INT16.unpack_from(data, place)
    place += 2
    if length < 0:
        return None, place
    return data[place : place + length].decode(), place + length
