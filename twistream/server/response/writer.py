"""
ResponseWriter: the head, the buffer, flush, backpressure and the end of one response.

It decides what is sent and when; how the bytes travel is the outbound's concern, and
what a handler is, the resource's.
"""

from collections.abc import Callable
from functools import partial
from typing import NoReturn, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.web._http2 import H2Stream
from twisted.web.server import Request, Site

from twistream.errors import (
    BufferOverflow,
    ContentLengthMismatch,
    HeadersSent,
    ResponseComplete,
    SendTimeout,
    StreamAborted,
    StreamClosed,
    StreamFinished,
)
from twistream.scheduling.tasks import tell_running_task
from twistream.scheduling.turn import Turn
from twistream.scheduling.waits import FailedWait, Waits, fail_quietly
from twistream.server.connection.http1 import HTTP1Outbound
from twistream.server.connection.http2 import HTTP2Outbound
from twistream.server.connection.outbound import Outbound
from twistream.server.connection.stall import SendWatch
from twistream.server.response.head import Head
from twistream.wire.frames import SEND_SIZE, Batch

_BUFFER_LIMIT = 16 * 1024
"""
Bytes that are written without a flush before the buffer goes out by itself: a TLS record.
"""

_JOIN_TIME = 0.0005
"""
Seconds that a frame of a loop waits for more to be sent with it. A send costs as much as
the framing of ten messages, and no reader notices half a millisecond.
"""

_LEAST_SHARE = 0.0005
"""
Seconds that a stream may go on in a turn, however much others have used of it.
"""

_DRAIN_LOOKS = 0.01
"""
Seconds between looks at a connection that holds much of the bound, and is not full: only
where the bound is small, and Twisted does not report the drain. As long as a slice.
"""

_WAIT_COST = 512
"""
Bytes that a Deferred is taken for, which waits to go on: who flushes without
awaiting is bounded too. About what it takes, with its place among the others.
"""

_MAX_STEPS = 256
"""
How often one stream may go on without a pause within a turn. Time alone would not do:
a test's clock stands still. So many messages take less than a millisecond.
"""

_FIRST_RETRY, _LAST_RETRY = 0.01, 1.0
"""
Seconds between looks whether the client has what was sent before a reset: from what a
network takes to what nobody minds.
"""


