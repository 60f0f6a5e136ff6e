"""
The demo on a connection without sockets.
"""

from collections.abc import Iterable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.glue import Connection, GlueTest
from twistream import EventDecoder, ServerSentEvent
from twistream.demo import make_root


@implementer(ILogObserver)
class Lines:
    """
    Collects log messages above debug level.
    """

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.info:
            self.lines.append(formatEvent(event))


class DemoTest(GlueTest):
    """
    Base class for tests that send requests to the demo.

    Attributes:
        clock: Its clock.
        lines: Its log messages.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self._root = make_root()
        self.lines: list[str] = []
        observer = Lines(self.lines)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def ask(
        self, target: str, method: str = "GET", headers: Iterable[str] = (), body: bytes = b""
    ) -> "Client":
        """
        A connection on which one request was sent.
        """
        client = Client(self._root, self.clock)
        self.addCleanup(client.leave)
        length = [f"Content-Length: {len(body)}"] if method == "POST" else []
        head = [f"{method} {target} HTTP/1.1", "Host: a", *headers, *length, "", ""]
        client.send("\r\n".join(head).encode() + body)
        return client

    def answer(
        self, target: str, method: str = "GET", headers: Iterable[str] = (), body: bytes = b""
    ) -> "Answer":
        """
        The response to one request, as far as it was sent.
        """
        return Answer(self.ask(target, method, headers, body).received())

    def listen(self, target: str, after: str = "") -> "Client":
        """
        A connection that requests events, starting after an id if one is given.
        """
        return self.ask(target, headers=[f"Last-Event-ID: {after}"] if after else [])


class Client(Connection):
    """
    A connection that also parses events.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._decoder = EventDecoder()

    def events(self) -> list[ServerSentEvent]:
        """
        The events that arrived since the last call.
        """
        return self._decoder.feed(self.body())


class Answer:
    """
    A response as far as it was sent.
    """

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
        }
