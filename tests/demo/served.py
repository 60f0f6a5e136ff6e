"""
The demo, and clients of it, without sockets.
"""

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.harness import Client, Headers, Response, Server, StreamTest
from twistream.demo import make_root


@implementer(ILogObserver)
class Lines:
    """
    Gathers the lines that a log without debug lines shows.
    """

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.info:
            self.lines.append(formatEvent(event))


class DemoTest(StreamTest):
    """
    The base of tests that ask the demo for something.

    Attributes:
        clock: The demo's.
        demo: The server of the demo.
        lines: What it has logged.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.demo: Server = self.serve(make_root(), clock=self.clock)
        self.lines: list[str] = []
        observer = Lines(self.lines)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def ask(self, path: str, method: str = "GET", headers: Headers = (), **body: Any) -> Client:
        """
        A client that has sent the demo one request.
        """
        client = self.demo.connect()
        client.request(method, path, headers, **body)
        return client

    def reply(self, path: str, method: str = "GET", headers: Headers = (), **body: Any) -> Response:
        """
        What the demo has sent in answer to one request.
        """
        return self.ask(path, method, headers, **body).receive()

    def listen(self, path: str, after: str = "") -> Client:
        """
        A client that asks for events, after an id if one is given.
        """
        return self.ask(path, headers={"Last-Event-ID": after} if after else {})
