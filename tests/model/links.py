"""
Links: clients of a site in one process, on every protocol, stepped by hand.

A link is a socket, perhaps with TLS on it, and a parser of HTTP/1 or HTTP/2 as a client has it.
Nothing moves but in `Link.step`. The client decides how much it reads.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from select import select
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from h2.windows import WindowManager
from OpenSSL import SSL
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.tcp import Server as TCPServer
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.server import Site

from tests.e2e.net import pem
from tests.harness import Ending, MemoryWire, Response, Responses, Steps, TCPWire
from twistream.server.connection.sockets import in_kernel

_ROUNDS = 200
"""
How often both sides take turns in one step, at most.
"""


class H2Server(TCPServer):
    """
    As after a handshake that has chosen HTTP/2.
    """

    negotiatedProtocol = b"h2"  # noqa: N815 - INegotiated


def tls_factory(site: Site, clock: Steps) -> TLSMemoryBIOFactory:
    """
    The site behind TLS.
    """
    certificate = PrivateCertificate.loadPEM(b"".join(pem()))
    options = CertificateOptions(
        privateKey=certificate.privateKey.original, certificate=certificate.original
    )
    return TLSMemoryBIOFactory(options, False, site, clock)


class Windows(WindowManager):
    """
    The window of a stream that accepts an empty frame also while it is below zero, unlike that of
    h2 (RFC 9113 6.9.1).
    """

    def window_consumed(self, size: int) -> None:
        if size:
            super().window_consumed(size)

    @classmethod
    def replace(cls, connection: H2Connection, number: int) -> None:
        """
        Give a stream such a window.
        """
        stream = connection.streams[number]
        size = stream._inbound_window_manager.max_window_size
        stream._inbound_window_manager = cls(max_window_size=size)


class Plain:
    """
    The bytes of a socket as they are.
    """

    closed = False

    def encode(self, data: bytes) -> bytes:
        return data

    def decode(self, data: bytes) -> bytes:
        return data

    def close(self) -> bytes:
        return b""


class TLS:
    """
    The client's side of TLS.

    Attributes:
        closed: The server has ended TLS.
    """

    def __init__(self, alpn: bytes) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_alpn_protos([alpn])
        self._connection = SSL.Connection(context, None)
        self._connection.set_connect_state()
        self._waiting = b""
        self._done = False
        self.closed = False

    def encode(self, data: bytes) -> bytes:
        self._waiting += data
        if not self._done:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                return self._to_send()
            self._done = True
        if self._waiting and not self.closed:
            try:
                self._connection.send(self._waiting)
            except SSL.Error:
                self.closed = True
        self._waiting = b""
        return self._to_send()

    def decode(self, data: bytes) -> bytes:
        if data:
            self._connection.bio_write(data)
        received = b""
        try:
            while True:
                received += self._connection.recv(65536)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.closed = True
        return received

    def close(self) -> bytes:
        with suppress(SSL.Error):
            self._connection.shutdown()
        return self._to_send()

    def _to_send(self) -> bytes:
        data = b""
        try:
            while True:
                data += self._connection.bio_read(65536)
        except SSL.WantReadError:
            return data


class Reply:
    """
    A response on HTTP/2, as far as its client has read it.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.body = b""
        self.ending = Ending.OPEN

    @property
    def complete(self) -> bool:
        return self.ending is Ending.COMPLETE


class HTTP1:
    """
    The parser of HTTP/1.

    Attributes:
        gone: The server has said that the connection ends.
    """

    gone = False

    def __init__(self, version: str) -> None:
        self._version = version
        self._responses = Responses()

    def request(self, method: str, path: str, padding: str) -> tuple[bytes, Response]:
        fields = [("X-Padding", padding)] if padding else []
        head = self._responses.expect(method, path, fields)
        head = head.replace(b" HTTP/1.1\r\n", f" HTTP/{self._version}\r\n".encode(), 1)
        return head, self._responses.all[-1]

    def receive(self, data: bytes) -> bytes:
        self._responses.feed(data)
        return b""

    def end(self, *, reset: bool) -> None:
        self._responses.end(reset=reset)

    def start(self) -> bytes:
        return b""


class HTTP2:
    """
    The client's side of HTTP/2.

    Attributes:
        gone: The server has sent GOAWAY.
        reading: Windows are opened again for what was received.
    """

    def __init__(self, window: int | None) -> None:
        self.gone = False
        self.reading = True
        self.replies: dict[int, Reply] = {}
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        if window is not None:
            self.h2.local_settings = Settings(
                initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window}
            )
        self._unacknowledged: list[tuple[int, int]] = []

    def start(self) -> bytes:
        self.h2.initiate_connection()
        return self.h2.data_to_send()

    def request(self, method: str, path: str, _: str) -> tuple[bytes, Reply]:
        number = self.h2.get_next_available_stream_id()
        reply = self.replies[number] = Reply()
        self.h2.send_headers(
            number,
            [(":method", method), (":path", path), (":scheme", "https"), (":authority", "a")],
            end_stream=True,
        )
        Windows.replace(self.h2, number)
        return self.h2.data_to_send(), reply

    def number_of(self, reply: Reply) -> int:
        (number,) = [number for number, each in self.replies.items() if each is reply]
        return number

    def receive(self, data: bytes) -> bytes:
        for event in self.h2.receive_data(data):
            if isinstance(event, ResponseReceived):
                head: dict[Any, Any] = dict(event.headers)
                self.replies[event.stream_id].status = int(head[":status"])
            elif isinstance(event, DataReceived):
                reply = self.replies[event.stream_id]
                assert reply.ending is not Ending.COMPLETE
                reply.body += event.data
                if event.flow_controlled_length:
                    self._unacknowledged.append((event.flow_controlled_length, event.stream_id))
            elif isinstance(event, StreamEnded):
                self.replies[event.stream_id].ending = Ending.COMPLETE
            elif isinstance(event, StreamReset):
                self.replies[event.stream_id].ending = Ending.ABORTED
            elif isinstance(event, ConnectionTerminated):
                self.gone = True
        if self.reading:
            self.acknowledge()
        return self.h2.data_to_send()

    def acknowledge(self) -> None:
        parts, self._unacknowledged = self._unacknowledged, []
        for size, number in parts:
            with suppress(ProtocolError):
                self.h2.acknowledge_received_data(size, number)

    def control(self, act: Callable[[H2Connection], object]) -> bytes:
        with suppress(ProtocolError):
            act(self.h2)
        return self.h2.data_to_send()

    def end(self, *, reset: bool) -> None:
        for reply in self.replies.values():
            if reply.ending is Ending.OPEN:
                reply.ending = Ending.ABORTED if reset else Ending.TRUNCATED


