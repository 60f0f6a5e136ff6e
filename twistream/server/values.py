"""
ValueStream and PartStream: one response as a sequence of values, sent one by one.

``wire`` encodes the values. The end of the sequence is written when the handler returns: see
`twistream.server.exchange`.

Layer: server, above `base`.
"""

from collections.abc import AsyncIterable, Callable, Iterable
from functools import partial
from threading import get_ident
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python import threadable

from twistream.scheduling.threads import check_thread, refuse_thread
from twistream.scheduling.waits import Fired
from twistream.server.base.streaming import BaseContext
from twistream.server.response.response import Response
from twistream.server.response.writer import Urgency
from twistream.wire.multipart import Headers, Part
from twistream.wire.render import BytesLike
from twistream.wire.sequences import SequenceEncoder, SequenceFormat

_NOW = Urgency.NOW


class SendValues(Protocol):
    """
    Sends each value of an iterable, encoded.
    """

    def __call__(
        self,
        values: Iterable[Any] | AsyncIterable[Any],
        *,
        call: str,
        encode: Callable[[Any], bytes],
        detached: bool,
    ) -> Deferred[None]: ...


class SequenceStream:
    """
    The base of the streams of values.

    Attributes:
        context: The context of the response.
    """

    __slots__ = ("_encoder", "_response", "_send_values", "context")

    def __init__(
        self,
        context: BaseContext,
        response: Response,
        format: SequenceFormat,
        send_values: SendValues,
    ) -> None:
        """
        Args:
            send_values: Sends each value of an iterable, encoded.
        """
        response.open_head.default(b"Content-Type", format.media_type.encode())
        self.context = context
        self._response = response
        self._send_values = send_values
        self._encoder = response.sequence = SequenceEncoder(format)

    def _send(self, value: object) -> Deferred[None]:
        if get_ident() != threadable.ioThread is not None:
            refuse_thread("send()")
        return self._response.writer.send_step(self._encoded(value), _NOW) or Fired()

    def _send_all(
        self,
        values: Iterable[Any] | AsyncIterable[Any],
        encode: Callable[[Any], bytes],
        *,
        detached: bool,
    ) -> Deferred[None]:
        check_thread("send_all()")
        return self._send_values(values, call="send_all", encode=encode, detached=detached)

    def _encoded(self, value: object) -> bytes:
        return self._encoder.encode(value, self._response.room.written)


class ValueStream(SequenceStream):
    """
    One response as a sequence of values, returned by ``Context.json_array``, ``json_seq``,
    ``msgpack_stream`` and ``csv``.

    When the handler returns, the end of the sequence is sent. When it fails, or the response is
    aborted, it is not.

    Once the response is over, the methods raise and their Deferreds fail like those of the
    `Context`.

    Attributes:
        context: The context of the response.
    """

    __slots__ = ()

    def send(self, value: Any) -> Deferred[None]:
        """
        Send one value.

        Returns:
            Fires when more may be written, like the Deferred of ``Context.flush``. Fails with the
            reason if the response is over, and with `ResponseComplete` where no body is allowed.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: The format cannot represent the value. Nothing is sent, and other values
                may follow.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: The value is bytes-like, and the format is JSON.
        """
        return self._send(value)

    def send_all(
        self, values: Iterable[Any] | AsyncIterable[Any], *, detached: bool = False
    ) -> Deferred[None]:
        """
        Send each value of an iterable or async iterable, as fast as the client reads.

        However the loop ends, a generator is closed, and a pending ``__anext__`` is cancelled.
        Where no body is allowed, as in the answer to HEAD, a generator runs up to its first value,
        or to its first ``await`` that has to wait.

        Args:
            detached: The handler does not wait for the last value, and ends the loop when it
                returns. Without this, a warning is logged then: an ``await`` was probably
                forgotten.

        Returns:
            Succeeds after the last value. Fails with an error of the iterable, with what `send`
            raises, and with the reason when the response is over. Where no body is allowed, it
            succeeds at once, and the response is complete. Cancel it to stop.

        Raises:
            TypeError: `values` is not iterable, or is itself a str or bytes-like.
        """
        return self._send_all(values, self._encoded, detached=detached)


class PartStream(SequenceStream):
    """
    One response in parts, returned by ``Context.multipart``.

    When the handler returns, the end of the body is sent. When it fails, or the response is
    aborted, it is not.

    Once the response is over, the methods raise and their Deferreds fail like those of the
    `Context`.

    Attributes:
        context: The context of the response.
    """

    __slots__ = ()

    def send(
        self,
        data: str | BytesLike,
        *,
        content_type: str | None = None,
        headers: Headers | None = None,
    ) -> Deferred[None]:
        """
        Send one part, and the boundary after it.

        Args:
            data: The part. A str is sent as UTF-8.
            content_type: The media type of the part. Text types get ``charset=utf-8``. By default,
                it is the type that was given to ``multipart``. Without that, a str is plain text, and
                bytes are ``application/octet-stream``.
            headers: More headers of the part. ``Content-Length`` is set.

        Returns:
            Fires when more may be written, like the Deferred of ``Context.flush``. Fails with the
            reason if the response is over, and with `ResponseComplete` where no body is allowed.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: The text has a lone surrogate.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: An argument has the wrong type.
            ValueError: The media type does not have the form ``type/subtype``; a header has a wrong
                name, a value with CR, LF or NUL, or a name that is set already; or a type or headers
                are given although all parts have the type that was given to ``multipart``.
        """
        return self._send(Part(data, content_type, headers))

    def send_all(
        self,
        parts: Iterable[str | BytesLike] | AsyncIterable[str | BytesLike],
        *,
        content_type: str | None = None,
        headers: Headers | None = None,
        detached: bool = False,
    ) -> Deferred[None]:
        """
        Send each item of an iterable or async iterable as one part, as fast as the client reads.

        However the loop ends, a generator is closed, and a pending ``__anext__`` is cancelled.
        Where no body is allowed, as in the answer to HEAD, a generator runs up to its first part,
        or to its first ``await`` that has to wait.

        Args:
            content_type: The media type of each part. See `send`.
            headers: More headers of each part.
            detached: The handler does not wait for the last part, and ends the loop when it
                returns. Without this, a warning is logged then: an ``await`` was probably
                forgotten.

        Returns:
            Succeeds after the last part. Fails with an error of the iterable, with what `send`
            raises, and with the reason when the response is over. Where no body is allowed, it
            succeeds at once, and the response is complete. Cancel it to stop.

        Raises:
            TypeError: `parts` is not iterable, or is itself a str or bytes-like.
        """
        encode = partial(self._part, content_type=content_type, headers=headers)
        return self._send_all(parts, encode, detached=detached)

    def _part(
        self, data: str | BytesLike, content_type: str | None, headers: Headers | None
    ) -> bytes:
        return self._encoded(Part(data, content_type, headers))
