"""
HTTP2Outbound: responses as streams of an HTTP/2 connection.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure
from twisted.web.http import Request

from twistream.server.outbound import Outbound
from twistream.server.sockets import descriptor, in_kernel, queued
from twistream.server.turn import Turn


class HTTP2Outbound(Outbound):
    """
    One stream of an HTTP/2 connection.

    DATA frames are handed to the connection as the flow-control windows and the
    transport take them, and what does not fit stays here. Twisted's own queue is passed
    by: it sends one frame a turn, is not told when TCP is full, spins while a client's
    window is closed, and dies with all streams of the connection when a client shrinks
    its window (`twisted.web._http2.H2Connection._sendPrioritisedData`).
    """

    __slots__ = ("_aborting", "_channel", "_connection", "_pending", "_pending_size", "_woken")

    # While a stream is open its connection is not idle, however silent: as with HTTP/1.1.
    # For each connection, its timeout and how many of our streams hold it off.
    _held_timeouts: ClassVar[WeakKeyDictionary[Any, tuple[int | None, int]]] = WeakKeyDictionary()

    # Twisted has no annotations for them: `H2Stream` and `H2Connection`.
    _channel: Any
    _connection: Any

    def __init__(self, request: Request, turn: Turn, resumed: Callable[[], object]) -> None:
        super().__init__(request, turn, resumed)
        self._channel = request.channel
        self._connection = self._channel._conn  # noqa: SLF001 - no public name
        self._pending: deque[memoryview] = deque()
        self._pending_size = 0
        self._woken = False
        self._aborting = False
        connection = self._connection
        timeout, held = self._held_timeouts.get(connection, (connection.timeOut, 0))
        connection.setTimeout(None)
        self._held_timeouts[connection] = (timeout, held + 1)

    def send(self, data: bytes, *, at_once: bool = False, last: bool = False) -> None:  # noqa: ARG002 - END_STREAM is `finish`
        if not self.started:
            self._start()
        if data:
            self._request.sentLength += len(data)
            self._pending.append(memoryview(data))
            self._pending_size += len(data)
            self._pump()

    def waits(self) -> bool:
        if self._pending and not self._woken:
            # A window that opens by SETTINGS is not reported.
            self._pump()
        return super().waits()

    def backlog(self) -> int:
        return self._pending_size + queued(self._connection.transport)

    def progress(self) -> tuple[int, int]:
        # With the window closed, what other streams of the connection move is not ours.
        if self._pending and not self._connection_is_full():
            return (self.handed, 0)
        transport = self._connection.transport
        socket = descriptor(transport)
        unsent = queued(transport) + (0 if socket is None else in_kernel(socket))
        return (self.handed, -unsent)

    def abort(self) -> bool:
        self._aborting = True
        # Twisted may be going through its streams just now: never change them under it.
        if not self._pending:
            self._turn.soon(self._reset)
        return True

    def cut(self) -> None:
        self._pending.clear()
        self._pending_size = 0
        self.abort()

    def close_when_idle(self, still_moving: Callable[[], bool], seconds: float) -> None:
        # The connection has other streams, and a timeout of its own.
        pass

    def release(self) -> None:
        connection = self._connection
        timeout, held = self._held_timeouts.pop(connection, (None, 0))
        if held > 1:
            self._held_timeouts[connection] = (timeout, held - 1)
        elif connection.transport.connected:
            connection.setTimeout(timeout)

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        # A window has opened. Twisted is going through its streams: see `abort`.
        self._wake()

    def _wake(self, result: object = None) -> object:
        if not self._woken:
            self._woken = True
            self._turn.soon(self._woken_up)
        return result

    def _woken_up(self) -> None:
        self._woken = False
        self._pump()

    def _is_open(self) -> bool:
        return self._channel.streamID in self._connection.streams

    def _connection_is_full(self) -> bool:
        connection = self._connection
        # Control frames that wait may hold our HEADERS.
        return bool(
            connection._consumerBlocked is not None  # noqa: SLF001 - no public name
            or connection._bufferedControlFrames  # noqa: SLF001 - no public name
        )

    def _pump(self) -> None:
        """
        Hand over as much as fits, and say so if this or the lack of room is new.
        """
        if not self._is_open():
            self._pending.clear()
            self._pending_size = 0
            return
        try:
            self._hand_over()
        except ProtocolError:
            # The client's reset has been read but not yet reported; or the connection is
            # closing. Either way the end comes on its own.
            self._pending.clear()
            self._pending_size = 0
            return
        if self._pending:
            self._wait_for_room()
        elif self._aborting:
            self._turn.soon(self._reset)
        elif self.full:
            super().resumeProducing()

    def _hand_over(self) -> None:
        connection, stream = self._connection, self._channel.streamID
        while self._pending and not self._connection_is_full():
            room = min(
                connection.conn.local_flow_control_window(stream),
                connection.conn.max_outbound_frame_size,
            )
            if room <= 0:
                return
            data = self._pending.popleft()
            if len(data) > room:
                self._pending.appendleft(data[room:])
                data = data[:room]
            self._pending_size -= len(data)
            self.handed += len(data)
            connection.conn.send_data(stream, bytes(data))
            connection.transport.write(connection.conn.data_to_send())

    def _wait_for_room(self) -> None:
        self.full = True
        blocked = self._connection._consumerBlocked  # noqa: SLF001 - no public name
        if blocked is not None:
            if not self._woken:
                self._woken = True
                blocked.addCallback(self._connection_took)
        elif self._connection_is_full():
            self._wake()
        else:
            # So that Twisted calls resumeProducing when the window opens.
            self._channel.flowControlBlocked()

    def _connection_took(self, result: object) -> object:
        self._woken = False
        transport = self._connection.transport
        socket = descriptor(transport)
        if socket is not None and socket.disconnecting:
            # As with HTTP/1: the client has said goodbye on TLS.
            transport.unregisterProducer()
        return self._wake(result)

    def _reset(self) -> None:
        if not self._is_open():
            return
        connection, channel = self._connection, self._channel
        try:
            connection.conn.reset_stream(channel.streamID, ErrorCodes.INTERNAL_ERROR)
            connection._tryToWriteControlData()  # noqa: SLF001 - no public name
        except ProtocolError:
            pass  # It is closed already.
        if self._is_open():
            channel.connectionLost(Failure(ConnectionAborted("stream reset by the server")))
            connection._requestDone(channel.streamID)  # noqa: SLF001 - no public name
