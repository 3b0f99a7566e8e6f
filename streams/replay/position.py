"""Where a replay is, kept in a file, so that it goes on there after it was stopped in whatever way."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sinks.parquet.files import write_whole
from streams.replay.outputs import Written


@dataclass(frozen=True, slots=True)
class Position:
    """How far a replay came.

    Parameters
    ----------
    run
        Name of the replay.
    partition
        Partition it is in; those before are done.
    log, next_offset
        Where it goes on in it.
    number
        Number of the next chunk.
    read
        Readings taken so far.
    written
        Rows written so far.
    states
        State of each agent, by site.
    """

    run: str
    partition: int
    log: int
    next_offset: int
    number: int
    read: int
    written: Written
    states: Sequence[Mapping[str, bytes]]


def position_path(data_dir: Path, *about: object) -> Path:
    """Return the file of a replay: replays of other things have other files."""
    digest = hashlib.blake2b(json.dumps([str(one) for one in about]).encode(), digest_size=8).hexdigest()
    return data_dir.absolute() / "replay" / f"{digest}.json"


def save(path: Path, position: Position) -> None:
    """Keep a position."""
    states = [{site: base64.b64encode(one).decode() for site, one in state.items()} for state in position.states]
    write_whole(path, json.dumps({**asdict(position), "states": states}).encode())


def load(path: Path) -> Position | None:
    """Return a kept position, None when there is none."""
    with suppress(FileNotFoundError):
        found = json.loads(path.read_bytes())
        states = [{site: base64.b64decode(one) for site, one in state.items()} for state in found["states"]]
        return Position(**{**found, "states": states, "written": Written(**found["written"])})
    return None
