"""
What is notified of the end, in which order.
"""

import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

from twisted.internet.defer import Deferred, FirstError, gatherResults

from tests.harness import StreamTest
from twistream import (
    ClientDisconnected,
    Context,
    StreamFinished,
)


class EndTests(StreamTest):
    """
    What is notified of the end, in which order.
    """

    def test_done_fires_with_none_after_a_normal_end(self) -> None:
        fired: list[object] = []

        async def handler(ctx: Context) -> None:
            self.context = ctx
            ctx.done().addCallback(fired.append)
            await ctx.sleep(1)
            self.assertEqual(fired, [])

        client = self.get(handler)
        client.clock.advance(1)
        self.assertEqual(fired, [None])
        self.assertIsNone(self.successResultOf(self.context.done()))
        self.assertFalse(self.context.is_cancelled)

    def test_an_error_of_the_access_log_does_not_prevent_the_end(self) -> None:
        ends: list[object] = []
        logged: list[object] = []

        def fail(request: object) -> None:
            logged.append(request)
            raise ZeroDivisionError

        async def handler(ctx: Context) -> None:
            ctx.on_close(lambda ctx: ends.append("closed"))
            ctx.done().addCallback(ends.append)

        client = self.connect(handler)
        client.site.log = fail  # type: ignore[method-assign]  # of this one
        client.request()
        self.assertTrue(client.receive().complete)
        self.assertEqual(ends, ["closed", None])
        self.logged(ZeroDivisionError)
        client.disconnect()
        self.assertEqual(len(logged), 1)

    def test_done_fires_with_err_after_a_disconnect(self) -> None:
        fired: list[object] = []

        async def handler(ctx: Context) -> None:
            self.context = ctx
            ctx.done().addCallback(fired.append)
            ctx.done().addCallback(lambda err: fired.append("second"))
            await ctx.sleep(1)

        self.get(handler).disconnect()
        self.assertIsInstance(fired[0], ClientDisconnected)
        self.assertEqual(fired[1:], ["second"])
        self.assertIs(self.successResultOf(self.context.done()), self.context.err)

    def test_a_handler_that_awaits_done_gets_err(self) -> None:
        results = []

        async def handler(ctx: Context) -> None:
            results.append(await ctx.done())

        self.get(handler).disconnect()
        self.assertIsInstance(results[0], ClientDisconnected)

    def test_the_order_of_notifications_after_a_disconnect(self) -> None:
        order: list[str] = []

        async def handler(ctx: Context) -> None:
            ctx.done().addCallback(lambda err: order.append("done"))
            ctx.on_close(lambda c: order.append("on_close"))
            ctx.on_connection_close(lambda c: order.append("on_connection_close 1"))
            ctx.on_connection_close(lambda c: order.append("on_connection_close 2"))
            ctx.sleep(5).addErrback(lambda f: order.append("another wait"))
            try:
                await ctx.sleep(1)
            except ClientDisconnected:
                order.append("err is set" if ctx.is_cancelled else "err is not set")
                order.append("handler")

        self.get(handler).disconnect()
        self.assertEqual(
            order,
            [
                "err is set",
                "handler",
                "another wait",
                "on_connection_close 1",
                "on_connection_close 2",
                "on_close",
                "done",
            ],
        )

    def test_callbacks_at_a_normal_end(self) -> None:
        order: list[str] = []

        def handler(ctx: Context) -> None:
            ctx.on_connection_close(lambda c: order.append("left"))
            ctx.on_close(lambda c: order.append("first"))
            ctx.on_close(lambda c: order.append("second"))
            self.context = ctx

        self.get(handler).disconnect()
        self.assertEqual(order, ["first", "second"])

    def test_callbacks_registered_after_the_end_are_called_at_once(self) -> None:
        called: list[object] = []

        async def handler(ctx: Context) -> None:
            self.context = ctx
            await ctx.sleep(1)

        self.get(handler).disconnect()
        self.context.on_close(called.append)
        self.context.on_connection_close(called.append)
        self.assertEqual(called, [self.context] * 2)

    def test_an_error_of_a_callback_is_logged_and_the_others_run(self) -> None:
        called: list[object] = []

        async def fails_later(ctx: Context) -> None:
            raise KeyError("later")

        def fails(ctx: Context) -> None:
            raise KeyError("now")

        def handler(ctx: Context) -> None:
            ctx.on_close(fails)
            ctx.on_close(fails_later)
            ctx.on_close(called.append)
            self.assertRaises(TypeError, ctx.on_close, None)

        self.get(handler)
        self.assertEqual(len(called), 1)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)

    def test_waits_that_are_open_at_a_normal_end_fail(self) -> None:
        failures: list[Any] = []

        def handler(ctx: Context) -> None:
            ctx.sleep(10).addErrback(failures.append)

        client = self.get(handler)
        client.receive()
        self.assertIsInstance(failures[0].value, StreamFinished)
        self.assertEqual(len(client.clock.getDelayedCalls()), 1)  # the idle timeout

    def test_a_callback_that_returns_a_generator_is_logged_because_it_did_nothing(self) -> None:
        def generator() -> Iterator[None]:
            yield

        async def async_generator() -> AsyncIterator[None]:
            yield

        def handler(ctx: Context) -> None:
            ctx.on_close(lambda _: generator())
            ctx.on_close(lambda _: async_generator())

        self.answer(handler)
        errors = self.flushLoggedErrors(TypeError)
        self.assertEqual(["@inlineCallbacks" in str(each.value) for each in errors], [True] * 2)

    def test_a_callback_that_fails_with_the_end_is_not_logged(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.on_close(lambda c: c.flush())
            ctx.on_close(lambda c: c.write("x"))
            await ctx.sleep(1)

        self.get(handler).disconnect()
        self.get(lambda ctx: ctx.on_close(lambda c: c.flush()))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_with_continue_sleeps_go_on_after_a_disconnect(self) -> None:
        slept: list[str] = []

        async def handler(ctx: Context) -> None:
            await ctx.sleep(1)
            slept.append("through the end")
            await ctx.sleep(1)
            slept.append("after it")

        client = self.get(handler, on_disconnect="continue")
        client.disconnect()
        client.clock.pump([1, 1])
        self.assertEqual(slept, ["through the end", "after it"])

    def test_a_dropped_wait_logs_nothing(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.sleep(10)
            ctx.flush()
            await ctx.sleep(20)

        def callbacks(ctx: Context) -> Deferred[None]:
            return ctx.sleep(10).addCallback(lambda _: None)

        for each in (handler, callbacks):
            self.get(each).disconnect()
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_another_error_on_a_wait_is_still_logged(self) -> None:
        async def handler(ctx: Context) -> None:
            def breaks(_: object) -> None:
                raise KeyError("mine")

            ctx.sleep(1).addBoth(breaks)
            await ctx.sleep(5)

        self.get(handler).disconnect()
        gc.collect()
        self.logged(KeyError)

    def test_cancelling_a_sleep_stops_its_clock(self) -> None:
        async def handler(ctx: Context) -> None:
            sleep = ctx.sleep(10)
            sleep.cancel()
            self.failureResultOf(sleep)
            await Deferred()

        client = self.get(handler)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_two_waits_gathered(self) -> None:
        errors = []

        async def handler(ctx: Context) -> None:
            try:
                await gatherResults([ctx.sleep(1), ctx.sleep(2)], consumeErrors=True)
            except FirstError as err:
                errors.append(err.subFailure.value)
                raise ctx.err or AssertionError from None

        self.get(handler).disconnect()
        self.assertIsInstance(errors[0], ClientDisconnected)
