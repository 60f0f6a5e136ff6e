"""
Channels that close when nobody uses them, and publishing without making a channel.
"""

import gc
import sys
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from tests.channels.case import Busy, ChannelTest
from twistream import Channel, ChannelClosed, Context, EncodeError, Hub, StreamResource


class LingerTests(ChannelTest):
    """
    A channel that closes after 8 seconds.
    """

    def setUp(self) -> None:
        super().setUp()
        self.news = self.hub.channel("news", history=5, linger=8.0)

    def wait(self, seconds: float) -> None:
        """
        Let time pass in steps, as on a reactor.
        """
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def assert_closes_within(self, least: float, most: float) -> None:
        self.wait(least - 0.25)
        self.assertFalse(self.news.closed)
        self.assertIs(self.hub.get("news"), self.news)
        self.wait(most - least + 0.5)
        self.assertTrue(self.news.closed)
        self.assertNotIn("news", self.hub)

    def test_it_closes_when_nobody_uses_it(self) -> None:
        self.assert_closes_within(8, 10)

    def test_a_message_keeps_it_open(self) -> None:
        self.wait(7)
        self.publish(self.news)
        self.assert_closes_within(8, 10.25)

    def test_a_subscriber_keeps_it_open_however_long_it_is_silent(self) -> None:
        reader = self.join(self.news)
        self.wait(100)
        self.assertFalse(self.news.closed)
        reader.client.disconnect()
        self.assert_closes_within(8, 10)

    def test_who_subscribes_in_the_last_moment_keeps_it_open(self) -> None:
        self.wait(7.75)
        reader = self.join(self.news)
        self.wait(20)
        self.publish(self.news)
        self.settle()
        reader.read()
        self.assertFalse(self.news.closed)

    def test_nothing_is_left_of_it(self) -> None:
        self.wait(20)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.hub.channels, ())
        with self.assertRaises(ChannelClosed):
            self.news.publish("late")

    def test_closing_it_stops_the_timer(self) -> None:
        reader = self.join(self.news)
        self.news.close()
        self.settle()
        reader.client.disconnect()
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.getTime() > 7], [])

    def test_a_clock_that_is_set_back_only_makes_it_later(self) -> None:
        self.wait(4)
        self.clock.rightNow -= 2
        self.wait(20)
        self.assertTrue(self.news.closed)

    def test_the_first_caller_sets_it(self) -> None:
        self.assertEqual(self.news.linger, 8.0)
        self.assertIs(self.hub.channel("news"), self.news)
        self.assertIs(self.hub.channel("news", linger=8), self.news)
        with self.assertRaisesRegex(ValueError, "exists with history=5, linger=8; pass the same"):
            self.hub.channel("news", linger=9)
        for_ever = self.hub.channel("other")
        self.assertIsNone(for_ever.linger)
        with self.assertRaisesRegex(ValueError, "exists with history=0; pass the same"):
            self.hub.channel("other", linger=9)
        self.wait(50)
        self.assertFalse(for_ever.closed)

    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["publish", "join", "leave"]), st.integers(0, 40)),
            max_size=12,
        )
    )
    def test_it_never_closes_early_and_always_closes(self, steps: list[tuple[str, int]]) -> None:
        clock = self.clock = Busy()
        hub = self.hub = Hub(clock=clock)
        news = hub.channel("news", linger=8.0)
        readers: list[Any] = []
        used = clock.seconds()
        for step, quarters in steps:
            for _ in range(quarters):
                clock.advance(0.25)
                used = clock.seconds() if readers else used
                if clock.seconds() - used < 8:
                    self.assertFalse(news.closed)
                if clock.seconds() - used > 10.5:
                    self.assertTrue(news.closed)
            if news.closed:
                news = hub.channel("news", linger=8.0)
                used = clock.seconds()
            if step == "publish":
                news.publish("x")
                used = clock.seconds()
            elif step == "join":
                readers.append(self.join(news))
                used = clock.seconds()
            elif readers:
                readers.pop().client.disconnect()
                used = clock.seconds()
        for reader in readers:
            reader.client.disconnect()
        clock.pump([0.25] * 50)
        self.assertEqual(hub.channels, ())


