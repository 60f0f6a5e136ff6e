"""
Plain twisted.web: resources that call ``request.write``.
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, ITCPTransport
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers.quiet_site import Publish, count, reactor, serve


class _Stream(Resource):
    isLeaf = True  # noqa: N815 - IResource

    def render_GET(self, request: Request) -> int:  # noqa: N802 - Twisted's name
        """
        Answer with the stream.
        """
        request.setHeader(b"Content-Type", MEDIA_TYPE.encode())
        self.stream(request)
        return NOT_DONE_YET

    def stream(self, request: Request) -> None:
        """
        Write the stream.
        """
        raise NotImplementedError


class Twelve(_Stream):
    """
    Twelve messages in one turn of the reactor, which leave in one send.
    """

    def stream(self, request: Request) -> None:
        for _ in range(12):
            request.write(MESSAGE)
        request.finish()


class Many(_Stream):
    """
    As many messages as are asked for, as fast as the client takes them.
    """

    def stream(self, request: Request) -> None:
        producer = _Messages(request, count(request))
        request.registerProducer(producer, True)  # noqa: FBT003 - Twisted's signature
        producer.resumeProducing()


@implementer(IPushProducer)
class _Messages:
    def __init__(self, request: Request, left: int) -> None:
        self._request = request
        self._left = left
        self._paused = True

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._paused = False
        while self._left and not self._paused:
            self._left -= 1
            self._request.write(MESSAGE)
        if not self._left and not self._paused:
            self._paused = True
            self._request.unregisterProducer()
            self._request.finish()

    def pauseProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._paused = True

    def stopProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._paused = True


class Ticks(_Stream):
    """
    One message each second.
    """

    def stream(self, request: Request) -> None:
        # Lighter than a LoopingCall, which has a Deferred and keeps to a schedule.
        call: IDelayedCall

        def tick() -> None:
            nonlocal call
            call = reactor.callLater(1.0, tick)
            request.write(MESSAGE)

        tick()
        request.notifyFinish().addErrback(lambda _: call.cancel())


class Turns(_Stream):
    """
    As many messages as are asked for, one in each turn of the reactor.
    """

    def stream(self, request: Request) -> None:
        Deferred.fromCoroutine(self._write(request, count(request)))

    async def _write(self, request: Request, number: int) -> None:
        # As twistream's server waits for the turn, so that only the writing differs.
        for _ in range(number):
            request.write(MESSAGE)
            await deferLater(reactor, 0)
        request.finish()


class Subscribe(_Stream):
    """
    All that is published.

    Attributes:
        subscribers: Those who listen, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.subscribers = _Subscribers()

    def stream(self, request: Request) -> None:
        producer = _Subscriber(request, self.subscribers)
        # The request would register it with its channel, and note it itself too: a stream is
        # 1.3 KB lighter without that.
        request.channel.registerProducer(producer, True)  # noqa: FBT003 - Twisted's signature
        self.subscribers.listening[request] = None
        request.write(MESSAGE)


class _Subscribers:
    """
    Attributes:
        listening: The requests of all.
        paused: Those of them whose buffer is full.
    """

    def __init__(self) -> None:
        self.listening: dict[Request, None] = {}
        self.paused: dict[Request, None] = {}

    def send(self, message: bytes) -> None:
        """
        Write a message to all; those who have not taken what they were sent are cut.
        """
        while self.paused:
            request, _ = self.paused.popitem()
            del self.listening[request]
            ITCPTransport(request.transport).abortConnection()
        for request in self.listening:
            request.write(message)


@implementer(IPushProducer)
class _Subscriber:
    """
    Learns whether one of them takes what it is sent, and that it has left.
    """

    __slots__ = ("_request", "_subscribers")

    def __init__(self, request: Request, subscribers: _Subscribers) -> None:
        self._request = request
        self._subscribers = subscribers

    def pauseProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._subscribers.paused[self._request] = None

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._subscribers.paused.pop(self._request, None)

    def stopProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._subscribers.listening.pop(self._request, None)
        self._subscribers.paused.pop(self._request, None)


def main(port: int) -> None:
    """
    Serve on `port` until the process is told to end.
    """
    root = Resource()
    subscribe = Subscribe()
    root.putChild(b"twelve", Twelve())
    root.putChild(b"many", Many())
    root.putChild(b"subscribe", subscribe)
    root.putChild(b"publish", Publish(subscribe.subscribers.send))
    root.putChild(b"ticks", Ticks())
    root.putChild(b"turns", Turns())
    serve(root, port)


if __name__ == "__main__":
    main(int(sys.argv[1]))
