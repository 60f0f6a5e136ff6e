"""
A context as a consumer: producers of Twisted write into a response.
"""

from contextvars import ContextVar
from io import BytesIO
from threading import get_ident
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.protocols.basic import FileSender
from twisted.python import threadable
from zope.interface.verify import verifyObject

from tests.harness import Client, StreamTest
from tests.server.producers import ENDLESS, Pull, Push
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    ContentLengthMismatch,
    Context,
    SendTimeout,
)

DATA = bytes(range(256)) * 1000
ONE_TURN = 1_000_000
"""
More bytes than a producer may write before it has to wait, and fewer than it could.
"""


class ConsumerTest(StreamTest):
    """
    Registers a producer in a handler that waits.
    """

    def push(self, *, size: int = 0, total: int = 0, **options: Any) -> Client:
        """
        A client of a handler that has registered `self.producer`, a push producer.
        """

        def handler(ctx: Context) -> Deferred[None]:
            self.context = ctx
            self.producer = Push(ctx, size=size, total=total)
            self.producer.register()
            self.handled: Deferred[None] = Deferred()
            return self.handled

        return self.start(handler, **options)

    def slow(self, **options: Any) -> Client:
        """
        A client of `push` that has received a byte, and reads no more.
        """
        client = self.push(**options)
        self.producer.write(b".")
        self.assertEqual(client.read(), b".")
        client.pause()
        return client

    def pull(self, step: Any, **options: Any) -> Client:
        """
        A client of a handler that has registered `self.pulled`, a pull producer.
        """

        def handler(ctx: Context) -> Deferred[None]:
            self.context = ctx
            self.pulled = Pull(lambda _: step(ctx))
            self.handled = Deferred()
            ctx.registerProducer(self.pulled, False)
            return self.handled

        return self.start(handler, **options)


class FileSenderTests(StreamTest):
    """
    The producer that most programs know.
    """

    def test_a_context_is_a_consumer(self) -> None:
        def handler(ctx: Context) -> None:
            self.assertTrue(verifyObject(IConsumer, ctx))

        self.answer(handler)

    def test_it_sends_a_file(self) -> None:
        async def handler(ctx: Context) -> str:
            ctx.write("<")
            await FileSender().beginFileTransfer(BytesIO(DATA), ctx)
            return ">"

        for version in ("1.1", "1.0"):
            client = self.start(handler, version=version)
            for _ in range(10):
                client.clock.advance(1)
            self.assert_complete(client.receive(), b"<" + DATA + b">")

    def test_it_sends_an_empty_file(self) -> None:
        async def handler(ctx: Context) -> None:
            await FileSender().beginFileTransfer(BytesIO(), ctx)
            ctx.content_type("text/csv")

        response = self.answer(handler)
        self.assert_complete(response, b"")
        self.assertEqual(response.header("Content-Type"), "text/csv; charset=utf-8")

    def test_a_transform_may_hold_bytes_back(self) -> None:
        def transform(data: bytes) -> bytes:
            held.append(data)
            return b"".join(held) if len(held) == 4 else b""

        async def handler(ctx: Context) -> None:
            file = BytesIO(b"x" * 4 * FileSender.CHUNK_SIZE)
            await FileSender().beginFileTransfer(file, ctx, transform)

        held: list[bytes] = []
        self.assertEqual(len(self.answer(handler).body), 4 * FileSender.CHUNK_SIZE)

    def test_a_head_request_reads_nothing_and_logs_nothing(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.status_code(status)
            await FileSender().beginFileTransfer(file, ctx)

        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304)):
            file = BytesIO(DATA)
            client = self.start(handler, method)
            self.assert_complete(client.receive(), b"", status)
            client.clock.advance(0)
            self.assertEqual(file.tell(), 0)

    def test_a_disconnect_ends_the_handler_without_a_failure(self) -> None:
        async def handler(ctx: Context) -> None:
            contexts.append(ctx)
            await FileSender().beginFileTransfer(file, ctx)

        contexts: list[Context] = []
        file = BytesIO(DATA)
        client = self.get(handler)
        client.pause()
        client.disconnect()
        at = file.tell()
        client.clock.advance(1)
        self.assertIsInstance(contexts[0].err, ClientDisconnected)
        self.assertEqual(file.tell(), at)


