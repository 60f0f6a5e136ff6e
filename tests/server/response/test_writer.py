"""
What is sent, and when.
"""

import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.server import Request

from tests.harness import Client, StreamTest
from tests.server.responses import response_of
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    ContentLengthMismatch,
    Context,
    HeadersSent,
    HTTPError,
    ResponseComplete,
    SendTimeout,
    StopStream,
    StreamAborted,
    StreamFinished,
)
from twistream.server.response.response import Response
from twistream.wire.frames import Batch, Frame


class FlushTests(StreamTest):
    """
    Each flush is a chunk, at once.
    """

    def test_each_flush_is_one_chunk(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("one")
            ctx.write(b" and")
            await ctx.flush()
            await ctx.flush()
            ctx.write("two")
            await ctx.flush()

        client = self.get(handler)
        data = client.read_raw()
        self.assertTrue(data.endswith(b"\r\n\r\n7\r\none and\r\n3\r\ntwo\r\n0\r\n\r\n"), data)
        self.assertEqual(client.response.chunks, [b"one and", b"two"])
        self.assertTrue(client.response.complete)

    def test_a_message_is_sent_while_the_handler_runs(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("first")
            await ctx.flush()
            await ctx.sleep(1)
            ctx.write("second")

        client = self.get(handler)
        self.assertEqual(client.read(), b"first")
        client.clock.advance(1)
        self.assertEqual(client.read(), b"second")

    def test_an_empty_flush_sends_the_head(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()
            await ctx.sleep(1)

        client = self.get(handler)
        data = client.read_raw()
        self.assertTrue(data.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(data.endswith(b"\r\n\r\n"))
        self.assertEqual(client.response.body, b"")
        client.clock.advance(1)
        self.assertEqual(client.read_raw(), b"0\r\n\r\n")

    def test_writes_are_buffered_up_to_16_kib(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write(b"x" * 16384)
            await ctx.sleep(1)
            ctx.write(b"y")
            await ctx.sleep(1)

        client = self.get(handler)
        self.assertEqual(client.read_raw(), b"")
        client.clock.advance(1)
        self.assertEqual(client.read_chunks(), [b"x" * 16384 + b"y"])

    def test_a_response_that_was_never_flushed_has_a_content_length(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.write("all of it")

        response = self.answer(handler)
        self.assertEqual(response.header("Content-Length"), "9")
        self.assertEqual((response.body, response.complete), (b"all of it", True))
        self.assertIsNone(response.header("Transfer-Encoding"))
        self.assertIsNone(response.header("X-Accel-Buffering"))

    def test_an_empty_response_has_a_length_of_zero_and_no_type(self) -> None:
        response = self.answer(lambda ctx: None)
        self.assertEqual(response.header("Content-Length"), "0")
        self.assertIsNone(response.header("Content-Type"))
        self.assertTrue(response.complete)

    def test_a_loop_that_awaits_flush_yields_to_the_reactor(self) -> None:
        count = 0

        async def handler(ctx: Context) -> None:
            nonlocal count
            while True:
                ctx.write("x")
                await ctx.flush()
                count += 1

        client = self.get(handler)
        first = count
        self.assertGreater(first, 1)
        self.assertLessEqual(first, 256)
        client.clock.advance(0)
        self.assertGreater(count, first)
        self.assertLess(count, 3 * 256)
        client.clock.advance(1)
        self.assertLess(count, 4 * 256)

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        async def handler(ctx: Context) -> None:
            number = ctx.request.getHeader(b"n") or b""
            await ctx.sleep(3 - int(number))
            ctx.write(b"answer " + number)

        client = self.connect(handler)
        responses = [client.expect() for _ in range(3)]
        client.send(b"".join(b"GET / HTTP/1.1\r\nHost: a\r\nn: %d\r\n\r\n" % n for n in range(3)))
        client.clock.pump([1] * 10)
        client.receive()
        for number, response in enumerate(responses):
            self.assertEqual((response.status, response.complete), (200, True))
            self.assertEqual(response.body, b"answer %d" % number)


class BackpressureTests(StreamTest):
    """
    A slow client makes its handler wait, and is cut if it reads nothing.
    """

    def test_flush_waits_while_the_connection_is_full(self) -> None:
        steps = []

        async def handler(ctx: Context) -> None:
            await ctx.flush()
            await ctx.sleep(1)
            ctx.write("x")
            await ctx.flush()
            steps.append("flushed")

        client = self.get(handler)
        client.pause()
        client.clock.advance(1)
        self.assertEqual((steps, client.read()), ([], b"x"))
        client.resume()
        self.assertEqual(steps, ["flushed"])

    def test_flush_waits_if_the_connection_was_already_full(self) -> None:
        steps: list[str] = []

        async def handler(ctx: Context) -> None:
            ctx.write("x")
            await ctx.flush()
            steps.append("flushed")

        client = self.connect(handler)
        client.pause()  # Of what was sent before.
        client.request()
        self.assertEqual(steps, [])
        client.resume()
        self.assertEqual(steps, ["flushed"])

    def test_a_client_that_takes_nothing_is_cut_after_send_timeout(self) -> None:
        errors = []

        async def handler(ctx: Context) -> None:
            await ctx.flush()
            await ctx.sleep(1)
            ctx.write("x")
            try:
                await ctx.flush()
            except SendTimeout as err:
                errors.append(err)
                raise

        client = self.get(handler, send_timeout=20.0)
        client.pause()
        client.clock.pump([1] * 20)
        self.assertFalse(client.aborted)
        client.clock.pump([1] * 4)
        self.assertTrue(client.aborted)
        self.assertEqual([str(err) for err in errors], ["client accepted no data for 20 seconds"])

    def test_a_slow_but_steady_client_is_not_cut(self) -> None:
        async def handler(ctx: Context) -> None:
            while True:
                ctx.write("x")
                await ctx.flush()
                await ctx.sleep(1)

        client = self.get(handler, send_timeout=20.0)
        for _ in range(10):
            client.pause()
            client.clock.pump([1] * 15)
            client.resume()
        self.assertFalse(client.aborted)

    def test_a_client_that_accepts_everything_is_not_cut_if_each_check_follows_a_send(self) -> None:
        def writer(w: Context) -> None:
            for _ in range(2):
                w.write("x")
                w.flush()

        client = self.get(lambda ctx: ctx.stream_writer(writer, 1.0), send_timeout=8.0)
        # A message and a check are due in the same turn.
        client.clock.pump([1] * 30)
        self.assertFalse(client.aborted)

    def test_an_idle_stream_has_no_timer(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("x")
            await ctx.flush()
            await Deferred()

        client = self.get(handler)
        client.clock.advance(100)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_a_handler_that_never_awaits_gets_an_overflow_at_the_limit(self) -> None:
        seen: list[BufferOverflow] = []

        def handler(ctx: Context) -> None:
            client.pause()
            try:
                while True:
                    ctx.write(b"x" * 10_000)
            except BufferOverflow as err:
                seen.append(err)
                raise

        client = self.connect(handler, max_buffered=100_000)
        client.request()
        self.assertEqual(seen[0].limit, 100_000)
        self.assertGreater(seen[0].buffered, 100_000)
        self.assertLess(seen[0].buffered, 100_000 + 20_000)
        self.logged(BufferOverflow)

    def test_a_small_limit_does_not_stop_a_handler_that_awaits(self) -> None:
        async def handler(ctx: Context) -> None:
            for _ in range(20):
                ctx.write(b"x" * 15_000)
                await ctx.flush()

        client = self.get(handler, max_buffered=1)
        client.clock.pump([0.01] * 30)
        self.assertEqual(len(client.read()), 300_000)

    def test_a_wait_below_a_small_limit_leaves_no_timer(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write(b"x" * 15_000)
            await ctx.flush()

        client = self.get(handler, max_buffered=1)
        client.disconnect()
        client.clock.advance(0)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_an_error_page_may_exceed_the_limit(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.request.channel.pauseProducing()
            ctx.write(b"x" * 10_000)
            raise HTTPError(404)

        client = self.get(handler, max_buffered=1)
        self.assert_complete(client.receive(), b"404 Not Found\n", 404)

    def test_flushes_that_nobody_awaits_are_limited(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()
            ctx.request.channel.pauseProducing()
            while True:
                ctx.write("x")
                ctx.flush()
                counts.append(1)

        counts: list[int] = []
        client = self.get(handler, max_buffered=1_000_000)
        self.assertLess(len(counts), 3000)
        self.logged(BufferOverflow)
        client.disconnect()

    def test_a_cancelled_flush_is_forgotten(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()
            ctx.request.channel.pauseProducing()
            for _ in range(10):
                ctx.write("x")
                wait = ctx.flush()
                wait.addErrback(lambda f: f.trap(CancelledError))
                wait.cancel()
                waits.append(ref(wait))
            del wait
            await ctx.sleep(1)

        waits: list[ref[Deferred[None]]] = []
        self.get(handler)
        gc.collect()
        self.assertEqual([wait() for wait in waits], [None] * 10)

    def test_an_overflow_keeps_earlier_writes(self) -> None:
        async def handler(ctx: Context) -> None:
            client.pause()
            count = 0
            try:
                while True:
                    ctx.write(b"x" * 1000)
                    count += 1
            except BufferOverflow:
                client.resume()
            written.append(count)

        written: list[int] = []
        client = self.connect(handler, max_buffered=50_000)
        client.request()
        self.assertEqual(len(client.read()), 1000 * written[0])

    def test_the_response_ends_only_when_a_full_connection_has_drained(self) -> None:
        ended: list[object] = []

        async def handler(ctx: Context) -> None:
            ctx.done().addCallback(ended.append)
            await ctx.flush()
            await ctx.sleep(1)
            ctx.write("x")

        client = self.get(handler)
        client.pause()
        client.clock.advance(1)
        self.assertEqual(ended, [])
        client.resume()
        self.assertEqual(ended, [None])
        self.assertTrue(client.receive().complete)

    def test_a_disconnect_before_the_drain_is_an_early_end(self) -> None:
        ended: list[object] = []

        async def handler(ctx: Context) -> None:
            ctx.done().addCallback(ended.append)
            await ctx.flush()
            await ctx.sleep(1)

        client = self.get(handler)
        client.pause()
        client.clock.advance(1)
        client.disconnect()
        self.assertIsInstance(ended[0], ClientDisconnected)

    def test_flushes_that_nobody_awaits_are_limited_while_the_client_reads(self) -> None:
        counts: list[int] = []

        def handler(ctx: Context) -> None:
            while True:
                ctx.write("x")
                ctx.flush()
                counts.append(1)

        self.get(handler, max_buffered=1_000_000)
        self.assertLess(len(counts), 3000)
        self.logged(BufferOverflow)

    def test_automatic_flushes_create_no_deferred(self) -> None:
        contexts: list[Context] = []

        async def handler(ctx: Context) -> None:
            contexts.append(ctx)
            await ctx.flush()
            await ctx.sleep(1)

        client = self.get(handler)
        client.pause()
        for _ in range(100):
            contexts[0].write(b"x" * 20_000)
        self.assertIsNone(response_of(contexts[0]).writer.waits)


class SourceTests(StreamTest):
    """
    The methods for sources of messages.
    """

    def opened(self, use: Callable[[Response], object] | None = None, **options: Any) -> Client:
        """
        A client of a handler that waits.
        """

        async def handler(ctx: Context) -> None:
            self.context, self.response = ctx, response_of(ctx)
            self.writer = self.response.writer
            if use is not None:
                use(self.response)
            await ctx.done()

        return self.get(handler, **options)

    def deliver(self, data: bytes) -> None:
        self.writer.deliver(Batch([Frame(data)]))

    def test_open_soon_sends_the_head_at_the_end_of_the_turn(self) -> None:
        def use(response: Response) -> None:
            response.open_soon()
            response.open_soon()
            self.context.header("X-After", "asking")

        client = self.opened(use)
        self.assertEqual(client.take(), b"")
        response = client.receive()
        self.assertEqual((response.status, response.header("X-After")), (200, "asking"))
        self.response.open_soon()
        self.assertEqual(client.read_raw(), b"")

    def test_open_soon_completes_a_response_without_a_body(self) -> None:
        def use(response: Response) -> None:
            response.open_soon()
            self.context.status_code(204)

        client = self.opened(use)
        response = client.receive()
        self.assertEqual((response.status, response.complete), (204, True))
        self.assertIsInstance(self.context.err, ResponseComplete)

    def test_open_soon_after_the_end_sends_nothing_or_raises(self) -> None:
        client = self.opened(Response.open_soon)
        client.disconnect()
        self.assertEqual(client.read_raw(), b"")
        self.assertRaises(ClientDisconnected, self.response.open_soon)
        responses: list[Response] = []
        self.get(lambda ctx: responses.append(response_of(ctx)))
        self.assertRaises(StreamFinished, responses[0].open_soon)

    def test_wait_to_deliver_waits_while_the_connection_is_full(self) -> None:
        client = self.opened(Response.open_soon)
        client.receive()
        self.assertIsNone(self.writer.wait_to_deliver())
        client.pause()
        waits = [self.writer.wait_to_deliver() for _ in range(2)]
        for wait in waits:
            assert wait is not None
            self.assertNoResult(wait)
        client.resume()
        for wait in waits:
            assert wait is not None
            self.successResultOf(wait)

    def test_wait_to_deliver_waits_for_the_next_turn_when_the_share_is_used_up(self) -> None:
        client = self.opened(Response.open_soon)
        client.receive()
        self.assertIsNone(self.writer.wait_to_deliver())
        client.clock.rightNow += 0.02
        wait = self.writer.wait_to_deliver()
        assert wait is not None
        self.assertNoResult(wait)
        client.clock.advance(0)
        self.successResultOf(wait)
        self.assertIsNone(self.writer.wait_to_deliver())

    def test_wait_to_deliver_fails_after_the_end(self) -> None:
        self.opened().disconnect()
        wait = self.writer.wait_to_deliver()
        assert wait is not None
        self.assertIs(self.failureResultOf(wait).value, self.context.err)

    def test_the_backlog_counts_buffered_and_queued_bytes(self) -> None:
        client = self.opened(Response.open_soon)
        client.receive()
        self.assertEqual(self.writer.backlog, 0)
        self.context.write("x" * 100)
        self.assertEqual(self.writer.backlog, 100)
        client.pause()
        self.context.flush()
        self.deliver(b"y" * 200)
        self.context.write("z" * 50)
        # With their framing.
        self.assertTrue(350 <= self.writer.backlog < 400, self.writer.backlog)
        client.resume()
        client.clock.advance(0)
        self.assertEqual(self.writer.backlog, 50)

    def test_last_sent_is_the_time_of_the_last_send(self) -> None:
        client = self.opened()
        clock = client.clock
        self.assertEqual(self.writer.last_sent, 0.0)
        clock.advance(1)
        self.context.write("x")
        self.assertEqual(self.writer.last_sent, 0.0)
        clock.advance(1)
        self.context.flush()
        self.assertEqual(self.writer.last_sent, 2.0)
        clock.advance(1)
        self.context.flush()
        self.assertEqual(self.writer.last_sent, 2.0)
        self.response.turn.enter()
        self.deliver(b"y")
        self.assertEqual(self.writer.last_sent, 3.0)
        clock.advance(1)
        self.context.write(b"x" * 20_000)
        self.assertEqual(len(client.read()), 20_002)
        self.assertEqual(self.writer.last_sent, 4.0)

    def test_a_send_of_a_loop_updates_last_sent(self) -> None:
        def step(ctx: Context) -> None:
            ctx.write("x")

        client = self.opened(lambda response: self.context.stream_writer(step, 1.0))
        client.clock.pump([0.5] * 5)
        self.assertEqual(self.writer.last_sent, 2.0)


class ContentLengthTests(StreamTest):
    """
    A declared length is enforced.
    """

    def test_the_right_length_is_sent_without_chunks(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.header("Content-Length", "4")
            ctx.write("ab")
            await ctx.flush()
            ctx.write("cd")

        response = self.answer(handler)
        self.assertEqual((response.body, response.complete), (b"abcd", True))
        self.assertIsNone(response.header("Transfer-Encoding"))

    def test_a_body_that_is_too_long_raises_at_the_write(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.header("Content-Length", "4")
            ctx.write("abc")
            with self.assertRaises(ContentLengthMismatch) as caught:
                ctx.write("de")
            self.assertEqual((caught.exception.declared, caught.exception.written), (4, 5))
            ctx.write("d")

        self.assert_complete(self.answer(handler), b"abcd")

    def test_a_body_that_is_too_short_aborts_and_is_logged(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.header("Content-Length", "4")
            ctx.write("abc")
            await ctx.flush()

        client = self.get(handler)
        response = client.receive()
        self.assertEqual((response.body, response.truncated), (b"abc", True))
        self.logged(ContentLengthMismatch)

    def test_a_length_set_too_late_for_what_was_written_fails_the_flush(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("abc")
            ctx.header("Content-Length", "2")
            await ctx.flush()

        self.assertEqual(self.answer(handler).status, 500)
        self.logged(ContentLengthMismatch)

    def test_a_length_that_is_corrected_in_time_is_no_error(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("abc")
            ctx.header("Content-Length", "2")
            ctx.flush()
            ctx.header("Content-Length", "3")

        self.assert_complete(self.answer(handler), b"abc")
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_length_set_too_late_is_also_checked_at_the_end(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("abc")
            ctx.header("Content-Length", "2")

        client = self.get(handler)
        self.assert_complete(client.receive(), b"500 Internal Server Error\n", 500)
        self.logged(ContentLengthMismatch)

    def test_two_equal_lengths_are_sent_once(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.header("Content-Length", "2")
            ctx.add_header("content-length", "2")
            ctx.flush()
            return "ab"

        self.assertEqual(self.answer(handler).values("Content-Length"), ["2"])

    def test_a_length_set_on_the_request_is_enforced(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.request.setHeader(b"Content-Length", b"2")
            ctx.flush()
            with self.assertRaises(ContentLengthMismatch):
                ctx.write("abc")
            ctx.write("ab")

        self.assert_complete(self.answer(handler), b"ab")

    def test_two_different_lengths_raise(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.header("Content-Length", "2")
            with self.assertRaises(ValueError):
                ctx.add_header("content-length", "3")
            return "ab"

        self.assert_complete(self.answer(handler), b"ab")


class BodylessTests(StreamTest):
    """
    Where no body is allowed, none is sent, and the head is sent at once.
    """

    def test_head_on_an_endless_stream_is_answered_at_once(self) -> None:
        async def flushes(ctx: Context) -> None:
            while True:
                ctx.write("x")
                await ctx.flush()

        async def loops(ctx: Context) -> None:
            await ctx.stream_writer(lambda w: None, interval=1)

        async def loops_for_ever(ctx: Context) -> None:
            while True:
                await ctx.stream(["a", "b"])

        def writes(ctx: Context) -> None:
            while True:
                ctx.write("x" * 100)

        async def yields(ctx: Context):  # type: ignore[no-untyped-def]  # noqa: ANN202 - of a generator
            while True:
                yield "x"

        for handler in (flushes, loops, loops_for_ever, writes, yields):
            client = self.start(handler, "HEAD")
            response = client.receive()
            self.assert_complete(response, b"")
            self.assertIsNone(response.header("Content-Length"))
            client.request("HEAD")
            self.assert_complete(client.receive(), b"")
            client.clock.advance(1)
            self.assertEqual(client.clock.getDelayedCalls()[1:], [])  # the idle timeout

    def test_head_has_the_content_length_of_get(self) -> None:
        response = self.answer(lambda ctx: "four", "HEAD")
        self.assertEqual(response.header("Content-Length"), "4")
        self.assert_complete(response, b"")

    def test_the_flush_fails_with_response_complete(self) -> None:
        errors = []

        async def handler(ctx: Context) -> None:
            try:
                await ctx.flush()
            except ResponseComplete as err:
                errors.append(err)
                with self.assertRaises(ResponseComplete):
                    ctx.write("x")
                self.assertIs(ctx.err, err)

        client = self.start(handler, "HEAD")
        self.assertEqual(len(errors), 1)
        self.assert_complete(client.receive(), b"")

    def test_statuses_without_a_body(self) -> None:
        for status, length in ((204, None), (205, "0"), (304, None)):

            def handler(ctx: Context, status: int = status) -> str:
                ctx.status_code(status)
                return "no body may be here"

            response = self.answer(handler)
            self.assert_complete(response, b"", status)
            self.assertIsNone(response.header("Transfer-Encoding"))
            self.assertEqual(response.header("Content-Length"), length)

    def test_the_flush_fails_with_response_complete_even_without_time_left(self) -> None:
        errors: list[type[BaseException]] = []

        async def handler(ctx: Context) -> None:
            client.clock.rightNow += 1
            try:
                await ctx.flush()
            except BaseException as err:
                errors.append(type(err))
                raise

        client = self.connect(handler)
        client.request("HEAD")
        client.clock.pump([0, 1, 1])
        self.assertEqual(errors, [ResponseComplete])

    def test_a_writer_is_called_once_and_the_response_is_complete(self) -> None:
        calls: list[str] = []

        async def handler(ctx: Context) -> None:
            def writer(w: Context) -> None:
                w.header("X-A", "1")
                w.write("x")
                calls.append("writer")

            def items():  # type: ignore[no-untyped-def]  # noqa: ANN202 - of a generator
                raise AssertionError
                yield "x"

            await ctx.stream_writer(writer, interval=1.0 if ctx.path == "/slow" else None)
            calls.append("handler")
            with self.assertRaises(ResponseComplete):
                await ctx.stream(items())

        for path in ("/fast", "/slow"):
            client = self.start(handler, "HEAD", path)
            client.clock.advance(5)
            response = client.receive()
            self.assert_complete(response, b"")
            self.assertEqual(response.header("X-A"), "1")
        self.assertEqual(calls, ["writer", "handler"] * 2)

    def test_a_writer_is_cancelled_where_it_waits(self) -> None:
        waits_for: Deferred[None] = Deferred()
        ends: list[type[BaseException]] = []

        async def writer(w: Context) -> None:
            w.content_type("text/csv")
            try:
                await waits_for
            except BaseException as err:
                ends.append(type(err))
                raise

        response = self.answer(lambda ctx: ctx.stream_writer(writer), "HEAD")
        self.assert_complete(response, b"")
        self.assertEqual(response.header("Content-Type"), "text/csv; charset=utf-8")
        self.assertEqual(ends, [CancelledError])

    def test_the_end_or_the_error_of_a_writer_is_that_of_get(self) -> None:
        def stops(w: Context) -> None:
            raise StopStream

        def fails(w: Context) -> None:
            raise HTTPError(404)

        def wrong(w: Context) -> str:
            return "1"

        async def handler(ctx: Context) -> None:
            writer: Any = {"/stops": stops, "/fails": fails, "/wrong": wrong}[ctx.path]
            await ctx.stream_writer(writer)
            ctx.status_code(201)

        for path, status in (("/stops", 201), ("/fails", 404), ("/wrong", 500)):
            for method in ("GET", "HEAD"):
                response = self.answer(handler, method, path=path)
                self.assertEqual((response.status, response.complete), (status, True))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 2)

    def test_a_handler_that_waits_for_something_else_is_cancelled(self) -> None:
        waits_for: Deferred[None] = Deferred()

        async def handler(ctx: Context) -> None:
            await ctx.stream_writer(lambda w: None)
            await waits_for

        client = self.start(handler, "HEAD")
        client.clock.advance(0)
        self.assertTrue(waits_for.called)


class AbortTests(StreamTest):
    """
    The client can see that an aborted response is incomplete.
    """

    def test_flushed_data_is_sent_without_the_last_chunk(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("sent")
            await ctx.flush()
            ctx.write("dropped")
            ctx.abort("no more")
            self.assertEqual(str(ctx.err), "stream aborted: no more")
            with self.assertRaises(StreamAborted):
                ctx.write("x")

        client = self.get(handler)
        self.assertTrue(client.read_raw().endswith(b"4\r\nsent\r\n"))
        self.assertEqual((client.response.chunks, client.response.truncated), ([b"sent"], True))

    def test_a_body_that_ends_with_the_connection_is_reset(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("sent")
            await ctx.flush()
            ctx.abort()

        response = self.answer(handler, version="1.0")
        self.assertEqual((response.body, response.aborted), (b"sent", True))

    def test_http_1_0_with_a_length_needs_no_reset(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.header("Content-Length", "10")
            ctx.write("sent")
            await ctx.flush()
            ctx.abort()

        response = self.answer(handler, version="1.0")
        self.assertEqual((response.body, response.truncated), (b"sent", True))

    def test_a_stalled_client_cannot_delay_an_abort_forever(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("sent")
            await ctx.flush()
            ctx.abort()

        client = self.get(handler, send_timeout=10.0)
        client.clock.advance(5)
        self.assertFalse(client.aborted)
        client.clock.advance(6)
        self.assertTrue(client.aborted)

    def test_after_the_end_it_does_nothing(self) -> None:
        contexts = []

        def handler(ctx: Context) -> str:
            contexts.append(ctx)
            return "all"

        client = self.get(handler)
        contexts[0].abort()
        self.assertIsNone(contexts[0].err)
        self.assertFalse(client.closed)

    def test_before_the_head_nothing_is_sent(self) -> None:
        client = self.get(lambda ctx: ctx.abort())
        self.assertEqual(client.read_raw(), b"")
        self.assertTrue(client.response.truncated)


class AccessLogTests(StreamTest):
    """
    Every response with a head is in the access log once.
    """

    def logged_requests(self, handler: Any, *, leave: bool) -> list[tuple[int, int]]:
        requests: list[tuple[int, int]] = []
        client = self.connect(handler)
        client.site.log = lambda request: requests.append(  # type: ignore[method-assign]  # of this one
            (request.code, request.sentLength)
        )
        client.request()
        client.clock.advance(1)
        if leave:
            client.disconnect()
        return requests

    def test_a_normal_end(self) -> None:
        self.assertEqual(self.logged_requests(lambda ctx: "four", leave=False), [(200, 4)])

    def test_a_disconnect(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.status_code(201)
            ctx.write("four")
            await ctx.flush()
            await ctx.sleep(60)

        self.assertEqual(self.logged_requests(handler, leave=True), [(201, 4)])

    def test_an_abort(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("four")
            await ctx.flush()
            ctx.abort()

        self.assertEqual(self.logged_requests(handler, leave=True), [(200, 4)])

    def test_an_error_of_the_log_does_not_prevent_the_end(self) -> None:
        ends: list[object] = []

        async def handler(ctx: Context) -> None:
            ctx.done().addCallback(ends.append)
            await ctx.flush()
            await ctx.sleep(60)

        def fails(request: object) -> None:
            raise OSError

        client = self.get(handler)
        client.site.log = fails  # type: ignore[method-assign]  # of this one
        client.disconnect()
        self.assertIsInstance(ends[0], ClientDisconnected)
        self.logged(OSError)

    def test_an_error_of_the_log_does_not_stop_the_connection(self) -> None:
        async def streams(ctx: Context) -> None:
            ctx.write("x")
            await ctx.flush()

        def fails(request: object) -> None:
            raise OSError

        for handler in (lambda ctx: "x", streams):
            for tcp in (False, True):
                client = self.connect(handler, tcp=tcp)
                client.site.log = fails  # type: ignore[method-assign]  # of this one
                for _ in range(3):
                    client.request()
                    self.assert_complete(client.receive(), b"x")
                self.assertEqual(len(self.flushLoggedErrors(OSError)), 3)

    def test_a_response_that_never_began_is_not_logged(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.sleep(60)

        self.assertEqual(self.logged_requests(handler, leave=True), [])


class AfterTheEndTests(StreamTest):
    """
    Every use after the end raises or fails.
    """

    def test_use_after_a_normal_end_raises_stream_finished(self) -> None:
        contexts = []

        def handler(ctx: Context) -> str:
            contexts.append(ctx)
            return "all"

        self.get(handler)
        (ctx,) = contexts
        for use in (
            lambda: ctx.write("x"),
            lambda: self.failureResultOf(ctx.flush()).raiseException(),
            lambda: self.failureResultOf(ctx.sleep(1)).raiseException(),
            lambda: self.failureResultOf(ctx.stream(["x"])).raiseException(),
            lambda: self.failureResultOf(ctx.stream_writer(lambda w: None)).raiseException(),
        ):
            self.assertRaises(StreamFinished, use)
        self.assertRaises(HeadersSent, ctx.header, "X-Late", "1")
        self.assertRaises(HeadersSent, ctx.status_code, 404)
        self.assertRaises(HeadersSent, ctx.content_type, "text/html")

    def test_a_loop_that_ignores_the_end_yields_to_the_reactor(self) -> None:
        rounds: list[int] = []

        async def handler(ctx: Context) -> None:
            while len(rounds) < 100_000:
                try:
                    await ctx.flush()
                    await ctx.sleep(1)
                except ClientDisconnected:
                    rounds.append(1)

        client = self.get(handler)
        client.disconnect()
        first = len(rounds)
        self.assertLess(first, 1000)
        client.clock.advance(0)
        self.assertLess(len(rounds), first + 1000)

    def test_after_a_disconnect_everything_fails_with_err(self) -> None:
        contexts = []

        async def handler(ctx: Context) -> None:
            contexts.append(ctx)
            await ctx.sleep(1)

        client = self.get(handler)
        client.disconnect()
        (ctx,) = contexts
        self.assertRaises(ClientDisconnected, ctx.write, "x")
        self.assertRaises(ClientDisconnected, ctx.header, "X-Late", "1")
        for result in (ctx.flush(), ctx.sleep(1), ctx.stream(["x"])):
            self.assertIs(self.failureResultOf(result).value, ctx.err)

    def test_write_and_finish_of_the_request_raise(self) -> None:
        def handler(ctx: Context) -> str:
            for head_sent in (False, True):
                self.assertRaises(RuntimeError, ctx.request.write, b"x")
                self.assertRaises(RuntimeError, ctx.request.finish)
                if not head_sent:
                    ctx.flush()
            return "x"

        self.assertEqual(self.answer(handler).chunks, [b"x"])

    def test_the_request_is_restored_after_a_normal_end(self) -> None:
        class OwnRequest(Request):
            pass

        def handler(ctx: Context) -> str:
            requests.append(ctx.request)
            self.assertIsInstance(ctx.request, OwnRequest)
            self.assertRaises(RuntimeError, ctx.request.write, b"x")
            return "x"

        requests: list[Request] = []
        server = self.serve(handler)
        server.site.requestFactory = OwnRequest
        client = server.connect()
        for _ in range(2):
            client.request()
            self.assert_complete(client.receive(), b"x")
        for request in requests:
            self.assertIsInstance(request, OwnRequest)
            for name in ("write", "finish", "registerProducer"):
                self.assertIs(getattr(type(request), name), getattr(OwnRequest, name))
