"""
Response: what a client has read of a response, parsed by h11.
"""

import json
from collections.abc import Iterable
from enum import Enum
from typing import Any

import h11

from twistream import EventDecoder, ServerSentEvent

_MAX_HEAD = 2**20
"""
Bytes that the head of a response may have.
"""


class Ending(Enum):
    """
    How a response has ended, as its client sees it.
    """

    OPEN = "open"
    """
    It has not ended.
    """

    COMPLETE = "complete"
    """
    All of it has arrived, by its framing.
    """

    TRUNCATED = "truncated"
    """
    The server closed the connection, with FIN, before the response was complete.
    """

    ABORTED = "aborted"
    """
    The server reset the connection, with RST, before the response was complete.
    """


class Response:
    """
    A response as far as its client has read it.

    The methods that begin with ``new_`` share one position with the methods of `Client` that
    read: each returns what has arrived since any of them was called.

    Attributes:
        method: The method of the request.
        status: The status code, or None as long as the head has not been read.
        reason: The reason phrase.
        version: ``1.1`` or ``1.0``.
        headers: Pairs of a name and a value, as they were sent.
        informational: The status codes of 1xx responses that came first.
        body: The body, without the framing.
        chunks: The chunks of a chunked body that were read to their end.
        ending: Whether and how it has ended.
        trailers: Pairs of a name and a value that came after the body, as they were sent.
        last_event_id: What an EventSource would send to reconnect, after `new_events`.
    """

    def __init__(self, connection: h11.Connection, method: str) -> None:
        """
        Args:
            connection: One that has sent the request.
        """
        self.method = method
        self.status: int | None = None
        self.reason = ""
        self.version = ""
        self.headers: list[tuple[str, str]] = []
        self.trailers: list[tuple[str, str]] = []
        self.informational: list[int] = []
        self.body = b""
        self.chunks: list[bytes] = []
        self.ending = Ending.OPEN
        self._chunked = False
        self._chunk = b""
        self._seen = 0
        self._chunks_seen = 0
        self._events = EventDecoder()
        self._decoded = 0
        self._h11 = connection

    def __repr__(self) -> str:
        return (
            f"<Response to {self.method}: {self.status} {self.ending.value}, "
            f"chunks {self.chunks!r}, body {self.body!r}>"
        )

    @property
    def started(self) -> bool:
        """
        The head has been read.
        """
        return self.status is not None

    @property
    def complete(self) -> bool:
        """
        All of it has arrived, by its framing.
        """
        return self.ending is Ending.COMPLETE

    @property
    def truncated(self) -> bool:
        """
        The server closed the connection, with FIN, before the response was complete.
        """
        return self.ending is Ending.TRUNCATED

    @property
    def aborted(self) -> bool:
        """
        The server reset the connection before the response was complete.
        """
        return self.ending is Ending.ABORTED

    @property
    def last_event_id(self) -> str:
        return self._events.last_event_id

    def values(self, name: str) -> list[str]:
        """
        All values of one header, whatever the case of its name.
        """
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """
        The value of one header, or None. A header that was sent twice fails the test.
        """
        values = self.values(name)
        assert len(values) < 2, f"{name} was sent {len(values)} times: {values}"
        return values[0] if values else None

    def new_body(self) -> bytes:
        """
        The new part of the body.
        """
        new = self.body[self._seen :]
        self._seen, self._chunks_seen = len(self.body), len(self.chunks)
        return new

    def new_chunks(self) -> list[bytes]:
        """
        The new chunks.
        """
        new = self.chunks[self._chunks_seen :]
        self.new_body()
        return new

    def new_events(self) -> list[ServerSentEvent]:
        """
        The Server-Sent Events that the new part of the body completes.
        """
        self._events.feed(self.body[self._decoded : self._seen])
        self._decoded = len(self.body)
        return self._events.feed(self.new_body())

    def new_values(self) -> list[Any]:
        """
        The values of the JSON lines that the new part of the body completes.
        """
        start = self.body.rfind(b"\n", 0, self._seen) + 1
        self.new_body()
        return [json.loads(line) for line in self.body[start:].split(b"\n")[:-1]]

    def feed(self, data: bytes) -> bytes:
        """
        Take bytes from the connection, and return those that come after the response.
        """
        self._h11.receive_data(data)
        self._parse()
        return self._h11.trailing_data[0] if self.complete else b""

    def end(self, *, reset: bool) -> None:
        """
        The server has closed the connection, or reset it.
        """
        if reset:
            self.ending = Ending.ABORTED
            return
        try:
            self._h11.receive_data(b"")
            self._parse()
        except h11.RemoteProtocolError:
            self.ending = Ending.TRUNCATED
        else:
            # h11 takes an end before the first byte for a good one.
            self.ending = Ending.COMPLETE if self.started else Ending.TRUNCATED

    def _parse(self) -> None:
        body: list[bytes] = []
        while not self.complete:
            event = self._h11.next_event()
            if isinstance(event, h11.Data):
                body.append(bytes(event.data))
                self._take_data(event)
            elif isinstance(event, h11.EndOfMessage):
                self.ending = Ending.COMPLETE
                self.trailers = _decoded(event.headers)
            elif isinstance(event, h11.InformationalResponse):
                self.informational.append(event.status_code)
            elif isinstance(event, h11.Response):
                self._take_head(event)
            else:
                break
        if body:
            self.body = b"".join((self.body, *body))

    def _take_head(self, event: h11.Response) -> None:
        self.reason = event.reason.decode("latin-1")
        self.version = event.http_version.decode()
        self.headers = _decoded(event.headers)
        self.status = event.status_code
        self._chunked = bool(self.values("Transfer-Encoding"))

    def _take_data(self, event: h11.Data) -> None:
        if not self._chunked:
            return
        # Not by `chunk_start`: h11 forgets it when a size line was read without any data.
        self._chunk += event.data
        if event.chunk_end:
            self.chunks.append(self._chunk)
            self._chunk = b""


def _decoded(headers: Any) -> list[tuple[str, str]]:
    # `Headers` of h11; without fields, a list.
    fields = headers.raw_items() if headers else ()
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


class Responses:
    """
    The responses on one connection, in the order of their requests.

    Bytes that answer no request raise an AssertionError.

    Attributes:
        all: All responses that are expected or have arrived.
    """

    def __init__(self) -> None:
        self.all: list[Response] = []

    def expect(
        self, method: str, path: str = "/", fields: Iterable[tuple[str, str | bytes]] = ()
    ) -> bytes:
        """
        Expect one more response, and return the head of its request.
        """
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        request = h11.Request(
            method=method,
            target=path.encode(),
            headers=[
                (name.encode(), value.encode() if isinstance(value, str) else value)
                for name, value in (("Host", "a"), *fields)
            ],
        )
        head = connection.send(request) or b""
        self.all.append(Response(connection, method))
        return head

    def feed(self, data: bytes) -> None:
        """
        Take bytes from the connection, cut anywhere.
        """
        for response in self._open():
            if data:
                data = response.feed(data)
            if not response.complete:
                break
        assert not data, f"these bytes answer no request: {data!r}"

    def end(self, *, reset: bool) -> None:
        """
        The server has closed the connection, or reset it.
        """
        for response in self._open():
            response.end(reset=reset)

    def _open(self) -> list[Response]:
        return [each for each in self.all if each.ending is Ending.OPEN]
