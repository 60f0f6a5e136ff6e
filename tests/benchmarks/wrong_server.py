"""
A server that does one thing wrong, for tests: ``python -m tests.benchmarks.wrong_server PORT HOW``.
"""

import os
import socket
import sys
import threading
import time

from benchmarks.message import CHUNK, LAST_CHUNK, MESSAGE

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
subscribers: list[socket.socket] = []


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
    while data := client.recv(65536):
        answer(client, data.split()[1].decode(), how)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listening:
        while True:
            accepted, _ = listening.accept()
            threading.Thread(target=serve, args=(accepted, sys.argv[2]), daemon=True).start()
