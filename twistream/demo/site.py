"""
The resource tree of the demo: the streams, and the pages that show them.
"""

from importlib.resources import files
from typing import Any

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource

from twistream import Context, Handler, HTTPError, Hub, StreamResource
from twistream.demo import streams
from twistream.demo.chat import Room
from twistream.demo.ticker import Ticker

_TYPES = {
    "demo.css": "text/css",
    "demo.js": "text/javascript",
    "events.js": "text/javascript",
    "chat.js": "text/javascript",
    "feed.js": "text/javascript",
    "pane.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def make_root() -> IResource:
    """
    Create a new tree, with its own ticker and chat.
    """
    hub = Hub()
    ticker, room = Ticker(hub), Room(hub)
    events = page_or_stream("events.html", ticker.stream)
    chat = page_or_stream("chat.html", room.listen)

    root = _Root()
    root.putChild(b"", StreamResource(file_handler("index.html", "text/html")))
    for name, media_type in _TYPES.items():
        root.putChild(name.encode(), StreamResource(file_handler(name, media_type)))
    root.putChild(b"numbers", StreamResource(streams.numbers))
    root.putChild(b"json", StreamResource(streams.json_numbers))
    root.putChild(b"clock", StreamResource(streams.clock))
    root.putChild(b"events", StreamResource(events))
    root.putChild(
        b"chat",
        StreamResource(
            lambda ctx: room.say(ctx) if ctx.method == "POST" else chat(ctx),
            methods=("GET", "HEAD", "POST"),
        ),
    )
    return root


def page_or_stream(name: str, stream: Handler) -> Handler:
    """
    Serve a page to clients that accept HTML, and the stream to all others.

    A browser that navigates here accepts HTML; the script of the page and curl do not.
    """
    page = file_handler(name, "text/html")

    def choose(ctx: Context) -> Any:
        ctx.header("Vary", "Accept")
        accepts = ctx.request.getHeader(b"Accept") or b""
        return page(ctx) if b"text/html" in accepts else stream(ctx)

    return choose


def file_handler(name: str, media_type: str) -> Handler:
    """
    Serve one file of the pages, with a policy that forbids loading anything from elsewhere.

    The handler returns its whole body, which is fine for small responses.
    """
    body = files(__package__).joinpath("static", name).read_bytes()

    def send(ctx: Context) -> bytes:
        ctx.content_type(media_type)
        ctx.header("Cache-Control", "no-cache")
        ctx.header("Content-Security-Policy", "default-src 'self'")
        ctx.header("X-Content-Type-Options", "nosniff")
        return body

    return send


def not_found(_: Context) -> None:
    """
    Answer 404 and name the paths that exist.
    """
    raise HTTPError(404, "There is nothing here. Try /, /numbers, /json, /clock, /events or /chat.")


class _Root(Resource):
    """
    Finds only its direct children; a `StreamResource` would accept any path below its own.
    """

    def getChildWithDefault(self, path: bytes, request: IRequest) -> IResource:  # noqa: N802 - IResource
        """
        See `twisted.web.resource.IResource`.
        """
        child = None if request.postpath else self.children.get(path)
        return child or StreamResource(not_found)
