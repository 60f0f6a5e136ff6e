"""
Clients that read slowly, or not at all, on real sockets.
"""

import socket
from contextlib import closing
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.task import Clock

from tests.e2e.net import Client, Server, eventually, pause, reactor, serving
from tests.harness import Response, Responses
from twistream import BufferOverflow, Context, SendTimeout, StreamAborted
from twistream.server.connection.sockets import queued

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Reader:
    """
    A client that reads only when it is told to.
    """

    def __init__(self, server: Server, request: bytes = REQUEST, buffer: int = 0) -> None:
        self.socket = socket.socket()
        if buffer:  # Else the kernel makes it as large as it sees fit.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", server.number))
        self.socket.sendall(request)
        self.socket.setblocking(False)

    def close(self) -> None:
        self.socket.close()

    def read(self, size: int) -> bytes:
        """
        Up to `size` bytes of those that are there; empty if the connection has ended.
        """
        try:
            return self.socket.recv(size)
        except BlockingIOError:
            return b""

    async def read_all(self) -> bytes:
        """
        Everything up to the end.

        Raises:
            ConnectionResetError: The server broke the connection.
        """
        data: list[bytes] = []
        while True:
            try:
                part = self.socket.recv(1 << 20)
            except BlockingIOError:
                await pause(0.001)
                continue
            if not part:
                return b"".join(data)
            data.append(part)


@ensureDeferred
async def test_flush_holds_a_handler_back_while_its_client_reads_nothing() -> None:
    written = 0

    async def handler(ctx: Context) -> None:
        nonlocal written
        for _ in range(400):
            written += ctx.write(b"x" * 500_000)
            await ctx.flush()

    async with serving(handler) as server:
        with closing(Reader(server)) as client:
            await eventually(lambda: written > 1_000_000)
            held = 0
            while held != written:
                held = written
                await pause(0.2)
            # The kernel takes some megabytes, and then nothing moves.
            assert held < 20_000_000
            while written < held + 2_000_000:
                client.read(1 << 20)
                await pause(0.001)


@ensureDeferred
async def test_a_client_that_reads_nothing_is_cut_and_the_handler_told() -> None:
    seen: list[Any] = []

    async def handler(ctx: Context) -> None:
        ctx.on_connection_close(lambda c: seen.append("on_connection_close"))
        try:
            while True:
                ctx.write(b"x" * 100_000)
                await ctx.flush()
        except SendTimeout as err:
            seen.append(err.seconds)

    async with serving(handler, send_timeout=0.4) as server:
        with closing(Reader(server)) as client:
            await eventually(lambda: len(seen) == 2)
            assert seen == [0.4, "on_connection_close"]
            with pytest.raises(ConnectionResetError):
                await client.read_all()


@ensureDeferred
async def test_a_steady_slow_reader_lives() -> None:
    async def handler(ctx: Context) -> None:
        transport: Any = ctx.request.channel.transport
        # So much that it makes no room for Twisted in less than the timeout.
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_000_000)
        while True:
            ctx.write(b"x" * 100_000)
            await ctx.flush()

    clock = Clock()  # A second passes when the client has read, however slow the machine is.
    async with serving(handler, send_timeout=10.0, clock=clock) as server:
        with closing(Reader(server, buffer=100_000)) as client:
            await eventually(lambda: server.contexts)
            for _ in range(50):
                # Far less than the kernel holds: Twisted's own queue stands still.
                client.read(20_000)
                await pause(0.01)
                clock.advance(1)
            assert server.contexts[0].err is None
            for _ in range(20):  # The same client is cut when it stops reading.
                await pause(0.01)
                clock.advance(1)
            assert isinstance(server.contexts[0].err, SendTimeout)


@ensureDeferred
async def test_a_handler_that_never_awaits_is_bounded(log: Any) -> None:
    seen: list[BufferOverflow] = []

    def handler(ctx: Context) -> None:
        try:
            while True:
                ctx.write(b"x" * 50_000)
        except BufferOverflow as err:
            seen.append(err)
            raise

    async with serving(handler, max_buffered=2_000_000) as server:
        with closing(Reader(server)) as client:
            await eventually(lambda: seen)
            assert 2_000_000 < seen[0].buffered < 2_200_000
            # What was sent is let through, and its end is none.
            response = parsed(await client.read_all())
            assert len(response.body) > 2_000_000
            assert not response.complete
    assert log.failures(BufferOverflow) == 1


