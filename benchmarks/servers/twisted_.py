"""
Plain twisted.web: resources that call ``request.write``, and what twistream's server shares.
"""

import sys
from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet import reactor as _reactor
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, HOST

reactor: Any = _reactor


class _QuietSite(Site):
    def log(self, request: HTTPRequest) -> None:
        pass


def serve(root: Resource, port: int) -> None:
    """
    Serve `root` until the process ends.
    """
    reactor.listenTCP(port, _QuietSite(root), backlog=BACKLOG, interface=HOST)
    reactor.run()


class Publish(Resource):
    """
    Pass the body of a POST to a function, and answer 204.
    """

    isLeaf = True  # noqa: N815 - IResource

    def __init__(self, send: Callable[[bytes], object]) -> None:
        super().__init__()
        self._send = send

    def render_POST(self, request: Request) -> int:  # noqa: N802 - Twisted's name
        assert request.content is not None  # noqa: S101 - set before a resource renders
        self._send(request.content.read())
        request.setResponseCode(204)
        # Returning b"" would add a Content-Length, which a 204 must not have (RFC 9110 8.6).
        request.finish()
        return NOT_DONE_YET


def count(request: Request) -> int:
    """
    The number in ``?n=``, or 12.
    """
    assert request.args is not None  # noqa: S101 - set before a resource renders
    return int(request.args.get(b"n", (b"12",))[0])


class _Stream(Resource):
    isLeaf = True  # noqa: N815 - IResource

    def __init__(self, stream: Callable[[Request], object]) -> None:
        super().__init__()
        self._stream = stream

    def render_GET(self, request: Request) -> int:  # noqa: N802 - Twisted's name
        request.setHeader(b"Content-Type", MEDIA_TYPE.encode())
        self._stream(request)
        return NOT_DONE_YET


def _twelve(request: Request) -> None:
    # In one turn of the reactor, so that Twisted joins them in one send.
    for _ in range(12):
        request.write(MESSAGE)
    request.finish()


@implementer(IPushProducer)
class _Messages:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._left = count(request)
        request.registerProducer(self, True)  # noqa: FBT003 - Twisted's signature
        self.resumeProducing()

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

    stopProducing = pauseProducing  # noqa: N815 - IPushProducer


class _FanOut:
    def __init__(self) -> None:
        self._subscribers: dict[Request, None] = {}
        self._paused: dict[Request, None] = {}

    def subscribe(self, request: Request) -> None:
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
@define(eq=False)
class _Subscriber:
    _request: Request
    _subscribers: dict[Request, None]
    _paused: dict[Request, None]

    def pauseProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._paused[self._request] = None

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._paused.pop(self._request, None)

    def stopProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._subscribers.pop(self._request, None)
        self._paused.pop(self._request, None)


if __name__ == "__main__":
    _root, _fan_out = Resource(), _FanOut()
    _root.putChild(b"twelve", _Stream(_twelve))
    _root.putChild(b"many", _Stream(_Messages))
    _root.putChild(b"subscribe", _Stream(_fan_out.subscribe))
    _root.putChild(b"publish", Publish(_fan_out.send))
    serve(_root, int(sys.argv[1]))
