"""
ResponseWriter: the buffer of one response, its flushes, and backpressure.

It decides when data is sent, and when a flush has to wait: for a slow client, or for the next
turn. `Room` counts what may be written, and `Outbound` frames and sends it.

Layer: response, below `twistream.server.response.response`.
"""

from collections.abc import Callable
from enum import Enum
from functools import partial
from threading import get_ident

from twisted.internet.defer import Deferred, succeed
from twisted.python import threadable

from twistream.errors import ContentLengthMismatch
from twistream.scheduling.tasks import notify_running_task
from twistream.scheduling.threads import refuse_thread
from twistream.scheduling.turn import Share, Turn
from twistream.scheduling.waits import FailedWait, Gate, Waits, fail_quietly
from twistream.server.connection.outbound import Outbound
from twistream.server.response.boundary import Boundary
from twistream.server.response.head import Head
from twistream.server.response.phase import Life, Phase
from twistream.server.response.room import WAIT_COST, Room
from twistream.wire.frames import SEND_SIZE, Batch

_BUFFER_LIMIT = 16 * 1024
"""
Bytes. A larger buffer is sent without a flush. As large as a TLS record.
"""

_COALESCE_TIME = 0.0005
"""
Seconds that a message of a loop waits to be sent together with others. A send costs as much as
framing ten messages, and no reader notices half a millisecond.
"""

_HEAD, _BODY = Phase.HEAD, Phase.BODY

_EMPTY: list[bytes] = []  # Shared by all empty buffers, and never changed.


class Urgency(Enum):
    """
    When a flush is sent.
    """

    NOW = "within the call, if it is the first of the turn: for handlers and slow loops"
    COALESCE = "together with others, at most half a millisecond later: for fast loops"


_NOW, _COALESCE = Urgency.NOW, Urgency.COALESCE


