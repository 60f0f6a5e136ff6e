"""
HTTP1Outbound: responses on HTTP/1.1 and HTTP/1.0, over TCP, TLS or any other transport.

Layer: connection.
"""

from typing import Any

from twisted.internet.tcp import Server as TCPServer
from twisted.web.server import Request

from twistream.scheduling.turn import Turn
from twistream.server.connection.outbound import Outbound, Owner
from twistream.server.connection.sockets import got_close_notify, in_kernel, queued
from twistream.wire.frames import LAST_CHUNK, Batch, Fields, chunk, last_chunk

_EMPTY: list[bytes] = []  # Shared by all responses without pending frames, and never changed.


class HTTP1Outbound(Outbound):
    """
    A response on an HTTP/1 connection.
    """

    __slots__ = (
        "_assumed_in",
        "_assumed_sent",
        "_chunked",
        "_frames",
        "_registered",
        "_transport",
    )

    _transport: Any  # Twisted's annotations lack most of what is used here.

    def __init__(self, request: Request, turn: Turn, owner: Owner) -> None:
        super().__init__(request, request.channel.transport, turn, owner)
        self._transport = request.channel.transport
        self._registered = False
        self._frames = _EMPTY
        # The part of `handed` that a transport without a socket is assumed to have sent, and
        # the turn of that assumption. See `backlog`.
        self._assumed_sent = 0
        self._assumed_in = 0
        self._chunked = False

    def start(self) -> None:
        head = self._borrowed.record_head()
        self._chunked = bool(self._borrowed.request.chunked)
        self._frames = [head]
        self.pending = len(head)

    def put(self, data: bytes) -> None:
        frame = chunk(data) if self._chunked else data
        if self.pending:
            self._frames.append(frame)
        else:
            self._frames = [frame]
        self.pending += len(frame)

    def put_end(self, last: bytes = LAST_CHUNK) -> None:
        if self._chunked:
            # A new list, because this may be the shared empty one.
            self._frames = [*self._frames, last]
            self.pending += len(last)
            self._borrowed.request.chunked = 0  # `finish` must not send another.

    def put_trailers(self, trailers: Fields) -> None:
        self.put_end(last_chunk(trailers))

    def push(self) -> None:
        frames = self._frames
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        self._frames = _EMPTY
        self.pending = 0
        self._send(data)

    def send_batch(self, batch: Batch) -> None:
        data = (batch.chunks or batch.as_chunks) if self._chunked else batch.as_bytes
        if self.may_send():
            # What `_send` does: a broadcast does this for each of its members, so a call counts.
            try:
                sent = self._transport.socket.send(data)
            except OSError:
                sent = 0  # `_send` deals with that.
            self.handed += sent
            if sent == len(data):
                return
            data = data[sent:]
        self._send(data)

    def may_send(self) -> bool:
        """
        Whether bytes may bypass Twisted's buffer, straight to the socket.

        That saves the two ``epoll_ctl`` and the turn that the buffer costs. It is allowed
        only on plain TCP with an empty queue: otherwise it would overtake queued bytes.
        """
        transport = self._transport
        return bool(
            type(transport) is TCPServer
            and self.coalesces
            and not transport.dataBuffer
            and not transport._tempDataBuffer  # noqa: SLF001 - no public name
            and transport.connected
            and not transport.disconnecting
            and not transport.TLS
            and not transport._aborting  # noqa: SLF001 - no public name
            and not transport._writeDisconnected  # noqa: SLF001 - no public name
        )

    def _send(self, data: bytes) -> None:
        """
        Send what the socket takes, and queue the rest.
        """
        self.handed += len(data)
        if self.may_send():
            try:
                sent = self._transport.socket.send(data)
            except OSError:
                pass  # Full or lost: the transport queues the bytes, or reports the loss.
            else:
                if sent == len(data):
                    return
                data = data[sent:]
        if not self._registered:
            # Before anything is queued, so that the connection can report that it is full.
            self._registered = True
            self.full |= self._borrowed.register(self)
        if got_close_notify(self._transport):
            self._borrowed.lose_connection()
            return
        self._borrowed.request.channel.write(data)
        if self.has_unsent():
            self._report_queued()

    def watch_hangup(self) -> None:
        if self._socket is not None:
            self._borrowed.watch_hangup(self._socket, self._turn.timers)

    def backlog(self) -> int:
        if self._socket is None:
            # The transport does not show its queue. It sends nothing within a turn, and nothing
            # while it is full; otherwise everything is assumed to be sent by the next turn.
            turn = self._turn.enter()
            if turn != self._assumed_in and not self.full:
                self._assumed_in = turn
                self._assumed_sent = self.handed
            return self.pending + self.handed - self._assumed_sent
        return self.pending + queued(self._transport)

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        self._assumed_sent = self.handed
        if got_close_notify(self._transport):
            self._borrowed.lose_connection()
            return
        super().resumeProducing()

    def progress(self) -> tuple[int, int]:
        if self._socket is None:
            return (self._resumes, self._assumed_sent)
        return (self._resumes, self.handed - queued(self._transport) - in_kernel(self._socket))

    def abort(self) -> bool:
        if self.handed and self._ends_with_connection():
            # Only a reset differs from a normal end here, and a reset drops what has not
            # reached the client yet.
            if self._socket is not None and (queued(self._transport) or in_kernel(self._socket)):
                return False
            self._transport.abortConnection()
        else:
            # The last chunk, or the rest of the Content-Length, is missing: FIN is enough.
            self._borrowed.unregister()
            self._borrowed.lose_connection()
        return True

    def _ends_with_connection(self) -> bool:
        """
        Whether neither chunks nor a length end the body.
        """
        headers = self._borrowed.request.responseHeaders
        return not self._chunked and not headers.hasHeader(b"Content-Length")

    def cut(self) -> None:
        self._transport.abortConnection()

    def release(self) -> None:
        super().release()
        self._frames = _EMPTY
        self.pending = 0
