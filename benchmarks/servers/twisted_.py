"""
Plain twisted.web: resources that call ``request.write``.
"""

import sys

from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers.site import Publish, count, serve


class _Stream(Resource):
    isLeaf = True  # noqa: N815 - IResource

    def render_GET(self, request: Request) -> int:  # noqa: N802 - Twisted's name
        request.setHeader(b"Content-Type", MEDIA_TYPE.encode())
        self.stream(request)
        return NOT_DONE_YET

    def stream(self, request: Request) -> None:
        raise NotImplementedError


class _Twelve(_Stream):
    def stream(self, request: Request) -> None:
        # In one turn of the reactor, so that Twisted joins them in one send.
        for _ in range(12):
            request.write(MESSAGE)
        request.finish()


class _Many(_Stream):
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


class _Subscribe(_Stream):
    def __init__(self) -> None:
        super().__init__()
        self._subscribers: dict[Request, None] = {}
        self._paused: dict[Request, None] = {}

    def stream(self, request: Request) -> None:
        producer = _Subscriber(request, self._subscribers, self._paused)
        # Through the request it would be registered twice, which takes 1.3 KB more a stream.
        request.channel.registerProducer(producer, True)  # noqa: FBT003 - Twisted's signature
        self._subscribers[request] = None
        request.write(MESSAGE)

    def send(self, message: bytes) -> None:
        # A subscriber that is still paused is disconnected.
        while self._paused:
            request, _ = self._paused.popitem()
            del self._subscribers[request]
            ITCPTransport(request.transport).abortConnection()
        for request in self._subscribers:
            request.write(message)


@implementer(IPushProducer)
class _Subscriber:
    __slots__ = ("_paused", "_request", "_subscribers")

    def __init__(
        self, request: Request, subscribers: dict[Request, None], paused: dict[Request, None]
    ) -> None:
        self._request = request
        self._subscribers = subscribers
        self._paused = paused

    def pauseProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._paused[self._request] = None

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._paused.pop(self._request, None)

    def stopProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._subscribers.pop(self._request, None)
        self._paused.pop(self._request, None)


if __name__ == "__main__":
    _root, _subscribe = Resource(), _Subscribe()
    _root.putChild(b"twelve", _Twelve())
    _root.putChild(b"many", _Many())
    _root.putChild(b"subscribe", _subscribe)
    _root.putChild(b"publish", Publish(_subscribe.send))
    serve(_root, int(sys.argv[1]))
