"""
Subscriptions that select topics: what they receive, also when the selection changes.
"""

import sys
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.channels.case import ChannelTest
from tests.channels.test_topics import matches
from tests.harness.reader import Reader, epoch
from twistream import Channel, Context, Hub, Subscription
from twistream.channels.state import State
from twistream.scheduling.pacing import Pacer
from twistream.scheduling.turn import Turn


def takes(patterns: Any, topic: str | None) -> bool:
    return topic is not None and any(matches(pattern, topic) for pattern in patterns)


class TopicTest(ChannelTest):
    """
    The base: a channel, and the topics of its messages.

    Attributes:
        news: The channel.
        topics: The topics of its messages, by number.
    """

    def setUp(self) -> None:
        super().setUp()
        self.news = self.hub.channel("news", history=1_000)
        self.topics: dict[int, str | None] = {}

    def publish_to(self, *topics: str | None, size: int = 0) -> None:
        for topic in topics:
            self.topics[self.news.published + 1] = topic
            self.send(self.news, "x" * size, topic=topic)

    def select(self, *patterns: str, last_event_id: str | None = None, **options: Any) -> Reader:
        """
        A reader that has sent its request, and fails if its selection misses something.
        """
        resource = self.resource(self.news, topics=patterns, **options)

        def passes(number: int) -> bool:
            return takes(patterns, self.topics[number])

        return self.reader(resource, last_event_id, passes, options.get("after"))

    def follow_any(self, **options: Any) -> Reader:
        """
        A reader that cannot tell a message that is not selected from one that is lost.
        """
        resource = self.resource(self.news, **options)
        reader = self.reader(resource, None, lambda _: True, options.get("after"))
        reader.may_miss = True
        return reader

    def changing(self, *patterns: str, **options: Any) -> tuple[Reader, Subscription]:
        """
        A reader, and its subscription with a selection that is going to change.
        """
        known = set(self.news.subscriptions)
        reader = self.follow_any(topics=patterns, **options)
        [subscription] = set(self.news.subscriptions) - known
        return reader, subscription

    def assert_empty(self) -> None:
        """
        Nobody is subscribed, and nothing is left of those who were.
        """
        self.assertEqual((self.news.subscriber_count, self.news._core.feeds), (0, {}))
        self.assertFalse(self.news._core.topics)
        self.assertEqual(self.news._core._unselective, {})
        self.assertEqual(dict(self.hub.subscriptions), {})


class ReceiveTests(TopicTest):
    def test_a_subscription_receives_the_messages_with_a_topic_that_it_selected(self) -> None:
        reader = self.select("builds/*/steps/*", "workers/#")
        everything = self.join(self.news)
        self.publish_to("builds/12/steps/3", "builds/12", "workers", "workers/4", None, "worker")
        self.assertEqual(reader.read().numbers, [1, 3, 4])
        self.assertEqual(everything.read().numbers, [1, 2, 3, 4, 5, 6])

    def test_a_message_that_several_patterns_match_arrives_once(self) -> None:
        reader = self.select("a/b", "a/*", "a/#", "#")
        self.publish_to("a/b", "a", "a/b")
        self.assertEqual(reader.read().numbers, [1, 2, 3])

    def test_a_subscription_without_patterns_receives_nothing(self) -> None:
        reader = self.select()
        self.publish_to("a", None)
        self.assertEqual(reader.read().numbers, [])

    def test_messages_without_a_topic_are_received_only_without_a_selection(self) -> None:
        reader = self.select("#")
        self.publish_to(None, "a")
        self.assertEqual(reader.read().numbers, [2])

    def test_a_selection_applies_to_all_channels(self) -> None:
        red, blue = self.hub.channel("red", history=9), self.hub.channel("blue", history=9)
        client = self.client(self.resource(red, blue, topics=["a/#"]))
        client.receive()
        for topic in ("a", "b", "a/b"):
            for channel in (red, blue):
                self.send(channel, topic=topic)
        ids = [event.id for event in client.read_events()]
        expected = [
            f"{epoch(red)}-{first},{epoch(blue)}-{second}"
            for first, second in ((1, 0), (1, 1), (3, 2), (3, 3))
        ]
        self.assertEqual(ids, expected)

    def test_the_hub_publishes_to_a_topic_too(self) -> None:
        reader = self.select("a")
        self.topics[1] = "a"
        self.hub.publish("news", [1, "", epoch(self.news)], topic="a")
        self.assertEqual(reader.read().numbers, [1])

    def test_a_filter_is_called_with_selected_messages_and_their_topics_only(self) -> None:
        seen: list[Any] = []

        def passes(message: Any) -> bool:
            seen.append(message.topic)
            return bool(message.topic != "a/b")

        reader = self.select("a/#", filter=passes)
        reader._passes = lambda number: self.topics[number] == "a/c"
        self.publish_to("a/b", "b", "a/c", None)
        self.assertEqual(reader.read().numbers, [3])
        self.assertEqual(seen, ["a/b", "a/c"])

    def test_lines_of_json_have_the_topic_and_events_do_not(self) -> None:
        async def lines(ctx: Context) -> None:
            await ctx.subscribe(self.news, topics=["a/*"])

        client = self.client(lines)
        client.receive()
        events = self.client(self.resource(self.news))
        events.receive()
        self.news.publish("x", topic="a/é")
        self.news.publish("y", topic="b")
        self.assertEqual(
            client.read_values(),
            [{"id": self.news.last.replace("-2", "-1"), "topic": "a/é", "data": "x"}],
        )
        self.assertNotIn("é".encode(), events.read())


