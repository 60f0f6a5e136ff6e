"""
stream_writer and stream: when they call, and how they end.
"""

import gc
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import groupby
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock

from tests.harness import Client, StreamTest
from twistream import (
    ClientDisconnected,
    ContentLengthMismatch,
    Context,
    StopStream,
    StreamAborted,
    StreamFinished,
)


def one_after_the_other(*steps: Callable[[Context], Any]) -> Callable[[Context], Any]:
    """
    A writer that takes each of these steps once.
    """
    left = iter(steps)

    def writer(w: Context) -> Any:
        return next(left)(w)

    return writer


class LoopTest(StreamTest):
    """
    Starts loops in a handler that keeps its result.
    """

    def loop(
        self, writer: Callable[[Context], Any], interval: float | None = None, **options: Any
    ) -> Client:
        self.results: list[object] = []
        self.context: Context

        def handler(ctx: Context) -> Deferred[Any]:
            self.context = ctx
            self.loop_deferred = ctx.stream_writer(writer, interval)
            return self.loop_deferred.addBoth(self.results.append)

        return self.get(handler, **options)

    def error(self) -> BaseException:
        (failure,) = self.results
        value: BaseException = failure.value  # type: ignore[attr-defined]  # Twisted's, private
        return value


class IntervalTests(LoopTest):
    """
    With an interval, calls start that far apart.
    """

    def times(self, cost: list[float], until: float, interval: float = 1.0) -> list[float]:
        """
        The times of the calls, if each of them takes `cost` seconds.
        """
        clock, called = Clock(), []

        def writer(w: Context) -> Deferred[None]:
            called.append(clock.seconds())
            done: Deferred[None] = Deferred(lambda _: None)
            clock.callLater(
                cost[len(called) - 1] if len(called) <= len(cost) else 0, done.callback, None
            )
            return done

        self.results = []
        client = self.get(
            lambda ctx: ctx.stream_writer(writer, interval).addBoth(self.results.append),
            clock=clock,
        )
        while clock.seconds() < until:
            clock.advance(0.25)
        client.disconnect()
        return called

    def test_the_first_call_is_immediate_and_the_others_are_an_interval_apart(self) -> None:
        self.assertEqual(self.times([], until=3.5), [0, 1, 2, 3])

    def test_the_interval_is_from_start_to_start(self) -> None:
        self.assertEqual(self.times([0.5, 0.75, 0.25], until=3.5), [0, 1, 2, 3])

    def test_late_ticks_are_skipped(self) -> None:
        self.assertEqual(self.times([2.5], until=5.5), [0, 3, 4, 5])

    def test_a_call_as_long_as_the_interval_skips_a_tick(self) -> None:
        self.assertEqual(self.times([1.0], until=3.5), [0, 2, 3])

    def test_inexact_intervals_do_not_drift(self) -> None:
        clock, called = Clock(), []
        client = self.get(
            lambda ctx: ctx.stream_writer(lambda w: called.append(clock.seconds()), 0.1).addErrback(
                lambda f: None
            ),
            clock=clock,
        )
        for _ in range(100):
            clock.advance(0.1)
        client.disconnect()
        self.assertEqual(len(called), 101)

    def test_a_tiny_interval_counts_as_none(self) -> None:
        calls: list[int] = []

        def writer(w: Context) -> None:
            calls.append(1)
            if len(calls) == 10:
                raise StopStream

        self.loop(writer, 5e-324)
        self.assertEqual((len(calls), self.results), (10, [None]))

    def test_an_invalid_interval_raises(self) -> None:
        def handler(ctx: Context) -> None:
            for bad in (-1, float("nan"), float("inf"), float("-inf")):
                with self.assertRaises(ValueError):
                    ctx.stream_writer(lambda w: None, bad)
                with self.assertRaises(ValueError):
                    ctx.sleep(bad)
            for much in (10**400, 1e300):
                with self.assertRaises(ValueError):
                    ctx.sleep(much)
            for wrong in ("1", True, [1]):
                with self.assertRaises(TypeError):
                    ctx.stream_writer(lambda w: None, wrong)  # type: ignore[arg-type]  # wrong on purpose
            with self.assertRaises(TypeError):
                ctx.stream_writer("not a function")  # type: ignore[arg-type]  # wrong on purpose

        self.assertEqual(self.answer(handler).status, 200)


