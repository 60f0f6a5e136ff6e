"""
Room: the limits of one response, which are its Content-Length and ``max_buffered``.

Backpressure starts here: the writer makes a flush wait when there is little room left, and a
write without room fails. How long one stream may go on in a turn is not a matter of room, but
of pacing, and the writer's.

Layer: response, at the bottom.
"""

from typing import Protocol

from twistream.errors import BufferOverflow, ContentLengthMismatch
from twistream.wire.frames import SEND_SIZE

WAIT_COST = 512
"""
Bytes that a waiting Deferred counts for, so that a handler which flushes without awaiting is
limited too. About what it takes in memory.
"""


class Queue(Protocol):
    """
    What takes up the room.
    """

    def load(self) -> int:
        """
        The number of bytes that count against the limit now.
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
