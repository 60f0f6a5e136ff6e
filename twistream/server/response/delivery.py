"""
MessageWriter: a `ResponseWriter` that also sends messages of broadcasts and channels.

Layer: response, below `twistream.server.response.response`.
"""

from twisted.internet.defer import Deferred

from twistream.server.response.phase import Phase
from twistream.server.response.writer import ResponseWriter, Urgency
from twistream.wire.frames import Batch

_BODY = Phase.BODY


class MessageWriter(ResponseWriter):
    """
    Writes the data of the handler, and sends messages of broadcasts and channels in between.
    """

    __slots__ = ()

    @property
    def full(self) -> bool:
        """
        Whether the connection accepts no more for now, or the limit is reached.
        """
        room = self._room
        if room.left < 0:
            room.measure(self)
        boundary = self._boundary
        return self._out.full or room.left < 0 or (boundary is not None and boundary.inside)

    def send_at_once(self, batch: Batch) -> bool:
        """
        Send a batch if the body has begun, the connection is not full and nothing is pending.

        Returns whether it was sent. It counts the bytes itself, because a call costs too much here.
        """
        out, room = self._out, self._room
        if (
            self._life.phase is not _BODY
            or out.full
            or out.pending
            or room.left < 0
            or room.declared is not None
            or (self._boundary is not None and self._boundary.inside)
        ):
            return False
        room.left -= batch.size
        room.written += batch.size
        self.last_sent = self._turn.began
        out.send_batch(batch)
        return True

    def deliver(self, batch: Batch) -> None:
        """
        Send each message of a batch as a chunk of its own, ahead of the buffer.

        After the end of the response it does nothing.

        Raises:
            BufferOverflow: Too much is queued for the client. Nothing of the batch is sent.
            ContentLengthMismatch: The body would be longer than declared.
        """
        if (self._life.phase is not _BODY and not self._begins()) or not batch.size:
            return
        self._room.admit(batch.size, self)
        if (boundary := self._boundary) is not None and boundary.inside:
            boundary.postpone(batch.frames)
            return
        self.last_sent = self._turn.began
        out = self._out
        if out.pending:
            for frame in batch.frames:
                out.put(frame.data)
            self.push()
        else:
            out.send_batch(batch)

    def wait_to_deliver(self) -> Deferred[None] | None:
        """
        Return a Deferred that fires when the next batch may be sent; None if it may be now.
        """
        if self._life.ended:
            return self.failed_wait()
        if (boundary := self._boundary) is not None and boundary.inside:
            return boundary.wait(self._ensure_waits())
        now = self._turn.seconds()
        if self._share.enter(now):
            self._pushed = False
        return self._until_more(now, Urgency.COALESCE)