class ReplayTests(TopicTest):
    def test_a_replay_has_the_same_selection(self) -> None:
        self.publish_to(*["a/1", "b", None, "a/2", "c/a"] * 100)
        reader = self.select("a/#", after=self.news.oldest).read()
        self.assertEqual(reader.numbers, [n for n, t in self.topics.items() if takes(["a/#"], t)])
        self.publish_to("b", "a/3")
        self.assertEqual(reader.read().numbers[-1], 502)

    def test_a_client_that_reconnects_misses_nothing_of_its_selection(self) -> None:
        reader = self.select("a")
        self.publish_to("b", "a", "b")
        last = reader.read().last_event_id
        reader.client.disconnect()
        self.publish_to("a", "b")
        self.assertEqual(self.select("a", last_event_id=last).read().numbers, [4])

    def test_a_slow_client_catches_up_with_its_selection(self) -> None:
        reader = self.select("a", max_queued=500).read()
        reader.client.pause()
        for _ in range(30):
            self.publish_to("a", "b", size=50)
            self.clock.advance(0)
        self.assertIs(self.news.subscriptions[0]._state, State.REPLAYING)
        reader.client.resume()
        self.settle()
        self.assertEqual(reader.read().numbers, list(range(1, 60, 2)))

    def test_only_selected_messages_are_queued_and_dropped(self) -> None:
        reader = self.select("a", max_queued=500, on_slow="drop").read()
        reader.client.pause()
        for _ in range(30):
            self.publish_to("a", "b", "b", size=50)
            self.clock.advance(0)
        [subscription] = self.news.subscriptions
        statistics = subscription.statistics()
        self.assertEqual(statistics.dropped + statistics.lag, 30)
        self.assertEqual(self.news.statistics().dropped, statistics.dropped)
        reader.client.resume()
        self.settle()
        self.assertEqual(len(reader.read().numbers), statistics.lag)
        self.assertEqual([gap["reason"] for gap in reader.gaps], ["dropped"])


class PositionTests(TopicTest):
    """
    The id moves past messages that are not selected.
    """

    def pinged(self, **options: Any) -> Any:
        async def feed(ctx: Context) -> None:
            await ctx.sse(ping=15).subscribe(self.news, topics=["a"], **options)

        return self.client(feed)

    def ids(self, client: Any) -> list[str]:
        return [line[4:] for line in client.read().decode().splitlines() if line[:4] == "id: "]

    def test_a_ping_has_the_newest_id_if_the_client_does_not_know_it(self) -> None:
        client = self.pinged()
        self.publish_to("b", "b")
        self.assertEqual(self.ids(client), [])
        self.clock.advance(17)
        self.assertEqual(self.ids(client), [self.news.last])
        self.clock.advance(17)
        self.assertEqual(client.read(), b": ping\n")
        self.publish_to("b")
        self.clock.advance(17)
        self.assertEqual(self.ids(client), [self.news.last])

    def test_a_client_that_knows_it_reconnects_without_a_gap(self) -> None:
        self.news = self.hub.channel("short", history=3)
        client = self.pinged()
        self.assertEqual(self.ids(client), [])
        self.publish_to(*["b"] * 10)
        self.clock.advance(17)
        [last] = self.ids(client)
        client.disconnect()
        self.publish_to("a", "b")
        reader = self.select("a", last_event_id=last).read()
        self.assertEqual((reader.numbers, reader.gaps), ([11], []))

    def test_it_is_the_position_in_the_history_during_a_replay(self) -> None:
        self.publish_to(*["b"] * 500)
        client = self.pinged(after=self.news.oldest)
        [subscription] = self.news.subscriptions
        self.assertIs(subscription._state, State.LIVE)
        client.read()
        self.publish_to(*["a", "b"] * 200, size=1_000)
        slow = self.pinged(after=self.news.oldest)
        slow.pause()
        subscription = self.news.subscriptions[1]
        self.assertIs(subscription._state, State.REPLAYING)
        position = subscription.position_update()
        assert position is not None
        number = int(position.partition("-")[2])
        self.assertTrue(0 < number < 900, number)
        slow.resume()
        self.settle()
        numbers = [int(each.partition("-")[2]) for each in self.ids(slow)]
        self.assertEqual(numbers, [each for each in range(1, 900) if self.topics[each] == "a"])

    def test_it_is_not_moved_past_messages_that_are_not_sent_yet(self) -> None:
        self.pinged().read()
        [subscription] = self.news.subscriptions
        self.publish_to("a", "b")
        self.assertIsNone(subscription.position_update())
        self.clock.advance(0)
        self.assertEqual(subscription.position_update(), self.news.last)

    def test_it_is_not_moved_past_queued_messages(self) -> None:
        client = self.pinged()
        client.read()
        client.pause()
        self.publish_to("a", "b")
        self.clock.advance(0)
        [subscription] = self.news.subscriptions
        self.assertIsNone(subscription.position_update())

    def test_a_new_client_learns_it_with_the_first_ping(self) -> None:
        self.publish_to("a")
        client = self.pinged()
        self.assertEqual(self.ids(client), [])
        self.clock.advance(17)
        self.assertEqual(self.ids(client), [self.news.last])

    def test_an_id_that_the_client_made_up_is_not_sent_back(self) -> None:
        other = self.hub.channel("other", history=10)
        self.publish_to("a")
        self.pinged()
        Pacer.of(Turn.of(self.clock)).budget = 0  # No replay makes progress.

        async def feed(ctx: Context) -> None:
            await ctx.sse(ping=15).subscribe(self.news, other, topics=["a"])

        for made_up in ("made%20up", "no%0Aid", f"{self.news.last},x"):
            client = self.client(feed, path=f"/?last_event_id={made_up}")
            self.settle()
            self.clock.advance(17)
            self.assertEqual(client.read(), b": ping\n", made_up)


