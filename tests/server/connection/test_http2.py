"""
HTTP/2 in memory: windows that open, however a client opens them, ends and trailers.
"""

from base64 import b64encode
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from operator import itemgetter
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, TrailersReceived
from h2.settings import SettingCodes, Settings
from hypothesis import given
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import http
from twisted.web._http2 import H2Connection as ServerConnection
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.strategies import TRAILERS
from twistream import Context, HTTPError, StreamResource


class H2Transport(StringTransport):
    """
    As after a handshake that has chosen HTTP/2.
    """

    negotiatedProtocol = b"h2"  # noqa: N815 - INegotiated


class Client:
    """
    An h2 client of a site, in memory.
    """

    def __init__(self, clock: Clock, handler: Any, window: int) -> None:
        self.clock = clock
        root = Resource()
        stream = StreamResource(handler, send_timeout=1000.0)
        root.getChild = lambda path, request: stream  # type: ignore[method-assign]  # of this one
        self.protocol: Any = Site(root, reactor=self.clock).buildProtocol(None)
        self.transport = H2Transport()
        self.protocol.makeConnection(self.transport)
        self.received: dict[int, bytes] = {}
        self.heads: dict[int, dict[Any, Any]] = {}
        self.trailers: dict[int, list[Any]] = {}
        self.ended: set[int] = set()
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.local_settings = Settings(initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.exchange()

    def request(self, *fields: tuple[str, str], method: str = "GET") -> int:
        number = self.send_request(*fields, method=method)
        self.exchange()
        return number

    def send_request(self, *fields: tuple[str, str], method: str = "GET") -> int:
        number = self.h2.get_next_available_stream_id()
        self.received[number] = b""
        self.h2.send_headers(
            number,
            [
                (":method", method),
                (":path", "/"),
                (":scheme", "https"),
                (":authority", "a"),
                *fields,
            ],
            end_stream=True,
        )
        return number

    def exchange(self) -> None:
        """
        Send what the client has to send, and read the answers, for some turns without time.
        """
        for _ in range(20):
            data = self.h2.data_to_send()
            if data:
                self.protocol.dataReceived(data)
            self.clock.advance(1e-9)
            self.read()

    def read(self) -> None:
        answer = self.transport.value()
        self.transport.clear()
        for event in self.h2.receive_data(answer):
            if isinstance(event, DataReceived):
                self.received[event.stream_id] += event.data
            elif isinstance(event, ResponseReceived):
                self.heads[event.stream_id] = dict(event.headers)
            elif isinstance(event, TrailersReceived):
                self.trailers[event.stream_id] = list(event.headers)
            elif isinstance(event, StreamEnded):
                self.ended.add(event.stream_id)

    def set_window(self, size: int) -> None:
        self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size})
        self.exchange()

    def leave(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


def connected(
    case: SynchronousTestCase, handler: Callable[[Context], Any], window: int = 65535
) -> Client:
    """
    A client of `handler` that disconnects when the test ends.
    """
    clock = Clock()
    # Twisted gives these the global reactor, whatever that of the site is.
    case.patch(http, "H2Connection", partial(ServerConnection, clock))
    client = Client(clock, handler, window)
    case.addCleanup(client.leave)
    return client


class RequestTests(SynchronousTestCase):
    """
    What belongs to the whole connection.
    """

    def test_nothing_of_a_request_that_was_passed_on_stays_on_it(self) -> None:
        other = StreamResource(lambda ctx: "x")

        async def handler(ctx: Context) -> None:
            other.render(ctx.request)
            await Deferred()

        client = connected(self, handler)
        stream = client.request()
        self.assertEqual((client.received[stream], client.ended), (b"x", {stream}))
        self.assertNotIn("_tryToWriteControlData", vars(client.protocol._channel))


class EndTests(SynchronousTestCase):
    """
    END_STREAM.
    """

    def test_it_follows_the_body_within_the_turn_on_every_stream(self) -> None:
        client = connected(self, lambda ctx: "x")
        streams = [client.send_request() for _ in range(3)]
        client.protocol.dataReceived(client.h2.data_to_send())
        client.read()
        self.assertEqual(client.ended, set(streams))
        client.exchange()
        self.assertEqual(client.protocol._channel.streams, {})

    def test_on_a_full_connection_a_reset_of_it_harms_no_other(self) -> None:
        client = connected(self, lambda ctx: ctx.status_code(200))
        producer: Any = client.transport.producer
        producer.pauseProducing()
        streams = [client.request() for _ in range(3)]
        self.assertEqual(client.ended, set())
        client.h2.reset_stream(streams[1])
        client.exchange()
        producer.resumeProducing()
        client.exchange()
        streams.append(client.request())
        self.assertEqual(client.ended, {streams[0], *streams[2:]})
        self.assertEqual(client.protocol._channel.streams, {})


class TrailerTests(SynchronousTestCase):
    """
    A last HEADERS frame, after all DATA.
    """

    def answered(self, handler: Any, **options: Any) -> tuple[Client, int]:
        client = connected(self, handler)
        return client, client.request(**options)

    def test_they_end_the_stream_without_being_asked_for(self) -> None:
        async def handler(ctx: Context) -> None:
            self.assertTrue(ctx.declare_trailers("X-First"))
            await ctx.stream(["a", "b"])
            self.assertTrue(ctx.trailer("X-First", "1"))
            self.assertTrue(ctx.add_trailer("x-first", "2"))

        client, stream = self.answered(handler)
        self.assertEqual(client.received[stream], b"ab")
        self.assertEqual(client.heads[stream]["trailer"], "X-First")
        self.assertEqual(client.trailers[stream], [("x-first", "1"), ("x-first", "2")])
        self.assertEqual(client.ended, {stream})
        self.assertEqual(client.protocol._channel.streams, {})

    def test_a_whole_response_keeps_its_length(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.trailer("X-A", "1")
            return "whole"

        client, stream = self.answered(handler)
        self.assertEqual(client.heads[stream]["content-length"], "5")
        self.assertEqual(client.heads[stream]["trailer"], "X-A")
        self.assertEqual(client.trailers[stream], [("x-a", "1")])

    def test_they_follow_a_body_of_a_declared_length_and_an_empty_one(self) -> None:
        for body in ("abc", ""):

            async def handler(ctx: Context, body: str = body) -> None:
                ctx.header("Content-Length", str(len(body)))
                self.assertTrue(ctx.trailer("X-A", "1"))
                ctx.write(body)
                await ctx.flush()
                self.assertTrue(ctx.trailer("X-B", "2"))

            client, stream = self.answered(handler)
            self.assertEqual(client.heads[stream]["content-length"], str(len(body)))
            self.assertEqual(client.received[stream], body.encode())
            self.assertEqual(client.trailers[stream], [("x-a", "1"), ("x-b", "2")])
            self.assertEqual(client.ended, {stream})

    def test_an_error_page_has_none(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.trailer("X-A", "1")
            raise HTTPError(404)

        client, stream = self.answered(handler)
        self.assertNotIn("trailer", client.heads[stream])
        self.assertEqual((client.trailers, client.ended), ({}, {stream}))

    def test_they_wait_until_the_window_has_let_all_data_through(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.content_digest()
            ctx.write(b"x" * 1000)
            await ctx.flush()

        client = connected(self, handler, 300)
        stream = client.request()
        self.assertEqual((len(client.received[stream]), client.trailers), (300, {}))
        client.set_window(999)
        self.assertEqual((len(client.received[stream]), client.trailers), (999, {}))
        client.set_window(1000)
        digest = b64encode(sha256(b"x" * 1000).digest()).decode()
        self.assertEqual(client.trailers[stream], [("content-digest", f"sha-256=:{digest}:")])
        self.assertEqual(client.ended, {stream})

    def test_head_has_none(self) -> None:
        def handler(ctx: Context) -> str:
            self.assertFalse(ctx.trailer("X-A", "1"))
            self.assertFalse(ctx.content_digest())
            return "whole"

        client, stream = self.answered(handler, method="HEAD")
        self.assertNotIn("trailer", client.heads[stream])
        self.assertNotIn("content-digest", client.heads[stream])
        self.assertEqual((client.trailers, client.ended), ({}, {stream}))

    def test_an_aborted_response_has_none(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.content_digest()
            ctx.trailer("X-A", "1")
            ctx.write("a")
            await ctx.flush()
            ctx.abort()

        client, stream = self.answered(handler)
        self.assertEqual((client.received[stream], client.trailers), (b"a", {}))
        self.assertEqual(client.ended, set())

    def test_long_ones_need_several_frames(self) -> None:
        values = [f"{number}" * 9000 for number in range(5)]

        def handler(ctx: Context) -> str:
            for value in values:
                ctx.add_trailer("X-Long", value)
            return "whole"

        client, stream = self.answered(handler)
        self.assertEqual(client.trailers[stream], [("x-long", value) for value in values])

    @given(TRAILERS)
    def test_any_fields_arrive(self, fields: list[tuple[str, bytes]]) -> None:
        def handler(ctx: Context) -> str:
            for name, value in fields:
                ctx.add_trailer(name, value)
            return "whole"

        client = connected(self, handler)
        client.h2.config.header_encoding = None
        stream = client.request()
        expected = [(name.lower().encode(), value) for name, value in fields]
        by_name = itemgetter(0)
        got = client.trailers.get(stream, [])
        self.assertEqual(sorted(got, key=by_name), sorted(expected, key=by_name))
        self.assertEqual(client.ended, {stream})


class WindowTests(SynchronousTestCase):
    """
    A body of a thousand bytes, on streams with little room.
    """

    def client(self, window: int) -> Client:
        async def handler(ctx: Context) -> None:
            ctx.write(b"x" * 1000)
            await ctx.flush()

        return connected(self, handler, window)

    def test_one_that_settings_open_is_noticed_at_once(self) -> None:
        client = self.client(3)
        streams = [client.request() for _ in range(3)]
        self.assertEqual(set(client.received.values()), {b"xxx"})
        client.set_window(7)
        self.assertEqual(set(client.received.values()), {b"x" * 7})
        client.set_window(2000)
        self.assertEqual(set(client.received.values()), {b"x" * 1000})
        self.assertEqual(client.ended, set(streams))

    def test_one_that_settings_shrink_below_zero_opens_again(self) -> None:
        client = self.client(100)
        stream = client.request()
        client.set_window(10)
        self.assertEqual(len(client.received[stream]), 100)
        client.set_window(110)
        self.assertEqual(len(client.received[stream]), 110)
        client.h2.increment_flow_control_window(5, stream)
        client.exchange()
        self.assertEqual(len(client.received[stream]), 115)

    def test_one_that_settings_shrink_while_that_of_the_connection_is_used_up_opens_again(
        self,
    ) -> None:
        size = 100_000

        async def handler(ctx: Context) -> None:
            ctx.write(b"x" * size)
            await ctx.flush()

        client = connected(self, handler, window=2 * size)
        stream = client.request()
        self.assertEqual(len(client.received[stream]), 65535)
        client.set_window(1000)
        client.h2.increment_flow_control_window(size)
        client.exchange()
        self.assertEqual(len(client.received[stream]), 65535)
        client.set_window(2 * size)
        self.assertEqual(len(client.received[stream]), size)
        self.assertEqual(client.ended, {stream})

    def test_a_window_update_of_one_byte_is_one_byte(self) -> None:
        client = self.client(3)
        stream = client.request()
        for size in range(4, 10):
            client.h2.increment_flow_control_window(1, stream)
            client.exchange()
            self.assertEqual(len(client.received[stream]), size)

    def test_one_that_opens_after_the_client_has_reset_the_stream_does_nothing(self) -> None:
        client = self.client(3)
        stream, other = client.request(), client.request()
        client.h2.reset_stream(stream)
        client.set_window(2000)
        self.assertEqual(client.received[stream], b"xxx")
        self.assertEqual(len(client.received[other]), 1000)

    def test_nothing_of_it_stays_on_the_connection(self) -> None:
        client = self.client(3)
        client.request()
        connection = client.protocol._channel
        self.assertIn("_tryToWriteControlData", vars(connection))
        client.set_window(2000)
        self.assertNotIn("_tryToWriteControlData", vars(connection))
