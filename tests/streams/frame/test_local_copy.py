"""What is on disk is a beginning of the changelog, whatever is acknowledged, lost or written by somebody else."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.app import build_app
from streams.frame.local_copy import LocalCopy
from streams.settings import Settings

PLACE = TP("wattloop-metering-changelog", 0)


def a_copy(directory: Path) -> LocalCopy:
    """Open the copy of one partition, as a worker does that starts."""
    app = build_app(Settings(data_dir=directory), "kafka://127.0.0.1:1", directory / "state")
    copy = app.Table("metering", partitions=1, key_type=bytes, value_type=bytes).data
    copy.persisted_offset(PLACE)
    return copy


def on_disk(copy: LocalCopy) -> tuple[int, dict[bytes, bytes]]:
    end = copy.persisted_offset(PLACE)
    entries = dict(copy._visible_items(copy._dbs[0]))
    return -1 if end is None else end, entries


def as_read(offset: int, record: tuple[bytes, bytes]) -> SimpleNamespace:
    key, value = record
    return SimpleNamespace(message=SimpleNamespace(tp=PLACE, partition=0, offset=offset, key=key, value=value))


@dataclass
class World:
    """A changelog, a worker with a copy of it, and another worker that writes to the same changelog."""

    directory: Path
    log: list[tuple[bytes, bytes]] = field(default_factory=list)
    unacknowledged: list[int] = field(default_factory=list)
    written: int = 0
    copy: LocalCopy = field(init=False)

    def __post_init__(self) -> None:
        self.copy = a_copy(self.directory)

    def happen(self, what: str, key: bytes) -> None:
        self.written += 1
        record = key, str(self.written).encode()
        match what:
            case "write":
                self.copy[record[0]] = record[1]
                self.unacknowledged.append(len(self.log))
                self.log.append(record)
            case "write, never sent":
                self.copy[record[0]] = record[1]
                self.restart()
            case "acknowledge" if self.unacknowledged:
                offset = self.unacknowledged.pop(0)
                self.copy.acknowledged(0, offset, *self.log[offset])
            case "another writes":
                self.log.append(record)
            case "restart":
                self.restart()
            case "read the rest":
                end, _ = on_disk(self.copy)
                rest = [as_read(offset, one) for offset, one in enumerate(self.log) if offset > end]
                self.copy.apply_changelog_batch(rest, bytes, bytes)

    def restart(self) -> None:
        self.copy._dbs.clear()
        self.unacknowledged.clear()
        self.copy = a_copy(self.directory)


WHATS = [
    "write",
    "write",
    "write, never sent",
    "acknowledge",
    "acknowledge",
    "another writes",
    "restart",
    "read the rest",
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WHATS), st.sampled_from([b"a", b"b", b"c"])), max_size=30))
def test_the_disk_always_holds_a_beginning_of_the_changelog(story: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory))
        for what, key in story:
            world.happen(what, key)
            end, entries = on_disk(world.copy)
            assert entries == dict(world.log[: end + 1])
        world.restart()
        world.happen("read the rest", b"")
        assert on_disk(world.copy) == (len(world.log) - 1, dict(world.log))
        world.copy._dbs.clear()


def test_acknowledged_records_are_on_disk_after_a_restart_without_reading_the_changelog(tmp_path: Path) -> None:
    world = World(tmp_path)
    for what in ("write", "write", "acknowledge", "acknowledge", "restart"):
        world.happen(what, b"a")

    assert on_disk(world.copy) == (1, {b"a": b"2"})


def test_a_copy_whose_partition_was_revoked_takes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.happen("write", b"a")
    world.copy._dbs.clear()
    world.happen("acknowledge", b"")
    world.restart()

    assert on_disk(world.copy) == (-1, {})
