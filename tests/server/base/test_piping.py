"""
ctx.pipe with files, iterables, functions and body producers. See `test_upstream` for responses.
"""

import codecs
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from io import BytesIO, StringIO, TextIOWrapper, UnsupportedOperation
from pathlib import Path
from tempfile import NamedTemporaryFile, SpooledTemporaryFile, TemporaryDirectory, TemporaryFile
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Cooperator
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer
from zope.interface.verify import verifyObject

from tests.harness import Client, StreamTest
from tests.server.producers import ENDLESS, Pull, Push
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    ContentLengthMismatch,
    Context,
    SendTimeout,
    StreamAborted,
)

DATA = bytes(range(256)) * 1000
NO_BODY = (("HEAD", 200), ("GET", 204), ("GET", 304))


class PipeTest(StreamTest):
    """
    Pipes a source in a handler that keeps the result.
    """

    def pipe(self, source: Any, *, status: int = 200, write: str = "", **options: Any) -> Client:
        self.results: list[Any] = []
        self.context: Context

        def handler(ctx: Context) -> Deferred[Any]:
            self.context = ctx
            if status != 200:
                ctx.status_code(status)
            ctx.write(write)
            self.piped = ctx.pipe(source)

            def ended(result: object) -> object:
                self.results.append(result)
                return result

            return self.piped.addBoth(ended)

        return self.start(handler, **options)

    def new_path(self) -> Path:
        folder = TemporaryDirectory()  # Not `mktemp`, which stays under pytest.
        self.addCleanup(folder.cleanup)
        return Path(folder.name, "file")

    def error(self) -> BaseException:
        """
        The error of the pipe.
        """
        (failure,) = self.results
        self.assertIsInstance(failure, Failure)
        error: BaseException = failure.value
        return error

    def slow(self, source: Any, **options: Any) -> Client:
        """
        The client of a pipe, when the pipe waits for the client to read on.
        """
        client = self.pipe(source, **options)
        client.clock.advance(0)
        client.pause()
        for _ in range(5):
            client.clock.advance(1)
        return client

    def run_to_end(self, client: Client) -> None:
        for _ in range(20):
            client.clock.advance(1)


class Reads(BytesIO):
    """
    A file that remembers the sizes it was asked for.
    """

    def __init__(self, data: bytes = DATA) -> None:
        super().__init__(data)
        self.sizes: list[int] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.sizes.append(size or 0)
        return super().read(size)


