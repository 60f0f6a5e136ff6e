"""
The floor: a fan-out that is one loop over ``socket.send``, and no HTTP to speak of.

A subscriber that is slow is an error that ends it, and nothing is answered but
``GET /subscribe`` and ``POST /publish``.
"""

import select
import socket
import sys

from benchmarks.message import CHUNK, MEDIA_TYPE
from benchmarks.servers import BACKLOG, HOST

_WELCOME = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: " + MEDIA_TYPE.encode() + b"\r\n"
    b"Transfer-Encoding: chunked\r\n"
    b"\r\n" + CHUNK
)
_PUBLISHED = b"HTTP/1.1 204 No Content\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


class BareServer:
    """
    All of the server: one listening socket, one poller, and what it knows of each client.
    """

    def __init__(self, port: int) -> None:
        self._listening = socket.create_server((HOST, port), backlog=BACKLOG)
        self._listening.settimeout(0)
        self._poll = select.epoll()
        self._poll.register(self._listening, select.EPOLLIN)
        self._clients: dict[int, socket.socket] = {}
        self._received: dict[int, bytes] = {}
        self._subscribers: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """
        Serve for ever.

        Raises:
            BlockingIOError: A client does not take what is sent to it.
        """
        while True:
            for number, _ in self._poll.poll():
                if number == self._listening.fileno():
                    self._accept()
                else:
                    self._read(number)

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listening.accept()
                client.settimeout(0)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients[client.fileno()] = client
                self._received[client.fileno()] = b""
                self._poll.register(client, select.EPOLLIN)
        except BlockingIOError:
            pass  # That was all.

    def _read(self, number: int) -> None:
        client = self._clients[number]
        try:
            data = client.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._forget(number)
            return
        received = self._received[number] + data
        while (end := _end_of_request(received)) is not None:
            request, received = received[:end], received[end:]
            self._answer(number, client, request)
        self._received[number] = received

    def _answer(self, number: int, client: socket.socket, request: bytes) -> None:
        if request.startswith(b"POST /publish "):
            self._publish(request.partition(b"\r\n\r\n")[2])
            client.send(_PUBLISHED)
        elif request.startswith(b"GET /subscribe "):
            self._subscribers[number] = client
            client.send(_WELCOME)
        else:
            client.send(_NOT_FOUND)

    def _publish(self, message: bytes) -> None:
        chunk = b"%x\r\n%b\r\n" % (len(message), message)
        for subscriber in self._subscribers.values():
            try:
                subscriber.send(chunk)
            except ConnectionError:
                continue  # It has left; the poller says so next.

    def _forget(self, number: int) -> None:
        self._subscribers.pop(number, None)
        del self._received[number]
        self._clients.pop(number).close()


def _end_of_request(received: bytes) -> int | None:
    """
    Where the first request ends, or None if it is not complete.
    """
    head, blank, _ = received.partition(b"\r\n\r\n")
    if not blank:
        return None
    length = 0
    lowered = head.lower()
    if _LENGTH in lowered:
        length = int(lowered.partition(_LENGTH)[2].partition(b"\r\n")[0])
    end = len(head) + len(blank) + length
    return end if end <= len(received) else None


if __name__ == "__main__":
    BareServer(int(sys.argv[1])).serve()
