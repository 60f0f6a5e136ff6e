"""
ctx.pipe with responses of other servers.
"""

import gzip
from typing import Any

import treq
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import GzipDecoder, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from tests.harness import Client, StreamTest
from tests.server.upstream import CHUNKED, CLOSE_DELIMITED, Upstream
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    Context,
    HeadersSent,
    HTTPError,
    SendTimeout,
    StreamAborted,
    StreamTruncated,
)

DECLARED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: a\r\nVary: A\r\nVary: B\r\n\r\n"


class RelayTest(StreamTest):
    """
    Pipes `self.upstream` in a handler that keeps the result.
    """

    def relay(
        self,
        head: bytes = CHUNKED,
        *,
        options: dict[str, Any] | None = None,
        status: int = 200,
        **request: Any,
    ) -> Client:
        def handler(ctx: Context) -> Deferred[Any]:
            self.context = ctx
            ctx.status_code(status)
            self.piped = ctx.pipe(self.upstream.response, **options or {})
            return self.piped.addBoth(ended)

        def ended(result: object) -> object:
            self.results.append(result)
            return result

        self.results: list[Any] = []
        self.upstream = Upstream(head)
        return self.start(handler, **request)

    def slow(self, **options: Any) -> Client:
        """
        A client that has received a byte, and reads no more.
        """
        client = self.relay(**options)
        self.upstream.send_chunk(b".")
        self.assertEqual(client.read(), b".")
        client.pause()
        return client

    def error(self) -> BaseException:
        (failure,) = self.results
        value: BaseException = failure.value
        return value