class ChangeTests(TopicTest):
    def test_a_set_of_patterns(self) -> None:
        _, subscription = self.changing("a", "b/#")
        topics = subscription.topics
        assert topics is not None
        self.assertEqual((len(topics), set(topics)), (2, {"a", "b/#"}))
        topics.add("c/*")
        topics.add("c/*")
        topics.discard("a")
        topics.discard("never added")
        self.assertEqual(topics, {"b/#", "c/*"})
        self.assertEqual(topics | {"d"}, {"b/#", "c/*", "d"})
        self.assertIn("c/*", topics)
        self.assertNotIn("c/1", topics)
        self.assertEqual(repr(topics), "<SelectedTopics ['b/#', 'c/*']>")

    def test_patterns_are_removed_one_by_one_or_all_at_once(self) -> None:
        reader, subscription = self.changing("a", "b/#", "c/*")
        topics = subscription.topics
        assert topics is not None
        popped = topics.pop()
        self.assertEqual(topics | {popped}, {"a", "b/#", "c/*"})
        self.assertEqual(len(topics), 2)
        topics.clear()
        self.assertEqual(set(topics), set())
        self.assertRaises(KeyError, topics.pop)
        self.send(self.news, topic="a")
        self.assertEqual(reader.read().events, [])

    def test_a_subscription_to_everything_has_no_topics(self) -> None:
        self.join(self.news)
        self.assertIsNone(self.news.subscriptions[0].topics)

    def test_a_change_applies_to_messages_that_are_published_after_it(self) -> None:
        reader, subscription = self.changing("a")
        assert subscription.topics is not None
        self.publish_to("a", "b")
        subscription.topics.add("b")
        self.publish_to("a", "b")
        subscription.topics.discard("a")
        self.publish_to("a", "b")
        self.assertEqual(reader.read().numbers, [1, 3, 4, 6])

    def test_the_order_is_kept_in_a_feed_that_others_use(self) -> None:
        reader, subscription = self.changing("a")
        other = self.select("a", "b")
        stays = self.select("a")
        self.publish_to("b", "a")
        assert subscription.topics is not None
        subscription.topics.add("b")
        self.publish_to("b", "a")
        self.assertEqual(reader.read().numbers, [2, 3, 4])
        self.assertEqual(other.read().numbers, [1, 2, 3, 4])
        self.assertEqual(stays.read().numbers, [2, 4])
        # The feed that it has left is not kept alive.
        self.assertIs(subscription._queue.feed, subscription._feed)

    def test_queued_messages_are_sent_whatever_the_selection_is_by_then(self) -> None:
        reader, subscription = self.changing("a")
        reader.read().client.pause()
        self.publish_to("a", "b")
        self.clock.advance(0)
        self.assertIs(subscription._state, State.DRAINING)
        assert subscription.topics is not None
        subscription.topics.add("b")
        subscription.topics.discard("a")
        self.publish_to("a", "b")
        self.clock.advance(0)
        reader.client.resume()
        self.settle()
        self.assertEqual(reader.read().numbers, [1, 4])
        self.publish_to("b")
        self.assertEqual(reader.read().numbers, [1, 4, 5])

    def test_the_rest_of_a_replay_has_the_new_selection(self) -> None:
        self.publish_to(*["a", "b"] * 400, size=1_000)
        reader, subscription = self.changing("a", after=self.news.oldest)
        reader.client.pause()
        self.settle()
        read = reader.read().numbers
        self.assertIs(subscription._state, State.REPLAYING)
        assert subscription.topics is not None
        subscription.topics.add("b")
        subscription.topics.discard("a")
        reader.client.resume()
        self.settle()
        numbers = reader.read().numbers
        rest = numbers[len(read) :]
        self.assertEqual(rest, list(range(rest[0], 801, 2)))
        self.assertIn(rest[0] - read[-1], (1, 3))  # The pages end with an "a" or a "b".
        self.assertLess(rest[0], 400)
        self.publish_to("a", "b")
        self.assertEqual(reader.read().numbers[-1], 802)

    def test_what_comes_while_the_rest_waits_for_its_turn_comes_after_it(self) -> None:
        reader, subscription = self.changing("a")
        reader.read().client.pause()
        for _ in range(8):
            self.publish_to("a", size=30_000)
            self.clock.advance(0)
        self.clock.each_look = 0.02  # So that there is time for one page in a turn.
        reader.client.resume()
        self.assertEqual(subscription.statistics().lag, 6)
        assert subscription.topics is not None
        subscription.topics.add("b")
        self.publish_to("b", "a")
        for _ in range(20):
            self.clock.advance(0.1)
        self.assertEqual(reader.read().numbers, list(range(1, 11)))

    def test_a_filter_changes_its_topics_in_the_middle_of_a_page(self) -> None:
        def passes(message: Any) -> bool:
            if message.data[0] == 3:
                [subscription] = self.news.subscriptions
                assert subscription.topics is not None
                subscription.topics.add("b")
            return True

        self.publish_to("a", "b", "a", "b", "a")
        reader = self.follow_any(topics=["a"], filter=passes, after=self.news.oldest)
        reader.client.pause()  # So that it is subscribed when the filter is called.
        reader.client.resume()
        self.settle()
        self.assertEqual(reader.read().numbers, [1, 3, 4, 5])

    def test_what_was_published_before_does_not_overtake_what_a_small_queue_holds(self) -> None:
        for policy in ("catchup", "disconnect", "latest", "drop"):
            with self.subTest(policy):
                self.news = self.hub.channel(policy, history=100)
                reader, subscription = self.changing("a", max_queued=60, on_slow=policy)
                reader.read()
                self.publish_to("a", "a", "a")
                assert subscription.topics is not None
                subscription.topics.add("b")
                self.publish_to("b", "a")
                self.assertEqual(reader.read().numbers, [1, 2, 3, 4, 5])
                self.assertEqual(reader.gaps, [])

    def test_a_change_of_a_slow_client_goes_by_its_policy(self) -> None:
        reader, subscription = self.changing("a", max_queued=100)
        reader.read().client.pause()
        self.publish_to("a")
        self.clock.advance(0)
        self.publish_to("a", "b", "a", size=80)
        assert subscription.topics is not None
        subscription.topics.add("c")  # The messages of this turn do not fit.
        self.assertIs(subscription._state, State.REPLAYING)
        self.publish_to("c")
        reader.client.resume()
        self.settle()
        self.assertEqual(reader.read().numbers, [1, 2, 4, 5])

    def test_a_filter_that_changes_its_own_topics_keeps_the_order(self) -> None:
        subscriptions: list[Subscription] = []

        def passes(message: Any) -> bool:
            topics = subscriptions[0].topics
            assert topics is not None
            if message.data[1] == "change":
                topics.add("b")
                topics.discard("a")
            if message.data[1] == "publish":
                self.publish_to("a", "b")
                topics.add("c")
                self.publish_to("c")
            return True

        for after in (None, self.news.oldest):
            with self.subTest(after):
                self.news = self.hub.channel(f"news {after}", history=100)
                reader, subscription = self.changing("a", filter=passes)
                subscriptions[:] = [subscription]
                reader.read()
                self.send(self.news, "", topic="a")
                self.send(self.news, "publish", topic="a")
                self.send(self.news, "", topic="a")
                self.send(self.news, "change", topic="a")
                self.send(self.news, "", topic="a")
                self.clock.advance(0)
                self.publish_to("a", "b", "c")
                self.settle()
                # 6 and 8 are published by the filter, when 1 to 5 are being sent.
                self.assertEqual(reader.read().numbers, [1, 2, 3, 4, 5, 6, 8, 10, 11])

    def test_a_change_of_another_member_in_the_middle_of_a_round(self) -> None:
        """
        The filter of one stream changes the topics of others that the round has reached or not.
        """
        for first in (True, False):
            for back in (True, False):
                with self.subTest(first=first, back=back):
                    self.check_round(changed_first=first, back=back)

    def check_round(self, *, changed_first: bool, back: bool) -> None:
        self.news = self.hub.channel(f"{changed_first} {back}", history=100)
        changed: list[Subscription] = []

        def passes(message: Any) -> bool:
            topics = changed[0].topics
            assert topics is not None
            if message.data[1] == "change":
                topics.add("b")
                self.publish_to("b")
                if back:
                    topics.discard("b")
                    self.publish_to("b")
            return True

        def one() -> Reader:
            reader, subscription = self.changing("a")
            changed.append(subscription)
            return reader

        readers = []
        if changed_first:
            readers.append(one())
        filtering, _ = self.changing("a", filter=passes)
        if not changed_first:
            readers.append(one())
        for reader in (*readers, filtering):
            reader.read()
        self.send(self.news, "", topic="a")
        self.send(self.news, "change", topic="a")
        self.send(self.news, "", topic="a")
        self.settle()
        self.publish_to("a", "b")
        last = self.news.published
        self.assertEqual(readers[0].read().numbers, [1, 2, 3, 4, last - 1] + [last] * (not back))
        self.assertEqual(filtering.read().numbers, [1, 2, 3, last - 1])

    def test_a_channel_that_is_closed_in_the_same_turn_ends_the_stream(self) -> None:
        reader, subscription = self.changing("a")
        self.publish_to("a")
        self.news.close()
        assert subscription.topics is not None
        subscription.topics.add("b")
        self.assertEqual(reader.read().numbers, [1])
        self.assertTrue(reader.response.complete)
        self.assert_empty()

    def test_a_slow_stream_of_a_closed_channel_can_change_and_ends(self) -> None:
        reader, subscription = self.changing("a")
        reader.read().client.pause()
        self.publish_to("a")
        self.clock.advance(0)
        self.news.close()
        self.clock.advance(0)
        self.assertIs(subscription._state, State.CLOSING)
        assert subscription.topics is not None
        subscription.topics.add("b")
        self.settle()
        reader.client.resume()
        self.settle()
        self.assertEqual(reader.read().numbers, [1])
        self.assertTrue(reader.response.complete)
        self.assert_empty()

    def test_after_the_end_nothing_changes(self) -> None:
        reader, subscription = self.changing("a")
        topics = subscription.topics
        reader.client.disconnect()
        assert topics is not None
        topics.add("b")
        topics.discard("a")
        topics.clear()
        self.assertRaises(KeyError, topics.pop)
        self.assertEqual(set(topics), {"a"})
        self.assert_empty()

    def test_a_wrong_pattern_changes_nothing(self) -> None:
        _, subscription = self.changing("a")
        topics: Any = subscription.topics
        for pattern, error in (("a//b", ValueError), (5, TypeError), ("", ValueError)):
            self.assertRaises(error, topics.add, pattern)
        for number in range(999):
            topics.add(f"b/{number}")
        self.assertRaisesRegex(ValueError, "1,000 patterns", topics.add, "c")
        self.assertEqual(len(topics), 1_000)


