"""The event loop of long-running commands: uvloop where there is one (it is not on Windows)."""

import asyncio
import gc
import sys
from collections.abc import Coroutine

if sys.platform == "win32":
    _new_loop = asyncio.new_event_loop
else:
    import uvloop

    _new_loop = uvloop.new_event_loop


# A poll makes hundreds of thousands of small objects that hold no cycles. Looking through them each time 700 more are
# there (Python's default) took half of the time of reading JSON messages.
_YOUNG_OBJECTS = 200_000


def run_loop(main: Coroutine[object, object, int]) -> int:
    """Run a command to its end; return its exit code."""
    gc.freeze()  # modules and what was made of the reference data stay for ever
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)