class EndTests(LoopTest):
    """
    How a loop ends, and with what.
    """

    def test_stop_stream_ends_it_with_success_and_flushes_what_was_written(self) -> None:
        count = 0

        def writer(w: Context) -> None:
            nonlocal count
            count += 1
            w.writef("message %d", count)
            if count == 3:
                raise StopStream

        client = self.loop(writer)
        self.assertEqual(self.results, [None])
        response = client.receive()
        self.assertEqual(response.chunks, [b"message 1", b"message 2", b"message 3"])
        self.assertTrue(response.complete)

    def test_stop_stream_with_nothing_written_does_not_send_the_head(self) -> None:
        async def handler(ctx: Context) -> None:
            def writer(w: Context) -> None:
                raise StopStream

            await ctx.stream_writer(writer)
            ctx.status_code(404)

        self.assertEqual(self.answer(handler).status, 404)

    def test_stop_stream_from_a_deferred_or_a_coroutine_ends_it(self) -> None:
        async def later(w: Context) -> None:
            w.write("last")
            await w.sleep(1)
            raise StopStream

        client = self.loop(later)
        self.assertEqual(self.results, [])
        client.clock.advance(1)
        self.assertEqual(self.results, [None])
        self.assertEqual(client.read(), b"last")

    def test_the_writers_own_error_ends_it_and_what_it_wrote_stays_in_the_buffer(self) -> None:
        gathered = []

        async def handler(ctx: Context) -> str:
            def writer(w: Context) -> None:
                w.write("kept")
                raise KeyError("mine")

            try:
                await ctx.stream_writer(writer)
            except KeyError as err:
                gathered.append(err)
            return " and sent"

        self.assertEqual(self.get(handler).read(), b"kept and sent")
        self.assertEqual(len(gathered), 1)

    def test_stop_iteration_becomes_an_error_that_names_stop_stream(self) -> None:
        empty: Iterator[str] = iter(())
        self.loop(lambda w: w.write(next(empty)) and None)
        self.assertIsInstance(self.error(), RuntimeError)
        self.assertIn("StopStream", str(self.error()))
        self.assertIsInstance(self.error().__cause__, StopIteration)

    def test_any_other_result_is_a_type_error(self) -> None:
        self.loop(lambda w: "x")
        self.assertIsInstance(self.error(), TypeError)
        self.assertIn("str", str(self.error()))

    def test_any_other_result_after_coroutines_is_a_type_error(self) -> None:
        async def first(w: Context) -> None:
            w.write("first")

        self.loop(one_after_the_other(first, lambda w: "x"))
        self.assertIsInstance(self.error(), TypeError)
        self.assertIn("str", str(self.error()))

    def test_stop_iteration_after_coroutines_names_stop_stream_too(self) -> None:
        async def first(w: Context) -> None:
            w.write("first")

        self.loop(one_after_the_other(first))
        self.assertIsInstance(self.error(), RuntimeError)
        self.assertIn("StopStream", str(self.error()))

    def test_results_may_change_from_step_to_step(self) -> None:
        async def coroutine(w: Context) -> None:
            w.write("b")

        def stop(w: Context) -> None:
            raise StopStream

        client = self.loop(
            one_after_the_other(
                lambda w: w.write("a"),
                coroutine,
                coroutine,
                lambda w: w.write("c"),
                lambda w: w.flush(),
                coroutine,
                lambda w: None,
                coroutine,
                stop,
            )
        )
        self.assertEqual(self.results, [None])
        self.assertEqual(client.receive().chunks, [b"a", b"b", b"b", b"c", b"b", b"b"])

    def test_it_waits_for_what_a_coroutine_returns(self) -> None:
        async def writer(w: Context) -> Deferred[None]:
            w.write("x")
            return w.sleep(1)

        client = self.loop(writer)
        for count in (0, 1, 2):
            self.assertEqual(client.receive().chunks, [b"x"] * count)
            client.clock.advance(1)

    def test_a_deferred_that_a_coroutine_returns_can_fail(self) -> None:
        async def falls(w: Context) -> Deferred[None]:
            return fail(LookupError("returned"))

        async def stops(w: Context) -> Deferred[None]:
            return fail(StopStream())

        self.loop(falls)
        self.assertIsInstance(self.error(), LookupError)
        self.loop(stops)
        self.assertEqual(self.results, [None])

    def test_a_lambda_may_return_what_write_returns(self) -> None:
        left = iter("abc")
        self.loop(lambda w: w.write(next(left)))
        self.assertIsInstance(self.error(), RuntimeError)  # Not a TypeError at the first.
        self.assertEqual(list(left), [])

    def test_a_disconnect_between_two_ticks_ends_it(self) -> None:
        calls = []
        client = self.loop(lambda w: calls.append(1), 1)
        client.disconnect()
        self.assertIsInstance(self.error(), ClientDisconnected)
        client.clock.advance(5)
        self.assertEqual(calls, [1])
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_a_disconnect_cancels_the_deferred_it_waits_for(self) -> None:
        cancelled: list[object] = []
        pending: Deferred[None] = Deferred(cancelled.append)
        client = self.loop(lambda w: pending)
        client.disconnect()
        self.assertEqual(cancelled, [pending])
        self.assertIsInstance(self.error(), ClientDisconnected)

    def test_it_ends_even_if_the_pending_deferred_cannot_be_cancelled(self) -> None:
        never: Deferred[None] = Deferred()

        async def stubborn(w: Context) -> None:
            try:
                await Deferred()
            except CancelledError:
                await never

        client = self.loop(stubborn)
        client.disconnect()
        self.assertIsInstance(self.error(), ClientDisconnected)
        never.callback(None)

    def test_a_writer_that_fails_after_the_end_is_reported(self) -> None:
        async def breaks(w: Context) -> None:
            try:
                await Deferred()
            finally:
                raise KeyError("in cleaning up")

        client = self.loop(breaks)
        client.disconnect()
        self.assertIsInstance(self.error(), ClientDisconnected)
        self.logged(KeyError)

    def test_with_continue_it_ends_with_err(self) -> None:
        client = self.loop(lambda w: Deferred(), on_disconnect="continue")
        client.disconnect()
        self.assertIsInstance(self.error(), ClientDisconnected)

    def test_cancelling_its_deferred_stops_it(self) -> None:
        calls = []
        client = self.loop(lambda w: calls.append(1), 1)
        self.loop_deferred.cancel()
        self.assertIsInstance(self.error(), CancelledError)
        client.clock.advance(5)
        self.assertEqual(calls, [1])
        self.assertFalse(client.closed)

    def test_a_writer_that_aborts_the_response_ends_the_loop(self) -> None:
        calls = []

        def writer(w: Context) -> None:
            calls.append(1)
            w.write("x")
            w.abort("enough")

        self.loop(writer)
        self.assertIsInstance(self.error(), StreamAborted)
        self.assertEqual(calls, [1])

    def test_an_async_writer_that_aborts_the_response_ends_the_loop(self) -> None:
        async def writer(w: Context) -> None:
            await w.sleep(1)
            w.abort("enough")

        client = self.loop(writer)
        client.clock.advance(1)
        self.assertIsInstance(self.error(), StreamAborted)


