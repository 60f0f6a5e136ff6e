"""
What streams have in common that follow the same.
"""

from collections.abc import Callable
from typing import Any

from tests.channels.case import ChannelTest
from twistream import Channel, Context, Hub


class SharingTests(ChannelTest):
    def test_streams_that_follow_the_same_share_a_feed(self) -> None:
        red, blue = self.hub.channel("red"), self.hub.channel("blue")
        for channels in ((red,), (red,), (blue,), (red, blue), (red, blue), (blue, red)):
            self.join(*channels)
        self.assertEqual((len(red._core.feeds), len(blue._core.feeds)), (3, 3))

    def test_one_that_nobody_follows_is_gone(self) -> None:
        red, blue = self.hub.channel("red"), self.hub.channel("blue")
        readers = [self.join(red, blue) for _ in range(2)]
        readers[0].client.disconnect()
        self.assertEqual(len(blue._core.feeds), 1)
        readers[1].client.disconnect()
        self.assertEqual((red._core.feeds, blue._core.feeds), ({}, {}))

    def test_all_get_the_same_bytes(self) -> None:
        red = self.hub.channel("red")
        readers = [self.join(red) for _ in range(3)]
        before = [len(reader.client.writes) for reader in readers]
        red.publish("a")
        self.clock.advance(0)
        sent = [reader.client.writes[n:] for reader, n in zip(readers, before, strict=True)]
        self.assertEqual([len(writes) for writes in sent], [1] * 3)
        self.assertEqual(len({id(data) for [data] in sent}), 1)

    def test_nothing_is_encoded_for_nobody(self) -> None:
        red = self.hub.channel("red", history=1)
        reader = self.join(red, max_queued=1)
        reader.client.pause()
        red.publish("leaves it to the history")
        self.clock.advance(0)
        [feed] = red._core.feeds.values()
        self.assertEqual(len(feed.broadcast), 0)
        red.publish("a")
        self.assertEqual(feed.broadcast._frames, [])


class ClockTests(ChannelTest):
    def test_streams_on_two_clocks_share_a_channel(self) -> None:
        hub = Hub()
        news = hub.channel("news")
        mine = self.join(news)
        theirs = self.get(self.feed_of(news))
        theirs.receive()
        self.publish(news)
        self.assertEqual(mine.read().numbers, [1])
        self.assertIn(b"data: [1,", theirs.read())

    def feed_of(self, channel: Channel) -> Callable[[Context], Any]:
        async def feed(ctx: Context) -> None:
            await ctx.sse(ping=None).subscribe(channel)

        return feed
