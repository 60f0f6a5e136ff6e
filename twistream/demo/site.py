"""
The tree of the demo: the streams, and the files of the page that shows them.
"""

from importlib.resources import files

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource

from twistream import Context, HTTPError, StreamResource
from twistream.demo import streams


def make_root() -> IResource:
    """
    A new tree. It keeps nothing of the requests that it answers.
    """
    root = _Root()
    root.putChild(b"", page_file("index.html", "text/html"))
    root.putChild(b"demo.css", page_file("demo.css", "text/css"))
    root.putChild(b"demo.js", page_file("demo.js", "text/javascript"))
    root.putChild(b"icon.svg", page_file("icon.svg", "image/svg+xml"))
    root.putChild(b"numbers", StreamResource(streams.numbers))
    root.putChild(b"json", StreamResource(streams.json_numbers))
    root.putChild(b"clock", StreamResource(streams.clock))
    return root


def page_file(name: str, media_type: str) -> StreamResource:
    """
    One file of the page, which loads nothing from elsewhere, and may not.

    A handler may just as well return its whole body.
    """
    body = files(__package__).joinpath("static", name).read_bytes()

    def send(ctx: Context) -> bytes:
        ctx.content_type(media_type)
        ctx.header("Cache-Control", "no-cache")
        ctx.header("Content-Security-Policy", "default-src 'self'")
        ctx.header("X-Content-Type-Options", "nosniff")
        return body

    return StreamResource(send)


def not_found(_: Context) -> None:
    """
    Answer to every path that is not there.
    """
    raise HTTPError(404, "There is nothing here. Look at /, /numbers, /json and /clock.")


class _Root(Resource):
    """
    Has children, and they have none: a `StreamResource` alone would take any path below it.
    """

    def getChildWithDefault(self, path: bytes, request: IRequest) -> IResource:  # noqa: N802 - IResource
        """
        See `twisted.web.resource.IResource`.
        """
        child = None if request.postpath else self.children.get(path)
        return child or StreamResource(not_found)
