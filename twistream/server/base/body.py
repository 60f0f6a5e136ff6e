"""
Body: the methods with which a handler sets the head and writes the body.

Layer: base, below `formats`.
"""

from datetime import datetime
from typing import Literal, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twistream.server.base.file import WritableFile
from twistream.server.response.response import Response
from twistream.wire import fields, render
from twistream.wire.render import BytesLike

Item: TypeAlias = str | BytesLike


class Body(WritableFile):
    """
    The base of all contexts: the request, the head and the body.
    """

    __slots__ = ("__weakref__", "_log", "_writer")

    def __init__(self, response: Response) -> None:
        self._response = response
        self._writer = response.writer
        self._log: Logger | None = None

    def __repr__(self) -> str:
        response = self._response
        return (
            f"<{type(self).__name__} {self.method} {self.path} {response.life.phase.name}, "
            f"{response.room.written} bytes written, {response.backlog} waiting>"
        )

    @property
    def clock(self) -> IReactorTime:
        """
        The clock of this response.
        """
        return self._response.turn.clock

    @property
    def log(self) -> Logger:
        """
        A `twisted.logger.Logger` whose events have this context as ``log_source``.
        """
        if self._log is None:
            self._log = Logger(namespace="twistream", source=self)
        return self._log

    # The head.

    def header(self, name: str | bytes, value: str | bytes) -> None:
        """
        Set a header of the response.

        The protocol frames the body: ``Transfer-Encoding: chunked`` and ``Connection:
        keep-alive`` are accepted and have no effect. ``Connection: close`` closes the connection
        after the response. A ``Content-Length`` is enforced: see `write` and `flush`.

        Raises:
            HeadersSent: The head has been sent.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: Name or value is neither str nor bytes.
            ValueError: The name is not a token, the value contains CR, LF or NUL, the
                ``Content-Length`` is not a number, or the header belongs to the protocol.
        """
        self._response.open_head.header(name, value)

    def add_header(self, name: str | bytes, value: str | bytes) -> None:
        """
        Add a value to a header, after its other values.

        Raises:
            HeadersSent: The head has been sent.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: Name or value is neither str nor bytes.
            ValueError: The name is not a token, the value contains CR, LF or NUL, the
                ``Content-Length`` is not a number or differs from the one that is set, or the
                header belongs to the protocol.
        """
        self._response.open_head.header(name, value, add=True)

    def content_type(self, value: str) -> None:
        """
        Set the media type. Text types get ``charset=utf-8`` unless they name a charset.

        The default is ``text/plain; charset=utf-8``.

        Raises:
            HeadersSent: The head has been sent.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: The value is not a str.
            ValueError: It does not have the form ``type/subtype``.
        """
        if not isinstance(value, str):
            msg = f"a media type must be a str, not {type(value).__name__}"
            raise TypeError(msg)
        self._response.open_head.content_type(fields.with_charset(value))

    def status_code(self, code: int) -> None:
        """
        Set the status. The default is 200.

        Raises:
            HeadersSent: The head has been sent.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: The code is not an int.
            ValueError: It is not from 200 to 599.
        """
        self._response.open_head.status_code(code)

    def cookie(  # noqa: PLR0913 - the attributes of a cookie, by keyword
        self,
        name: str,
        value: str,
        *,
        max_age: int | None = None,
        expires: datetime | None = None,
        domain: str | None = None,
        path: str | None = None,
        secure: bool = False,
        http_only: bool = False,
        same_site: Literal["lax", "strict", "none"] | None = None,
    ) -> None:
        """
        Set a cookie (RFC 6265). An error page that replaces the response keeps it.

        Args:
            max_age: Seconds after which the browser deletes it; 0 deletes it at once. None for
                the end of the browser's session.
            expires: The time at which the browser deletes it, with a time zone. `max_age`, if it
                is given too, takes precedence.
            domain: The domain whose hosts receive it; by default this host only.
            path: The path below which it is sent, ``/`` for all; by default the folder of the
                request.
            secure: Send it over HTTPS only.
            http_only: Hide it from scripts.
            same_site: Whether requests from other sites carry it. ``"none"`` needs `secure`.

        Raises:
            HeadersSent: The head has been sent.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: An argument has the wrong type.
            ValueError: An argument contains a character that a cookie must not contain: encode
                the value, for example with `urllib.parse.quote`. Or browsers would ignore the
                cookie or one of its attributes.
        """
        self._response.open_head.cookie(
            fields.set_cookie(
                name,
                value,
                max_age=max_age,
                expires=expires,
                domain=domain,
                path=path,
                secure=secure,
                http_only=http_only,
                same_site=same_site,
            )
        )

    # The body.

    def write(self, data: Item) -> int:
        """
        Append `data` to the buffer: a str as UTF-8, bytes unchanged (copied).

        `flush` sends the buffer. A buffer larger than 16 KiB is sent without a flush.

        Returns:
            The number of bytes, so that ``print(file=ctx)`` and ``csv.writer(ctx)`` work.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: The str has a lone surrogate, which UTF-8 cannot encode.
            RuntimeError: It would send data, in a thread that is not the reactor's.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: `data` is neither str nor bytes-like.
        """
        # The check is faster than the call.
        return self._writer.write(data if type(data) is bytes else encoded(data))

    def writef(self, format: str, *args: object) -> int:
        """
        Write `format` with `args` filled in by ``%``; without args, `format` unchanged.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: The text has a lone surrogate, which UTF-8 cannot encode.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: `args` do not match `format`.
        """
        return self.write(format % args if args else format)

    def flush(self) -> Deferred[None]:
        """
        Send what was written as one chunk, after the head if that has not been sent.

        An empty buffer makes no chunk. On plain TCP, the first flush in a turn of the reactor
        is on the socket when the call returns. Later ones are sent together, half a
        millisecond later or at the end of the turn, each as a chunk of its own.

        Returns:
            Fires when more may be written: at once, when a full connection has drained, or in
            the next turn of the reactor if this handler has used its share of this one. Fails
            with the reason if the response is over, with `ResponseComplete` where no body
            is allowed, and with `ContentLengthMismatch` if more was written than a
            ``Content-Length`` that was set later.
        """
        return self._writer.flush()


def encoded(data: Item) -> bytes:
    """
    Encode what a handler writes.

    Raises:
        EncodeError: A str has a lone surrogate, which UTF-8 cannot encode.
        TypeError: It is neither str nor bytes-like.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        try:
            return data.encode()
        except UnicodeEncodeError:
            return render.encode_text(data)  # Raises an EncodeError with the details.
    try:
        return memoryview(data).tobytes()
    except TypeError:
        msg = f"write() takes str or bytes, not {type(data).__name__}"
        raise TypeError(msg) from None
