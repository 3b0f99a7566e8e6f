"""The admin port: `/livez`, `/readyz` and `/metrics`."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

log = logging.getLogger(__name__)

Checks = Callable[[], dict[str, bool]]


class Admin:
    """Serves health and metrics.

    Parameters
    ----------
    host, port
        Where; port 0 takes any free one.
    alive, ready
        Named checks; one that is false makes the answer 503 and is named in it.
    """

    def __init__(self, host: str, port: int, alive: Checks, ready: Checks) -> None:
        self._host = host
        self._port = port
        app = web.Application()
        app.router.add_get("/livez", _answer(alive))
        app.router.add_get("/readyz", _answer(ready))
        app.router.add_get("/metrics", _metrics)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> str:
        """Listen; return the address."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        address = f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"
        log.info("admin_listening", extra={"address": address})
        return address

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


def _answer(checks: Checks) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_request: web.Request) -> web.StreamResponse:
        found = checks()
        status = 200 if all(found.values()) else 503
        said = {"status": "ok" if status == 200 else "failing", "checks": found}
        return web.json_response(said, status=status)

    return handler


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
