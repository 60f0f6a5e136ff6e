"""
A head that is held back until the first event.
"""

from typing import Any

from tests.harness import StreamTest
from twistream import Context, HTTPError, Hub


class HeldHeadTests(StreamTest):
    def test_an_error_before_the_first_event_is_an_error_page(self) -> None:
        async def feed(ctx: Context) -> None:
            ctx.sse(open="first_event", retry=1.0)
            await ctx.sleep(5)
            raise HTTPError(502, "The gateway failed.")

        client = self.get(feed)
        client.clock.advance(4)
        self.assertEqual(client.read_raw(), b"")
        client.clock.advance(1)
        response = client.receive()
        self.assertEqual(response.status, 502)
        self.assertEqual(response.body, b"502 Bad Gateway\nThe gateway failed.\n")

    def test_the_first_event_sends_the_head_and_the_retry_time(self) -> None:
        async def feed(ctx: Context) -> None:
            events = ctx.sse(open="first_event", retry=1.0)
            await ctx.sleep(5)
            ctx.header("X-Late", "yes")
            await events.send("a")

        client = self.get(feed)
        self.assertEqual(client.read_raw(), b"")
        client.clock.advance(5)
        response = client.receive()
        self.assertEqual((response.status, response.header("X-Late")), (200, "yes"))
        self.assertEqual(response.body, b"retry: 1000\ndata: a\n\n")

    def test_the_first_ping_sends_the_head_and_the_retry_time(self) -> None:
        async def feed(ctx: Context) -> None:
            ctx.sse(ping=10.0, open="first_event", retry=1.0)
            await ctx.sleep(100)

        client = self.get(feed)
        client.clock.advance(0)
        client.clock.advance(9)
        self.assertEqual(client.read_raw(), b"")
        client.clock.advance(3)
        self.assertEqual(client.receive().body, b"retry: 1000\n: ping\n")

    def test_by_default_the_head_is_sent_at_the_end_of_the_turn(self) -> None:
        async def feed(ctx: Context) -> None:
            ctx.sse()
            await ctx.sleep(100)

        self.assertEqual(self.get(feed).receive().status, 200)

    def test_a_stream_without_a_body_is_complete(self) -> None:
        hub = Hub()
        news = hub.channel("news")

        async def feed(ctx: Context) -> None:
            await ctx.sse(open="first_event").subscribe(news)

        client = self.start(feed, "HEAD")
        self.assert_complete(client.receive(), b"")

    def subscribed(self, ping: float | None, format: str) -> Any:
        """
        A client of a channel, and the channel.
        """
        hub = Hub()
        news = hub.channel("news", history=5)
        news.publish("before")

        async def feed(ctx: Context) -> None:
            if format == "lines":
                await ctx.subscribe(news, open="first_event")
            else:
                await ctx.sse(ping, open="first_event").subscribe(news)

        return self.get(feed), news

    def test_a_subscription_opens_with_the_first_message(self) -> None:
        for ping, format in ((None, "events"), (60.0, "events"), (None, "lines")):
            with self.subTest(ping=ping, format=format):
                client, news = self.subscribed(ping, format)
                self.assertEqual(client.read_raw(), b"")
                news.publish("first")
                response = client.receive()
                self.assertEqual(response.status, 200)
                self.assertIn(b"first", response.body)
                self.assertNotIn(b"before", response.body)

    def test_a_subscription_that_ends_without_a_message_is_a_204(self) -> None:
        client, news = self.subscribed(None, "events")
        client.clock.advance(3)
        news.close()
        client.clock.advance(0)
        self.assertEqual(client.receive().status, 204)

    def test_a_replay_opens_at_once(self) -> None:
        hub = Hub()
        news = hub.channel("news", history=5)
        news.publish("before")

        async def feed(ctx: Context) -> None:
            await ctx.sse(open="first_event").subscribe(news, after=news.oldest)

        self.assertIn(b"data: before\n", self.get(feed).receive().body)
