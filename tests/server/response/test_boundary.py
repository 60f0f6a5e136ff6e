"""
Nothing lands in the middle of an event, or a line, that a handler writes in pieces.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import Client, StreamTest
from tests.server.responses import response_of
from twistream import Context, EventDecoder, Hub
from twistream.server.broadcast import Broadcast
from twistream.wire.frames import Frame
from twistream.wire.messages import EVENTS, JSON_LINES


class EndsTests(StreamTest):
    """
    Where a message ends, by the last bytes of the text.
    """

    def test_an_event_ends_with_a_blank_line_of_any_kind(self) -> None:
        for end in (b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n", b"\r\n\n", b"\r\r\n"):
            self.assertTrue(EVENTS.ends(b"data: x" + end), end)
        for end in (b"", b"\n", b"\r", b"\r\n", b"\n\nx", b"\n\r", b"\r\n\r"):
            self.assertFalse(EVENTS.ends(b"data: x" + end), end)

    def test_comments_and_retry_may_follow_the_blank_line(self) -> None:
        for rest in (b": a\n", b":\n", b": a\r\n: b\r\n", b"retry: 5\n: a\n"):
            for blank in (b"\n\n", b"\r\n\r\n"):
                self.assertTrue(EVENTS.ends(b"data: x" + blank + rest), rest)
            self.assertFalse(EVENTS.ends(b"data: x\n" + rest), rest)
        for rest in (
            b":",
            b": a",
            b": a\r",
            b": a\nid: 5\n",
            b"retry",
            b"retried: 5\n",
            b"id: 5\n: a\n",
        ):
            self.assertFalse(EVENTS.ends(b"data: x\n\n" + rest), rest)

    def test_a_line_ends_with_a_line_end(self) -> None:
        self.assertTrue(JSON_LINES.ends(b"{}\n"))
        self.assertFalse(JSON_LINES.ends(b"{}"))


class PieceTests(StreamTest):
    """
    Events by hand, with others around them.
    """

    def writing(self, *, subscribe: bool = True, ping: float | None = 1.0) -> Client:
        async def handler(ctx: Context) -> None:
            self.context = ctx
            self.hub = Hub(clock=ctx.clock)
            self.news = self.hub.channel("news", history=10)
            events = ctx.sse(ping=ping)
            if subscribe:
                events.subscribe(self.news, detached=True)
            await ctx.done()

        client = self.get(handler)
        client.receive()
        return client

    def piece(self, text: str) -> None:
        self.context.write(text)
        self.context.flush()

    def test_a_ping_waits_for_the_end_of_the_event(self) -> None:
        client = self.writing(subscribe=False)
        self.piece("data: hel")
        client.read()
        client.clock.advance(5)
        self.assertEqual(client.read(), b"")
        self.piece("lo\n\n")
        self.assertEqual(client.read(), b"lo\n\n")
        client.clock.advance(2)
        self.assertEqual(client.read(), b": ping\n")

    def test_a_published_event_waits_and_comes_in_order(self) -> None:
        client = self.writing(ping=None)
        client.read()
        self.piece("data: hel")
        self.news.publish("one")
        client.clock.advance(0)
        self.news.publish("two")
        self.assertEqual(client.read(), b"data: hel")
        client.clock.advance(1)
        self.assertEqual(client.read(), b"")
        self.piece("lo\n\n")
        client.clock.advance(0)
        self.assertEqual([e.data for e in client.read_events()], ["hello", "one", "two"])

    def test_comments_and_retry_by_hand_delay_nothing(self) -> None:
        for piece in (": beat\n", ":\r\n", ": a\n: b\n", "retry: 5\n", ": a\r\nretry: 5\n: b\n"):
            client = self.writing(ping=None)
            client.read()
            self.piece(piece)
            self.news.publish("one")
            self.assertEqual([e.data for e in client.read_events()], ["one"], piece)
            self.piece("data: hel\n")
            self.piece(piece)
            self.news.publish("two")
            client.clock.advance(0)
            self.piece("data: lo\n\n")
            client.clock.advance(0)
            self.assertEqual([e.data for e in client.read_events()], ["hel\nlo", "two"], piece)

    def test_a_comment_that_has_not_ended_does(self) -> None:
        for piece, rest in (
            (": be", "at\n"),
            (": a\n:", "\n"),
            (": a\r", "\n"),
            ("retry: ", "5\n"),
            (": a\ndata", ": b\n\n"),
        ):
            client = self.writing(ping=None)
            client.read()
            self.piece(piece)
            self.news.publish("one")
            client.clock.advance(0)
            self.assertEqual(client.read(), piece.encode())
            self.piece(rest)
            client.clock.advance(0)
            self.assertTrue(client.read().startswith(rest.encode() + b"id: "), piece)

    def test_a_message_does_not_split_the_blank_line(self) -> None:
        client = self.writing(ping=None)
        client.read()
        self.piece("data: hello\r\n\r")
        self.news.publish("one")
        client.clock.advance(0)
        self.piece("\n")
        client.clock.advance(0)
        body = client.read()
        self.assertTrue(body.startswith(b"data: hello\r\n\r\nid: "), body)
        self.assertEqual(body.count(b"\n\n"), 1)

    def test_a_comment_waits_for_an_event_that_the_handler_completes_as_it_returns(self) -> None:
        async def handler(ctx: Context) -> None:
            events = ctx.sse(ping=None)
            ctx.write("data: hel")
            await ctx.flush()
            events.comment("later")
            ctx.write("lo\n\n")

        self.assert_complete(self.answer(handler), b"data: hello\n\n: later\n")

    def test_what_is_sent_by_itself_past_16_kib_counts_too(self) -> None:
        client = self.writing(ping=None)
        client.read()
        self.context.write("data: " + "x" * 17_000)
        self.news.publish("one")
        client.clock.advance(0)
        self.context.write("y\n\n")
        self.context.flush()
        client.clock.advance(0)
        hand, published = client.read_events()
        self.assertEqual((len(hand.data or ""), published.data), (17_001, "one"))

    def test_a_subscription_begun_in_the_middle_waits_too(self) -> None:
        async def handler(ctx: Context) -> None:
            self.context = ctx
            hub = Hub(clock=ctx.clock)
            news = hub.channel("news", history=10)
            news.publish("old")
            events = ctx.sse(ping=None)
            ctx.write("data: hel")
            ctx.flush()
            events.subscribe(news, after=news.oldest, detached=True)
            await ctx.sleep(1)
            ctx.write("lo\n\n")
            ctx.flush()
            await ctx.done()

        client = self.get(handler)
        client.receive()
        client.clock.advance(1)
        client.clock.advance(0)
        self.assertEqual([e.data for e in client.read_events()], ["hello", "old"])

    def test_a_message_of_a_broadcast_waits_within_its_limit(self) -> None:
        client = self.writing(subscribe=False, ping=None)
        broadcast = Broadcast(client.clock)
        broadcast.add(response_of(self.context))
        self.piece("data: hel")
        broadcast.send(Frame(b"data: one\n\n"))
        client.clock.advance(0)
        self.assertEqual(client.read(), b"data: hel")
        self.assertEqual(response_of(self.context).backlog, len(b"data: one\n\n"))
        self.piece("lo\n\n")
        self.assertEqual([e.data for e in client.read_events()], ["hello", "one"])

    def test_a_line_of_json_by_hand_is_kept_whole_as_well(self) -> None:
        async def handler(ctx: Context) -> None:
            self.context = ctx
            self.news = Hub(clock=ctx.clock).channel("news")
            ctx.subscribe(self.news, detached=True)
            await ctx.done()

        client = self.get(handler)
        client.receive()
        self.piece('{"mine":')
        self.news.publish(1)
        client.clock.advance(0)
        self.piece(" 2}\n")
        client.clock.advance(0)
        mine, published = client.read_values()
        self.assertEqual((mine, published["data"]), ({"mine": 2}, 1))

    def test_one_that_waits_in_the_middle_is_notified_of_the_end(self) -> None:
        client = self.writing(ping=None)
        self.piece("data: hel")
        self.news.publish("one")
        client.clock.advance(0)
        client.disconnect()
        self.assertEqual(self.news.subscriber_count, 0)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    @settings(max_examples=60)
    @given(
        st.lists(
            st.one_of(
                st.sampled_from(["data: a", "\n", "\r\n", "\r", "b", "data: c\n\n", "x" * 17_000]),
                st.sampled_from([1, 2]),
                st.sampled_from([0.0, 1.5]),
            ),
            max_size=25,
        )
    )
    def test_whatever_the_pieces_are_each_event_arrives_whole(self, steps: list[Any]) -> None:
        client = self.writing()
        by_hand: list[str] = []
        published = 0
        for step in steps:
            match step:
                case str():
                    by_hand.append(step)
                    self.piece(step)
                case int():
                    for _ in range(step):
                        published += 1
                        self.news.publish(f"published {published}")
                case float():
                    client.clock.advance(step)
        by_hand.append("\n\n\n")
        self.piece("\n\n\n")
        client.clock.advance(3)
        client.clock.advance(0)
        client.receive()
        events = [event.data for event in EventDecoder().feed(client.response.body)]
        of_channel = [data for data in events if (data or "").startswith("published")]
        mine = [data for data in events if not (data or "").startswith("published")]
        self.assertEqual(of_channel, [f"published {n}" for n in range(1, published + 1)])
        alone = [event.data for event in EventDecoder().feed("".join(by_hand).encode())]
        self.assertEqual(mine, alone)
        client.disconnect()
