"""
HTTP1Outbound: responses on HTTP/1.1 and HTTP/1.0, over TCP, TLS or any other transport.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

from twisted.internet.tcp import Server as TCPServer
from twisted.web.http import HTTPChannel, Request

from twistream.scheduling.turn import Turn
from twistream.server.connection.hangup import HangupWatch
from twistream.server.connection.outbound import Outbound, Owner
from twistream.server.connection.sockets import descriptor, in_kernel, queued, said_goodbye
from twistream.wire.frames import Batch
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
        "_chunked",
        "_frames",
        "_hangup",
        "_registered",
        "_socket",
        "_taken",
        "_taken_in",
        "_transport",
    )

    # What Twisted's annotations do not know of them is guarded where it is used.
    _channel: Any
    _transport: Any

    def __init__(self, request: Request, turn: Turn, owner: Owner) -> None:
        super().__init__(request, request.channel.transport, turn, owner)
        self._channel = request.channel
        self._transport = request.channel.transport
        self._socket = descriptor(self._transport)
        self._hangup: HangupWatch | None = None
        self._registered = False
        self._frames: list[bytes] = []
        self._taken = 0
        self._taken_in = 0
        self._chunked = False

    def put(self, data: bytes, *, last: bool = False) -> None:
        if not self.started:
            self._put_head()
        if data:
            # As `_hold`, without the call: this is done for each message.
            frame = chunk(data) if self._chunked else data
            self._frames.append(frame)
            self.held += len(frame)
        if last and self._chunked:
            self._hold(LAST_CHUNK)
            self._request.chunked = 0  # `finish` must not send another.

    def push(self) -> bool:
        frames = self._frames
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()
        self.held = 0
        return self._send(data)

    def send_batch(self, batch: Batch) -> bool:
        return self._send(batch.as_chunks if self._chunked else batch.as_bytes)

    def may_send(self) -> bool:
        """
        Whether bytes may pass Twisted's buffer by, straight to the socket.

        That saves the two ``epoll_ctl`` and the turn that the buffer costs. It is right on
        plain TCP with an empty queue only: anything else would be overtaken.
        """
        transport = self._transport
        return bool(
            type(transport) is TCPServer
            and self.joins
            and not transport.dataBuffer
            and not transport._tempDataBuffer  # noqa: SLF001 - Twisted has no public question
            and transport.connected
            and not transport.disconnecting
            and not transport.TLS
            and not transport._aborting  # noqa: SLF001 - as above
            and not transport._writeDisconnected  # noqa: SLF001 - as above
        )

    def _send(self, data: bytes) -> bool:
        """
        Send what the socket takes, hand on the rest, and return whether some of it waits.
        """
        self.handed += len(data)
        if self.may_send():
            try:
                sent = self._transport.socket.send(data)
            except OSError:
                pass  # Full, or lost: the ordinary way waits, or reports it.
            else:
                if sent == len(data):
                    return False
                data = data[sent:]
        if not self._registered:
            self._register()
        if said_goodbye(self._transport):
            self._channel.loseConnection()
            return False
        self._channel.write(data)
        return self.has_unsent()

    def attend(self) -> None:
        if self._socket is not None and isinstance(self._channel, HTTPChannel):
            self._hangup = HangupWatch(self._channel, self._socket, self._turn.timers)

    def backlog(self) -> int:
        if self._socket is None:
            # Nothing to see inside. No transport sends before the reactor has its turn,
            # and one that is full holds on to what it has.
            turn = self._turn.enter()
            if turn != self._taken_in and not self.full:
                self._taken_in = turn
                self._taken = self.handed
            return self.held + self.handed - self._taken
        return self.held + queued(self._transport)

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._taken = self.handed
        if said_goodbye(self._transport):
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

    @property
    def closes(self) -> bool:
        return not self._channel.persistent and isinstance(self._channel, HTTPChannel)

    def close_when_idle(self, still_moving: Callable[[], bool], seconds: float) -> None:
        channel = self._channel

        # Twisted turns the channel's own timeout off for as long as it handles a request,
        # and on again only if another may follow. TLS waits for the client's goodbye, and
        # TCP for its window, for ever.
        def timed_out(channel: Any) -> None:
            if still_moving():
                channel.setTimeout(seconds)
            else:
                channel.forceAbortClient()

        channel.timeoutConnection = MethodType(timed_out, channel)
        channel.setTimeout(seconds)

    def release(self) -> None:
        super().release()
        self._frames.clear()
        self.held = 0
        if self._hangup is not None:
            self._hangup.stop()

    def _hold(self, frame: bytes) -> None:
        self._frames.append(frame)
        self.held += len(frame)

    def _put_head(self) -> None:
        """
        Have Twisted write the head, with all that it knows about heads, and hold it.
        """
        request, channel = self._request, self._channel
        recorder = _HeadRecorder()
        transport, channel.transport = channel.transport, recorder
        try:
            self._write_head()
        finally:
            channel.transport = transport
        self._chunked = bool(request.chunked)
        self._hold(b"".join(recorder.written))

    def _register(self) -> None:
        # Before anything can queue, so that the connection can say that it is full.
        self._registered = True
        self._request.registerProducer(self, True)  # noqa: FBT003 - Twisted's signature
        if getattr(self._channel, "_waitingForTransport", False):
            # Full of earlier responses. Twisted tells a producer only what comes after it.
            self.full = True

    def _ends_with_connection(self) -> bool:
        return not self._chunked and not self._request.responseHeaders.hasHeader(b"Content-Length")
