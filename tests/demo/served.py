"""
The demo on a connection without sockets.
"""

from collections.abc import Iterable

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.glue import Connection, GlueTest
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


class DemoTest(GlueTest):
    """
    The base of tests that ask the demo for something.
    """

    def setUp(self) -> None:
        self.lines: list[str] = []
        observer = Lines(self.lines)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def ask(self, target: str, method: str = "GET", headers: Iterable[str] = ()) -> Connection:
        """
        A connection on which the demo has got one request.
        """
        connection = Connection(make_root())
        self.addCleanup(connection.leave)
        head = [f"{method} {target} HTTP/1.1", "Host: a", *headers, "", ""]
        connection.send("\r\n".join(head).encode())
        return connection

    def answer(self, target: str, method: str = "GET", headers: Iterable[str] = ()) -> "Answer":
        """
        What the demo has sent in answer to one request.
        """
        return Answer(self.ask(target, method, headers).received())


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