class FailingFlushTests(LoopTest):
    """
    A flush that fails ends the loop.
    """

    def test_after_a_step_of_any_kind(self) -> None:
        def falls(w: Context) -> None:
            w.write("hello")
            w.header("Content-Length", "3")

        async def falls_later(w: Context) -> None:
            await w.sleep(1)
            falls(w)

        async def stops_later(w: Context) -> None:
            await falls_later(w)
            raise StopStream

        for writer in (falls, falls_later, stops_later):
            client = self.loop(writer)
            client.clock.advance(1)
            self.assertIsInstance(self.error(), ContentLengthMismatch)
            client.disconnect()
            self.flushLoggedErrors(ContentLengthMismatch)


class EndFromWithinTests(LoopTest):
    """
    A step that ends the response is cancelled, in the next turn at the latest.
    """

    def test_it_is_cancelled_if_it_waits_for_something_else(self) -> None:
        for later in (False, True):
            ended: list[str] = []

            async def writer(w: Context, later: bool = later, ended: list[str] = ended) -> None:
                if later:
                    await w.sleep(1)
                w.abort("enough")
                try:
                    await Deferred()
                except CancelledError:
                    ended.append("cancelled")
                    raise

            client = self.loop(writer)
            client.clock.pump([1, 0])
            self.assertIsInstance(self.error(), StreamAborted)
            self.assertEqual(ended, ["cancelled"], later)

    def test_it_is_not_cancelled_if_it_has_been_notified(self) -> None:
        cleaning: Deferred[None] = Deferred()

        async def writer(w: Context) -> None:
            await w.sleep(1)
            w.abort("enough")
            try:
                await w.sleep(1)
            finally:
                await cleaning

        client = self.loop(writer)
        client.clock.pump([1, 0])
        self.assertFalse(cleaning.called)
        cleaning.callback(None)

    def test_a_deferred_returned_after_an_abort_is_cancelled(self) -> None:
        pending: Deferred[None] = Deferred()

        def writer(w: Context) -> Deferred[None]:
            w.abort("enough")
            return pending

        self.loop(writer)
        self.assertTrue(pending.called)

    def test_an_error_of_a_canceller_is_logged(self) -> None:
        def canceller(_: Deferred[None]) -> None:
            raise KeyError("in cancelling")

        closed: list[object] = []
        client = self.loop(lambda w: Deferred(canceller))
        self.context.on_close(closed.append)
        client.disconnect()
        self.assertIsInstance(self.error(), ClientDisconnected)
        self.assertEqual(len(closed), 1)
        self.logged(KeyError)

    def test_a_generator_that_aborts_and_waits_is_closed(self) -> None:
        closed: list[int] = []

        async def items(ctx: Context) -> AsyncIterator[str]:
            try:
                yield "x"
                await ctx.sleep(1)
                ctx.abort()
                await Deferred()
            finally:
                closed.append(1)

        client = self.get(lambda ctx: ctx.stream(items(ctx)))
        client.clock.pump([1, 0])
        self.assertEqual(closed, [1])


