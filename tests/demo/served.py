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
    Collects log messages above debug level.
    """

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.info:
            self.lines.append(formatEvent(event))


class DemoTest(StreamTest):
    """
    Base class for tests that send requests to the demo.

    Attributes:
        clock: The demo's clock.
        demo: The demo's server.
        lines: Its log messages.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.demo: Server = self.serve(make_root(clock=self.clock), clock=self.clock)
        self.lines: list[str] = []
        observer = Lines(self.lines)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def ask(self, path: str, method: str = "GET", headers: Headers = (), **body: Any) -> Client:
        """
        A client that has sent one request.
        """
        client = self.demo.connect()
        client.request(method, path, headers, **body)
        return client

    def reply(self, path: str, method: str = "GET", headers: Headers = (), **body: Any) -> Response:
        """
        The response to one request, as far as it was sent.
        """
        return self.ask(path, method, headers, **body).receive()

    def listen(self, path: str, after: str = "") -> Client:
        """
        A client that requests events, starting after an id if one is given.
        """
        return self.ask(path, headers={"Last-Event-ID": after} if after else {})