class Link:
    """
    One connection.

    Attributes:
        limit: The bytes that the client reads in one step; None for all; 0 to stall.
        left: The client has closed the connection.
        closed: The server has closed the connection, and the client has read that.
    """

    def __init__(
        self,
        site: Site,
        clock: Steps,
        version: str,
        tls: bool,
        memory: bool,
        *,
        window: int | None = None,
    ) -> None:
        self.clock = clock
        self.version = version
        self.tls = tls
        self.memory = memory
        served: Any = tls_factory(site, clock) if tls else site
        self.wire: Any
        if memory:
            self.wire = MemoryWire(served)
        else:
            kind = H2Server if version == "h2" and not tls else TCPServer
            self.wire = TCPWire(served, clock, kind)
            self.wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.layer: Any = TLS(b"h2" if version == "h2" else b"http/1.1") if tls else Plain()
        self.http: Any = HTTP2(window) if version == "h2" else HTTP1(version)
        self.limit: int | None = None
        self.left = False
        self.closed = False
        self._out = b""
        self.send(self.http.start())

    def request(self, method: str = "GET", path: str = "/", padding: str = "") -> Any:
        """
        Send a request, and return what will be read of its response.
        """
        data, reply = self.http.request(method, path, padding)
        self.send(data)
        return reply

    def step(self) -> None:
        """
        Let both sides read and write, until neither has anything to do or the client stops reading.
        """
        quiet = 0
        budget = self.limit
        for _ in range(_ROUNDS):
            moved = self._flush()
            if not self.memory:
                self._poll()
            got = self._take(budget)
            if budget is not None:
                budget -= len(got)
            quiet = 0 if moved or got else quiet + 1
            if self.closed or (quiet > 1 and not (budget is None and self._is_late())):
                return

    def _is_late(self) -> bool:
        """
        Whether the kernel still has to deliver something. It may wait for its own timers.
        """
        transport = self.wire.transport
        if self.memory or self.left or not transport.connected:
            return False
        if not (self.wire.queued or in_kernel(transport)):
            return False
        return bool(select([self.wire.socket], [], [], 0.05)[0])

    def read(self, size: int) -> None:
        """
        Let the client read, before the server has written what it has queued.
        """
        if self.limit is None:
            self._take(size)
        elif self.limit:
            self._take(min(size, self.limit))

    def control(self, act: Callable[[H2Connection], object]) -> None:
        """
        Do something with the client's h2 connection.
        """
        self.send(self.http.control(act))

    def send(self, data: bytes) -> None:
        """
        Send bytes, as the client's HTTP.
        """
        if not self.left:
            self._out += self.layer.encode(data)
            self._flush()

    def set_windows(self, size: int) -> None:
        """
        Change the windows of all streams.
        """
        self.control(lambda h2: h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size}))

    def leave(self, *, reset: bool) -> None:
        """
        Close the connection.
        """
        if not self.left:
            self.left = True
            if not (reset or self.memory):
                self._out += self.layer.close()
                self._flush()
            self.wire.lose(reset=reset)

    def notify(self) -> None:
        """
        End TLS, but not the connection.
        """
        self._out += self.layer.close()
        self._flush()

    def close(self) -> None:
        """
        Free what the connection holds, whoever has closed it before.
        """
        self.leave(reset=False)
        if not self.memory:
            for _ in range(5):
                self._poll()
            self.wire.socket.close()

    def _flush(self) -> bool:
        data, self._out = self._out, b""
        if not data or self.left:
            return False
        if self.memory:
            if self.wire.connected and not self.wire.disconnecting:
                self.wire.deliver(data)
            return True
        try:
            sent = self.wire.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        self._out = data[sent:]
        return bool(sent)

    def _poll(self) -> None:
        transport = self.wire.transport
        if transport.connected or transport in self.clock.writers | self.clock.readers:
            self.wire.poll()

    def _take(self, budget: int | None) -> bytes:
        if self.left or budget == 0:
            return b""
        data: bytes = self.wire.take(budget)
        if data and not self.memory and hasattr(socket, "TCP_QUICKACK"):
            # An acknowledgement that the kernel delays would stop a server that sends more.
            self.wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        got = self.layer.decode(data) if data or self.tls else data
        if got:
            answer = self.http.receive(got)
            self.send(answer)
        elif self.tls and data:
            self.send(b"")
        if self.layer.closed and not self.closed:
            self._out += self.layer.close()
            self._flush()
        if self.wire.closed and (budget is None or len(data) < budget) and not self.closed:
            self.closed = True
            self.http.end(reset=self.wire.aborted)
            if self.memory:
                # A real transport reports that it has closed.
                self.wire.lose(reset=self.wire.aborted)
        return data