class PaceTests(LoopTest):
    """
    Without an interval, a loop is as fast as the client and yields to others.
    """

    def test_an_endless_writer_yields_to_the_reactor(self) -> None:
        calls = []
        client = self.loop(lambda w: calls.append(w.write("x")))
        first = len(calls)
        self.assertTrue(1 < first <= 256, first)
        client.clock.advance(0)
        self.assertTrue(first < len(calls) <= 3 * 256, len(calls))

    def test_loops_take_turns_when_the_slice_is_used_up(self) -> None:
        clock, calls = Clock(), []

        def handler(ctx: Context) -> Deferred[None]:
            name = ctx.request.args[b"n"][0].decode()

            def writer(w: Context) -> None:
                calls.append(name)
                clock.rightNow += 0.004
                if calls.count(name) == 100:
                    raise StopStream

            return ctx.stream_writer(writer)

        server = self.serve(handler, clock=clock)
        for name in "abc":
            server.connect().request(path=f"/?n={name}")
        for _ in range(300):
            clock.advance(0.001)
        self.assertEqual([calls.count(name) for name in "abc"], [100, 100, 100])
        runs = [len(list(run)) for _, run in groupby(calls)]
        # Two slices, and the step with which the first turn begins.
        self.assertLessEqual(max(runs), 7)

    def test_it_waits_while_the_connection_is_full(self) -> None:
        calls = []
        client = self.loop(lambda w: calls.append(w.write("x")), 1)
        client.pause()
        client.clock.pump([1] * 5)
        self.assertEqual(len(calls), 2)
        client.resume()
        client.clock.advance(1)
        self.assertEqual(len(calls), 3)

    def test_one_that_takes_a_step_while_the_last_bytes_are_on_their_way_ends_quietly(self) -> None:
        async def items() -> AsyncIterator[str]:
            await gate
            yield "a"

        async def writer(w: Context) -> None:
            await gate
            w.write("b")

        async def handler(ctx: Context) -> None:
            await ctx.flush()
            await ctx.sleep(1)
            ctx.write("x")
            ctx.flush()
            for start in (
                lambda: ctx.stream(items(), detached=True),
                lambda: ctx.stream_writer(writer, detached=True),
            ):
                start().addBoth(self.results.append)
                start()  # Nobody handles its error.

        gate: Deferred[None] = Deferred()
        self.results: list[Any] = []
        client = self.get(handler)
        client.pause(after=1)
        client.clock.advance(1)
        self.assertEqual(self.results, [])
        gate.callback(None)
        self.assertEqual([result.type for result in self.results], [StreamFinished] * 2)
        client.resume()
        self.assertTrue(client.receive().complete)
        self.results.clear()
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_ready_results_neither_wait_nor_recurse(self) -> None:
        calls = []

        def writer(w: Context) -> Deferred[None]:
            calls.append(1)
            if len(calls) == 3000:
                raise StopStream
            return succeed(None)

        client = self.loop(writer)
        client.clock.pump([0.001] * 20)
        self.assertEqual(self.results, [None])


