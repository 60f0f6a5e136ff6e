"""
Response: one HTTP response, from its head to its end.

`Context`, `EventStream`, `Outlet`, `Broadcast` and `Exchange` share it. It decides whether a
body may begin, moves from phase to phase, ends in good order or early, and cuts a stalled client.

Layer: response. Handlers, channels and formats are above it.
"""

from typing import cast

from twisted.internet.interfaces import IDelayedCall
from twisted.web.server import Request, Site

from twistream.errors import (
    ContentLengthMismatch,
    HeadersSent,
    ResponseComplete,
    SendTimeout,
    StreamAborted,
    StreamClosed,
)
from twistream.scheduling.turn import Turn
from twistream.server.connection.http1 import HTTP1Outbound
from twistream.server.connection.http2 import HTTP2Outbound, is_http2
from twistream.server.connection.outbound import Outbound
from twistream.server.connection.stall import StallWatch
from twistream.server.response.head import Head
from twistream.server.response.observers import Observers
from twistream.server.response.phase import Cause, Life, Phase
from twistream.server.response.room import Room
from twistream.server.response.writer import ResponseWriter

_HEAD, _BODY, _FINISHING, _ABORTING, _OVER = Phase

_FIRST_RETRY, _LAST_RETRY = 0.01, 1.0
"""
Seconds between checks whether the client has everything that was sent before a reset: from the
time that a network takes to a time that nobody minds.
"""