class FileTests(PipeTest):
    """
    Open binary files.
    """

    def test_a_file_is_read_in_pieces_and_closed(self) -> None:
        for version in ("1.1", "1.0"):
            file = Reads()
            client = self.pipe(file, version=version)
            self.run_to_end(client)
            self.assert_complete(client.receive(), DATA)
            self.assertEqual(set(file.sizes), {65536})
            self.assertEqual(client.response.header("Content-Type"), "application/octet-stream")
            self.assertTrue(file.closed)

    def test_files_of_many_kinds(self) -> None:
        path = self.new_path()
        path.write_bytes(DATA)
        with (
            path.open("rb") as opened,
            path.open("rb", buffering=0) as raw,
            TemporaryFile() as temporary,
            NamedTemporaryFile() as named,
            SpooledTemporaryFile() as spooled,
        ):
            for file in (temporary, named, spooled):
                file.write(DATA)
                file.seek(0)
            for source in (opened, raw, temporary, named, spooled):
                client = self.pipe(source)
                self.run_to_end(client)
                self.assert_complete(client.receive(), DATA)
                self.assertTrue(source.closed)

    def test_the_type_that_is_set_stays(self) -> None:
        def handler(ctx: Context) -> Deferred[None]:
            ctx.content_type("image/png")
            return ctx.pipe(BytesIO(b"x"))

        self.assertEqual(self.answer(handler).header("Content-Type"), "image/png")

    def test_an_empty_file_is_an_empty_body(self) -> None:
        self.assert_complete(self.pipe(BytesIO()).receive(), b"")

    def test_a_slow_client_holds_it_back(self) -> None:
        file = Reads(b"x" * 10_000_000)
        client = self.slow(file)
        reads = len(file.sizes)
        self.assertLess(reads, 20)
        self.run_to_end(client)
        self.assertEqual(len(file.sizes), reads)
        client.resume()
        self.assertGreater(len(file.sizes), reads)

    def test_a_disconnect_closes_it(self) -> None:
        file = Reads(b"x" * 10_000_000)
        client = self.slow(file)
        client.disconnect()
        self.assertTrue(file.closed)
        self.assertIsInstance(self.error(), ClientDisconnected)

    def test_a_stalled_client_closes_it(self) -> None:
        file = Reads(b"x" * 10_000_000)
        client = self.slow(file, send_timeout=10.0)
        self.run_to_end(client)
        self.assertTrue(file.closed)
        self.assertIsInstance(self.error(), SendTimeout)

    def test_a_cancelled_pipe_closes_it(self) -> None:
        file = Reads(b"x" * 10_000_000)
        client = self.slow(file)
        self.piped.cancel()
        self.assertTrue(file.closed)
        self.assertIsInstance(self.error(), CancelledError)
        self.logged(CancelledError)
        self.assertTrue(client.receive().truncated)

    def test_an_error_while_it_is_read_closes_it_and_aborts_the_response(self) -> None:
        class Broken(Reads):
            def read(self, size: int | None = -1, /) -> bytes:
                if len(self.sizes) == 1:
                    raise OSError("made to fail")
                return super().read(size)

        file = Broken()
        client = self.pipe(file)
        self.logged(OSError)
        self.assertIsInstance(self.error(), OSError)
        self.assertTrue(client.receive().truncated)
        self.assertTrue(file.closed)

    def test_nothing_is_read_where_no_body_is_allowed(self) -> None:
        for method, status in NO_BODY:
            file = Reads()
            client = self.pipe(file, status=status, method=method)
            self.assert_complete(client.receive(), b"", status)
            self.assertEqual((file.sizes, file.closed, self.results), ([], True, [None]))

    def test_head_has_the_fields_of_get(self) -> None:
        found = [
            self.pipe(BytesIO(b"x"), method=method).receive().header("Content-Type")
            for method in ("GET", "HEAD")
        ]
        self.assertEqual(found, ["application/octet-stream"] * 2)

    def test_a_file_that_is_not_open_for_reading_is_an_error(self) -> None:
        with self.new_path().open("wb") as file:
            self.assertEqual(self.pipe(file).receive().status, 500)
        self.logged(UnsupportedOperation)

    def test_text_files_are_refused_and_stay_open(self) -> None:
        path = self.new_path()
        path.write_text("text")
        with (
            path.open() as opened,
            codecs.open(str(path), encoding="utf-8") as encoded,
            NamedTemporaryFile("w+") as named,
        ):
            for file in (opened, encoded, named, StringIO("x"), TextIOWrapper(BytesIO())):
                response = self.pipe(file).receive()
                self.assertEqual(response.status, 500)
                (failure,) = self.flushLoggedErrors(TypeError)
                self.assertIn("open it with 'rb'", str(failure.value))
                self.assertFalse(file.closed)

    def test_a_file_that_gives_no_bytes_is_an_error(self) -> None:
        class Strange:
            closed = False

            def __init__(self, piece: object) -> None:
                self._piece = piece

            def read(self, _: int) -> object:
                return self._piece

            def close(self) -> None:
                self.closed = True

        for piece in (None, "text", 5):
            file = Strange(piece)
            self.assertEqual(self.pipe(file).receive().status, 500)
            self.logged(TypeError)
            self.assertRegex(str(self.error()), r"^read\(\) must give bytes")
            self.assertTrue(file.closed)


