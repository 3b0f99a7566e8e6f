"""What a gateway keeps on disk: its book, and the acknowledgements that are not sent yet, in one small file.

The file is replaced as a whole, and is on the disk before the plant is touched. So a gateway that was killed at any
moment knows what it may have written.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.ack import Ack
from streams.hvac_gateway.book import Kept

_FILE = "state.json"
_LOCK = "in-use"


class JournalError(Exception):
    """The directory cannot be used; nothing was changed in it."""


class Record(BaseModel):
    """The content of the file.

    Parameters
    ----------
    book
        The book; None before the first start.
    unsent
        Acknowledgements the broker has not taken yet, oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    book: Kept | None = None
    unsent: tuple[Ack, ...] = ()


class Journal:
    """The directory of one gateway; no other process has it.

    Parameters
    ----------
    directory
        Where; it is made if it is missing.

    Raises
    ------
    JournalError
        If another gateway has it, or it cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._text = ""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(f"cannot keep anything in {directory}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise JournalError(f"another gateway has {directory} open; give each a data_dir of its own") from error

    def __enter__(self) -> Self:
        """Use the directory."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it to others."""
        os.close(self._lock)

    def load(self) -> Record:
        """Return what was kept.

        Raises
        ------
        JournalError
            If the file makes no sense: nobody knows then what is in the plant.
        """
        path = self._directory / _FILE
        try:
            text = path.read_text(encoding="utf-8")
            record = Record.model_validate_json(text)
        except FileNotFoundError:
            return Record()
        except (OSError, ValidationError, ValueError) as error:
            why = f"{error.error_count()} errors" if isinstance(error, ValidationError) else str(error)
            advice = "look at the plant, empty what was written there, and move the file away"
            raise JournalError(f"{path} cannot be read ({why}): {advice}") from error
        self._text = text
        return record

    def save(self, book: Kept, unsent: Iterable[Ack]) -> None:
        """Keep this, if it differs from what is kept.

        Raises
        ------
        JournalError
            If the disk does not take it: then the plant must not be touched.
        """
        text = Record(book=book, unsent=tuple(unsent)).model_dump_json()
        if text == self._text:
            return
        part = self._directory / f"{_FILE}.part"
        try:
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._directory / _FILE)
            folder = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise JournalError(f"cannot keep anything in {self._directory}: {error.strerror}") from error
        self._text = text
