"""
Body: the body of one response as it is received, with backpressure.

It works with the responses of treq and of `twisted.web.client`, and with any other `IResponse`.

Layer: client, at the bottom.
"""

from collections import deque
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import GzipDecoder
from twisted.web.iweb import IResponse

from twistream.checks import check_count, check_timer, has_methods
from twistream.client.errors import IdleTimeout
from twistream.server.connection.upstream import abort, deliver, truncation, unwrapped

_PAUSE_AFTER = 2**18
"""
Bytes that a consumer may take without a wait before other work of the reactor gets a turn.
"""


@frozen
class Options:
    """
    How a body is read.

    Attributes:
        idle_timeout: The connection is closed if no byte arrives for this number of seconds while it
            is being read. None for no limit.
        max_buffered: The number of bytes after which the connection is paused.
        allow_close_delimited: A body that ends with its connection counts as complete.
    """

    idle_timeout: float | None
    max_buffered: int
    allow_close_delimited: bool

    def __attrs_post_init__(self) -> None:
        if self.idle_timeout is not None:
            check_timer("idle_timeout", self.idle_timeout)
        check_count("max_buffered", self.max_buffered, 0)
        if not isinstance(self.allow_close_delimited, bool):
            msg = "allow_close_delimited must be a bool, not "
            raise TypeError(msg + type(self.allow_close_delimited).__name__)


class Body(Protocol):
    """
    Receives a body, and keeps what its reader has not taken yet.

    Attributes:
        received: The number of bytes that were received, before any decoding.
        end: None while more may follow. The empty string once the body is complete, and the
            error if it broke off.
    """

    transport: Any  # A proxy that Twisted's annotations do not describe.

    def __init__(self, clock: IReactorTime, options: Options) -> None:
        """
        Args:
            clock: For the timeout.
        """
        self.received = 0
        self.end: Exception | str | None = None
        self._clock = clock
        self._idle_timeout = options.idle_timeout
        self._max_buffered = options.max_buffered
        self._allow_close_delimited = options.allow_close_delimited
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._taken = 0
        self._paused = False
        self._waiting: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._is_last_check = False
        self._since = 0.0  # When the last byte arrived, or the connection was resumed.

    def read_from(self, response: IResponse) -> None:
        """
        Start to read the body of `response`.

        Raises:
            RuntimeError: The body has been read.
        """
        deliver(response, self)
        if self._paused and self.end is None:
            self.transport.pauseProducing()  # Twisted resumes the connection after `makeConnection`.

    def connectionMade(self) -> None:  # noqa: N802 - IProtocol
        self._start_timer()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - IProtocol
        if self.end is not None:
            return
        self.received += len(data)
        self._pieces.append(data)
        self._size += len(data)
        if self._idle_timeout is not None:
            self._since = self._clock.seconds()
        if self._waiting is not None:
            self._taken = 0
            self._notify()
        # What the reader took at once does not count.
        if self._size and self._size >= self._max_buffered and not self._paused:
            self._paused = True
            if self.end is None:
                self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 - IProtocol
        allowed = self._allow_close_delimited
        self._finish(truncation(reason, self.received, allow_close_delimited=allowed) or "")

    def take(self) -> bytes:
        """
        Return the next bytes that were received, or nothing if there are none yet.
        """
        if not self._pieces:
            return b""
        data = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return data

    def wait(self) -> Deferred[None]:
        """
        Wait until there are more bytes, or the end of the body. Resumes the connection.

        Cancelling the Deferred aborts the connection.

        Raises:
            RuntimeError: Somebody else waits.
        """
        waiting = self._begin_wait()
        if self._pieces or self.end is not None:
            self._notify()
        elif self._paused:
            self._paused = False
            self._since = self._clock.seconds()
            self._start_timer()
            self.transport.resumeProducing()
        return waiting

    def give_way(self, size: int) -> Deferred[None] | None:
        """
        Count bytes that the reader takes without a wait, and let other work go first if they are many.

        Args:
            size: The number of decoded bytes.

        Returns:
            None to go on at once. A Deferred like that of `wait` fires in the next turn.
        """
        self._taken += size
        if self._taken < _PAUSE_AFTER:
            return None
        self._taken = 0
        waiting = self._begin_wait()
        self._clock.callLater(0, self._notify_if, waiting)
        return waiting

    def forget(self) -> None:
        """
        Do not fire the Deferred of the reader that waits.
        """
        self._waiting = None

    def abort(self) -> None:
        """
        Close the connection at once, even if it is silent. A complete body has none any more.
        """
        is_open = self.end is None
        self._pieces.clear()
        self._size = 0
        self._finish("")
        if is_open:
            abort(self.transport)

    def _begin_wait(self) -> Deferred[None]:
        if self._waiting is not None:
            msg = "another task already waits for the next item of this response"
            raise RuntimeError(msg)
        self._waiting = Deferred(self._cancelled)
        return self._waiting

    def _cancelled(self, deferred: Deferred[None]) -> None:
        self._waiting = None
        self.abort()
        deferred.errback(Failure(CancelledError()))

    def _notify_if(self, waiting: Deferred[None]) -> None:
        if self._waiting is waiting:
            self._notify()

    def _notify(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _finish(self, end: Exception | str) -> None:
        if self.end is not None:
            return
        self.end = end
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._notify()

    def _start_timer(self) -> None:
        if self._idle_timeout is not None and self._timer is None:
            self._since = self._clock.seconds()
            self._timer = self._clock.callLater(self._idle_timeout, self._check_idle)

    def _check_idle(self) -> None:
        # One call for many bytes: to move it at each of them would cost more.
        self._timer = None
        if self._paused or self._idle_timeout is None:
            return
        left = self._since + self._idle_timeout - self._clock.seconds()
        if left > 0 or not self._is_last_check:
            # If the reactor was busy for long, bytes may have arrived that nobody could read yet.
            self._is_last_check = left <= 0
            self._timer = self._clock.callLater(max(left, 0), self._check_idle)
            return
        abort(self.transport)
        self._finish(IdleTimeout(self.received, self._idle_timeout))


def opened(response: Any) -> tuple[IResponse, list[str]]:
    """
    Find out how the body of a response is to be read.

    treq decodes gzip without a limit, and does not notice if it breaks off. So the response below its
    decoder is read.

    Returns:
        The response to read, and its content codings in the order in which they were applied.

    Raises:
        TypeError: It is not a response.
        ValueError: treq keeps its body in memory.
    """
    if isinstance(response, Deferred) or not has_methods(response, "deliverBody"):
        msg = f"response must be a response of treq or an IResponse, not {type(response).__name__}"
        if isinstance(response, Deferred):
            msg += "; await it first"
        raise TypeError(msg)
    fields = response.headers.getRawHeaders("Content-Encoding", [])
    codings = [name.strip().lower() for name in ",".join(fields).split(",") if name.strip()]
    readable = response
    for each in unwrapped(response):
        if isinstance(each, GzipDecoder):
            codings.append("gzip")
            readable = each.original
    return readable, codings


def discard(response: IResponse, clock: IReactorTime) -> None:
    """
    Close the connection of a response that nobody reads. It would stay open.
    """
    body = Body(clock, Options(None, 0, allow_close_delimited=True))
    body.read_from(opened(response)[0])
    body.abort()
