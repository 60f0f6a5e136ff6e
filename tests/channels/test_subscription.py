"""
From the past into the present: no hole, no double, and a gap that is told.
"""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from tests.channels.case import ChannelTest
from tests.harness.reader import Reader, epoch, numbers
from tests.server.responses import response_of
from twistream import (
    Channel,
    ClientDisconnected,
    ContentLengthMismatch,
    Context,
    Hub,
    MemoryEngine,
    Message,
    SlowConsumer,
    StreamResource,
)
from twistream.channels.engine import Page
from twistream.channels.memory import MemoryLog


class LiveTests(ChannelTest):
    def test_a_message_reaches_everybody_as_one_event_with_the_id_that_publish_returned(
        self,
    ) -> None:
        news = self.hub.channel("news")
        readers = [self.join(news) for _ in range(3)]
        id_ = self.send(news, "a", "story")
        for reader in readers:
            self.assertEqual(reader.read().events, [("story", 1)])
            self.assertEqual(reader.last_event_id, id_)

    def test_who_asks_for_nothing_gets_what_comes_from_now_on(self) -> None:
        news = self.hub.channel("news", history=10)
        self.publish(news, 3)
        reader = self.join(news)
        self.assertEqual(reader.events, [])
        self.publish(news)
        self.assertEqual(reader.read().events, [("message", 4)])

    def test_who_leaves_before_the_first_message_knows_where_to_go_on(self) -> None:
        news = self.hub.channel("news", history=10)
        self.publish(news, 3)
        reader = self.join(news)
        self.assertEqual(reader.last_event_id, news.last)
        reader.client.disconnect()
        self.publish(news, 2)
        again = self.join(news, last_event_id=reader.last_event_id)
        self.assertEqual(again.numbers, [4, 5])
        self.assertEqual(again.gaps, [])

    def test_what_is_published_in_one_turn_leaves_in_one_piece(self) -> None:
        news = self.hub.channel("news")
        reader = self.join(news)
        before = len(reader.client.writes)
        self.publish(news, 5)
        self.clock.advance(0)
        self.assertEqual(len(reader.client.writes), before + 1)
        self.assertEqual(reader.read().numbers, [1, 2, 3, 4, 5])

    def test_two_formats_share_a_channel(self) -> None:
        news = self.hub.channel("news", history=5)

        async def lines(ctx: Context) -> None:
            await ctx.subscribe(news)

        client = self.client(lines)
        self.assertEqual(client.receive().header("Content-Type"), "application/jsonl")
        reader = self.join(news)
        self.publish(news)
        self.send(news, "é\r\n", "story")
        self.assertEqual(
            client.read_values(),
            [
                {"id": news.last.replace("-2", "-1"), "data": [1, "", epoch(news)]},
                {"id": news.last, "data": [2, "é\r\n", epoch(news)], "event": "story"},
            ],
        )
        self.assertEqual(reader.read().events, [("message", 1), ("story", 2)])

    def test_json_lines_replay_and_tell_a_gap(self) -> None:
        news = self.hub.channel("news", history=2)

        async def lines(ctx: Context) -> None:
            await ctx.subscribe(news)

        self.publish(news, 4)
        asked = news.last.replace("-4", "-1")
        client = self.client(lines, headers={"Last-Event-ID": asked})
        gap, *messages = client.read_values()
        resumed = news.last.replace("-4", "-2")
        expected = {"requested": asked, "resumed_from": resumed, "reason": "trimmed"}
        self.assertEqual(gap, {"gap": expected})
        self.assertEqual([message["data"][0] for message in messages], [3, 4])

    def test_a_subscription_that_is_cancelled_ends_and_the_stream_goes_on(self) -> None:
        news = self.hub.channel("news", history=5)
        failures: list[object] = []

        async def feed(ctx: Context) -> None:
            events = ctx.sse(ping=None)
            first = events.subscribe(news)
            first.addErrback(failures.append)
            await ctx.sleep(1)
            first.cancel()
            await ctx.sleep(1)
            await events.send("b")

        client = self.client(feed)
        self.clock.advance(1)
        self.assertEqual(news.subscriber_count, 0)
        client.receive()
        news.publish("a")
        self.assertEqual(client.read_raw(), b"")
        self.clock.advance(1)
        self.assertIn(b"data: b\n\n", client.read_chunks())
        self.assertEqual(len(failures), 1)

    def test_a_client_that_leaves_ends_its_subscription(self) -> None:
        news = self.hub.channel("news")
        reader = self.join(news)
        reader.client.disconnect()
        [end] = self.ends
        self.assertIsInstance(end, ClientDisconnected)
        self.assertEqual((news.subscriber_count, news._core.feeds), (0, {}))


