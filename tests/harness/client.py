"""
Client and Server: a real site, and connections to it that a test steps by hand.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.tcp import Server as TCPServer
from twisted.web.resource import IResource
from twisted.web.server import Site

from tests.harness.response import Response, Responses
from tests.harness.wires import MemoryWire, Steps, TCPWire
from twistream import ServerSentEvent

Headers = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]


class Client:
    """
    One HTTP/1.x connection to a server.

    A test sends a request, moves the clock, and reads:

        client = Server(StreamResource(handler)).connect()
        client.request("GET", "/numbers")
        client.read_chunks()       # [b"1"]
        client.clock.advance(1)
        client.read_chunks()       # [b"2"]

    What was sent is seen when it is read, and not before. `take` reads what is there now;
    the others let the reactor's turn end first, as a socket does. Bytes that answer no
    request fail the test that reads them.

    Attributes:
        clock: The server's.
        site: The server's.
        wire: The connection.
        connected: This client has not closed the connection.
    """

    def __init__(self, site: Site, clock: Clock, wire: MemoryWire | TCPWire) -> None:
        self.site = site
        self.clock = clock
        self.wire = wire
        self.connected = True
        self._received = Responses()

    @property
    def responses(self) -> list[Response]:
        """
        Those to all requests so far, as far as they have been read.
        """
        return self._received.all

    @property
    def response(self) -> Response:
        """
        The one to the newest request, as far as it has been read.
        """
        return self.responses[-1]

    @property
    def transport(self) -> Any:
        """
        The server's transport.
        """
        return self.wire.transport

    @property
    def closed(self) -> bool:
        """
        The server has closed the connection.
        """
        return self.wire.closed

    @property
    def aborted(self) -> bool:
        """
        The server has reset the connection.
        """
        return self.wire.aborted

    @property
    def writes(self) -> list[bytes]:
        """
        What the server has written so far, call by call.
        """
        assert isinstance(self.wire, MemoryWire), "writes can be told apart in memory only"
        return self.wire.writes

    def request(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Headers = (),
        *,
        body: bytes = b"",
        version: str = "1.1",
    ) -> Response:
        """
        Send a request, and return its response, of which nothing has been read yet.

        Args:
            headers: Besides `Host`, and `Content-Length` if there is a body.
            version: ``1.1`` or ``1.0``.
        """
        fields = list(headers.items() if isinstance(headers, Mapping) else headers)
        if body:
            fields.append(("Content-Length", str(len(body))))
        head = self._received.expect(method, path, fields)
        self.send(head.replace(b" HTTP/1.1\r\n", f" HTTP/{version}\r\n".encode(), 1) + body)
        return self.response

    def send(self, data: bytes) -> None:
        """
        Send bytes as they are. Say with `expect` which requests are among them.
        """
        self.wire.deliver(data)

    def expect(self, method: str = "GET") -> Response:
        """
        Be ready for a response to a request that is sent as bytes.
        """
        self._received.expect(method)
        return self.response

    def take(self, limit: int | None = None) -> bytes:
        """
        Read what has arrived, at most `limit` bytes, in the middle of the reactor's turn.

        Returns:
            The bytes, as they were on the wire. They are in the responses, too.
        """
        data = self.wire.take(limit)
        self._received.feed(data)
        if self.closed and (limit is None or len(data) < limit):
            self._received.end(reset=self.aborted)
        return data

    def read_raw(self) -> bytes:
        """
        Let the turn end, and return the bytes that have arrived, as they were on the wire.
        """
        self.clock.advance(0)
        data = self.take()
        for response in self.responses:
            response.new_body()
        return data

    def receive(self) -> Response:
        """
        Let the turn end, read what has arrived, and return the newest response.
        """
        self.read_raw()
        return self.response

    def read(self) -> bytes:
        """
        Let the turn end, and return the new part of the newest response's body.
        """
        return self._read().new_body()

    def read_chunks(self) -> list[bytes]:
        """
        Let the turn end, and return the new chunks of the newest response.
        """
        return self._read().new_chunks()

    def read_events(self) -> list[ServerSentEvent]:
        """
        Let the turn end, and return the new events of the newest response.
        """
        return self._read().new_events()

    def read_values(self) -> list[Any]:
        """
        Let the turn end, and return the values of the new JSON lines of the newest response.
        """
        return self._read().new_values()

    def pause(self, after: int = 0) -> None:
        """
        Stop reading: the server is told that the connection is full.

        What it has written before, or writes all the same, can still be read, so that a test
        sees it. The server goes on after `resume`.

        Args:
            after: The connection is full only after so many further writes.
        """
        self.wire.fill(after)

    def resume(self) -> None:
        """
        Read again: the server is told that the connection takes more.
        """
        self.wire.drain()

    def poll(self) -> None:
        """
        Over TCP: let the server's socket take some of what is queued for it.
        """
        self._tcp.poll()

    @property
    def unsent(self) -> int:
        """
        Over TCP: how many bytes the server has queued for its socket.
        """
        return self._tcp.queued

    def disconnect(self) -> None:
        """
        Close the connection in good order, with FIN.
        """
        self._close(reset=False)

    def reset(self) -> None:
        """
        Close the connection with RST.
        """
        self._close(reset=True)

    def half_close(self) -> None:
        """
        Send FIN, but go on reading.
        """
        self.wire.half_close()

    def _close(self, *, reset: bool) -> None:
        if self.connected:
            self.connected = False
            self.wire.lose(reset=reset)

    @property
    def _tcp(self) -> TCPWire:
        assert isinstance(self.wire, TCPWire), "in memory there are no sockets"
        return self.wire

    def _read(self) -> Response:
        self.clock.advance(0)
        self.take()
        return self.response


class Server:
    """
    A real `twisted.web.server.Site` without a reactor.

    Args:
        resource: What it serves. One that is a leaf is served at every path.
        clock: What it lives by. A test moves it.
        timeout: After how many seconds the site closes a connection without a request.

    Attributes:
        site: The site.
        clients: All connections so far.
    """

    def __init__(
        self, resource: IResource, clock: Clock | None = None, *, timeout: float | None = 60.0
    ) -> None:
        self.clock = Steps() if clock is None else clock
        self.site = Site(resource, reactor=self.clock, timeout=timeout)
        self.clients: list[Client] = []

    def connect(self) -> Client:
        """
        A connection in memory.
        """
        return self._client(MemoryWire(self.site))

    def connect_tcp(self, kind: type[TCPServer] = TCPServer) -> Client:
        """
        A connection over loopback, of which both ends are stepped by hand.

        Args:
            kind: The class of the server's transport.
        """
        assert isinstance(self.clock, Steps), "a server of TCP makes its own clock"
        return self._client(TCPWire(self.site, self.clock, kind))

    def close(self) -> None:
        """
        Close all connections.
        """
        for client in self.clients:
            if isinstance(client.wire, TCPWire):
                client.wire.close()
            else:
                client.disconnect()

    def _client(self, wire: MemoryWire | TCPWire) -> Client:
        client = Client(self.site, self.clock, wire)
        self.clients.append(client)
        return client
