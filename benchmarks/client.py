"""
The blocking client: it checks every byte that a server sends, before anything is measured.

A server that joins or splits messages does different work, so `NotMeasuredError` is raised.
"""

import re
from contextlib import closing, suppress
from typing import Final

from benchmarks.machine import NotMeasuredError
from benchmarks.message import HISTORY, LAST_CHUNK, PUBLISHED, Events, as_chunk
from benchmarks.processes import ServerProcess
from benchmarks.servers import HOST

_POSITION: Final = re.compile(rb"[0-9a-fA-F]+\r\nid: (\S+)-(\d+)\n\n\r\n")
"""
An id without an event, as a chunk. twistream sends it to a client that does not know its position.
"""


def request(
    path: str,
    body: bytes | None = None,
    *,
    last_event_id: str | None = None,
    accept_encoding: str | None = None,
) -> bytes:
    """
    A GET, or a POST if there is a body, on a connection that stays open.
    """
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {HOST}\r\n"
    if body is not None:
        head += f"Content-Length: {len(body)}\r\n"
    if last_event_id is not None:
        head += f"Last-Event-ID: {last_event_id}\r\n"
    if accept_encoding is not None:
        head += f"Accept-Encoding: {accept_encoding}\r\n"
    return f"{head}\r\n".encode() + (body or b"")


def check_status(head: bytes, status: int) -> None:
    """
    Raise `NotMeasuredError` if the head of a response has another status.
    """
    if not head.startswith(b"HTTP/1.1 %d " % status):
        msg = f"the server answered {head[:60]!r}, where {status} was expected"
        raise NotMeasuredError(msg)


class Client:
    """
    One blocking connection.

    Attributes:
        socket: The connection.
        data: Bytes that were received and not read yet.
    """

    def __init__(self, process: ServerProcess, *, lagging: bool = False) -> None:
        self._process = process
        self.data = b""
        self.socket = process.connect(lagging=lagging)

    def close(self) -> None:
        """
        Close the connection.
        """
        self.socket.close()

    def _receive(self) -> None:
        self.data += self._process.receive(self.socket)

    def _take(self, size: int) -> bytes:
        while len(self.data) < size:
            self._receive()
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def _take_to(self, end: bytes) -> bytes:
        while end not in self.data:
            self._receive()
        return self._take(self.data.index(end) + len(end))

    def get(
        self,
        path: str,
        last_event_id: str | None = None,
        accept_encoding: str | None = None,
    ) -> None:
        """
        Send a GET and read the head of a 200.
        """
        self.socket.sendall(
            request(path, last_event_id=last_event_id, accept_encoding=accept_encoding)
        )
        self.head(200)

    def post(self, path: str, body: bytes) -> None:
        """
        Send a POST and read a 204.
        """
        self.socket.sendall(request(path, body))
        self.head(204)

    def head(self, status: int) -> None:
        """
        Read the head of a response.
        """
        check_status(self._take_to(b"\r\n\r\n"), status)

    def take_chunk(self) -> bytes:
        """
        Read one chunk, and return what it holds.
        """
        return self._take(int(self._take_to(b"\r\n"), 16) + 2)[:-2]

    def expect(self, expected: bytes) -> None:
        """
        Read exactly these bytes.
        """
        while not self.data.startswith(expected):
            have = min(len(self.data), len(expected))
            # The size of a chunk may be written in capitals.
            if self.data[:have].lower() != expected[:have].lower():
                at = next(at for at in range(have) if self.data[at] != expected[at])
                msg = (
                    f"messages are joined, split or changed: {self.data[at : at + 20]!r} "
                    f"at byte {at}, where {expected[at : at + 20]!r} was expected"
                )
                raise NotMeasuredError(msg)
            if have == len(expected):
                break
            self._receive()
        self.data = self.data[len(expected) :]

    def position(self) -> tuple[Events, int]:
        """
        Read the id with which a stream of a channel starts.

        Returns:
            The events of the channel, and the number of the last one.
        """
        chunk = self._take_to(b"\n\n\r\n")
        if not (found := _POSITION.fullmatch(chunk)):
            msg = f"the stream starts with {chunk[:60]!r}, where an id was expected"
            raise NotMeasuredError(msg)
        return Events(found[1].decode()), int(found[2])

    def expect_event(self, expected: bytes) -> None:
        """
        Read one event of a channel as a chunk, after any number of ids that stand alone.
        """
        while _POSITION.fullmatch(chunk := self._take_to(b"\n\n\r\n")):
            pass
        if chunk != expected:
            msg = f"messages are joined, split or changed: {chunk[:60]!r}"
            raise NotMeasuredError(msg)

    def expect_silence(self) -> None:
        """
        Check that nothing has arrived but ids that stand alone.
        """
        self.socket.setblocking(False)  # noqa: FBT003 - Python's signature
        with suppress(BlockingIOError):
            self.data += self.socket.recv(65536)
        if rest := _POSITION.sub(b"", self.data):
            msg = f"nothing was expected, but this arrived: {rest[:60]!r}"
            raise NotMeasuredError(msg)

    def replay(self, events: Events, newest: int) -> tuple[str, bytes]:
        """
        Request the whole history of a channel, and check it.

        Returns:
            The ``Last-Event-ID`` that was sent, and the chunks, which may have any size.
        """
        missed = range(newest - HISTORY + 1, newest + 1)
        expected = b"".join(map(events.event, missed))
        last_event_id = events.id_of(newest - HISTORY)
        self.get("/channel/subscribe", last_event_id)
        received = body = b""
        while len(body) < len(expected):
            line = self._take_to(b"\r\n")
            chunk = self._take(int(line, 16) + 2)
            received += line + chunk
            body += chunk[:-2]
        if body != expected:
            msg = f"a replay differs from the missed events: {body[:60]!r}..."
            raise NotMeasuredError(msg)
        return last_event_id, received

    def first_event(self) -> tuple[Events, int]:
        """
        Read the first event of a channel. Return the events that it belongs to, and its number.
        """
        while not (found := re.search(rb"id: (\S+)-(\d+)\ndata: ", self.data)):
            self._receive()
        if found_alone := _POSITION.match(self.data):
            self.data = self.data[found_alone.end() :]
        events, number = Events(found[1].decode()), int(found[2])
        self.expect(as_chunk(events.event(number)))
        return events, number


def check_response(process: ServerProcess, path: str, message: bytes, number: int) -> None:
    """
    Request a response of `number` messages twice on one connection, and check each byte.
    """
    with closing(Client(process)) as client:
        for _ in range(2):
            client.get(path)
            client.expect(as_chunk(message) * number + LAST_CHUNK)


def fill_channel(process: ServerProcess) -> tuple[Events, int]:
    """
    Publish to a channel until its history is full, and check what a subscriber receives.

    Returns:
        The events of the channel, and the number of the last one.
    """
    with closing(Client(process)) as subscriber, closing(Client(process)) as publisher:
        subscriber.get("/channel/subscribe")
        publisher.post("/channel/publish", PUBLISHED)
        events, newest = subscriber.first_event()
        for _ in range(HISTORY):
            publisher.post("/channel/publish", PUBLISHED)
            newest += 1
            subscriber.expect(as_chunk(events.event(newest)))
    return events, newest
