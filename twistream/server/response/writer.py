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

from twisted.internet.defer import Deferred
from twisted.python import threadable

from twistream.errors import ContentLengthMismatch
from twistream.scheduling.tasks import notify_running_task
from twistream.scheduling.threads import check_thread, refuse_thread
from twistream.scheduling.turn import Share, Turn
from twistream.scheduling.waits import FailedWait, Fired, Gate, Waits, fail_quietly
from twistream.server.response.boundary import Boundary
from twistream.server.response.head import Head
from twistream.server.response.phase import Life, Phase
from twistream.server.response.room import WAIT_COST, Room
from twistream.server.response.sink import MakeStage, Sink, Stage
from twistream.wire.frames import SEND_SIZE
from twistream.wire.messages import Format

_BUFFER_LIMIT = 16 * 1024
"""
Bytes. A larger buffer is sent without a flush. As large as a TLS record.
"""

_COALESCE_TIME = 0.0005
"""
Seconds that a message waits to be sent together with others. A send costs as much as framing ten
messages, and no reader notices half a millisecond.
"""

_NO_BURST = -1.0
"""
The end of a burst while no messages wait: no clock shows this time.
"""

_HEAD, _BODY = Phase.HEAD, Phase.BODY

_EVENT_END = b"\n\n"

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
        "_burst_ends",
        "_drain",
        "_head",
        "_life",
        "_out",
        "_parts",
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
        out: Sink,
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
        # Messages that wait to be sent together are a burst. Until it ends, one more message is only
        # framed, because everything else was decided for the first.
        self._burst_ends = _NO_BURST
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
        room = self._room
        if room.left < 0 or room.declared is not None:
            room.admit(size, self)
        else:
            # The same without a call.
            room.left -= size
            room.written += size
        if self.buffered:
            self._parts.append(data)
        else:
            self._parts = [data]
        self.buffered += size
        if self.buffered > _BUFFER_LIMIT:
            check_thread("write()")
            if self._life.phase is _BODY or self._begins():
                self.put_buffer()
                self._push_or_coalesce(self._turn.seconds(), _COALESCE)
        return size

    def put_buffer(self) -> None:
        """
        End a chunk: frame the buffer for the next push.
        """
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts = _EMPTY
        self.buffered = 0
        self._out.put(data)
        # Whole events end like this: they are the common case, and cost no call.
        boundary = self._boundary
        if boundary is not None and (boundary.inside or not data.endswith(_EVENT_END)):
            boundary.note(data, self._out.put)

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

    def put_end(self) -> None:
        """
        End the body. What is framed goes out with the next push.
        """
        self._out.put_end()

    def insert(self, stage: MakeStage, *, last: bool = False) -> None:
        """
        Send the body through a stage, from the next piece on.

        Args:
            stage: Makes the stage from the sink that it passes the pieces on to.
            last: Behind all other stages, next to the outbound.
        """
        if last and isinstance(self._out, Stage):
            self._out.insert_last(stage)
        else:
            self._out = stage(self._out)

    def whole(self) -> bytes | None:
        """
        The buffer, as the whole body; None if a stage may change it.
        """
        return None if isinstance(self._out, Stage) and self._out.changes else b"".join(self._parts)

    def keep_whole(self, format: Format) -> None:
        """
        From now on, deliver nothing in the middle of an event or a line. See `Boundary`.
        """
        if self._boundary is None:
            self._boundary = Boundary(format)

    # Sending.

    def flush(self) -> Deferred[None]:
        """
        End a chunk and send it. The Deferred fires when more may be written.
        """
        if get_ident() != threadable.ioThread is not None:
            refuse_thread("flush()")
        return self.flush_step(_NOW) or Fired()

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
        return self._after_put(urgency)

    def send_step(self, data: bytes, urgency: Urgency) -> Deferred[None] | None:
        """
        Write `data` and flush. Returns what `flush_step` returns.
        """
        boundary = self._boundary
        if (
            self.buffered
            or not data
            or self._life.phase is not _BODY
            or (boundary is not None and (boundary.inside or not data.endswith(_EVENT_END)))
        ):
            self.write(data)
            return self.flush_step(urgency)
        room = self._room
        if room.left < 0 or room.declared is not None:
            room.admit(len(data), self)
        else:
            size = len(data)
            room.left -= size
            room.written += size
        self._out.put(data)
        return self._after_put(urgency)

    def _after_put(self, urgency: Urgency) -> Deferred[None] | None:
        """
        Send what was framed, now or together with others, and decide on backpressure.
        """
        now = self._turn.seconds()
        out, room, share = self._out, self._room, self._share
        if (
            now < self._burst_ends
            and not out.full
            and room.left >= room.low
            and share.steps > 1
            and (self._pushed or urgency is _COALESCE)
        ):
            # Little is pending: that counts in `room.left`.
            share.steps -= 1
            return None
        self._push_or_coalesce(now, urgency)
        return self._until_more(now, urgency)

    def push(self) -> None:
        """
        Send everything that is framed and pending.
        """
        self._burst_ends = _NO_BURST
        # After the end of a response nothing is pending.
        if self._out.pending:
            self.last_sent = self._turn.began
            self._out.push()

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
        now = self._turn.seconds()
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
            elif self._burst_ends == _NO_BURST:
                self._burst_ends = min(now + _COALESCE_TIME, self._share.until)
                self._turn.at_end(self.push)
            elif now >= self._burst_ends:
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
