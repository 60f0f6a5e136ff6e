"""
BorrowedRequest: takes over a request of twisted.web for a stream, and gives it back at the end.

While a stream is open, ``write`` and ``finish`` of its request raise, its producer is the
outbound, and its channel is watched where Twisted would not notice that the client has
disconnected or stopped reading. Some of that needs private names of Twisted. In the server,
they appear only in this folder.

Layer: connection. It imports nothing of the server but the hang-up watch.
"""

from collections.abc import Callable
from functools import cache
from types import MethodType
from typing import Any, NamedTuple, cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.server import Request, Session, Site

from twistream.errors import HeadersSent
from twistream.scheduling.wheel import TimerWheel
from twistream.server.connection.hangup import HangupWatch


def is_disconnected(request: Request) -> bool:
    """
    Whether the client has disconnected already. ``notifyFinish`` would never fire then.
    """
    return bool(request._disconnected)  # noqa: SLF001 - no public name


def remove_encoder(request: Request) -> bool:
    """
    Remove the content encoder of the request. Returns whether it had one.

    Twisted's gzip encoder buffers the whole body to compress it.
    """
    if request._encoder is None:  # noqa: SLF001 - no public name
        return False
    request._encoder = None  # noqa: SLF001 - no public name
    request.responseHeaders.removeHeader(b"Content-Encoding")
    return True


class BorrowedRequest:
    """
    One request, for as long as a stream owns it.

    Attributes:
        request: The request.
    """

    __slots__ = ("_hangup", "_kinds", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._hangup: HangupWatch | None = None
        # Sealed already, if a handler has passed it to another StreamResource.
        own: Any = getattr(request, "unsealed", type(request))
        kinds = self._kinds = _kinds(own)
        request.__class__ = kinds.owned

    def write_head(self) -> None:
        """
        Let Twisted write the head.
        """
        request = self.request
        try:
            self._kinds.own.write(request, b"")
        except BaseException:
            # Nothing was sent: another head can be written in its place.
            request.startedWriting = request.chunked = 0
            raise
        # Where no body is allowed, Twisted sets a `write` of its own on the request, which
        # would break the seal.
        vars(request).pop("write", None)
        request.__class__ = self._kinds.head_sent
        if type(request.responseHeaders) is Headers:
            request.responseHeaders.__class__ = _SentHeaders
        vars(request)["cookies"] = _SentCookies(request.cookies) if request.cookies else _NO_COOKIES

    def record_head(self) -> bytes:
        """
        Return what `write_head` would write, without writing it.
        """
        channel: Any = self.request.channel
        recorder = _HeadRecorder()
        transport, channel.transport = channel.transport, recorder
        try:
            self.write_head()
        finally:
            channel.transport = transport
        return b"".join(recorder.written)

    def register(self, producer: IPushProducer) -> bool:
        """
        Register the producer of the body. Returns whether the connection is full already.
        """
        self._kinds.own.registerProducer(self.request, producer, True)  # noqa: FBT003 - Twisted's signature
        channel = self.request.channel
        # Full with earlier responses. Twisted reports only what happens from now on.
        return isinstance(channel, HTTPChannel) and bool(channel._waitingForTransport)  # noqa: SLF001 - no public name

    def unregister(self) -> None:
        """
        Unregister the producer of the body.
        """
        self._kinds.own.unregisterProducer(self.request)

    def lose_connection(self) -> None:
        """
        Close the connection after everything that was written to it is sent.
        """
        self.request.channel.loseConnection()

    def watch_hangup(self, socket: FileDescriptor, timers: TimerWheel) -> None:
        """
        Notice a client that disconnects while Twisted does not read from it.
        """
        channel = self.request.channel
        if isinstance(channel, HTTPChannel):
            self._hangup = HangupWatch(channel, socket, timers)

    @property
    def closes(self) -> bool:
        """
        Whether the connection closes after this response. Twisted sets no timeout then.
        """
        channel = self.request.channel
        return isinstance(channel, HTTPChannel) and not channel.persistent

    def watch_close(self, still_moving: Callable[[], bool], seconds: float) -> None:
        """
        Cut a connection that `closes` if its client stops reading.

        Twisted turns the channel's timeout off while it handles a request, and on again only
        if another request may follow. So TLS would wait for the client's close_notify, and
        TCP for its window, without a limit.

        Args:
            still_moving: Called every `seconds`. If it returns False, the connection is cut.
        """
        channel: Any = self.request.channel

        def timed_out(channel: Any) -> None:
            if still_moving():
                channel.setTimeout(seconds)
            else:
                channel.forceAbortClient()

        channel.timeoutConnection = MethodType(timed_out, channel)
        channel.setTimeout(seconds)

    def finish(self) -> None:
        """
        Complete the response and give the request back to Twisted.

        This may run the handler of the next request on the connection.
        """
        request = self.request
        request.__class__ = self._kinds.own
        request.unregisterProducer()
        try:
            request.finish()
        except Exception:
            if not (request.finished or is_disconnected(request)):
                # The access log failed. The connection still has to go on to the next request.
                request.finished = 1
                request._cleanup()  # noqa: SLF001 - no public name
            raise
        finally:
            request.__class__ = self._kinds.finished

    def release(self) -> None:
        """
        Stop watching for a hang-up.
        """
        if self._hangup is not None:
            self._hangup.stop()
            self._hangup = None


class _HeadRecorder:
    """
    Replaces the transport while Twisted writes a head.
    """

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writeSequence(self, data: list[bytes]) -> None:  # noqa: N802 - ITransport
        self.written.extend(data)


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
        "the stream owns this request, and takes no other producer; to send a file, use "
        'await ctx.stream(iter(lambda: file.read(65536), b""))'
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


class _SentHeaders(Headers):
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


class _SentCookies(list[bytes]):
    """
    The cookies of a head that has been sent.
    """

    __slots__ = ()

    append = clear = extend = insert = remove = refuse_head
    pop = __delitem__ = __iadd__ = __setitem__ = refuse_head  # type: ignore[assignment]  # never returns


_NO_COOKIES = _SentCookies()


def _sent_attribute(name: str) -> property:
    """
    An attribute of a request that belongs to the head: it can still be read.
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


class _Kinds(NamedTuple):
    """
    The classes that a request has while a stream owns it, and after.

    Classes, because two more attributes on one request may cost a kilobyte: its attributes
    could no longer share their names with those of other requests.

    Attributes:
        own: The class of the request itself.
        owned: Refuses what would break a stream.
        head_sent: Refuses changes of the head, too: they would be lost in silence.
        finished: Refuses changes of the head.
    """

    own: type[Request]
    owned: type[Request]
    head_sent: type[Request]
    finished: type[Request]


@cache
def _kinds(own: Any) -> _Kinds:
    def subclass(refused: dict[str, Any]) -> type[Request]:
        return cast("type[Request]", type(own.__name__, (own,), {**refused, "unsealed": own}))

    return _Kinds(own, subclass(_OWNED), subclass(_OWNED | _HEAD_SENT), subclass(_HEAD_SENT))
