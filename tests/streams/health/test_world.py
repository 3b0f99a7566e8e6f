"""Whether broker and history store answer, asked over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from streams.health.world import World, broker_answers

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def a_server(serve: Serve) -> AsyncIterator[tuple[str, int]]:
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[:2]


async def versions(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
    assert asked[:4] == b"\x00\x12\x00\x00"  # ApiVersions, version 0
    assert b"wattloop-health" in asked
    writer.write(b"\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    await writer.drain()
    writer.close()


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


def test_a_broker_answers_the_question_every_broker_answers() -> None:
    async def ask() -> bool:
        async with a_server(versions) as (host, port):
            return await broker_answers(host, port)

    assert asyncio.run(ask())


@pytest.mark.parametrize("serve", [hang_up, speak_http], ids=["hangs up", "speaks http"])
def test_who_does_not_speak_kafka_is_no_broker(serve: Serve) -> None:
    async def ask() -> bool:
        async with a_server(serve) as (host, port):
            with suppress(EOFError, OSError):
                return await broker_answers(host, port)
            return False

    assert not asyncio.run(ask())


def test_one_broker_of_several_is_enough_and_an_absent_history_is_noticed() -> None:
    now = 0.0

    async def watching() -> World:
        nonlocal now
        with socket.create_server(("127.0.0.1", 0)) as silent:
            gone = silent.getsockname()[1]
        async with a_server(versions) as (host, port):
            world = World([f"127.0.0.1:{gone}", f"{host}:{port}"], f"http://127.0.0.1:{gone}/energy", lambda: now)
            now = 20.0
            await one_round(world)
            return world

    world = asyncio.run(watching())
    assert world.broker.away_s(20.0) == 0
    assert world.history.away_s(20.0) == 20.0
    assert world.history.excuse(20.0) == "the history store has not answered for 20 s"


@pytest.mark.parametrize(("status", "away"), [(200, False), (404, False), (503, True)])
def test_whatever_answers_is_there_unless_it_is_a_proxy_without_anything_behind(status: int, away: bool) -> None:
    now = 0.0

    async def watching() -> World:
        nonlocal now

        async def ping(_request: web.Request) -> web.Response:
            return web.Response(status=status)

        app = web.Application()
        app.router.add_get("/ping", ping)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        world = World([], f"http://127.0.0.1:{runner.addresses[0][1]}/energy", lambda: now)
        now = 20.0
        await one_round(world)
        await runner.cleanup()
        return world

    assert (asyncio.run(watching()).history.away_s(20.0) > 0) == away


def test_an_embedded_history_is_always_there() -> None:
    world = World([], "chdb:///nowhere", lambda: 50.0)
    asyncio.run(one_round(world))

    assert world.history.away_s(90.0) == 0


async def one_round(world: World) -> None:
    """Ask everything once; the second question would come seconds later."""
    with suppress(TimeoutError):
        await asyncio.wait_for(world.watch(), 1.0)
