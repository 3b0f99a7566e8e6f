"""The thread that talks to a store keeps nothing of what failed."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from sinks.clickhouse.errors import SinkUnavailable
from streams.history_thread import HistoryThread


class Block:
    """Rows that were to be stored."""


@pytest.fixture
def nobody_collects() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("nobody_collects")
def test_a_block_that_was_refused_is_not_kept_by_the_error_that_says_so() -> None:
    kept: list[weakref.ref[Block]] = []

    def insert(block: Block) -> None:
        kept.append(weakref.ref(block))
        refusal = SinkUnavailable(
            "ClickHouse is unavailable"
        )  # its traceback holds this frame, and this frame holds it
        raise refusal from OSError("connection refused")

    def flush() -> None:
        block = Block()
        insert(block)

    async def refused() -> str:
        thread = HistoryThread()
        try:
            await thread.run(flush)
        except SinkUnavailable as error:
            return f"{error}: {error.__cause__}"
        finally:
            thread.close()
        return ""

    assert asyncio.run(refused()) == "ClickHouse is unavailable: connection refused"
    assert [one() for one in kept] == [None]


def test_calls_are_counted_and_what_they_return_comes_back() -> None:
    async def called() -> tuple[int, int, int]:
        thread = HistoryThread()
        found = await thread.run(lambda: 7)
        thread.close()
        return found, thread.begun, thread.ended

    assert asyncio.run(called()) == (7, 1, 1)
