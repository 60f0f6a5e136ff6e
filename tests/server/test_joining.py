"""
What is flushed in one turn and leaves in one send, and what does not wait for that.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.stepped import Wire
from twistream import ClientDisconnected, Context, StopStream
from twistream.scheduling.turn import Turn


class JoiningTest(SynchronousTestCase):
    """
    The base: one request, and every send of its response.
    """

    def wire(self, handler: Callable[[Context], Any], version: bytes = b"1.1") -> Wire:
        def prepared(ctx: Context) -> Any:
            self.contexts.append(ctx)
            return handler(ctx)

        self.contexts: list[Context] = []
        wire = Wire(prepared, version)
        self.addCleanup(wire.close)
        return wire

    def bodies(self, wire: Wire) -> bytes:
        """
        What has arrived since this was asked last, without a head.
        """
        data = wire.read()
        return data.partition(b"\r\n\r\n")[2] if data.startswith(b"HTTP/") else data


class WholeResponseTests(JoiningTest):
    """
    A response that ends in the turn of its head is one send at the turn's end.
    """

    def test_it_leaves_whole_with_its_chunks(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            for number in range(3):
                yield f"message {number}"

        wire = self.wire(handler)
        self.assertEqual(wire.read(), b"")
        wire.reactor.advance(0)
        self.assertEqual(
            self.bodies(wire),
            b"9\r\nmessage 0\r\n9\r\nmessage 1\r\n9\r\nmessage 2\r\n0\r\n\r\n",
        )
        self.assertEqual(wire.queued(), 0)

    def test_the_next_request_on_the_connection_is_answered(self) -> None:
        wire = self.wire(lambda ctx: "answer")
        wire.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        for _ in range(3):
            wire.reactor.advance(0.001)
        self.assertEqual(wire.read().count(b"\r\n\r\nanswer"), 3)

    def test_requests_that_came_at_once_are_answered_before_the_next_poll(self) -> None:
        wire = self.wire(lambda ctx: "answer")
        wire.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 4)
        wire.reactor.advance(0)
        self.assertEqual(wire.read().count(b"\r\n\r\nanswer"), 5)

    def test_on_a_clock_that_is_not_the_reactors_nothing_waits(self) -> None:
        async def handler(ctx: Context) -> None:
            for word in ("one", "two"):
                ctx.write(word)
                await ctx.flush()

        clock = Clock()
        wire = Wire(handler, clock=clock)
        self.addCleanup(wire.close)
        wire.write()
        self.assertEqual(self.bodies(wire), b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    def test_a_client_that_is_lost_before_the_end_of_the_turn_did_not_get_it(self) -> None:
        ends: list[object] = []

        def handler(ctx: Context) -> str:
            ctx.done().addCallback(ends.append)
            return "too late"

        wire = self.wire(handler)
        wire.transport.connectionLost(Failure(ConnectionDone()))
        self.assertIsInstance(ends[0], ClientDisconnected)
        wire.reactor.advance(0)
        self.assertEqual(len(ends), 1)

    def test_it_ends_there_also_for_those_who_wait_for_the_end(self) -> None:
        ends: list[object] = []

        def handler(ctx: Context) -> str:
            ctx.done().addCallback(ends.append)
            return "answer"

        wire = self.wire(handler)
        self.assertEqual(ends, [])
        wire.reactor.advance(0)
        self.assertEqual(ends, [None])

    def test_one_that_had_a_message_sent_ends_at_once(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("first")
            await ctx.flush()
            ctx.write("second")
            await ctx.flush()

        wire = self.wire(handler)
        self.assertEqual(self.bodies(wire), b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")

    def test_one_that_closes_the_connection_is_whole_too(self) -> None:
        wire = self.wire(lambda ctx: "answer", version=b"1.0")
        wire.reactor.advance(0)
        wire.write()
        self.assertTrue(wire.read().endswith(b"\r\n\r\nanswer"))


class LoopTests(JoiningTest):
    """
    What a loop flushes waits for more, half a millisecond at most.
    """

    def test_frames_leave_when_the_first_has_waited_half_a_millisecond(self) -> None:
        def items() -> Iterator[str]:
            for _ in range(9):
                yield "x"
                seen.append(self.bodies(wire).count(b"x"))
                wire.reactor.rightNow += 0.0002

        async def handler(ctx: Context) -> None:
            await gate
            await ctx.stream(items())

        seen: list[int] = []
        gate: Deferred[None] = Deferred()
        wire = self.wire(handler)
        gate.callback(None)
        # With the frame that comes after that time, and so on.
        self.assertEqual(seen, [0, 0, 0, 4, 0, 0, 0, 4, 0])

    def test_what_a_loop_waits_for_does_not_hold_back_what_it_has_flushed(self) -> None:
        async def ticks() -> Any:
            yield "first"
            await Deferred()

        wire = self.wire(lambda ctx: ctx.stream(ticks()))
        self.assertEqual(self.bodies(wire), b"5\r\nfirst\r\n")

    def test_a_loop_with_an_interval_sends_at_once(self) -> None:
        def step(w: Context) -> None:
            w.write("tick")

        wire = self.wire(lambda ctx: ctx.stream_writer(step, interval=1))
        self.assertEqual(self.bodies(wire), b"4\r\ntick\r\n")
        wire.reactor.advance(1)
        self.assertEqual(self.bodies(wire), b"4\r\ntick\r\n")

    def test_what_a_loop_that_has_ended_left_leaves_at_the_end_of_the_turn(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.stream(["a", "b"])
            await Deferred()

        wire = self.wire(handler)
        self.assertEqual(self.bodies(wire), b"")
        wire.reactor.advance(0)
        self.assertEqual(self.bodies(wire), b"1\r\na\r\n1\r\nb\r\n")

    def test_what_is_held_goes_out_past_64_kib(self) -> None:
        def items() -> Iterator[bytes]:
            for _ in range(9):
                yield b"x" * 10_000
                seen.append(len(wire.read()) > 0)

        async def handler(ctx: Context) -> None:
            await gate
            await ctx.stream(items())

        seen: list[bool] = []
        gate: Deferred[None] = Deferred()
        wire = self.wire(handler)
        gate.callback(None)
        self.assertEqual(seen.index(True), 6)

    def test_what_was_flushed_before_an_abort_is_let_through(self) -> None:
        def handler(ctx: Context) -> Any:
            def step(w: Context) -> None:
                w.write("flushed")
                raise StopStream

            ctx.stream_writer(step)
            ctx.stream(["and this"])
            ctx.write("not this")
            ctx.abort()

        wire = self.wire(handler)
        wire.reactor.advance(0)
        self.assertEqual(self.bodies(wire), b"7\r\nflushed\r\n8\r\nand this\r\n")


class CrowdedTurnTests(JoiningTest):
    """
    Everybody has a little time in a turn, however much others have taken.
    """

    def test_a_short_loop_ends_in_a_turn_whose_slice_is_over(self) -> None:
        def handler(ctx: Context) -> Any:
            Turn.of(ctx.clock).enter()
            cast("Clock", ctx.clock).rightNow += 1
            return ctx.stream(["a", "b", "c"])

        wire = self.wire(handler)
        wire.reactor.advance(0)
        self.assertTrue(wire.read().endswith(b"1\r\nc\r\n0\r\n\r\n"))

    def test_a_long_one_gives_way_after_a_moment(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            Turn.of(ctx.clock).enter()
            clock = cast("Clock", ctx.clock)
            clock.rightNow += 1
            for number in range(9):
                yield str(number)
                made.append(number)
                clock.rightNow += 0.0002

        made: list[int] = []
        wire = self.wire(handler)
        self.assertEqual(len(made), 3)
        wire.reactor.advance(0)
        self.assertEqual(len(made), 9)
