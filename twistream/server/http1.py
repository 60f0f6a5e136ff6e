"""
HTTP1Outbound: responses on HTTP/1.1 and HTTP/1.0, over TCP, TLS or any other transport.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

from twisted.internet.tcp import Server as TCPServer
from twisted.web.http import HTTPChannel, Request

from twistream.server.hangup import HangupWatch
from twistream.server.outbound import Outbound
from twistream.server.sockets import descriptor, in_kernel, queued
from twistream.server.turn import Turn
from twistream.wire.framing import LAST_CHUNK, chunk


class _HeadRecorder:
    """
    Takes the place of a transport while Twisted writes a head.
    """

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writeSequence(self, data: list[bytes]) -> None:  # noqa: N802 - ITransport
        self.written.extend(data)


class HTTP1Outbound(Outbound):
    """
    HTTP/1.1 and HTTP/1.0, on TCP, TLS or any other transport.
    """

    __slots__ = (
        "_channel",
        "_hangup",
        "_sent_in_turn",
        "_socket",
        "_taken",
        "_transport",
        "_turn_seen",
    )

    # What Twisted's annotations do not know of them is guarded where it is used.
    _channel: Any
    _transport: Any

    def __init__(self, request: Request, turn: Turn, resumed: Callable[[], object]) -> None:
        super().__init__(request, turn, resumed)
        self._channel = request.channel
        self._transport = request.channel.transport
        self._socket = descriptor(self._transport)
        self._hangup = (
            HangupWatch(self._channel, self._socket, turn.clock)
            if self._socket is not None and isinstance(self._channel, HTTPChannel)
            else None
        )
        self._sent_in_turn = 0
        self._taken = 0
        self._turn_seen = 0

    def send(self, data: bytes, *, at_once: bool = False, last: bool = False) -> None:
        request = self._request
        head = b"" if self.started else self._head()
        request.sentLength += len(data)
        body = chunk(data) if data and request.chunked else data
        framed = head + body + (LAST_CHUNK if last and request.chunked else b"")
        if last:
            request.chunked = 0  # The last chunk is in: `finish` must not send another.
        if not framed:
            return
        self.handed += len(framed)
        if at_once:
            framed = self._send_directly(framed)
        if framed:
            self._channel.write(framed)

    def backlog(self) -> int:
        if self._socket is None:
            # Nothing to see inside. No transport sends before the reactor has its turn,
            # and one that is full holds on to what it has.
            turn = self._turn.enter()
            if turn != self._turn_seen and not self.full:
                self._turn_seen = turn
                self._taken = self.handed
            return self.handed - self._taken
        return queued(self._transport)

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._turn_seen = 0  # All that waited has been taken.
        if self._socket is not None and self._socket.disconnecting:
            # The client has said goodbye on TLS, and Twisted waits for the producer, who
            # would go on for ever: what it writes is thrown away.
            self._channel.loseConnection()
            return
        super().resumeProducing()

    def progress(self) -> tuple[int, int]:
        if self._socket is None:
            return (self._resumes, 0)
        return (self._resumes, self.handed - queued(self._transport) - in_kernel(self._socket))

    def abort(self) -> bool:
        if self.started and self._ends_with_connection():
            # Only a reset can tell this end from a good one, and a reset takes with it
            # what has not reached the client yet.
            if self._socket is not None and (queued(self._transport) or in_kernel(self._socket)):
                return False
            self._transport.abortConnection()
        else:
            # Short of the last chunk, or of its Content-Length: FIN is enough.
            self._request.unregisterProducer()
            self._channel.loseConnection()
        return True

    def cut(self) -> None:
        self._transport.abortConnection()

    def close_when_idle(self, still_moving: Callable[[], bool], seconds: float) -> None:
        channel = self._channel
        if channel.persistent or not isinstance(channel, HTTPChannel):
            return

        # Twisted turns the channel's own timeout off for as long as it handles a request,
        # and on again only if another may follow. TLS waits for the client's goodbye, and
        # TCP for its window, for ever.
        def timed_out(channel: Any) -> None:
            if still_moving():
                channel.setTimeout(seconds)
            else:
                channel.forceAbortClient()

        channel.timeoutConnection = MethodType(timed_out, channel)  # type: ignore[method-assign]  # of this one
        channel.setTimeout(seconds)

    def release(self) -> None:
        if self._hangup is not None:
            self._hangup.stop()

    def _head(self) -> bytes:
        """
        Have Twisted write the head, and keep its bytes to send them with the first chunk.
        """
        channel = self._channel
        recorder = _HeadRecorder()
        transport, channel.transport = channel.transport, recorder
        try:
            self._start()
        finally:
            channel.transport = transport
        if getattr(channel, "_waitingForTransport", False):
            # Full of earlier responses. Twisted tells a producer only what comes after it.
            self.full = True
        return b"".join(recorder.written)

    def _ends_with_connection(self) -> bool:
        request = self._request
        return not request.chunked and not request.responseHeaders.hasHeader(b"Content-Length")

    def _send_directly(self, data: bytes) -> bytes:
        """
        Send what the socket takes, and return the rest.

        Saves the two ``epoll_ctl`` and the turn that Twisted's buffer costs. Only plain
        TCP with an empty queue may be passed by: anything else would be overtaken. One
        such send for each turn, so that a burst still leaves in one piece.
        """
        turn = self._turn.enter()
        if self._sent_in_turn == turn:
            return data
        self._sent_in_turn = turn
        transport = self._transport
        if (
            type(transport) is not TCPServer
            or transport.TLS
            or not transport.connected
            or transport.disconnecting
            or transport._aborting  # noqa: SLF001 - Twisted has no public question for it
            or transport._writeDisconnected  # noqa: SLF001 - as above
            or queued(transport)
        ):
            return data
        sent = transport.writeSomeData(data)
        # An exception is the loss of the connection: the ordinary way reports it.
        return data[sent:] if isinstance(sent, int) else data
