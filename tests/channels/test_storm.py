"""
Many clients that reconnect at once: their replays share a budget, and live messages do not wait.
"""

import gc

from tests.channels.case import ChannelTest
from tests.harness.reader import Reader
from twistream.channels import pages as pages_module
from twistream.channels.pages import PageCache
from twistream.scheduling.pacing import BUDGET
from twistream.scheduling.turn import Turn
from twistream.wire.frames import Batch, Frame
from twistream.wire.messages import EVENTS, JSON_LINES, Message

CLIENTS, MESSAGES, SIZE = 60, 40, 1000


class StormTests(ChannelTest):
    """
    A restart: every client asks for the whole history.
    """

    def setUp(self) -> None:
        super().setUp()
        self.news = self.hub.channel("news", history=MESSAGES + 10)
        self.publish(self.news, MESSAGES, SIZE)
        self.readers: list[Reader] = []

    def come(self, count: int = CLIENTS) -> None:
        for _ in range(count):
            self.readers.append(self.follow(self.news, last_event_id=self.news.oldest))

    def received(self) -> list[int]:
        """
        The bytes that each client receives now.
        """
        return [len(reader.client.read_raw()) for reader in self.readers]

    def test_a_turn_sends_no_more_than_the_budget_and_each_client_its_part(self) -> None:
        self.come()
        per_client = MESSAGES * SIZE
        total = [0] * CLIENTS
        turns = 0
        while min(total) < per_client:
            sizes = self.received()
            # A step of the clock may be two turns, and the last piece of a turn may be whole.
            self.assertLess(sum(sizes), 2 * (BUDGET + per_client) + 500 * CLIENTS)
            total = [before + now for before, now in zip(total, sizes, strict=True)]
            turns += 1
            self.assertLess(turns, 100)
            self.clock.advance(0.001)
        self.assertGreater(turns, CLIENTS * per_client // (2 * BUDGET))

    def test_a_live_message_does_not_wait_for_them(self) -> None:
        live = self.join(self.hub.channel("live"))
        self.come()
        self.hub.publish("live", [1, "now", ""])
        self.clock.advance(0.001)
        self.assertIn(b"now", live.client.read_raw())
        self.assertIn(0, [size > MESSAGES * SIZE for size in self.received()])

    def test_all_receive_everything_and_nothing_twice(self) -> None:
        self.come()
        self.clock.advance(0.001)
        self.publish(self.news, 3)
        for reader in self.readers:
            reader.read()
        self.settle()
        for reader in self.readers:
            reader.read()
            self.assertEqual(len(reader.events), MESSAGES + 3)

    def test_those_that_leave_while_they_wait_leave_nothing_behind(self) -> None:
        self.come()
        for reader in self.readers:
            reader.client.disconnect()
        self.settle()
        self.assertEqual((self.news.subscriber_count, self.news._core.feeds), (0, {}))
        self.assertEqual(self.flushLoggedErrors(), [])


class PageCacheTests(ChannelTest):
    """
    Pages that several clients receive are encoded once.
    """

    def messages(self, count: int, size: int = 10) -> list[Message]:
        return [
            Message(channel="a", id=f"e-{n + 1}", previous=f"e-{n}", event=None, payload="x" * size)
            for n in range(count)
        ]

    def test_the_same_messages_in_the_same_format_are_encoded_once(self) -> None:
        cache, messages = PageCache(), self.messages(5)
        batch = cache.batch(messages, EVENTS)
        self.assertIs(cache.batch(list(messages), EVENTS), batch)
        for other in (cache.batch(messages[:4], EVENTS), cache.batch(messages, JSON_LINES)):
            self.assertIsNot(other, batch)
        expected = Batch([Frame(each.encoded(EVENTS, each.id)) for each in messages])
        self.assertEqual((batch.as_chunks, batch.size), (expected.as_chunks, expected.size))

    def test_it_is_limited_and_forgets_what_was_used_longest_ago(self) -> None:
        self.patch(pages_module, "_LIMIT", 1000)
        cache, messages = PageCache(), self.messages(40, 100)
        batches = [cache.batch(messages[n : n + 1], EVENTS) for n in range(40)]
        self.assertIs(cache.batch(messages[39:], EVENTS), batches[39])
        self.assertIsNot(cache.batch(messages[:1], EVENTS), batches[0])
        self.assertLess(len(cache._pages), 10)
        # One that is larger than the limit is used all the same.
        large = self.messages(1, 5000)
        self.assertIs(cache.batch(large, EVENTS), cache.batch(large, EVENTS))

    def test_it_lives_as_long_as_somebody_follows(self) -> None:
        turn = Turn.of(self.clock)
        gc.collect()
        self.assertNotIn(id(turn), PageCache._caches)
        news = self.hub.channel("news", history=5)
        self.publish(news, 5)
        reader = self.follow(news, last_event_id=news.oldest).read()
        self.assertEqual(len(PageCache.of(turn)._pages), 1)
        reader.client.disconnect()
        self.settle()
        gc.collect()
        self.assertNotIn(id(turn), PageCache._caches)