class StreamTests(StreamTest):
    """
    stream() writes and flushes each item, and always closes its generator.
    """

    def closing(self) -> tuple[list[str], Iterator[str]]:
        closed = []

        def items() -> Iterator[str]:
            try:
                while True:
                    yield "x"
            finally:
                closed.append("closed")

        return closed, items()

    def test_each_item_is_a_chunk(self) -> None:
        response = self.answer(lambda ctx: ctx.stream(["ab", b"c", bytearray(b"def")]))
        self.assertEqual(response.chunks, [b"ab", b"c", b"def"])
        self.assertTrue(response.complete)

    def test_async_items(self) -> None:
        async def items(ctx: Context) -> AsyncIterator[str]:
            for number in range(3):
                yield f"{number};"
                await ctx.sleep(1)

        client = self.get(lambda ctx: ctx.stream(items(ctx)))
        bodies = [client.read()]
        for _ in range(3):
            client.clock.advance(1)
            bodies.append(client.read())
        self.assertEqual(bodies, [b"0;", b"1;", b"2;", b""])

    def test_a_generator_is_closed_when_the_client_disconnects(self) -> None:
        closed, items = self.closing()
        client = self.get(lambda ctx: ctx.stream(items))
        client.disconnect()
        client.clock.advance(0)
        self.assertEqual(closed, ["closed"])

    def test_a_generator_is_closed_without_a_body_and_after_the_end(self) -> None:
        for method in ("HEAD", "GET"):
            closed, items = self.closing()
            next(items)

            def handler(ctx: Context, items: Iterator[str] = items) -> Deferred[None]:
                if ctx.method == "GET":
                    ctx.abort()
                return ctx.stream(items)

            self.start(handler, method)
            self.assertEqual(closed, ["closed"])

    def test_a_generator_that_yields_an_invalid_item_is_closed(self) -> None:
        wrong: tuple[Any, ...] = (1, None, {}, ["x"])
        for item in wrong:
            closed: list[int] = []

            def handler(
                ctx: Context, item: Any = item, closed: list[int] = closed
            ) -> Iterator[Any]:
                try:
                    yield item
                finally:
                    closed.append(1)

            client = self.get(handler)
            self.assertEqual(client.receive().status, 500)
            self.assertEqual(closed, [1])
            self.logged(TypeError)

    def test_a_yielded_deferred_gets_an_error_that_asks_for_inline_callbacks(self) -> None:
        errors: list[Any] = []

        def handler(ctx: Context) -> Deferred[None]:
            return ctx.stream([Deferred()]).addErrback(errors.append)  # type: ignore[list-item]  # wrong on purpose

        self.get(handler)
        self.assertIn("inlineCallbacks", str(errors[0].value))

    def test_a_pending_anext_is_cancelled_and_then_the_generator_closed(self) -> None:
        order = []

        async def items() -> AsyncIterator[str]:
            try:
                yield "x"
                await Deferred()
            except CancelledError:
                order.append("cancelled")
                raise
            finally:
                order.append("closed")

        client = self.get(lambda ctx: ctx.stream(items()))
        client.clock.advance(0)
        client.disconnect()
        self.assertEqual(order, ["cancelled", "closed"])

    def test_an_async_generator_suspended_at_a_yield_is_closed(self) -> None:
        order = []

        async def items() -> AsyncIterator[str]:
            try:
                while True:
                    yield "x"
            finally:
                order.append("closed")

        client = self.get(lambda ctx: ctx.stream(items()))
        client.pause()
        client.clock.advance(0)
        client.disconnect()
        client.clock.advance(0)
        self.assertEqual(order, ["closed"])

    def test_a_generator_that_aborts_the_response_is_closed(self) -> None:
        closed = []

        def items(ctx: Context) -> Iterator[str]:
            try:
                yield "x"
                ctx.abort()
                yield "y"
            finally:
                closed.append(1)

        self.get(lambda ctx: ctx.stream(items(ctx)))
        self.assertEqual(closed, [1])

    def test_an_async_generator_that_aborts_the_response_is_closed(self) -> None:
        closed = []

        async def items(ctx: Context) -> AsyncIterator[str]:
            try:
                yield "x"
                await ctx.sleep(1)
                ctx.abort()
                yield "y"
            finally:
                closed.append(1)

        client = self.get(lambda ctx: ctx.stream(items(ctx)))
        client.clock.advance(1)
        self.assertEqual(closed, [1])

    def test_a_generator_that_fails_to_close_is_reported(self) -> None:
        def items() -> Iterator[str]:
            try:
                while True:
                    yield "x"
            finally:
                raise KeyError("in closing")

        client = self.get(lambda ctx: ctx.stream(items()))
        client.disconnect()
        self.logged(KeyError)

    def test_an_argument_that_is_not_iterable_raises(self) -> None:
        def handler(ctx: Context) -> None:
            for wrong in ("text", b"bytes", 1, None):
                with self.assertRaises(TypeError):
                    ctx.stream(wrong)  # type: ignore[arg-type]  # wrong on purpose

        self.assertEqual(self.answer(handler).status, 200)


