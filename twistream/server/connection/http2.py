"""
HTTP2Outbound: responses as streams of an HTTP/2 connection.

DATA frames are handed to the connection as the flow-control windows and the transport
take them, one frame of each stream in turn, and what does not fit stays here. Twisted's
own queue is passed by: it sends one frame a turn, is not told when TCP is full, spins
while a client's window is closed, and dies with all streams of the connection when a
client shrinks its window (`twisted.web._http2.H2Connection._sendPrioritisedData`).
"""

from collections import deque
from contextlib import suppress
from typing import Any, ClassVar

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure
from twisted.web._http2 import H2Stream
from twisted.web.server import Request

from twistream.scheduling.turn import Turn
from twistream.server.connection.outbound import Outbound, Owner
from twistream.server.connection.sockets import descriptor, in_kernel, queued, said_goodbye
from twistream.wire.frames import SEND_SIZE, Batch

_FRAME_COST = 320
"""
Bytes that a frame takes beside its own, as measured: a view, and its place among others.
"""


class _Line:
    """
    What the streams of one connection share: whose turn it is, and the idle timeout.

    While a stream is open its connection is not idle, however silent: as with HTTP/1.1.

    Attributes:
        streams: Those that have something to send and room in their own window.
        handed: Bytes that all of them have handed to the connection.
    """

    __slots__ = ("_connection", "_open", "_timeout", "_turn", "_woken", "handed", "streams")

    # For as long as they have streams.
    _lines: ClassVar[dict[Any, "_Line"]] = {}

    def __init__(self, connection: Any, turn: Turn) -> None:
        self.streams: deque[HTTP2Outbound] = deque()
        self.handed = 0
        self._connection = connection
        self._turn = turn
        self._open = 0
        self._timeout: int | None = connection.timeOut
        self._woken = False
        connection.setTimeout(None)

    @classmethod
    def joined(cls, connection: Any, turn: Turn) -> "_Line":
        """
        The line of this connection, which has one stream more.
        """
        line = cls._lines.get(connection)
        if line is None:
            line = cls._lines[connection] = cls(connection, turn)
        line._open += 1
        return line

    def leave(self) -> None:
        """
        A stream has ended.
        """
        self._open -= 1
        if not self._open:
            connection = self._connection
            del self._lines[connection]
            if connection.transport.connected:
                connection.setTimeout(self._timeout)

    def pump(self) -> None:
        """
        Let the streams send one frame each, in turn, as long as there is room.
        """
        streams, conn = self.streams, self._connection.conn
        gathered = 0
        while streams and not self._is_full() and conn.outbound_flow_control_window > 0:
            stream = streams.popleft()
            stream.in_line = False
            gathered += stream.send_frame()
            if gathered > SEND_SIZE:
                self._write()
                gathered = 0
        if gathered:
            self._write()
        for stream in streams:
            stream.wait_for_window()
        if streams and self._is_full():
            self._look_when_taken()

    def _write(self) -> None:
        connection = self._connection
        connection.transport.write(connection.conn.data_to_send())
        if said_goodbye(connection.transport):
            connection.transport.unregisterProducer()

    def look_soon(self) -> None:
        """
        As `pump`, in the next turn.
        """
        # Twisted may be going through its streams just now: never change them under it.
        if not self._woken:
            self._woken = True
            self._turn.soon(self._look)

    def _look(self) -> None:
        self._woken = False
        self.pump()

    def _is_full(self) -> bool:
        connection = self._connection
        # Control frames that wait may hold the HEADERS of a stream.
        return bool(
            connection._consumerBlocked is not None  # noqa: SLF001 - no public name
            or connection._bufferedControlFrames  # noqa: SLF001 - no public name
        )

    def _look_when_taken(self) -> None:
        blocked = self._connection._consumerBlocked  # noqa: SLF001 - no public name
        if blocked is None:
            self.look_soon()
        elif not self._woken:
            self._woken = True
            blocked.addCallback(self._taken)

    def _taken(self, result: object) -> object:
        self._woken = False
        transport = self._connection.transport
        if said_goodbye(transport):
            transport.unregisterProducer()
        self.look_soon()
        return result


