"""
The exceptions of this library, in one tree. Misuse raises Python's own.

::

    StreamError
    |- StreamClosed            the response is over; not the caller's bug
    |  |- ClientDisconnected     the client left before the end
    |  |- SendTimeout            the client took nothing for send_timeout seconds
    |  |- SlowConsumer           the client read slower than was sent to it, and was cut
    |  |- StreamAborted          abort() was called, or the handler failed
    |  `- ResponseComplete       a response without a body had all it may have
    |- HeadersSent             too late to change the head
    |- StreamFinished          used after the end: a bug of the caller
    |- ChannelClosed           published to after its end: a bug of the caller
    |- ContentLengthMismatch   the body does not fit the declared Content-Length
    |- BufferOverflow          too much waits to be sent
    |- EncodeError             also TypeError: a value that its format cannot hold
    |- DecodeError             also ValueError: what was read does not fit its format
    |  `- LimitExceeded          more of it than may be kept
    `- HTTPError               a status and a message to answer with

    StopStream                 no error: ends a stream_writer loop with success

This is the lowest layer: it imports nothing of the library.
"""

from collections.abc import Mapping
from http import HTTPStatus


class StreamError(Exception):
    """
    The root of this library's errors.
    """


class StreamClosed(StreamError):
    """
    The response is over before its time. Not the fault of the code that sees it.
    """


class ClientDisconnected(StreamClosed):
    """
    The client left before the end of the response.

    Attributes:
        reason: What Twisted reported, for instance a
            `twisted.internet.error.ConnectionLost`.
    """

    def __init__(self, reason: BaseException | None = None) -> None:
        super().__init__("client disconnected")
        self.reason = reason


class SendTimeout(StreamClosed):
    """
    The client took nothing for too long while data waited, so it was cut off.

    Attributes:
        seconds: For how long a client may take nothing, which it did.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"client took nothing for {seconds:g} seconds")
        self.seconds = seconds


class SlowConsumer(StreamClosed):
    """
    The client took less than was sent to it, for longer than could be buffered.

    Attributes:
        statistics: How it stood with the client, in bytes: ``queued`` is what waited for
            it, ``limit`` what may.
    """

    def __init__(self, statistics: Mapping[str, int]) -> None:
        super().__init__("client too slow: {queued} bytes wait of {limit}".format(**statistics))
        self.statistics = statistics


class StreamAborted(StreamClosed):
    """
    The server ended the response early, in a way that the client can see.

    Attributes:
        reason: What was given to ``abort()``; where the handler failed, the name of its
            error, or the `ContentLengthMismatch` that it left.
    """

    def __init__(self, reason: object = "") -> None:
        super().__init__(f"stream aborted: {reason}" if reason else "stream aborted")
        self.reason = reason


class ResponseComplete(StreamClosed):
    """
    A response that may have no body (HEAD, 204, 205, 304) had all it may have.
    """

    def __init__(self) -> None:
        super().__init__("this response has no body, and its head is sent")


class HeadersSent(StreamError):
    """
    The head of the response has left: status and headers can no longer change.
    """

    def __init__(self) -> None:
        super().__init__("the head of the response has been sent")


class StreamFinished(StreamError):
    """
    The response was used after it had ended in good order: a bug of the caller.
    """

    def __init__(self) -> None:
        super().__init__("the response has ended")


class ChannelClosed(StreamError):
    """
    Something was published to a channel that has been closed: a bug of the caller.

    Attributes:
        channel: The name of the channel.
    """

    def __init__(self, channel: str) -> None:
        super().__init__(f"the channel {channel!r} has been closed")
        self.channel = channel


class ContentLengthMismatch(StreamError):
    """
    The body is not as long as the ``Content-Length`` that the handler declared.

    Attributes:
        declared: The declared length in bytes.
        written: The length in bytes that the body has, or would have had.
    """

    def __init__(self, declared: int, written: int) -> None:
        super().__init__(f"Content-Length is {declared}, the body has {written} bytes")
        self.declared = declared
        self.written = written


class BufferOverflow(StreamError):
    """
    More than ``max_buffered`` bytes wait for the client already.

    Nothing of the write that raised it was taken, and all before it is kept.

    Attributes:
        buffered: How many bytes wait.
        limit: How many may.
    """

    def __init__(self, buffered: int, limit: int) -> None:
        super().__init__(
            f"{buffered} bytes wait for the client, the limit is {limit}; "
            "await flush() between writes"
        )
        self.buffered = buffered
        self.limit = limit


class EncodeError(StreamError, TypeError):
    """
    A value cannot be expressed in the format that was asked for.
    """


class DecodeError(StreamError, ValueError):
    """
    What was read does not fit its format.

    Attributes:
        offset: Where in the stream that is, in bytes from its beginning.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason}, at byte {offset} of the stream")
        self.offset = offset


class LimitExceeded(DecodeError):
    """
    A part of what was read is longer than its reader may keep.

    Attributes:
        limit: How long it may be.
        unit: What the limit counts, ``bytes of a line`` for instance.
    """

    def __init__(self, offset: int, limit: int, unit: str) -> None:
        super().__init__(f"more than {limit} {unit}", offset)
        self.limit = limit
        self.unit = unit


class HTTPError(StreamError):
    """
    Raised by a handler, before anything is sent, to choose the error page.

    It is an answer, not a failure: nothing is logged.

    Attributes:
        status: The status code, 400 to 599.
        message: One line for the reader of the page.
    """

    def __init__(self, status: int, message: str = "") -> None:
        """
        Raises:
            ValueError: `status` is not the code of an error.
        """
        if not isinstance(status, int) or not 400 <= status <= 599:
            msg = f"an error page has a status from 400 to 599, not {status!r}"
            raise ValueError(msg)
        super().__init__(f"{int(status)} {message}".rstrip())
        self.status = int(status)
        self.message = message

    @property
    def title(self) -> str:
        """
        The status with its standard phrase, ``404 Not Found``.
        """
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


class StopStream(Exception):
    """
    Raised by the function given to ``stream_writer`` to end the loop with success.
    """
