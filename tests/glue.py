"""
A server without sockets, for tests that step it by hand.

One connection to a real `Site`, over a transport of strings and a clock that stands
still. Nothing here waits for a reactor.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from zope.interface import implementer

from twistream import Context, StreamResource
from twistream.server.response.response import Response


class Transport(StringTransport):
    """
    Remembers how it was closed.
    """

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()


class Connection:
    """
    One client's connection to a site that serves one resource at every path.
    """

    def __init__(self, resource: IResource, clock: Clock | None = None) -> None:
        root = resource
        if getattr(resource, "isLeaf", False):
            root = Resource()
            root.getChild = lambda path, request: resource  # type: ignore[method-assign]  # of this one
        self.clock = clock or Clock()
        self.site = Site(root, reactor=self.clock)
        self.transport = Transport()
        self.protocol: Any = self.site.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        self.gone = False

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def request(
        self, method: bytes = b"GET", version: bytes = b"HTTP/1.1", headers: bytes = b""
    ) -> "Connection":
        self.send(b"%s /x %s\r\nHost: a\r\n%s\r\n" % (method, version, headers))
        return self

    def received(self) -> bytes:
        """
        All that the server sent since this was asked last.
        """
        self.clock.advance(0)
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def body(self) -> bytes:
        """
        As `received`, without a head and without the framing of chunks.
        """
        data = self.received()
        head, separator, body = data.partition(b"\r\n\r\n")
        if not separator:
            head, body = b"", data
        if not head.startswith(b"HTTP/"):
            head, body = b"Transfer-Encoding: chunked", data
        return b"".join(chunks(body)) if b"Transfer-Encoding: chunked" in head else body

    def pause(self) -> None:
        """
        The client reads nothing, and the server's buffer is full.
        """
        self.protocol._channel.pauseProducing()

    def resume(self) -> None:
        self.protocol._channel.resumeProducing()

    def leave(self) -> None:
        """
        The client closes the connection.
        """
        if not self.gone:
            self.gone = True
            self.protocol._channel.stopProducing()
            self.protocol.connectionLost(Failure(ConnectionDone()))


def chunks(body: bytes) -> list[bytes]:
    """
    The chunks of a body, without the one that ends it.
    """
    found = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        assert body[length : length + 2] == b"\r\n", body[length:]
        if length:
            found.append(body[:length])
        body = body[length + 2 :]
    return found


def response_of(context: Context) -> Response:
    """
    The response behind a context, for tests of what channels are built on.
    """
    return context._response


class GlueTest(SynchronousTestCase):
    """
    The base of tests that serve a handler without sockets.
    """

    def serve(self, handler: Callable[[Context], Any], **options: Any) -> Connection:
        """
        A connection to a server of `handler`, which no request has been sent to.
        """
        connection = Connection(StreamResource(handler, **options))
        self.addCleanup(connection.leave)
        return connection

    def get(self, handler: Callable[[Context], Any], **options: Any) -> Connection:
        """
        A connection on which `handler` has got a request.
        """
        return self.serve(handler, **options).request()

    def log_events(self) -> list[LogEvent]:
        """
        A list that all log events are added to from now on.
        """
        events: list[LogEvent] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            events.append(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return events

    def logged(self, kind: type[BaseException]) -> None:
        """
        Exactly one failure of this kind was logged.
        """
        self.assertEqual(len(self.flushLoggedErrors(kind)), 1)