class ReplayTests(ChannelTest):
    def test_what_was_missed_comes_first_and_then_what_comes(self) -> None:
        news = self.hub.channel("news", history=100)
        self.publish(news, 10)
        reader = self.join(news, last_event_id=news.last.replace("-10", "-4"))
        self.publish(news, 2)
        self.assertEqual(reader.read().numbers, list(range(5, 13)))
        self.assertEqual(reader.gaps, [])

    def test_who_has_everything_gets_nothing(self) -> None:
        news = self.hub.channel("news", history=100)
        self.publish(news, 3)
        reader = self.join(news, last_event_id=news.last)
        self.assertEqual((reader.events, reader.gaps), ([], []))
        self.publish(news)
        self.assertEqual(len(reader.read().events), 1)

    def test_everything_that_is_held_is_asked_for_with_the_oldest_id(self) -> None:
        news = self.hub.channel("news", history=3)
        self.publish(news, 5)
        reader = self.join(news, last_event_id="ignored", after=news.oldest)
        self.assertEqual(reader.numbers, [3, 4, 5])
        self.assertEqual(reader.gaps, [])

    def test_the_id_may_come_in_the_query(self) -> None:
        news = self.hub.channel("news", history=10)
        self.publish(news, 3)
        asked = news.last.replace("-3", "-1")
        client = self.client(self.resource(news), path=f"/?last_event_id={asked}")
        self.assertEqual(client.read().count(b"data: "), 2)

    def test_a_long_replay_comes_in_pages_as_the_client_takes_them(self) -> None:
        news = self.hub.channel("news", history=10_000)
        self.publish(news, 2_000, size=1_000)
        reader = self.reader(self.resource(news), news.oldest)
        reader.client.pause()
        reader.read()
        reader.client.pause()
        before = len(reader.read().events)
        self.settle()
        self.assertEqual(len(reader.read().events), before)
        self.assertLess(before, 500)
        statistics = news.subscriptions[0].statistics()
        self.assertEqual(statistics.lag, 2_000 - before)
        reader.client.resume()
        self.settle()
        self.assertEqual(len(reader.read().events), 2_000)
        self.assertTrue(reader.is_at(news))

    def test_who_leaves_during_a_replay_leaves_nothing_behind(self) -> None:
        news = self.hub.channel("news", history=10_000)
        self.publish(news, 2_000, size=1_000)
        reader = self.reader(self.resource(news), news.oldest)
        reader.client.pause()
        self.assertEqual(news.subscriber_count, 1)
        reader.client.disconnect()
        self.settle()
        self.assertEqual((news.subscriber_count, news._core.feeds, len(self.ends)), (0, {}, 1))

    def test_a_subscription_that_is_cancelled_during_a_replay_sends_no_more(self) -> None:
        news = self.hub.channel("news", history=10_000)
        self.publish(news, 2_000, size=1_000)
        ends: list[Any] = []
        waiting: list[int] = []

        async def feed(ctx: Context) -> None:
            subscription = ctx.sse(ping=None).subscribe(news, after=news.oldest)
            subscription.addErrback(ends.append)
            await ctx.sleep(1)
            subscription.cancel()
            waiting.append(len(response_of(ctx).writer.waits or ()))
            await ctx.sleep(10)

        client = self.client(feed)
        client.pause()
        self.clock.advance(1)
        client.receive()
        client.resume()
        self.settle()
        self.assertEqual(client.read_raw(), b"")
        self.assertTrue(ends[0].check(CancelledError))
        self.assertEqual(waiting, [0])

    def test_a_filter_that_unsubscribes_is_the_last_that_is_asked(self) -> None:
        news = self.hub.channel("news", history=10)
        self.publish(news, 5)
        asked: list[Any] = []

        def passes(message: Any) -> bool:
            asked.append(message.id)
            if len(asked) == 2:
                subscriptions[0].cancel()
            return True

        async def feed(ctx: Context) -> None:
            events = ctx.sse(ping=None)
            await ctx.sleep(1)
            subscription = events.subscribe(news, after=news.oldest, filter=passes)
            subscriptions.append(subscription)
            subscription.addErrback(ends.append)
            await ctx.done()

        subscriptions: list[Any] = []
        ends: list[Any] = []
        client = self.client(feed)
        # So that it is subscribed when the filter is asked.
        client.pause()
        self.clock.advance(1)
        client.resume()
        self.settle()
        self.assertNotIn(b"data", client.read())
        self.assertEqual((len(asked), len(ends)), (2, 1))

    def test_an_engine_that_cannot_be_cancelled_spoils_no_end(self) -> None:
        def canceller(_: Deferred[Page]) -> None:
            raise ZeroDivisionError

        class Log(MemoryLog):
            def read(self, after: str) -> Deferred[Page]:  # noqa: ARG002 - it never answers
                return Deferred(canceller)

        class Engine(MemoryEngine):
            def open(self, *arguments: Any) -> MemoryLog:
                return Log(*arguments)

        self.hub = Hub(Engine(), clock=self.clock)
        news = self.hub.channel("news", history=10)
        self.publish(news)
        reader = self.join(news, after=news.oldest)
        done = self.contexts[0].done()
        reader.client.disconnect()
        self.assertIsInstance(self.successResultOf(done), ClientDisconnected)
        self.assertIsInstance(self.ends[0], ClientDisconnected)
        self.assertEqual(news.subscriber_count, 0)
        self.logged(ZeroDivisionError)

    def test_who_cannot_be_served_is_not_subscribed(self) -> None:
        news = self.hub.channel("news", history=10)

        async def feed(ctx: Context) -> None:
            ctx.header("Content-Length", "3")
            await ctx.sse(ping=None).subscribe(news)

        self.client(feed)
        self.assertEqual((news.subscriber_count, news._core.feeds), (0, {}))
        self.logged(ContentLengthMismatch)


