"""The admin port, asked over HTTP."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection

import aiohttp
import pytest
from prometheus_client import CONTENT_TYPE_LATEST, Counter

from streams.health.progress import Check
from streams.web.admin import Admin

LOOPBACK = "127.0.0.1"
WELL, ILL = Check(True, "it is"), Check(False, "it is not")


def ask(
    path: str,
    alive: Callable[[], dict[str, Check]] = dict,
    ready: Callable[[], dict[str, Check]] = dict,
    host: str = LOOPBACK,
) -> tuple[int, str, str]:
    """Start the port, get a path: status, content type, text."""

    async def asking() -> tuple[int, str, str]:
        admin = Admin(host, 0, alive, ready)
        address = admin.start()
        try:
            async with aiohttp.ClientSession() as session, session.get(address + path) as answer:
                return answer.status, answer.headers["Content-Type"], await answer.text()
        finally:
            admin.stop()

    return asyncio.run(asking())


def test_a_worker_whose_checks_hold_is_alive():
    status, _, text = ask("/livez", alive=lambda: {"event_loop": Check(True, "it ran 1 s ago")})

    assert status == 200
    assert text == '{"status": "ok", "checks": {"event_loop": {"well": true, "reason": "it ran 1 s ago"}}}'


def test_a_check_that_does_not_hold_is_named_with_its_reason():
    checks = {"event_loop": WELL, "ingest": Check(False, "7 records wait, and nothing was taken for 47 s")}

    status, _, text = ask("/livez", alive=lambda: checks)

    assert status == 503
    said = json.loads(text)
    assert said["status"] == "failing"
    assert said["checks"]["ingest"] == {"well": False, "reason": "7 records wait, and nothing was taken for 47 s"}


def test_being_ready_is_another_question():
    assert ask("/readyz", alive=lambda: {"a": ILL}, ready=lambda: {"b": WELL})[0] == 200
    assert ask("/readyz", alive=lambda: {"a": WELL}, ready=lambda: {"b": ILL})[0] == 503


def test_checks_are_asked_each_time():
    answers = iter([{"a": WELL}, {"a": ILL}])

    async def asking() -> list[int]:
        admin = Admin(LOOPBACK, 0, lambda: next(answers), dict)
        address = admin.start()
        async with aiohttp.ClientSession() as session:
            found = [(await session.get(f"{address}/livez")).status for _ in range(2)]
        admin.stop()
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
        address = admin.start()
        admin.stop()
        async with aiohttp.ClientSession() as session:
            await session.get(address)

    with pytest.raises(aiohttp.ClientConnectorError):
        run(stopping())


def run(doing: Awaitable[None]) -> None:
    async def within_patience() -> None:
        async with asyncio.timeout(30):
            await doing

    asyncio.run(within_patience())


def get(address: str, path: str) -> int:
    """Ask and wait, without an event loop."""
    connection = HTTPConnection(address.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_answers_while_the_event_loop_of_the_pipeline_stands_still():
    async def standing_still() -> int:
        admin = Admin(LOOPBACK, 0, dict, dict)
        address = admin.start()
        status = get(address, "/livez")
        admin.stop()
        return status

    assert asyncio.run(standing_still()) == 200


def test_metrics_are_made_when_they_are_read():
    asked: list[str] = []

    def metrics() -> bytes:
        asked.append("now")
        return b"rows_total 1.0\n"

    admin = Admin(LOOPBACK, 0, dict, dict, metrics)
    assert get(admin.start(), "/metrics") == 200
    admin.stop()

    assert asked == ["now"]


def test_a_port_that_is_taken_is_said_at_once():
    with socket.create_server((LOOPBACK, 0)) as taken, pytest.raises(OSError, match="address already in use"):
        Admin(LOOPBACK, taken.getsockname()[1], dict, dict).start()
