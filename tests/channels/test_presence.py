"""
Who follows a channel, and who is told of that.
"""

from contextvars import ContextVar, copy_context
from typing import Any

from twisted.internet.defer import Deferred

from tests.channels.case import ChannelTest
from twistream import Channel

NAME: ContextVar[str] = ContextVar("name", default="none")


class PresenceTests(ChannelTest):
    def setUp(self) -> None:
        super().setUp()
        self.told: list[tuple[Channel, int]] = []

    def tell(self, channel: Channel, count: int) -> None:
        self.told.append((channel, count))

    def test_one_call_tells_of_all_that_came_and_went_in_a_turn(self) -> None:
        news = self.hub.channel("news")
        news.on_presence(self.tell)
        readers = [self.follow(news) for _ in range(5)]
        self.assertEqual((news.subscriber_count, self.told), (5, []))
        self.clock.advance(0)
        self.assertEqual(self.told, [(news, 5)])
        readers[0].client.disconnect()
        readers[1].client.disconnect()
        self.clock.advance(0)
        self.assertEqual(self.told, [(news, 5), (news, 3)])

    def test_what_has_not_changed_is_not_told(self) -> None:
        news = self.hub.channel("news")
        news.on_presence(self.tell)
        self.follow(news).client.disconnect()
        self.clock.advance(0)
        self.assertEqual(self.told, [])

    def test_who_asks_late_is_told_of_changes_only(self) -> None:
        news = self.hub.channel("news")
        first = self.join(news)
        news.on_presence(self.tell)
        self.clock.advance(0)
        self.assertEqual(self.told, [])
        first.client.disconnect()
        self.clock.advance(0)
        self.assertEqual(self.told, [(news, 0)])

    def test_one_that_raises_is_logged_and_stops_no_other(self) -> None:
        news = self.hub.channel("news")

        def raises(channel: Channel, count: int) -> None:
            raise ZeroDivisionError

        async def raises_later(channel: Channel, count: int) -> None:
            await Deferred.fromCoroutine(_later())
            raise KeyError

        async def _later() -> None:
            pass

        for callback in (raises, raises_later, self.tell):
            news.on_presence(callback)
        reader = self.join(news)
        self.assertEqual(self.told, [(news, 1)])
        self.logged(ZeroDivisionError)
        self.logged(KeyError)
        self.publish(news)
        self.assertEqual(reader.read().numbers, [1])

    def test_one_may_publish(self) -> None:
        news = self.hub.channel("news")
        news.on_presence(lambda channel, count: self.publish(channel))
        reader = self.join(news)
        self.settle()
        self.assertEqual(reader.read().numbers, [1])

    def test_it_runs_in_the_context_in_which_it_was_registered(self) -> None:
        news = self.hub.channel("news")
        seen: list[str] = []

        def plain(channel: Channel, count: int) -> None:
            seen.append(f"plain {NAME.get()}")
            NAME.set("of a callback")

        async def later(channel: Channel, count: int) -> None:
            token = NAME.set("of a coroutine")
            await pause
            seen.append(f"later {NAME.get()}")
            NAME.reset(token)
            seen.append(f"reset {NAME.get()}")

        pause: Deferred[None] = Deferred()
        for callback in (plain, later):
            context = copy_context()
            context.run(NAME.set, "of the registration")
            context.run(news.on_presence, callback)
        NAME.set("of the test")
        self.follow(news)
        self.clock.advance(0)
        pause.callback(None)
        self.assertEqual(
            seen,
            ["plain of the registration", "later of a coroutine", "reset of the registration"],
        )
        self.assertEqual(NAME.get(), "of the test")
        self.assertEqual(context.run(NAME.get), "of the registration")

    def test_it_must_be_callable(self) -> None:
        wrong: Any = "a"
        with self.assertRaises(TypeError):
            self.hub.channel("news").on_presence(wrong)
