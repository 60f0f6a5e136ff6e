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

    A response shows what was read, and nothing more. `take` reads what is there now. The
    other methods let the reactor's turn end first: a server may send at its end what it has
    gathered. Bytes that answer no request fail the test that reads them.

    Attributes:
        clock: The server's clock.
        site: The server's site.
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
        The responses to all requests so far, as far as they have been read.
        """
        return self._received.all

    @property
    def response(self) -> Response:
        """
        The response to the newest request, as far as it has been read.
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
        What the server has written so far, one item for each write. In memory only.
        """
        assert isinstance(self.wire, MemoryWire), "TCP does not show single writes"
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
        Send a request.

        Args:
            headers: `Host` comes before them, and `Content-Length` after them if there is a
                body.
            version: ``1.1`` or ``1.0``.

        Returns:
            The response. Nothing of it has been read.
        """
        fields = list(headers.items() if isinstance(headers, Mapping) else headers)
        if body:
            fields.append(("Content-Length", str(len(body))))
        head = self._received.expect(method, path, fields)
        self.send(head.replace(b" HTTP/1.1\r\n", f" HTTP/{version}\r\n".encode(), 1) + body)
        return self.response

    def send(self, data: bytes) -> None:
        """
        Send bytes as they are. Call `expect` once for each request among them.
        """
        self.wire.deliver(data)

    def expect(self, method: str = "GET") -> Response:
        """
        Expect a response to a request that is sent as bytes.
        """
        self._received.expect(method)
        return self.response

    def take(self, limit: int | None = None) -> bytes:
        """
        Read what has arrived, at most `limit` bytes, in the middle of the reactor's turn.

        Returns:
            The bytes as they were on the wire. The responses have them, too.
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
        Make the connection full, as a client does that reads nothing. In memory only.

        Twisted pauses the server's producer until `resume`. A test can still read what the
        server has written, and what it writes all the same.

        Args:
            after: How many writes the connection takes before it is full.
        """
        self.wire.fill(after)

    def resume(self) -> None:
        """
        Let the connection take more: Twisted resumes the server's producer.
        """
        self.wire.drain()

    def poll(self) -> None:
        """
        Let the server read its socket, and send some of what it has queued. TCP only.
        """
        self._tcp.poll()

    @property
    def unsent(self) -> int:
        """
        How many bytes the server has queued for its socket. TCP only.
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
        resource: The root of the site. A leaf is served at every path.
        clock: The clock of the site. By default one that stands still until a test moves it.
        timeout: After how many seconds the site closes an idle connection. The default is
            Twisted's own. With None nothing but the responses uses the clock.

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
        A connection over loopback. A test steps both ends by hand.

        Args:
            kind: The class of the server's transport.
        """
        assert isinstance(self.clock, Steps), "sockets need the default clock"
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
