"""
QuietSite: a `twisted.web.server.Site` without an access log, for both Twisted servers.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from benchmarks.servers import BACKLOG, HOST

reactor: Any = _reactor


class QuietSite(Site):
    """
    Answers requests, and writes none of them down.
    """

    def log(self, request: HTTPRequest) -> None:
        """
        See `twisted.web.http.HTTPFactory.log`.
        """


def serve(root: Resource, port: int) -> None:
    """
    Serve `root` until the process is told to end.
    """
    reactor.listenTCP(port, QuietSite(root), backlog=BACKLOG, interface=HOST)
    reactor.run()


class Publish(Resource):
    """
    Send the body of the request to every subscriber, and answer 204.
    """

    isLeaf = True  # noqa: N815 - IResource

    def __init__(self, send: Callable[[bytes], object]) -> None:
        super().__init__()
        self._send = send

    def render_POST(self, request: Request) -> int:  # noqa: N802 - Twisted's name
        """
        Publish one message.
        """
        assert request.content is not None  # noqa: S101 - it is read before anything is rendered
        self._send(request.content.read())
        request.setResponseCode(204)
        # Returning b"" would send a Content-Length, which a 204 must not have (RFC 9110 8.6).
        request.finish()
        return NOT_DONE_YET


def count(request: Request) -> int:
    """
    How many messages are asked for, by ``?n=``.
    """
    assert request.args is not None  # noqa: S101 - it is parsed before anything is rendered
    return int(request.args[b"n"][0])
