"""
The two ways of HTTP/1 bytes to a socket, and that no byte overtakes another.

A real TCP connection, whose server side is stepped by hand instead of by a reactor.
"""

import socket
from collections.abc import Callable
from select import select
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.tcp import Server
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.wire.test_framing import decoded
from twistream import Context, StreamResource


class Steps(Clock):
    """
    A reactor that only remembers who wants to write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.writers: set[Any] = set()

    def addReader(self, reader: object) -> None:
        pass

    def removeReader(self, reader: object) -> None:
        pass

    def addWriter(self, writer: object) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: object) -> None:
        self.writers.discard(writer)


class Wire:
    """
    One request to a handler, over TCP.
    """

    def __init__(self, handler: Callable[[Context], Any], version: bytes = b"1.1") -> None:
        self.reactor = Steps()
        root = Resource()
        root.putChild(b"", StreamResource(handler))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            accepted, address = listener.accept()
        for each in (self.client, accepted):
            each.setblocking(False)
            # So that the kernel holds little, and sends come back incomplete.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        protocol: Any = Site(root, reactor=self.reactor).buildProtocol(None)
        arguments: tuple[Any, ...] = (accepted, protocol, address, None, 0, self.reactor)
        self.transport: Any = Server(*arguments)
        protocol.makeConnection(self.transport)
        self.protocol = protocol
        protocol.dataReceived(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)

    def queued(self) -> int:
        """
        What Twisted holds.
        """
        size: int = len(self.transport.dataBuffer) + self.transport._tempDataLen
        return size

    def write(self) -> None:
        """
        The socket takes some of what is queued, as a poll of the reactor would have it.
        """
        for writer in list(self.reactor.writers):
            failure = writer.doWrite()
            if failure is not None:
                self.reactor.writers.discard(writer)

    def read(self) -> bytes:
        """
        What has arrived.
        """
        data = b""
        try:
            while part := self.client.recv(65536):
                data += part
        except BlockingIOError:
            pass
        return data

    def close(self) -> None:
        self.client.close()
        self.transport.abortConnection()
        self.reactor.advance(0)
        self.reactor.advance(0)


class DirectSendTests(SynchronousTestCase):
    """
    A flush is on the wire when it returns, where nothing can be overtaken.
    """

    def wire(self, handler: Callable[[Context], Any], version: bytes = b"1.1") -> Wire:
        wire = Wire(handler, version)
        self.addCleanup(wire.close)
        return wire

    def test_a_flush_is_at_the_client_before_the_reactor_has_its_turn(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("first")
            await ctx.flush()
            await ctx.sleep(1)
            ctx.write("second")
            await ctx.flush()
            await ctx.sleep(1)

        wire = self.wire(handler)
        self.assertTrue(wire.read().endswith(b"\r\n\r\n5\r\nfirst\r\n"))
        wire.reactor.advance(1)
        self.assertEqual(wire.read(), b"6\r\nsecond\r\n")
        self.assertEqual(wire.reactor.writers, set())

    def test_a_whole_response_is_one_send(self) -> None:
        wire = self.wire(lambda ctx: "all of it")
        wire.reactor.advance(0)
        self.assertTrue(wire.read().endswith(b"\r\n\r\nall of it"))

    def test_later_flushes_of_a_turn_leave_together(self) -> None:
        async def handler(ctx: Context) -> None:
            for word in ("one", "two", "three"):
                ctx.write(word)
                await ctx.flush()
            await ctx.sleep(1)

        wire = self.wire(handler)
        self.assertTrue(wire.read().endswith(b"3\r\none\r\n"))
        wire.reactor.advance(0)
        self.assertEqual(wire.read(), b"3\r\ntwo\r\n5\r\nthree\r\n")
        self.assertEqual(wire.reactor.writers, set())

    def test_what_is_queued_is_not_overtaken(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.request.channel.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            ctx.write("x")
            await ctx.flush()
            await ctx.sleep(1)

        wire = self.wire(handler)
        self.assertEqual(wire.read(), b"")
        wire.write()
        self.assertTrue(wire.read().startswith(b"HTTP/1.1 103 "))

    def test_a_connection_that_breaks_in_the_call_is_reported_by_the_reactor(self) -> None:
        contexts: list[Context] = []

        async def handler(ctx: Context) -> None:
            contexts.append(ctx)
            await ctx.flush()
            await ctx.sleep(1)
            wire.transport.socket.shutdown(socket.SHUT_WR)
            ctx.write("lost")
            await ctx.flush()
            await ctx.sleep(1)

        wire = self.wire(handler)
        wire.reactor.advance(1)
        self.assertIsNone(contexts[0].err)
        # The ordinary way has the bytes, and learns of the loss in the next poll.
        self.assertGreater(wire.queued(), 0)

    @settings(max_examples=100, deadline=None)
    @given(
        steps=st.lists(
            st.one_of(
                st.integers(1, 30_000),  # Write so many bytes and flush them.
                st.sampled_from(["turn", "write", "read"]),
            ),
            max_size=40,
        )
    )
    def test_the_bytes_are_the_same_in_the_same_order_on_both_ways(
        self, steps: list[int | str]
    ) -> None:
        contexts: list[Context] = []

        async def handler(ctx: Context) -> None:
            contexts.append(ctx)
            await ctx.flush()
            await end

        end: Deferred[None] = Deferred()
        wire = Wire(handler)
        ctx, received, expected = contexts[0], [wire.read()], b""
        for number, step in enumerate(steps):
            match step:
                case "turn":
                    wire.reactor.advance(0.001)
                case "write":
                    wire.write()
                case "read":
                    received.append(wire.read())
                case int(size):
                    message = (b"%05d" % number * (size // 5 + 1))[:size]
                    expected += message
                    ctx.write(message)
                    ctx.flush()
        end.callback(None)
        data = b"".join(received)
        while not data.endswith(b"\r\n0\r\n\r\n"):
            wire.write()
            if not select([wire.client], [], [], 5)[0]:
                break
            data += wire.read()
        wire.close()
        body = data.partition(b"\r\n\r\n")[2]
        chunks, rest = decoded(body)
        assert rest == b"\r\n"
        assert b"".join(chunks) == expected
