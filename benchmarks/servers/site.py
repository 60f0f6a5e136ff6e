"""
What the servers on Twisted share: a site without an access log, and the resource to publish.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

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
    The number in ``?n=``.
    """
    assert request.args is not None  # noqa: S101 - set before a resource renders
    return int(request.args[b"n"][0])