class HTTP2Outbound(Outbound):
    """
    One stream.

    Attributes:
        in_line: It is among the streams of its line.
    """

    __slots__ = (
        "_aborting",
        "_channel",
        "_connection",
        "_line",
        "_pending",
        "_pending_size",
        "in_line",
    )

    # Twisted has no annotations for them: `H2Stream` and `H2Connection`.
    _channel: Any
    _connection: Any

    def __init__(self, request: Request, turn: Turn, owner: Owner) -> None:
        self._channel = request.channel
        self._connection = self._channel._conn  # noqa: SLF001 - no public name
        super().__init__(request, self._connection.transport, turn, owner)
        self._line = _Line.joined(self._connection, turn)
        self.in_line = False
        self._pending: deque[memoryview] = deque()
        self._pending_size = 0
        self._aborting = False

    def put(self, data: bytes, *, last: bool = False) -> None:  # noqa: ARG002 - END_STREAM is `finish`
        if not self.started:
            # Before anything can queue, so that the connection can say that it is full.
            self._request.registerProducer(self, True)  # noqa: FBT003 - Twisted's signature
            # A client's reset that came with its request is read, but not yet reported.
            with suppress(ProtocolError):
                self._write_head()
        if data:
            # What was pending before waits in the line, or for its own window.
            if not self._pending:
                self.join_line()
            self._pending.append(memoryview(data))
            self._pending_size += len(data)
            self.held += len(data)

    def push(self) -> bool:
        self.held = 0
        self._line.pump()
        return bool(self._pending) or queued(self._connection.transport) > 0

    def send_batch(self, batch: Batch) -> bool:
        for frame in batch.frames:
            self.put(frame.data)
        return self.push()

    def has_unsent(self) -> bool:
        if self._pending and not self.in_line:
            # A window that opens by SETTINGS is not reported: look now and then.
            self.join_line()
            self._line.pump()
        return super().has_unsent()

    def backlog(self) -> int:
        frames = self._pending_size + _FRAME_COST * len(self._pending)
        return frames + queued(self._connection.transport)

    def progress(self) -> tuple[int, int]:
        # With its own window closed, what other streams of the connection move is not its.
        if self._pending and not self.in_line:
            return (self.handed, 0)
        transport = self._connection.transport
        socket = descriptor(transport)
        unsent = queued(transport) + (0 if socket is None else in_kernel(socket))
        return (self._line.handed, -unsent)

    def abort(self) -> bool:
        self._aborting = True
        if not self._pending:
            self._reset_soon()
        return True

    def cut(self) -> None:
        self._drop()
        self.abort()

    def finish(self) -> None:
        # Twisted would send the end of what the client has reset, and its loop fail of it for
        # all streams of the connection.
        if not self._is_reset():
            super().finish()

    def release(self) -> None:
        super().release()
        vars(self._channel).pop("windowUpdated", None)  # So that no cycle is left.
        self._drop()
        self._line.leave()

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        # A window has opened, its own or that of the connection.
        if self._pending:
            self.join_line()
        self._line.look_soon()

    # For the line.

    def join_line(self) -> None:
        """
        Wait for a turn to send.
        """
        if not self.in_line:
            self.in_line = True
            self._line.streams.append(self)

    def wait_for_window(self) -> None:
        """
        Be full, and have Twisted call `resumeProducing` when a window opens.
        """
        self.full = True
        # Twisted's fails for all streams of the connection if this one has just been reset.
        self._channel.windowUpdated = self._window_updated
        self._channel.flowControlBlocked()

    def send_frame(self) -> int:
        """
        Make a frame of as much as one takes, and return how many bytes that are.

        If there is more to send, it joins the line again.
        """
        conn, stream = self._connection.conn, self._channel.streamID
        try:
            room = min(conn.local_flow_control_window(stream), conn.max_outbound_frame_size)
            if room <= 0:
                self.wait_for_window()
                return 0
            data = self._pending.popleft()
            if len(data) > room:
                self._pending.appendleft(data[room:])
                data = data[:room]
            conn.send_data(stream, bytes(data))
        except ProtocolError:
            # The client's reset has been read but not yet reported, or the connection is
            # closing: the end comes on its own.
            self._drop()
            return 0
        size = len(data)
        self._pending_size -= size
        self.handed += size
        self._line.handed += size
        if self._pending:
            self.join_line()
        elif self._aborting:
            self._reset_soon()
        elif self.full:
            self._turn.soon(self._drained)
        return size

    def _drained(self) -> None:
        if self.full and not self._pending:
            super().resumeProducing()

    def _window_updated(self) -> None:
        if not self._is_reset():
            H2Stream.windowUpdated(self._channel)

    def _drop(self) -> None:
        self.held = 0
        self._pending.clear()
        self._pending_size = 0
        if self.in_line:
            self.in_line = False
            self._line.streams.remove(self)

    # The end.

    def _reset_soon(self) -> None:
        # Not now, for the reason in `_Line.look_soon`.
        self._turn.soon(self._reset)

    def _reset(self) -> None:
        connection, channel = self._connection, self._channel
        if not self._is_open():
            return
        try:
            connection.conn.reset_stream(channel.streamID, ErrorCodes.INTERNAL_ERROR)
            connection._tryToWriteControlData()  # noqa: SLF001 - no public name
        except ProtocolError:
            pass  # It is closed already.
        if self._is_open():
            channel.connectionLost(Failure(ConnectionAborted("stream reset by the server")))
            connection._requestDone(channel.streamID)  # noqa: SLF001 - no public name

    def _is_reset(self) -> bool:
        """
        Whether the client has reset the stream, which need not have been reported yet.
        """
        try:
            self._connection.conn.local_flow_control_window(self._channel.streamID)
        except ProtocolError:
            return True
        return False

    def _is_open(self) -> bool:
        return self._channel.streamID in self._connection.streams
