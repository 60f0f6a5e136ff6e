"""
A response of another server, as Twisted's HTTP client receives it. A test sends its bytes.
"""

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/csv\r\n\r\n"
CLOSE_DELIMITED = b"HTTP/1.0 200 OK\r\n\r\n"


class Transport(StringTransport):
    """
    The client's transport.

    Attributes:
        aborted: How often it was aborted.
    """

    aborted = 0

    def __init__(self) -> None:
        super().__init__(lenient=True)

    @property
    def paused(self) -> bool:
        return bool(self.producerState == "paused")

    def abortConnection(self) -> None:
        self.aborted += 1


class Upstream:
    """
    A request that was sent to another server, and its response.

    Attributes:
        transport: The client's transport.
        response: The response, once `send` has sent its head.
    """

    def __init__(self, head: bytes = CHUNKED, *, persistent: bool = False) -> None:
        self.transport = Transport()
        self._protocol: Any = HTTP11ClientProtocol()
        self._protocol.makeConnection(self.transport)
        headers = Headers({b"Host": [b"a"]})
        request = Request(b"GET", b"/", headers, None, persistent)
        responses: list[IResponse] = []
        self._protocol.request(request).addCallback(responses.append)
        self.send(head)
        (self.response,) = responses

    def send(self, data: bytes) -> None:
        """
        The other server sends bytes, which arrive even if the client does not read.
        """
        self._protocol.dataReceived(data)

    def send_chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def lose(self, *, reset: bool = False) -> None:
        """
        The other server closes the connection.
        """
        self._protocol.connectionLost(Failure(ConnectionLost() if reset else ConnectionDone()))
