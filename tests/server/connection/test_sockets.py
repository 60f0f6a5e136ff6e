"""
The number of queued bytes, on real connections.
"""

import socket
from typing import Any, cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from tests.harness import StreamTest, TCPWire
from twistream import Context
from twistream.server.connection.sockets import descriptor, in_kernel, queued


async def idle(ctx: Context) -> None:
    await ctx.sleep(1)


class SocketTests(StreamTest):
    """
    A TCP connection, stepped by hand.
    """

    def setUp(self) -> None:
        wire = self.get(idle, tcp=True).wire
        assert isinstance(wire, TCPWire)
        self.wire, self.transport = wire, wire.transport

    def test_queued_bytes_are_counted_until_they_are_sent(self) -> None:
        self.assertEqual(queued(self.transport), 0)
        self.transport.write(b"x" * 100)
        self.transport.writeSequence([b"y" * 50, b"z"])
        self.assertEqual(queued(self.transport), 151)
        self.wire.poll()
        self.assertEqual(queued(self.transport), 0)

    def test_after_a_partial_send_the_rest_is_counted(self) -> None:
        self.transport.write(b"x" * 3_000_000)
        self.wire.poll()
        left = queued(self.transport)
        self.assertTrue(0 < left < 3_000_000, left)
        while queued(self.transport):
            self.wire.take()
            self.wire.poll()
            self.assertLessEqual(queued(self.transport), left)

    def test_bytes_that_the_client_does_not_read_are_in_the_kernel(self) -> None:
        self.assertEqual(in_kernel(self.transport), 0)
        self.transport.write(b"x" * 3_000_000)
        for _ in range(100):
            self.wire.poll()
        self.assertGreater(in_kernel(self.transport), 0)

    def test_a_closed_socket_holds_nothing(self) -> None:
        closed = FileDescriptor(cast("Any", object()))
        self.assertEqual(in_kernel(closed), 0)
        pipe = socket.socket()
        number = pipe.fileno()
        pipe.close()
        closed.fileno = lambda: number  # type: ignore[method-assign]  # of this one
        self.assertEqual(in_kernel(closed), 0)

    def test_the_socket_below_wrappers_is_found(self) -> None:
        factory: Any = WrappingFactory(Factory.forProtocol(Protocol))
        wrapper: Any = ProtocolWrapper(factory, Protocol())
        wrapper.transport = self.transport
        self.assertIs(descriptor(wrapper), self.transport)
        self.transport.write(b"x")
        self.assertEqual(queued(wrapper), 1)

    def test_other_transports_show_nothing(self) -> None:
        transport = StringTransport()
        transport.write(b"x")
        self.assertIsNone(descriptor(transport))
        self.assertEqual(queued(transport), 0)
