"""
The exceptions of this library, in one tree. Misuse raises Python's own exceptions.

::

    StreamError
    |- StreamClosed            the response ended early; not a bug of the caller
    |  |- ClientDisconnected     the client disconnected
    |  |- SendTimeout            the client accepted no data for send_timeout seconds
    |  |- SlowConsumer           too much data was queued for a slow client
    |  |- StreamAborted          abort() was called, or the handler failed
    |  `- ResponseComplete       the response has no body, and its head is sent
    |- HeadersSent             too late to change the head
    |- StreamFinished          the response is used after its end: a bug of the caller
    |- ChannelClosed           publish() after close(): a bug of the caller
    |- RunEnded                publish() after the end of a run
    |- RunOverflow             the history of a run has no room for a message
    |- ContentLengthMismatch   the body does not fit the declared Content-Length
    |- BufferOverflow          more than max_buffered bytes are queued
    |- EncodeError             also TypeError: the format cannot represent a value
    |- DecodeError             also ValueError: the input does not have its format
    |  `- LimitExceeded          a part of the input is longer than the limit
    |- StreamTruncated         a response that was read ended before it was complete
    `- HTTPError               the status and the message of an error page

    StopStream                 not an error: ends a stream_writer loop with success

All of them, and the subclasses that programs write, can be pickled and copied.

Only `copies` is below this module.
"""

import re
from http import HTTPStatus
from typing import Any, SupportsIndex

from twistream.copies import reduced, restore_attributes

MAX_MESSAGE = 1000
"""
The maximum length of the message of an `HTTPError`, in characters. It is one line of text.
"""

_LINE_END = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class StreamError(Exception):
    """
    The base class of this library's errors.
    """

    # Exception passes `args` to __init__ when it unpickles or copies. Here they are the text, and
    # the parameters of __init__ are something else.

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """
        Support pickle and copy: keep `args` and the attributes, and do not call ``__init__``.
        """
        return reduced(self)

    def __setstate__(self, state: Any) -> None:
        """
        Restore the attributes: a dict, or a pair of one and the values of ``__slots__``.
        """
        restore_attributes(self, state)


class StreamClosed(StreamError):
    """
    The response ended early. It is not a bug of the code that receives this error.
    """


class ClientDisconnected(StreamClosed):
    """
    The client disconnected before the end of the response.

    Attributes:
        reason: The exception that Twisted reported, for instance a
            `twisted.internet.error.ConnectionLost`, or None.
    """

    def __init__(self, reason: BaseException | None = None) -> None:
        super().__init__("client disconnected")
        self.reason = reason


class SendTimeout(StreamClosed):
    """
    The connection was closed because the client accepted no data for too long.

    Attributes:
        seconds: The ``send_timeout`` that the client exceeded.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"client accepted no data for {seconds:g} seconds")
        self.seconds = seconds


class SlowConsumer(StreamClosed):
    """
    The connection was closed because too much data was queued for a slow client.

    Attributes:
        queued: The number of bytes that were queued for the client.
        limit: The number of bytes that may be queued.
    """

    def __init__(self, queued: int, limit: int) -> None:
        super().__init__(f"client too slow: {queued} bytes queued, the limit is {limit}")
        self.queued = queued
        self.limit = limit


class StreamAborted(StreamClosed):
    """
    The server ended the response early. The client can see that it is incomplete.

    Attributes:
        reason: The argument of ``abort()``. If the handler failed, the name of its exception.
            If the body did not have its declared length, the `ContentLengthMismatch`.
    """

    def __init__(self, reason: object = "") -> None:
        text = _SURROGATE.sub("\ufffd", _text(reason))
        super().__init__(f"stream aborted: {text}" if text else "stream aborted")
        self.reason = reason


class ResponseComplete(StreamClosed):
    """
    The response has no body (HEAD, 204, 205, 304), and its head is sent.
    """

    def __init__(self) -> None:
        super().__init__("this response has no body, and its head is sent")


class HeadersSent(StreamError):
    """
    The head of the response is sent: the status and the headers can no longer change.
    """

    def __init__(self) -> None:
        super().__init__("the head of the response has been sent")


class StreamFinished(StreamError):
    """
    The response is used after it ended normally: a bug of the caller.
    """

    def __init__(self) -> None:
        super().__init__("the response has ended")


class ChannelClosed(StreamError):
    """
    A message is published to a closed channel: a bug of the caller.

    Attributes:
        channel: The name of the channel.
    """

    def __init__(self, channel: str) -> None:
        super().__init__(f"the channel {channel!r} has been closed; publish before close()")
        self.channel = channel


class RunEnded(StreamError):
    """
    A message is published to a run that has ended.

    Attributes:
        run: The name of the run.
    """

    def __init__(self, run: str) -> None:
        super().__init__(f"the run {run!r} has ended")
        self.run = run


class RunOverflow(StreamError):
    """
    The history of a run has no room for a message.

    Attributes:
        run: The name of the run.
    """

    def __init__(self, run: str, why: str) -> None:
        super().__init__(f"the history of the run {run!r} has no room: {why}")
        self.run = run


class ContentLengthMismatch(StreamError):
    """
    The length of the body differs from the ``Content-Length`` that the handler declared.

    Attributes:
        declared: The declared length in bytes.
        written: The length of the body in bytes, including the data that was refused.
    """

    def __init__(self, declared: int, written: int) -> None:
        super().__init__(f"Content-Length is {declared}, the body has {written} bytes")
        self.declared = declared
        self.written = written


class BufferOverflow(StreamError):
    """
    More than ``max_buffered`` bytes are already queued for the client.

    The data of the call that raised it is discarded. The data before it stays queued.

    Attributes:
        buffered: The number of bytes that are queued.
        limit: The number of bytes that may be queued.
    """

    def __init__(self, buffered: int, limit: int) -> None:
        super().__init__(
            f"{buffered} bytes are queued for the client, the limit is {limit}; "
            "await flush() between writes"
        )
        self.buffered = buffered
        self.limit = limit


class EncodeError(StreamError, TypeError):
    """
    The format cannot represent a value.
    """


class DecodeError(StreamError, ValueError):
    """
    The input does not have the expected format.

    Attributes:
        offset: The position of the error, in bytes from the start of the stream.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason}, at byte {offset} of the stream")
        self.offset = offset


