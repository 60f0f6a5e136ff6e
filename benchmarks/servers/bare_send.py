"""
The lower bound: a fan-out that is one loop over ``socket.send``, with almost no HTTP.

It serves ``/subscribe`` and ``/publish`` only. It ends with an error at the first full socket, or
when a client disconnects during a publish.
"""

import select
import socket
import sys

from benchmarks.message import CHUNK, MEDIA_TYPE, as_chunk
from benchmarks.servers import BACKLOG, HOST

_TYPE = b"Content-Type: %b\r\n" % MEDIA_TYPE.encode()
_WELCOME = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b" % (_TYPE, CHUNK)
_PUBLISHED = b"HTTP/1.1 204 No Content\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

if __name__ == "__main__":
    listening = socket.create_server((HOST, int(sys.argv[1])), backlog=BACKLOG)
    poller = select.epoll()
    poller.register(listening, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    subscribers: dict[int, socket.socket] = {}
    while True:
        for number, _ in poller.poll():
            if number == listening.fileno():
                client, _address = listening.accept()
                client.settimeout(0)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                poller.register(client, select.EPOLLIN)
                continue
            client = clients[number]
            request = client.recv(65536)  # the client sends all of it at once
            if request.startswith(b"GET /subscribe "):
                subscribers[number] = client
                client.send(_WELCOME)
            elif request.startswith(b"POST /publish "):
                chunk = as_chunk(request.partition(b"\r\n\r\n")[2])
                for subscriber in subscribers.values():
                    subscriber.send(chunk)
                client.send(_PUBLISHED)
            elif request:
                client.send(_NOT_FOUND)
            else:
                subscribers.pop(number, None)
                clients.pop(number).close()
