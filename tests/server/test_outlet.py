"""
A response that is subscribed to sources: what it passes to them, and how it ends.
"""

import gc
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.harness import Client, Headers, StreamTest
from tests.server.responses import response_of
from tests.server.sources import MadeUp
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    Context,
    SlowConsumer,
    StreamAborted,
    StreamFinished,
)
from twistream.server.outlet import Outlet
from twistream.wire.frames import Batch, Frame
from twistream.wire.messages import EVENTS, JSON_LINES


class OutletTest(StreamTest):
    """
    The base: one response, and a source that it subscribes to.
    """

    def setUp(self) -> None:
        self.source = MadeUp()

    def open(
        self,
        use: Callable[[Context], object] | None = None,
        *,
        method: str = "GET",
        headers: Headers = (),
        **options: Any,
    ) -> Client:
        """
        A client of a handler that calls `use` with its context, and waits.
        """

        async def handler(ctx: Context) -> None:
            self.context = ctx
            if use is not None:
                use(ctx)
            await ctx.done()

        return self.start(handler, method, headers=headers, **options)

    def subscribed(self, **options: Any) -> Client:
        """
        A client of a handler that awaits its subscription, after the head.
        """
        self.ends: list[object] = []

        async def handler(ctx: Context) -> None:
            self.context = ctx
            try:
                await ctx.subscribe(self.source)
                self.ends.append(None)
            except BaseException as err:
                self.ends.append(err)
                raise

        client = self.get(handler, **options)
        client.receive()
        return client


class OptionsTests(OutletTest):
    """
    The options are passed to the first source.
    """

    def test_without_any_options(self) -> None:
        self.open(lambda ctx: ctx.sse().subscribe(self.source))
        options = self.source.options
        assert options is not None
        self.assertEqual((options.after, options.filter, options.on_slow), (None, None, None))
        self.assertEqual(options.max_queued, 2**20)

    def test_all_options_and_all_sources_reach_the_first(self) -> None:
        other = MadeUp()
        for plain in (True, False):

            def use(ctx: Context, plain: bool = plain) -> None:
                stream = ctx if plain else ctx.sse()
                stream.subscribe(
                    self.source,
                    other,
                    after="1-1",
                    filter=bool,
                    on_slow="latest",
                    max_queued=1,
                )

            self.open(use, headers={"Last-Event-ID": "1-9"})
            options = self.source.options
            assert options is not None
            self.assertEqual((options.after, options.filter), ("1-1", bool))
            self.assertEqual((options.on_slow, options.max_queued), ("latest", 1))
            self.assertEqual(self.source.sources, (self.source, other))
            self.assertEqual(other.outlets, [])

    def test_without_after_it_starts_from_the_last_event_id(self) -> None:
        for after in (None, ""):
            for plain in (True, False):

                def use(ctx: Context, plain: bool = plain, after: str | None = after) -> None:
                    stream = ctx if plain else ctx.sse()
                    stream.subscribe(self.source, after=after)

                self.open(use, headers={"Last-Event-ID": "1-9"})
                assert self.source.options is not None
                self.assertEqual(self.source.options.after, "1-9")

    def test_the_format_is_that_of_the_stream(self) -> None:
        self.open(lambda ctx: ctx.sse().subscribe(self.source))
        self.assertIs(self.source.outlet.format, EVENTS)
        client = self.open(lambda ctx: ctx.subscribe(self.source))
        self.assertIs(self.source.outlet.format, JSON_LINES)
        self.assertEqual(client.receive().header("Content-Type"), "application/jsonl")

    def test_a_media_type_that_is_set_is_kept(self) -> None:
        def before(ctx: Context) -> None:
            ctx.content_type("x/y")
            ctx.subscribe(self.source)

        def after(ctx: Context) -> None:
            ctx.subscribe(self.source)
            ctx.content_type("x/y")

        for use in (before, after):
            self.assertEqual(self.open(use).receive().header("Content-Type"), "x/y")


