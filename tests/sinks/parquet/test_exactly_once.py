"""Whatever stops the writer or a compaction, wherever: what counts in the archive equals the input."""

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.clickhouse.errors import Fenced
from sinks.parquet.compact import compact
from sinks.parquet.manifest import Part, PartitionManifest
from sinks.parquet.writer import ArchiveWriter
from tests.sinks.parquet.builders import DAY_MS, NOON, a_reading, held, raw_offsets, readings, site, tick

LOG = "cluster/prefix."


class PowerCutError(BaseException):
    """The process is gone."""


@contextmanager
def power_cut(after: int) -> Iterator[None]:
    """Lose the power at the n-th step that changes the file system: before it, or just behind it."""
    left = [after]

    def guarded(real):
        def call(*arguments, **named):
            left[0] -= 1
            if left[0] == 0:
                raise PowerCutError
            done = real(*arguments, **named)
            left[0] -= 1
            if left[0] == 0:
                raise PowerCutError
            return done

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", guarded(os.link))
        patch.setattr(Path, "replace", guarded(Path.replace))
        patch.setattr(Path, "unlink", guarded(Path.unlink))
        yield


def a_log(chance: random.Random, messages: int):
    """Messages as ingest leaves them that is killed now and then, over days, and the raw offsets in them."""
    log, expected, sent = [], [], []
    raw_offset = 0
    for offset in range(messages):
        kind = chance.random()
        now = NOON + offset * DAY_MS // 4
        if kind < 0.2:
            log.append(tick(offset, now))
        elif kind < 0.3:
            log.append(site(offset, chance.randint(1, 3), arrived_at=now))
        elif kind < 0.45 and sent:
            log.append(readings(offset, *chance.choice(sent), arrived_at=now))
        else:
            batch = []
            for _ in range(chance.randint(1, 4)):
                about = {"ts": now - chance.randint(0, 2 * DAY_MS), "site_id": chance.choice(["mill", "Mill", "../x"])}
                batch.append(a_reading(raw_offset, **about))
                expected.append(raw_offset)
                raw_offset += 1
            sent.append(batch)
            log.append(readings(offset, *batch, arrived_at=now))
    return log, expected


def a_life(root: Path, log, chance: random.Random) -> None:
    """Run a writer until the power fails or the log is archived."""
    writer = ArchiveWriter(root, LOG)
    position = writer.open(0).next_offset
    while position < len(log):
        size = chance.randint(1, 5)
        writer.add(0, log[position : position + size])
        position += size
        if chance.random() < 0.6:
            writer.flush(0)
    writer.flush(0)


@settings(max_examples=25, deadline=None)
@given(chance=st.randoms(use_true_random=False), messages=st.integers(1, 30))
def test_any_crashes_leave_each_reading_in_the_archive_once(chance, messages):
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        log, expected = a_log(chance, messages)

        for _ in range(300):
            try:
                with power_cut(chance.randint(1, 40)):
                    a_life(root, log, chance)
                    compact(PartitionManifest(root, LOG, 0), NOON + 300 * DAY_MS, quiet_ms=0)
                break
            except PowerCutError:
                # At every moment what counts is a beginning of the log, each reading once.
                found = raw_offsets(root)
                assert found == expected[: len(found)]
        else:
            a_life(root, log, chance)

        assert raw_offsets(root) == expected
        ticks = [one.offset for one in log if one.headers["kind"] == b"tick"]
        assert sorted(held(root, Part.TICKS)["topic_offset"].to_list()) == ticks
        revisions = {(one.offset, one.value) for one in log if one.headers["kind"] == b"site"}
        assert {text.encode() for text in held(root, Part.SITES)["record"]} == {value for _, value in revisions}


@settings(max_examples=15, deadline=None)
@given(chance=st.randoms(use_true_random=False), messages=st.integers(1, 20))
def test_writers_that_do_not_know_of_each_other_archive_each_reading_once(chance, messages):
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        log, expected = a_log(chance, messages)
        workers: list[ArchiveWriter | None] = [None, None]
        positions = [0, 0]

        for _ in range(30):
            n = chance.randrange(2)
            writer = workers[n]
            if writer is None:
                workers[n] = writer = ArchiveWriter(root, LOG)
                positions[n] = writer.open(0).next_offset
            batch = log[positions[n] : positions[n] + chance.randint(1, 4)]
            writer.add(0, batch)
            positions[n] += len(batch)
            try:
                if chance.random() < 0.5:
                    writer.flush(0)
            except Fenced:
                workers[n] = None
        last = ArchiveWriter(root, LOG)
        last.add(0, log[last.open(0).next_offset :])
        last.flush(0)

        assert raw_offsets(root) == expected
