"""
That a server answers with the bytes that all of them are to send: each message in a chunk
of its own. A server that joins or splits messages does other work than the rest, so it
gets no figures.
"""

import re
import socket
import time

from benchmarks.client import body_start, request
from benchmarks.errors import NotMeasuredError
from benchmarks.message import (
    CHUNK,
    HISTORY,
    LAST_CHUNK,
    MEDIA_TYPE,
    MESSAGE,
    TEXT,
    Events,
    as_chunk,
)
from benchmarks.processes import ServerProcess
from benchmarks.servers import HOST

_LIMIT = 10.0
"""
Seconds that any answer may take here.
"""


class _Connection:
    """
    A connection that blocks, and what has come on it but has not been looked at.
    """

    def __init__(self, process: ServerProcess) -> None:
        self._process = process
        self._socket = socket.create_connection((HOST, process.port), timeout=_LIMIT)
        self._data = b""

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _more(self, path: str) -> None:
        try:
            data = self._socket.recv(65536)
        except OSError as err:
            self._process.check_alive()
            what = "no answer" if isinstance(err, TimeoutError) else err.strerror
            msg = f"{path}: {what} after {self._data[:60]!r}"
            raise NotMeasuredError(msg) from err
        if not data:
            self._process.wait_a_moment(0.5)
            self._process.check_alive()
            msg = f"{path}: the connection was closed after {self._data[:60]!r}"
            raise NotMeasuredError(msg)
        self._data += data

    def head(self, path: str) -> int:
        """
        Read the head of a stream, and tell its length.
        """
        while (start := body_start(self._data)) is None:
            self._more(path)
        head, self._data = self._data[:start], self._data[start:]
        if MEDIA_TYPE.encode() not in head.lower():
            msg = f"{path}: the Content-Type is not {MEDIA_TYPE}"
            raise NotMeasuredError(msg)
        return start

    def event(self, path: str) -> tuple[Events, int]:
        """
        Read the first event of a channel, and tell which others belong to it, and its number.
        """
        while not (found := re.search(rb"id: (\S+)-(\d+)\ndata: ", self._data)):
            self._more(path)
        # An id alone may come first, for those who leave before there is an event.
        self._data = re.sub(rb"\A[0-9a-fA-F]+\r\nid: \S+\n\n\r\n", b"", self._data)
        events, number = Events(found[1].decode()), int(found[2])
        self.expect(as_chunk(events.event(number)), path)
        return events, number

    def expect_in_chunks(self, expected: bytes, path: str) -> bytes:
        """
        Read exactly this part of a body, divided in whatever way, and tell how it came.
        """
        came = body = b""
        while len(body) < len(expected):
            while not (line := re.match(rb"([0-9a-fA-F]+)\r\n", self._data)):
                self._more(path)
            end = line.end() + int(line[1], 16)
            while len(self._data) < end + 2:
                self._more(path)
            body += self._data[line.end() : end]
            came += self._data[: end + 2]
            self._data = self._data[end + 2 :]
        if body != expected:
            msg = f"{path}: {body[:60]!r} and so on is not what was missed"
            raise NotMeasuredError(msg)
        return came

    def expect(self, expected: bytes, path: str) -> None:
        """
        Read exactly these bytes of a body.
        """
        while len(self._data) < len(expected):
            self._compare(expected, path)
            self._more(path)
        self._compare(expected, path)
        self._data = self._data[len(expected) :]

    def _compare(self, expected: bytes, path: str) -> None:
        if self._data[: len(expected)] != expected[: len(self._data)]:
            pairs = enumerate(zip(self._data, expected, strict=False))
            where = next(at for at, (got, wanted) in pairs if got != wanted)
            msg = (
                f"{path}: messages are joined, split or changed: "
                f"{self._data[where : where + 20]!r} at byte {where} of the body, "
                f"where {expected[where : where + 20]!r} was expected"
            )
            raise NotMeasuredError(msg)

    def nothing_left(self, path: str) -> None:
        """
        Nothing came after what was read.
        """
        if self._data:
            msg = f"{path}: {self._data[:20]!r} after the end of the response"
            raise NotMeasuredError(msg)

    def no_content(self, path: str) -> None:
        """
        Read a response that is a head.
        """
        while b"\r\n\r\n" not in self._data:
            self._more(path)
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 204 "):
            msg = f"{path}: answered {head[:40]!r}, where a 204 was expected"
            raise NotMeasuredError(msg)
        self.nothing_left(path)