class ArgumentTests(OutletTest):
    """
    A wrong call raises at once, and changes nothing.
    """

    def test_wrong_arguments_raise(self) -> None:
        source = self.source
        wrong: tuple[tuple[type[Exception], tuple[Any, ...], dict[str, Any]], ...] = (
            (TypeError, (), {}),
            (TypeError, ("news",), {}),
            (TypeError, (None,), {}),
            (TypeError, (source, "news"), {}),
            (TypeError, ([source],), {}),
            *((TypeError, (source,), {"after": each}) for each in (1, b"1-1", ["1-1", 1], False)),
            *((TypeError, (source,), {"filter": each}) for each in ("story", 1, False)),
            *((ValueError, (source,), {"on_slow": each}) for each in ("", "block", "DROP", 1)),
            *((TypeError, (source,), {"max_queued": each}) for each in (1.0, "1", None, True)),
            *((ValueError, (source,), {"max_queued": each}) for each in (0, -1)),
        )

        def plain(ctx: Context) -> None:
            for error, sources, options in wrong:
                with self.assertRaises(error):
                    ctx.subscribe(*sources, **options)
            ctx.subscribe(self.source)

        def events(ctx: Context) -> None:
            stream = ctx.sse()
            for error, sources, options in wrong:
                with self.assertRaises(error):
                    stream.subscribe(*sources, **options)
            stream.subscribe(self.source)

        for use in (plain, events):
            self.source.outlets.clear()
            self.open(use)
            self.assertEqual(len(self.source.outlets), 1)

    def test_a_failed_subscribe_changes_nothing(self) -> None:
        def handler(ctx: Context) -> str:
            with self.assertRaises(TypeError):
                ctx.subscribe()
            return "no stream"

        response = self.answer(handler)
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
        self.assert_complete(response, b"no stream")

    def test_a_stream_has_one_subscription(self) -> None:
        def plain(ctx: Context) -> None:
            ctx.subscribe(self.source)
            with self.assertRaises(RuntimeError):
                ctx.subscribe(MadeUp())

        def events(ctx: Context) -> None:
            stream = ctx.sse()
            stream.subscribe(self.source)
            with self.assertRaises(RuntimeError):
                stream.subscribe(self.source)

        for use in (plain, events):
            client = self.open(use)
            self.assertEqual(len(self.source.outlets), 1)
            self.source.send(b"goes on")
            self.assertEqual(client.read(), b"goes on")
            self.source.outlets.clear()

    def test_an_ended_subscription_cannot_be_replaced(self) -> None:
        def cancels(first: Deferred[None]) -> None:
            first.cancel()
            self.failureResultOf(first, CancelledError)

        def finishes(first: Deferred[None]) -> None:
            self.source.outlet.finish()
            self.successResultOf(first)

        for end in (cancels, finishes):
            self.open()
            self.context.flush()
            end(self.context.subscribe(self.source))
            with self.assertRaises(RuntimeError):
                self.context.subscribe(MadeUp())

    def test_a_stream_of_lines_does_not_become_one_of_events(self) -> None:
        def use(ctx: Context) -> None:
            ctx.subscribe(self.source)
            with self.assertRaises(RuntimeError):
                ctx.sse()

        self.assertEqual(self.open(use).receive().header("Content-Type"), "application/jsonl")

    def test_a_stream_of_events_is_not_subscribed_to_as_lines(self) -> None:
        def use(ctx: Context) -> None:
            ctx.sse()
            with self.assertRaises(RuntimeError):
                ctx.subscribe(self.source)

        media_type = self.open(use).receive().header("Content-Type")
        self.assertEqual(media_type, "text/event-stream; charset=utf-8")
        self.assertEqual(self.source.outlets, [])

    def test_an_error_of_the_source_is_raised_at_the_call(self) -> None:
        def use(ctx: Context) -> None:
            with self.assertRaises(ValueError):
                ctx.subscribe(MadeUp(refusal=ValueError("made to fail")))
            ctx.subscribe(self.source)

        client = self.open(use)
        client.receive()
        self.source.send(b"accepted")
        self.assertEqual(client.read(), b"accepted")


class HeadTests(OutletTest):
    """
    The head is sent in time, and a response without a body needs no source.
    """

    def test_the_head_is_sent_at_the_end_of_the_turn(self) -> None:
        client = self.open(lambda ctx: ctx.subscribe(self.source))
        self.assertEqual(client.take(), b"")
        self.assertTrue(client.read_raw().endswith(b"\r\n\r\n"))
        self.assertEqual((client.response.status, client.response.body), (200, b""))

    def test_without_a_body_it_succeeds_and_the_response_is_complete(self) -> None:
        results: list[None] = []

        def head(ctx: Context) -> None:
            ctx.subscribe(self.source).addCallback(results.append)

        def events(ctx: Context) -> None:
            ctx.sse().subscribe(self.source).addCallback(results.append)

        def no_content(ctx: Context) -> None:
            ctx.status_code(204)
            ctx.subscribe(self.source).addCallback(results.append)

        for use, method, status in (
            (head, "HEAD", 200),
            (events, "HEAD", 200),
            (no_content, "GET", 204),
        ):
            self.assert_complete(self.open(use, method=method).receive(), b"", status)
        self.assertEqual(results, [None] * 3)
        self.assertEqual(self.source.outlets, [])

    def test_after_the_end_it_fails_with_err(self) -> None:
        self.open().disconnect()
        failure = self.failureResultOf(self.context.subscribe(self.source))
        self.assertIs(failure.value, self.context.err)

        contexts: list[Context] = []
        self.get(contexts.append)
        self.failureResultOf(contexts[0].subscribe(self.source), StreamFinished)

        def ends(ctx: Context) -> None:
            self.events = ctx.sse()

        self.get(ends)
        self.failureResultOf(self.events.subscribe(self.source), StreamFinished)
        self.assertEqual(self.source.outlets, [])