class BodyTests(RelayTest):
    """
    What arrives of a body.
    """

    def test_what_is_received_in_a_turn_is_sent_as_one_chunk(self) -> None:
        client = self.relay()
        self.upstream.send_chunk(b"a")
        self.upstream.send_chunk(b"b")
        self.assertEqual(client.read_chunks(), [b"ab"])
        self.upstream.send_chunk(b"c")
        self.assertEqual(client.read_chunks(), [b"c"])
        self.upstream.send(b"0\r\n\r\n")
        self.assert_complete(client.receive(), b"abc")
        self.assertEqual(self.results, [None])
        self.assertEqual(self.upstream.transport.aborted, 0)

    def test_a_body_that_is_complete_already(self) -> None:
        for body in (b"x" * 10, b"x" * 1_000_000):
            upstream = Upstream()
            upstream.send_chunk(body)
            upstream.send(b"0\r\n\r\n")
            client = self.get(lambda ctx: ctx.pipe(upstream.response))  # noqa: B023 - called at once
            for _ in range(40):
                client.clock.advance(1)
            self.assert_complete(client.receive(), body)

    def test_a_response_without_a_body(self) -> None:
        for head in (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n"):
            self.assert_complete(self.relay(head).receive(), b"")

    def test_a_body_that_its_agent_decodes(self) -> None:
        upstream = Upstream()
        decoded = GzipDecoder(upstream.response)
        client = self.get(lambda ctx: ctx.pipe(decoded, copy_headers=["Content-Length"]))
        upstream.send_chunk(gzip.compress(b"text"))
        upstream.send(b"0\r\n\r\n")
        self.assert_complete(client.receive(), b"text")

    def test_a_response_of_treq(self) -> None:
        upstream = Upstream()
        response = treq.response._Response(upstream.response, None)  # type: ignore[arg-type]  # no cookies
        client = self.get(lambda ctx: ctx.pipe(response, copy_headers=["Content-Type"]))
        upstream.send_chunk(b"x")
        upstream.send(b"0\r\n\r\n")
        self.assert_complete(client.receive(), b"x")
        self.assertEqual(client.response.header("Content-Type"), "text/csv")


class HeaderTests(RelayTest):
    """
    Headers are copied if they are named.
    """

    def test_none_is_copied_by_default(self) -> None:
        client = self.relay(DECLARED)
        self.upstream.send(b"x" * 10)
        response = client.receive()
        self.assertEqual(response.header("Content-Type"), "application/octet-stream")
        self.assertEqual(response.header("ETag"), None)
        self.assertEqual(response.header("Content-Length"), None)

    def test_those_that_are_named_are_copied(self) -> None:
        names = iter(["content-length", "ETag", "Vary", "X-None"])
        client = self.relay(DECLARED, options={"copy_headers": names})
        self.upstream.send(b"x" * 10)
        response = client.receive()
        self.assert_complete(response, b"x" * 10)
        self.assertEqual(response.header("Content-Length"), "10")
        self.assertEqual(response.header("ETag"), "a")
        self.assertEqual(response.values("Vary"), ["A", "B"])

    def test_head_has_them_too(self) -> None:
        names = ["Content-Length", "ETag"]
        client = self.relay(DECLARED, options={"copy_headers": names}, method="HEAD")
        response = client.receive()
        self.assertEqual(response.header("Content-Length"), "10")
        self.assertEqual(response.header("ETag"), "a")
        self.assertEqual(self.upstream.transport.aborted, 1)

    def test_a_copied_length_is_enforced(self) -> None:
        client = self.relay(DECLARED, options={"copy_headers": ["Content-Length"]})
        self.upstream.send(b"x" * 5)
        client.read()
        self.upstream.lose()
        self.logged(StreamTruncated)
        self.assertTrue(client.receive().truncated)

    def test_a_length_that_is_not_known_is_not_copied(self) -> None:
        client = self.relay(options={"copy_headers": ["Content-Length"]})
        self.upstream.send(b"0\r\n\r\n")
        self.assertTrue(client.receive().complete)


class EventStreamTests(RelayTest):
    """
    A relayed stream of events can have pings of its own.
    """

    def test_a_ping_waits_for_the_end_of_an_event(self) -> None:
        def handler(ctx: Context) -> Deferred[None]:
            ctx.sse(ping=1.0)
            return ctx.pipe(upstream.response)

        upstream = Upstream()
        client = self.get(handler)
        self.assertIn("text/event-stream", client.receive().header("Content-Type") or "")
        client.clock.advance(1.5)
        self.assertEqual(client.read(), b": ping\n")
        upstream.send_chunk(b"data: a")
        self.assertEqual(client.read(), b"data: a")
        client.clock.advance(1.5)
        self.assertEqual(client.read(), b"")
        upstream.send_chunk(b"b\n\n")
        self.assertEqual(client.read(), b"b\n\n")
        client.clock.advance(1.5)
        self.assertEqual(client.read(), b": ping\n")
        client.disconnect()
        self.assertEqual(upstream.transport.aborted, 1)


class SlowClientTests(RelayTest):
    """
    A slow client holds the other server back.
    """

    def test_the_connection_is_paused_and_resumed(self) -> None:
        client = self.slow()
        self.assertFalse(self.upstream.transport.paused)
        self.upstream.send_chunk(b"a")
        client.clock.advance(0)
        self.assertTrue(self.upstream.transport.paused)
        client.resume()
        self.assertFalse(self.upstream.transport.paused)
        self.assertEqual(client.read(), b"a")

    def test_it_stays_paused_when_twisted_has_delivered_what_it_had(self) -> None:
        upstream = Upstream()
        contexts: list[Context] = []

        async def handler(ctx: Context) -> None:
            contexts.append(ctx)
            ctx.write(".")
            await ctx.flush()
            await ready
            await ctx.pipe(upstream.response)

        ready: Deferred[None] = Deferred()
        client = self.get(handler)
        client.read()
        client.pause()
        upstream.send_chunk(b"x" * 100_000)
        ready.callback(None)
        self.assertTrue(upstream.transport.paused)
        client.resume()
        client.clock.advance(1)
        self.assertFalse(upstream.transport.paused)
        self.assertEqual(len(client.read()), 100_000)

    def test_a_body_that_ends_while_the_client_is_slow_is_sent_whole(self) -> None:
        client = self.slow()
        self.upstream.send_chunk(b"a")
        client.clock.advance(0)
        self.upstream.send_chunk(b"b")
        self.upstream.send(b"0\r\n\r\n")
        self.assertEqual(self.results, [])
        client.resume()
        self.assert_complete(client.receive(), b".ab")

    def test_a_connection_that_is_kept_for_other_requests_is_not_paused_any_more(self) -> None:
        upstream = Upstream(persistent=True)
        client = self.get(lambda ctx: ctx.pipe(upstream.response))
        upstream.send_chunk(b".")
        client.read()
        client.pause()
        upstream.send_chunk(b"a")
        client.clock.advance(0)
        self.assertTrue(upstream.transport.paused)
        upstream.send(b"0\r\n\r\n")
        self.assertFalse(upstream.transport.paused)
        upstream.transport.pauseProducing()  # The next request may need that.
        client.resume()
        self.assert_complete(client.receive(), b".a")
        self.assertTrue(upstream.transport.paused)
        self.assertEqual(upstream.transport.aborted, 0)

    def test_one_that_does_not_stop_sending_is_cut(self) -> None:
        self.slow(max_buffered=100_000)
        for _ in range(30):
            self.upstream.send_chunk(b"x" * 10_000)
        self.logged(BufferOverflow)
        self.assertIsInstance(self.error(), BufferOverflow)
        self.assertEqual(self.upstream.transport.aborted, 1)

    def test_a_stalled_client_aborts_it(self) -> None:
        client = self.slow(send_timeout=10.0)
        self.upstream.send_chunk(b"a")
        for _ in range(15):
            client.clock.advance(1)
        self.assertIsInstance(self.error(), SendTimeout)
        self.assertEqual(self.upstream.transport.aborted, 1)


class EndTests(RelayTest):
    """
    Who ends first, and what the other side sees.
    """

    def test_a_disconnect_aborts_it_at_once(self) -> None:
        for paused in (False, True):
            client = self.slow() if paused else self.relay()
            if paused:
                self.upstream.send_chunk(b"x")
                client.clock.advance(0)
            client.disconnect()
            self.assertEqual(self.upstream.transport.aborted, 1)
            self.assertIsInstance(self.error(), ClientDisconnected)
            self.upstream.send_chunk(b"late")
            self.upstream.lose()

    def test_a_cancelled_pipe_aborts_it(self) -> None:
        client = self.slow()
        self.piped.cancel()
        self.assertEqual(self.upstream.transport.aborted, 1)
        self.assertIsInstance(self.error(), CancelledError)
        self.logged(CancelledError)
        self.upstream.lose()
        self.assertTrue(client.receive().truncated)

    def test_an_abort_of_the_response_aborts_it(self) -> None:
        client = self.slow()
        self.context.abort()
        client.clock.advance(0)
        self.assertEqual(self.upstream.transport.aborted, 1)
        self.assertIsInstance(self.error(), StreamAborted)

    def test_a_body_that_breaks_off_is_an_error_and_aborts_the_response(self) -> None:
        for version, reset in (("1.1", False), ("1.1", True), ("1.0", True)):
            client = self.relay(version=version)
            self.upstream.send_chunk(b"abc")
            client.read()
            self.upstream.lose(reset=reset)
            self.logged(StreamTruncated)
            response = client.receive()
            self.assertEqual(response.body, b"abc")
            self.assertTrue(response.aborted if version == "1.0" else response.truncated)
            error = self.error()
            assert isinstance(error, StreamTruncated)
            self.assertEqual(error.received, 3)
            self.assertIsInstance(error.reason, ResponseFailed)
            self.assertEqual(str(error), "the body ended early, after 3 bytes (ResponseFailed)")

    def test_a_handler_can_catch_the_error(self) -> None:
        async def handler(ctx: Context) -> str:
            try:
                await ctx.pipe(upstream.response)
            except StreamTruncated as err:
                if not err.received:
                    raise HTTPError(502) from err
            return "|incomplete"

        for sent in (b"", b"abc"):
            upstream = Upstream()
            client = self.get(handler)
            if sent:
                upstream.send_chunk(sent)
            upstream.lose()
            if sent:
                self.assert_complete(client.receive(), b"abc|incomplete")
            else:
                self.assertEqual(client.receive().status, 502)

    def test_a_body_that_ends_with_its_connection_is_truncated_unless_that_is_allowed(self) -> None:
        for allowed in (False, True):
            client = self.relay(CLOSE_DELIMITED, options={"allow_close_delimited": allowed})
            self.upstream.send(b"abc")
            client.read()
            self.upstream.lose()
            if allowed:
                self.assert_complete(client.receive(), b"abc")
            else:
                self.logged(StreamTruncated)
                self.assertTrue(client.receive().truncated)
                error: Any = self.error()
                self.assertIsInstance(error.reason, PotentialDataLoss)

    def test_where_no_body_is_allowed_it_is_aborted(self) -> None:
        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304)):
            client = self.relay(status=status, method=method)
            self.assert_complete(client.receive(), b"", status)
            self.assertEqual(self.upstream.transport.aborted, 1)
            self.assertEqual(self.results, [None])
            self.upstream.lose()

    def test_after_the_end_it_is_aborted(self) -> None:
        client = self.relay()
        client.disconnect()
        upstream = Upstream()
        late = self.context.pipe(upstream.response, copy_headers=["Content-Type"])
        self.failureResultOf(late, ClientDisconnected)
        self.assertEqual(upstream.transport.aborted, 1)