class ManyTests(ChannelTest):
    """
    Channels with names that do not come to an end.
    """

    def test_a_hundred_thousand_that_come_and_go_take_no_memory(self) -> None:
        clock = Clock()
        hub = Hub(clock=clock)

        def come_and_go(names: range) -> int:
            for n in names:
                hub.channel(f"user-{n}", history=3, linger=1.0).publish(n)
                clock.advance(0.01)
            gc.collect()
            return sys.getallocatedblocks()

        before = come_and_go(range(1_000))
        after = come_and_go(range(1_000, 101_000))
        self.assertLess(len(hub.channels), 150)
        # Each object takes a block; a thousandth of the channels would be noticed.
        self.assertLess(after - before, 1_000)
        clock.pump([0.25] * 8)
        self.assertEqual((hub.channels, clock.getDelayedCalls()), ((), []))
        self.assertEqual(hub.statistics().published, 101_000)


class EndedTests(ChannelTest):
    """
    A client that reconnects to a channel that has closed meanwhile.
    """

    def served(self, find: Callable[[], Channel | None]) -> StreamResource:
        async def feed(ctx: Context) -> None:
            events = ctx.sse(ping=None)
            channel = find()
            if channel is None:
                events.stop_reconnecting()
            else:
                await events.subscribe(channel)

        return StreamResource(feed, clock=self.clock)

    def last_id(self) -> str:
        channel = self.hub.channel("user-5", history=5, linger=1.0)
        last = self.send(channel)
        for _ in range(20):
            self.clock.advance(0.25)
        self.assertEqual(self.hub.channels, ())
        return last

    def test_with_channel_it_gets_a_gap_and_what_follows(self) -> None:
        last = self.last_id()
        resource = self.served(lambda: self.hub.channel("user-5", history=5, linger=1.0))
        client = self.client(resource, headers={"Last-Event-ID": last})
        self.settle()
        [gap] = client.read_events()
        self.assertEqual(gap.event, "gap")
        self.assertIn('"reason":"unknown"', gap.data or "")
        self.hub.publish("user-5", "new")
        self.settle()
        self.assertEqual([event.data for event in client.read_events()], ["new"])

    def test_with_get_it_gets_a_204(self) -> None:
        last = self.last_id()
        resource = self.served(lambda: self.hub.get("user-5"))
        client = self.client(resource, headers={"Last-Event-ID": last})
        self.assertEqual(client.receive().status, 204)

    def test_with_a_channel_that_closed_before_the_handler_subscribes_it_gets_a_204(self) -> None:
        channel = self.hub.channel("user-5", linger=1.0)
        for _ in range(20):
            self.clock.advance(0.25)
        client = self.client(self.served(lambda: channel))
        self.settle()
        self.assertEqual(client.receive().status, 204)


class PublishTests(ChannelTest):
    """
    `Hub.publish`.
    """

    def test_it_publishes_to_a_channel_that_exists(self) -> None:
        news = self.hub.channel("news")
        reader = self.client(self.resource(news))
        published = self.hub.publish("news", "a", "greeting")
        assert published is not None
        self.assertEqual(self.successResultOf(published), news.last)
        self.settle()
        [event] = reader.read_events()
        self.assertEqual((event.data, event.event), ("a", "greeting"))

    def test_it_makes_no_channel(self) -> None:
        self.assertIsNone(self.hub.publish("news", "a"))
        self.assertEqual(self.hub.channels, ())

    def test_a_mistake_is_an_error_even_if_nobody_is_subscribed(self) -> None:
        for _ in range(2):
            self.assertRaises(TypeError, self.hub.publish, "news", b"a")
            self.assertRaises(TypeError, self.hub.publish, b"news", "a")
            self.assertRaises(ValueError, self.hub.publish, "news", "a", "gap")
            self.assertRaises(EncodeError, self.hub.publish, "news", float("nan"))
            self.hub.channel("news")
