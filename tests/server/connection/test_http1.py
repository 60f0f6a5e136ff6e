"""
The two ways of HTTP/1 bytes to a socket, and that no byte overtakes another.

A real TCP connection, whose server side is stepped by hand instead of by a reactor.
"""

import socket
from collections.abc import Callable
from select import select
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.tcp import Server
from twisted.trial.unittest import SynchronousTestCase

from tests.stepped import Other, Wire
from tests.wire.test_frames import decoded
from twistream import Context, StreamFinished
from twistream.wire.frames import chunk

STEPS = st.lists(
    st.one_of(
        # Write so many bytes and flush them.
        st.sampled_from([1, 100, 20_000, 70_000, 200_000]),
        st.sampled_from(["turn", "write", "read", "answer", "loop"]),
        st.sampled_from(["turn", "write", "read", "leave"]),
    ),
    max_size=40,
)


class DirectSendTests(SynchronousTestCase):
    """
    A flush is on the wire when it returns, where nothing can be overtaken.
    """

    def wire(self, handler: Callable[[Context], Any], version: bytes = b"1.1") -> Wire:
        wire = Wire(handler, version)
        self.addCleanup(wire.close)
        return wire

    def test_a_flush_is_at_the_client_before_the_reactor_has_its_turn(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("first")
            await ctx.flush()
            await ctx.sleep(1)
            ctx.write("second")
            await ctx.flush()
            await ctx.sleep(1)

        wire = self.wire(handler)
        self.assertTrue(wire.read().endswith(b"\r\n\r\n5\r\nfirst\r\n"))
        wire.reactor.advance(1)
        self.assertEqual(wire.read(), b"6\r\nsecond\r\n")
        self.assertEqual(wire.reactor.writers, set())

    def test_a_whole_response_is_one_send(self) -> None:
        wire = self.wire(lambda ctx: "all of it")
        wire.reactor.advance(0)
        self.assertTrue(wire.read().endswith(b"\r\n\r\nall of it"))

    def test_later_flushes_of_a_turn_leave_together(self) -> None:
        async def handler(ctx: Context) -> None:
            for word in ("one", "two", "three"):
                ctx.write(word)
                await ctx.flush()
            await ctx.sleep(1)

        wire = self.wire(handler)
        self.assertTrue(wire.read().endswith(b"3\r\none\r\n"))
        wire.reactor.advance(0)
        self.assertEqual(wire.read(), b"3\r\ntwo\r\n5\r\nthree\r\n")
        self.assertEqual(wire.reactor.writers, set())

    def test_what_is_queued_is_not_overtaken(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.request.channel.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            ctx.write("x")
            await ctx.flush()
            await ctx.sleep(1)

        wire = self.wire(handler)
        self.assertEqual(wire.read(), b"")
        wire.write()
        self.assertTrue(wire.read().startswith(b"HTTP/1.1 103 "))

    def test_a_connection_that_breaks_in_the_call_is_reported_by_the_reactor(self) -> None:
        contexts: list[Context] = []

        async def handler(ctx: Context) -> None:
            contexts.append(ctx)
            await ctx.flush()
            await ctx.sleep(1)
            wire.transport.socket.shutdown(socket.SHUT_WR)
            ctx.write("lost")
            await ctx.flush()
            await ctx.sleep(1)

        wire = self.wire(handler)
        wire.reactor.advance(1)
        self.assertIsNone(contexts[0].err)
        # The ordinary way has the bytes, and learns of the loss in the next poll.
        self.assertGreater(wire.queued(), 0)

    @settings(max_examples=150, deadline=None)
    @given(steps=STEPS, direct=st.booleans())
    def test_the_bytes_are_the_same_in_the_same_order_on_both_ways(
        self, steps: list[int | str], *, direct: bool
    ) -> None:
        talk = Talk(direct=direct)
        for step in steps:
            talk.take(step)
        sent, received = talk.end()
        if talk.left:
            assert sent.startswith(received)
        else:
            assert received == sent

    def test_what_twisted_holds_is_not_overtaken_when_the_socket_has_room_again(self) -> None:
        talk = Talk(direct=True)
        for step in (300_000, "write", "read", "turn", 100, "turn", "write"):
            talk.take(step)
        sent, received = talk.end()
        self.assertEqual(received, sent)

    def test_what_is_written_when_a_full_connection_drains_comes_after_what_waited(self) -> None:
        # The case that the property above finds seldom: a write from within the call by
        # which Twisted says that the connection takes more.
        for direct in (True, False):
            talk = Talk(direct=direct)
            talk.take(1_000_000)
            for _ in range(5):
                talk.take("answer")
            while not talk.answers:
                talk.take("write")
                talk.take("read")
            sent, received = talk.end()
            self.assertGreater(talk.answers, 0)
            self.assertEqual(received, sent)


class Talk:
    """
    A response that is written, sent and read in any order of steps.

    Attributes:
        answers: How many messages were written as soon as the connection took more.
        left: The client has left.
    """

    def __init__(self, *, direct: bool) -> None:
        self.answers = 0
        self.left = False
        self._contexts: list[Context] = []
        self._end: Deferred[None] = Deferred()
        self._sent: list[bytes] = []
        self._received: list[bytes] = []
        self._running = 0
        self._wire = Wire(self._handler, kind=Server if direct else Other)

    async def _handler(self, ctx: Context) -> None:
        self._contexts.append(ctx)
        await ctx.flush()
        await self._end

    def take(self, step: int | str) -> None:
        match step:
            case "turn":
                self._wire.reactor.advance(0.001)
            case "write":
                self._wire.write()
            case "read" if not self.left:
                self._received.append(self._wire.read())
            case "leave":  # The server goes on, until it notices.
                self.left = True
                self._wire.client.close()
            case "answer":
                self._contexts[0].flush().addCallbacks(self._answer, lambda _: None)
            case "loop":
                self._running += 1
                self._contexts[0].stream(map(self._message, range(1, 60))).addBoth(self._ended)
            case int(size):
                self._send(size)

    def end(self) -> tuple[bytes, bytes]:
        """
        What was written, and what has arrived.
        """
        wire = self._wire
        # The client reads again, and what runs comes to its end.
        while self._running and not self.left:
            for step in ("turn", "write", "read"):
                self.take(step)
        self._end.callback(None)
        data = b"".join(self._received)
        while not (self.left or data.endswith(b"\r\n0\r\n\r\n")):
            wire.reactor.advance(0.001)
            wire.write()
            if not select([wire.client], [], [], 0.5)[0]:
                break
            data += wire.read()
        wire.close()
        body = data.partition(b"\r\n\r\n")[2]
        if self.left:
            return b"".join(map(chunk, self._sent)), body
        chunks, rest = decoded(body)
        assert rest == b"\r\n"
        return b"".join(self._sent), b"".join(chunks)

    def _message(self, size: int) -> bytes:
        message = (b"%05d" % len(self._sent) * (size // 5 + 1))[:size]
        self._sent.append(message)
        return message

    def _send(self, size: int) -> None:
        message = self._message(size)
        try:
            self._contexts[0].write(message)
        except StreamFinished:
            self._sent.pop()  # It waited for longer than the handler.
        else:
            self._contexts[0].flush()

    def _ended(self, _: object) -> None:
        self._running -= 1

    def _answer(self, _: None) -> None:
        self.answers += 1
        self._send(100)
