"""
Channels without sockets: readers of their streams, and the base of their tests.

Readers hold what a channel promises against what comes.

A reader that was promised a message and does not get it, gets it twice, or out of order,
fails, unless it was told of a gap.
"""

import json
from typing import Any

from twisted.internet.task import Clock

from tests.glue import Connection, GlueTest, chunks
from twistream import Channel, Context, EventDecoder, Hub, StreamResource


def numbers(last_id: str) -> dict[str, int]:
    """
    What an id says: how far it is, by the epoch of each channel.
    """
    return {
        epoch: int(number) for epoch, number in (part.split("-") for part in last_id.split(","))
    }


def epoch(channel: Channel) -> str:
    return channel.last.partition("-")[0]


class Reader:
    """
    A client of a stream of events.

    Attributes:
        events: What it got: pairs of an event's name and the number of the message.
        last_event_id: What it would ask for if it came again.
        gaps: What it was told is missing.
    """

    def __init__(
        self,
        resource: StreamResource,
        clock: Clock,
        last_event_id: str | None = None,
        passes: Any = None,
        after: str | None = None,
    ) -> None:
        """
        Args:
            passes: Whether the reader is for messages of a number.
            after: Where the handler has it start, whatever it asks for.
        """
        self.events: list[tuple[str, int]] = []
        self.gaps: list[dict[str, Any]] = []
        self.last_event_id = last_event_id
        self._passes = passes
        self._position: dict[str, int] | None = None
        start = after or last_event_id
        if start is not None and "-" in start:
            self._position = numbers(start)
        self._decoder = EventDecoder()
        self.connection = Connection(resource, clock)
        headers = (
            b"" if last_event_id is None else b"Last-Event-ID: %b\r\n" % last_event_id.encode()
        )
        self.connection.request(headers=headers)
        self.head = b""
        self.complete = False
        self._rest = b""

    def read(self) -> "Reader":
        """
        Take all that was sent.
        """
        data = self._rest + self.connection.received()
        if not self.head:
            self.head, separator, data = data.partition(b"\r\n\r\n")
            if not separator:
                self._rest, self.head = self.head, b""
                return self
        self._rest = b""
        if data.endswith(b"0\r\n\r\n"):
            self.complete = True
        # Each message is a chunk, so that what is told by an id alone is seen.
        for chunk in chunks(data):
            for event in self._decoder.feed(chunk):
                self._got(event.event or "message", event.data or "", event.id or "")
            if self._decoder.last_event_id:
                self.last_event_id = self._decoder.last_event_id
                if self._position is None:
                    self._position = numbers(self.last_event_id)
                self._follow(self.last_event_id)
        return self

    def _got(self, name: str, data: str, last_id: str) -> None:
        if name == "gap":
            gap = json.loads(data)
            assert gap["resumed_from"] == last_id
            if gap["reason"] == "dropped" and not self.is_filtered:
                assert numbers(gap["requested"]) == self._position
            self.gaps.append(gap)
            self._position = numbers(last_id)
            return
        number, _, mine = json.loads(data)
        position, now = self._position, numbers(last_id)
        assert position is not None, "a message before the position is known"
        assert now[mine] == number, "the id is that of the message"
        before = position.get(mine, number - 1)
        assert before < number, f"message {number} came after {before}"
        assert self._passes is None or self._passes(number), "what was to be filtered away"
        self._position = {**position, mine: number}
        assert self._is_passed(before, number - 1), f"from {before} to {number}, without a word"
        # As to other channels, the id may pass over what is not for this reader.
        self._follow(last_id)
        self.events.append((name, number))

    def _follow(self, last_id: str) -> None:
        """
        An id alone may pass over what is not for this reader.
        """
        assert self._position is not None
        for each, number in numbers(last_id).items():
            before = self._position.get(each, number)
            assert before <= number, "an id that goes back"
            assert self._is_passed(before, number), f"from {before} to {number} by an id alone"
        self._position = numbers(last_id)

    def _is_passed(self, before: int, number: int) -> bool:
        """
        Whether there is nothing for this reader after `before` and up to `number`.
        """
        between = range(before + 1, number + 1)
        return not between if self._passes is None else not any(map(self._passes, between))

    @property
    def is_filtered(self) -> bool:
        """
        Whether it does not get everything.
        """
        return self._passes is not None

    @property
    def numbers(self) -> list[int]:
        """
        The numbers of the messages that it got.
        """
        return [number for _, number in self.events]

    def is_at(self, *channels: Channel) -> bool:
        """
        Whether it has got everything.
        """
        return self._position == {
            epoch(channel): int(channel.last.partition("-")[2]) for channel in channels
        }


class Busy(Clock):
    """
    A clock that goes on by itself whenever it is looked at.
    """

    each_look = 0.0

    def seconds(self) -> float:
        self.rightNow += self.each_look
        return self.rightNow


class ChannelTest(GlueTest):
    """
    The base: a hub, and readers of its channels.
    """

    def setUp(self) -> None:
        self.clock = Busy()
        self.hub = Hub(clock=self.clock)
        self.contexts: list[Context] = []
        self.ends: list[object] = []

    def resource(self, *channels: Channel, **options: Any) -> StreamResource:
        async def feed(ctx: Context) -> None:
            self.contexts.append(ctx)
            try:
                await ctx.sse(ping=None).subscribe(*channels, **options)
            except BaseException as err:
                self.ends.append(err)
                raise
            self.ends.append(None)

        return StreamResource(feed, clock=self.clock)

    def connect(
        self,
        *channels: Channel,
        last_event_id: str | None = None,
        passes: Any = None,
        **options: Any,
    ) -> Reader:
        if passes is not None:
            options["filter"] = lambda message: passes(message.data[0])
        resource = self.resource(*channels, **options)
        reader = Reader(resource, self.clock, last_event_id, passes, options.get("after"))
        self.addCleanup(reader.connection.leave)
        return reader

    def join(self, *channels: Channel, **options: Any) -> Reader:
        """
        A reader that has got what there was for it.
        """
        return self.connect(*channels, **options).read()

    def publish(self, channel: Channel, times: int = 1, size: int = 0) -> None:
        """
        Publish messages that are numbered as their ids are.
        """
        for _ in range(times):
            self.send(channel, "x" * size)

    def send(self, channel: Channel, text: str = "", event: str | None = None) -> str:
        """
        Publish a message that a reader can tell from others, and return its id.
        """
        published = channel.publish([channel.published + 1, text, epoch(channel)], event)
        return self.successResultOf(published)

    def settle(self) -> None:
        for _ in range(50):
            self.clock.advance(0.001)