class SharingTests(TopicTest):
    def test_the_same_selection_shares_a_feed_in_any_order(self) -> None:
        for patterns in (("a", "b"), ("b", "a", "a"), ("a",), ()):
            self.select(*patterns)
        self.assertEqual(len(self.news._core.feeds), 3)

    def test_nothing_is_left_when_all_have_left(self) -> None:
        readers = [self.select("a/*", "b", "c/#"), self.select("a/*"), self.join(self.news)]
        reader, subscription = self.changing("b")
        assert subscription.topics is not None
        subscription.topics.add("d/*/#")
        for each in (*readers, reader):
            each.client.disconnect()
        self.assert_empty()

    def calls(self, function: Any, *args: Any) -> int:
        """
        The number of function calls that a call makes.
        """
        made = 0

        def note(_: FrameType, event: str, __: object) -> None:
            nonlocal made
            made += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            function(*args)
        finally:
            sys.setprofile(before)
        return made

    def test_subscriptions_that_do_not_match_cost_nothing(self) -> None:
        costs = []
        for number in (5, 50):
            self.news = self.hub.channel(f"{number}", history=10)
            for each in range(number):
                self.select(f"builds/{each}/#", f"workers/{each}").read()
            reader, subscription = self.changing("builds/3/#")
            topics = subscription.topics
            assert topics is not None
            reader.read()
            publish = self.calls(lambda: self.news.publish("x", topic="builds/3/steps/1"))
            self.clock.advance(0)
            exact = self.calls(lambda: self.news.publish("x", topic="workers/3"))
            self.clock.advance(0)
            add = self.calls(topics.add, "builds/4/#")
            leave = self.calls(reader.client.disconnect)
            costs.append((publish, exact, add, leave))
        self.assertEqual(*costs)


