"""Files that are there whole or not at all, also after the power failed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sinks.clickhouse.errors import Fenced, SinkUnavailable

TEMPORARY = ".part"


@contextmanager
def unavailable_disk(doing: str) -> Iterator[None]:
    """Raise `SinkUnavailable` when the file system cannot do it now: full, away, or not ours to write."""
    try:
        yield
    except OSError as error:
        raise SinkUnavailable(
            f"{doing}: {error.strerror or error} ({errno.errorcode.get(error.errno or 0)})"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name never shows a part of it; a file of that name is replaced.

    Raises
    ------
    OSError
        When the file system refuses; the file is then as it was.
    """
    part = _written_beside(path, content)
    part.replace(path)
    flush_directory(path.parent)


def create_whole(path: Path, content: bytes) -> None:
    """Write a file that must not be there yet: of two writers one succeeds.

    Raises
    ------
    Fenced
        When it is there already with other content.
    OSError
        When the file system refuses.
    """
    part = _written_beside(path, content)
    try:
        os.link(part, path)
    except FileExistsError as error:
        if path.read_bytes() != content:
            raise Fenced(f"{path} was written by another process") from error
    finally:
        part.unlink(missing_ok=True)
    flush_directory(path.parent)


def flush_directory(path: Path) -> None:
    """Make the names in a directory last through a loss of power."""
    with suppress(PermissionError):  # some systems do not open directories
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _written_beside(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return part
