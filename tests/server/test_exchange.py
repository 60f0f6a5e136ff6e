"""
A handler and its request: the context it runs in, what it may return, and how it ends.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextvars import ContextVar
from functools import partial
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import LogLevel
from twisted.web.server import NOT_DONE_YET

from tests.harness import Client, Ending, Steps, StreamTest
from tests.server.upstream import Upstream
from twistream import Channel, ContentLengthMismatch, Context, HTTPError, Hub, StopStream

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Awaits:
    """
    Something that can be awaited, and is neither a Deferred nor a coroutine.
    """

    def __init__(self, deferred: Deferred[Any]) -> None:
        self._deferred = deferred

    def __await__(self) -> Generator[Any, None, Any]:
        return (yield from self._deferred.__await__())


class ExecutionContextTests(StreamTest):
    """
    Everything of one request runs in one context; nothing of it shows in another.
    """

    def test_no_kind_of_handler_leaks_its_variables(self) -> None:
        def plain(ctx: Context) -> None:
            variable.set("leaked")

        def generator(ctx: Context) -> Iterator[str]:
            variable.set("leaked")
            yield "x"

        async def async_generator(ctx: Context) -> AsyncIterator[str]:
            variable.set("leaked")
            yield "x"

        async def coroutine(ctx: Context) -> None:
            variable.set("leaked")

        def loop(ctx: Context) -> Deferred[None]:
            def step(w: Context) -> None:
                variable.set("leaked")
                raise StopStream

            return ctx.stream_writer(step)

        def callback(ctx: Context) -> None:
            ctx.on_close(lambda _: variable.set("leaked") and None)

        for handler in (plain, generator, async_generator, coroutine, loop, callback):
            for method in ("GET", "HEAD"):
                self.answer(handler, method)
                self.assertEqual(variable.get(), "unset", handler)

    def test_all_parts_of_a_handler_see_the_same_variables(self) -> None:
        seen: list[str] = []

        async def items() -> AsyncIterator[str]:
            token = variable.set("in the generator")
            try:
                yield "a"
                seen.append(variable.get())
                yield "b"
            finally:
                variable.reset(token)
                seen.append(variable.get())

        async def handler(ctx: Context) -> None:
            variable.set("of the handler")
            ctx.on_close(lambda _: seen.append(variable.get()))
            steps = iter("12")

            async def step(w: Context) -> None:
                if next(steps, None) is None:
                    raise StopStream
                seen.append(variable.get())
                variable.set("of a step")
                await w.sleep(1)

            await ctx.stream_writer(step, 1.0)
            seen.append(variable.get())
            variable.set("of the handler")
            await ctx.stream(items())

        client = self.get(handler)
        for _ in range(4):
            client.clock.advance(1)
        self.assertTrue(client.receive().complete)
        self.assertEqual(
            seen,
            [
                "of the handler",
                "of a step",
                "of a step",
                "in the generator",
                "of the handler",
                "of the handler",
            ],
        )

    def test_a_generator_that_is_closed_early_can_reset_its_token(self) -> None:
        ended: list[str] = []

        async def handler(ctx: Context) -> AsyncIterator[str]:
            token = variable.set("inner")
            try:
                while True:
                    yield "x"
                    await ctx.sleep(1)
            finally:
                variable.reset(token)
                ended.append(variable.get())

        client = self.get(handler)
        client.clock.advance(1)
        client.disconnect()
        self.assertEqual(ended, ["unset"])

    def test_callbacks_of_deferreds_run_in_the_context_of_their_handler(self) -> None:
        clock = Steps()
        hub = Hub(clock=clock)
        news, other = hub.channel("news"), hub.channel("other")

        def subscribe(channel: Channel, **options: Any) -> Callable[[Context], Deferred[None]]:
            return lambda ctx: ctx.sse(ping=None).subscribe(channel, detached=True, **options)

        def step(ctx: Context) -> None:
            if clock.seconds() > 1:
                raise StopStream

        def write(ctx: Context) -> Deferred[None]:
            ctx.write("x")
            return ctx.flush()

        rows: list[tuple[Callable[[Context], Deferred[Any]], Callable[[Client], object]]] = [
            (subscribe(other), Client.disconnect),
            (subscribe(other), lambda _: self.context.abort()),
            (subscribe(other, filter=lambda _: 1 / 0), lambda _: other.publish("x")),
            (subscribe(news), lambda _: news.close()),
            (lambda ctx: ctx.stream_writer(step, 1.0, detached=True), lambda _: clock.advance(2)),
            (lambda ctx: ctx.stream_writer(lambda _: None, 9.0, detached=True), Client.disconnect),
            (lambda ctx: ctx.sleep(1), lambda _: clock.advance(2)),
            (lambda ctx: ctx.sleep(9), Client.disconnect),
            (lambda ctx: ctx.done(), Client.disconnect),
            (write, Client.disconnect),
            (write, Client.resume),
        ]
        for start, end in rows:
            seen: list[str] = []

            def note(_: object, seen: list[str] = seen) -> None:
                seen.append(variable.get())
                variable.set("leaked")

            def handler(ctx: Context, start: Any = start, note: Any = note) -> Deferred[Any]:
                self.context = ctx
                variable.set("of the handler")
                start(ctx).addBoth(note)
                return ctx.done()

            client = self.connect(handler, clock=clock)
            if start is write:
                client.pause(after=1)
            client.request()
            client.receive()
            self.assertEqual(seen, [])
            end(client)
            clock.advance(0)
            self.assertEqual((seen, variable.get()), (["of the handler"], "unset"))
            client.disconnect()

    def test_a_filter_runs_in_the_context_of_its_handler(self) -> None:
        seen: list[str] = []
        clocks: list[Any] = []
        hubs: list[Hub] = []

        async def handler(ctx: Context) -> None:
            hubs.append(Hub(clock=ctx.clock))
            clocks.append(ctx.clock)
            variable.set("of the handler")
            await ctx.sse(ping=None).subscribe(
                hubs[0].channel("x"), filter=lambda _: seen.append(variable.get())
            )

        client = self.get(handler)
        client.receive()
        hubs[0].channel("x").publish("1")
        client.receive()
        self.assertEqual(seen, ["of the handler"])

    def test_another_request_on_the_stack_does_not_mix_them(self) -> None:
        gate: Deferred[None] = Deferred()
        seen: list[str] = []

        async def waits(ctx: Context) -> None:
            variable.set("of the one that waits")
            await gate
            seen.append(variable.get())
            variable.set("later")

        async def fires(ctx: Context) -> None:
            variable.set("of the one that fires")
            gate.callback(None)
            seen.append(variable.get())

        self.get(waits)
        self.get(fires)
        self.assertEqual(seen, ["of the one that waits", "of the one that fires"])
        self.assertEqual(variable.get(), "unset")

    def test_the_next_request_on_a_connection_sees_nothing_of_the_one_before(self) -> None:
        seen: list[str] = []

        async def coroutine(ctx: Context) -> None:
            seen.append(variable.get())
            variable.set("leaked")
            await ctx.flush()
            await ctx.sleep(1)

        async def generator(ctx: Context) -> AsyncIterator[str]:
            seen.append(variable.get())
            variable.set("leaked")
            yield "x"
            await ctx.sleep(1)

        for handler in (coroutine, generator):
            for tcp in (False, True):
                seen.clear()
                client = self.connect(handler, tcp=tcp)
                for _ in range(3):
                    client.expect()
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
                for _ in range(3):
                    client.receive()
                    client.clock.advance(1)
                self.assertTrue(client.receive().complete)
                self.assertEqual(seen, ["unset"] * 3)

    def test_callbacks_of_its_deferreds_run_in_it(self) -> None:
        hubs: list[Hub] = []

        def sleep(ctx: Context) -> Deferred[Any]:
            return ctx.sleep(1)

        def flush(ctx: Context) -> Deferred[Any]:
            ctx.write("x")
            return ctx.flush()

        def loop(ctx: Context) -> Deferred[Any]:
            steps = iter("12")

            def step(w: Context) -> Any:
                if next(steps, None) is None:
                    raise StopStream
                return gate

            return ctx.stream_writer(step)

        def done(ctx: Context) -> Deferred[Any]:
            ctx.abort()
            return ctx.done()

        def over(ctx: Context) -> Deferred[Any]:
            ctx.abort()
            for _ in range(300):
                wait = ctx.flush()
            return wait

        def subscribed(ctx: Context) -> Deferred[Any]:
            hubs.append(Hub(clock=ctx.clock))
            return ctx.subscribe(hubs[-1].channel("x"))

        for make in (sleep, flush, loop, done, over, subscribed):
            seen: list[str] = []

            def handler(ctx: Context, make: Any = make, seen: list[str] = seen) -> Deferred[Any]:
                token = variable.set("of the handler")

                def fired(_: object) -> None:
                    seen.append(variable.get())
                    variable.reset(token)

                deferred: Deferred[Any] = make(ctx)
                return deferred.addBoth(fired)

            gate: Deferred[None] = Deferred()
            client = self.connect(handler)
            client.pause(after=1)
            client.request()
            client.receive()
            client.resume()
            gate.callback(None)
            while hubs:
                hubs.pop().close()
            client.clock.advance(1)
            self.assertEqual(seen, ["of the handler"], make.__name__)
            self.assertEqual(variable.get(), "unset")

    def test_a_canceller_runs_in_it(self) -> None:
        seen: list[str] = []

        async def handler(ctx: Context) -> None:
            variable.set("of the handler")
            await Deferred(lambda _: seen.append(variable.get()))

        self.get(handler).disconnect()
        self.assertEqual(seen, ["of the handler"])


class ResultTests(StreamTest):
    """
    What a handler may return.
    """

    def test_anything_that_can_be_awaited_is_awaited(self) -> None:
        def awaits(ctx: Context) -> Awaitable[str]:
            return Awaits(succeed("x"))

        async def returns_a_deferred(ctx: Context) -> Awaitable[str]:
            return succeed("x")

        async def returns_an_awaitable(ctx: Context) -> Awaitable[str]:
            return Awaits(succeed("x"))

        async def returns_a_coroutine(ctx: Context) -> Any:
            async def inner() -> str:
                await ctx.flush()
                return "x"

            return inner()

        handlers: list[Callable[[Context], Any]] = [
            awaits,
            returns_a_deferred,
            returns_an_awaitable,
            returns_a_coroutine,
        ]
        for handler in handlers:
            self.assert_complete(self.answer(handler), b"x")

    def test_a_subscription_that_a_coroutine_returns_is_awaited(self) -> None:
        hubs: list[Hub] = []

        async def handler(ctx: Context) -> Awaitable[None]:
            hubs.append(Hub(clock=ctx.clock))
            return ctx.sse(ping=None).subscribe(hubs[0].channel("x"))

        client = self.get(handler)
        client.receive()
        hubs[0].channel("x").publish("hello")
        self.assertEqual([event.data for event in client.read_events()], ["hello"])
        hubs[0].close()
        self.assertTrue(client.receive().complete)

    def test_one_that_waits_for_a_returned_deferred_is_cancelled_with_it(self) -> None:
        cancelled: list[object] = []

        async def handler(ctx: Context) -> Awaitable[None]:
            return Deferred(cancelled.append)

        client = self.get(handler)
        client.disconnect()
        self.assertEqual(len(cancelled), 1)

    def test_a_writer_may_return_anything_that_can_be_awaited(self) -> None:
        async def handler(ctx: Context) -> None:
            steps = iter("12")

            def step(w: Context) -> Any:
                n = next(steps, None)
                if n is None:
                    raise StopStream
                w.write(n)
                return Awaits(succeed(None))

            await ctx.stream_writer(step)

        self.assert_complete(self.answer(handler), b"12")

    def test_a_lambda_may_return_what_write_returns(self) -> None:
        self.assert_complete(self.answer(lambda ctx: ctx.write("hello")), b"hello")

    def test_not_done_yet_is_refused_after_a_write_too(self) -> None:
        def handler(ctx: Context) -> int:
            ctx.write("more will follow")
            return NOT_DONE_YET

        self.assertEqual(self.answer(handler).status, 500)
        [failure] = self.flushLoggedErrors(TypeError)
        self.assertIn("NOT_DONE_YET", str(failure.value))

    def test_an_int_is_refused_where_nothing_was_written(self) -> None:
        self.assertEqual(self.answer(lambda ctx: 404).status, 500)
        [failure] = self.flushLoggedErrors(TypeError)
        self.assertIn("int", str(failure.value))

    def test_a_dict_is_refused_with_the_name_of_the_handler_and_the_remedy(self) -> None:
        def returns_it(ctx: Context) -> Any:
            return {"a": 1}

        def yields_it(ctx: Context) -> Iterator[Any]:
            yield {"a": 1}

        async def yields_it_later(ctx: Context) -> AsyncIterator[Any]:
            yield {"a": 1}

        handlers: list[Any] = [returns_it, partial(returns_it), yields_it, yields_it_later]
        for handler in handlers:
            name = getattr(handler, "func", handler).__name__
            self.answer(handler)
            [failure] = self.flushLoggedErrors(TypeError)
            text = str(failure.value)
            for part in (name, "dict", "json_line"):
                self.assertIn(part, text)

    def test_other_results_are_refused_with_their_own_remedy(self) -> None:
        async def items() -> AsyncIterator[str]:
            yield "x"

        async def returns_items(ctx: Context) -> Any:
            return items()

        def returns_not_done_yet(ctx: Context) -> int:
            return NOT_DONE_YET

        def fires_with_a_deferred(ctx: Context) -> Any:
            return succeed([]).addCallback(lambda _: Awaits(succeed("x")))

        async def returns_a_response(ctx: Context) -> Any:
            return Upstream().response

        for handler, remedy in (
            (returns_items, "ctx.stream("),
            (returns_a_response, "ctx.pipe("),
            (returns_not_done_yet, "no need for NOT_DONE_YET"),
            (fires_with_a_deferred, "await it"),
        ):
            self.assertEqual(self.answer(handler).status, 500)
            [failure] = self.flushLoggedErrors(TypeError)
            self.assertIn(handler.__name__, str(failure.value))
            self.assertIn(remedy, str(failure.value))

    def test_a_generator_function_as_a_callback_or_filter_is_refused(self) -> None:
        def generator(_: object) -> Iterator[str]:
            yield "x"

        async def asynchronous(_: object) -> AsyncIterator[str]:
            yield "x"

        class Callable:
            def __call__(self, _: object) -> Iterator[str]:
                yield "x"

        class Coroutine:
            async def __call__(self, _: object) -> bool:
                return False

        def handler(ctx: Context) -> None:
            channel = Hub().channel("x")
            for function in (generator, asynchronous, Callable(), partial(generator)):
                self.assertRaises(TypeError, ctx.on_close, function)
                self.assertRaises(TypeError, ctx.on_connection_close, function)
                self.assertRaises(TypeError, ctx.subscribe, channel, filter=function)
            self.assertRaises(TypeError, ctx.subscribe, channel, filter=Coroutine())
            ctx.on_close(Coroutine())

        self.assert_complete(self.answer(handler), b"")


class EndTests(StreamTest):
    """
    The end of a handler cannot fail.
    """

    def test_an_error_page_that_cannot_be_made_is_a_plain_500(self) -> None:
        class Bad(HTTPError):
            @property
            def title(self) -> str:
                raise KeyError("made to fail")

        async def handler(ctx: Context) -> None:
            raise Bad(400)

        response = self.answer(handler, headers={"Accept": "text/html"})
        self.assert_complete(response, b"500 Internal Server Error\n", 500)
        self.logged(KeyError)

    def test_an_error_page_that_would_look_like_success_is_a_plain_500(self) -> None:
        class NoContent(HTTPError):
            status = 204

            def __init__(self) -> None:
                pass

        def with_status(status: Any) -> HTTPError:
            error = HTTPError(404)
            error.status = status
            return error

        for error in (NoContent(), *map(with_status, (200, 304, 100, 1000, True, 404.0, "404"))):

            def handler(ctx: Context, error: HTTPError = error) -> None:
                raise error

            self.assert_complete(self.answer(handler), b"500 Internal Server Error\n", 500)
            [failure] = self.flushLoggedErrors(ValueError)
            self.assertIn(repr(error.status), str(failure.value))

    def test_a_message_of_any_status_that_is_right_is_sent(self) -> None:
        def handler(ctx: Context) -> None:
            error = HTTPError(400)
            error.status = HTTPStatus.NOT_FOUND
            raise error

        self.assert_complete(self.answer(handler), b"404 Not Found\n", 404)

    def test_a_ping_that_cannot_be_sent_aborts_the_response(self) -> None:
        async def pings(ctx: Context) -> None:
            ctx.header("Content-Length", "20")
            ctx.sse(ping=1.0)
            await ctx.sleep(60)

        async def retry(ctx: Context) -> None:
            ctx.header("Content-Length", "3")
            ctx.sse(retry=1.0)
            await ctx.sleep(60)

        for handler in (pings, retry):
            client = self.get(handler)
            for _ in range(5):
                client.clock.advance(1)
            self.assertTrue(client.receive().truncated)
            self.logged(ContentLengthMismatch)

    def test_after_the_head_it_is_an_abort_and_nothing_follows(self) -> None:
        class Bad(Exception):
            def __str__(self) -> str:
                raise KeyError("made to fail")

        async def handler(ctx: Context) -> None:
            ctx.sse(ping=1.0)
            await ctx.sleep(1)
            raise Bad

        client = self.get(handler)
        client.clock.advance(1)
        self.assertIs(client.receive().ending, Ending.TRUNCATED)
        for _ in range(5):
            client.clock.advance(1)
            self.assertEqual(client.read_raw(), b"")
        self.flushLoggedErrors()

    def test_an_error_without_a_text_is_an_end_in_every_kind_of_handler(self) -> None:
        class Bad(RuntimeError):
            def __str__(self) -> str:
                raise KeyError("made to fail")

            __repr__ = __str__

        async def coroutine(ctx: Context) -> None:
            ctx.sse(ping=1.0)
            await ctx.sleep(1)
            raise Bad

        async def generator(ctx: Context) -> AsyncIterator[str]:
            yield "x"
            await ctx.sleep(1)
            raise Bad

        async def loop(ctx: Context) -> None:
            async def step(w: Context) -> None:
                w.write("x")
                await w.flush()
                await w.sleep(1)
                raise Bad

            await ctx.stream_writer(step)

        async def wraps(ctx: Context) -> None:
            await ctx.flush()
            await ctx.sleep(1)
            raise RuntimeError(Bad())

        for handler in (coroutine, generator, loop, wraps):
            client = self.get(handler)
            client.clock.advance(1)
            self.assertTrue(client.receive().truncated, handler)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_canceller_that_raises_anything_keeps_nobody_from_being_notified(self) -> None:
        for error in (KeyError, asyncio.CancelledError, SystemExit, GeneratorExit):
            notified: list[str] = []

            def canceller(_: object, error: type[BaseException] = error) -> None:
                raise error

            async def handler(
                ctx: Context, notified: list[str] = notified, canceller: Any = canceller
            ) -> None:
                ctx.on_close(lambda _: notified.append("on_close"))
                ctx.sleep(60).addErrback(lambda _: notified.append("sleep"))
                ctx.done().addCallback(lambda _: notified.append("done"))
                await Deferred(canceller)

            self.get(handler).disconnect()
            self.assertEqual(notified, ["sleep", "on_close", "done"])
            self.logged(error)

    def test_a_head_that_cannot_be_sent_at_all_ends_the_connection(self) -> None:
        class Bad:
            def __getattr__(self, name: str) -> Any:
                raise KeyError("made to fail")

        async def handler(ctx: Context) -> None:
            ctx.request.responseHeaders = Bad()  # type: ignore[assignment]  # that is the point
            ctx.request.cookies = Bad()  # type: ignore[assignment]  # as above
            raise HTTPError(404)

        client = self.get(handler)
        client.receive()
        self.assertTrue(client.closed)
        self.assertTrue(self.flushLoggedErrors(KeyError))

    def test_ends_of_asyncio_and_groups_of_ends_are_no_failures(self) -> None:
        errors: list[BaseException] = []

        async def handler(ctx: Context) -> None:
            try:
                await ctx.sleep(60)
            except Exception as err:
                errors.append(err)
                raise made[-1](err) from None

        made: list[Callable[[Any], BaseException]] = []
        for make in (
            lambda err: asyncio.CancelledError(),
            lambda err: ExceptionGroup("ends", [err, CancelledError()]),
            lambda err: BaseExceptionGroup(
                "ends", [asyncio.CancelledError(), ExceptionGroup("more", [err])]
            ),
        ):
            made.append(make)
            self.get(handler).disconnect()
        self.assertEqual(len(errors), 3)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_group_of_ends_may_be_deep_and_hold_the_end_of_a_loop(self) -> None:
        async def handler(ctx: Context) -> None:
            try:
                await ctx.sleep(60)
            except Exception as err:
                for _ in range(3000):
                    err = ExceptionGroup("nested", [err])
                raise err from None

        async def loop(ctx: Context) -> None:
            async def step(w: Context) -> None:
                try:
                    await w.sleep(60)
                except Exception as err:
                    msg = "ends"
                    raise ExceptionGroup(msg, [err, StopStream()]) from None

            await ctx.stream_writer(step)

        for each in (handler, loop):
            self.get(each).disconnect()
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_group_with_anything_else_is_a_failure(self) -> None:
        async def handler(ctx: Context) -> None:
            try:
                await ctx.sleep(60)
            except Exception as err:
                msg = "mixed"
                raise ExceptionGroup(msg, [err, KeyError("x")]) from None

        self.get(handler).disconnect()
        self.logged(ExceptionGroup)


async def endless(ctx: Context) -> AsyncIterator[str]:
    while True:
        yield "x"
        await ctx.sleep(1)


class NotAwaitedTests(StreamTest):
    """
    A handler that returns while something that it started still runs.
    """

    def warnings(self, handler: Callable[[Context], Any], method: str = "GET") -> list[str]:
        events = self.log_events()
        self.answer(handler, method)
        return [
            f"{event['handler']} {event['call']}"
            for event in events
            if event["log_level"] is LogLevel.warn
        ]

    def test_it_is_one_warning_that_names_the_call(self) -> None:
        hub = Hub()

        async def writer(ctx: Context) -> None:
            ctx.stream_writer(lambda w: None, 1.0)

        async def stream(ctx: Context) -> None:
            ctx.stream(endless(ctx))

        async def lines(ctx: Context) -> None:
            ctx.subscribe(hub.channel("x"))

        async def events(ctx: Context) -> None:
            ctx.sse().subscribe(hub.channel("x"))

        for handler, call in (
            (writer, "stream_writer"),
            (stream, "stream"),
            (lines, "subscribe"),
            (events, "subscribe"),
        ):
            self.assertEqual(self.warnings(handler), [f"{handler.__qualname__} {call}"])

    def test_detached_says_that_it_is_meant(self) -> None:
        hub = Hub()

        async def handler(ctx: Context) -> None:
            ctx.stream_writer(lambda w: None, 1.0, detached=True)
            ctx.stream(endless(ctx), detached=True)
            ctx.subscribe(hub.channel("x"), detached=True)

        self.assertEqual(self.warnings(handler), [])

    def test_what_is_awaited_returned_or_over_is_no_mistake(self) -> None:
        async def awaited(ctx: Context) -> None:
            await ctx.stream("ab")

        def returned(ctx: Context) -> Deferred[None]:
            return ctx.stream(["a"])

        async def over(ctx: Context) -> None:
            ctx.stream(["a"])

        async def fails(ctx: Context) -> None:
            ctx.stream_writer(lambda w: None, 1.0)
            raise HTTPError(404)

        for handler in (awaited, returned, over, fails):
            self.assertEqual(self.warnings(handler), [], handler)
            self.flushLoggedErrors()


class HeadOfGeneratorTests(StreamTest):
    """
    HEAD has the headers that a generator sets before its first item.
    """

    def test_it_runs_to_its_first_item_and_is_closed(self) -> None:
        closed: list[str] = []

        def plain(ctx: Context) -> Iterator[str]:
            ctx.content_type("text/csv")
            try:
                yield "a"
                closed.append("went on")
            finally:
                closed.append("closed")

        async def asynchronous(ctx: Context) -> AsyncIterator[str]:
            ctx.content_type("text/csv")
            try:
                yield "a"
                closed.append("went on")
            finally:
                closed.append("closed")

        for handler in (plain, asynchronous):
            closed.clear()
            response = self.answer(handler, "HEAD")
            self.assert_complete(response, b"")
            self.assertEqual(response.header("Content-Type"), "text/csv; charset=utf-8")
            self.assertEqual(closed, ["closed"])

    def test_an_error_before_the_first_item_is_the_answer(self) -> None:
        def plain(ctx: Context) -> Iterator[str]:
            raise HTTPError(404)
            yield

        async def asynchronous(ctx: Context) -> AsyncIterator[str]:
            raise HTTPError(404)
            yield

        for handler in (plain, asynchronous):
            self.assert_complete(self.answer(handler, "HEAD"), b"", 404)

    def test_stop_stream_is_an_end_without_an_item(self) -> None:
        def plain(ctx: Context) -> Iterator[str]:
            ctx.header("X-A", "1")
            raise StopStream
            yield

        async def asynchronous(ctx: Context) -> AsyncIterator[str]:
            ctx.header("X-A", "1")
            raise StopStream
            yield

        for handler in (plain, asynchronous):
            for method in ("GET", "HEAD"):
                response = self.answer(handler, method)
                self.assert_complete(response, b"")
                self.assertEqual(response.header("X-A"), "1")

    def test_a_first_item_of_a_wrong_type_is_an_error_as_for_get(self) -> None:
        def plain(ctx: Context) -> Iterator[Any]:
            yield {"a": 1}

        async def asynchronous(ctx: Context) -> AsyncIterator[Any]:
            yield None

        def surrogate(ctx: Context) -> Iterator[Any]:
            yield "\udcff"

        for handler in (plain, asynchronous, surrogate):
            for method in ("GET", "HEAD"):
                self.assertEqual(self.answer(handler, method).status, 500)
                self.logged(TypeError)

    def test_an_error_of_an_iterator_comes_through_the_deferred(self) -> None:
        def plain() -> Iterator[str]:
            raise KeyError("made to fail")
            yield

        async def asynchronous() -> AsyncIterator[str]:
            raise KeyError("made to fail")
            yield

        for items in (plain, asynchronous):

            def handler(ctx: Context, items: Any = items) -> Deferred[Any]:
                return ctx.stream(items()).addErrback(lambda _: "handled")

            self.assert_complete(self.answer(handler), b"handled")
            response = self.answer(handler, "HEAD")
            self.assertEqual((response.status, response.header("Content-Length")), (200, "7"))

    def test_one_that_flushes_before_its_first_item_completes_the_response(self) -> None:
        def plain(ctx: Context) -> Iterator[str]:
            ctx.flush()
            yield "a"

        def writes(ctx: Context) -> Iterator[str]:
            ctx.flush()
            ctx.write("a")
            yield "b"

        async def asynchronous(ctx: Context) -> AsyncIterator[str]:
            await ctx.flush()
            yield "a"

        for items in (plain, writes, asynchronous):
            results: list[object] = []

            def handler(ctx: Context, items: Any = items) -> None:
                ctx.stream(items(ctx)).addBoth(results.append)  # noqa: B023 - called in its round

            self.assert_complete(self.answer(handler, "HEAD"), b"")
            self.assertEqual(results, [None], items)

    def test_one_that_has_to_wait_first_is_answered_at_once(self) -> None:
        seen: list[str] = []

        async def waits(ctx: Context) -> AsyncIterator[str]:
            ctx.content_type("text/csv")
            try:
                await ctx.sleep(60)
            except CancelledError:
                seen.append("cancelled")
                raise
            yield "a"

        async def cleans_up(ctx: Context) -> AsyncIterator[str]:
            ctx.content_type("text/csv")
            try:
                await Deferred()
                yield "a"
            finally:
                await gate
                seen.append("cleaned up")

        self.assert_complete(self.answer(waits, "HEAD"), b"")
        self.assertEqual(seen, ["cancelled"])
        gate: Deferred[None] = Deferred()
        response = self.answer(cleans_up, "HEAD")
        self.assert_complete(response, b"")
        self.assertEqual(response.header("Content-Type"), "text/csv; charset=utf-8")
        gate.callback(None)
        self.assertEqual(seen, ["cancelled", "cleaned up"])
