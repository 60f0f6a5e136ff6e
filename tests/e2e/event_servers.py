"""
Behaviours of servers of event streams, for a browser and for our client: byte by byte, without a library.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

from twisted.internet.protocol import Factory, Protocol

from tests.e2e.net import reactor

End = Literal["complete", "broken", "closed", "short"]

PAGE = b"<!DOCTYPE html>"


class Answer(NamedTuple):
    """
    One response. Its body is chunked if its end is complete or broken.
    """

    body: bytes = b""
    status: bytes = b"200 OK"
    kind: bytes | None = b"text/event-stream"
    end: End = "complete"
    fields: tuple[bytes, ...] = ()


class Behaviour(NamedTuple):
    """
    The answers to the requests of one source. All others get 204, which ends it.

    Args:
        fails: The source ends with the last answer, and sends no more requests.
    """

    name: str
    answers: tuple[Answer, ...]
    fails: bool = False


AGAIN = b"retry: 10\n\n"
"""
A browser waits for seconds if the server sets no time.
"""


def _redirect(status: bytes, location: bytes, **options: Any) -> Answer:
    return Answer(status=status, fields=(b"Location: " + location,), **options)


BEHAVIOURS = [
    Behaviour("nothing", (Answer(AGAIN),)),
    Behaviour("an event", (Answer(AGAIN + b"data: a\n\n"),)),
    *(
        Behaviour(
            f"a body that is {end}",
            (
                Answer(AGAIN + b"id: 1\ndata: a\n\nid: 2\ndata: b\n", end=end),
                Answer(b"data: c\n\n"),
            ),
        )
        for end in ("complete", "broken", "closed", "short")
    ),
    Behaviour(
        "an id goes on over connections",
        (Answer(AGAIN + b"id: 1\ndata: a\n\n"), Answer(b"data: b\n\n"), Answer(b"data: c\n\n")),
    ),
    Behaviour(
        "an id is unset",
        (Answer(AGAIN + b"id: 1\ndata: a\n\n"), Answer(b"id\ndata: b\n\n"), Answer(b"data: c\n\n")),
    ),
    Behaviour(
        "an id without data",
        (Answer(AGAIN + b"id: 1\ndata: a\n\nid: 2\n\n"), Answer(b"data: b\n\n")),
    ),
    Behaviour(
        "an id with a NUL",
        (Answer(AGAIN + b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n"), Answer(b"data: c\n\n")),
    ),
    Behaviour(
        "an id of text",
        (Answer(AGAIN + "id: \u017c\u20ac\ndata: a\n\n".encode()), Answer(b"data: b\n\n")),
    ),
    Behaviour(
        "an id with spaces", (Answer(AGAIN + b"id: a b\ndata: a\n\n"), Answer(b"data: b\n\n"))
    ),
    Behaviour(
        "no event on the second connection",
        (Answer(AGAIN + b"id: 1\ndata: a\n\n"), Answer(b": hello\n\n"), Answer(b"data: b\n\n")),
    ),
    Behaviour(
        "a BOM on each connection",
        (Answer(b"\xef\xbb\xbf" + AGAIN + b"data: a\n\n"), Answer(b"\xef\xbb\xbfdata: b\n\n")),
    ),
    Behaviour(
        "a character that is cut by the end",
        (Answer(AGAIN + b"data: a\n\ndata: \xe2\x82"), Answer(b"\xacdata: b\n\ndata: c\n\n")),
    ),
    Behaviour(
        "an incomplete block does not go on",
        (Answer(AGAIN + b"event: x\ndata: a\n"), Answer(b"data: b\n\n")),
    ),
    Behaviour("a named event", (Answer(AGAIN + b"event: gap\ndata: {}\n\n"),)),
    *(
        Behaviour(f"the type {kind.decode()}", (Answer(AGAIN + b"data: a\n\n", kind=kind),))
        for kind in (
            b"text/event-stream;",
            b"text/event-stream;bogus",
            b"text/event-stream; charset=utf-8",
            b"text/event-stream;charset=UTF-8",
            b"TEXT/Event-Stream",
            b" text/event-stream ",
        )
    ),
    *(
        Behaviour(f"the type {kind!r}", (Answer(b"data: a\n\n", kind=kind),), fails=True)
        for kind in (
            None,
            b"text/x-bogus",
            b"text/plain",
            b"application/json",
            b"text/event-streams",
        )
    ),
    *(
        Behaviour(f"the status {status}", (Answer(b"data: a\n\n", b"%d Any" % status),), fails=True)
        for status in (201, 203, 205, 210, 299, 400, 401, 403, 404, 410, 429, 500, 502, 503)
    ),
    Behaviour(
        "a failure after an event",
        (Answer(AGAIN + b"data: a\n\n"), Answer(b"data: b\n\n", b"404 No")),
        fails=True,
    ),
    *(
        Behaviour(
            f"a redirect with {status}",
            (
                _redirect(b"%d Any" % status, b"?moved"),
                Answer(AGAIN + b"id: 1\ndata: a\n\n"),
                Answer(b"data: b\n\n"),
            ),
        )
        for status in (301, 302, 303, 307, 308)
    ),
    Behaviour(
        "a redirect with a body that does not end",
        (
            _redirect(b"302 Found", b"?moved", body=b"x", end="broken"),
            Answer(AGAIN + b"data: a\n\n"),
        ),
    ),
    Behaviour(
        "a redirect to an error",
        (_redirect(b"302 Found", b"?a"), Answer(b"", b"404 No")),
        fails=True,
    ),
    Behaviour("a redirect without an address", (Answer(b"", b"302 Found"),), fails=True),
    Behaviour(
        "a redirect of another scheme", (_redirect(b"302 Found", b"ftp://127.0.0.1/"),), fails=True
    ),
    Behaviour(
        "endless redirects",
        tuple(_redirect(b"302 Found", b"?moved") for _ in range(21)),
    ),
    Behaviour(
        "a permanent redirect",
        (
            _redirect(b"307 Any", b"?moved"),
            Answer(AGAIN + b"data: a\n\n"),
            Answer(b"data: b\n\n"),
        ),
    ),
]
"""
One row for each behaviour, those that the standard's web platform tests look at among them.
"""


class Log(NamedTuple):
    """
    What the server has seen of one source: for each request, its query and its Last-Event-ID.
    """

    requests: list[tuple[str, str]]


class _Connection(Protocol):
    def __init__(self) -> None:
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        head, self._received = self._received, b""
        line, *fields = head.strip().split(b"\r\n")
        path, _, query = line.split(b" ")[1].decode().partition("?")
        ids = [f.partition(b": ")[2] for f in fields if f.lower().startswith(b"last-event-id:")]
        factory: Any = self.factory
        self._answer(factory.answer(path.strip("/"), query, (ids or [b""])[0].decode()))

    def _answer(self, answer: Answer) -> None:
        transport: Any = self.transport
        is_chunked = answer.end in ("complete", "broken")
        fields = [b"HTTP/1.1 " + answer.status, b"Connection: close", *answer.fields]
        if answer.kind is not None:
            fields.append(b"Content-Type: " + answer.kind)
        if is_chunked:
            fields.append(b"Transfer-Encoding: chunked")
        elif answer.end == "short":
            fields.append(b"Content-Length: %d" % (len(answer.body) + 9))
        transport.write(b"\r\n".join((*fields, b"", b"")))
        half = len(answer.body) // 2
        for piece in (answer.body[:half], answer.body[half:]):
            if piece:
                transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
        if answer.end == "complete":
            transport.write(b"0\r\n\r\n")
        transport.loseConnection()


class EventServer(Factory):
    """
    Answers the requests of each source: its path is the number of a behaviour.

    Attributes:
        logs: What was seen, by the number.
    """

    protocol = _Connection

    def __init__(self, behaviours: list[Behaviour]) -> None:
        self._behaviours = behaviours
        self.logs = [Log([]) for _ in behaviours]

    def answer(self, path: str, query: str, last_event_id: str) -> Answer:
        if not path.isdecimal():
            return Answer(PAGE, kind=b"text/html")
        requests = self.logs[int(path)].requests
        requests.append((query, last_event_id))
        answers = self._behaviours[int(path)].answers
        if len(requests) <= len(answers):
            return answers[len(requests) - 1]
        return Answer(b"", b"204 No Content", None, "closed")


@asynccontextmanager
async def served(behaviours: list[Behaviour]) -> AsyncIterator[tuple[EventServer, str]]:
    """
    A server, and its URL.
    """
    server = EventServer(behaviours)
    port = reactor.listenTCP(0, server, interface="127.0.0.1")
    try:
        yield server, f"http://127.0.0.1:{port.getHost().port}"
    finally:
        await port.stopListening()
