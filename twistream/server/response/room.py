"""
Room: the limits of one response, which are its Content-Length and ``max_buffered``.

`ResponseWriter` decides on backpressure: its flush waits when little room is left. A write
without room fails here.

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
Bytes that a waiting Deferred counts for, about what it takes in memory. So a handler that
flushes without awaiting is limited, too.
"""

_DRAIN_INTERVAL = 0.01
"""
Seconds between checks of a connection that holds half of the limit and is not full, so Twisted
does not report when it drains. That happens only with a small limit. It is as long as a slice.
"""


class Queue(Protocol):
    """
    The queue that the limits apply to.
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
    How much more may be written.

    Attributes:
        declared: The Content-Length that the body must have, or None.
        left: The bytes that may be queued before the queue is measured again, which for each
            message would cost too much. Never more than what is left of the limit.
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
        Set `left` to what is left of the limit.
        """
        self.left = self.limit - queue.load()

    def wait(self, queue: Queue, waits: Waits, clock: IReactorTime) -> Deferred[None]:
        """
        Return a Deferred that fires when half of the limit is free.

        Args:
            waits: The set to which the Deferred is added.
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