class CancelledWithinTests(StreamTest):
    """
    A step that is cancelled at the end of a loop may itself end the loop or the response.
    """

    def test_a_step_that_aborts_when_it_is_cancelled(self) -> None:
        async def handler(ctx: Context) -> None:
            async def step(w: Context) -> None:
                try:
                    await Deferred()
                except CancelledError:
                    ctx.abort()
                    raise

            loop = ctx.stream_writer(step)
            loop.addErrback(lambda failure: cast("list[Any]", ends).append(failure.type))
            loop.cancel()
            await ctx.sleep(1)

        ends: list[type[BaseException]] = []
        client = self.get(handler)
        client.clock.advance(1)
        self.assertEqual(ends, [CancelledError])

    def test_a_step_that_cancels_its_loop_when_it_is_cancelled(self) -> None:
        for leaves in (True, False):
            ends: list[object] = []

            async def handler(ctx: Context, leaves: bool = leaves, ends: Any = ends) -> None:
                async def step(w: Context) -> None:
                    try:
                        await Deferred()
                    finally:
                        loop.cancel()

                ctx.done().addCallback(ends.append)
                loop = ctx.stream_writer(step)
                loop.addErrback(lambda failure: cast("list[Any]", ends).append(failure.type))
                if not leaves:
                    loop.cancel()
                await ctx.sleep(1)

            client = self.get(handler)
            if leaves:
                client.disconnect()
                self.assertEqual([str(end) for end in ends][-1], "client disconnected")
            else:
                client.clock.advance(1)
                self.assertEqual(ends, [CancelledError, None])
