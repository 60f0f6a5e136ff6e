"""
Responses in memory: treq, its agent and Twisted's parser are real, and only the socket is not.
"""

from collections.abc import Coroutine
from typing import Any

import treq
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock, Cooperator
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

CHUNKED = b"Transfer-Encoding: chunked"


class Peer(StringTransport):
    """
    The server's side of one connection.

    Attributes:
        paused: Whether the client reads nothing.
        pauses: How often it has stopped to read.
        aborted: Whether the client has closed the connection.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.pauses = 0
        self.aborted = False
        self.lost = False
        self.protocol = HTTP11ClientProtocol()
        self.protocol.makeConnection(self)

    @property
    def paused(self) -> bool:
        return self.producerState == "paused"

    def pauseProducing(self) -> None:
        super().pauseProducing()
        self.pauses += 1

    def abortConnection(self) -> None:
        if not self.aborted:
            self.aborted = True
            self.clock.callLater(0, self.lose, ConnectionAborted())

    def lose(self, reason: Exception | None = None) -> None:
        """
        The connection ends.
        """
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))

    def send(self, data: bytes) -> None:
        """
        Send bytes to the client, whether it reads or not.
        """
        self.protocol.dataReceived(data)

    def head(self, *fields: bytes, status: bytes = b"200 OK") -> None:
        self.send(b"\r\n".join((b"HTTP/1.1 " + status, *fields, b"", b"")))

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def chunks(self, *data: bytes) -> None:
        """
        Send several chunks in one read of the socket.
        """
        self.send(b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in data))

    def end(self) -> None:
        """
        Send the last chunk.
        """
        self.send(b"0\r\n\r\n")

    @property
    def request(self) -> bytes:
        request: bytes = self.value()
        return request


@implementer(IAgent)
class MemoryAgent:
    """
    Makes a connection for each request.

    Attributes:
        peers: The connections so far.
        uris: The addresses that were requested.
        refusals: Errors for the next requests.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.peers: list[Peer] = []
        self.uris: list[bytes] = []
        self.refusals: list[Exception] = []

    def close(self) -> None:
        for peer in self.peers:
            peer.lose()

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Any = None,
        bodyProducer: Any = None,  # noqa: N803 - IAgent
    ) -> Deferred[Any]:
        self.uris.append(uri)
        if self.refusals:
            refused: Deferred[Any] = Deferred()
            refused.errback(Failure(self.refusals.pop(0)))
            return refused
        peer = Peer(self.clock)
        self.peers.append(peer)
        headers = (headers or Headers()).copy()
        headers.setRawHeaders("Host", ["test"])
        request = Request(method, URI.fromBytes(uri).originForm, headers, bodyProducer)
        return peer.protocol.request(request)


class Consumer:
    """
    Takes the items of an iterator in a task of its own.

    Attributes:
        items: What it has taken.
        task: The Deferred of the task.
        gate: If it is a Deferred, the task waits for it after each item.
    """

    def __init__(self, iterator: Any, gate: Deferred[None] | None = None) -> None:
        self.items: list[Any] = []
        self.gate = gate
        self.task: Deferred[None] = Deferred.fromCoroutine(self._run(iterator))

    async def _run(self, iterator: Any) -> None:
        async for item in iterator:
            self.items.append(item)
            if self.gate is not None:
                await self.gate

    def close(self) -> None:
        self.task.addErrback(lambda _: None)
        self.task.cancel()

    def release(self) -> None:
        """
        Let the task go on, and not wait again.
        """
        gate, self.gate = self.gate, None
        assert gate is not None
        gate.callback(None)


class ClientTest(SynchronousTestCase):
    """
    The base of tests with a client in memory.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        # It writes the bodies of requests, and has no other way to get a clock.
        cooperator = Cooperator(scheduler=lambda call: self.clock.callLater(0, call))
        self.patch(task, "_theCooperator", cooperator)
        self.agent = MemoryAgent(self.clock)
        self.client: Any = treq.client.HTTPClient(self.agent)
        self.addCleanup(self.agent.close)

    def consume(self, iterator: Any, gate: Deferred[None] | None = None) -> Consumer:
        """
        A task that takes the items, up to the end of the test.
        """
        consumer = Consumer(iterator, gate)
        self.addCleanup(consumer.close)
        return consumer

    @property
    def peer(self) -> Peer:
        """
        The newest connection.
        """
        return self.agent.peers[-1]

    def get(self, *fields: bytes, status: bytes = b"200 OK", **options: Any) -> Any:
        """
        A response with this head. Its body has not begun.
        """
        options.setdefault("unbuffered", True)
        deferred = self.client.get("http://test/", reactor=self.clock, **options)
        self.peer.head(*fields, status=status)
        return self.successResultOf(deferred)

    def result(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))
