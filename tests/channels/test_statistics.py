"""
Figures, as they are when asked for.
"""

from tests.channels.case import ChannelTest


class StatisticsTests(ChannelTest):
    def test_they_count_what_there_is(self) -> None:
        red, blue = self.hub.channel("red", history=3), self.hub.channel("blue", history=9)
        self.join(red)
        both = self.join(red, blue)
        self.publish(red, 5)
        self.publish(blue, 2)
        of_red = red.statistics()
        self.assertEqual((of_red.subscribers, of_red.published, of_red.history), (2, 5, 3))
        self.assertEqual(
            of_red.history_bytes, sum(len(f'[{n},"","{red.last[:16]}"]') for n in (3, 4, 5))
        )
        of_hub = self.hub.statistics()
        self.assertEqual((of_hub.channels, of_hub.subscriptions), (2, 2))
        self.assertEqual((of_hub.published, of_hub.history), (7, 5))
        both.read()

    def test_what_waits_is_counted_for_the_client_and_for_all(self) -> None:
        red = self.hub.channel("red")
        reader = self.join(red)
        before = red.subscriptions[0].statistics().queued
        reader.client.pause()
        self.publish(red, size=1_000)
        self.clock.advance(0)
        self.clock.advance(7)
        [subscription] = red.subscriptions
        statistics = subscription.statistics()
        self.assertGreater(statistics.queued, before + 1_000)
        self.assertEqual((statistics.lag, statistics.dropped), (1, 0))
        self.assertEqual(self.clock.seconds() - statistics.last_drain, 7)
        self.assertEqual(red.statistics().queued, statistics.queued)
        self.assertEqual(self.hub.statistics().queued, statistics.queued)
        self.assertIs(subscription.context, self.contexts[0])
        reader.client.resume()
        self.settle()
        after = subscription.statistics()
        self.assertEqual((after.lag, after.last_drain), (0, self.clock.seconds()))

    def test_a_closed_channel_goes_on_counting_while_it_drains(self) -> None:
        red = self.hub.channel("red")
        cut = self.join(red, max_queued=100, on_slow="disconnect")
        dropping = self.join(red, max_queued=100, on_slow="drop")
        for reader in (cut, dropping):
            reader.client.pause()
        self.publish(red, 5, size=50)
        red.close()
        self.settle()
        dropping.client.resume()
        self.settle()
        self.assertEqual(len(dropping.read().gaps), 1)
        for _ in range(2):
            of_hub, of_red = self.hub.statistics(), red.statistics()
            self.assertEqual(
                (of_hub.published, of_hub.cut, of_hub.gaps, of_hub.dropped),
                (of_red.published, 1, 1, of_red.dropped),
            )
            self.hub.channel("another").close()
        self.assertEqual(self.hub._draining, [])  # No public name shows that the history is freed.

    def test_every_gauge_is_back_at_zero_when_all_have_left(self) -> None:
        red, blue = self.hub.channel("red", history=3), self.hub.channel("blue")
        readers = [self.join(red, blue, max_queued=100, on_slow="drop") for _ in range(10)]
        for reader in readers[::2]:
            reader.client.pause()
        self.publish(red, 5, size=50)
        self.publish(blue, 5, size=50)
        self.clock.advance(0)
        for reader in readers:
            reader.client.disconnect()
        self.settle()
        statistics = self.hub.statistics()
        self.assertEqual((statistics.subscriptions, statistics.queued), (0, 0))
        self.assertEqual((red.subscriber_count, red._core.feeds, blue._core.feeds), (0, {}, {}))
        self.assertGreater(statistics.dropped, 0)
