"""
The lower bound: a fan-out that is one loop over ``socket.send``, with almost no HTTP.

It serves ``/subscribe`` and ``/publish`` only, and ends with an error at the first full socket.
"""

import select
import socket
import sys

from benchmarks.message import CHUNK, MEDIA_TYPE, as_chunk
from benchmarks.servers import BACKLOG, HOST

_WELCOME = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n%b" % (
    MEDIA_TYPE.encode(),
    CHUNK,
)
_PUBLISHED = b"HTTP/1.1 204 No Content\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class BareServer:
    """
    A listening socket, a poller, and the sockets of the clients.
    """

    def __init__(self, port: int) -> None:
        self._listening = socket.create_server((HOST, port), backlog=BACKLOG)
        self._poll = select.epoll()
        self._poll.register(self._listening, select.EPOLLIN)
        self._clients: dict[int, socket.socket] = {}
        self._subscribers: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """
        Serve until the process ends.

        Raises:
            BlockingIOError: The socket of a subscriber is full.
        """
        while True:
            for number, _ in self._poll.poll():
                if number == self._listening.fileno():
                    self._accept()
                else:
                    self._read(number)

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        client.settimeout(0)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[client.fileno()] = client
        self._poll.register(client, select.EPOLLIN)

    def _read(self, number: int) -> None:
        client = self._clients[number]
        try:
            request = client.recv(65536)
        except ConnectionError:
            request = b""
        if not request:
            self._subscribers.pop(number, None)
            self._clients.pop(number).close()
        elif request.startswith(b"GET /subscribe "):
            self._subscribers[number] = client
            client.send(_WELCOME)
        elif request.startswith(b"POST /publish "):
            # The client sends a request with its short body at once.
            self._publish(request.partition(b"\r\n\r\n")[2])
            client.send(_PUBLISHED)
        else:
            client.send(_NOT_FOUND)

    def _publish(self, message: bytes) -> None:
        chunk = as_chunk(message)
        for subscriber in self._subscribers.values():
            try:
                subscriber.send(chunk)
            except ConnectionError:
                continue  # the poller reports it next


if __name__ == "__main__":
    BareServer(int(sys.argv[1])).serve()