class IdTests(TopicTest):
    def test_a_subscription_is_found_by_its_id_until_it_ends(self) -> None:
        reader, subscription = self.changing("a")
        self.assertEqual(dict(self.hub.subscriptions), {})  # Nobody has asked for an id.
        id_ = subscription.id
        self.assertRegex(id_, "^[A-Za-z0-9_-]{22}$")
        self.assertIs(self.hub.subscriptions[id_], subscription)
        self.assertEqual(subscription.id, id_)
        reader.client.disconnect()
        self.assertNotIn(id_, self.hub.subscriptions)
        self.assertEqual(subscription.id, id_)

    def test_every_id_is_another_one(self) -> None:
        ids = {self.changing("a")[1].id for _ in range(20)}
        self.assertEqual(set(self.hub.subscriptions), ids)
        self.assertEqual(len(ids), 20)

    def test_an_id_that_is_asked_for_after_the_end_finds_nothing(self) -> None:
        reader, subscription = self.changing("a")
        reader.client.disconnect()
        self.assertNotIn(subscription.id, self.hub.subscriptions)

    def test_the_mapping_cannot_be_changed(self) -> None:
        subscriptions: Any = self.hub.subscriptions
        with self.assertRaises(TypeError):
            subscriptions["a"] = 1

    def test_channels_of_two_hubs_find_it_in_both(self) -> None:
        other = Hub(clock=self.clock)
        reader = self.reader(self.resource(self.news, other.channel("a")))
        [subscription] = self.news.subscriptions
        for hub in (self.hub, other):
            self.assertIs(hub.subscriptions[subscription.id], subscription)
        reader.client.disconnect()
        self.assertEqual((len(self.hub.subscriptions), len(other.subscriptions)), (0, 0))

    def test_a_client_is_told_its_id_first(self) -> None:
        self.publish_to("a")
        for after in (None, self.news.oldest, "nonsense"):
            with self.subTest(after):
                resource = self.resource(self.news, topics=["a"], after=after, announce=True)
                first, *rest = self.client(resource).read_events()
                [*_, subscription] = self.news.subscriptions
                self.assertEqual(first.event, "subscription")
                self.assertEqual(first.data, f'{{"id":"{subscription.id}"}}')
                self.assertEqual(len(rest), {None: 0, "nonsense": 2}.get(after, 1))
                self.assertIs(self.hub.subscriptions[subscription.id], subscription)

    def test_the_announcement_has_no_event_id(self) -> None:
        client = self.client(self.resource(self.news, announce=True))
        event = client.read().split(b"\n\n")[0]
        self.assertNotIn(b"\nid", event)

    def test_a_line_of_json_tells_it(self) -> None:
        async def lines(ctx: Context) -> None:
            await ctx.subscribe(self.news, topics=["a"], announce=True)

        client = self.client(lines)
        self.publish_to("a")
        [subscription] = self.news.subscriptions
        first, message = client.read_values()
        self.assertEqual(first, {"subscription": {"id": subscription.id}})
        self.assertEqual(message["topic"], "a")

    def test_a_closed_channel_with_nothing_to_send_has_nothing_to_announce(self) -> None:
        self.publish_to("b")
        self.news.close()
        for after in (None, self.news.last, self.news.oldest):
            resource = self.resource(self.news, topics=["a"], announce=True, after=after)
            client = self.client(resource)
            self.settle()
            self.assertEqual(client.receive().status, 204)
        self.assert_empty()

    def test_a_handler_has_the_subscription_while_it_lasts(self) -> None:
        found: list[Any] = []
        contexts: list[Context] = []

        async def events(ctx: Context) -> None:
            contexts.append(ctx)
            stream = ctx.sse(ping=None)
            found.append(stream.subscription)
            waiting = stream.subscribe(self.news, topics=["a"])
            found.append(stream.subscription)
            self.assertIs(stream.subscription, ctx.subscription)
            await waiting

        async def lines(ctx: Context) -> None:
            contexts.append(ctx)
            found.append(ctx.subscription)
            waiting = ctx.subscribe(self.news, topics=["b"])
            found.append(ctx.subscription)
            await waiting

        client = self.client(events)
        self.client(lines)
        before, first, also_before, second = found
        self.assertEqual((before, also_before), (None, None))
        self.assertEqual(self.news.subscriptions, (first, second))
        client.disconnect()
        self.assertIsNone(contexts[0].subscription)
        self.assertIs(contexts[1].subscription, second)


