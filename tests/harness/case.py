"""
StreamTest: the base of tests that serve a handler or a resource.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from zope.interface import implementer

from tests.harness.client import Client, Headers, Server
from tests.harness.response import Ending, Response
from twistream import Context, StreamResource

Served = Callable[[Context], Any] | IResource


class StreamTest(SynchronousTestCase):
    """
    The base of tests that serve a handler, or a resource, at every path.

    All connections are closed when the test ends. Options are those of `StreamResource`.
    """

    def serve(
        self,
        served: Served,
        *,
        clock: Clock | None = None,
        timeout: float | None = 60.0,
        **options: Any,
    ) -> Server:
        """
        A server without a client.
        """
        if not IResource.providedBy(served):
            served = StreamResource(served, **options)
        server = Server(served, clock, timeout=timeout)
        self.addCleanup(server.close)
        return server

    def connect(self, served: Served, *, tcp: bool = False, **options: Any) -> Client:
        """
        A client that has sent nothing yet, in memory or over TCP.
        """
        server = self.serve(served, **options)
        return server.connect_tcp() if tcp else server.connect()

    def start(
        self,
        served: Served,
        method: str = "GET",
        path: str = "/",
        headers: Headers = (),
        *,
        body: bytes = b"",
        version: str = "1.1",
        **options: Any,
    ) -> Client:
        """
        A client that has sent one request.
        """
        client = self.connect(served, **options)
        client.request(method, path, headers, body=body, version=version)
        return client

    def get(self, served: Served, **options: Any) -> Client:
        """
        A client that has sent one GET request.
        """
        return self.start(served, **options)

    def answer(self, served: Served, method: str = "GET", **options: Any) -> Response:
        """
        A response, as far as it has arrived when the turn of its request ends.
        """
        return self.start(served, method, **options).receive()

    def assert_complete(self, response: Response, body: bytes, status: int = 200) -> None:
        """
        All of a response has arrived, with this status and this body.
        """
        got = (response.status, response.body, response.ending)
        self.assertEqual(got, (status, body, Ending.COMPLETE))

    def assert_after(self, client: Client, seconds: float, *chunks: bytes) -> None:
        """
        These chunks arrive after so many seconds, and nothing arrives before.
        """
        early = seconds * 0.875
        client.clock.advance(early)
        self.assertEqual(client.read_raw(), b"", f"within {early} seconds")
        client.clock.advance(seconds - early)
        self.assertEqual(client.read_chunks(), list(chunks))

    def log_events(self) -> list[LogEvent]:
        """
        A list to which all log events are added from now on.
        """
        events: list[LogEvent] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            events.append(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return events

    def logged(self, kind: type[BaseException]) -> None:
        """
        Exactly one failure of this kind was logged.
        """
        self.assertEqual(len(self.flushLoggedErrors(kind)), 1)