class PushTests(ConsumerTest):
    """
    Push producers write when they like, unless they are paused.
    """

    def test_what_it_writes_in_a_turn_is_sent_as_one_chunk_without_a_flush(self) -> None:
        client = self.push()
        for word in (b"one ", b"two ", b"three"):
            self.producer.write(word)
        self.assertEqual(client.take(), b"")
        self.assertEqual(client.read_chunks(), [b"one two three"])
        self.producer.write(b"four")
        self.assertEqual(client.read_chunks(), [b"four"])

    def test_it_is_paused_while_the_connection_is_full(self) -> None:
        client = self.push()
        self.producer.write(b"first")
        client.read()
        client.pause()
        self.producer.write(b"second")
        self.assertEqual(self.producer.calls, [])  # A few bytes may wait to the end of the turn.
        client.read()
        self.assertEqual(self.producer.calls, ["pause"])
        client.resume()
        self.assertEqual(self.producer.calls, ["pause", "resume"])
        self.producer.write(b"third")
        client.read()
        self.assertEqual(client.response.body, b"firstsecondthird")

    def test_what_it_writes_although_it_is_paused_is_sent_before_it_is_resumed(self) -> None:
        client = self.slow()
        self.producer.write(b"first")
        client.clock.advance(0)
        self.producer.write(b"second")
        client.clock.advance(0)
        self.assertEqual(self.producer.calls, ["pause"])
        client.resume()
        self.assertEqual(self.producer.calls, ["pause", "resume"])
        self.assertEqual(client.read(), b"firstsecond")

    def test_one_that_writes_at_once_and_without_end_yields_to_the_reactor(self) -> None:
        for size in (1, 1000, 100_000):
            client = self.push(size=size, total=ENDLESS)
            written = self.producer.written
            self.assertLess(written, 256 * max(size, 20_000) + ONE_TURN)
            self.assertEqual(self.producer.calls, ["pause"])
            client.clock.advance(1e-9)
            self.assertEqual(self.producer.calls[:3], ["pause", "resume", "pause"])
            self.assertGreater(self.producer.written, written)
            client.disconnect()

    def test_one_that_writes_at_once_is_paused_when_the_connection_is_full(self) -> None:
        client = self.slow()
        self.producer._size, self.producer._total = 1000, ENDLESS
        self.producer._produce()
        self.assertLess(self.producer.written, 100_000)
        client.clock.advance(1)
        self.assertEqual(self.producer.calls, ["pause"])

    def test_all_of_a_large_body_arrives_in_order(self) -> None:
        client = self.push(size=777, total=3_000_000)
        while len(client.response.body) < 3_000_000:
            client.clock.advance(1e-9)
            client.read()
        self.assertFalse(client.response.complete)
        self.handled.callback(None)
        self.assert_complete(client.receive(), b"x" * 3_000_000)

    def test_one_that_ignores_a_pause_overflows(self) -> None:
        self.slow(max_buffered=100_000)
        with self.assertRaises(BufferOverflow) as caught:
            for _ in range(100):
                self.producer.write(b"x" * 10_000)
        self.assertLess(caught.exception.buffered, 200_000)
        self.assertEqual(self.producer.calls, ["pause"])

    def test_what_it_wrote_before_it_unregisters_is_sent_though_the_client_is_slow(self) -> None:
        client = self.slow()
        self.producer.write(b"first")
        client.clock.advance(0)
        self.producer.write(b"last")
        self.context.unregisterProducer()
        client.resume()
        self.assertEqual(client.read(), b"firstlast")
        self.handled.callback(None)
        self.assert_complete(client.receive(), b".firstlast")
        self.assertEqual(self.producer.calls, ["pause"])

    def test_after_it_has_unregistered_writes_wait_for_a_flush_again(self) -> None:
        client = self.push()
        self.context.unregisterProducer()
        self.context.write(b"x")
        self.assertEqual(client.read(), b"")
        self.context.flush()
        self.assertEqual(client.read(), b"x")

    def test_formats_are_sent_too(self) -> None:
        client = self.push()
        self.context.text("text")
        self.assertEqual(client.read(), b"text")
        self.context.json_line(1)
        self.assertEqual(client.read(), b"1\n")


