"""The admin port: `/livez`, `/readyz` and `/metrics`, on a thread and an event loop of its own.

So it answers while the event loop of the pipeline stands still: that is when the answer matters.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.health.progress import Checks

log = logging.getLogger(__name__)

Ask = Callable[[], Checks]
_START_WITHIN_S = 10.0
_STOP_WITHIN_S = 5.0


class Admin:
    """Serves health and metrics.

    Parameters
    ----------
    host, port
        Where; port 0 takes any free one.
    alive, ready
        Named checks; one that is not well makes the answer 503. They are called in the thread of the port.
    metrics
        Returns the metrics in the text format of Prometheus; called there too.
    """

    def __init__(
        self, host: str, port: int, alive: Ask, ready: Ask, metrics: Callable[[], bytes] = generate_latest
    ) -> None:
        self._host = host
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="admin", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        app = web.Application()
        app.router.add_get("/livez", _answer(alive))
        app.router.add_get("/readyz", _answer(ready))
        app.router.add_get("/metrics", _metrics(metrics))
        self._runner = web.AppRunner(app, access_log=None)

    def start(self, *beside: Coroutine[object, object, None]) -> str:
        """Listen; return the address.

        Parameters
        ----------
        beside
            What else runs on the thread of the port until it stops.

        Raises
        ------
        OSError
            If the port is taken.
        """
        self._thread.start()
        address = asyncio.run_coroutine_threadsafe(self._listen(beside), self._loop).result(_START_WITHIN_S)
        log.info("admin_listening", extra={"address": address})
        return address

    def stop(self) -> None:
        """Stop listening."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_STOP_WITHIN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_WITHIN_S)
        self._loop.close()

    async def _listen(self, beside: tuple[Coroutine[object, object, None], ...]) -> str:
        self._tasks = {asyncio.ensure_future(one) for one in beside}
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()


def _answer(ask: Ask) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_request: web.Request) -> web.StreamResponse:
        found = ask()
        status = 200 if all(check.well for check in found.values()) else 503
        checks = {name: {"well": check.well, "reason": check.reason} for name, check in found.items()}
        said = {"status": "ok" if status == 200 else "failing", "checks": checks}
        return web.json_response(said, status=status)

    return handler


def _metrics(read: Callable[[], bytes]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=read(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return handler