class ResponseWriter:
    """
    Writes one response.

    Attributes:
        err: Why the response ended before its time, or None.
        ended: Nothing more may be written.
        last_sent: When the turn began in which something was sent last.
        telling: Those who wait are just being told of the end.
        turn: The turn of its clock.
    """

    __slots__ = (
        "_declared",
        "_finishing",
        "_head",
        "_held_since",
        "_low_room",
        "_max_buffered",
        "_on_end",
        "_out",
        "_parts",
        "_pushed",
        "_request",
        "_retry",
        "_room",
        "_send_timeout",
        "_size",
        "_steps",
        "_turn_seen",
        "_until",
        "_waiting",
        "_waits",
        "_watch",
        "_written",
        "ended",
        "err",
        "last_sent",
        "telling",
        "turn",
    )

    def __init__(
        self,
        request: Request,
        turn: Turn,
        *,
        send_timeout: float,
        max_buffered: int,
        on_end: Callable[[], object],
    ) -> None:
        """
        Args:
            request: A request that nothing has been written to.
            send_timeout: Seconds for which a client may take nothing while data waits.
            max_buffered: Bytes that may wait when more are written.
            on_end: Called once, when the response is over.
        """
        self.err: StreamClosed | None = None
        self.ended = False
        self.last_sent = 0.0
        self.telling = False
        self._waits: Waits | None = None
        self._request = request
        self.turn = turn
        self._head = Head(request)
        protocol = HTTP2Outbound if isinstance(request.channel, H2Stream) else HTTP1Outbound
        self._out: Outbound = protocol(request, turn, self)
        self._max_buffered = max_buffered
        # At most what is left to the bound, so that it is looked at only now and then.
        self._room = max_buffered
        self._low_room = max_buffered - min(SEND_SIZE, max_buffered // 2)
        self._on_end = on_end
        self._send_timeout = send_timeout
        self._watch: SendWatch | None = None  # Until something waits.
        self._retry: IDelayedCall | None = None
        self._pushed = False
        self._held_since: float | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._written = 0
        self._declared: int | None = None
        self._finishing = False
        # In order, and without what ended otherwise. None until somebody waits.
        self._waiting: dict[Deferred[None], None] | None = None
        self._turn_seen = 0
        self._steps = 0
        self._until = 0.0

    @property
    def waits(self) -> Waits:
        """
        The Deferreds of those who wait to send.
        """
        if self._waits is None:
            self._waits = Waits()
        return self._waits

    @property
    def head_sent(self) -> bool:
        """
        Whether status and headers can no longer change.
        """
        return self._out.started

    @property
    def open_head(self) -> Head:
        """
        The head, as long as it can change.

        Raises:
            HeadersSent: It can no longer.
            StreamClosed: The response ended before it was sent.
        """
        if self.head_sent:
            raise HeadersSent
        if self.ended:
            self._refuse()
        return self._head

    @property
    def ended_from_within(self) -> bool:
        """
        Whether it ended before its time, and code that may be running brought that about.
        """
        return isinstance(self.err, StreamAborted | ResponseComplete)

    def bodyless(self) -> bool:
        """
        Whether this response may have no body.
        """
        return self._head.bodyless()

    def write(self, data: bytes) -> int:
        """
        Put `data` into the buffer, and return how many bytes that were.
        """
        if self.ended:
            self._refuse()
        size = len(data)
        if not size:
            return 0
        self._admit(size)
        self._parts.append(data)
        self._size += size
        if self._size > _BUFFER_LIMIT:
            self._emit()
            if not self.ended:
                self._push_or_hold(self.turn.clock.seconds(), at_once=False)
        return size

    def flush(self) -> Deferred[None]:
        """
        End a chunk and send it; the Deferred fires when more may be written.
        """
        return self.flush_step(at_once=True) or succeed(None)

    def flush_step(self, *, at_once: bool) -> Deferred[None] | None:
        """
        As `flush`, but None if more may be written now.

        Args:
            at_once: This flush is the handler's own, not one of many in a loop.
        """
        if not self.ended:
            try:
                self._emit()
            except ContentLengthMismatch as err:
                return FailedWait(err, list)
        if self.ended:
            return self.failed_wait()
        now = self.turn.clock.seconds()
        self._push_or_hold(now, at_once=at_once)
        return self._until_more(now, at_once=at_once)

    def send_step(self, data: bytes) -> Deferred[None] | None:
        """
        As `write` and a `flush_step` of a loop.
        """
        if self._size or self.ended or not data or not self._out.started:
            self.write(data)
            return self.flush_step(at_once=False)
        self._admit(len(data))
        self._out.put(data)
        now = self.turn.clock.seconds()
        self._push_or_hold(now, at_once=False)
        return self._until_more(now, at_once=False)

    def push(self) -> None:
        """
        Send what is held to be joined with more.
        """
        self._held_since = None
        # Nothing is held, or waits, of a response that is over.
        if self._out.held:
            self.last_sent = self.turn.began
            if self._out.push():
                self._some_waits()

    def open_soon(self) -> None:
        """
        Have the head leave at the end of this turn. Where no body may be, that is all.
        """
        if self.ended:
            self._refuse()
        if not self.head_sent:
            self.turn.at_end(self._open_and_push)

    def begin_body(self) -> bool:
        """
        Have the head leave at the end of this turn, and return whether a body may follow.

        Where none may be, the response is complete.
        """
        if not self.ended and not self.head_sent and self.bodyless():
            self.complete_without_body()
            return False
        self.open_soon()
        return True

    @property
    def full(self) -> bool:
        """
        Whether the connection takes no more for now, or as much waits for it as may.
        """
        if self._room < 0:
            self._look_for_room()
        return self._out.full or self._room < 0

    def deliver(self, batch: Batch) -> None:
        """
        Send each message of a batch as a flush of its own, ahead of what is in the buffer.

        Raises:
            BufferOverflow: As `write`, and nothing of the batch is sent.
            ContentLengthMismatch: As `write`.
        """
        out = self._out
        if not out.started and not self.ended:
            self._emit_head()
        if self.ended or not batch.size:
            return
        self._admit(batch.size)
        self.last_sent = self.turn.began
        if out.held:
            for frame in batch.frames:
                out.put(frame.data)
            self.push()
        elif out.send_batch(batch):
            self._some_waits()

    def wait_to_deliver(self) -> Deferred[None] | None:
        """
        What whoever delivers one batch after another waits for; None is nothing.
        """
        if self.ended:
            return self.failed_wait()
        now = self.turn.clock.seconds()
        self._enter_turn(now)
        return self._until_more(now, at_once=False)

    @property
    def backlog(self) -> int:
        """
        Bytes that wait in this process, as far as can be seen.
        """
        return self._size + self._out.backlog()

    def failed_wait(self) -> Deferred[None]:
        """
        What whoever waits gets after the end: a Deferred that fails with the reason.

        It has failed already, but to those that go on asking it fails in a later turn: a
        loop that swallows the error must not stop the reactor.
        """
        now = self.turn.clock.seconds()
        self._enter_turn(now)
        if self._may_go_on(now):
            return FailedWait(self._end_error(), tell_running_task)
        error = self._end_error()
        wait: Deferred[None] = Deferred(lambda wait: fail_quietly(wait, error))
        self.turn.soon(wait.cancel)
        return wait

    @property
    def gathered(self) -> int:
        """
        Bytes that were written and not yet sent.
        """
        return self._size

    # The end.

    def _refuse(self) -> NoReturn:
        tell_running_task()
        raise self._end_error()

    def _end_error(self) -> Exception:
        return StreamFinished() if self.err is None else self.err.with_traceback(None)

    def end(self) -> None:
        """
        The body is complete.

        Raises:
            ContentLengthMismatch: It is not as long as was declared.
        """
        if self.ended:
            return
        if self._head.empty_status and not (self.head_sent or self._written):
            self._head.status_code(self._head.empty_status)
        if self.bodyless():
            self._end_bodyless(None)
            return
        declared = self._head.declared
        if declared is not None and self._written != declared:
            raise ContentLengthMismatch(declared, self._written)
        body = self._take()
        if not self.head_sent:
            self._head.complete(len(body))
        self._out.put(body, last=True)
        self.ended = self._finishing = True
        # Of several requests that came at once the others follow in that same end.
        if self._out.handed or self.turn.is_ending or not self._out.may_send():
            self._push_and_finish()
        else:
            # The response leaves whole. A send wakes a client that has fallen asleep, so
            # those of one turn cost least when they follow one another.
            self.turn.at_end(self._push_and_finish)

    def complete_without_body(self) -> None:
        """
        End a response that may have no body, under the handler that goes on.
        """
        self._end_bodyless(ResponseComplete())

    def replace(self, status: int, content_type: str, body: bytes) -> None:
        """
        End with `body` instead of all that was written. The head must not have been sent.
        """
        self._drop()
        head = self.open_head
        head.clear_for_page(status)
        head.header("Content-Type", content_type)
        head.header("X-Content-Type-Options", "nosniff")
        # Past the bound, which it may have been that brought us here.
        self._parts.append(body)
        self._size = self._written = len(body)
        self.end()

    def abort(self, err: StreamClosed) -> None:
        """
        End the response so that the client sees that it is incomplete.

        What was not flushed is dropped, what was is let through.
        """
        if self.ended:
            return
        self._close(err)
        self.push()
        # The end of the connection, reported to `lost`, stops the watch.
        self._watching().start(lambda: True)
        self._let_through(_FIRST_RETRY)
        self._tell_of_the_end()

    def lost(self, reason: StreamClosed) -> None:
        """
        The connection is gone, or the client has reset the stream.
        """
        self._stop_watching()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._out.release()
        if self.err is None:
            self._close(reason)
            self._tell_of_the_end()
        if self.head_sent:
            self._request.sentLength = self._written
            # Twisted writes the access log for responses in good order only.
            cast("Site", self._request.site).log(self._request)

    def cut(self, err: StreamClosed) -> None:
        """
        As `abort`, but at once: what the client has not taken is lost.
        """
        first = self.err is None
        if first:
            self._close(err)
        self._out.cut()
        if first:
            self._tell_of_the_end()

    def attend(self) -> None:
        """
        The response goes on when the reactor does.
        """
        if not self.ended:
            self._out.attend()

    # Inside.

    def _admit(self, size: int) -> None:
        """
        Raise if so many bytes may not be written.
        """
        written = self._written + size
        # Once the head is sent, what it says is here: a look at it for each message costs
        # as much as the rest of this, where there are many streams.
        declared = self._declared if self._out.started else self._head.declared
        if declared is not None and written > declared and not self.bodyless():
            raise ContentLengthMismatch(declared, written)
        if self._room < 0:
            self._look_for_room()
            if self._room < 0:
                raise BufferOverflow(self._max_buffered - self._room, self._max_buffered)
        self._room -= size
        self._written = written

    def _push_or_hold(self, now: float, *, at_once: bool) -> None:
        """
        Push what is held if it is time.
        """
        out = self._out
        self._enter_turn(now)
        if out.held:
            if out.held > SEND_SIZE or (at_once and not self._pushed) or not out.joins:
                self._pushed = True
                self.push()
            elif self._held_since is None:
                self._held_since = now
                self.turn.at_end(self.push)
            elif not at_once and now - self._held_since > _JOIN_TIME:
                self.push()

    def _until_more(self, now: float, *, at_once: bool) -> Deferred[None] | None:
        """
        When more may be written; None is now.
        """
        if self._out.full:
            return self._wait_until_taken()
        if self._room < self._low_room:
            self._look_for_room()
            if self._room < self._max_buffered // 2:
                return self._wait_for_room()
        # A transport that nothing can be seen of may not say that it is full.
        if self._may_go_on(now) and self._room >= self._low_room:
            return None
        if not at_once:
            self.push()
        self._room -= _WAIT_COST
        wait = self.waits.add()
        self.turn.soon(partial(self.waits.fire, wait))
        return wait

    def _enter_turn(self, now: float) -> None:
        number = self.turn.enter()
        if self._turn_seen != number:
            self._turn_seen = number
            self._pushed = False
            self._steps = 0
            # In a turn that is crowded everybody has a little time all the same: to go on
            # in another turn costs as much.
            self._until = max(self.turn.ends, now + _LEAST_SHARE)

    def _may_go_on(self, now: float) -> bool:
        self._steps += 1
        return self._steps < _MAX_STEPS and now < self._until

    def _some_waits(self) -> None:
        self._look_for_room()
        self._watching().start(self._out.has_unsent)

    def _look_for_room(self) -> None:
        waiting = self._size + self._out.backlog() + _WAIT_COST * len(self.waits)
        self._room = self._max_buffered - waiting

    def _wait_until_taken(self) -> Deferred[None]:
        if self._waiting is None:
            self._waiting = {}
        wait = self.waits.add(release=self._forget_wait)
        self._waiting[wait] = None
        self._room -= _WAIT_COST
        return wait

    def _forget_wait(self, wait: Deferred[None]) -> None:
        if self._waiting is not None:
            self._waiting.pop(wait, None)

    def _wait_for_room(self) -> Deferred[None]:
        call: IDelayedCall

        def look() -> None:
            nonlocal call
            if self._size + self._out.backlog() <= self._max_buffered // 2:
                self.waits.fire(wait)
            else:
                call = self.turn.clock.callLater(_DRAIN_LOOKS, look)

        call = self.turn.clock.callLater(_DRAIN_LOOKS, look)
        wait = self.waits.add(release=lambda _: call.cancel())
        return wait

    def _take(self) -> bytes:
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._size = 0
        return body

    def _drop(self) -> None:
        self._written -= self._size
        self._parts.clear()
        self._size = 0

    def _emit(self) -> None:
        """
        Make a frame of the buffer.
        """
        self._emit_head()
        if self._size:
            self._out.put(self._take())

    def _emit_head(self) -> None:
        """
        The head leaves before the body is known. Where no body may be, that is all.
        """
        if self.head_sent:
            return
        if self.bodyless():
            self.complete_without_body()
            return
        self._head.complete(None)
        declared = self._declared = self._head.declared
        if declared is not None and self._written > declared:
            raise ContentLengthMismatch(declared, self._written)
        self._out.put(b"")

    def _open_and_push(self) -> None:
        if self.ended:
            return
        try:
            self._emit_head()
        except Exception as err:
            self.abort(StreamAborted(type(err).__name__))
            raise  # For the log of the turn.
        self.push()

    def _end_bodyless(self, err: StreamClosed | None) -> None:
        if not self.head_sent:
            # Of a handler that has ended, and that wrote although nobody would read it.
            length = self._written if err is None and self._written else None
            self._head.complete_without_body(length)
        self._drop()
        self.ended = self._finishing = True
        self._out.put(b"", last=True)
        self.push()
        if self._finishing:
            self.err = err
            self._finish()

    def _watching(self) -> SendWatch:
        if self._watch is None:
            self._watch = SendWatch(
                self.turn, self._send_timeout, self._out.progress, self._time_out
            )
        return self._watch

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _finish(self) -> None:
        self._finishing = False
        self._stop_watching()
        self._out.release()
        if self._out.closes:
            watch = self._watching()
            watch.moved()  # From here on.
            self._out.close_when_idle(watch.moved, watch.seconds)
        self._request.sentLength = self._written
        self._out.finish()
        self._tell_of_the_end()

    def _push_and_finish(self) -> None:
        if not self._finishing:
            return  # It was lost before the turn's end.
        self.push()
        # Twisted watches over no response that it holds complete, so it is kept open
        # until the client has taken what waits.
        if self._finishing and not self._out.full:
            self._finish()

    def _close(self, err: StreamClosed) -> None:
        self.err = err
        self.ended = True
        self._finishing = False
        self._drop()

    def _tell_of_the_end(self) -> None:
        # Once, and then it is let go, so that no cycle is left to collect.
        on_end, self._on_end = self._on_end, _nothing
        on_end()

    def took_data(self) -> None:
        """
        The connection was full, and takes more now.
        """
        if self._finishing:
            self._push_and_finish()
            return
        # Whoever is woken may wait again at once.
        waiting, self._waiting = self._waiting, None
        for wait in list(waiting or ()):
            self.waits.fire(wait)

    def _time_out(self) -> None:
        self.cut(SendTimeout(self._send_timeout))

    def _let_through(self, delay: float) -> None:
        self._retry = None
        if not self._out.abort():
            longer = min(2 * delay, _LAST_RETRY)
            self._retry = self.turn.clock.callLater(delay, self._let_through, longer)


def _nothing() -> None:
    pass