class PullTests(ConsumerTest):
    """
    Pull producers write one piece when they are asked.
    """

    def test_the_first_step_is_taken_at_once_and_no_other(self) -> None:
        client = self.pull(lambda ctx: ctx.write("x"))
        self.assertEqual(self.pulled.steps, 1)
        client.disconnect()

    def test_one_without_end_yields_to_the_reactor(self) -> None:
        client = self.pull(lambda ctx: ctx.write("x"))
        for _ in range(3):
            before = self.pulled.steps
            client.clock.advance(1e-9)
            self.assertLess(before, self.pulled.steps)
            self.assertLess(self.pulled.steps, before + 1000)
        client.disconnect()

    def test_it_is_asked_for_no_more_while_the_connection_is_full(self) -> None:
        client = self.pull(lambda ctx: ctx.write("x" * 1000))
        client.clock.advance(0)
        client.pause()
        client.clock.advance(1)
        steps = self.pulled.steps
        self.assertLess(steps, 300)
        client.clock.advance(1)
        self.assertEqual(self.pulled.steps, steps)
        client.resume()
        self.assertGreater(self.pulled.steps, steps)
        client.disconnect()

    def test_one_that_writes_later_is_asked_once_for_each_piece(self) -> None:
        client = self.pull(lambda ctx: None)
        for step in range(1, 4):
            client.clock.advance(1)
            self.assertEqual(self.pulled.steps, step)
            self.context.write(b"%d" % step)
            self.assertEqual(client.read(), b"%d" % step)
        client.disconnect()

    def test_one_that_writes_now_and_later_is_asked_once_for_each_piece(self) -> None:
        def step(ctx: Context) -> None:
            if self.pulled.steps <= 2:
                ctx.write("now")

        client = self.pull(step)
        for _ in range(3):
            client.clock.advance(1)
        self.assertEqual(client.read(), b"nownow")
        self.assertEqual(self.pulled.steps, 3)

    def test_its_steps_run_in_the_context_of_the_handler(self) -> None:
        def step(ctx: Context) -> None:
            seen.append(who.get())
            ctx.write("x")

        def handler(ctx: Context) -> Deferred[None]:
            who.set("handler")
            ctx.registerProducer(Pull(lambda _: step(ctx)), False)
            return Deferred()

        who: ContextVar[str] = ContextVar("who", default="nobody")
        seen: list[str] = []
        client = self.get(handler)
        client.clock.advance(1)
        client.disconnect()
        self.assertGreater(len(seen), 1)
        self.assertEqual(set(seen), {"handler"})

    def test_it_may_unregister_in_a_step(self) -> None:
        def step(ctx: Context) -> None:
            ctx.write("x")
            if self.pulled.steps == last:
                ctx.unregisterProducer()

        for last in (1, 3):
            client = self.pull(step)
            for _ in range(3):
                client.clock.advance(1)
            self.assertEqual(client.read(), b"x" * last)
            self.assertEqual(self.pulled.steps, last)
            self.handled.callback(None)
            self.assert_complete(client.receive(), b"x" * last)
            self.assertEqual(self.pulled.stopped, 0)

    def test_one_may_follow_another_in_a_step(self) -> None:
        def step(ctx: Context) -> None:
            ctx.write("x")
            ctx.unregisterProducer()
            if not followed:
                followed.append(Pull(lambda _: step(ctx)))
                ctx.registerProducer(followed[0], False)

        followed: list[Pull] = []
        self.assertEqual(self.pull(step).read(), b"xx")
        self.assertEqual([followed[0].steps, followed[0].stopped], [1, 0])

    def test_an_error_in_the_first_step_is_raised_at_the_call(self) -> None:
        def step(ctx: Context) -> None:
            raise OSError("made to fail")

        client = self.pull(step)
        self.logged(OSError)
        self.assertEqual(client.receive().status, 500)
        self.assertEqual(self.pulled.stopped, 1)

    def test_after_an_error_in_the_first_step_it_is_not_registered(self) -> None:
        def fail(_: Pull) -> None:
            raise OSError("made to fail")

        async def handler(ctx: Context) -> str:
            with self.assertRaises(OSError):
                ctx.registerProducer(Pull(fail), False)
            ctx.write("<")
            await ctx.sleep(1)
            return ">"

        events = self.log_events()
        client = self.get(handler)
        self.assertEqual(client.read_raw(), b"")
        client.clock.advance(1)
        self.assert_complete(client.receive(), b"<>")
        self.assertEqual([event for event in events if "advice" in event], [])

    def test_an_error_in_a_later_step_aborts_the_response(self) -> None:
        def step(ctx: Context) -> None:
            if self.pulled.steps == 3:
                raise OSError("made to fail")
            ctx.write("x")

        response = self.pull(step).receive()
        self.logged(OSError)
        self.assertEqual((response.body, response.truncated), (b"xx", True))
        self.assertIn("OSError", str(self.context.err))


