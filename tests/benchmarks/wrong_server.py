"""
A server that does one thing wrong, for tests: ``python -m tests.benchmarks.wrong_server PORT HOW``.
"""

import os
import socket
import sys
import threading
import time
from contextlib import suppress

from benchmarks.message import CHUNK, HISTORY, LAST_CHUNK, MESSAGE, Events, as_chunk

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = Events("wrong")
subscribers: list[socket.socket] = []
published: list[int] = []
one_at_a_time = threading.Lock()


def tell(how: str) -> None:
    """
    Send the next event of the channel; what is wrong begins when the checks are over.
    """
    number = len(published) + 1
    published.append(number)
    begun = number > HISTORY + 50
    if how == "skips" and number == HISTORY + 60:
        return
    if how == "swaps" and begun:
        number += 1 if number % 2 else -1
    for subscriber in subscribers:
        subscriber.sendall(as_chunk(EVENTS.event(number)) * (2 if how == "twice" and begun else 1))


def answer_channel(client: socket.socket, request: bytes, how: str) -> None:
    if request.startswith(b"POST"):
        with one_at_a_time:
            tell(how)
        client.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        return
    with one_at_a_time:
        first = len(published)
        if b"Last-Event-ID: wrong-" in request:
            first = int(request.partition(b"Last-Event-ID: wrong-")[2].split()[0])
        missed = [as_chunk(EVENTS.event(number)) for number in published[first:]]
        if how == "repeats" and len(missed) == HISTORY:
            missed[500] = missed[501]
        client.sendall(HEAD + b"".join(missed))
        subscribers.append(client)


def answer(client: socket.socket, path: str, how: str) -> None:
    if path == "/twelve":
        if how == "joins":
            body = b"%x\r\n%b\r\n" % (1200, MESSAGE * 12)
        elif how == "splits":
            body = (b"32\r\n%b\r\n" % MESSAGE[:50] + b"32\r\n%b\r\n" % MESSAGE[50:]) * 12
        elif how == "dies":
            sys.stderr.write("out of luck\n")
            sys.stderr.flush()
            os._exit(3)
        elif how == "stalls":
            body = CHUNK
            client.sendall(HEAD + body)
            time.sleep(60)
        else:
            body = CHUNK * 12
        client.sendall(HEAD + body + LAST_CHUNK)
    elif path == "/subscribe":
        subscribers.append(client)
        client.sendall(HEAD + CHUNK)
    elif path == "/publish":
        for subscriber in subscribers:
            subscriber.sendall(CHUNK * (2 if how == "twice" else 1))
        client.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    else:
        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def serve(client: socket.socket, how: str) -> None:
    with suppress(ConnectionError):
        while data := client.recv(65536):
            path = data.split()[1].decode()
            if path.startswith("/channel/"):
                answer_channel(client, data, how)
            else:
                answer(client, path, how)
    if client in subscribers:
        subscribers.remove(client)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listening:
        while True:
            accepted, _ = listening.accept()
            threading.Thread(target=serve, args=(accepted, sys.argv[2]), daemon=True).start()
