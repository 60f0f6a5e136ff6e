"""
HTTP2Outbound: responses as streams of an HTTP/2 connection.

DATA frames are handed to the connection only as the flow-control windows and the transport
accept them, one frame of each stream in turn; the rest is queued here. Twisted's own queue is
bypassed: it sends one frame a turn, does not notice that TCP is full, spins while a client's
window is closed, and fails for all streams of the connection when a client shrinks its window
(`twisted.web._http2.H2Connection._sendPrioritisedData`).

Layer: connection.
"""

from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from h2.connection import ConnectionState
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure
from twisted.web._http2 import H2Stream
from twisted.web.server import Request

from twistream.scheduling.turn import Turn
from twistream.server.connection.multiplexer import Multiplexer
from twistream.server.connection.outbound import Outbound, Owner
from twistream.server.connection.sockets import in_kernel, queued
from twistream.wire.frames import Batch, Fields

_FRAME_COST = 320
"""
Bytes of memory that a queued frame takes in addition to its data, as measured.
"""


def is_http2(request: Request) -> bool:
    """
    Whether the request is a stream of an HTTP/2 connection.
    """
    return isinstance(request.channel, H2Stream)


class HTTP2Outbound(Outbound):
    """
    A response on a stream of HTTP/2.
    """

    __slots__ = (
        "_aborting",
        "_channel",
        "_connection",
        "_frames",
        "_multiplexer",
        "_queued",
        "_trailers",
    )

    # Twisted's `H2Stream` and `H2Connection` have no annotations.
    _channel: Any
    _connection: Any

    def __init__(self, request: Request, turn: Turn, owner: Owner) -> None:
        self._channel = request.channel
        self._connection = self._channel._conn  # noqa: SLF001 - no public name
        super().__init__(request, self._connection.transport, turn, owner)
        self._multiplexer = Multiplexer.opened(self._connection, turn)
        self._frames: deque[memoryview] = deque()
        self._queued = 0
        self._aborting = False
        self._trailers: Fields = ()

    def start(self) -> None:
        # Twisted may have read a reset of the client that it has not reported yet.
        with suppress(ProtocolError):
            self._borrowed.write_head()
        # Before any data is queued, so that the connection can report that it is full.
        self._borrowed.register(self)

    def put(self, data: bytes) -> None:
        # With queued frames, the stream is in the queue already, or waits for its window.
        if not self._frames:
            self._multiplexer.enqueue(self)
        self._frames.append(memoryview(data))
        self._queued += len(data)
        self.pending += len(data)

    def put_trailers(self, trailers: Fields) -> None:
        # `finish` sends them, after all data. h2 makes names lower case (RFC 9113 8.2).
        self._trailers = trailers

    def push(self) -> None:
        self.pending = 0
        self._multiplexer.pump()
        if self._frames or queued(self._connection.transport):
            self._report_queued()

    def send_batch(self, batch: Batch) -> None:
        for frame in batch.frames:
            self.put(frame.data)
        self.push()

    def backlog(self) -> int:
        frames = self._queued + _FRAME_COST * len(self._frames)
        return frames + queued(self._connection.transport)

    def progress(self) -> tuple[int, int]:
        if self in self._multiplexer.blocked:
            # What other streams of the connection move is no progress of this one.
            return (self.handed, 0)
        socket = self._socket
        unsent = queued(self._connection.transport) + (0 if socket is None else in_kernel(socket))
        return (self._multiplexer.handed, -unsent)

    def abort(self) -> bool:
        self._aborting = True
        if not self._frames:
            self._reset_soon()
        return True

    def cut(self) -> None:
        self._drop()
        self.abort()

    def finish(self) -> None:
        # On a stream that the client has closed, Twisted's `finish` would fail, and all streams
        # of the connection with it.
        if self._is_closed():
            return
        # Twisted's own `requestDone` leaves the end to a loop that sends one frame in each turn,
        # and stops for all streams of the connection if one of them has been reset meanwhile.
        self._channel.requestDone = self._end_stream
        try:
            super().finish()
        finally:
            vars(self._channel).pop("requestDone", None)  # No reference cycle remains.

    def _end_stream(self, _: Request) -> None:
        connection, stream = self._connection, self._channel.streamID
        with suppress(ProtocolError):
            if self._trailers:
                connection.conn.send_headers(stream, self._trailers, end_stream=True)
            else:
                connection.conn.end_stream(stream)
            connection._tryToWriteControlData()  # noqa: SLF001 - no public name
        self._turn.soon(partial(self._forget, connection, stream))

    @staticmethod
    def _forget(connection: Any, stream: int) -> None:
        # Not before: see `Multiplexer.pump_soon`.
        if stream in connection.streams:
            connection._requestDone(stream)  # noqa: SLF001 - no public name

    def release(self) -> None:
        # Twice, if the response has finished and its stream turns out to be reset.
        released = self._owner is None
        super().release()
        vars(self._channel).pop("windowUpdated", None)  # No reference cycle remains.
        self._drop()
        if not released:
            self._multiplexer.closed()

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        # The window of the stream or of the connection has opened.
        if self._frames:
            self._multiplexer.enqueue(self)
        self._multiplexer.pump_soon()

    # See `multiplexer.Sender`.

    def has_window(self) -> bool:
        """
        Whether the stream's own window is open. The end of a stream opens it: sending reports that.
        """
        try:
            window: int = self._connection.conn.local_flow_control_window(self._channel.streamID)
        except ProtocolError:
            return True
        return window > 0

    def wait_for_window(self) -> None:
        """
        Be full, and let Twisted call `resumeProducing` when a window opens.
        """
        self.full = True
        # Twisted's own method fails for all streams of the connection if this one was just reset.
        self._channel.windowUpdated = self._window_updated
        self._channel.flowControlBlocked()

    def send_frame(self) -> int:
        """
        Send as much as one frame takes, and return its size in bytes.

        If there is more to send, the stream joins the queue again.
        """
        conn, stream = self._connection.conn, self._channel.streamID
        try:
            room = min(conn.local_flow_control_window(stream), conn.max_outbound_frame_size)
            if room <= 0:
                self._multiplexer.blocked.add(self)
                self.wait_for_window()
                return 0
            data = self._frames.popleft()
            if len(data) > room:
                self._frames.appendleft(data[room:])
                data = data[:room]
            conn.send_data(stream, bytes(data))
        except ProtocolError:
            # Twisted has read the client's reset, or the connection is closing: `lost` of the
            # response follows.
            self._drop()
            return 0
        size = len(data)
        self._queued -= size
        self.handed += size
        self._multiplexer.handed += size
        if self._frames:
            self._multiplexer.enqueue(self)
        elif self._aborting:
            self._reset_soon()
        elif self.full:
            self._turn.soon(self._all_sent)
        return size

    def _all_sent(self) -> None:
        if self.full and not self._frames:
            super().resumeProducing()

    def _window_updated(self) -> None:
        if not self._is_closed():
            H2Stream.windowUpdated(self._channel)

    def _drop(self) -> None:
        self.pending = 0
        self._frames.clear()
        self._queued = 0
        self._multiplexer.discard(self)

    # The end.

    def _reset_soon(self) -> None:
        # Not now: see `Multiplexer.pump_soon`.
        self._turn.soon(self._reset)

    def _reset(self) -> None:
        connection, channel = self._connection, self._channel
        if not self._is_open():
            return
        # It may be closed already.
        with suppress(ProtocolError):
            connection.conn.reset_stream(channel.streamID, ErrorCodes.INTERNAL_ERROR)
            connection._tryToWriteControlData()  # noqa: SLF001 - no public name
        if self._is_open():
            channel.connectionLost(Failure(ConnectionAborted("stream reset by the server")))
            connection._requestDone(channel.streamID)  # noqa: SLF001 - no public name

    def _is_closed(self) -> bool:
        """
        Whether the stream was reset, or its connection ended, even if Twisted has not reported it.
        """
        conn = self._connection.conn
        # h2 keeps a closed stream until it next counts those that are open.
        stream = conn.streams.get(self._channel.streamID)
        closed: bool = stream is None or stream.closed
        return closed or conn.state_machine.state is ConnectionState.CLOSED

    def _is_open(self) -> bool:
        return self._channel.streamID in self._connection.streams
