"""The admin port, asked over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from prometheus_client import CONTENT_TYPE_LATEST, Counter

from streams.web.admin import Admin

LOOPBACK = "127.0.0.1"


def ask(
    path: str,
    alive: Callable[[], dict[str, bool]] = dict,
    ready: Callable[[], dict[str, bool]] = dict,
    host: str = LOOPBACK,
) -> tuple[int, str, str]:
    """Start the port, get a path: status, content type, text."""

    async def asking() -> tuple[int, str, str]:
        admin = Admin(host, 0, alive, ready)
        address = await admin.start()
        try:
            async with aiohttp.ClientSession() as session, session.get(address + path) as answer:
                return answer.status, answer.headers["Content-Type"], await answer.text()
        finally:
            await admin.stop()

    return asyncio.run(asking())


def test_a_worker_whose_checks_hold_is_alive():
    status, _, text = ask("/livez", alive=lambda: {"no_bug": True, "ingest_polls": True})

    assert status == 200
    assert text == '{"status": "ok", "checks": {"no_bug": true, "ingest_polls": true}}'


def test_a_check_that_does_not_hold_is_named():
    status, _, text = ask("/livez", alive=lambda: {"no_bug": True, "ingest_polls": False})

    assert status == 503
    assert text == '{"status": "failing", "checks": {"no_bug": true, "ingest_polls": false}}'


def test_being_ready_is_another_question():
    assert ask("/readyz", alive=lambda: {"a": False}, ready=lambda: {"b": True})[0] == 200
    assert ask("/readyz", alive=lambda: {"a": True}, ready=lambda: {"b": False})[0] == 503


def test_checks_are_asked_each_time():
    answers = iter([{"a": True}, {"a": False}])

    async def asking() -> list[int]:
        admin = Admin(LOOPBACK, 0, lambda: next(answers), dict)
        address = await admin.start()
        async with aiohttp.ClientSession() as session:
            found = [(await session.get(f"{address}/livez")).status for _ in range(2)]
        await admin.stop()
        return found

    assert asyncio.run(asking()) == [200, 503]


def test_metrics_are_in_the_format_prometheus_reads():
    Counter("wattloop_admin_test", "A counter of this test.").inc(3)

    status, content_type, text = ask("/metrics")

    assert (status, content_type) == (200, CONTENT_TYPE_LATEST)
    assert "wattloop_admin_test_total 3.0" in text


@pytest.mark.parametrize("path", ["/", "/livez/", "/admin"])
def test_nothing_else_is_served(path: str):
    assert ask(path)[0] == 404


def test_it_stops_listening():
    async def stopping() -> None:
        admin = Admin(LOOPBACK, 0, dict, dict)
        address = await admin.start()
        await admin.stop()
        async with aiohttp.ClientSession() as session:
            await session.get(address)

    with pytest.raises(aiohttp.ClientConnectorError):
        run(stopping())


def run(doing: Awaitable[None]) -> None:
    async def within_patience() -> None:
        async with asyncio.timeout(30):
            await doing

    asyncio.run(within_patience())