class MaySeeTests(TopicTest):
    def asked_for(self, *allowed: str | None) -> tuple[Any, list[str | None]]:
        """
        A function that allows these topics, and a list of the topics that it was called with.
        """
        asked: list[str | None] = []

        def may_see(topic: str | None) -> bool:
            asked.append(topic)
            return topic in allowed

        return may_see, asked

    def test_it_is_called_once_for_each_topic_and_a_false_result_skips_the_message(self) -> None:
        may_see, asked = self.asked_for("a", None)
        reader = self.follow_any(may_see=may_see)
        self.publish_to("a", "b", None, "a", "b", None, "c")
        self.assertEqual(reader.read().numbers, [1, 3, 4, 6])
        self.assertEqual(asked, ["a", "b", None, "c"])

    def test_it_is_called_on_replay_too(self) -> None:
        may_see, asked = self.asked_for("a")
        self.publish_to("a", "b", "a", None)
        reader = self.follow_any(may_see=may_see, after=self.news.oldest)
        self.publish_to("b", "a")
        self.assertEqual(reader.read().numbers, [1, 3, 6])
        self.assertEqual(asked, ["a", "b", None])

    def test_it_is_called_for_selected_topics_and_before_the_filter(self) -> None:
        may_see, asked = self.asked_for("a/1", "a/2")
        filtered: list[str | None] = []

        def passes(message: Any) -> bool:
            filtered.append(message.topic)
            return bool(message.topic == "a/2")

        reader, _ = self.changing("a/#", may_see=may_see, filter=passes)
        self.publish_to("a/1", "a/2", "a/3", "b")
        self.assertEqual(reader.read().numbers, [2])
        self.assertEqual((asked, filtered), (["a/1", "a/2", "a/3"], ["a/1", "a/2"]))

    def test_it_is_called_again_after_a_recheck_and_a_change(self) -> None:
        allowed = {"a"}
        asked: list[str | None] = []

        def may_see(topic: str | None) -> bool:
            asked.append(topic)
            return topic in allowed

        reader, subscription = self.changing("a", "b", may_see=may_see)
        self.publish_to("a", "b")
        reader.read()
        allowed = {"b"}
        self.publish_to("a", "b")
        self.assertEqual(reader.read().numbers, [1, 3])
        subscription.recheck()
        self.publish_to("a", "b")
        self.assertEqual(reader.read().numbers, [1, 3, 6])
        assert subscription.topics is not None
        subscription.topics.add("c")
        self.publish_to("b")
        self.assertEqual(reader.read().numbers, [1, 3, 6, 7])
        self.assertEqual(asked, ["a", "b", "a", "b", "b"])

    def test_an_answer_that_is_given_during_a_recheck_is_not_kept(self) -> None:
        asked: list[str | None] = []

        def may_see(topic: str | None) -> bool:
            asked.append(topic)
            if len(asked) == 1:
                subscription.recheck()
            return len(asked) == 1

        reader, subscription = self.changing("a", may_see=may_see)
        self.publish_to("a", "a", "a")
        self.assertEqual(reader.read().numbers, [1])
        self.assertEqual(asked, ["a", "a"])

    def test_a_recheck_without_may_see_does_nothing(self) -> None:
        reader, subscription = self.changing("a")
        subscription.recheck()
        self.publish_to("a")
        self.assertEqual(reader.read().numbers, [1])

    def test_the_number_of_answers_is_bounded(self) -> None:
        may_see, asked = self.asked_for()
        _, subscription = self.changing("#", may_see=may_see)
        topics = [f"a/{number}" for number in range(500)]
        self.publish_to(*topics)
        self.clock.advance(0)
        self.assertEqual(asked, topics)
        assert subscription._filter is not None
        self.assertLess(len(subscription._filter._answers), 200)
        self.publish_to(*topics[-50:])
        self.clock.advance(0)
        self.assertEqual(len(asked), 500)
        self.publish_to("a/0")
        self.clock.advance(0)
        self.assertEqual(len(asked), 501)

    def test_skipped_messages_move_the_position(self) -> None:
        async def feed(ctx: Context) -> None:
            await ctx.sse(ping=15).subscribe(self.news, may_see=lambda _: False)

        client = self.client(feed)
        self.publish_to("a", "b")
        self.assertNotIn(b"data", client.read())
        self.clock.advance(17)
        self.assertIn(f"id: {self.news.last}\n".encode(), client.read())

    def test_an_exception_ends_the_stream_in_each_state_before_the_message(self) -> None:
        def may_see(topic: str | None) -> bool:
            if topic == "secret":
                raise ZeroDivisionError
            return True

        for state in ("live", "draining", "replaying", "starting"):
            with self.subTest(state):
                self.news = self.hub.channel(state, history=1_000)
                options: dict[str, Any] = {"may_see": may_see, "max_queued": 500}
                if state == "starting":
                    self.publish_to("a", "secret")
                    options["after"] = self.news.oldest
                reader = self.follow_any(topics=["a", "secret"], **options)
                reader.read()
                if state in ("draining", "replaying"):
                    reader.client.pause()
                    self.publish_to("a")
                    self.clock.advance(0)
                if state == "replaying":
                    for _ in range(20):
                        self.publish_to("a", size=50)
                        self.clock.advance(0)
                if state != "starting":
                    self.publish_to("secret")
                self.clock.advance(0)
                reader.client.resume()
                self.settle()
                secret = next(n for n in self.topics if self.topics[n] == "secret")
                self.assertNotIn(secret, reader.read().numbers)
                self.assertIsInstance(self.ends.pop(), ZeroDivisionError)
                self.logged(ZeroDivisionError)
                self.assert_empty()

    def test_a_result_that_has_to_be_awaited_is_refused(self) -> None:
        async def coroutine(topic: str | None) -> bool:
            return False

        def may_see(topic: str | None) -> Any:
            return coroutine(topic)  # Only the result shows what it is.

        for after in (None, self.news.oldest):
            reader = self.follow_any(may_see=may_see, after=after)
            self.publish_to("a")
            self.settle()
            self.assertEqual(reader.read().numbers, [])
            self.assertRegex(str(self.ends.pop()), "^may_see must return whether")
            self.logged(TypeError)
        self.assert_empty()


