"""When blocks are closed: how many a second of rows makes, and how long a row waits."""

from collections.abc import Iterable

import pytest

from streams.block_size import ACCOUNTING_BLOCKS, HISTORY_BLOCKS, BlockSize

LOOKS_S = 0.2  # how often storing looks


def closed_at(size: BlockSize, arrivals: Iterable[tuple[float, int]], until_s: float) -> list[tuple[float, int]]:
    """Return when blocks are closed, and with how many rows; arrivals are times and numbers of rows."""
    waiting = sorted(arrivals)
    found: list[tuple[float, int]] = []
    rows, since, newest = 0, 0.0, 0.0
    for look in range(int(until_s / LOOKS_S) + 1):
        now = look * LOOKS_S
        while waiting and waiting[0][0] <= now:
            _, some = waiting.pop(0)
            since = now if rows == 0 else since
            rows, newest = rows + some, now
        if rows and size.is_due(rows=rows, waits_s=now - since, quiet_s=now - newest):
            found.append((round(now, 1), rows))
            rows = 0
    return found


def test_rows_of_every_tick_are_stored_five_seconds_at_a_time() -> None:
    every_second = [(float(second), 40) for second in range(60)]

    blocks = closed_at(HISTORY_BLOCKS, every_second, 59)

    assert len(blocks) <= 12
    assert max(rows for _, rows in blocks) == 240


def test_a_burst_is_stored_when_it_is_over() -> None:
    assert closed_at(HISTORY_BLOCKS, [(10.0, 500), (10.4, 500)], 60) == [(12.0, 1000)]


def test_a_backlog_is_stored_by_its_rows() -> None:
    fast = [(number / 10, 5_000) for number in range(50)]

    assert [rows for _, rows in closed_at(HISTORY_BLOCKS, fast, 4.9)] == [pytest.approx(100_000, abs=10_000)] * 2


def test_accounting_waits_although_nothing_comes() -> None:
    assert closed_at(ACCOUNTING_BLOCKS, [(1.0, 3)], 60) == [(11.0, 3)]
