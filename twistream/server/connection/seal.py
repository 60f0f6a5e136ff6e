"""
The classes that a request of twisted.web has while a stream owns it, and what they refuse.

Layer: connection, at the bottom.
"""

from functools import cache
from typing import Any, NamedTuple, cast

from twisted.web.http_headers import Headers
from twisted.web.server import Request, Session, Site

from twistream.errors import HeadersSent


def refuse_write(*_args: object) -> None:
    """
    Replaces ``request.write`` and ``request.finish`` while a stream owns the request.

    Raises:
        RuntimeError: Always. Bytes that bypass the context would break the framing.
    """
    msg = "the stream owns this request; use write() and flush() of the context"
    raise RuntimeError(msg)


def refuse_producer(*_args: object) -> None:
    """
    Replaces ``request.registerProducer`` and ``request.unregisterProducer``.

    Raises:
        RuntimeError: Always. The stream has a producer of its own.
    """
    msg = (
        "the stream owns this request, and takes no other producer; register it on the context "
        "instead, or use await ctx.pipe(source)"
    )
    raise RuntimeError(msg)


def refuse_head(*_args: object, **_options: object) -> None:
    """
    Replaces the methods of a request that change its head, once that has been sent.

    Raises:
        HeadersSent: Always.
    """
    raise HeadersSent


def get_known_session(request: Any, *args: Any, **options: Any) -> object:
    """
    Replaces ``request.getSession`` once the head has been sent.

    Raises:
        HeadersSent: The client has no session yet. It could not learn the id of a new one.
    """
    site = request.site
    request.site = _KnownSessions(site)
    try:
        return request.unsealed.getSession(request, *args, **options)
    finally:
        request.site = site


class _KnownSessions:
    """
    Replaces the site of a request while Twisted looks for its session.
    """

    def __init__(self, site: Site) -> None:
        self.getSession = site.getSession

    def makeSession(self) -> Session:  # noqa: N802 - as in Site
        raise HeadersSent


class SentHeaders(Headers):
    """
    The headers of a head that has been sent.
    """

    __slots__ = ()

    setRawHeaders = addRawHeader = removeHeader = refuse_head  # noqa: N815 - as in Headers

    def copy(self) -> Headers:
        """
        Return a copy that can change.
        """
        return Headers(dict(self.getAllRawHeaders()))


class SentCookies(list[bytes]):
    """
    The cookies of a head that has been sent.
    """

    __slots__ = ()

    append = clear = extend = insert = remove = refuse_head
    pop = __delitem__ = __iadd__ = __setitem__ = refuse_head  # type: ignore[assignment]  # never returns


NO_COOKIES = SentCookies()


def _sent_attribute(name: str) -> property:
    """
    An attribute of a request that belongs to the sent head. It is read-only.
    """

    def read(request: Any) -> object:
        # Some are attributes of the class until they are set.
        return vars(request).get(name, getattr(request.unsealed, name, None))

    return property(read, refuse_head)


_OWNED = {
    "write": refuse_write,
    "finish": refuse_write,
    "registerProducer": refuse_producer,
    "unregisterProducer": refuse_producer,
}

_HEAD_SENT = {
    **dict.fromkeys(
        ("setHeader", "setResponseCode", "addCookie", "redirect", "setETag", "setLastModified"),
        refuse_head,
    ),
    "getSession": get_known_session,
    **{
        name: _sent_attribute(name)
        for name in ("code", "code_message", "cookies", "etag", "lastModified", "responseHeaders")
    },
}


class Kinds(NamedTuple):
    """
    The classes that a request has while a stream owns it, and after.

    Classes, because two more attributes on one request may cost a kilobyte: its attributes
    could no longer share their names with those of other requests.

    Attributes:
        own: The class of the request itself.
        owned: Refuses what would break a stream.
        head_sent: Refuses changes of the head, too: they would be lost in silence.
        finished: Refuses changes of the head.
        writes_usual_heads: ``write`` is Twisted's.
    """

    own: type[Request]
    owned: type[Request]
    head_sent: type[Request]
    finished: type[Request]
    writes_usual_heads: bool


@cache
def kinds_of(found: Any) -> Kinds:
    """
    The classes for a request of class `found`.
    """
    # Sealed already, if a handler has passed it to another StreamResource.
    own: Any = getattr(found, "unsealed", found)

    def subclass(refused: dict[str, Any]) -> type[Request]:
        return cast("type[Request]", type(own.__name__, (own,), {**refused, "unsealed": own}))

    return Kinds(
        own,
        owned=subclass(_OWNED),
        head_sent=subclass(_OWNED | _HEAD_SENT),
        finished=subclass(_HEAD_SENT),
        writes_usual_heads=own.write is Request.write,
    )