class DeliveryTests(OutletTest):
    """
    What a source sends, and what it can see of the client.
    """

    def test_each_message_of_a_batch_is_a_chunk(self) -> None:
        client = self.subscribed()
        self.source.send(b"one", b"two")
        self.assertEqual(client.read_chunks(), [b"one", b"two"])

    def test_a_source_does_not_wait_while_the_client_keeps_up(self) -> None:
        self.subscribed()
        self.assertFalse(self.source.outlet.full)
        self.assertIsNone(self.source.outlet.wait())

    def test_a_source_waits_while_the_connection_is_full(self) -> None:
        client = self.subscribed()
        client.pause()
        outlet = self.source.outlet
        self.assertTrue(outlet.full)
        wait = outlet.wait()
        assert wait is not None
        self.assertNoResult(wait)
        client.resume()
        self.successResultOf(wait)
        self.assertFalse(outlet.full)

    def test_a_wait_fails_when_the_response_is_over(self) -> None:
        client = self.subscribed()
        client.pause()
        outlet = self.source.outlet
        before = outlet.wait()
        client.disconnect()
        for wait in (before, outlet.wait()):
            assert wait is not None
            self.failureResultOf(wait, ClientDisconnected)

    def test_an_endless_source_yields_to_the_reactor(self) -> None:
        self.subscribed()
        count = 0
        while (wait := self.source.outlet.wait()) is None:
            count += 1
            self.assertLess(count, 1000)
        self.assertNoResult(wait)
        self.context.clock.advance(0)  # type: ignore[attr-defined]  # of a test
        self.successResultOf(wait)

    def test_the_backlog_is_the_bytes_queued_for_the_client(self) -> None:
        client = self.subscribed()
        outlet = self.source.outlet
        self.assertEqual(outlet.backlog, 0)
        client.pause()
        self.source.send(b"x" * 1000)
        self.assertGreaterEqual(outlet.backlog, 1000)
        self.context.write("y" * 500)
        self.assertGreaterEqual(outlet.backlog, 1500)
        client.resume()
        self.context.flush()
        client.clock.advance(0)
        self.assertEqual(outlet.backlog, 0)

    def test_a_source_that_does_not_wait_overflows_at_the_limit(self) -> None:
        client = self.subscribed(max_buffered=1000)
        client.pause()
        batch = Batch([Frame(b"x" * 600)])
        with self.assertRaises(BufferOverflow):
            for _ in range(4):
                self.source.outlet.deliver(batch)
        client.resume()
        self.assertEqual(client.read(), b"x" * 1200)

    def test_its_turn_is_that_of_the_clock(self) -> None:
        client = self.subscribed()
        self.assertIs(self.source.outlet.turn.clock, client.clock)