_TOPICS = st.sampled_from(["a", "b", "a/b", "b/a", None])
_PATTERNS = st.sampled_from(["a", "b", "a/*", "*", "b/#", "#"])
_STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.just("publish"), _TOPICS, st.integers(0, 3))] * 4,
        *[st.tuples(st.sampled_from(["add", "discard"]), _PATTERNS, st.integers(0, 3))] * 2,
        st.tuples(st.sampled_from(["join", "replay"]), _PATTERNS, st.integers(0, 3)),
        *[
            st.tuples(st.sampled_from(names), st.none(), st.integers(0, 3))
            for names in (["turn", "ping"], ["pause", "resume"], ["drop", "leave"])
        ],
    ),
    min_size=10,
    max_size=60,
)


class Followed:
    """
    A reader, its subscription, and every selection that it has had.

    Attributes:
        history: For each selection, how many messages had been published before it.
        joined: How many messages had been published before it.
        reader: The reader.
        keeps_up: Its client always reads.
        replays: It starts with the oldest message.
        subscription: The subscription.
    """

    keeps_up = True
    replays = False

    def __init__(self, reader: Reader, subscription: Subscription, channel: Channel) -> None:
        self.reader = reader
        self.subscription = subscription
        self._channel = channel
        self.history: list[tuple[int, frozenset[str]]] = []
        self.joined = channel.published
        self.note()

    def note(self) -> None:
        assert self.subscription.topics is not None
        self.history.append((self._channel.published, frozenset(self.subscription.topics)))

    def selections(self, number: int) -> list[frozenset[str]]:
        """
        The selections from the publish of a message on.
        """
        first = 0
        for index, (published, _) in enumerate(self.history):
            if published < number:
                first = index
        return [patterns for _, patterns in self.history[first:]]


