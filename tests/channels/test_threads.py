"""
Channels and threads, without a reactor that runs.
"""

import threading

from twisted.python import threadable

from tests.channels.case import ChannelTest


class HubTests(ChannelTest):
    """
    Looking for a channel.
    """

    def test_looking_for_a_channel_makes_none(self) -> None:
        self.assertIsNone(self.hub.get("news"))
        self.assertNotIn("news", self.hub)
        self.assertEqual(len(self.hub.channels), 0)
        news = self.hub.channel("news")
        self.assertIs(self.hub.get("news"), news)
        self.assertIn("news", self.hub)
        news.close()
        self.assertIsNone(self.hub.get("news"))
        self.assertNotIn(5, self.hub)


class WrongThreadTests(ChannelTest):
    """
    Calls from a thread that is not the reactor's.
    """

    def in_thread(self, call: object) -> BaseException | None:
        errors: list[BaseException] = []

        def run() -> None:
            try:
                call()  # type: ignore[operator]  # a function
            except RuntimeError as err:
                errors.append(err)

        self.patch(threadable, "ioThread", threading.get_ident())
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return errors[0] if errors else None

    def test_publish_names_the_supported_ways_and_changes_nothing(self) -> None:
        news = self.hub.channel("news", history=10)
        error = self.in_thread(lambda: news.publish("x"))
        for name in ("publish_from_thread", "callFromThread"):
            self.assertIn(name, str(error))
        self.assertEqual(news.published, 0)

    def test_from_the_reactors_thread_or_without_a_reactor_it_would_wait_for_ever(self) -> None:
        news = self.hub.channel("news")
        for thread in (threading.get_ident(), None):
            self.patch(threadable, "ioThread", thread)
            self.assertRaises(RuntimeError, news.publish_from_thread, "x")
