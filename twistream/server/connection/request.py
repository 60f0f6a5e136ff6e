"""
BorrowedRequest: takes over a request of twisted.web for a stream, and gives it back at the end.

While a stream is open, ``write`` and ``finish`` of its request raise, its producer is the
outbound, and its channel is watched where Twisted would not notice that the client has
disconnected or stopped reading. Some of that needs private names of Twisted. In the server,
they appear only in this folder.

Layer: connection. Above `hangup` and `seal`.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import NO_BODY_CODES, HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from twistream.scheduling.wheel import TimerWheel
from twistream.server.connection.hangup import HangupWatch
from twistream.server.connection.seal import NO_COOKIES, SentCookies, SentHeaders, kinds_of


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


def raw_fields(request: Request) -> dict[bytes, list[bytes]]:
    """
    The header fields of the response: the values by the canonical name.

    The methods of `Headers` would look up the canonical name in each call.
    """
    fields: dict[bytes, list[bytes]] = request.responseHeaders._rawHeaders  # noqa: SLF001 - no public name
    return fields


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
        own: Any = type(request)
        kinds = self._kinds = kinds_of(own)
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
        self._seal_head()

    def record_head(self) -> bytes:
        """
        Return what `write_head` would write, without writing it.
        """
        if self._has_usual_head():
            return self._join_head()
        channel: Any = self.request.channel
        recorder = _HeadRecorder()
        transport, channel.transport = channel.transport, recorder
        try:
            self.write_head()
        finally:
            channel.transport = transport
        return b"".join(recorder.written)

    def _has_usual_head(self) -> bool:
        """
        Whether Twisted would add nothing to the head but ``Transfer-Encoding``.
        """
        request = self.request
        return (
            self._kinds.writes_usual_heads
            and type(request.channel).writeHeaders is HTTPChannel.writeHeaders
            and not request._inFakeHead  # noqa: SLF001 - no public name
            and not is_disconnected(request)
            and request.method != b"HEAD"
            and request.code not in NO_BODY_CODES
            and not request.cookies
            and request.etag is request.lastModified is None
            and b"Content-Type" in raw_fields(request)
        )

    def _join_head(self) -> bytes:
        """
        Write such a head as Twisted does, at a quarter of the cost.
        """
        request, fields = self.request, raw_fields(self.request)
        request.startedWriting = 1
        lines = [b"%b %d %b" % (request.clientproto, request.code, request.code_message)]
        for name, values in fields.items():
            lines += [b"%b: %b" % (name, value) for value in values]
        if request.clientproto == b"HTTP/1.1" and not fields.get(b"Content-Length"):
            request.chunked = 1
            lines.append(b"Transfer-Encoding: chunked")
        lines.append(b"\r\n")
        self._seal_head()
        return b"\r\n".join(lines)

    def _seal_head(self) -> None:
        request = self.request
        headers, cookies = request.responseHeaders, request.cookies
        if type(headers) is Headers:
            headers.__class__ = SentHeaders
        request.cookies = SentCookies(cookies) if cookies else NO_COOKIES
        request.__class__ = self._kinds.head_sent

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
        if isinstance(channel, HTTPChannel) and self._hangup is None:
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
        if request.producer is not None:
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
