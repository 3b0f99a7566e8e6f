"""The event loop of long-running commands: uvloop where there is one (it is not on Windows)."""

import asyncio
import sys
from collections.abc import Coroutine

if sys.platform == "win32":
    _new_loop = asyncio.new_event_loop
else:
    import uvloop

    _new_loop = uvloop.new_event_loop


def run_loop(main: Coroutine[object, object, int]) -> int:
    """Run a command to its end; return its exit code."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)