class OtherResponseTests(StreamTest):
    """
    Providers of IResponse that are not Twisted's.
    """

    def test_a_connection_that_cannot_be_aborted_is_stopped(self) -> None:
        class Connection:
            stopped = 0

            def stopProducing(self) -> None:
                self.stopped += 1

        class Made:
            def deliverBody(self, protocol: Protocol) -> None:
                protocol.makeConnection(connection)

        connection = Connection()
        client = self.get(lambda ctx: ctx.pipe(Made()))  # type: ignore[arg-type]  # as much as is needed
        client.disconnect()
        self.assertEqual(connection.stopped, 1)

    def test_one_without_a_connection(self) -> None:
        class Made:
            def deliverBody(self, protocol: Protocol) -> None:
                protocol.dataReceived(b"x")
                protocol.connectionLost(Failure(ResponseDone()))

        def handler(ctx: Context) -> Deferred[None]:
            return ctx.pipe(Made())  # type: ignore[arg-type]  # as much as is needed

        self.assert_complete(self.answer(handler), b"x")
        self.assert_complete(self.answer(handler, "HEAD"), b"")


class MisuseTests(RelayTest):
    """
    Responses that cannot be piped.
    """

    def test_one_that_treq_buffers_is_refused(self) -> None:
        def handler(ctx: Context) -> None:
            for refused in (buffered, treq.response._Response(buffered, None)):  # type: ignore[arg-type]  # no cookies
                with self.assertRaisesRegex(ValueError, "request it with unbuffered=True"):
                    ctx.pipe(refused)

        buffered: IResponse = treq.client._BufferedResponse(Upstream().response)
        self.assertEqual(self.answer(handler).status, 200)

    def test_one_that_was_read_already_is_an_error(self) -> None:
        for complete in (False, True):
            upstream = Upstream()
            upstream.response.deliverBody(Protocol())
            if complete:
                upstream.send(b"0\r\n\r\n")
            client = self.get(lambda ctx: ctx.pipe(upstream.response))  # noqa: B023 - called at once
            self.assertEqual(client.receive().status, 500)
            (failure,) = self.flushLoggedErrors(RuntimeError)
            self.assertIn("has been read already", str(failure.value))
            self.assertEqual(upstream.transport.aborted, 0)

    def test_headers_cannot_be_copied_after_the_head(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()
            with self.assertRaises(HeadersSent):
                ctx.pipe(upstream.response, copy_headers=["ETag"])

        upstream = Upstream()
        self.assertTrue(self.answer(handler).complete)