class EndTests(OutletTest):
    """
    A subscription ends once: by its sources, by the client, or by being cancelled.
    """

    def test_it_succeeds_when_its_sources_end(self) -> None:
        client = self.subscribed()
        self.source.send(b"last")
        self.source.outlet.finish()
        self.assertEqual(self.ends, [None])
        self.assertEqual(self.source.detached, 1)
        response = client.receive()
        self.assertEqual((response.chunks, response.complete), ([b"last"], True))

    def test_it_fails_when_its_sources_fail(self) -> None:
        client = self.subscribed()
        self.source.outlet.stop(KeyError("made to fail"))
        self.assertIsInstance(self.ends[0], KeyError)
        self.assertEqual(self.source.detached, 1)
        self.assertTrue(client.receive().truncated)
        self.logged(KeyError)

    def test_it_ends_only_once(self) -> None:
        self.subscribed()
        outlet = self.source.outlet
        outlet.finish()
        outlet.finish()
        outlet.stop(KeyError())
        self.assertEqual(self.ends, [None])
        self.assertEqual(self.source.detached, 1)

    def test_sources_that_end_at_once_are_detached(self) -> None:
        for end in (Outlet.finish, lambda outlet: outlet.stop(StreamFinished())):
            source = MadeUp(end)
            results: list[object] = []

            def use(ctx: Context, source: MadeUp = source, results: list[object] = results) -> None:
                ctx.subscribe(source).addBoth(results.append)

            self.open(use)
            self.assertEqual(len(results), 1)
            self.assertEqual(source.detached, 1)

    def test_ended_sources_without_messages_answer_204(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.sse(retry=3).subscribe(MadeUp(Outlet.finish))

        async def lines(ctx: Context) -> None:
            await ctx.subscribe(MadeUp(Outlet.finish))

        for each in (handler, lines):
            response = self.answer(each)
            self.assertEqual((response.status, response.reason), (204, "No Content"))
            self.assertIsNone(response.header("Content-Type"))

    def test_ended_sources_keep_a_status_that_the_handler_has_set(self) -> None:
        async def before(ctx: Context) -> None:
            ctx.status_code(503)
            await ctx.sse().subscribe(MadeUp(Outlet.finish))

        async def after(ctx: Context) -> None:
            await ctx.subscribe(MadeUp(Outlet.finish))
            ctx.status_code(503)

        for each in (before, after):
            self.assert_complete(self.answer(each), b"", 503)

    def test_ended_sources_do_not_answer_204_if_anything_is_sent(self) -> None:
        async def late(ctx: Context) -> None:
            events = ctx.sse()
            await ctx.sleep(1)
            await events.subscribe(MadeUp(Outlet.finish))

        async def after_an_event(ctx: Context) -> None:
            events = ctx.sse()
            events.send("hello")
            await events.subscribe(MadeUp(Outlet.finish))

        async def before_an_answer(ctx: Context) -> str:
            await ctx.sse().subscribe(MadeUp(Outlet.finish))
            return "data: something\n\n"

        for handler in (late, after_an_event, before_an_answer):
            client = self.get(handler)
            client.clock.advance(1)
            self.assertEqual(client.receive().status, 200)

    def test_a_disconnect_ends_it(self) -> None:
        client = self.subscribed()
        client.disconnect()
        self.assertIs(self.ends[0], self.context.err)
        self.assertIsInstance(self.ends[0], ClientDisconnected)
        self.assertEqual(self.source.detached, 1)

    def test_a_disconnect_ends_it_with_continue(self) -> None:
        client = self.subscribed(on_disconnect="continue")
        client.disconnect()
        self.assertIsInstance(self.ends[0], ClientDisconnected)
        self.assertEqual(self.source.detached, 1)

    def test_an_unhandled_end_is_not_logged(self) -> None:
        for end in (ClientDisconnected(), StreamFinished()):
            self.open(lambda ctx: ctx.subscribe(self.source))
            self.source.outlet.stop(end)
            gc.collect()
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_handler_that_returns_ends_it(self) -> None:
        results: list[Any] = []

        def handler(ctx: Context) -> None:
            ctx.subscribe(self.source).addErrback(results.append)

        self.get(handler)
        self.assertIsInstance(results[0].value, StreamFinished)
        self.assertEqual(self.source.detached, 1)

    def test_cancelling_it_does_not_end_the_response(self) -> None:
        client = self.open()
        deferred = self.context.subscribe(self.source)
        client.receive()
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        self.assertEqual(self.source.detached, 1)
        self.assertIsNone(self.source.outlet.position_update())
        self.context.write("goes on")
        self.context.flush()
        self.assertEqual(client.read(), b"goes on")
        client.disconnect()
        self.assertEqual(self.source.detached, 1)

    def test_a_client_can_be_cut(self) -> None:
        left: list[Context] = []
        client = self.open(lambda ctx: ctx.on_connection_close(left.append))
        deferred = self.context.subscribe(self.source)
        err = SlowConsumer(queued=2, limit=1)
        self.source.outlet.cut(err)
        self.assertIs(self.context.err, err)
        self.assertIs(self.failureResultOf(deferred).value, err)
        self.assertEqual(left, [self.context])
        self.assertTrue(client.aborted)
        self.assertEqual(self.source.detached, 1)

    def test_an_abort_ends_it(self) -> None:
        self.subscribed()
        self.context.abort("no more")
        self.assertIsInstance(self.ends[0], StreamAborted)
        self.assertEqual(self.source.detached, 1)

    def test_an_ended_subscription_is_detached_from_the_response(self) -> None:
        def finishes(deferred: Deferred[None]) -> None:
            self.source.outlet.finish()

        for end in (finishes, Deferred.cancel):
            self.open(on_disconnect="continue")
            deferred = self.context.subscribe(self.source)
            deferred.addErrback(lambda failure: failure.trap(CancelledError))
            end(deferred)
            self.assertEqual(response_of(self.context).observers._attached, ())

    def test_it_is_freed_without_the_garbage_collector(self) -> None:
        def outlets() -> int:
            return sum(isinstance(each, Outlet) for each in gc.get_objects())

        def use_what_has_ended(ctx: Context) -> None:
            ctx.subscribe(finished)
            finished.outlets.clear()

        def use(ctx: Context) -> None:
            ctx.sse(ping=None).subscribe(self.source).addErrback(lambda failure: None)
            self.source.outlets.clear()

        finished = MadeUp(Outlet.finish)
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = outlets()
        self.open(use_what_has_ended)
        self.assertEqual(outlets(), before)
        client = self.open(use)
        client.receive()
        self.assertEqual(outlets(), before + 1)
        client.disconnect()
        self.assertEqual(outlets(), before)
