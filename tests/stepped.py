"""
A real TCP connection whose server side is stepped by hand instead of by a reactor.
"""

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.tcp import Server
from twisted.web.resource import Resource
from twisted.web.server import Site

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


class Other(Server):
    """
    A transport that nothing is known of: bytes must not pass its buffer by.
    """


class Wire:
    """
    One request to a handler, over TCP.
    """

    def __init__(
        self,
        handler: Callable[[Context], Any],
        version: bytes = b"1.1",
        kind: type[Server] = Server,
        clock: Clock | None = None,
    ) -> None:
        self.reactor = Steps()
        root = Resource()
        root.putChild(b"", StreamResource(handler, clock=clock))
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
        self.transport: Any = kind(*arguments)
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
