"""
``warn_slow``: the warning that a slow client finds in its stream if it reads before it is cut.
"""

import json
from typing import Any

from tests.channels.case import ChannelTest
from tests.harness import Client
from twistream import Channel, Context, EventDecoder, SlowConsumer, StreamResource

LIMIT = 1_000
HALF = LIMIT // 2


class WarningTests(ChannelTest):
    def slow(self, *channels: Channel, **options: Any) -> Client:
        """
        A client that reads nothing until it is resumed.
        """
        options = {"max_queued": LIMIT, "warn_slow": True} | options
        client = self.client(self.resource(*channels, **options))
        client.read()
        client.pause()
        return client

    def publish_until(self, channel: Channel, size: int) -> None:
        """
        Publish one message a turn until the first subscriber has more than `size` bytes queued.
        """
        while channel.subscriptions and self.queued(channel) <= size:
            self.publish(channel, size=50)
            self.clock.advance(0)

    def queued(self, channel: Channel) -> int:
        return channel.subscriptions[0].statistics().queued

    def events(self, client: Client) -> list[tuple[str | None, Any]]:
        """
        What the client receives when it reads: the name and the data of each event.
        """
        client.resume()
        self.settle()
        events = EventDecoder().feed(client.read())
        return [(event.event, json.loads(event.data or "")) for event in events]

    def warnings(self, client: Client) -> list[Any]:
        return [data for event, data in self.events(client) if event == "slow"]

    def test_it_is_queued_behind_the_message_that_fills_half_of_the_queue(self) -> None:
        news = self.hub.channel("news")
        client = self.slow(news)
        self.publish_until(news, HALF)
        last = news.published
        self.publish(news)
        events = self.events(client)
        [at] = [at for at, (event, _) in enumerate(events) if event == "slow"]
        self.assertEqual(at, last)
        warning = events[at][1]
        self.assertEqual(set(warning), {"queued", "limit"})
        self.assertEqual(warning["limit"], LIMIT)
        self.assertTrue(HALF < warning["queued"] < HALF + 100)
        numbers = [data[0] for event, data in events if event != "slow"]
        self.assertEqual(numbers, list(range(1, last + 2)))

    def test_half_of_the_queue_is_no_reason(self) -> None:
        news = self.hub.channel("news")
        client = self.slow(news)
        self.publish_until(news, HALF - 100)
        self.assertLessEqual(self.queued(news), HALF)
        self.assertEqual(self.warnings(client), [])

    def test_it_is_sent_once_until_the_queue_is_empty(self) -> None:
        news = self.hub.channel("news")
        client = self.slow(news)
        self.publish_until(news, LIMIT - 150)
        self.assertEqual(len(self.warnings(client)), 1)
        client.pause()
        self.publish_until(news, LIMIT - 150)
        self.assertEqual(len(self.warnings(client)), 1)
        self.assertEqual(self.ends, [])

    def test_a_client_that_does_not_read_is_cut_all_the_same(self) -> None:
        news = self.hub.channel("news")
        client = self.slow(news)
        self.publish_until(news, LIMIT)
        [end] = self.ends
        assert isinstance(end, SlowConsumer)
        self.assertTrue(client.aborted)
        self.assertEqual(news.statistics().cut, 1)

    def test_without_the_option_there_is_none(self) -> None:
        news = self.hub.channel("news")
        client = self.slow(news, warn_slow=False)
        self.publish_until(news, LIMIT - 150)
        self.assertEqual(self.warnings(client), [])

    def test_it_has_no_id(self) -> None:
        news = self.hub.channel("news")
        client = self.slow(news)
        self.publish_until(news, HALF)
        client.resume()
        self.settle()
        decoder = EventDecoder()
        *_, before, warning = decoder.feed(client.read())
        self.assertEqual(warning.event, "slow")
        self.assertEqual(decoder.last_event_id, before.id)
        self.assertEqual(before.id, news.last)

    def test_statistics_do_not_count_it_as_a_message(self) -> None:
        news = self.hub.channel("news")
        self.slow(news)
        self.publish_until(news, HALF)
        self.assertEqual(news.subscriptions[0].statistics().lag, news.published)

    def test_a_burst_to_a_client_that_keeps_up_is_no_reason(self) -> None:
        news = self.hub.channel("news")
        for passes in (None, lambda _: True):
            with self.subTest(filter=passes):
                client = self.slow(news, filter=passes)
                client.resume()
                self.settle()
                for _ in range(5):
                    self.publish(news, 9, size=50)
                    self.clock.advance(0)
                self.assertEqual(self.warnings(client), [])
                self.assertEqual(self.ends, [])

    def test_a_queue_without_room_for_it_has_none(self) -> None:
        news = self.hub.channel("news")
        client = self.slow(news, max_queued=130)
        self.publish(news, size=50)
        self.clock.advance(0)
        self.assertTrue(65 < self.queued(news) <= 130)
        self.assertEqual(self.warnings(client), [])

    def test_json_lines_have_a_line(self) -> None:
        news = self.hub.channel("news")

        async def lines(ctx: Context) -> None:
            await ctx.subscribe(news, max_queued=LIMIT, warn_slow=True)

        client = self.client(StreamResource(lines, clock=self.clock))
        client.read()
        client.pause()
        self.publish_until(news, HALF)
        client.resume()
        self.settle()
        last = json.loads(client.read().splitlines()[-1])
        self.assertEqual(set(last), {"slow"})
        self.assertEqual(last["slow"]["limit"], LIMIT)

    def test_other_policies_refuse_it(self) -> None:
        news = self.hub.channel("news", history=10)
        for options in ({}, *({"on_slow": name} for name in ("catchup", "latest", "drop"))):
            with self.subTest(options):
                self.ends.clear()
                client = self.client(self.resource(news, warn_slow=True, **options))
                self.assertEqual(client.receive().status, 500)
                self.logged(ValueError)
                [end] = self.ends
                self.assertRegex(str(end), '^warn_slow needs on_slow="disconnect"')
                self.assertEqual(news.subscriber_count, 0)

    def test_a_channel_with_a_history_may_disconnect_with_a_warning(self) -> None:
        news = self.hub.channel("news", history=10)
        client = self.slow(news, on_slow="disconnect")
        self.publish_until(news, HALF)
        self.assertEqual(len(self.warnings(client)), 1)