class EndTests(ConsumerTest):
    """
    However the response ends, the producer is stopped.
    """

    def test_a_disconnect_stops_it_whether_it_is_silent_or_paused(self) -> None:
        for paused in (False, True):
            client = self.slow() if paused else self.push()
            if paused:
                self.producer.write(b"x")
                client.clock.advance(0)
            client.disconnect()
            self.assertEqual(self.producer.calls, ["pause", "stop"] if paused else ["stop"])
            self.assertRaises(ClientDisconnected, self.producer.write, b"late")

    def test_it_is_stopped_when_its_response_continues_without_a_client(self) -> None:
        client = self.push(on_disconnect="continue")
        client.disconnect()
        self.assertEqual(self.producer.calls, ["stop"])
        self.assertFalse(self.handled.called)

    def test_a_stalled_client_stops_it(self) -> None:
        client = self.push(send_timeout=10.0)
        self.producer.write(b"first")
        client.clock.advance(0)
        client.pause()
        self.producer.write(b"x")
        for _ in range(15):
            client.clock.advance(1)
        self.assertIsInstance(self.context.err, SendTimeout)
        self.assertEqual(self.producer.calls, ["pause", "stop"])

    def test_an_abort_stops_it(self) -> None:
        client = self.push()
        self.producer.write(b"x")
        client.clock.advance(0)
        self.context.abort()
        client.clock.advance(0)
        self.assertEqual(self.producer.calls, ["stop"])
        self.assertTrue(client.receive().truncated)

    def test_a_handler_that_returns_too_early_stops_it_and_gets_a_warning(self) -> None:
        def handler(ctx: Context) -> None:
            producers.append(Push(ctx))
            producers[0].register()
            producers[0].write(b"x")

        producers: list[Push] = []
        events = self.log_events()
        self.assert_complete(self.answer(handler), b"x")
        self.assertEqual(producers[0].calls, ["stop"])
        (warning,) = [event for event in events if event.get("call") == "registerProducer"]
        self.assertIn("ctx.pipe(source)", warning["advice"])

    def test_where_no_body_is_allowed_it_is_stopped(self) -> None:
        client = self.push(method="HEAD")
        client.clock.advance(0)
        self.assertEqual(self.producer.calls, ["stop"])
        self.assert_complete(client.receive(), b"")

    def test_after_the_end_it_is_stopped(self) -> None:
        client = self.push()
        client.disconnect()
        another = Push(self.context)
        another.register()
        self.assertEqual(another.calls, ["stop"])
        self.context.unregisterProducer()

    def test_an_error_when_it_is_stopped_is_logged(self) -> None:
        class Broken(Push):
            def stopProducing(self) -> None:
                raise KeyError("made to fail")

        def handler(ctx: Context) -> Deferred[None]:
            Broken(ctx).register()
            ctx.on_close(lambda _: closed.append(True))
            return Deferred()

        closed: list[bool] = []
        self.get(handler).disconnect()
        self.logged(KeyError)
        self.assertEqual(closed, [True])

    def test_an_error_when_it_is_paused_or_resumed_aborts_the_response(self) -> None:
        def fail() -> None:
            raise KeyError("made to fail")

        for method in ("pauseProducing", "resumeProducing"):
            client = self.slow()
            setattr(self.producer, method, fail)
            self.producer.write(b"x")
            client.clock.advance(0)
            client.resume()
            client.clock.advance(0)
            self.logged(KeyError)
            self.assertTrue(client.receive().truncated, method)
            self.assertEqual(self.producer.calls[-1], "stop")


class MisuseTests(ConsumerTest):
    """
    Wrong calls change nothing.
    """

    def test_a_second_producer_is_refused(self) -> None:
        client = self.push()
        second = Push(self.context)
        self.assertRaises(RuntimeError, second.register)
        self.producer.write(b"x")
        self.assertEqual(client.read(), b"x")
        self.context.unregisterProducer()
        second.register()
        second.write(b"y")
        self.assertEqual(client.read(), b"y")
        self.assertEqual(second.calls, [])

    def test_what_is_no_producer_is_refused(self) -> None:
        def handler(ctx: Context) -> str:
            for wrong, streaming in ((None, True), (5, False), (Push, True), (pull, True)):
                with self.assertRaisesRegex(TypeError, r"^registerProducer\(\) takes a pu"):
                    ctx.registerProducer(wrong, streaming)  # type: ignore[arg-type]  # refused
            ctx.unregisterProducer()
            return "fine"

        pull = Pull(lambda _: None)
        self.assert_complete(self.answer(handler), b"fine")

    def test_calls_in_another_thread_are_refused(self) -> None:
        client = self.push()
        ctx, other = self.context, get_ident() + 1
        with patch.object(threadable, "ioThread", other):
            for call in (
                lambda: ctx.pipe([b"x"]),
                lambda: ctx.registerProducer(Push(ctx), True),
                ctx.unregisterProducer,
                lambda: ctx.write(b"x"),  # It would be sent.
            ):
                with self.assertRaisesRegex(RuntimeError, "callFromThread"):
                    call()
        self.assertEqual(client.read(), b"")
        self.assertEqual(self.producer.calls, [])

    def test_a_body_that_is_longer_than_declared_is_refused(self) -> None:
        def handler(ctx: Context) -> Deferred[None]:
            ctx.header("Content-Length", "3")
            self.producer = Push(ctx)
            self.producer.register()
            return Deferred()

        client = self.get(handler)
        self.producer.write(b"abc")
        client.clock.advance(0)
        self.assertRaises(ContentLengthMismatch, self.producer.write, b"d")
        self.assertEqual(client.receive().body, b"abc")