class ResponseWriter:
    """
    Writes the body of one response.

    Attributes:
        begin_body: Frames the head, and returns whether a body may follow. None once that is done.
        buffered: The number of bytes that were written and not flushed.
        last_sent: When the turn began in which something was sent last, in seconds.
        waits: The Deferreds of those who wait to send; None if nobody did.
    """

    __slots__ = (
        "_boundary",
        "_drain",
        "_head",
        "_life",
        "_out",
        "_parts",
        "_pending_since",
        "_pushed",
        "_room",
        "_share",
        "_turn",
        "begin_body",
        "buffered",
        "last_sent",
        "waits",
    )

    def __init__(  # noqa: PLR0913 - the parts of a response, from one caller
        self,
        *,
        life: Life,
        head: Head,
        room: Room,
        out: Outbound,
        turn: Turn,
        begin_body: Callable[[], bool],
    ) -> None:
        self._life = life
        self._head = head
        self._room = room
        self._out = out
        self._turn = turn
        self.begin_body: Callable[[], bool] | None = begin_body
        self.last_sent = 0.0
        self._parts = _EMPTY
        self.buffered = 0
        self._pending_since: float | None = None
        self.waits: Waits | None = None
        self._drain: Gate | None = None  # Until a flush waits for a full connection.
        self._share = Share(turn)
        self._boundary: Boundary | None = None
        self._pushed = False

    # The buffer.

    def write(self, data: bytes) -> int:
        """
        Append `data` to the buffer, and return its size in bytes.

        Raises:
            BufferOverflow: Too much is queued for the client.
            ContentLengthMismatch: The body would be longer than declared.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
        """
        if self._life.phase is not _BODY:
            self._check_head()
        size = len(data)
        if not size:
            return 0
        self._room.admit(size, self)
        if self.buffered:
            self._parts.append(data)
        else:
            self._parts = [data]
        self.buffered += size
        if self.buffered > _BUFFER_LIMIT and (self._life.phase is _BODY or self._begins()):
            if threadable.ioThread not in (None, get_ident()):
                refuse_thread("write()", "use reactor.callFromThread")
            self.put_buffer()
            self._push_or_coalesce(self._turn.clock.seconds(), _COALESCE)
        return size

    def put_buffer(self) -> None:
        """
        End a chunk: frame the buffer for the next push.
        """
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts, self.buffered = _EMPTY, 0
        self._out.put(data)
        # Whole events end like this: they are the common case, and cost no call.
        boundary = self._boundary
        if boundary is not None and (boundary.inside or not data.endswith(b"\n\n")):
            boundary.note(data)

    def drop(self) -> None:
        """
        Discard the buffer, as if it had not been written.
        """
        self._room.written -= self.buffered
        self._parts, self.buffered = _EMPTY, 0

    def replace(self, body: bytes) -> None:
        """
        Make `body` the whole body. It may exceed `max_buffered`, which may be why it is sent.
        """
        self._parts = [body]
        self.buffered = self._room.written = len(body)

    def keep_whole(self, ends: Callable[[bytes], bool]) -> None:
        """
        From now on, deliver nothing in the middle of an event or a line. See `Boundary`.
        """
        if self._boundary is None:
            self._boundary = Boundary(ends, self._out)

    # Sending.

    def flush(self) -> Deferred[None]:
        """
        End a chunk and send it. The Deferred fires when more may be written.
        """
        if threadable.ioThread not in (None, get_ident()):
            refuse_thread("flush()", "use reactor.callFromThread")
        return self.flush_step(_NOW) or succeed(None)

    def flush_step(self, urgency: Urgency) -> Deferred[None] | None:
        """
        Flush. Returns a Deferred that fires when more may be written; None if it may be now.
        """
        try:
            if self._life.phase is not _BODY and not self._begins():
                return self.failed_wait()
        except ContentLengthMismatch as err:
            return FailedWait(err, list)
        if self.buffered:
            self.put_buffer()
        now = self._turn.clock.seconds()
        self._push_or_coalesce(now, urgency)
        return self._until_more(now, urgency)

    def send_step(self, data: bytes) -> Deferred[None] | None:
        """
        Write `data` and flush, for a loop. Returns what `flush_step` returns.
        """
        if self.buffered or not data or self._life.phase is not _BODY or self._boundary is not None:
            self.write(data)
            return self.flush_step(_COALESCE)
        self._room.admit(len(data), self)
        self._out.put(data)
        now = self._turn.clock.seconds()
        self._push_or_coalesce(now, _COALESCE)
        return self._until_more(now, _COALESCE)

    def push(self) -> None:
        """
        Send everything that is framed and pending.
        """
        self._pending_since = None
        # After the end of a response nothing is pending.
        if self._out.pending:
            self.last_sent = self._turn.began
            self._out.push()

    # Messages that are sent to many responses.

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
        now = self._turn.clock.seconds()
        if self._share.enter(now):
            self._pushed = False
        return self._until_more(now, _COALESCE)

    # Waiting.

    def load(self) -> int:
        """
        See `twistream.server.response.room.Queue`.
        """
        return self.backlog + WAIT_COST * len(self.waits or ())

    @property
    def backlog(self) -> int:
        """
        The number of bytes that wait in this process, as far as that can be seen.
        """
        postponed = 0 if self._boundary is None else self._boundary.postponed
        return self.buffered + self._out.backlog() + postponed

    def drained(self) -> None:
        """
        The connection was full and accepts more now: fire the Deferreds that wait for it.
        """
        if self._drain is not None:
            self._drain.open()

    def failed_wait(self) -> Deferred[None]:
        """
        Return a Deferred that fails with the reason for the end, now or in a later turn.
        """
        now = self._turn.clock.seconds()
        self._share.enter(now)
        error = self._life.error()
        if self._share.may_go_on(now):
            return FailedWait(error, notify_running_task)
        wait: Deferred[None] = Deferred(lambda wait: fail_quietly(wait, error))
        self._turn.soon(partial(self._life.run, wait.cancel))
        return wait

    # Inside.

    def _check_head(self) -> None:
        """
        Raise if the response is over. Otherwise, take the Content-Length that is set so far.
        """
        if self._life.phase is not _HEAD:
            self._life.raise_error()
        # The handler can still change both. A body that is not sent may have any length.
        head, declared = self._head, self._head.declared
        self._room.declared = None if declared is None or head.bodyless() else declared

    def _begins(self) -> bool:
        """
        Frame the head, unless the response is over. Returns whether a body may follow.
        """
        return self.begin_body is not None and self.begin_body()

    def _push_or_coalesce(self, now: float, urgency: Urgency) -> None:
        """
        Push what is pending now, or schedule the push for the end of the turn.
        """
        out = self._out
        if self._share.enter(now):
            self._pushed = False
        if out.pending:
            first = urgency is _NOW and not self._pushed
            if first or out.pending > SEND_SIZE or not out.coalesces:
                self._pushed = True
                self.push()
            elif self._pending_since is None:
                self._pending_since = now
                self._turn.at_end(self.push)
            elif urgency is _COALESCE and now - self._pending_since > _COALESCE_TIME:
                self.push()

    def _until_more(self, now: float, urgency: Urgency) -> Deferred[None] | None:
        """
        Decide on backpressure: the Deferred to wait for before more is written, or None.
        """
        if self._out.full:
            self._room.left -= WAIT_COST
            self._drain = self._drain or Gate(self._ensure_waits())
            return self._drain.wait()
        room = self._room
        if room.left < room.low:
            room.measure(self)
            if room.left < room.limit // 2:
                return room.wait(self, self._ensure_waits(), self._turn.clock)
        # A transport without a socket may not report that it is full, so give it a turn.
        if self._share.may_go_on(now) and room.left >= room.low:
            return None
        if urgency is _COALESCE:
            self.push()
        waits = self._ensure_waits()
        self._turn.soon(partial(waits.fire, wait := waits.add()))
        room.left -= WAIT_COST
        return wait

    def _ensure_waits(self) -> Waits:
        if self.waits is None:
            self.waits = Waits(self._life)
        return self.waits
