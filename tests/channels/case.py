"""
ChannelTest: the base of tests that publish to channels and read their streams.
"""

from typing import Any

from twisted.internet.task import Clock

from tests.harness import Client, StreamTest
from tests.harness.reader import Reader, epoch
from twistream import Channel, Context, Hub, StreamResource


class Busy(Clock):
    """
    A clock that can move whenever it is read, as if reading it took time.

    Attributes:
        each_look: Seconds that it moves by then.
    """

    each_look = 0.0

    def seconds(self) -> float:
        self.rightNow += self.each_look
        return self.rightNow


class ChannelTest(StreamTest):
    """
    The base: a hub, and readers of its channels.

    Attributes:
        contexts: Those of the handlers that subscribe.
        ends: What their subscriptions ended with, None for a good end.
    """

    def setUp(self) -> None:
        self.clock = Busy()
        self.hub = Hub(clock=self.clock)
        self.contexts: list[Context] = []
        self.ends: list[object] = []

    def client(self, served: Any, **options: Any) -> Client:
        """
        A client on the hub's clock that has sent a request.
        """
        return self.start(served, clock=self.clock, **options)

    def resource(self, *channels: Channel, **options: Any) -> StreamResource:
        """
        A resource that subscribes each client to these channels.
        """

        async def feed(ctx: Context) -> None:
            self.contexts.append(ctx)
            try:
                await ctx.sse(ping=None).subscribe(*channels, **options)
            except BaseException as err:
                self.ends.append(err)
                raise
            self.ends.append(None)

        return StreamResource(feed, clock=self.clock)

    def follow(
        self,
        *channels: Channel,
        last_event_id: str | None = None,
        passes: Any = None,
        **options: Any,
    ) -> Reader:
        """
        A reader that has sent its request, and has read nothing.
        """
        if passes is not None:
            options["filter"] = lambda message: passes(message.data[0])
        resource = self.resource(*channels, **options)
        return self.reader(resource, last_event_id, passes, options.get("after"))

    def reader(self, served: Any, *args: Any) -> Reader:
        """
        A reader of a resource of its own.
        """
        return Reader(self.connect(served, clock=self.clock), *args)

    def join(self, *channels: Channel, **options: Any) -> Reader:
        """
        A reader that has read all that is there for it.
        """
        return self.follow(*channels, **options).read()

    def publish(self, channel: Channel, times: int = 1, size: int = 0) -> None:
        """
        Publish messages with the numbers that their ids have.
        """
        for _ in range(times):
            self.send(channel, "x" * size)

    def send(
        self,
        channel: Channel,
        text: str = "",
        event: str | None = None,
        topic: str | None = None,
    ) -> str:
        """
        Publish a message that a reader can tell from others, and return its id.
        """
        data = [channel.published + 1, text, epoch(channel)]
        published = channel.publish(data, event, topic=topic)
        return self.successResultOf(published)

    def settle(self) -> None:
        """
        Let all happen that needs a few turns.
        """
        for _ in range(50):
            self.clock.advance(0.001)
