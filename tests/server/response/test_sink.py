"""
A stage sees every piece of a body, whoever sends it, and its end.
"""

from tests.harness import StreamTest
from tests.server.responses import response_of
from twistream import Context, Hub
from twistream.server.response.sink import Stage


class Louder(Stage):
    """
    Changes the pieces and adds one at the end.
    """

    __slots__ = ()

    def put(self, data: bytes) -> None:
        super().put(data.upper())

    def put_end(self) -> None:
        super().put(b"END")
        super().put_end()


class StageTests(StreamTest):
    def test_flushed_pieces_and_the_end_pass_through_it(self) -> None:
        async def handler(ctx: Context) -> None:
            response_of(ctx).writer.insert(Louder)
            ctx.write("a")
            await ctx.flush()
            await ctx.stream(["b", "c"])
            ctx.write("d")

        response = self.answer(handler)
        self.assert_complete(response, b"ABCDEND")
        self.assertEqual(response.chunks, [b"A", b"B", b"C", b"D", b"END"])

    def test_published_messages_pass_through_it(self) -> None:
        news = Hub().channel("news")

        async def handler(ctx: Context) -> None:
            response_of(ctx).writer.insert(Louder)
            await ctx.subscribe(news)

        client = self.get(handler)
        client.read_chunks()
        for data in ("a", "b"):
            news.publish(data)
        client.clock.advance(0)
        chunks = client.read_chunks()
        self.assertEqual(len(chunks), 2)
        self.assertTrue(chunks[0].endswith(b'"DATA":"A"}\n'), chunks)
        self.assertTrue(chunks[1].endswith(b'"DATA":"B"}\n'), chunks)

    def test_what_was_postponed_during_an_event_by_hand_passes_through_it(self) -> None:
        news = Hub().channel("news")

        async def handler(ctx: Context) -> None:
            response_of(ctx).writer.insert(Louder)
            events = ctx.sse()
            subscribed = events.subscribe(news)
            ctx.write("event: mine\n")
            await ctx.flush()
            news.publish("theirs")
            await ctx.sleep(1.0)
            ctx.write("data: a\n\n")
            await ctx.flush()
            await subscribed

        client = self.get(handler)
        client.clock.advance(1.0)
        client.clock.advance(0)
        events = client.read_raw()
        self.assertLess(events.index(b"DATA: A"), events.index(b"THEIRS"))
        self.assertNotIn(b"theirs", events)
