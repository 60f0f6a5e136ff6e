"""
Which flushes of one turn are joined in one send, and which are not.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.harness import Client, StreamTest
from twistream import ClientDisconnected, Context, StopStream, StreamResource
from twistream.scheduling.turn import Turn


class JoiningTest(StreamTest):
    """
    The base: one request, and every send of its response.
    """

    def open(self, handler: Callable[[Context], Any], version: str = "1.1") -> Client:
        """
        A client over TCP that has sent a request.
        """
        return self.start(handler, version=version, tcp=True)

    def chunks(self, client: Client) -> list[bytes]:
        """
        The chunks that have arrived since the last call, within the same turn.
        """
        client.take()
        return client.response.new_chunks()


class WholeResponseTests(JoiningTest):
    """
    A response that ends in the turn of its head is one send, at the end of that turn.
    """

    def send_at_once(self, client: Client, count: int) -> None:
        for _ in range(count):
            client.expect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * count)

    def test_it_is_sent_whole_with_its_chunks(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            for number in range(3):
                yield f"message {number}"

        client = self.open(handler)
        self.assertEqual(client.take(), b"")
        client.clock.advance(0)
        data = client.take()
        self.assertTrue(
            data.endswith(b"9\r\nmessage 0\r\n9\r\nmessage 1\r\n9\r\nmessage 2\r\n0\r\n\r\n"), data
        )
        self.assertEqual(client.unsent, 0)

    def test_the_next_request_on_the_connection_is_answered(self) -> None:
        client = self.open(lambda ctx: "answer")
        self.send_at_once(client, 2)
        for _ in range(3):
            client.clock.advance(0.001)
        client.take()
        self.assertEqual([each.body for each in client.responses], [b"answer"] * 3)

    def test_pipelined_requests_are_answered_before_the_next_poll(self) -> None:
        client = self.open(lambda ctx: "answer")
        self.send_at_once(client, 4)
        client.clock.advance(0)
        client.take()
        self.assertEqual([each.body for each in client.responses], [b"answer"] * 5)

    def test_on_another_clock_than_the_reactors_nothing_is_delayed(self) -> None:
        async def handler(ctx: Context) -> None:
            for word in ("one", "two"):
                ctx.write(word)
                await ctx.flush()

        client = self.get(StreamResource(handler, clock=Clock()), tcp=True)
        client.poll()
        self.assertEqual(self.chunks(client), [b"one", b"two"])
        self.assertTrue(client.response.complete)

    def test_a_disconnect_before_the_end_of_the_turn_is_an_early_end(self) -> None:
        ends: list[object] = []

        def handler(ctx: Context) -> str:
            ctx.done().addCallback(ends.append)
            return "too late"

        client = self.open(handler)
        client.disconnect()
        self.assertIsInstance(ends[0], ClientDisconnected)
        client.clock.advance(0)
        self.assertEqual(len(ends), 1)

    def test_done_fires_at_the_end_of_the_turn(self) -> None:
        ends: list[object] = []

        def handler(ctx: Context) -> str:
            ctx.done().addCallback(ends.append)
            return "answer"

        client = self.open(handler)
        self.assertEqual(ends, [])
        client.clock.advance(0)
        self.assertEqual(ends, [None])

    def test_a_response_that_has_sent_a_message_ends_at_once(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("first")
            await ctx.flush()
            ctx.write("second")
            await ctx.flush()

        client = self.open(handler)
        self.assertEqual(self.chunks(client), [b"first", b"second"])
        self.assertTrue(client.response.complete)

    def test_a_response_that_closes_the_connection_is_sent_whole(self) -> None:
        client = self.open(lambda ctx: "answer", version="1.0")
        client.clock.advance(0)
        client.poll()
        client.take()
        self.assert_complete(client.response, b"answer")


class LoopTests(JoiningTest):
    """
    Messages of a loop wait to be joined, for at most half a millisecond.
    """

    def test_messages_are_sent_when_the_first_has_waited_half_a_millisecond(self) -> None:
        def items() -> Iterator[str]:
            for _ in range(9):
                yield "x"
                seen.append(len(self.chunks(client)))
                client.clock.rightNow += 0.0002

        async def handler(ctx: Context) -> None:
            await gate
            await ctx.stream(items())

        seen: list[int] = []
        gate: Deferred[None] = Deferred()
        client = self.open(handler)
        gate.callback(None)
        # With the frame that comes after that time, and so on.
        self.assertEqual(seen, [0, 0, 0, 4, 0, 0, 0, 4, 0])

    def test_a_waiting_loop_does_not_delay_what_it_has_flushed(self) -> None:
        async def ticks() -> Any:
            yield "first"
            await Deferred()

        client = self.open(lambda ctx: ctx.stream(ticks()))
        self.assertEqual(self.chunks(client), [b"first"])

    def test_a_loop_that_goes_on_and_waits_again_delays_nothing_either(self) -> None:
        gates: list[Deferred[None]] = []

        def gate() -> Deferred[None]:
            gates.append(Deferred())
            return gates[-1]

        async def items() -> Any:
            while True:
                yield "message"
                await gate()

        async def write(w: Context) -> None:
            w.write("message")
            await w.flush()
            await gate()

        for handler in (
            lambda ctx: ctx.stream(items()),
            lambda ctx: ctx.stream_writer(write),
        ):
            client = self.open(handler)
            for _ in range(3):
                self.assertEqual(self.chunks(client), [b"message"])
                gates.pop().callback(None)

    def test_a_writer_that_returns_a_deferred_after_coroutines_delays_nothing_either(self) -> None:
        gates: list[Deferred[None]] = []

        def gate() -> Deferred[None]:
            gates.append(Deferred())
            return gates[-1]

        async def coroutine(w: Context) -> None:
            w.write("message")
            await gate()

        steps = iter([coroutine, lambda w: gate()])

        def one_after_another(w: Context) -> Any:
            return next(steps)(w)

        client = self.open(lambda ctx: ctx.stream_writer(one_after_another))
        gates.pop().callback(None)
        self.assertEqual(self.chunks(client), [b"message"])

    def test_later_flushes_of_a_handler_wait_half_a_millisecond_at_most(self) -> None:
        async def handler(ctx: Context) -> None:
            for _ in range(9):
                ctx.write("x")
                await ctx.flush()
                seen.append(len(self.chunks(client)))
                client.clock.rightNow += 0.0002
            await Deferred()

        async def start(ctx: Context) -> None:
            await gate
            await handler(ctx)

        seen: list[int] = []
        gate: Deferred[None] = Deferred()
        client = self.open(start)
        gate.callback(None)
        self.assertEqual(seen, [1, 0, 0, 0, 4, 0, 0, 0, 4])

    def test_a_loop_with_an_interval_sends_at_once(self) -> None:
        def step(w: Context) -> None:
            w.write("tick")

        client = self.open(lambda ctx: ctx.stream_writer(step, interval=1))
        self.assertEqual(self.chunks(client), [b"tick"])
        client.clock.advance(1)
        self.assertEqual(self.chunks(client), [b"tick"])

    def test_messages_of_an_ended_loop_are_sent_at_the_end_of_the_turn(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.stream(["a", "b"])
            await Deferred()

        client = self.open(handler)
        self.assertEqual(self.chunks(client), [])
        client.clock.advance(0)
        self.assertEqual(self.chunks(client), [b"a", b"b"])

    def test_pending_messages_are_sent_past_64_kib(self) -> None:
        def items() -> Iterator[bytes]:
            for _ in range(9):
                yield b"x" * 10_000
                seen.append(len(client.take()) > 0)

        async def handler(ctx: Context) -> None:
            await gate
            await ctx.stream(items())

        seen: list[bool] = []
        gate: Deferred[None] = Deferred()
        client = self.open(handler)
        gate.callback(None)
        self.assertEqual(seen.index(True), 6)

    def test_messages_flushed_before_an_abort_are_sent(self) -> None:
        def handler(ctx: Context) -> Any:
            def step(w: Context) -> None:
                w.write("flushed")
                raise StopStream

            ctx.stream_writer(step)
            ctx.stream(["and this"])
            ctx.write("not this")
            ctx.abort()

        client = self.open(handler)
        client.clock.advance(0)
        self.assertEqual(self.chunks(client), [b"flushed", b"and this"])
        self.assertFalse(client.response.complete)


class CrowdedTurnTests(JoiningTest):
    """
    Every stream has a little time in a turn, even if others have used it up.
    """

    def test_a_short_loop_ends_in_a_turn_with_a_used_up_slice(self) -> None:
        def handler(ctx: Context) -> Any:
            Turn.of(ctx.clock).enter()
            cast("Clock", ctx.clock).rightNow += 1
            return ctx.stream(["a", "b", "c"])

        client = self.open(handler)
        client.clock.advance(0)
        self.assertEqual(self.chunks(client), [b"a", b"b", b"c"])
        self.assertTrue(client.response.complete)

    def test_a_long_loop_yields_after_its_minimum_share(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            Turn.of(ctx.clock).enter()
            clock = cast("Clock", ctx.clock)
            clock.rightNow += 1
            for number in range(9):
                yield str(number)
                made.append(number)
                clock.rightNow += 0.0002

        made: list[int] = []
        client = self.open(handler)
        self.assertEqual(len(made), 3)
        client.clock.advance(0)
        self.assertEqual(len(made), 9)
