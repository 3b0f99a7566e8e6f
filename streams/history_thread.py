"""The one thread that talks to a store."""

import asyncio
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class HistoryThread:
    """The one thread that talks to a store: the embedded engine blocks and wants a single caller."""

    def __init__(self, name: str = "history") -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self.begun = 0  # calls that were asked for
        self.ended = 0  # and those that have returned

    async def run(self, call: Callable[[], Result]) -> Result:
        """Run a call in the thread."""
        self.begun += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: _forgetting(call))
        finally:
            self.ended += 1

    def close(self) -> None:
        """End the thread when what it does is done."""
        self._pool.shutdown(wait=True)


def _forgetting(call: Callable[[], Result]) -> Result:
    """Call, and let an error keep where it was raised but not what was being stored.

    A traceback holds the variables of its frames, errors and frames hold each other, and the garbage collector comes
    seldom: a store that refused a block each second for ten minutes left 12 GB behind.
    """
    try:
        return call()
    except BaseException as error:
        seen: set[int] = set()
        waiting: list[BaseException | None] = [error]
        while waiting:
            one = waiting.pop()
            if one is not None and id(one) not in seen:
                seen.add(id(one))
                traceback.clear_frames(one.__traceback__)
                waiting += [one.__cause__, one.__context__]
        raise