class LimitExceeded(DecodeError):
    """
    A part of the input is longer than the limit of its decoder.

    Attributes:
        limit: The limit.
        unit: What the limit counts, for instance ``bytes of a line``.
    """

    def __init__(self, offset: int, limit: int, unit: str) -> None:
        super().__init__(f"more than {limit} {unit}", offset)
        self.limit = limit
        self.unit = unit


class StreamTruncated(StreamError):
    """
    A response that was read from another server ended before it was complete.

    Attributes:
        received: The number of bytes of its body that were received.
        reason: The exception that Twisted reported, for instance a
            `twisted.web.client.ResponseFailed`, or None. `twisted.web.http.PotentialDataLoss`
            means that the body ended with its connection, and nothing says whether it was complete.
    """

    def __init__(self, received: int, reason: BaseException | None = None) -> None:
        cause = "" if reason is None else f" ({type(reason).__name__})"
        super().__init__(f"the body ended early, after {received} bytes{cause}")
        self.received = received
        self.reason = reason


class HTTPError(StreamError):
    """
    Raise it in a handler, before the head is sent, to answer with an error page.

    It is a normal response: nothing is logged.

    Attributes:
        status: The status code, from 400 to 599.
    """

    status: int = 500  # For a subclass that does not call __init__.
    _message = ""

    def __init__(self, status: int, message: object = "") -> None:
        """
        Args:
            status: The status code, from 400 to 599.
            message: See `message`. An exception is allowed, too: its text becomes the message.

        Raises:
            ValueError: `status` is not an int from 400 to 599.
        """
        if not isinstance(status, int) or not 400 <= status <= 599:
            msg = f"status must be from 400 to 599, not {status!r}"
            raise ValueError(msg)
        self.status = int(status)
        self.message = message
        super().__init__(f"{self.status} {self.message}".rstrip())

    @property
    def message(self) -> str:
        """
        One line of text for the error page.

        Any value can be set. It is converted, so that an error page can always be made of it:

        - None becomes the empty string, bytes are decoded as UTF-8, and any other value is
          converted by ``str()``. If that fails, the message is the name of its type.
        - Line ends, with the spaces around them, become one space.
        - Other control characters and lone surrogates become U+FFFD.
        - A message of more than 1000 characters is shortened.
        """
        return self._message

    @message.setter
    def message(self, value: object) -> None:
        text = _text(value)[: 2 * MAX_MESSAGE]
        text = _UNPRINTABLE.sub("\ufffd", _LINE_END.sub(" ", text).strip())
        if len(text) > MAX_MESSAGE:
            text = f"{text[: MAX_MESSAGE - 3]}..."
        self._message = text

    @property
    def title(self) -> str:
        """
        The status code and its standard phrase, for instance ``404 Not Found``.
        """
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


class StopStream(Exception):
    """
    Raise it in the function that was given to ``stream_writer`` to end the loop with success.
    """

    # See StreamError.

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """
        Support pickle and copy: keep `args` and the attributes, and do not call ``__init__``.
        """
        return reduced(self)

    def __setstate__(self, state: Any) -> None:
        """
        Restore the attributes: a dict, or a pair of one and the values of ``__slots__``.
        """
        restore_attributes(self, state)


def _text(value: object) -> str:
    """
    Return the text of any value. It never fails.
    """
    if value is None:
        return ""
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value).decode("utf-8", "replace")
        # A subclass may override anything. str.__str__ returns a plain str.
        return str.__str__(value if isinstance(value, str) else str(value))
    except Exception:  # noqa: BLE001 - an error that explains another one must not fail
        return f"<{type(value).__name__}>"