class InterleavingTests(TopicTest):
    """
    Whatever the order of things, each message is received if each selection since its publish has
    it, and is not if none has it. In between, it depends on whether it was in a replay. A ping
    never moves the position past a message that is still to come.
    """

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(_STEPS)
    def test_selections_that_change_at_any_time(self, steps: list[tuple[str, Any, int]]) -> None:
        self.setUp()
        self.followed: list[Followed] = []
        for name, value, number in steps:
            if name in ("publish", "join", "replay"):
                getattr(self, f"step_{name}")(value, number)
            elif name == "turn":
                self.clock.advance(0.001 * number)
            elif self.followed:
                one = self.followed[number % len(self.followed)]
                getattr(self, f"step_{name}")(one, value)
        for one in self.followed:
            one.reader.client.resume()
        self.settle()
        for one in self.followed:
            self.check(one)
            one.reader.client.disconnect()
        self.assert_empty()

    def check(self, one: Followed) -> None:
        received = one.reader.read().numbers
        self.assertEqual(received, sorted(set(received)))
        self.assertEqual(one.reader.gaps, [])
        for number, topic in self.topics.items():
            has_it = [takes(patterns, topic) for patterns in one.selections(number)]
            if number <= one.joined and not one.replays:
                self.assertNotIn(number, received)
            elif number > one.joined and one.keeps_up:
                self.assertEqual(number in received, has_it[0])
            elif all(has_it):
                self.assertIn(number, received)
            elif not any(has_it):
                self.assertNotIn(number, received)

    def step_publish(self, topic: str | None, number: int) -> None:
        self.publish_to(topic, size=number * 40)

    def step_join(self, pattern: str, number: int, **options: Any) -> None:
        if number == 3:
            options["filter"] = lambda message: True
        reader, subscription = self.changing(pattern, max_queued=300, **options)
        one = Followed(reader, subscription, self.news)
        one.replays = "after" in options
        self.followed.append(one)

    def step_replay(self, pattern: str, number: int) -> None:
        self.step_join(pattern, number, after=self.news.oldest)

    def step_add(self, one: Followed, pattern: str) -> None:
        assert one.subscription.topics is not None
        one.subscription.topics.add(pattern)
        one.note()

    def step_discard(self, one: Followed, pattern: str) -> None:
        assert one.subscription.topics is not None
        one.subscription.topics.discard(pattern)
        one.note()

    def step_drop(self, one: Followed, _: None) -> None:
        assert one.subscription.topics is not None
        for pattern in sorted(one.subscription.topics)[:1]:
            self.step_discard(one, pattern)

    def step_ping(self, one: Followed, _: None) -> None:
        subscription = one.subscription
        if not subscription._outlet.full and (position := subscription.position_update()):
            subscription._send_position(position)

    def step_pause(self, one: Followed, _: None) -> None:
        one.keeps_up = False
        one.reader.client.pause()

    def step_resume(self, one: Followed, _: None) -> None:
        one.reader.client.resume()

    def step_leave(self, one: Followed, _: None) -> None:
        one.reader.client.disconnect()
        self.followed.remove(one)
