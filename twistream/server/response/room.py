"""
Room: the limits of one response, which are its Content-Length and ``max_buffered``.

Backpressure starts here: the writer makes a flush wait when there is little room left, and a
write without room fails. How long one stream may go on in a turn is not a matter of room, but
of pacing, and the writer's.

Layer: response, at the bottom.
"""

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twistream.errors import BufferOverflow, ContentLengthMismatch
from twistream.scheduling.waits import Waits
from twistream.wire.frames import SEND_SIZE

WAIT_COST = 512
"""
Bytes that a waiting Deferred counts for, so that a handler which flushes without awaiting is
limited too. About what it takes in memory.
"""

_DRAIN_INTERVAL = 0.01
"""
Seconds between checks of a connection that holds much of the limit and is not full. This
happens only where the limit is small, and Twisted does not report the drain. As long as a slice.
"""


class Queue(Protocol):
    """
    What takes up the room.
    """

    @property
    def backlog(self) -> int:
        """
        The number of bytes that wait in this process.
        """

    def load(self) -> int:
        """
        The number of bytes that count against the limit: the backlog and the waits.
        """


class Room:
    """
    How much may still be written.

    Attributes:
        declared: The Content-Length that the body must have, or None.
        left: The bytes that may be queued before the queue is measured again. At most what
            is left of the limit, because measuring for each message would cost too much.
        limit: The bytes that may be queued when more are written: ``max_buffered``.
        low: Below this, `left` is too small to go on without a measurement.
        written: The number of bytes written so far.
    """

    __slots__ = ("declared", "left", "limit", "low", "written")

    def __init__(self, limit: int) -> None:
        self.declared: int | None = None
        self.left = limit
        self.limit = limit
        self.low = limit - min(SEND_SIZE, limit // 2)
        self.written = 0

    def admit(self, size: int, queue: Queue) -> None:
        """
        Count `size` more bytes.

        Raises:
            BufferOverflow: More than the limit is queued already. Nothing was counted.
            ContentLengthMismatch: The body would be longer than declared.
        """
        written = self.written + size
        if self.declared is not None and written > self.declared:
            raise ContentLengthMismatch(self.declared, written)
        if self.left < 0:
            self.measure(queue)
            if self.left < 0:
                raise BufferOverflow(self.limit - self.left, self.limit)
        self.left -= size
        self.written = written

    def measure(self, queue: Queue) -> None:
        """
        Find out how much is left.
        """
        self.left = self.limit - queue.load()

    def wait(self, queue: Queue, waits: Waits, clock: IReactorTime) -> Deferred[None]:
        """
        Wait until half of the limit is free.

        Args:
            waits: The Deferreds of this response, to which this adds one.
        """
        call: IDelayedCall

        def check() -> None:
            nonlocal call
            if queue.backlog <= self.limit // 2:
                waits.fire(wait)
            else:
                call = clock.callLater(_DRAIN_INTERVAL, check)

        call = clock.callLater(_DRAIN_INTERVAL, check)
        wait = waits.add(release=lambda _: call.cancel())
        return wait