class Response:
    """
    One response.

    Attributes:
        head: Status and headers.
        life: Its phase, and why it ended.
        is_event_stream: Whether ``sse()`` has made it a stream of events.
        observers: Who is notified of its end.
        room: Its limits.
        subscribed: Whether it is, or has been, subscribed to channels.
        turn: The turn of its clock.
        writer: The buffer and the sending of its body.
    """

    __slots__ = (
        "_out",
        "_retry",
        "_send_timeout",
        "_stall_watch",
        "head",
        "is_event_stream",
        "life",
        "observers",
        "room",
        "subscribed",
        "turn",
        "writer",
    )

    def __init__(
        self,
        request: Request,
        turn: Turn,
        *,
        send_timeout: float,
        max_buffered: int,
        keep_running: bool,
    ) -> None:
        """
        Args:
            request: A request to which nothing has been written.
            send_timeout: Seconds for which a client may take nothing while data is queued.
            max_buffered: Bytes that may be queued when more are written.
            keep_running: The handler goes on when the client disconnects.
        """
        self.turn = turn
        self.life = Life()
        self.head = Head(request)
        self.room = Room(max_buffered)
        self.observers = Observers(self.life, turn, keep_running=keep_running)
        self.is_event_stream = False
        self.subscribed = False
        protocol = HTTP2Outbound if is_http2(request) else HTTP1Outbound
        self._out: Outbound = protocol(request, turn, self)
        self.writer = ResponseWriter(
            life=self.life,
            head=self.head,
            room=self.room,
            out=self._out,
            turn=turn,
            begin_body=self.begin_body,
        )
        self._send_timeout = send_timeout
        self._stall_watch: StallWatch | None = None  # Until something is queued.
        self._retry: IDelayedCall | None = None

    @property
    def request(self) -> Request:
        """
        The request that it answers.
        """
        return self.head.request

    @property
    def backlog(self) -> int:
        """
        The number of bytes that wait for the client in this process; 0 after the end.
        """
        return 0 if self.life.phase is _OVER else self.writer.backlog

    # The head.

    @property
    def open_head(self) -> Head:
        """
        The head, as long as it can change.

        Raises:
            HeadersSent: The head is sent.
            StreamClosed: The response ended before its head was sent.
        """
        if self.life.head_sent:
            raise HeadersSent
        if self.life.ended:
            self.life.raise_error()
        return self.head

    def admits_body(self) -> bool:
        """
        Whether a body may begin or go on. The one place that decides this.

        Where no body is allowed (HEAD, 204, 205, 304), this completes the response.
        """
        if self.life.phase is _HEAD and self.head.bodyless():
            self._end_without_body(ResponseComplete())
        return not self.life.ended

    def begin_body(self) -> bool:
        """
        Frame the head, unless that has been done. Returns whether a body may follow.

        Raises:
            ContentLengthMismatch: More than the declared length has been written.
        """
        if self.admits_body() and self.life.phase is _HEAD:
            self.head.complete(None)
            room = self.room
            room.declared = self.head.declared
            if room.declared is not None and room.written > room.declared:
                raise ContentLengthMismatch(room.declared, room.written)
            self._move(Cause.EMIT)
            self._out.start()
        return not self.life.ended

    def open_soon(self) -> None:
        """
        Send the head at the end of this turn. Where no body is allowed, this completes it.

        Raises:
            StreamClosed: The response ended early.
            StreamFinished: The response ended in good order.
        """
        if self.life.ended:
            self.life.raise_error()
        if not self.life.head_sent:
            self.turn.at_end(self._open)

    def _open(self) -> None:
        try:
            self.begin_body()
        except Exception as err:
            self.abort(StreamAborted(type(err).__name__))
            raise  # For the log of the turn.
        self.writer.push()

    # The end in good order.

    def end(self) -> None:
        """
        The body is complete.

        Raises:
            ContentLengthMismatch: It is not as long as declared.
        """
        life, head, out = self.life, self.head, self._out
        if life.ended:
            return
        phase, written = life.phase, self.room.written
        if phase is _HEAD:
            if head.empty_status and not written:
                head.status_code(head.empty_status)
            if head.bodyless():
                self._end_without_body(None)
                return
        if head.declared is not None and written != head.declared:
            raise ContentLengthMismatch(head.declared, written)
        body = self.writer.take()
        if phase is _HEAD:
            head.complete(len(body))
            out.start()
        if body:
            out.put(body)
        out.put_end()
        self._move(Cause.END)
        # Of several pipelined requests, the later ones are answered in that same end of a turn.
        if out.handed or self.turn.is_ending or not out.may_send():
            self._push_and_finish()
        else:
            # The response goes out in one piece. A send wakes up a client that has fallen
            # asleep, so those of one turn cost least when they follow one another.
            self.turn.at_end(self._push_and_finish)

    def replace(self, status: int, content_type: str, body: bytes) -> None:
        """
        End with `body` instead of what was written. The head must not have been sent.
        """
        head = self.open_head
        head.clear_for_page(status)
        head.header("Content-Type", content_type)
        head.header("X-Content-Type-Options", "nosniff")
        self.writer.replace(body)
        self.end()

    def _end_without_body(self, err: StreamClosed | None) -> None:
        # After a handler has returned, the length of the body that is not sent is known.
        length = self.room.written if err is None and self.room.written else None
        self.head.complete_without_body(length)
        self.writer.drop()
        self._out.start()
        self._out.put_end()
        self._move(Cause.NO_BODY)
        self.writer.push()
        if self.life.phase is _FINISHING:
            self.life.err = err
            self._finish()

    def _push_and_finish(self) -> None:
        if self.life.phase is not _FINISHING:
            return  # The connection was lost before the end of the turn.
        self.writer.push()
        # Twisted does not watch over a response that it takes for complete, so it stays
        # open until the client has taken what is queued.
        if self.life.phase is _FINISHING and not self._out.full:
            self._finish()

    def _finish(self) -> None:
        self.life.move(Cause.DRAINED)
        self._stop_watching()
        out = self._out
        out.release()
        if out.closes:
            watch = self._watch()
            watch.moved()  # From here on.
            out.watch_close(watch.moved, watch.seconds)
        self.request.sentLength = self.room.written
        out.finish()
        self.observers.notify(self.writer.waits)

    # The early end.

    def abort(self, err: StreamClosed) -> None:
        """
        End the response so that the client sees that it is incomplete.

        What was not flushed is dropped; what was flushed goes out.
        """
        if self.life.ended:
            return
        self._fail(err, Cause.ABORT)
        self.writer.push()
        # `lost`, which the end of the connection calls, stops the watch.
        self._watch().start(lambda: True)
        self._finish_abort(_FIRST_RETRY)
        self.observers.notify(self.writer.waits)

    def cut(self, err: StreamClosed) -> None:
        """
        Abort at once: what the client has not taken is lost.
        """
        phase = self.life.phase
        if phase is _OVER:
            return
        if phase is _ABORTING:
            self.life.move(Cause.CUT)
            self._out.cut()
        else:
            self._fail(err, Cause.CUT)
            self._out.cut()
            self.observers.notify(self.writer.waits)

    def lost(self, reason: StreamClosed) -> None:
        """
        The connection is gone, or the client has reset the stream.
        """
        self._stop_watching()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._out.release()
        phase = self.life.phase
        if phase is _ABORTING:
            self.life.move(Cause.LOST)
        elif phase is not _OVER:
            self._fail(reason, Cause.LOST)
            self.observers.notify(self.writer.waits)
        if self.life.head_sent:
            self.request.sentLength = self.room.written
            # Twisted logs only the requests that were answered in good order.
            cast("Site", self.request.site).log(self.request)

    def _fail(self, err: StreamClosed, cause: Cause) -> None:
        self.life.err = err
        self._move(cause)
        self.writer.drop()

    def _finish_abort(self, delay: float) -> None:
        self._retry = None
        if not self._out.abort():
            longer = min(2 * delay, _LAST_RETRY)
            self._retry = self.turn.clock.callLater(delay, self._finish_abort, longer)
        elif self.life.phase is _ABORTING:
            self.life.move(Cause.DRAINED)

    # Notifications.

    def watch_hangup(self) -> None:
        """
        Notice a client that disconnects while Twisted does not read from it.
        """
        self._out.watch_hangup()

    def queued(self) -> None:
        """
        See `twistream.server.connection.outbound.Owner`.
        """
        self.room.measure(self.writer)
        self._watch().start(self._out.has_unsent)

    def drained(self) -> None:
        """
        See `twistream.server.connection.outbound.Owner`.
        """
        if self.life.phase is _FINISHING:
            self._push_and_finish()
        else:
            self.writer.drained()

    def _move(self, cause: Cause) -> None:
        """
        Go on from the head or the body.
        """
        self.life.move(cause)
        self.writer.begin_body = None  # It has begun, or never will.

    def _watch(self) -> StallWatch:
        if self._stall_watch is None:
            progress, time_out = self._out.progress, self._time_out
            self._stall_watch = StallWatch(self.turn, self._send_timeout, progress, time_out)
        return self._stall_watch

    def _stop_watching(self) -> None:
        if self._stall_watch is not None:
            self._stall_watch.stop()
            self._stall_watch = None

    def _time_out(self) -> None:
        if self.life.phase is _OVER:
            self._out.cut()  # The end of an aborted response that its client does not take.
        else:
            self.cut(SendTimeout(self._send_timeout))