def _ids_that_are_no_position(channel: Channel, other: Channel) -> dict[str, tuple[str, str]]:
    """
    What a client may ask for, and why it cannot have it.
    """
    epoch = channel.last.partition("-")[0]
    return {
        "unknown": ("nonsense", "unknown"),
        "of another channel": (other.last, "unknown"),
        "from the future": (f"{epoch}-99", "rewound"),
        "far from the future": (f"{epoch}-{'9' * 18}", "rewound"),
        "with more digits than a number has": (f"{epoch}-{'9' * 5000}", "unknown"),
        "huge": ("x" * 10_000, "unknown"),
        "huge, of many": (",".join([other.last] * 400), "unknown"),
        "not UTF-8": ("\udcff\udcfe", "unknown"),
        "forged: a negative number": (f"{epoch}--1", "unknown"),
        "forged: a fraction": (f"{epoch}-1.5", "unknown"),
        "forged: digits of other scripts": (f"{epoch}-\u0661", "unknown"),
        "forged: leading zeros": (f"{epoch}-007", "unknown"),
        "forged: half an epoch": (f"{epoch[:-1]}-1", "unknown"),
        "separators only": (",,,", "unknown"),
        "of what is no longer held": (f"{epoch}-1", "trimmed"),
    }


class GapTests(ChannelTest):
    def test_what_cannot_be_gone_on_from_is_told_and_then_all_that_is_held_comes(self) -> None:
        other = self.hub.channel("other")
        news = self.hub.channel("news", history=3)
        self.publish(news, 10)
        for name, (asked, reason) in _ids_that_are_no_position(news, other).items():
            header = asked.encode("utf-8", "surrogateescape")
            client = self.client(self.resource(news), headers={"Last-Event-ID": header})
            body = client.read()
            client.disconnect()
            first, *rest = body.decode().split("\n\n")[:-1]
            fields = dict(line.split(": ", 1) for line in first.split("\n"))
            with self.subTest(name):
                self.assertEqual(fields["event"], "gap")
                self.assertEqual(fields["id"], news.oldest)
                self.assertEqual(
                    json.loads(fields["data"]),
                    {
                        "requested": header.decode("utf-8", "replace"),
                        "resumed_from": news.oldest,
                        "reason": reason,
                    },
                )
                self.assertEqual([line.split("[")[1][:2] for line in rest], ["8,", "9,", "10"])

    def test_a_gap_that_was_told_is_not_told_again(self) -> None:
        news = self.hub.channel("news", history=3)
        self.publish(news, 10)
        reader = self.join(news, last_event_id="nonsense")
        self.assertEqual(len(reader.gaps), 1)
        again = self.join(news, last_event_id=reader.gaps[0]["resumed_from"])
        self.assertEqual(again.gaps, [])
        self.assertEqual(len(again.events), 3)

    def test_another_life_of_a_channel_never_takes_an_id_for_its_own(self) -> None:
        news = self.hub.channel("news", history=10)
        self.publish(news, 3)
        asked = news.last
        news.close()
        news = self.hub.channel("news", history=10)
        self.publish(news, 5)
        reader = self.join(news, last_event_id=asked)
        self.assertEqual([gap["reason"] for gap in reader.gaps], ["unknown"])
        self.assertEqual(len(reader.events), 5)

    def test_without_a_history_every_id_but_the_newest_is_a_gap(self) -> None:
        news = self.hub.channel("news")
        self.publish(news, 3)
        self.assertEqual(self.join(news, last_event_id=news.last).gaps, [])
        reader = self.join(news, last_event_id=news.last.replace("-3", "-2"))
        self.assertEqual([gap["reason"] for gap in reader.gaps], ["trimmed"])
        self.assertEqual(reader.gaps[0]["resumed_from"], news.last)
        self.publish(news)
        self.assertEqual(len(reader.read().events), 1)

    def test_messages_that_are_too_old_are_a_gap(self) -> None:
        news = self.hub.channel("news", history=10, history_ttl=60)
        self.publish(news, 2)
        self.clock.advance(40)
        self.publish(news, 2)
        self.clock.advance(30)
        reader = self.join(news, last_event_id=news.last.replace("-4", "-1"))
        self.assertEqual([gap["reason"] for gap in reader.gaps], ["trimmed"])
        self.assertEqual(reader.numbers, [3, 4])
        news.close()


