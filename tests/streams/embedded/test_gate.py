import asyncio
import struct
from contextlib import asynccontextmanager

import pytest

from streams.embedded.broker import LOOPBACK, Address
from streams.embedded.gate import Gate
from streams.embedded.wire import request

PRODUCE, FETCH, METADATA = 0, 1, 3
OWN, FOREIGN = "wattloop-ingest", "press-7"


def a_request(key: int, correlation: int, client_id: str) -> bytes:
    return request(key, 7, correlation, client_id, struct.pack(">hhi", -1, -1, 30_000) + b"." * 50)


class PeerBroker:
    """The other end of the gate: takes frames, and answers them when the test says so."""

    def __init__(self, answers: bool = True) -> None:
        self.answers = answers
        self.seen: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                frame = await reader.readexactly(size)
                key, _, correlation = struct.unpack_from(">hhi", frame)
                self.seen.put_nowait((key, correlation))
                if self.answers:
                    self.answer(writer, correlation)
        except (EOFError, ConnectionError):
            writer.close()

    @staticmethod
    def answer(writer: asyncio.StreamWriter, correlation: int) -> None:
        writer.write(struct.pack(">ii", 4, correlation))


@asynccontextmanager
async def a_peer(answers: bool = True):
    peer = PeerBroker(answers)
    server = await asyncio.start_server(peer.serve, LOOPBACK, 0)
    try:
        yield peer, Address(LOOPBACK, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in peer.writers:
            writer.close()


@asynccontextmanager
async def a_gate():
    gate = Gate()
    await gate.start()
    try:
        yield gate
    finally:
        await gate.stop()


class Caller:
    """A client that sends one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client_id: str) -> None:
        self.reader, self.writer, self.client_id = reader, writer, client_id
        self.correlation = 0

    @classmethod
    async def to(cls, gate: Gate, client_id: str) -> "Caller":
        return cls(*await asyncio.open_connection(gate.address.host, gate.address.port), client_id)

    def send(self, key: int = METADATA) -> int:
        self.correlation += 1
        self.writer.write(a_request(key, self.correlation, self.client_id))
        return self.correlation

    async def answer(self) -> int:
        _, correlation = struct.unpack(">ii", await asyncio.wait_for(self.reader.readexactly(8), 5))
        return correlation

    async def ask(self, key: int = METADATA) -> int:
        self.send(key)
        return await self.answer()


def run(scenario) -> None:
    async def within_patience() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(within_patience())


def test_an_open_gate_passes_requests_and_answers_of_everybody():
    async def scenario():
        async with a_peer() as (_, address), a_gate() as gate:
            gate.open(address)

            for client_id in (OWN, FOREIGN, ""):
                caller = await Caller.to(gate, client_id)
                assert [await caller.ask(), await caller.ask()] == [1, 2]

    run(scenario)


def test_a_closed_gate_passes_our_own_clients_only():
    async def scenario():
        async with a_peer() as (peer, address), a_gate() as gate:
            gate.open(address)
            known, own = await Caller.to(gate, FOREIGN), await Caller.to(gate, OWN)
            await known.ask()
            gate.close()

            newcomer = await Caller.to(gate, FOREIGN)
            newcomer.send(FETCH)
            known.send(PRODUCE)
            for _ in range(5):
                await own.ask()

            seen = [peer.seen.get_nowait()[0] for _ in range(peer.seen.qsize())]
            assert seen == [METADATA] * 6
            gate.open()
            assert [await known.answer(), await newcomer.answer()] == [2, 1]

    run(scenario)


def test_a_gate_attached_for_one_client_lets_all_others_wait_until_own_ones_are_admitted():
    async def scenario():
        async with a_peer() as (peer, address), a_gate() as gate:
            waiting, foreign = await Caller.to(gate, OWN), await Caller.to(gate, FOREIGN)
            waiting.send(METADATA)
            foreign.send(METADATA)
            gate.attach(address, only="wattloop-topics")

            assert await (await Caller.to(gate, "wattloop-topics")).ask(FETCH) == 1
            newcomer = await Caller.to(gate, OWN)
            newcomer.send(METADATA)
            assert await (await Caller.to(gate, "wattloop-topics")).ask(FETCH) == 1

            assert [peer.seen.get_nowait()[0] for _ in range(peer.seen.qsize())] == [FETCH, FETCH]
            gate.admit_own()
            assert [await waiting.answer(), await newcomer.answer()] == [1, 1]
            assert peer.seen.qsize() == 2
            gate.open()
            assert await foreign.answer() == 1

    run(scenario)


def test_the_rest_of_a_request_cut_by_the_closing_waits_for_the_opening():
    async def scenario():
        async with a_peer() as (peer, address), a_gate() as gate:
            gate.open(address)
            caller, own = await Caller.to(gate, FOREIGN), await Caller.to(gate, OWN)
            await caller.ask()
            whole = a_request(PRODUCE, 2, FOREIGN)
            caller.writer.write(whole[:30])
            await own.ask()
            gate.close()
            caller.writer.write(whole[30:])
            await own.ask()

            assert await gate.settled() == 0
            assert peer.seen.qsize() == 3
            gate.open()
            assert await caller.answer() == 2

    run(scenario)


def test_settling_waits_for_the_answer_to_a_produce_request_already_passed_on():
    async def scenario():
        async with a_peer(answers=False) as (peer, address), a_gate() as gate:
            gate.open(address)
            caller = await Caller.to(gate, FOREIGN)
            correlation = caller.send(PRODUCE)
            await peer.seen.get()
            gate.close()

            settling = asyncio.create_task(gate.settled())
            done, _ = await asyncio.wait([settling], timeout=0.05)
            assert not done

            peer.answer(peer.writers[0], correlation)
            assert await settling == 0
            assert await caller.answer() == correlation

    run(scenario)


def test_settling_does_not_wait_for_a_fetch():
    async def scenario():
        async with a_peer(answers=False) as (peer, address), a_gate() as gate:
            gate.open(address)
            (await Caller.to(gate, FOREIGN)).send(FETCH)
            await peer.seen.get()
            gate.close()

            assert await gate.settled() == 0

    run(scenario)


def test_a_client_still_owed_an_answer_after_our_patience_is_dropped_and_can_never_be_acknowledged():
    async def scenario():
        async with a_peer(answers=False) as (peer, address), a_gate() as gate:
            gate.open(address)
            caller = await Caller.to(gate, FOREIGN)
            caller.send(PRODUCE)
            await peer.seen.get()
            gate.close()

            assert await gate.settled(patience_s=0.01) == 1
            with pytest.raises((EOFError, ConnectionError)):
                await caller.answer()

    run(scenario)


def test_attaching_to_another_broker_drops_the_connections_to_the_old_one_and_keeps_those_that_wait():
    async def scenario():
        async with a_peer() as (_, old), a_peer() as (fresh, new), a_gate() as gate:
            gate.open(old)
            known, own = await Caller.to(gate, FOREIGN), await Caller.to(gate, OWN)
            await known.ask()
            await own.ask()
            gate.close()
            newcomer = await Caller.to(gate, FOREIGN)
            newcomer.send()
            gate.attach(new)

            for dropped in (known, own):
                with pytest.raises((EOFError, ConnectionError)):
                    await dropped.ask()
            assert await (await Caller.to(gate, OWN)).ask() == 1
            assert fresh.seen.qsize() == 1
            gate.open()
            assert await newcomer.answer() == 1

    run(scenario)


def test_a_client_is_dropped_when_the_broker_is_not_there_or_goes_away():
    async def scenario():
        async with a_gate() as gate:
            async with a_peer() as (peer, address):
                gate.open(address)
                caller = await Caller.to(gate, FOREIGN)
                await caller.ask()
                peer.writers[0].close()
                with pytest.raises((EOFError, ConnectionError)):
                    await caller.answer()

            late = await Caller.to(gate, FOREIGN)
            with pytest.raises((EOFError, ConnectionError)):
                await late.ask()

    run(scenario)


def test_what_is_no_kafka_client_is_shown_out():
    async def scenario():
        async with a_peer() as (peer, address), a_gate() as gate:
            gate.open(address)
            reader, writer = await asyncio.open_connection(gate.address.host, gate.address.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

            with pytest.raises((EOFError, ConnectionError)):
                await reader.readexactly(1)
            assert peer.seen.empty()

    run(scenario)


def test_a_broker_that_does_not_read_makes_the_client_wait_instead_of_filling_our_memory():
    async def scenario():
        taken = 0
        stalled = asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stalled.wait()
            writer.close()

        server = await asyncio.start_server(deaf, LOOPBACK, 0, limit=1_024)
        async with server, a_gate() as gate:
            gate.open(Address(LOOPBACK, server.sockets[0].getsockname()[1]))
            caller = await Caller.to(gate, OWN)
            caller.send()
            chunk = b"\x00" * 1_000_000
            try:
                async with asyncio.timeout(1):
                    while taken < 500_000_000:
                        caller.writer.write(chunk)
                        await caller.writer.drain()
                        taken += len(chunk)
            except TimeoutError:
                pass
            finally:
                stalled.set()
                caller.writer.transport.abort()
        # What was taken fits the socket buffers of two connections: the gate holds none of it.
        assert taken < 50_000_000

    run(scenario)
