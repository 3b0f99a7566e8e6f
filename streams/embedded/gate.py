"""The gate in front of the embedded broker: every client passes it, and it can be closed.

The broker advertises the address of the gate. While the gate is closed, the clients of others (the *foreign*
ones) wait: none of their requests reaches the broker, so nothing of theirs can be acknowledged while the
worker drains and the broker is restarted. Wattloop's own clients, known by their client id, always pass.

The order of a restart::

    gate.close()              foreign requests stop here
    await gate.settled()      those already passed on are answered
    ...                       own producers pause, the worker drains and checkpoints, the broker is restarted
    gate.attach(address, only=client)
                              one client reaches the new broker and creates the topics: a broker makes a topic, with a
                              number of partitions of its own choice, for whoever asks for one that is not there
    gate.admit_own()          own clients go on; foreign ones still wait
    gate.open()               foreign clients go on, and send again whatever was not acknowledged

It is no line of defence: it listens on loopback, and any client may call itself ours.
"""

import asyncio
from typing import cast

from streams.embedded.broker import LOOPBACK, Address
from streams.embedded.pending import PendingProduces
from streams.embedded.wire import WireError, client_id_of

OWN_PREFIX = "wattloop-"


class Gate:
    """A loopback TCP proxy that knows whose connection is whose.

    Parameters
    ----------
    port
        Port it listens on; 0 takes a free one and keeps it.
    own_prefix
        How the client ids of our own clients begin.
    """

    def __init__(self, port: int = 0, own_prefix: str = OWN_PREFIX) -> None:
        self.own_prefix = own_prefix
        self._port = port
        self._server: asyncio.Server | None = None
        self._upstream: Address | None = None
        self._opened = False
        self._only: str | None = None
        self._connections: set[_Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._progress = asyncio.Event()

    @property
    def address(self) -> Address:
        """The address clients use; the same for as long as the gate lives."""
        if self._server is None:
            raise RuntimeError("the gate has not been started")
        return Address(LOOPBACK, self._port)

    @property
    def is_open(self) -> bool:
        """Whether foreign clients pass."""
        return self._opened

    @property
    def foreign_connections(self) -> int:
        """How many connections of others there are, waiting ones included."""
        return sum(1 for client in self._connections if client.own is False)

    async def start(self) -> Address:
        """Listen, closed and attached to nothing.

        Raises
        ------
        OSError
            If the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), LOOPBACK, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self.address

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for client in list(self._connections):
            client.drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def attach(self, upstream: Address, only: str | None = None) -> None:
        """Forward to another broker from now on; connections to the one before are dropped.

        Their clients connect again, and send again what was not acknowledged.

        Parameters
        ----------
        upstream
            The broker.
        only
            The id of the one client that reaches it until `admit_own` or `open`; None admits all own ones at once.
        """
        self._upstream = upstream
        self._only = only
        for client in list(self._connections):
            if client.reached_broker:
                client.drop()
        self._admit_waiting()

    def admit_own(self) -> None:
        """Let all own clients pass."""
        self._only = None
        self._admit_waiting()

    def open(self, upstream: Address | None = None) -> None:
        """Let foreign clients pass, after attaching to `upstream` when it is given."""
        if upstream is not None:
            self.attach(upstream)
        self._only = None
        self._opened = True
        for client in list(self._connections):
            client.release(closed=True)
        self._admit_waiting()

    def close(self) -> None:
        """Stop forwarding what foreign clients send; answers to earlier requests still pass."""
        self._opened = False
        for client in self._connections:
            if client.own is False:
                client.hold(closed=True)

    async def settled(self, patience_s: float = 5.0) -> int:
        """Wait until every produce request passed on before `close` has been answered.

        Parameters
        ----------
        patience_s
            How long answers may take. A connection still owed one then is dropped: its client has seen no
            acknowledgement, and will send again. [s]

        Returns
        -------
        int
            How many connections were dropped.
        """
        try:
            async with asyncio.timeout(patience_s):
                while any(client.owed for client in self._connections):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            pass
        late = [client for client in self._connections if client.owed]
        for client in late:
            client.drop()
        return len(late)

    def admits(self, own: bool, client_id: str) -> bool:
        """Whether such a client may reach the broker now."""
        if self._upstream is None:
            return False
        return client_id == self._only if self._only is not None else own or self._opened

    def joined(self, client: "_Client") -> None:
        """Note a connection."""
        self._connections.add(client)

    def left(self, client: "_Client") -> None:
        """Forget a connection."""
        self._connections.discard(client)
        self._progress.set()

    def progressed(self) -> None:
        """Note that answers came."""
        self._progress.set()

    def connect(self, client: "_Client") -> None:
        """Start to connect a client to the broker."""
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, client: "_Client") -> None:
        upstream = self._upstream
        if upstream is None:
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Broker(client), upstream.host, upstream.port)
        except OSError:
            client.drop()

    def _admit_waiting(self) -> None:
        for client in list(self._connections):
            client.try_to_enter()


class _Client(asyncio.Protocol):
    """The side of a connection that faces the client."""

    def __init__(self, gate: Gate) -> None:
        self.own: bool | None = None  # not known before the first request header
        self._client_id = ""
        self.reached_broker = False
        self._gate = gate
        self._transport: asyncio.Transport | None = None
        self._broker: asyncio.Transport | None = None
        self._pending: PendingProduces | None = None
        self._kept = bytearray()
        self._holds = 0
        self._closed = False
        self._congested = False

    @property
    def owed(self) -> bool:
        """Whether a produce request waits for its answer."""
        return self._pending is not None and len(self._pending) > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection; nothing is forwarded before its owner is known."""
        self._transport = cast(asyncio.Transport, transport)
        self._gate.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side too."""
        self._gate.left(self)
        if self._broker is not None:
            self._broker.close()

    def data_received(self, data: bytes) -> None:
        """Forward, or keep what may not pass yet."""
        if self._broker is None or self._closed:
            self._kept += data
            if self.own is None:
                self._introduce()
            return
        self._forward(data)

    def pause_writing(self) -> None:
        """Stop reading answers that this client does not take."""
        if self._broker is not None:
            self._broker.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading answers."""
        if self._broker is not None and not self._broker.is_closing():
            self._broker.resume_reading()

    def attached(self, broker: asyncio.Transport) -> None:
        """Go on to the broker, which has just been reached."""
        if self._transport is None or self._transport.is_closing() or self._closed:
            # Closed while connecting: nothing has been sent, the client waits for the next opening.
            broker.abort()
            self.reached_broker = False
            return
        self._broker = broker
        self._flush()
        self._resume()

    def answer(self, data: bytes) -> None:
        """Pass an answer back."""
        if self._pending is not None:
            try:
                self._pending.answered(data)
            except WireError:
                self.drop()
                return
        if self._transport is not None:
            self._transport.write(data)
        if self._pending is not None and not self._pending:
            self._gate.progressed()

    def try_to_enter(self) -> None:
        """Connect to the broker if this client may, and has not yet."""
        if self.own is None or self.reached_broker or not self._gate.admits(self.own, self._client_id):
            return
        self.reached_broker = True
        self._gate.connect(self)

    def hold(self, *, closed: bool = False, congested: bool = False) -> None:
        """Stop reading from the client, for one reason or the other."""
        self._closed = self._closed or closed
        self._congested = self._congested or congested
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def release(self, *, closed: bool = False, congested: bool = False) -> None:
        """Take one reason away and go on when none is left."""
        self._closed = self._closed and not closed
        self._congested = self._congested and not congested
        if not self._closed and self._broker is not None:
            self._flush()
        self._resume()

    def drop(self) -> None:
        """Cut the connection on both sides at once."""
        if self._broker is not None:
            self._broker.abort()
        if self._transport is not None:
            self._transport.abort()

    def broker_left(self) -> None:
        """Follow the broker out, once what it sent has been passed on."""
        if self._broker is not None and self._transport is not None:
            self._transport.close()

    def _introduce(self) -> None:
        try:
            client_id = client_id_of(self._kept)
        except WireError:
            self.drop()
            return
        if client_id is None:
            return
        self._client_id = client_id
        self.own = client_id.startswith(self._gate.own_prefix)
        if not self.own:
            self._pending = PendingProduces()
        self.hold(closed=not self.own and not self._gate.is_open)
        self.try_to_enter()

    def _flush(self) -> None:
        if self._kept:
            kept, self._kept = bytes(self._kept), bytearray()
            self._forward(kept)

    def _forward(self, data: bytes) -> None:
        if self._pending is not None:
            try:
                self._pending.sent(data)
            except WireError:
                self.drop()
                return
        if self._broker is not None:
            self._broker.write(data)

    def _resume(self) -> None:
        waiting = self._closed or self._congested or (self.own is not None and self._broker is None)
        if not waiting and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


class _Broker(asyncio.Protocol):
    """The side of a connection that faces the broker."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the way to the broker to the client."""
        self._client.attached(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        """Pass an answer back."""
        self._client.answer(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the side of the client too."""
        self._client.broker_left()

    def pause_writing(self) -> None:
        """Stop reading requests that the broker does not take."""
        self._client.hold(congested=True)

    def resume_writing(self) -> None:
        """Go on reading requests."""
        self._client.release(congested=True)