class SeveralChannelsTests(ChannelTest):
    def test_one_id_goes_on_in_each(self) -> None:
        red, blue = (self.hub.channel(name, history=10) for name in ("red", "blue"))
        reader = self.join(red, blue)
        self.publish(red, 2)
        self.publish(blue)
        self.assertEqual(len(reader.read().events), 3)
        self.assertEqual(reader.last_event_id, f"{red.last},{blue.last}")
        reader.client.disconnect()
        self.publish(red)
        self.publish(blue, 2)
        again = self.join(red, blue, last_event_id=reader.last_event_id)
        self.assertEqual((len(again.events), again.gaps), (3, []))
        self.assertTrue(again.is_at(red, blue))

    def test_the_order_of_the_channels_does_not_matter_to_an_id(self) -> None:
        red, blue = (self.hub.channel(name, history=10) for name in ("red", "blue"))
        self.publish(red, 2)
        self.publish(blue, 2)
        asked = f"{blue.last},{red.last}"
        self.publish(red)
        reader = self.join(red, blue, last_event_id=asked)
        self.assertEqual((len(reader.events), reader.gaps), (1, []))

    def test_one_channel_of_several_goes_on_alone(self) -> None:
        red, blue = (self.hub.channel(name, history=10) for name in ("red", "blue"))
        self.publish(red, 2)
        reader = self.join(red, last_event_id=f"{red.oldest},{blue.last}")
        self.assertEqual((len(reader.events), reader.gaps), (2, []))

    def test_a_channel_that_is_new_to_the_client_is_live_and_no_gap(self) -> None:
        red, blue = (self.hub.channel(name, history=10) for name in ("red", "blue"))
        self.publish(red, 2)
        self.publish(blue, 2)
        reader = self.join(red, blue, last_event_id=red.oldest)
        self.assertEqual((len(reader.events), reader.gaps), (2, []))
        self.assertEqual(reader.last_event_id, f"{red.last},{blue.last}")
        self.publish(blue)
        self.assertEqual(len(reader.read().events), 3)

    def test_one_gap_tells_of_all(self) -> None:
        red = self.hub.channel("red", history=1)
        blue = self.hub.channel("blue", history=10)
        self.publish(red, 3)
        self.publish(blue, 3)
        asked = f"{red.last.replace('-3', '-1')},lost-7"
        reader = self.join(red, blue, last_event_id=asked)
        [gap] = reader.gaps
        self.assertEqual(gap["requested"], asked)
        self.assertEqual(gap["reason"], "trimmed")
        self.assertEqual(gap["channels"], {"red": "trimmed", "blue": "unknown"})
        self.assertEqual(len(reader.events), 4)
        again = self.join(red, blue, last_event_id=gap["resumed_from"])
        self.assertEqual((len(again.events), again.gaps), (4, []))

    def test_the_end_of_one_is_not_the_end_of_the_stream(self) -> None:
        red, blue = (self.hub.channel(name) for name in ("red", "blue"))
        reader = self.join(red, blue)
        red.close()
        self.publish(blue)
        self.assertEqual(len(reader.read().events), 1)
        self.assertEqual(self.ends, [])
        blue.close()
        self.assertTrue(reader.read().response.complete)