class IterableTests(PipeTest):
    """
    Iterators, generators and iterables of bytes, plain and async.
    """

    def test_items_arrive_as_bytes(self) -> None:
        async def generator() -> AsyncIterator[bytes]:
            yield b"a"
            yield memoryview(b"b")  # type: ignore[misc]  # accepted

        for source, body in (
            ([b"a", bytearray(b"b")], b"ab"),
            (iter((b"a", b"", b"b")), b"ab"),
            ((piece for piece in (b"a", b"b")), b"ab"),
            (generator(), b"ab"),
            ([], b""),
        ):
            client = self.pipe(source)
            self.assert_complete(client.receive(), body)
            self.assertEqual(client.response.header("Content-Type"), "application/octet-stream")

    def test_a_generator_can_set_headers(self) -> None:
        def pieces(ctx: Context) -> Iterator[bytes]:
            ctx.content_type("text/csv")
            yield b"a,b\n"

        for method in ("GET", "HEAD"):
            response = self.answer(lambda ctx: ctx.pipe(pieces(ctx)), method)
            self.assertEqual(response.header("Content-Type"), "text/csv; charset=utf-8")

    def test_a_slow_client_holds_it_back_and_a_disconnect_closes_it(self) -> None:
        def pieces() -> Iterator[bytes]:
            try:
                while True:
                    made.append(1)
                    yield b"x" * 10_000
            finally:
                made.append(0)

        async def async_pieces() -> AsyncIterator[bytes]:
            for piece in pieces():
                yield piece

        for make in (pieces, async_pieces):
            made: list[int] = []
            client = self.slow(make())
            self.assertLess(len(made), 300)
            client.disconnect()
            self.assertEqual(made[-1], 0)
            self.assertIsInstance(self.error(), ClientDisconnected)

    def test_a_disconnect_cancels_what_an_async_generator_waits_for(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"x"
            await waiting
            yield b"y"

        waiting: Deferred[None] = Deferred()
        client = self.pipe(pieces())
        self.assertEqual(client.read(), b"x")
        client.disconnect()
        self.assertTrue(waiting.called)
        self.assertIsInstance(self.error(), ClientDisconnected)

    def test_an_error_aborts_the_response(self) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"x"
            raise KeyError("made to fail")

        response = self.pipe(pieces()).receive()
        self.logged(KeyError)
        self.assertTrue(response.truncated)

    def test_items_that_are_no_bytes_are_an_error(self) -> None:
        for item in ("text", 5, None, [b"x"]):
            response = self.pipe([item]).receive()
            self.logged(TypeError)
            self.assertEqual(response.status, 500)
            self.assertRegex(str(self.error()), r"^list must give bytes to pipe\(\), not ")

    def test_the_warning_for_a_forgotten_await_names_the_call(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.pipe(endless())
            ctx.pipe(endless(), detached=True)

        def endless() -> Iterator[bytes]:
            while True:
                yield b"x"

        events = self.log_events()
        self.answer(handler)
        self.assertEqual([event["call"] for event in events if "call" in event], ["pipe"])


class FunctionTests(PipeTest):
    """
    Functions that register a producer with the consumer that they get.
    """

    def push(self, **options: Any) -> Client:
        """
        The client of a pipe from `self.producer`, which ends when `self.ended` fires.
        """

        def start(consumer: IConsumer) -> Deferred[None]:
            self.producer = Push(consumer)
            self.producer.register()
            return self.ended

        self.ended: Deferred[None] = Deferred()
        return self.pipe(start, **options)

    def test_it_gets_a_consumer(self) -> None:
        def start(consumer: IConsumer) -> None:
            self.assertTrue(verifyObject(IConsumer, consumer))

        self.assert_complete(self.pipe(start).receive(), b"")

    def test_a_file_sender(self) -> None:
        client = self.pipe(lambda c: FileSender().beginFileTransfer(BytesIO(DATA), c), write="<")
        self.run_to_end(client)
        self.assert_complete(client.receive(), b"<" + DATA)
        self.assertEqual(self.results, [None])

    def test_a_producer_that_writes_all_when_it_is_registered(self) -> None:
        for size, total in ((10, 10), (10, 1000), (10_000, 1_000_000)):
            client = self.pipe(lambda c: Push(c, size=size, total=total).register())  # noqa: B023 - called at once
            self.run_to_end(client)
            self.assert_complete(client.receive(), b"x" * total)

    def test_a_pull_producer_without_a_deferred_ends_when_it_unregisters(self) -> None:
        def start(consumer: IConsumer) -> None:
            def step(pull: Pull) -> None:
                consumer.write(b"%d" % pull.steps)
                if pull.steps == 3:
                    consumer.unregisterProducer()

            consumer.registerProducer(Pull(step), False)

        client = self.pipe(start)
        self.run_to_end(client)
        self.assert_complete(client.receive(), b"123")

    def test_it_ends_when_the_deferred_has_fired_and_the_producer_has_unregistered(self) -> None:
        def unregister() -> None:
            self.producer.consumer.unregisterProducer()

        def fire() -> None:
            self.ended.callback(None)

        for first, second in ((unregister, fire), (fire, unregister)):
            client = self.push()
            self.producer.write(b"x")
            first()
            self.assertEqual(client.read(), b"x")
            self.assertEqual(self.results, [])
            second()
            self.assert_complete(client.receive(), b"x")
            self.assertEqual(self.producer.calls, [])

    def test_it_ends_when_the_rest_can_be_sent(self) -> None:
        client = self.push()
        self.producer.write(b"a")
        client.read()
        client.pause()
        self.producer.write(b"b")
        client.clock.advance(0)
        self.producer.write(b"c")
        self.producer.consumer.unregisterProducer()
        self.ended.callback(None)
        self.assertEqual(self.results, [])
        client.resume()
        self.assertEqual(self.results, [None])
        self.assert_complete(client.receive(), b"abc")

    def test_it_ends_when_the_client_has_room_though_nothing_is_left_to_send(self) -> None:
        client = self.push()
        self.producer.write(b"a")
        client.read()
        client.pause()
        self.producer.write(b"b")
        client.clock.advance(0)
        self.producer.consumer.unregisterProducer()
        self.ended.callback(None)
        self.assertEqual(self.results, [])
        client.resume()
        self.assertEqual(self.results, [None])

    def test_after_a_source_without_bytes_the_head_can_change(self) -> None:
        async def handler(ctx: Context) -> str:
            await ctx.pipe(lambda _: succeed(None))
            ctx.content_type("text/csv")
            return "a,b"

        response = self.answer(handler)
        self.assertEqual(response.header("Content-Type"), "text/csv; charset=utf-8")

    def test_one_pull_producer_may_follow_another_in_a_step(self) -> None:
        def start(consumer: IConsumer) -> Deferred[None]:
            def second(_: Pull) -> None:
                consumer.write(b"c")
                consumer.unregisterProducer()
                done.callback(None)

            def first(pull: Pull) -> None:
                consumer.write(b"%d" % pull.steps)
                if pull.steps == 2:
                    consumer.unregisterProducer()
                    consumer.registerProducer(Pull(middle), False)

            def middle(pull: Pull) -> None:
                consumer.write(b"b")
                if pull.steps == 2:
                    consumer.unregisterProducer()
                    consumer.registerProducer(Pull(second), False)

            done: Deferred[None] = Deferred()
            consumer.registerProducer(Pull(first), False)
            return done

        client = self.pipe(start)
        self.run_to_end(client)
        self.assert_complete(client.receive(), b"12bbc")

    def test_it_may_be_a_coroutine_function(self) -> None:
        async def start(consumer: IConsumer) -> None:
            consumer.write(b"a")
            await self.ended
            consumer.write(b"b")

        self.ended = Deferred()
        client = self.pipe(start)
        self.assertEqual(client.read(), b"a")
        self.ended.callback(None)
        self.assert_complete(client.receive(), b"ab")

    def test_a_slow_client_pauses_the_producer(self) -> None:
        client = self.push()
        self.producer.write(b"a")
        client.read()
        client.pause()
        self.producer.write(b"b")
        client.clock.advance(0)
        self.assertEqual(self.producer.calls, ["pause"])
        client.resume()
        self.assertEqual(self.producer.calls, ["pause", "resume"])

    def test_a_producer_that_is_registered_while_the_client_is_slow_is_paused(self) -> None:
        def start(consumer: IConsumer) -> Deferred[None]:
            consumers.append(consumer)
            consumer.write(b"a")
            return Deferred()

        consumers: list[IConsumer] = []
        client = self.pipe(start)
        client.read()
        client.pause()
        consumers[0].write(b"b")
        client.clock.advance(0)
        producer = Push(consumers[0])
        producer.register()
        self.assertEqual(producer.calls, ["pause"])
        client.resume()
        self.assertEqual(producer.calls, ["pause", "resume"])

    def test_a_producer_that_follows_a_paused_one_is_paused_too(self) -> None:
        client = self.push()
        self.producer.write(b"a")
        client.read()
        client.pause()
        self.producer.write(b"b")
        client.clock.advance(0)
        self.producer.consumer.unregisterProducer()
        second = Push(self.producer.consumer)
        second.register()
        self.assertEqual(second.calls, ["pause"])
        client.resume()
        self.assertEqual(second.calls, ["pause", "resume"])
        self.assertEqual(self.producer.calls, ["pause"])

    def test_a_source_that_overflows_when_it_starts_is_cancelled(self) -> None:
        def start(consumer: IConsumer) -> Deferred[None]:
            for _ in range(100):
                consumer.write(b"x" * 10_000)
            return self.ended

        self.ended = Deferred()
        client = self.pipe(start, max_buffered=100_000)
        self.logged(BufferOverflow)
        self.assertIsInstance(self.error(), BufferOverflow)
        self.assertTrue(self.ended.called)
        self.assertTrue(client.receive().truncated)

    def test_one_that_ignores_a_pause_fails_the_pipe(self) -> None:
        client = self.push(max_buffered=100_000)
        self.producer.write(b"a")
        client.read()
        client.pause()
        for _ in range(30):
            self.producer.write(b"x" * 10_000)
        self.logged(BufferOverflow)
        self.assertIsInstance(self.error(), BufferOverflow)
        self.assertEqual(self.producer.calls, ["pause", "stop"])
        self.assertTrue(self.ended.called)

    def test_a_disconnect_stops_it_while_it_is_silent(self) -> None:
        client = self.push()
        client.disconnect()
        self.assertTrue(self.ended.called)
        self.assertEqual(self.producer.calls, ["stop"])
        self.assertIsInstance(self.error(), ClientDisconnected)
        self.producer.write(b"late")  # Is dropped.

    def test_a_cancelled_pipe_stops_it(self) -> None:
        client = self.push()
        self.piped.cancel()
        self.logged(CancelledError)
        self.assertTrue(self.ended.called)
        self.assertEqual(self.producer.calls, ["stop"])
        self.assertEqual(client.receive().status, 500)

    def test_after_a_cancelled_pipe_the_response_can_go_on(self) -> None:
        async def handler(ctx: Context) -> str:
            piped = ctx.pipe(start)
            producers[0].write(b"a")
            await ctx.sleep(1)
            piped.addErrback(lambda _: None)
            piped.cancel()
            producers[0].write(b"late")
            second = Push(producers[0].consumer)
            second.register()
            self.assertEqual(second.calls, ["stop"])
            return "b"

        def start(consumer: IConsumer) -> Deferred[None]:
            producers.append(Push(consumer))
            producers[0].register()
            return Deferred()

        producers: list[Push] = []
        client = self.get(handler)
        client.clock.advance(1)
        self.assert_complete(client.receive(), b"ab")

    def test_an_error_of_a_source_after_it_was_cancelled_is_logged(self) -> None:
        def start(_: IConsumer) -> Deferred[None]:
            return Deferred(lambda ended: ended.errback(KeyError("made to fail")))

        self.pipe(start).disconnect()
        self.logged(KeyError)
        self.assertIsInstance(self.error(), ClientDisconnected)

    def test_an_abort_stops_it(self) -> None:
        client = self.push()
        self.producer.write(b"x")
        client.read()
        self.context.abort()
        client.clock.advance(0)
        self.assertTrue(self.ended.called)
        self.assertEqual(self.producer.calls, ["stop"])
        self.assertIsInstance(self.error(), StreamAborted)
        self.assertTrue(client.receive().truncated)

    def test_a_disconnect_cancels_a_file_sender_without_a_failure(self) -> None:
        file = Reads(b"x" * 10_000_000)
        client = self.slow(lambda c: FileSender().beginFileTransfer(file, c))
        client.disconnect()
        reads = len(file.sizes)
        self.run_to_end(client)
        self.assertEqual(len(file.sizes), reads)
        self.assertIsInstance(self.error(), ClientDisconnected)

    def test_a_disconnect_cancels_a_coroutine(self) -> None:
        async def start(consumer: IConsumer) -> None:
            try:
                await Deferred()
            except CancelledError:
                cancelled.append(True)
                raise

        cancelled: list[bool] = []
        self.pipe(start).disconnect()
        self.assertEqual(cancelled, [True])
        self.assertIsInstance(self.error(), ClientDisconnected)

    def test_an_error_of_the_source_aborts_the_response(self) -> None:
        client = self.push()
        self.producer.write(b"x")
        client.read()
        self.producer.consumer.unregisterProducer()
        self.ended.errback(OSError("made to fail"))
        self.logged(OSError)
        self.assertIsInstance(self.error(), OSError)
        self.assertTrue(client.receive().truncated)

    def test_an_error_of_a_source_that_still_produces_stops_it(self) -> None:
        self.push()
        self.ended.errback(OSError("made to fail"))
        self.logged(OSError)
        self.assertEqual(self.producer.calls, ["stop"])

    def test_an_error_in_any_step_of_a_pull_producer_fails_the_pipe(self) -> None:
        def step(pull: Pull) -> None:
            if pull.steps == last:
                raise OSError("made to fail")
            pulls.append(pull)
            consumers[0].write(b"x")

        def start(consumer: IConsumer) -> Deferred[None]:
            consumers.append(consumer)
            consumer.registerProducer(Pull(step), False)
            return ended

        for last in (1, 3):
            pulls: list[Pull] = []
            consumers: list[IConsumer] = []
            ended: Deferred[None] = Deferred()
            client = self.pipe(start)
            client.clock.advance(1)
            self.logged(OSError)
            self.assertIsInstance(self.error(), OSError)
            self.assertEqual(len(pulls), last - 1)
            self.assertTrue(last == 1 or pulls[0].stopped)

    def test_a_function_that_fails_at_once_fails_the_pipe(self) -> None:
        def start(consumer: IConsumer) -> None:
            self.producer = Push(consumer)
            self.producer.register()
            raise KeyError("made to fail")

        for source in (start, lambda _: fail(KeyError("made to fail"))):
            self.assertEqual(self.pipe(source).receive().status, 500)
            self.logged(KeyError)
            self.assertIsInstance(self.error(), KeyError)
        self.assertEqual(self.producer.calls, ["stop"])

    def test_a_head_that_cannot_be_written_fails_the_pipe(self) -> None:
        def start(size: int, consumer: IConsumer) -> Deferred[None]:
            self.context.request.lastModified = "yesterday"
            if size:
                Push(consumer, size=size, total=100_000).register()
            else:
                consumer.registerProducer(Pull(lambda _: consumer.write(b"x")), False)
            return Deferred()

        for size in (0, 10, 100_000):
            client = self.pipe(partial(start, size))
            self.run_to_end(client)
            self.assertTrue(self.flushLoggedErrors(TypeError))
            self.assertIsInstance(self.error(), TypeError)
            self.assertEqual(client.receive().status, 500)

    def test_what_it_returns_is_checked(self) -> None:
        for result in (5, "text", [1]):
            self.assertEqual(self.pipe(lambda _: result).receive().status, 500)  # noqa: B023 - called at once
            self.logged(TypeError)
            self.assertIn("returns None or something to await", str(self.error()))

    def test_what_it_writes_is_checked(self) -> None:
        self.push()
        self.assertRaises(TypeError, self.producer.consumer.write, "text")
        self.assertEqual(self.results, [])

    def test_a_body_of_another_length_than_declared_fails_the_pipe(self) -> None:
        def handler(ctx: Context, total: int) -> Deferred[None]:
            ctx.header("Content-Length", "3")
            return ctx.pipe(lambda c: Push(c, size=1, total=total).register())

        for total in (2, 4):
            client = self.get(partial(handler, total=total))
            self.logged(ContentLengthMismatch)
            self.assertTrue(client.receive().status == 500 or client.response.truncated)

    def test_a_second_producer_is_refused(self) -> None:
        client = self.push()
        second = Push(self.producer.consumer)
        self.assertRaises(RuntimeError, second.register)
        self.producer.write(b"x")
        self.assertEqual(client.read(), b"x")

    def test_where_no_body_is_allowed_it_is_not_called(self) -> None:
        for method, status in NO_BODY:
            called: list[IConsumer] = []
            client = self.pipe(called.append, status=status, method=method)
            self.assert_complete(client.receive(), b"", status)
            self.assertEqual((called, self.results), ([], [None]))

    def test_after_the_end_the_reason_is_the_error(self) -> None:
        client = self.pipe(lambda _: Deferred())
        client.disconnect()
        late = self.context.pipe(lambda _: succeed(None))
        self.failureResultOf(late, ClientDisconnected)


class BodyProducerTests(PipeTest):
    """
    Providers of IBodyProducer, such as treq and Agent send.
    """

    def producer(self, file: BytesIO, clock: Callable[[], Any]) -> FileBodyProducer:
        cooperator = Cooperator(scheduler=lambda call: clock().callLater(1e-9, call))
        return FileBodyProducer(file, cooperator)

    def file(self, data: bytes = DATA, **options: Any) -> tuple[BytesIO, Client]:
        file = BytesIO(data)
        producer = self.producer(file, lambda: self.context.clock)
        return file, self.pipe(producer, **options)

    def test_all_of_it_arrives(self) -> None:
        file, client = self.file()
        self.run_to_end(client)
        self.assert_complete(client.receive(), DATA)
        self.assertTrue(file.closed)

    def test_a_slow_client_holds_it_back_and_a_disconnect_closes_it(self) -> None:
        file, client = self.file(b"x" * 10_000_000)
        client.clock.advance(1)
        client.pause()
        self.run_to_end(client)
        at = file.tell()
        self.assertLess(at, 2_000_000)
        self.run_to_end(client)
        self.assertEqual(file.tell(), at)
        client.disconnect()
        self.assertTrue(file.closed)
        self.assertIsInstance(self.error(), ClientDisconnected)

    def test_where_no_body_is_allowed_it_is_closed(self) -> None:
        for method, status in NO_BODY:
            file, client = self.file(status=status, method=method)
            self.assert_complete(client.receive(), b"", status)
            self.assertTrue(file.closed)
            self.assertEqual(self.results, [None])

    def test_one_that_fails_fails_the_pipe(self) -> None:
        class Broken(BytesIO):
            def read(self, _: int | None = -1, /) -> bytes:
                raise OSError("made to fail")

        client = self.pipe(self.producer(Broken(), lambda: self.context.clock))
        self.run_to_end(client)
        self.logged(OSError)
        self.assertIsInstance(self.error(), OSError)
        self.assertEqual(client.receive().status, 500)


class SequenceTests(PipeTest):
    """
    One response of several sources.
    """

    def test_pipes_can_follow_one_another(self) -> None:
        async def handler(ctx: Context) -> str:
            ctx.write("<")
            await ctx.pipe(BytesIO(b"file"))
            await ctx.pipe([b"|", b"list", b"|"])
            await ctx.pipe(lambda c: Push(c, size=3, total=9).register())
            await FileSender().beginFileTransfer(BytesIO(b"|sender"), ctx)
            return ">"

        client = self.get(handler)
        self.run_to_end(client)
        self.assert_complete(client.receive(), b"<file|list|xxxxxxxxx|sender>")

    def test_a_pipe_ends_with_its_client_though_the_handler_continues(self) -> None:
        async def handler(ctx: Context) -> None:
            with self.assertRaises(ClientDisconnected):
                await ctx.pipe(file)
            closed.append(file.closed)

        file = BytesIO(b"x" * 10_000_000)
        closed: list[bool] = []
        client = self.get(handler, on_disconnect="continue")
        client.disconnect()
        self.assertEqual(closed, [True])


class FairnessTests(PipeTest):
    """
    A source without end holds nobody else up.
    """

    def test_another_request_is_answered_meanwhile(self) -> None:
        def handler(ctx: Context) -> Any:
            if ctx.path == "/short":
                return "short"
            return ctx.pipe(lambda c: Push(c, size=1000, total=ENDLESS).register())

        server = self.serve(handler)
        endless, short = server.connect(), server.connect()
        endless.request()
        short.request(path="/short")
        self.assert_complete(short.receive(), b"short")
        self.assertGreater(len(endless.read()), 0)
