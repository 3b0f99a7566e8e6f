"""Letters as text: a line for a list, a page for one, JSON for programs. Nothing of them reaches a terminal raw."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from streams.dead_letters.letter import Letter

EXCERPT_BYTES = 60
_DUMP_BYTES = 16
# Control characters, and those that turn the direction of text or cannot be seen; a line end stays.
_UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def time_of(ms: int) -> str:
    """Return a moment as ISO 8601 in UTC.

    Examples
    --------
    >>> time_of(1784011500600)
    '2026-07-14T06:45:00.600Z'
    """
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def harmless(text: str) -> str:
    r"""Return text in which what would steer a terminal is written out.

    Examples
    --------
    >>> harmless("red \x1b[31m")
    'red \\x1b[31m'
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def excerpt(value: bytes) -> str:
    r"""Return the first bytes on one line.

    Examples
    --------
    >>> excerpt(b'{"a":\n1}'), excerpt(b"\xff\xfe\x00broken")
    ('{"a":\\n1}', '\\xff\\xfe\\x00broken')
    """
    text = value[:EXCERPT_BYTES].decode("utf-8", "backslashreplace")
    return harmless(text).replace("\n", "\\n") + ("…" if len(value) > EXCERPT_BYTES else "")


def readable(value: bytes) -> str:
    """Return all bytes: as text if they are UTF-8, else as a hex dump."""
    try:
        return harmless(value.decode())
    except UnicodeDecodeError:
        return "\n".join(_dump(value))


def _dump(value: bytes) -> Iterator[str]:
    for begin in range(0, len(value), _DUMP_BYTES):
        part = value[begin : begin + _DUMP_BYTES]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{begin:08x}  {part.hex(' '):<{_DUMP_BYTES * 3}} {letters}"


def as_json(letter: Letter, replayed: str) -> dict[str, object]:
    """Return a letter for programs; bytes as text if they are UTF-8, and always as base64."""
    return {
        "place": str(letter.place),
        "arrived_at": letter.arrived_at,
        "reason": letter.reason,
        "detail": letter.detail,
        "stage": letter.stage,
        "site_id": letter.site,
        "replayed": replayed,
        "source": f"{letter.source_topic}/{letter.source_partition}:{letter.source_offset}:{letter.source_index}",
        "content_type": letter.content_type,
        "key": letter.key_text,
        "value": _utf8(letter.value),
        "value_base64": base64.b64encode(letter.value).decode(),
        "headers": {name: value.decode("utf-8", "backslashreplace") for name, value in letter.headers},
    }


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def table() -> Table:
    """Return the empty table of a list."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("place", "arrived", "reason", "stage", "site", "sent again"):
        made.add_column(name, no_wrap=True)
    made.add_column("first bytes", no_wrap=True, overflow="ellipsis")
    return made


def row(letter: Letter, replayed: str) -> tuple[Text, ...]:
    """Return the line of a letter; as `Text`, so that nothing in it is taken for markup."""
    words = (
        str(letter.place),
        time_of(letter.arrived_at),
        letter.reason,
        letter.stage,
        letter.site or "–",
        replayed or "–",
        excerpt(letter.value),
    )
    return tuple(Text(harmless(word)) for word in words)


def page(letter: Letter, replayed: str) -> Iterator[str]:
    """Yield the lines of everything about a letter, its bytes last."""
    about = {
        "place": str(letter.place),
        "arrived": time_of(letter.arrived_at),
        "reason": letter.reason,
        "detail": letter.detail,
        "stage": letter.stage,
        "read from": f"{letter.source_topic} partition {letter.source_partition} offset {letter.source_offset} "
        f"index {letter.source_index}",
        "sent again": replayed or "no",
        "key": "none" if letter.key is None else excerpt(letter.key),
        "content-type": letter.content_type or "none",
        "size": f"{len(letter.value)} bytes",
    }
    about |= {f"header {name}": excerpt(value) for name, value in letter.headers}
    width = max(map(len, about))
    yield from (harmless(f"{name:<{width}}  {value}").replace("\n", "\\n") for name, value in about.items())
    yield ""
    yield readable(letter.value)
