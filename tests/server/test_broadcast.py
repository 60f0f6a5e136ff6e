"""
The same messages to many responses: in order, once, and independently of slow members.
"""

import gc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.harness import Client, StreamTest
from tests.server.responses import response_of
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    ContentLengthMismatch,
    Context,
    SlowConsumer,
    StreamAborted,
    StreamFinished,
)
from twistream.server.broadcast import Broadcast
from twistream.wire.frames import Frame


class BroadcastTest(StreamTest):
    """
    The base: one broadcast, and members that join it with their request.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.broadcast = Broadcast(self.clock)
        self.contexts: list[Context] = []

    async def handler(self, ctx: Context) -> None:
        self.contexts.append(ctx)
        self.broadcast.add(response_of(ctx))
        await ctx.done()

    def join(
        self,
        handler: Any = None,
        method: str = "GET",
        **options: Any,
    ) -> Client:
        return self.start(handler or self.handler, method, clock=self.clock, **options)

    def send(self, *messages: bytes) -> None:
        for message in messages:
            self.broadcast.send(Frame(message))


class DeliveryTests(BroadcastTest):
    """
    What members receive, and when.
    """

    def test_each_message_is_a_chunk_for_every_member(self) -> None:
        clients = [self.join() for _ in range(3)]
        for client in clients:
            self.assertTrue(client.read_raw().endswith(b"\r\n\r\n"))
        self.send(b"one", b"two")
        for client in clients:
            self.assertEqual(client.read_raw(), b"3\r\none\r\n3\r\ntwo\r\n")
            self.assertEqual(client.response.chunks, [b"one", b"two"])

    def test_the_head_is_sent_at_the_end_of_the_turn(self) -> None:
        async def handler(ctx: Context) -> None:
            self.broadcast.add(response_of(ctx))
            ctx.header("X-After", "joining")
            await ctx.done()

        client = self.join(handler)
        self.assertEqual(client.take(), b"")
        self.assertEqual(client.receive().header("X-After"), "joining")

    def test_a_member_does_not_receive_messages_from_before_it_joined(self) -> None:
        first = self.join()
        self.send(b"before")
        second = self.join()
        self.send(b"between")
        third = self.join()
        self.send(b"after")
        fourth = self.join()
        self.assertEqual(first.read(), b"beforebetweenafter")
        self.assertEqual(second.read(), b"betweenafter")
        self.assertEqual(third.read(), b"after")
        self.assertEqual(fourth.read(), b"")
        self.send(b"!")
        self.assertEqual([c.read() for c in (first, second, third, fourth)], [b"!"] * 4)

    def test_a_disconnected_or_discarded_member_receives_nothing(self) -> None:
        stays, leaves, discarded = (self.join() for _ in range(3))
        for client in (stays, leaves, discarded):
            client.receive()
        self.assertEqual(len(self.broadcast), 3)
        leaves.disconnect()
        self.send(b"x")
        self.broadcast.discard(response_of(self.contexts[2]))
        self.broadcast.discard(response_of(self.contexts[2]))
        self.assertEqual(len(self.broadcast), 1)
        self.assertEqual([c.read() for c in (stays, leaves, discarded)], [b"x", b"", b""])

    def test_without_members_messages_are_dropped(self) -> None:
        self.send(b"x")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        client = self.join()
        self.assertEqual(client.read(), b"")

    def test_a_member_that_ended_leaves_no_references(self) -> None:
        client = self.join()
        self.send(b"x")
        client.disconnect()
        self.clock.advance(1)
        self.assertEqual(len(self.broadcast), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_messages_go_ahead_of_what_is_not_flushed_and_after_what_is(self) -> None:
        async def handler(ctx: Context) -> None:
            self.broadcast.add(response_of(ctx))
            ctx.write("flushed first,")
            await ctx.flush()
            ctx.write("flushed later,")
            await ctx.flush()
            ctx.write("not flushed")
            self.send(b"message,")
            await ctx.sleep(1)
            await ctx.flush()

        client = self.join(handler)
        self.assertEqual(client.read(), b"flushed first,flushed later,message,")
        self.clock.advance(1)
        self.assertEqual(client.read(), b"not flushed")

    def test_a_body_that_ends_with_the_connection_has_no_chunks(self) -> None:
        client = self.join(version="1.0")
        client.receive()
        self.send(b"one", b"two")
        self.assertEqual(client.read_raw(), b"onetwo")

    def test_a_response_without_a_body_is_complete(self) -> None:
        client = self.join(method="HEAD")
        self.assertEqual(len(self.broadcast), 0)
        self.assert_complete(client.receive(), b"")

    def test_the_access_log_counts_what_was_sent(self) -> None:
        sizes: list[int] = []
        client = self.join()
        client.site.log = lambda request: sizes.append(request.sentLength)  # type: ignore[method-assign]  # of this one
        client.receive()
        self.send(b"one", b"three")
        client.receive()
        client.disconnect()
        self.assertEqual(sizes, [8])

    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["send", "join", "leave", "pause", "resume", "turn", "own"]),
                st.integers(0, 7),
            ),
            max_size=40,
        )
    )
    def test_every_member_gets_all_since_it_joined_once_and_in_order(
        self, steps: list[tuple[str, int]]
    ) -> None:
        clock = Clock()
        broadcast = Broadcast(clock)
        contexts: list[Context] = []

        async def handler(ctx: Context) -> None:
            broadcast.add(response_of(ctx))
            contexts.append(ctx)
            await ctx.done()

        clients: list[Client] = []
        expected: list[list[bytes]] = []
        for number, (step, which) in enumerate(steps):
            open_now = [n for n, client in enumerate(clients) if client.connected]
            one = open_now[which % len(open_now)] if open_now else None
            message = b"%d" % number
            if step == "send":
                broadcast.send(Frame(message))
                for n in open_now:
                    expected[n].append(message)
            elif step == "join":
                clients.append(self.get(handler, clock=clock))
                expected.append([])
            elif step == "turn":
                clock.advance(0)
            elif one is None:
                pass
            elif step == "leave":
                clock.advance(0)
                clients[one].disconnect()
            elif step == "pause":
                clients[one].pause()
            elif step == "resume":
                clients[one].resume()
            elif step == "own":
                clock.advance(0)  # What was sent before comes before.
                contexts[one].write(message)
                contexts[one].flush()
                expected[one].append(message)
        for client, messages in zip(clients, expected, strict=True):
            client.resume() if client.connected else None
            assert client.receive().chunks == messages
            client.disconnect()
        assert len(broadcast) == 0


class SlowMemberTests(BroadcastTest):
    """
    A member that reads nothing does not delay the others, and is cut at its limit.
    """

    def test_it_is_cut_at_the_limit_and_the_others_receive_everything(self) -> None:
        fast, slow = self.join(), self.join(max_buffered=1000)
        fast.receive()
        slow.pause()
        for _ in range(30):
            self.send(b"x" * 100)
            self.clock.advance(0)
        self.assertEqual(len(fast.read()), 3000)
        self.assertTrue(slow.aborted)
        err = self.contexts[1].err
        assert isinstance(err, SlowConsumer)
        self.assertEqual(err.limit, 1000)
        self.assertGreater(err.queued, 1000)
        self.assertEqual(len(self.broadcast), 1)

    def test_being_cut_counts_as_a_disconnect(self) -> None:
        seen: list[str] = []

        async def handler(ctx: Context) -> None:
            ctx.on_connection_close(lambda c: seen.append("left"))
            await self.handler(ctx)

        self.join(handler, max_buffered=1).pause()
        for _ in range(3):
            self.send(b"xx")
            self.clock.advance(0)
        self.assertEqual(seen, ["left"])

    def test_queued_messages_are_sent_when_it_reads_again(self) -> None:
        slow = self.join()
        slow.receive()
        slow.pause()
        for number in range(10):
            self.send(b"%d" % number)
            self.clock.advance(0)
        slow.resume()
        self.assertEqual(slow.read(), b"0123456789")

    def test_on_full_gets_the_messages_while_the_member_is_full(self) -> None:
        kept: list[bytes] = []

        def keep(frames: Any) -> None:
            kept.extend(frame.data for frame in frames)

        async def handler(ctx: Context) -> None:
            self.broadcast.add(response_of(ctx), keep)
            await ctx.flush()
            await ctx.done()

        client = self.join(handler)
        self.send(b"sent")
        self.assertEqual(client.read(), b"sent")
        client.pause()
        self.send(b"one", b"two")
        self.clock.advance(0)
        self.assertEqual(kept, [b"one", b"two"])
        client.resume()
        self.send(b"sent again")
        self.assertEqual(client.read(), b"sent again")

    def test_an_on_full_that_fails_aborts_only_its_own_member(self) -> None:
        def keep(frames: Any) -> None:
            raise GeneratorExit

        async def handler(ctx: Context) -> None:
            self.contexts.append(ctx)
            self.broadcast.add(response_of(ctx), keep)
            await ctx.done()

        broken, other = self.join(handler), self.join()
        other.receive()
        broken.pause()
        self.send(b"x")
        self.assertEqual(other.read(), b"x")
        self.logged(GeneratorExit)
        self.assertIsInstance(self.contexts[0].err, StreamAborted)

    def test_a_keeper_that_discards_its_stream_and_fails_costs_no_other_a_message(self) -> None:
        for error in (GeneratorExit(), BufferOverflow(2, 1)):
            with self.subTest(type(error).__name__):

                async def handler(ctx: Context, error: BaseException = error) -> None:
                    def keep(frames: Any) -> None:
                        self.broadcast.discard(response_of(ctx))
                        raise error

                    self.broadcast.add(response_of(ctx), keep)
                    await ctx.done()

                broken, other = self.join(handler), self.join()
                other.receive()
                broken.pause()
                self.send(b"x")
                self.assertEqual(other.read(), b"x")
        self.logged(GeneratorExit)


class KeepingTest(BroadcastTest):
    """
    The base: a member with an `on_full`.
    """

    def keeping(self) -> Client:
        """
        A member with an `on_full` that collects its messages.
        """
        self.kept: list[bytes] = []

        def keep(frames: Any) -> None:
            self.kept.extend(frame.data for frame in frames)

        async def handler(ctx: Context) -> None:
            self.contexts.append(ctx)
            self.broadcast.add(response_of(ctx), keep)
            await ctx.done()

        client = self.join(handler)
        client.receive()
        return client

    def messages(self, count: int) -> list[bytes]:
        return [b"%d" % number * 30_000 for number in range(count)]


class LargeBatchTests(KeepingTest):
    """
    A round that is larger than what a connection accepts before it is full.
    """

    def test_with_on_full_it_is_sent_in_parts(self) -> None:
        client = self.keeping()
        before = len(client.writes)
        self.send(*self.messages(5))
        self.assertEqual(client.read(), b"".join(self.messages(5)))
        self.assertEqual([len(data) // 30_000 for data in client.writes[before:]], [2, 2, 1])
        self.assertEqual(self.kept, [])

    def test_when_the_connection_is_full_on_full_gets_the_rest(self) -> None:
        for writes, sent in ((1, 2), (2, 4), (3, 5)):
            client = self.keeping()
            client.pause(after=writes)
            self.send(*self.messages(5))
            self.assertEqual(client.read(), b"".join(self.messages(5)[:sent]))
            self.assertEqual(self.kept, self.messages(5)[sent:])
            client.disconnect()

    def test_a_member_that_was_already_full_receives_none_of_it(self) -> None:
        client = self.keeping()
        client.pause()
        self.send(*self.messages(5))
        self.assertEqual(client.read(), b"")
        self.assertEqual(self.kept, self.messages(5))

    def test_without_on_full_it_is_sent_whole(self) -> None:
        client = self.join()
        client.receive()
        before = len(client.writes)
        client.pause(after=1)
        self.send(*self.messages(5))
        self.assertEqual(client.read(), b"".join(self.messages(5)))
        self.assertEqual(len(client.writes), before + 1)

    def test_up_to_that_size_it_is_sent_whole(self) -> None:
        client = self.keeping()
        before = len(client.writes)
        self.send(b"x" * 60_000, b"y" * 5536)
        client.receive()
        self.assertEqual(len(client.writes), before + 1)

    def test_a_disconnect_within_the_batch_ends_it(self) -> None:
        client = self.keeping()

        def leaves(data: bytes) -> None:
            client.disconnect()

        self.patch(client.wire, "write", leaves)
        self.send(*self.messages(5))
        self.clock.advance(0)
        self.assertIsInstance(self.contexts[0].err, ClientDisconnected)
        self.assertEqual((len(self.broadcast), self.kept), (0, []))


class PauseTests(KeepingTest):
    """
    The messages of a paused member go to its `on_full`.
    """

    def test_while_it_is_paused_on_full_gets_all_its_messages(self) -> None:
        client = self.keeping()
        (ctx,) = self.contexts
        self.send(b"sent ")
        self.clock.advance(0)
        self.broadcast.pause(response_of(ctx))
        self.send(b"small")
        self.clock.advance(0)
        self.send(*self.messages(3))
        self.clock.advance(0)
        self.assertEqual(client.read(), b"sent ")
        self.assertEqual(self.kept, [b"small", *self.messages(3)])
        self.broadcast.resume(response_of(ctx))
        self.send(b"sent again")
        self.assertEqual(client.read(), b"sent again")

    def test_it_must_be_paused_at_the_time_of_the_round(self) -> None:
        client = self.keeping()
        (ctx,) = self.contexts
        self.send(b"kept")
        self.broadcast.pause(response_of(ctx))
        self.clock.advance(0)
        self.send(b"sent")
        self.broadcast.resume(response_of(ctx))
        self.assertEqual(client.read(), b"sent")
        self.assertEqual(self.kept, [b"kept"])

    def test_other_members_are_not_paused(self) -> None:
        self.keeping()
        other = self.join()
        other.receive()
        self.broadcast.pause(response_of(self.contexts[0]))
        self.send(b"x")
        self.assertEqual(other.read(), b"x")
        self.assertEqual(self.kept, [b"x"])

    def test_discarding_a_member_ends_its_pause(self) -> None:
        client = self.keeping()
        (ctx,) = self.contexts
        self.broadcast.pause(response_of(ctx))
        self.broadcast.discard(response_of(ctx))
        self.broadcast.add(response_of(ctx))
        self.send(b"x")
        self.assertEqual(client.read(), b"x")
        self.broadcast.pause(response_of(ctx))
        client.disconnect()
        self.assertEqual(self.broadcast._paused, set())


class WithdrawTests(BroadcastTest):
    """
    A member that is withdrawn takes along what it was not sent.
    """

    def withdraw(self, number: int) -> list[bytes]:
        response = response_of(self.contexts[number])
        return [frame.data for frame in self.broadcast.withdraw(response)]

    def test_it_returns_the_messages_since_the_member_joined(self) -> None:
        first = self.join()
        self.assertFalse(self.broadcast.has_unsent)
        self.send(b"one")
        second = self.join()
        self.send(b"two")
        self.assertTrue(self.broadcast.has_unsent)
        self.assertEqual(self.withdraw(1), [b"two"])
        self.assertEqual(self.withdraw(0), [b"one", b"two"])
        self.assertEqual(self.withdraw(0), [])
        self.assertEqual((first.read(), second.read()), (b"", b""))
        self.assertFalse(self.broadcast.has_unsent)

    def test_in_a_round_it_depends_on_whether_the_member_was_served(self) -> None:
        withdrawn: list[list[bytes]] = []

        def on_full(_: object) -> None:
            self.send(b"three")
            withdrawn.extend([self.withdraw(0), self.withdraw(2)])
            self.broadcast.add(response_of(self.contexts[2]))
            self.send(b"four")
            self.broadcast.discard(response_of(self.contexts[1]))

        async def acts(ctx: Context) -> None:
            self.contexts.append(ctx)
            self.broadcast.add(response_of(ctx), on_full)
            self.broadcast.pause(response_of(ctx))
            await ctx.done()

        served, _ = self.join(), self.join(acts)
        self.send(b"one")
        late = self.join()
        self.send(b"two")
        self.clock.advance(0)
        self.assertEqual(withdrawn, [[b"three"], [b"two", b"three"]])
        self.assertEqual((served.read(), late.read()), (b"onetwo", b"four"))


class FlushTests(BroadcastTest):
    """
    `flush` sends before the end of the turn.
    """

    def test_flush_sends_at_once_and_only_once(self) -> None:
        client = self.join()
        client.receive()
        self.send(b"early")
        self.broadcast.flush()
        self.assertTrue(client.take().endswith(b"early\r\n"))
        self.assertEqual(client.read(), b"early")
        self.clock.advance(1)
        self.assertEqual(client.read(), b"")

    def test_flush_without_messages_does_nothing(self) -> None:
        client = self.join()
        client.receive()
        self.broadcast.flush()
        self.assertEqual(client.take(), b"")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_messages_after_a_flush_are_sent_at_the_end_of_the_turn(self) -> None:
        client = self.join()
        client.receive()
        self.send(b"one ")
        self.broadcast.flush()
        self.send(b"two ")
        self.send(b"three")
        self.assertFalse(client.take().endswith(b"three\r\n"))
        self.assertEqual(client.read(), b"one two three")

    def test_each_member_receives_the_messages_since_it_joined(self) -> None:
        first = self.join()
        self.send(b"a")
        second = self.join()
        self.send(b"b")
        self.broadcast.flush()
        self.assertEqual((first.read(), second.read()), (b"ab", b"b"))


class OddOrderTests(BroadcastTest):
    """
    Members that join, end and change during a round.
    """

    def test_on_full_of_a_member_that_joined_last_is_not_called(self) -> None:
        kept: list[Any] = []
        gate: Deferred[None] = Deferred()

        async def late(ctx: Context) -> None:
            await ctx.flush()
            await gate
            self.broadcast.add(response_of(ctx), kept.append)
            await ctx.done()

        self.join()
        client = self.join(late)
        client.receive()
        client.pause()
        self.send(b"x")
        gate.callback(None)
        self.clock.advance(0)
        self.assertEqual(kept, [])

    def test_a_member_discarded_within_the_round_receives_nothing_more(self) -> None:
        async def discards(ctx: Context) -> None:
            await ctx.flush()
            self.contexts.append(ctx)
            self.broadcast.add(
                response_of(ctx), lambda f: self.broadcast.discard(response_of(self.contexts[1]))
            )
            await ctx.done()

        first, second = self.join(discards), self.join()
        second.receive()
        first.pause()
        self.send(b"x")
        self.assertEqual(second.read_raw(), b"")

    def test_joining_and_leaving_in_one_turn_leaves_no_references(self) -> None:
        self.join()
        (ctx,) = self.contexts
        before = len(gc.get_referrers(self.broadcast))
        for _ in range(100):
            self.broadcast.discard(response_of(ctx))
            self.broadcast.add(response_of(ctx))
        self.assertEqual(len(gc.get_referrers(self.broadcast)), before)

    def test_a_bodyless_status_that_is_set_after_joining(self) -> None:
        async def handler(ctx: Context) -> None:
            self.broadcast.add(response_of(ctx))
            ctx.status_code(204)
            await ctx.done()

        for early in (True, False):
            client = self.join(handler)
            if early:
                self.send(b"no body may be here")
            self.assert_complete(client.receive(), b"", 204)
            self.send(b"nor here")
            self.assertEqual(client.read_raw(), b"")
            self.assertEqual(len(self.broadcast), 0)

    def test_a_head_that_cannot_be_sent_aborts(self) -> None:
        async def late(ctx: Context) -> None:
            ctx.write("too long")
            self.contexts.append(ctx)
            self.broadcast.add(response_of(ctx))
            ctx.header("Content-Length", "3")
            await ctx.done()

        client = self.join(late)
        self.assertEqual(client.read_raw(), b"")
        self.assertTrue(client.response.truncated)
        self.assertIsInstance(self.contexts[0].err, StreamAborted)
        self.logged(ContentLengthMismatch)


class BurstTests(BroadcastTest):
    """
    Several messages in flight are sent in one round.
    """

    def test_after_a_round_of_several_messages_the_next_waits_an_eighth_of_its_time(self) -> None:
        sent: list[int] = []

        def slow(frames: Any) -> None:
            sent.append(len(frames))
            self.clock.rightNow += 0.8

        async def handler(ctx: Context) -> None:
            self.broadcast.add(response_of(ctx), slow)
            await ctx.flush()
            await ctx.done()

        client = self.join(handler)
        client.receive()
        client.pause()
        self.send(b"lone")
        self.clock.advance(0)
        self.assertEqual(sent, [1])
        self.send(b"lone again")
        self.clock.advance(0)
        self.assertEqual(sent, [1, 1])
        self.send(b"one", b"two")
        self.clock.advance(0)
        self.assertEqual(sent, [1, 1, 2])
        self.send(b"three")
        self.clock.advance(0.09)
        self.send(b"four")
        self.assertEqual(sent, [1, 1, 2])
        self.clock.advance(0.02)
        self.assertEqual(sent, [1, 1, 2, 2])
        self.clock.advance(10)
        self.send(b"five")
        self.clock.advance(0)
        self.assertEqual(sent, [1, 1, 2, 2, 1])

    def test_a_delayed_round_is_a_turn_of_its_own(self) -> None:
        # It counts as the time when something was sent, which a ping comes after.
        async def pings(ctx: Context) -> None:
            ctx.sse(ping=1.0)
            await self.handler(ctx)

        async def slow(ctx: Context) -> None:
            self.broadcast.add(
                response_of(ctx), lambda frames: self.clock.advance(next(costs, 0.0))
            )
            self.broadcast.pause(response_of(ctx))
            await ctx.done()

        costs = iter([0.8])
        client = self.join(pings)
        self.join(slow)
        self.send(b"one", b"two")
        self.clock.advance(0)
        client.receive()
        self.send(b"three")
        self.clock.advance(0.2)
        self.assertEqual(client.read(), b"three")
        self.clock.advance(0.9)
        self.assertEqual(client.read(), b"")
        self.clock.advance(0.3)
        self.assertEqual(client.read(), b": ping\n")


class ClockTests(BroadcastTest):
    """
    Clocks may be set back.
    """

    def test_a_clock_that_is_set_back_does_not_delay_messages(self) -> None:
        client = self.join()
        client.receive()
        self.clock.rightNow = 1000.0
        self.send(b"one", b"two")
        client.receive()
        self.clock.rightNow = 10.0
        self.send(b"three")
        self.assertEqual(client.read(), b"three")


class MisuseTests(BroadcastTest):
    """
    Errors at the call.
    """

    def test_a_response_cannot_join_twice(self) -> None:
        self.join()
        self.assertRaises(ValueError, self.broadcast.add, response_of(self.contexts[0]))

    def test_an_ended_response_cannot_join(self) -> None:
        client = self.join()
        client.disconnect()
        self.assertRaises(ClientDisconnected, self.broadcast.add, response_of(self.contexts[0]))

        def ends(ctx: Context) -> None:
            self.contexts.append(ctx)

        self.join(ends)
        self.assertRaises(StreamFinished, self.broadcast.add, response_of(self.contexts[1]))

    def test_a_message_past_the_declared_length_aborts_that_response(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.header("Content-Length", "3")
            await self.handler(ctx)

        client = self.join(handler)
        self.send(b"four")
        self.clock.advance(0)
        self.assertTrue(client.closed)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_a_handler_that_returns_ends_its_membership(self) -> None:
        def handler(ctx: Context) -> None:
            self.broadcast.add(response_of(ctx))

        client = self.join(handler)
        self.assertEqual(len(self.broadcast), 0)
        self.assertEqual(client.receive().header("Content-Length"), "0")

    def test_the_handler_may_go_on_sending(self) -> None:
        gate: Deferred[None] = Deferred()

        async def handler(ctx: Context) -> None:
            self.broadcast.add(response_of(ctx))
            await gate
            ctx.write("own")

        client = self.join(handler)
        self.send(b"message ")
        self.assertEqual(client.read(), b"message ")
        gate.callback(None)
        response = client.receive()
        self.assertEqual((response.chunks, response.complete), ([b"message ", b"own"], True))
