"""
Outbound: frames one response and sends it to its connection.

Only an outbound touches the transport. It keeps framed bytes until they are pushed, reports
whether the connection is full, and ends a response normally or so that the client sees that
it is incomplete. It knows no handlers and has no timers: its owner decides when to push, and
cuts stalled clients.

This is the part that all protocols share; `http1` and `http2` have the rest.

Layer: connection, below the protocols.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IPushProducer
from twisted.web.server import Request
from zope.interface import implementer

from twistream.scheduling.turn import Turn
from twistream.server.connection.request import BorrowedRequest
from twistream.server.connection.sockets import descriptor
from twistream.wire.frames import Batch, Fields


class Owner(Protocol):
    """
    The response that an outbound works for.
    """

    def queued(self) -> None:
        """
        Some of what was sent is queued in this process.
        """

    def drained(self) -> None:
        """
        The connection was full, and accepts more now.
        """


@implementer(IPushProducer)
class Outbound(ABC):
    """
    The base of the outbounds of all protocols.

    Attributes:
        full: The connection accepts no more for now.
        handed: The number of bytes handed to the connection so far.
        pending: The number of bytes that are framed and wait for a push.
        coalesces: Whether messages may wait for the end of a turn. False if the clock is not
            the connection's reactor, because its turns end at other times.
    """

    __slots__ = (
        "_borrowed",
        "_owner",
        "_resumes",
        "_socket",
        "_turn",
        "coalesces",
        "full",
        "handed",
        "pending",
    )

    def __init__(self, request: Request, transport: object, turn: Turn, owner: Owner) -> None:
        self._borrowed = BorrowedRequest(request)
        self._turn = turn
        self._owner: Owner | None = owner
        self._resumes = 0
        self.full = False
        self.handed = 0
        self.pending = 0
        self._socket = socket = descriptor(transport)
        reactor: object = turn.clock if socket is None else socket.reactor
        self.coalesces = reactor is turn.clock

    @abstractmethod
    def start(self) -> None:
        """
        Frame the head, as Twisted writes it. Called once, before anything else is framed.
        """

    @abstractmethod
    def put(self, data: bytes) -> None:
        """
        Frame `data` as one piece of the body, a chunk or a DATA frame, for the next push.
        """

    def put_end(self) -> None:  # noqa: B027 - END_STREAM of HTTP/2 is sent by `finish`
        """
        Frame the end of the body, for the next push. `finish` follows that push.
        """

    @abstractmethod
    def put_trailers(self, trailers: Fields) -> None:
        """
        Like `put_end`, with fields that follow the body. Where none can follow, they are dropped.
        """

    @abstractmethod
    def push(self) -> None:
        """
        Send what is pending in one piece.

        On plain TCP with an empty queue, it is on the socket when this returns. What the socket
        does not accept is queued, and `Owner.queued` is called.
        """

    def may_send(self) -> bool:
        """
        Whether bytes may bypass Twisted's buffer, straight to the socket.
        """
        return False

    @abstractmethod
    def send_batch(self, batch: Batch) -> None:
        """
        `put` each message of `batch`, and push. Nothing may be pending.
        """

    def watch_hangup(self) -> None:  # noqa: B027 - not needed on every protocol
        """
        Notice a client that disconnects while Twisted does not read from it.
        """

    def _report_queued(self) -> None:
        if self._owner is not None:
            self._owner.queued()

    def has_unsent(self) -> bool:
        """
        Whether bytes are queued for the client. Called now and then, not for each message.
        """
        return self.full or self.backlog() > 0

    @abstractmethod
    def backlog(self) -> int:
        """
        The number of bytes that wait in this process, pending or handed over.

        An estimate where the transport does not show its queue.
        """

    @abstractmethod
    def progress(self) -> tuple[int, int]:
        """
        A mark that grows when the client accepts some of what was sent.
        """

    @abstractmethod
    def abort(self) -> bool:
        """
        End the connection or the stream so that the client sees it is incomplete.

        What was pushed before is sent first. Returns whether this is done. If not, call it
        again later, or call `cut` to stop waiting.
        """

    @abstractmethod
    def cut(self) -> None:
        """
        Abort at once: what the client has not accepted is lost.
        """

    @property
    def closes(self) -> bool:
        """
        See `BorrowedRequest.closes`.
        """
        return self._borrowed.closes

    def watch_close(self, still_moving: Callable[[], bool], seconds: float) -> None:
        """
        See `BorrowedRequest.watch_close`.
        """
        self._borrowed.watch_close(still_moving, seconds)

    def finish(self) -> None:
        """
        The response is complete: give the request back to Twisted.

        This may run the handler of the next request on this connection.
        """
        self._borrowed.finish()

    def release(self) -> None:
        """
        The response is over: stop watching for a hang-up, and forget the owner.
        """
        self._owner = None  # No reference cycle remains.
        self._borrowed.release()

    def pauseProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        self.full = True

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        self._resumes += 1
        if self.full:
            self.full = False
            if self._owner is not None:
                self._owner.drained()

    def stopProducing(self) -> None:  # noqa: B027, N802 - IPushProducer; nothing for subclasses to add
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        # Nothing: the request reports the disconnect, with its reason.
