"""
The resource tree of the demo: the streams, and the pages that show them.
"""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource

from twistream import Context, Handler, HTTPError, Hub, StreamResource
from twistream.demo import streams
from twistream.demo.chat import Room
from twistream.demo.runs import INTERVAL, Writer
from twistream.demo.source import with_source
from twistream.demo.ticker import Ticker

_TYPES = {
    "demo.css": "text/css",
    "demo.js": "text/javascript",
    "events.js": "text/javascript",
    "chat.js": "text/javascript",
    "runs.js": "text/javascript",
    "feed.js": "text/javascript",
    "pane.js": "text/javascript",
    "source.js": "text/javascript",
    "storage.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


_SHOWN: dict[str, Callable[..., Any]] = {
    "numbers": streams.numbers,
    "json_numbers": streams.json_numbers,
    "clock": streams.clock,
    "write_time": streams.write_time,
    "Ticker": Ticker.__init__,
    "Ticker.stream": Ticker.stream,
    "Ticker.tick": Ticker.tick,
    "Room": Room.__init__,
    "Room.listen": Room.listen,
    "Room.say": Room.say,
    "Writer.write": Writer.write,
    "Writer.follow": Writer.follow,
    "Writer.control": Writer.control,
}
"""
The functions that the pages show, by the names that the pages use.
"""


def make_root(*, clock: IReactorTime | None = None, interval: float = INTERVAL) -> IResource:
    """
    Create a new tree, with its own ticker, chat and text.

    Args:
        clock: Measures the time between the messages of a text. By default the global reactor.
        interval: That time in seconds.
    """
    hub = Hub(clock=clock)
    ticker, room, writer = Ticker(hub), Room(hub), Writer(hub, clock, interval=interval)
    events = page_or_stream("events.html", ticker.stream)
    chat = page_or_stream("chat.html", room.listen)
    runs = page_or_stream("runs.html", writer.follow, state=writer.state)

    root = _Root()
    root.putChild(b"", StreamResource(file_handler("index.html", "text/html")))
    for name, media_type in _TYPES.items():
        root.putChild(name.encode(), StreamResource(file_handler(name, media_type)))
    root.putChild(b"numbers", StreamResource(streams.numbers))
    root.putChild(b"json", StreamResource(streams.json_numbers))
    root.putChild(b"clock", StreamResource(streams.clock))
    root.putChild(b"events", StreamResource(events))
    root.putChild(b"chat", with_post(chat, room.say))
    root.putChild(b"runs", with_post(runs, writer.control))
    return root


def with_post(read: Handler, post: Handler) -> IResource:
    """
    A resource with a handler for GET and HEAD, and another for POST.
    """
    return StreamResource(
        lambda ctx: post(ctx) if ctx.method == "POST" else read(ctx),
        methods=("GET", "HEAD", "POST"),
    )


def page_or_stream(name: str, stream: Handler, state: Handler | None = None) -> Handler:
    """
    Serve a page to clients that accept HTML, and the stream to all others.

    A browser that navigates here accepts HTML; the script of the page and curl do not. With
    `state`, clients that accept JSON receive that.
    """
    page = file_handler(name, "text/html")

    def choose(ctx: Context) -> Any:
        ctx.header("Vary", "Accept")
        accepts = ctx.request.getHeader(b"Accept") or b""
        if b"text/html" in accepts:
            return page(ctx)
        if state is not None and b"application/json" in accepts:
            return state(ctx)
        return stream(ctx)

    return choose


def file_handler(name: str, media_type: str) -> Handler:
    """
    Serve one file of the pages, with a policy that forbids loading anything from elsewhere.

    The handler returns its whole body, which is fine for small responses. In a page, the names of
    functions are replaced by their source code.
    """
    body = files(__package__).joinpath("static", name).read_bytes()
    if media_type == "text/html":
        body = with_source(body.decode(), _SHOWN).encode()

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
    raise HTTPError(
        404, "There is nothing here. Try /, /numbers, /json, /clock, /events, /chat or /runs."
    )


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