class FilterTests(ChannelTest):
    def test_what_does_not_pass_is_not_delivered(self) -> None:
        news = self.hub.channel("news", history=10)
        reader = self.join(news, passes=lambda number: number % 2 == 0)
        self.publish(news, 6)
        self.assertEqual(reader.read().numbers, [2, 4, 6])

    def test_a_filter_sees_what_was_published(self) -> None:
        news = self.hub.channel("news")
        seen: list[Any] = []

        def passes(message: Any) -> bool:
            seen.append((message.channel, message.id, message.event, message.data))
            return True

        self.join(news, filter=passes)
        news.publish([1, {"a": None}], event="story")
        self.clock.advance(0)
        self.assertEqual(seen, [("news", news.last, "story", [1, {"a": None}])])

    def test_what_was_filtered_away_moves_the_cursor(self) -> None:
        news = self.hub.channel("news", history=100)

        async def feed(ctx: Context) -> None:
            await ctx.sse(ping=15).subscribe(news, filter=lambda message: False)

        client = self.client(feed)
        self.publish(news, 10)
        self.assertNotIn(b"data", client.read())
        self.clock.advance(17)
        self.assertEqual(client.read(), b": ping\nid: %b\n\n" % news.last.encode())
        self.clock.advance(17)
        self.assertEqual(client.read(), b": ping\n")

    def test_the_cursor_is_sent_once_after_a_replay_that_was_filtered_away(self) -> None:
        news = self.hub.channel("news", history=100)
        self.publish(news, 3)

        async def feed(ctx: Context) -> None:
            events = ctx.sse(ping=15)
            await events.subscribe(news, after=news.oldest, filter=lambda message: False)

        client = self.client(feed)
        self.assertEqual(client.read(), b"")
        for expected in (b": ping\nid: %b\n\n" % news.last.encode(), b": ping\n"):
            self.clock.advance(17)
            self.assertEqual(client.read(), expected)

    def test_it_is_moved_before_the_history_forgets_where_it_was(self) -> None:
        for history in (0, 3, 40):
            news = self.hub.channel(f"news{history}", history=history)
            reader = self.join(news, passes=lambda number: number > 1_000)
            for _ in range(100):
                self.publish(news)
                self.clock.advance(0)
            reader.read().client.disconnect()
            again = self.join(news, last_event_id=reader.last_event_id)
            self.assertEqual((again.gaps, len(again.numbers) <= history // 4), ([], True))

    def test_a_replay_that_is_filtered_away_moves_the_cursor(self) -> None:
        news = self.hub.channel("news", history=300)
        self.publish(news, 300)
        reader = self.join(news, last_event_id=news.oldest, passes=lambda number: number < 4)
        self.assertEqual(len(reader.events), 3)
        self.assertEqual(reader.last_event_id, news.last)

    def test_one_that_unsubscribes_is_not_called_again(self) -> None:
        news = self.hub.channel("news")
        called: list[str] = []

        def passes(message: Message) -> bool:
            called.append(message.id)
            subscriptions[0].cancel()
            return True

        async def feed(ctx: Context) -> None:
            subscriptions.append(ctx.sse(ping=None).subscribe(news, filter=passes))
            subscriptions[0].addErrback(ends.append)
            await ctx.done()

        subscriptions: list[Any] = []
        ends: list[Any] = []
        client = self.client(feed)
        client.read_raw()
        self.publish(news, 3)
        self.assertNotIn(b"data", client.read_raw())
        self.assertEqual((len(called), len(ends), news.subscriber_count), (1, 1, 0))

    def test_one_that_raises_ends_its_own_stream_and_no_other(self) -> None:
        news = self.hub.channel("news", history=10)
        other = self.join(news)
        reader = self.join(news, passes=lambda number: 1 / (number - 2))
        third = self.join(news)
        self.publish(news, 3)
        self.assertTrue(reader.client.receive().truncated)
        [end] = self.ends
        self.assertIsInstance(end, ZeroDivisionError)
        self.logged(ZeroDivisionError)
        for each in (other, third):
            self.assertEqual(len(each.read().events), 3)
        self.assertEqual(news.subscriber_count, 2)

    def test_one_that_raises_in_a_replay_ends_its_own_stream(self) -> None:
        news = self.hub.channel("news", history=10)
        self.publish(news, 3)
        client = self.client(self.resource(news, after=news.oldest, filter=lambda message: 1 / 0))
        self.assertEqual(client.receive().status, 500)
        self.logged(ZeroDivisionError)
        self.assertEqual((news.subscriber_count, news._core.feeds), (0, {}))
        client.disconnect()

    def test_one_that_fails_as_another_stream_did_ends_its_own_all_the_same(self) -> None:
        for error in (ClientDisconnected(), CancelledError()):
            news = self.hub.channel("news", history=10)
            self.publish(news, 3)

            def passes(message: Any, error: Exception = error) -> bool:
                raise error

            self.follow(news, after=news.oldest, filter=passes)
            self.follow(news, filter=passes)
            self.publish(news)
            self.settle()
            self.assertEqual(self.ends, [error, error])
            self.assertEqual((news.subscriber_count, news._core.feeds), (0, {}))
            self.ends.clear()
            self.flushLoggedErrors()
            news.close()

    def test_one_may_publish(self) -> None:
        news, echo = self.hub.channel("news"), self.hub.channel("echo")

        def passes(message: Any) -> bool:
            self.publish(echo)
            return True

        reader = self.join(news, filter=passes)
        echoed = self.join(echo)
        self.publish(news, 3)
        self.settle()
        self.assertEqual(len(reader.read().events), 3)
        self.assertEqual(len(echoed.read().events), 3)

    def test_a_burst_that_is_larger_than_the_mailbox_does_not_harm_who_keeps_up(self) -> None:
        news = self.hub.channel("news")
        reader = self.join(news, passes=lambda number: True, max_queued=1_000)
        self.publish(news, 100, size=100)
        self.publish(news, size=5_000)
        self.assertEqual(len(reader.read().events), 101)
        self.assertEqual(self.ends, [])


class SlowTests(ChannelTest):
    def slow(self, *channels: Channel, **options: Any) -> Reader:
        reader = self.join(*channels, **options)
        reader.client.pause()
        return reader

    def test_what_a_slow_client_misses_it_gets_when_it_reads_again(self) -> None:
        news = self.hub.channel("news", history=100)
        reader = self.slow(news, max_queued=1_000)
        for _ in range(60):
            self.publish(news, size=50)
            self.clock.advance(0)
        statistics = news.subscriptions[0].statistics()
        self.assertLessEqual(statistics.queued, 1_000)
        self.assertEqual((statistics.lag, statistics.dropped), (60, 0))
        reader.read()
        self.assertEqual(reader.events, [])
        self.clock.advance(5)
        self.assertEqual(news.subscriptions[0].statistics().last_drain, 0)
        reader.client.resume()
        self.settle()
        self.assertEqual(len(reader.read().events), 60)
        self.assertEqual(reader.gaps, [])
        self.publish(news)
        self.assertEqual(len(reader.read().events), 61)
        self.assertEqual(news.subscriptions[0].statistics().lag, 0)

    def test_what_the_history_no_longer_holds_is_a_gap(self) -> None:
        news = self.hub.channel("news", history=5)
        reader = self.slow(news, max_queued=500)
        for _ in range(40):
            self.publish(news, size=50)
            self.clock.advance(0)
        reader.client.resume()
        self.settle()
        [gap] = reader.read().gaps
        self.assertEqual(gap["reason"], "trimmed")
        queued = reader.numbers[:-5]
        self.assertEqual(
            numbers(gap["requested"]), numbers(news.last.replace("-40", f"-{queued[-1]}"))
        )
        self.assertEqual(reader.numbers, [*queued, *range(36, 41)])
        self.assertTrue(queued)
        self.assertEqual(news.statistics().gaps, 1)

    def test_one_that_is_to_be_cut_is_cut_and_its_handler_woken(self) -> None:
        news = self.hub.channel("news")
        other = self.join(news)
        reader = self.slow(news, max_queued=1_000)
        for _ in range(60):
            self.publish(news, size=50)
            self.clock.advance(0)
        [end] = self.ends
        assert isinstance(end, SlowConsumer)
        self.assertGreater(end.queued, end.limit)
        self.assertEqual(end.limit, 1_000)
        self.assertTrue(reader.client.aborted)
        self.assertEqual(len(other.read().events), 60)
        self.assertEqual((news.statistics().cut, news.subscriber_count), (1, 1))

    def test_the_latest_is_kept_and_the_rest_told_as_dropped(self) -> None:
        news = self.hub.channel("news")
        reader = self.slow(news, max_queued=1_000, on_slow="latest")
        for _ in range(60):
            self.publish(news, size=50)
            self.clock.advance(0)
        statistics = news.subscriptions[0].statistics()
        self.assertLessEqual(statistics.queued, 1_000)
        reader.client.resume()
        self.settle()
        [gap] = reader.read().gaps
        self.assertEqual(gap["reason"], "dropped")
        got = reader.numbers
        self.assertEqual(got, list(range(got[0], 61)))
        self.assertEqual(statistics.dropped, got[0] - 1)
        self.assertEqual(news.statistics().dropped, got[0] - 1)

    def test_what_comes_is_dropped_until_the_client_has_read_what_waits(self) -> None:
        news = self.hub.channel("news")
        reader = self.slow(news, max_queued=1_000, on_slow="drop")
        for _ in range(60):
            self.publish(news, size=50)
            self.clock.advance(0)
        reader.client.resume()
        self.settle()
        [gap] = reader.read().gaps
        self.assertEqual((gap["reason"], gap["resumed_from"]), ("dropped", news.last))
        got = reader.numbers
        self.assertEqual(got, list(range(1, len(got) + 1)))
        self.assertTrue(0 < len(got) < 60)
        self.publish(news)
        self.assertEqual(reader.read().numbers[-1], 61)
        self.assertEqual(news.statistics().dropped, 60 - len(got))

    def test_a_message_that_is_larger_than_the_bound(self) -> None:
        for policy in ("catchup", "disconnect", "latest", "drop"):
            with self.subTest(policy):
                news = self.hub.channel(policy, history=10)
                keeps_up = self.join(news, max_queued=100, on_slow=policy)
                slow = self.slow(news, max_queued=100, on_slow=policy)
                self.publish(news, size=1_000)
                self.assertEqual(len(keeps_up.read().events), 1)
                if policy == "disconnect":
                    self.assertTrue(slow.client.aborted)
                    continue
                self.assertEqual(news.subscriptions[1].statistics().queued, 0)
                slow.client.resume()
                self.publish(news)
                self.settle()
                slow.read()
                dropped = policy != "catchup"
                self.assertEqual([gap["reason"] for gap in slow.gaps], ["dropped"] * dropped)
                self.assertEqual(slow.numbers, [2] if dropped else [1, 2])

    def test_a_response_that_waits_for_its_client_to_take_its_end_is_not_sent_or_cut(self) -> None:
        for policy in ("catchup", "disconnect", "latest", "drop"):
            with self.subTest(policy):
                news = self.hub.channel(policy, history=10)
                options: dict[str, Any] = {"max_queued": 50, "on_slow": policy, "detached": True}

                async def handler(
                    ctx: Context, news: Channel = news, options: dict[str, Any] = options
                ) -> str:
                    ctx.sse(ping=None).subscribe(news, **options)
                    await ctx.sleep(1)
                    return "the end"

                slow = self.client(StreamResource(handler, clock=self.clock))
                keeps_up = self.join(news)
                slow.pause()
                self.clock.advance(1)
                self.publish(news, size=100)
                self.assertEqual(keeps_up.read().numbers, [1])
                self.assertEqual(news.statistics().cut, 0)
                slow.resume()
                response = slow.receive()
                self.assertTrue(response.complete)
                self.assertEqual(response.chunks[-1], b"the end")

    def test_a_gap_in_one_of_several_channels_names_it(self) -> None:
        red, blue = (self.hub.channel(name) for name in ("red", "blue"))
        self.publish(red)
        self.publish(blue, 2)
        reader = self.slow(red, blue, max_queued=500, on_slow="drop")
        for _ in range(20):
            self.publish(red, size=50)
        self.clock.advance(0)
        reader.client.resume()
        self.settle()
        [gap] = reader.read().gaps
        self.assertEqual(gap["channels"], {"red": "dropped"})
        self.assertEqual((red.statistics().gaps, blue.statistics().gaps), (1, 0))
        self.assertEqual((red.statistics().dropped > 0, blue.statistics().dropped), (True, 0))

    def test_a_gap_does_not_name_a_channel_of_which_nothing_was_for_the_client(self) -> None:
        red, blue = (self.hub.channel(name) for name in ("red", "blue"))
        reader = self.slow(
            red, blue, max_queued=500, on_slow="drop", filter=lambda each: each.channel == "red"
        )
        for _ in range(20):
            self.publish(red, size=50)
            self.publish(blue)
        self.clock.advance(0)
        reader.client.resume()
        self.clock.advance(0)
        self.assertIn(b'"channels":{"red":"dropped"}', reader.client.read())
        self.assertEqual(blue.statistics().gaps, 0)

    def test_what_is_done_with_a_slow_client_does_not_depend_on_what_a_handler_may_write(
        self,
    ) -> None:
        for policy in ("catchup", "latest", "drop"):
            with self.subTest(policy):
                news = self.hub.channel(policy, history=100)

                async def feed(ctx: Context, news: Channel = news, policy: Any = policy) -> None:
                    await ctx.sse(ping=None).subscribe(news, on_slow=policy, max_queued=500)

                resource = StreamResource(feed, max_buffered=300)
                reader = self.reader(resource).read()
                reader.client.pause()
                for _ in range(40):
                    self.publish(news, size=50)
                    self.clock.advance(0)
                reader.client.resume()
                self.settle()
                self.assertTrue(reader.read().is_at(news))
                self.assertEqual(len(reader.gaps), policy != "catchup")

    def test_a_burst_of_one_turn_takes_no_more_than_the_bound_of_a_slow_client(self) -> None:
        news = self.hub.channel("news", history=2_000)
        reader = self.join(news, max_queued=10_000)
        client = reader.client
        before = len(client.writes)
        client.pause(after=1)
        self.publish(news, 1_000, size=1_000)
        self.clock.advance(0)
        sent = sum(map(len, client.writes[before:]))
        self.assertLess(sent, 80_000)
        self.assertLess(news.subscriptions[0].statistics().queued, sent + 10_000)
        for _ in range(100):
            client.resume()
            client.pause(after=1)
            self.clock.advance(0.001)
        self.assertEqual(len(reader.read().events), 1_000)

    def test_a_stream_that_is_behind_costs_a_publisher_nothing(self) -> None:
        news = self.hub.channel("news", history=10)
        reader = self.slow(news, max_queued=100)
        for _ in range(5):
            self.publish(news, size=50)
            self.clock.advance(0)
        [feed] = news._core.feeds.values()
        self.assertEqual(len(feed.broadcast), 0)
        reader.client.resume()
        self.settle()
        self.assertEqual(len(feed.broadcast), 1)

    def test_what_comes_while_the_rest_waits_for_its_turn_comes_after_it(self) -> None:
        news = self.hub.channel("news")
        reader = self.slow(news)
        for _ in range(8):
            self.publish(news, size=30_000)
            self.clock.advance(0)
        self.clock.each_look = 0.02  # So that there is time for one page in a turn.
        reader.client.resume()
        self.assertEqual(news.subscriptions[0].statistics().lag, 6)
        self.publish(news)
        for _ in range(20):
            self.clock.advance(0.1)
        self.assertEqual(reader.read().numbers, list(range(1, 10)))

    def test_who_keeps_up_again_is_served_like_all_others(self) -> None:
        news = self.hub.channel("news", history=10)
        reader = self.slow(news)
        self.publish(news, 3)
        self.clock.advance(0)
        [feed] = news._core.feeds.values()
        self.assertEqual(len(feed.broadcast._paused), 1)
        reader.client.resume()
        self.settle()
        self.assertEqual(len(feed.broadcast._paused), 0)

    def test_an_id_is_not_moved_past_what_waits(self) -> None:
        news = self.hub.channel("news", history=10)
        reader = self.slow(news, passes=lambda number: number == 1)
        self.publish(news, 3)
        self.clock.advance(0)
        [subscription] = news.subscriptions
        self.assertIs(subscription.position_update(), None)
        reader.client.resume()
        self.settle()
        self.assertEqual(subscription.position_update(), news.last)
        self.assertIs(subscription.position_update(), None)


class CloseTests(ChannelTest):
    def test_what_waits_for_more_is_delivered_too(self) -> None:
        news = self.hub.channel("news")
        reader = self.join(news)
        self.publish(news, 3)
        self.clock.advance(0)
        [feed] = news._core.feeds.values()
        feed.broadcast._coalesce_for = 1  # As after a long round of several.
        self.publish(news)
        news.close()
        self.settle()
        self.assertEqual(reader.read().numbers, [1, 2, 3, 4])
        self.assertTrue(reader.response.complete)

    def test_what_was_published_before_is_delivered_and_then_the_stream_ends(self) -> None:
        news = self.hub.channel("news")
        reader = self.join(news)
        filtered = self.join(news, passes=lambda number: number == 2)
        self.publish(news, 3)
        news.close()
        self.assertEqual(len(reader.read().events), 3)
        self.assertEqual(len(filtered.read().events), 1)
        self.assertTrue(reader.response.complete and filtered.response.complete)
        self.assertEqual(self.ends, [None, None])

    def test_a_slow_client_gets_everything_before_its_end(self) -> None:
        for policy in ("catchup", "latest"):
            with self.subTest(policy):
                news = self.hub.channel("news", history=100)
                reader = self.join(news, max_queued=500, on_slow=policy)
                reader.client.pause()
                for _ in range(40):
                    self.publish(news, size=50)
                    self.clock.advance(0)
                news.close()
                self.settle()
                self.assertFalse(reader.read().response.complete)
                reader.client.resume()
                self.settle()
                self.assertTrue(reader.read().response.complete)
                self.assertTrue(reader.is_at(news))

    def test_who_comes_again_for_nothing_is_told_to_stay_away(self) -> None:
        news = self.hub.channel("news", history=10)
        self.publish(news, 3)
        news.close()
        for asked in (None, news.last):
            reader = self.reader(self.resource(news), asked).read()
            self.assertEqual((reader.response.status, reader.response.complete), (204, True))
            self.assertIsNone(reader.response.header("Content-Type"))

    def test_who_comes_again_for_what_it_missed_gets_it(self) -> None:
        news = self.hub.channel("news", history=10)
        self.publish(news, 3)
        news.close()
        reader = self.reader(self.resource(news), news.oldest).read()
        self.assertEqual(len(reader.events), 3)
        self.assertTrue(reader.response.complete)

    def test_a_gap_is_told_of_a_closed_channel_too(self) -> None:
        news = self.hub.channel("news")
        self.publish(news, 3)
        news.close()
        reader = self.reader(self.resource(news), news.last.replace("-3", "-1")).read()
        self.assertEqual(len(reader.gaps), 1)
        self.assertTrue(reader.response.complete)

    def test_what_else_the_handler_sends_is_not_lost(self) -> None:
        news = self.hub.channel("news")
        news.close()

        async def feed(ctx: Context) -> str:
            ctx.write("before ")
            await ctx.subscribe(news)
            return "after"

        client = self.client(feed)
        self.assertEqual(client.read(), b"before after")

    def test_who_comes_for_json_lines_is_told_that_there_are_none(self) -> None:
        news = self.hub.channel("news")
        news.close()

        async def lines(ctx: Context) -> None:
            await ctx.subscribe(news)

        client = self.client(lines)
        self.assert_complete(client.receive(), b"", 204)


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["publish"] * 6
            + ["turn"] * 5
            + ["join", "join", "come_again", "pause", "resume", "leave", "ask_for_the_first"]
        ),
        st.integers(0, 7),
    ),
    max_size=60,
)