def check_response(process: ServerProcess, path: str, messages: int) -> int:
    """
    Ask twice for a response of so many messages, on one connection.

    Returns:
        The size of its head in bytes.

    Raises:
        NotMeasuredError: It is not what it should be.
    """
    connection = _Connection(process)
    try:
        sizes = []
        for _ in range(2):
            connection.send(request(path))
            sizes.append(connection.head(path))
            connection.expect(CHUNK * messages + LAST_CHUNK, path)
            connection.nothing_left(path)
    finally:
        connection.close()
    if sizes[0] != sizes[1]:
        msg = f"{path}: heads of {sizes[0]} and {sizes[1]} bytes; all must have one size"
        raise NotMeasuredError(msg)
    return sizes[0]


def check_subscribers(process: ServerProcess) -> None:
    """
    Publish messages one at a time and eight at a time, to three subscribers.

    Raises:
        NotMeasuredError: One of them gets something else.
    """
    subscribers = [_Connection(process) for _ in range(3)]
    publishers = [_Connection(process) for _ in range(8)]
    try:
        for subscriber in subscribers:
            subscriber.send(request("/subscribe"))
            subscriber.head("/subscribe")
            subscriber.expect(CHUNK, "/subscribe")
        for count in (1, 8):
            for publisher in publishers[:count]:
                publisher.send(request("/publish", "POST", MESSAGE))
            for publisher in publishers[:count]:
                publisher.no_content("/publish")
            for subscriber in subscribers:
                subscriber.expect(CHUNK * count, "/subscribe")
        for subscriber in subscribers:
            subscriber.nothing_left("/subscribe")
    finally:
        for connection in (*subscribers, *publishers):
            connection.close()
    # The server is to have seen that they left before others come.
    time.sleep(0.05)


def check_channel(process: ServerProcess, held: int) -> tuple[Events, int]:
    """
    Publish to a channel until its history is full, one event at a time and eight at a time,
    and then replay and publish to the one who gets that.

    Args:
        process: Who is published to.
        held: How many events are replayed.

    Returns:
        The events of the channel, and the number of the last one.

    Raises:
        NotMeasuredError: A subscriber gets something else.
    """
    path = "/channel/subscribe"
    subscribers = [_Connection(process), _Connection(process)]
    publishers = [_Connection(process) for _ in range(8)]

    def publish(count: int) -> None:
        for publisher in publishers[:count]:
            publisher.send(request("/channel/publish", "POST", TEXT))
        for publisher in publishers[:count]:
            publisher.no_content("/channel/publish")

    try:
        live, late = subscribers
        live.send(request(path))
        live.head(path)
        publish(1)
        events, newest = live.event(path)
        for count in (1, *[8] * (HISTORY // 8)):
            publish(count)
            live.expect(events.chunks(range(newest + 1, newest + count + 1)), path)
            newest += count
        late.send(request(path, last_event_id=events.id_of(newest - held)))
        late.head(path)
        late.expect_in_chunks(events.missed(newest, held), path)
        publish(8)
        for subscriber in subscribers:
            subscriber.expect(events.chunks(range(newest + 1, newest + 9)), path)
            subscriber.nothing_left(path)
    finally:
        for connection in (*subscribers, *publishers):
            connection.close()
    # The server is to have seen that they left before others come.
    time.sleep(0.05)
    return events, newest + 8


def check_replay(process: ServerProcess, events: Events, newest: int) -> bytes:
    """
    Ask a channel for all that it keeps.

    Returns:
        The body as it comes: how a replay is divided into chunks is the server's business.

    Raises:
        NotMeasuredError: It is something else.
    """
    path = "/channel/replay"
    client = _Connection(process)
    try:
        client.send(request(path, last_event_id=events.id_of(newest - HISTORY)))
        client.head(path)
        came = client.expect_in_chunks(events.missed(newest, HISTORY), path)
        client.nothing_left(path)
    finally:
        client.close()
    return came
