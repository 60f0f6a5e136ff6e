"""
Filters whose result says nothing, and the position of a client past what a filter refuses.
"""

from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, succeed

from tests.channels.case import ChannelTest
from twistream import Context, Message, StreamResource


async def coroutine(message: Message) -> bool:
    return False


def generator(message: Message) -> Generator[bool]:
    yield False


async def async_generator(message: Message) -> AsyncIterator[bool]:
    yield False


@inlineCallbacks
def deferred(message: Message) -> Generator[Deferred[None], None, bool]:
    yield succeed(None)
    return False


class AsyncCall:
    """
    A callable object with an async ``__call__``.
    """

    async def __call__(self, message: Message) -> bool:  # noqa: ARG002 - never called
        return False


class ResultTests(ChannelTest):
    def test_a_function_of_another_kind_is_refused_at_the_call(self) -> None:
        news = self.hub.channel("news")
        for function in (coroutine, generator, async_generator, AsyncCall()):
            self.follow(news, filter=function)
            text = str(self.ends.pop())
            self.assertRegex(text, "^filter must (not be a generator|be a plain) function")
            self.logged(TypeError)
        self.assertEqual(news.subscriber_count, 0)

    def test_an_awaitable_or_an_iterator_ends_the_stream_before_the_message(self) -> None:
        functions: tuple[Callable[[Message], Any], ...]
        functions = (coroutine, generator, async_generator, deferred)
        news = self.hub.channel("news", history=10)
        everybody = self.join(news)
        for function in functions:
            for after in (None, news.oldest):
                # Only the result of a lambda shows what it is.
                reader = self.join(news, filter=lambda each, f=function: f(each), after=after)
                self.publish(news)
                self.settle()
                self.assertEqual(reader.read().numbers, [])
                self.assertRegex(str(self.ends.pop()), "^filter must return whether")
                self.logged(TypeError)
        self.assertEqual(everybody.read().numbers, list(range(1, news.published + 1)))

    def test_any_other_value_is_true_or_false_as_in_python(self) -> None:
        news = self.hub.channel("news")
        for value, passes in ((1, True), (0, False), ("a", True), ("", False), (None, False)):
            client = self.client(self.resource(news, filter=lambda message, value=value: value))
            client.receive()
            self.publish(news)
            self.assertEqual(bool(client.read_events()), passes, value)


class PositionTests(ChannelTest):
    def test_a_position_before_a_gap_is_not_sent_after_it(self) -> None:
        news, live = self.hub.channel("news", history=9), self.hub.channel("live")
        start = f"{news.last},{live.last}"
        self.publish(news)

        def passes(_: Message) -> bool:
            self.publish(live)  # It is lost for a client that replays.
            return False

        async def feed(ctx: Context) -> None:
            await ctx.sse(ping=8.0).subscribe(news, live, filter=passes)

        reader = self.reader(StreamResource(feed, clock=self.clock), start)
        self.settle()
        self.assertEqual(len(reader.read().gaps), 1)
        after_gap = reader.last_event_id
        self.clock.advance(9)
        self.assertEqual(reader.read().last_event_id, after_gap)
        self.assertEqual(after_gap, f"{news.last},{live.last}")