class InterleavingTests(ChannelTest):
    """
    Whatever the order of things, each reader gets everything, or is told what it does not.
    """

    @settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
    @given(_STEPS, st.sampled_from([0, 3, 50, 1_000]))
    def test_no_hole_and_no_double(self, steps: list[tuple[str, int]], history: int) -> None:
        self.setUp()
        self.channels = [self.hub.channel(name, history=history) for name in ("red", "blue")]
        # With a history of all there is, nobody who is to be caught up is told of a gap.
        complete = history == 1_000
        self.policies = ["catchup"] * bool(history) + ["latest", "drop"] * (not complete)
        self.readers: list[tuple[Reader, list[Channel]]] = []
        self.left: list[Reader] = []
        for name, number in steps:
            getattr(self, f"step_{name}")(number)
        for reader, _ in self.readers:
            reader.client.resume()
        self.settle()
        for reader, follows in self.readers:
            self.assertEqual(reader.read().response.status, 200)
            if not reader.is_filtered:
                self.assertTrue(reader.is_at(*follows))
            if complete:
                self.assertLessEqual({gap["reason"] for gap in reader.gaps}, {"unknown"})
            reader.client.disconnect()
        self.assertEqual(self.hub.statistics().subscriptions, 0)
        self.assertEqual([channel._core.feeds for channel in self.channels], [{}, {}])

    def step_publish(self, number: int) -> None:
        self.publish(self.channels[number % 2], times=1 + number // 4, size=number * 10)

    def step_turn(self, number: int) -> None:
        self.clock.advance(0.001 * number)
        for reader, _ in self.readers:
            reader.read()

    def step_join(self, number: int, last_event_id: str | None = None) -> None:
        red, blue = self.channels
        follows = [[red], [blue], [red, blue], [blue, red]][number % 4]
        options: dict[str, Any] = {
            "max_queued": 400,
            "on_slow": self.policies[number % len(self.policies)],
            "last_event_id": last_event_id,
            "passes": (lambda number: number % 3 == 0) if number > 5 else None,
        }
        self.readers.append((self.follow(*follows, **options), follows))

    def step_come_again(self, number: int) -> None:
        if self.left:
            self.step_join(number, self.left[number % len(self.left)].last_event_id)

    def step_ask_for_the_first(self, number: int) -> None:
        self.step_join(number, f"{epoch(self.channels[0])}-0")

    def step_leave(self, number: int) -> None:
        for reader in self._one(number):
            reader.read().client.disconnect()
            self.left.append(reader)
            self.readers = [pair for pair in self.readers if pair[0] is not reader]

    def step_pause(self, number: int) -> None:
        for reader in self._one(number):
            reader.client.pause()

    def step_resume(self, number: int) -> None:
        for reader in self._one(number):
            reader.client.resume()

    def _one(self, number: int) -> list[Reader]:
        return [self.readers[number % len(self.readers)][0]] if self.readers else []

    def test_a_publish_at_every_moment_of_a_join(self) -> None:
        news = self.hub.channel("news", history=10_000)
        self.publish(news, 500, size=1_000)
        for moment in range(12):
            reader = self.follow(news, after=news.oldest)
            client = reader.client
            client.pause()
            for step in range(16):
                if step == moment:
                    self.publish(news, 100, size=1_000)
                client.resume()
                if step < 14:
                    client.pause()
                self.clock.advance(0.001)
            self.publish(news)
            self.settle()
            self.assertTrue(reader.read().is_at(news))
            self.assertEqual(reader.gaps, [])
            client.disconnect()
