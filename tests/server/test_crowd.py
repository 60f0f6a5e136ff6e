"""
Many requests in one turn: those beyond its slice are answered in later turns.
"""

from contextvars import ContextVar

from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.harness import StreamTest
from twistream import Context, StreamResource

WHO: ContextVar[str] = ContextVar("who", default="nobody")


class CrowdTests(StreamTest):
    def setUp(self) -> None:
        self.clock = Clock()
        self.served: list[str] = []
        self.server = self.serve(StreamResource(self.handler), clock=self.clock)

    def handler(self, ctx: Context) -> str:
        self.served.append(ctx.path)
        self.clock.rightNow += 0.004  # It takes that long.
        return ctx.path

    def test_a_turn_serves_as_many_as_fit_into_its_slice(self) -> None:
        clients = [self.server.connect() for _ in range(10)]
        for number, client in enumerate(clients):
            client.request(path=f"/{number}")
        # The turn begins at the end of the first.
        self.assertEqual(self.served, ["/0", "/1", "/2", "/3"])
        counts = []
        while len(self.served) < 10:
            self.clock.advance(0.001)
            counts.append(len(self.served))
            self.assertLess(len(counts), 20)
        self.assertEqual(self.served, [f"/{number}" for number in range(10)])
        self.assertGreaterEqual(len(counts), 2)
        for number, client in enumerate(clients):
            self.assert_complete(client.receive(), f"/{number}".encode())

    def test_one_that_has_left_by_then_is_not_served(self) -> None:
        clients = [self.server.connect() for _ in range(6)]
        for number, client in enumerate(clients):
            client.request(path=f"/{number}")
        clients[4].disconnect()
        self.clock.pump([0.001] * 5)
        self.assertEqual(self.served, ["/0", "/1", "/2", "/3", "/5"])

    def test_it_runs_in_the_context_of_its_request(self) -> None:
        seen: list[str] = []

        class Named(Resource):
            isLeaf = True  # noqa: N815 - IResource

            def render(self, request: Request) -> int:
                WHO.set(request.path.decode())
                result: int = stream.render(request)
                return result

        def handler(ctx: Context) -> str:
            self.clock.rightNow += 0.02
            seen.append(WHO.get())
            return ""

        stream = StreamResource(handler)
        server = self.serve(Named(), clock=self.clock)
        for number in range(3):
            server.connect().request(path=f"/{number}")
        self.clock.pump([0.001] * 9)
        self.assertEqual(seen, ["/0", "/1", "/2"])

    def test_an_error_before_the_handler_is_answered_as_in_the_turn_itself(self) -> None:
        class Wrong(Resource):
            isLeaf = True  # noqa: N815 - IResource

            def render(self, request: Request) -> int:
                request.responseHeaders.setRawHeaders("Content-Length", ["many"])
                result: int = stream.render(request)
                return result

        stream = StreamResource(self.handler)
        server = self.serve(Wrong(), clock=self.clock)
        slow = self.server.connect()
        for late in (False, True):
            if late:
                slow.request()
                self.clock.rightNow += 0.02
            client = server.connect()
            client.request()
            self.clock.pump([0.001] * 3)
            self.assertEqual(client.receive().status, 500)
            self.logged(ValueError)

    def test_the_next_pipelined_request_waits_for_its_turn_too(self) -> None:
        client = self.server.connect()
        for number in range(6):
            client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            client.expect()
        self.clock.pump([0.001] * 30)
        client.receive()
        self.assertEqual(self.served, [f"/{number}" for number in range(6)])
        self.assertEqual(
            [response.body for response in client.responses],
            [f"/{number}".encode() for number in range(6)],
        )