@pytest.mark.parametrize("ends_with_connection", [False, True])
@ensureDeferred
async def test_what_was_flushed_before_an_abort_is_let_through(ends_with_connection: bool) -> None:
    async def handler(ctx: Context) -> None:
        ctx.write(b"x" * 3_000_000)
        ctx.flush()
        ctx.abort("no more")

    request = REQUEST.replace(b"1.1", b"1.0") if ends_with_connection else REQUEST
    async with serving(handler) as server:
        with closing(Reader(server, request)) as client:
            await eventually(lambda: server.contexts)
            await pause(0.1)
            data = bytearray()
            try:
                while len(data) < 3_000_000:
                    data += client.read(100_000)
                    await pause(0.001)
                data += await client.read_all()
            except ConnectionResetError:
                assert ends_with_connection
            else:
                assert not ends_with_connection
            response = parsed(data)
            assert (response.body, response.complete) == (b"x" * 3_000_000, False)
            assert isinstance(server.contexts[0].err, StreamAborted)


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
@ensureDeferred
async def test_a_response_that_is_complete_but_not_taken_holds_nothing_for_ever(
    close: bytes,
) -> None:
    ended: list[Any] = []

    def handler(ctx: Context) -> bytes:
        ctx.done().addCallback(ended.append)
        return b"x" * 10_000_000

    async with serving(handler, send_timeout=0.4) as server:
        with closing(Reader(server, REQUEST[:-2] + close + b"\r\n")) as client:
            await eventually(lambda: ended)
            assert isinstance(ended[0], SendTimeout)
            with pytest.raises(ConnectionResetError):
                await client.read_all()


async def leaves_a_rest(ctx: Context) -> bytes:
    """
    Sends as much as the kernel takes, and leaves a little with Twisted, that does not
    fill it: so the response ends at once, and waits in a connection that closes.
    """
    transport: Any = ctx.request.channel.transport
    transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    for _ in range(3):  # The kernel may make room once more.
        while not queued(transport):
            ctx.write(b"x" * 10_000)
            ctx.flush()
            await ctx.sleep(0.001)
        await ctx.sleep(0.05)
    return b"end"


@ensureDeferred
async def test_a_closing_connection_that_is_not_read_is_cut() -> None:
    async with serving(leaves_a_rest, send_timeout=0.4) as server:
        request = REQUEST[:-2] + b"Connection: close\r\n\r\n"
        with closing(Reader(server, request, buffer=100_000)) as client:
            (protocol,) = await connections(server)
            await eventually(lambda: server.contexts and server.contexts[0].done().called)
            assert server.contexts[0].err is None
            await eventually(lambda: not protocol._channel.transport.connected)
            with pytest.raises(ConnectionResetError):
                await client.read_all()


@ensureDeferred
async def test_a_closing_connection_that_is_read_slowly_lives() -> None:
    # The time of a connection that closes is the site's, so it is real; a slow machine may pause.
    async with serving(leaves_a_rest, send_timeout=2.0) as server:
        request = REQUEST[:-2] + b"Connection: close\r\n\r\n"
        with closing(Reader(server, request, buffer=100_000)) as client:
            await eventually(lambda: server.contexts and server.contexts[0].done().called)
            data = b""
            until = reactor.seconds() + 4.5
            while reactor.seconds() < until:
                data += client.read(2_000)
                await pause(0.05)
            data += await client.read_all()
            assert data.endswith(b"3\r\nend\r\n0\r\n\r\n")


def parsed(data: bytes | bytearray) -> Response:
    """
    The bytes of one connection as a response.
    """
    responses = Responses()
    responses.expect("GET")
    responses.feed(bytes(data))
    return responses.all[0]


async def connections(server: Server) -> list[Any]:
    """
    The server's protocols, once there is one.
    """
    await eventually(lambda: server.protocols)
    return list(server.protocols)


async def more_than(size: int, client: Client) -> None:
    await client.until(lambda: len(client.data) > size)


@ensureDeferred
async def test_a_writer_that_never_stops_does_not_keep_others_waiting() -> None:
    async def endless_flush(ctx: Context) -> None:
        while True:
            ctx.write("x")
            await ctx.flush()

    def write_one(w: Context) -> None:
        w.write("x")

    def handler(ctx: Context) -> Any:
        match ctx.path:
            case "/flush":
                return endless_flush(ctx)
            case "/loop":
                return ctx.stream_writer(write_one)
            case "/generator":
                return ctx.stream(iter(lambda: "x", None))
        return "fine"

    async with serving(handler) as server:
        greedy = [
            await server.get(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            for path in (b"flush", b"loop", b"generator")
        ]
        for client in greedy:
            await more_than(2000, client)
        for _ in range(5):
            other = await server.get(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            await other.end()
            assert (other.response().body, other.response().complete) == (b"fine", True)
        for client in greedy:
            await more_than(len(client.data) + 2000, client)
