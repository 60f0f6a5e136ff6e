"""
Response: one HTTP response, from its head to its end.

`Context`, `EventStream`, `Outlet`, `Broadcast` and `Exchange` share it. It decides whether a
body may begin, changes the phase, ends normally or early, and cuts slow clients. `writer` sends
the body, `observers` cancels and notifies.

Layer: response. Handlers, channels and formats are above it.
"""

from typing import cast

from twisted.web.http import OK
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
from twistream.server.response.coding import Coding
from twistream.server.response.delivery import MessageWriter
from twistream.server.response.head import Head
from twistream.server.response.observers import Observers
from twistream.server.response.phase import Cause, Life, Phase
from twistream.server.response.retry import Retry
from twistream.server.response.room import Room
from twistream.wire.sequences import SequenceEncoder

_HEAD, _BODY, _FINISHING, _ABORTING, _OVER = Phase


class Response:
    """
    One response.

    Attributes:
        coding: How its body may be compressed; None if it is sent as it is.
        head: Status and headers.
        life: Its phase, and why it ended.
        is_event_stream: Whether ``sse()`` has made it a stream of events.
        observers: What is cancelled, stopped or notified at its end.
        room: Its limits.
        sequence: The values of its body, if it is a sequence of them. Its end is written only when
            the handler returns.
        subscribed: Whether it is, or has been, subscribed to channels.
        subscription: Its subscription to channels, until this ends.
        turn: The turn of its clock.
        writer: The buffer and the sending of its body.
    """

    __slots__ = (
        "_out",
        "_retry",
        "_send_timeout",
        "_stall_watch",
        "coding",
        "head",
        "is_event_stream",
        "life",
        "observers",
        "room",
        "sequence",
        "subscribed",
        "subscription",
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
            send_timeout: Seconds for which a client may accept nothing while data is queued.
            max_buffered: Bytes that may be queued when more are written.
            keep_running: The handler keeps running when the client disconnects.
        """
        self.turn = turn
        self.life = Life()
        self.head = Head(request)
        self.coding: Coding | None = None
        self.room = Room(max_buffered)
        self.observers = Observers(self.life, turn, keep_running=keep_running)
        self.is_event_stream = False
        self.subscribed = False
        self.sequence: SequenceEncoder | None = None
        self.subscription: object | None = None
        protocol = HTTP2Outbound if is_http2(request) else HTTP1Outbound
        self._out: Outbound = protocol(request, turn, self)
        self.writer = MessageWriter(
            life=self.life,
            head=self.head,
            room=self.room,
            out=self._out,
            turn=turn,
            begin_body=self.begin_body,
        )
        self._send_timeout = send_timeout
        self._stall_watch: StallWatch | None = None  # Until something is queued.
        self._retry: Retry | None = None

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
        The head, while it can still change.

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
        Whether a body may begin or continue. Only this method decides that.

        Where no body is allowed (HEAD, 204, 205, 304), this completes the response.
        """
        if self.life.phase is _HEAD and self.head.bodyless():
            self._end_without_body(ResponseComplete())
        return not self.life.ended

    def begin_body(self) -> bool:
        """
        Frame the head if it is not framed. Returns whether a body may follow.

        Raises:
            ContentLengthMismatch: More than the declared length has been written.
        """
        if self.admits_body() and self.life.phase is _HEAD:
            self.head.complete(None)
            room = self.room
            room.declared = self.head.declared
            if room.declared is not None and room.written > room.declared:
                raise ContentLengthMismatch(room.declared, room.written)
            # First what may fail: then the head can still be that of an error page.
            if self.coding is None:
                self._out.start()
            else:
                self.coding.begin(self.head, self.writer, self._out.start)
            self._move(Cause.EMIT)
        return not self.life.ended

    def open_soon(self) -> None:
        """
        Send the head at the end of this turn. That completes a response without a body.

        Raises:
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
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
            raise  # `Turn` logs it.
        self.writer.push()

    # The normal end.

    def end(self) -> None:
        """
        End the response normally: the body is complete.

        Raises:
            ContentLengthMismatch: The body is shorter or longer than declared.
        """
        life, head, out = self.life, self.head, self._out
        if life.ended:
            return
        phase, written = life.phase, self.room.written
        if phase is _HEAD:
            if head.empty_status and not written and self.request.code == OK:
                head.status_code(head.empty_status)
            if head.bodyless():
                self._end_without_body(None)
                return
        if head.declared is not None and written != head.declared:
            raise ContentLengthMismatch(head.declared, written)
        if phase is _HEAD:
            if self.coding is not None:
                self.coding.encode_whole(head, self.writer)
            head.complete(self.writer.buffered, self.writer.whole)
            out.start()
        if self.writer.buffered:
            self.writer.put_buffer()
        self.writer.put_end()
        self._move(Cause.END)
        # If the turn is ending, the request was pipelined, and its handler runs in that end.
        if out.handed or self.turn.is_ending or not out.may_send():
            self._push_and_finish()
        else:
            # The whole response is one send. A send may wake up a client, so the sends of one
            # turn cost least when they follow one another.
            self.turn.at_end(self._push_and_finish)

    def _end_without_body(self, err: StreamClosed | None) -> None:
        # Once the handler has returned, the length of the body that is not sent is known.
        length = self.room.written if err is None else None
        self.head.complete_without_body(length)
        if self.coding is not None:
            self.coding.complete_without_body(self.head)
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
        # Twisted sets no timeout for a finished response, so this one is finished only when the
        # client has accepted what is queued.
        if self.life.phase is _FINISHING:
            if self._out.full:
                self._out.watch_hangup()
            else:
                self._finish()

    def _finish(self) -> None:
        self.life.move(Cause.DRAINED)
        self._stop_watching()
        out = self._out
        out.release()
        if out.closes:
            watch = self._watch()
            watch.moved()  # Sets the mark: only what the client accepts from now on counts.
            out.watch_close(watch.moved, watch.seconds)
        self._count_sent()
        try:
            # It writes the access log, which may fail, and may run the next handler.
            self.life.run_outside(out.finish)
        finally:
            self.observers.notify(self.writer.waits)

    # The early end.

    def abort(self, err: StreamClosed) -> None:
        """
        End the response so that the client sees that it is incomplete.

        What was flushed is sent first. What was not is dropped.
        """
        if self.life.ended:
            return
        self._fail(err, Cause.ABORT)
        # `lost`, which the end of the connection calls, stops the watch.
        self._watch().start(lambda: True)
        self._retry = Retry(self.turn.clock, self._try_abort)
        self.observers.notify(self.writer.waits)

    def cut(self, err: StreamClosed) -> None:
        """
        Abort at once: what the client has not accepted is lost.
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
            self._retry.stop()
            self._retry = None
        self._out.release()
        phase = self.life.phase
        if phase is _ABORTING:
            self.life.move(Cause.LOST)
        elif phase is not _OVER:
            self._fail(reason, Cause.LOST)
            self.observers.notify(self.writer.waits)
        if self.life.head_sent and self.life.err is not None:
            self._count_sent()
            # Twisted logs only requests that it finished, which this is not.
            cast("Site", self.request.site).log(self.request)

    def _fail(self, err: StreamClosed, cause: Cause) -> None:
        self.life.err = err
        self._move(cause)
        self.writer.drop()
        if cause is Cause.ABORT:
            self.writer.push()
        if self.coding is not None:
            self.coding.release()

    def _try_abort(self) -> bool:
        done = self._out.abort()
        if done and self.life.phase is _ABORTING:
            self.life.move(Cause.DRAINED)
        return done

    def _count_sent(self) -> None:
        written = self.room.written
        self.request.sentLength = written if self.coding is None else self.coding.sent(written)

    # Notifications.

    def watch_hangup(self) -> None:
        """
        Notice a client that disconnects while Twisted does not read from it.
        """
        # A complete response that is sent at the end of this turn is not watched until then.
        if self.life.phase is not _FINISHING or self._out.handed:
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
        Leave HEAD or BODY: after that, the body cannot begin any more.
        """
        self.life.move(cause)
        self.writer.begin_body = None  # This also breaks the reference cycle.

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
            self._out.cut()  # It was aborted, and the client does not accept the rest.
        else:
            self.cut(SendTimeout(self._send_timeout))
