"""
``stream_blocking``: what a client gets, and how it ends.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextvars import ContextVar
from threading import current_thread
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.harness import SteppedPool, ThreadTest
from tests.server.responses import response_of
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    ContentLengthMismatch,
    Context,
    StopStream,
    StreamAborted,
    StreamFinished,
)

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Rows:
    """
    A generator function that records how it ended.
    """

    def __init__(self, *items: Any, error: BaseException | None = None) -> None:
        self.items = items
        self.error = error
        self.made: list[Any] = []
        self.ends: list[str] = []

    def __call__(self) -> Iterator[Any]:
        try:
            for item in self.items:
                self.made.append(item)
                yield item
            if self.error is not None:
                raise self.error
            self.ends.append("exhausted")
        except GeneratorExit:
            self.ends.append("closed")
            raise


class StreamBlockingTests(ThreadTest):
    """
    Streams of a stepped pool.
    """

    def stream(self, items: Any, method: str = "GET", **options: Any) -> Any:
        """
        A client of a handler that streams `items`, with the result of the stream in `results`.
        """
        self.results: list[object] = []
        self.contexts: list[Context] = []
        options = {"pin": False, **options}

        async def handler(ctx: Context) -> None:
            self.contexts.append(ctx)
            try:
                await ctx.stream_blocking(items, **options)
            except BaseException as err:
                self.results.append(err)
                raise
            self.results.append(None)

        return self.start(handler, method)

    def test_each_item_is_a_chunk(self) -> None:
        for items in (
            ["a", b"b", bytearray(b"c"), memoryview(b"d")],
            lambda: ["a", b"b", bytearray(b"c"), memoryview(b"d")],
            Rows("a", b"b", bytearray(b"c"), memoryview(b"d")),
            Rows("a", b"b", bytearray(b"c"), memoryview(b"d"))(),
        ):
            client = self.stream(items)
            self.settle()
            self.assertEqual(client.read_chunks(), [b"a", b"b", b"c", b"d"])
            self.assert_complete(client.receive(), b"abcd")
            self.assertEqual(self.results, [None])

    def test_a_buffer_that_the_iterator_uses_again_is_copied(self) -> None:
        def items() -> Iterator[bytearray]:
            buffer = bytearray(b"1")
            for digit in b"123":
                buffer[0] = digit
                yield buffer

        client = self.stream(items)
        self.settle()
        self.assertEqual(client.read_chunks(), [b"1", b"2", b"3"])

    def test_an_item_is_sent_although_the_thread_is_still_at_work(self) -> None:
        rows = Rows(*"abc")
        client = self.stream(rows, ahead=0)
        for chunk in (b"a", b"b", b"c"):
            self.pool.step()
            self.assertEqual(client.read_chunks(), [chunk])
        self.assertEqual(rows.ends, [])

    def test_nothing_runs_in_the_thread_of_the_reactor(self) -> None:
        threads: list[object] = []

        class Items:
            def __iter__(self) -> "Items":
                threads.append(current_thread())
                return self

            def __next__(self) -> str:
                threads.append(current_thread())
                if len(threads) > 5:
                    raise StopIteration
                return "x"

            def close(self) -> None:
                threads.append(current_thread())

        self.stream(Items())
        self.settle()
        self.assertGreater(len(threads), 5)
        self.assertNotIn(current_thread(), threads)

    def test_a_slow_client_stops_the_iteration(self) -> None:
        rows = Rows(*(b"%d" % n for n in range(1000)))
        client = self.stream(rows, ahead=9)
        client.pause()
        self.settle()
        self.assertLess(len(rows.made), 30)
        made = len(rows.made)
        self.settle()
        self.assertEqual(len(rows.made), made)
        client.resume()
        while not self.results:
            self.settle()
        self.assertEqual(client.receive().body, b"".join(rows.items))
        self.assertEqual((self.results, rows.ends), ([None], ["exhausted"]))

    def test_empty_items_send_nothing_but_the_head(self) -> None:
        client = self.stream(Rows("", b"", "x"))
        self.settle()
        self.assert_complete(client.receive(), b"x")
        self.assertEqual(client.response.chunks, [b"x"])

    def test_without_items_the_head_can_still_change(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.stream_blocking([])
            ctx.status_code(404)
            ctx.write("nothing")

        client = self.start(handler)
        self.settle()
        self.assert_complete(client.receive(), b"nothing", 404)

    def test_what_was_written_before_comes_first(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("[")
            await ctx.stream_blocking(["1", "2"])
            ctx.write("]")

        client = self.start(handler)
        self.settle()
        self.assert_complete(client.receive(), b"[12]")
        self.assertEqual(client.response.chunks, [b"[1", b"2", b"]"])

    def test_it_runs_with_the_variables_of_the_handler(self) -> None:
        def items() -> Iterator[str]:
            yield variable.get()
            variable.set("thread")

        async def handler(ctx: Context) -> None:
            variable.set("handler")
            await ctx.stream_blocking(items)
            ctx.write(variable.get())

        client = self.start(handler)
        self.settle()
        self.assert_complete(client.receive(), b"handlerhandler")

    def test_several_at_once_share_a_response(self) -> None:
        async def handler(ctx: Context) -> None:
            first = ctx.stream_blocking(["1"])
            await ctx.stream_blocking(["2"])
            await first

        client = self.start(handler)
        self.settle()
        self.assert_complete(client.receive(), b"12")

    def test_a_stream_waits_for_a_thread(self) -> None:
        pool = SteppedPool(1)

        async def handler(ctx: Context) -> None:
            await ctx.stream_blocking([ctx.path], pool=pool, pin=True)

        clients = [self.start(handler, path=path) for path in ("/1", "/2", "/3")]
        for number, client in enumerate(clients):
            self.assertEqual(len(pool.jobs), 1)
            pool.step()
            self.assert_complete(client.receive(), b"/%d" % (number + 1))
            self.assertFalse(any(each.response.started for each in clients[number + 1 :]))

    def test_a_pool_that_does_not_run_is_refused(self) -> None:
        stopped, new = SteppedPool(), SteppedPool()
        stopped.stop()
        new.started = False

        def handler(ctx: Context) -> None:
            for pool in (stopped, new):
                with self.assertRaisesRegex(RuntimeError, "start"):
                    ctx.stream_blocking(["x"], pool=pool)

        self.assert_complete(self.start(handler).receive(), b"")

    def test_in_a_thread_it_is_refused(self) -> None:
        errors: list[BaseException] = []
        contexts: list[Context] = []

        def items() -> Iterator[str]:
            ctx = contexts[0]
            for call in (
                lambda: ctx.stream_blocking(["x"]),
                lambda: ctx.stream(["x"]),
                ctx.flush,
                lambda: ctx.json_line(1),
                lambda: ctx.sleep(1),
                lambda: ctx.write("x" * 20_000),
                ctx.abort,
            ):
                try:
                    call()
                except RuntimeError as err:
                    errors.append(err)
            yield ctx.path

        def handler(ctx: Context) -> Deferred[None]:
            contexts.append(ctx)
            return ctx.stream_blocking(items)

        client = self.start(handler)
        self.settle()
        self.assertEqual(len(errors), 7)
        for error in errors:
            self.assertIn("reactor.callFromThread", str(error))
        self.assertTrue(client.receive().body.endswith(b"/"))

    # Errors.

    def fails(self, items: Any, kind: type[BaseException], **options: Any) -> BaseException:
        """
        The error of a stream that fails, and is logged for that.
        """
        client = self.stream(items, **options)
        self.settle()
        (error,) = self.results
        self.assertIsInstance(error, kind)
        self.logged(kind)
        self.client = client
        assert isinstance(error, kind)
        return error

    def test_an_error_before_the_first_item_is_a_page(self) -> None:
        self.fails(Rows(error=ValueError("wrong")), ValueError)
        self.assertEqual(self.client.receive().status, 500)

    def test_a_later_error_aborts_after_the_items_before_it(self) -> None:
        error = self.fails(Rows("a", "b", error=ValueError("wrong")), ValueError)
        self.assertEqual(self.client.read_chunks(), [b"a", b"b"])
        self.assertNotEqual(self.client.response.ending.name, "COMPLETE")
        traceback, names = error.__traceback__, []
        while traceback is not None:
            names.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        self.assertEqual(names[-1], "__call__")

    def test_stop_stream_ends_it(self) -> None:
        client = self.stream(Rows("a", error=StopStream()))
        self.settle()
        self.assert_complete(client.receive(), b"a")
        self.assertEqual(self.results, [None])

    def test_a_wrong_item_is_a_type_error_and_closes_the_generator(self) -> None:
        rows = Rows("a", 5, "b")
        error = self.fails(rows, TypeError)
        self.assertRegex(str(error), "must yield str or bytes, not int")
        self.assertEqual(rows.ends, ["closed"])

    def test_a_function_must_return_items(self) -> None:
        async def coroutine() -> None:
            pass

        async def agen() -> AsyncIterator[str]:
            yield "x"

        for result in ("text", b"text", None, 5, {"a": 1}, coroutine, agen):
            value = result() if callable(result) else result
            error = self.fails(lambda value=value: value, TypeError)
            self.assertRegex(str(error), "must return an iterable")

    def test_a_failing_function_fails_the_stream(self) -> None:
        def function() -> Iterable[str]:
            raise ValueError

        self.fails(function, ValueError)

    def test_a_body_longer_than_its_length_closes_the_generator(self) -> None:
        rows = Rows("abc", "def", "ghi")
        errors: list[BaseException] = []

        async def handler(ctx: Context) -> None:
            ctx.header("Content-Length", "4")
            try:
                await ctx.stream_blocking(rows, ahead=0, pin=False)
            except ContentLengthMismatch as err:
                errors.append(err)
                raise

        client = self.start(handler)
        self.settle()
        self.assertEqual((len(errors), rows.ends), (1, ["closed"]))
        self.logged(ContentLengthMismatch)
        self.assertEqual(client.receive().body, b"abc")

    def test_a_send_that_fails_closes_the_generator(self) -> None:
        rows = Rows("abc", "def")

        def handler(ctx: Context) -> Deferred[None]:
            response_of(ctx).room.left = -1
            self.patch(response_of(ctx).room, "limit", -1)
            return ctx.stream_blocking(rows, ahead=0, pin=False)

        self.start(handler)
        self.settle()
        self.assertEqual(rows.ends, ["closed"])
        self.logged(BufferOverflow)

    # The end.

    def test_a_disconnect_closes_the_generator_in_a_thread(self) -> None:
        rows = Rows(*("x" for _ in range(1000)))
        client = self.stream(rows, ahead=1)
        self.pool.step()
        client.receive()
        client.disconnect()
        self.assertIsInstance(self.results[0], ClientDisconnected)
        self.assertEqual(rows.ends, [])
        self.settle()
        self.assertEqual(rows.ends, ["closed"])

    def test_a_disconnect_while_the_client_is_slow_closes_it(self) -> None:
        rows = Rows(*("x" for _ in range(1000)))
        client = self.stream(rows, ahead=1)
        client.pause()
        self.settle()
        client.disconnect()
        self.settle()
        self.assertEqual(rows.ends, ["closed"])
        self.assertIsInstance(self.results[0], ClientDisconnected)

    def test_a_disconnect_before_there_is_a_thread_makes_nothing(self) -> None:
        rows = Rows("x")
        client = self.stream(rows)
        client.disconnect()
        self.settle()
        self.assertEqual((rows.made, rows.ends), ([], []))

    def test_cancelling_closes_it_and_the_response_goes_on(self) -> None:
        rows = Rows(*("x" for _ in range(1000)))

        async def handler(ctx: Context) -> None:
            stream = ctx.stream_blocking(rows, ahead=1, pin=False)
            ctx.clock.callLater(1, stream.cancel)
            try:
                await stream
            except CancelledError:
                ctx.write("rest")

        client = self.start(handler)
        self.pool.step()
        client.receive()
        client.clock.advance(1)
        self.settle()
        self.assertEqual(rows.ends, ["closed"])
        self.assertRegex(client.receive().body, b"^x+rest$")

    def test_an_abort_closes_it(self) -> None:
        rows = Rows(*("x" for _ in range(1000)))
        self.stream(rows, ahead=1)
        self.pool.step()
        self.clock.advance(0)
        self.contexts[0].abort("enough")
        self.settle()
        self.assertEqual(rows.ends, ["closed"])
        self.assertIsInstance(self.results[0], StreamAborted)

    def leave(self, *, detached: bool, error: Exception | None = None) -> tuple[object, int]:
        """
        How a stream ends if its handler does not wait for it, and how many warnings there are.
        """
        rows = Rows(*("x" for _ in range(1000)))
        results: list[object] = []

        async def handler(ctx: Context) -> None:
            stream = ctx.stream_blocking(rows, ahead=1, pin=False, detached=detached)
            stream.addErrback(lambda failure: results.append(failure.value))
            await ctx.sleep(1)
            if error is not None:
                raise error

        events = self.log_events()
        client = self.start(handler)
        self.pool.step()
        client.receive()
        client.clock.advance(1)
        self.settle()
        self.assertEqual(rows.ends, ["closed"])
        return results[0], [event.get("call") for event in events].count("stream_blocking")

    def test_a_handler_that_returns_closes_it_with_a_warning(self) -> None:
        result, warnings = self.leave(detached=False)
        self.assertIsInstance(result, StreamFinished)
        self.assertEqual(warnings, 1)

    def test_if_it_is_detached_there_is_no_warning(self) -> None:
        result, warnings = self.leave(detached=True)
        self.assertIsInstance(result, StreamFinished)
        self.assertEqual(warnings, 0)

    def test_a_handler_that_fails_closes_it(self) -> None:
        for detached in (False, True):
            result, _ = self.leave(detached=detached, error=ValueError())
            self.assertIsInstance(result, StreamAborted)
            self.logged(ValueError)

    def test_after_the_end_of_the_response_it_makes_nothing(self) -> None:
        rows = Rows("x")
        client = self.stream(["y"])
        self.settle()
        client.receive()
        late = self.contexts[0].stream_blocking(rows)
        self.failureResultOf(late, StreamFinished)
        generator = rows()
        next(generator)
        self.failureResultOf(self.contexts[0].stream_blocking(generator), StreamFinished)
        self.settle()
        self.assertEqual((rows.made, rows.ends), (["x"], ["closed"]))

    def without_body(self, method: str, status: int) -> None:
        rows, given = Rows("x"), Rows("x", "y")
        generator = given()
        next(generator)
        results: list[str] = []

        async def handler(ctx: Context) -> None:
            ctx.status_code(status)
            await ctx.stream_blocking(rows)
            results.append("succeeded")
            await ctx.stream_blocking(generator)

        client = self.start(handler, method)
        self.settle()
        self.assert_complete(client.receive(), b"", status)
        self.assertEqual((rows.made, given.made, given.ends), ([], ["x"], ["closed"]))
        self.assertEqual(results, ["succeeded"])

    def test_where_no_body_is_allowed_nothing_is_iterated(self) -> None:
        self.without_body("HEAD", 200)
        for status in (204, 205, 304):
            self.without_body("GET", status)

    def test_on_disconnect_continue_the_stream_ends_and_the_handler_goes_on(self) -> None:
        rows = Rows(*("x" for _ in range(1000)))
        seen: list[object] = []

        async def handler(ctx: Context) -> None:
            try:
                await ctx.stream_blocking(rows, ahead=1, pin=False)
            except ClientDisconnected:
                await ctx.sleep(1)
                seen.append("went on")

        client = self.start(handler, on_disconnect="continue")
        self.pool.step()
        client.receive()
        client.disconnect()
        self.settle()
        client.clock.advance(1)
        self.assertEqual((seen, rows.ends), (["went on"], ["closed"]))
