"""
The lower bound: a fan-out that is one loop over ``socket.send``, with almost no HTTP.

It serves ``/subscribe`` and ``/publish`` only, and ends with an error at the first full socket.
"""

import select
import socket
import sys
from contextlib import suppress

from benchmarks.message import CHUNK, MEDIA_TYPE, as_chunk
from benchmarks.servers import BACKLOG, HOST

_WELCOME = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n%b" % (
    MEDIA_TYPE.encode(),
    CHUNK,
)
_PUBLISHED = b"HTTP/1.1 204 No Content\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def _answer(client: socket.socket, subscribers: dict[int, socket.socket]) -> bool:
    """
    Answer a request, which the client sends at once. Return False if the client disconnected.
    """
    request = b""
    with suppress(ConnectionError):
        request = client.recv(65536)
    if request.startswith(b"GET /subscribe "):
        subscribers[client.fileno()] = client
        client.send(_WELCOME)
    elif request.startswith(b"POST /publish "):
        chunk = as_chunk(request.partition(b"\r\n\r\n")[2])
        for subscriber in subscribers.values():
            try:  # faster than `suppress`
                subscriber.send(chunk)
            except ConnectionError:
                continue  # the poller reports it next
        client.send(_PUBLISHED)
    elif request:
        client.send(_NOT_FOUND)
    return bool(request)


if __name__ == "__main__":
    _listening = socket.create_server((HOST, int(sys.argv[1])), backlog=BACKLOG)
    _poll = select.epoll()
    _poll.register(_listening, select.EPOLLIN)
    _clients: dict[int, socket.socket] = {}
    _subscribers: dict[int, socket.socket] = {}
    while True:
        for _number, _ in _poll.poll():
            if _number == _listening.fileno():
                _client, _address = _listening.accept()
                _client.settimeout(0)
                _client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _clients[_client.fileno()] = _client
                _poll.register(_client, select.EPOLLIN)
            elif not _answer(_clients[_number], _subscribers):
                _subscribers.pop(_number, None)
                _clients.pop(_number).close()
