"""
Subscription: one stream that follows channels, from the past into the present.

It is *live* when it gets what its feed sends, as it comes: a client that keeps up costs nothing
here. It *drains* while there is something between it and that: messages in its mailbox, because
its client was slow, or in the history, because it came late or was slower than the mailbox has
room for.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twistream.channels.engine import Page
from twistream.channels.feed import Feed
from twistream.channels.mailbox import Hole, Mailbox
from twistream.channels.statistics import SubscriptionStatistics
from twistream.channels.topic import Topic
from twistream.errors import SlowConsumer
from twistream.scheduling.turn import Turn
from twistream.server.base import BaseContext
from twistream.server.outlet import OnSlow, Outlet, SubscribeOptions
from twistream.wire.frames import SEND_SIZE, Batch, Frame
from twistream.wire.messages import SEPARATOR, Delivery, Gap, Message, Reason, compound_id

_MOST_PARTS = 1_000
"""
Ids that are looked for in what a client asks for: more than a header has room for.
"""

T = TypeVar("T")


class Subscription:
    """
    One stream that follows channels.
    """

    __slots__ = (
        "_cursor",
        "_detached",
        "_draining_since",
        "_dropped",
        "_feed",
        "_filter",
        "_finishing",
        "_last_event_id",
        "_mailbox",
        "_missed",
        "_outlet",
        "_passed_over",
        "_policy",
        "_position",
        "_tell_after",
        "_topics",
        "_waits_for",
    )

    def __init__(
        self, outlet: Outlet, topics: tuple[Topic, ...], options: SubscribeOptions, policy: OnSlow
    ) -> None:
        self._outlet = outlet
        self._topics = topics
        self._filter = options.filter
        self._policy = policy
        self._mailbox: Mailbox[Delivery] = Mailbox(options.max_queued)
        # The id that the client goes on from, as far as it was told from here.
        self._last_event_id = options.after
        # Where it is in each channel, as long as it is not in the broadcast.
        self._cursor: list[str] | None = None
        self._draining_since: float | None = None  # None while it is live.
        self._waits_for: Deferred[Any] | None = None
        # Where it is, and past how many messages, if those were filtered away.
        self._position: str | None = None
        self._passed_over = 0
        # Before they are gone from the history, so that no gap is told of them.
        self._tell_after = max(1, min(topic.bounds.history for topic in topics) // 4)
        self._dropped = 0
        # The channels, by their places, of which messages were dropped; a mailbox has one hole.
        self._missed: frozenset[int] = frozenset()
        self._detached = False
        self._finishing = False
        self._feed = Feed.join((topics, outlet.format, outlet.turn), self)
        for topic in topics:
            topic.add(self)

    def __repr__(self) -> str:
        names = ", ".join(topic.name for topic in self._topics)
        return f"<Subscription of {self.context!r} to {names}>"

    @property
    def context(self) -> BaseContext:
        """
        The context of its stream.
        """
        return self._outlet.context

    @property
    def turn(self) -> Turn:
        """
        The turn of its clock.
        """
        return self._outlet.turn

    def statistics(self) -> SubscriptionStatistics:
        """
        How its client keeps up.
        """
        since = self._draining_since
        cursor = zip(self._topics, self._cursor or (), strict=False)
        return SubscriptionStatistics(
            queued=self._mailbox.size + self._outlet.backlog,
            dropped=self._dropped,
            lag=self._mailbox.waiting + sum(topic.log.behind(id_) for topic, id_ in cursor),
            last_drain=self._outlet.turn.clock.seconds() if since is None else since,
        )

    def start(self) -> None:
        """
        Send what was missed, and what comes. Called once.
        """
        if self._last_event_id is None:
            self._go_live([topic.log.last for topic in self._topics])
        else:
            self._cursor = self._positions(self._last_event_id)
            self._start_draining()

    def finish(self) -> None:
        """
        The channels are closed, and all that was published has gone round.
        """
        self._finishing = True
        if self._draining_since is None:
            self._outlet.finish()

    def detach(self) -> None:
        """
        Send nothing more. It may be called again.
        """
        if self._detached:
            return
        self._detached = True
        self._feed.broadcast.discard(self._outlet.response)
        self._feed.leave(self)
        for topic in self._topics:
            topic.remove(self)
        if self._waits_for is not None:
            self._waits_for.cancel()

    def take_position(self) -> str | None:
        """
        The id to go on from, if messages that were filtered away have moved it past the one
        that the client was told. It is told now.
        """
        if self._mailbox:
            return None
        position, self._position = self._position, None
        self._passed_over = 0
        return position

    # Live.

    def _go_live(self, cursor: list[str]) -> None:
        """
        Be live. All up to `cursor` has been sent, and that is where the channels are.
        """
        self._cursor = self._draining_since = None
        if all(topic.closed for topic in self._topics):
            self._outlet.finish()
            return
        # A client that leaves before the next message has to know where to go on.
        position = compound_id(cursor)
        if position != self._last_event_id:
            self._tell(position)
        self._feed.broadcast.add(self._outlet.response, self._take)
        if self._filter is not None:
            self._feed.broadcast.pause(self._outlet.response)

    def _take(self, frames: Sequence[Frame]) -> None:
        """
        Messages have gone round that are to be filtered, or that the client cannot take now.
        """
        for delivery in cast("Sequence[Delivery]", frames):
            passes = self._passes(delivery.message, delivery.id)
            if self._detached:
                return
            if passes and not (self._put(delivery) or self._overflow(delivery)):
                return
        if self._draining_since is None:
            self._flush()
        if self._draining_since is None and self._passed_over >= self._tell_after:
            self._tell(cast("str", self._position))

    def _tell(self, position: str) -> None:
        """
        Tell the client where to go on from, without a message.
        """
        self._position = None
        self._passed_over = 0
        if data := self._feed.format.position(position):
            self._outlet.deliver(Batch([Frame(data)]))

    def _put(self, delivery: Delivery) -> bool:
        """
        Put it into the mailbox, and return whether there was room for it.
        """
        size = len(delivery.data)
        if self._mailbox.put(delivery, size):
            return True
        if self._draining_since is None:
            self._flush()
            if self._draining_since is None:
                # The client keeps up: it gets a message of any size.
                self._send([delivery])
                return True
        return self._mailbox.put(delivery, size)

    def _flush(self) -> None:
        while self._mailbox and not self._outlet.full:
            self._send(self._mailbox.take(SEND_SIZE))
        if self._outlet.full:
            self._start_draining()

    # Draining.

    def _start_draining(self) -> None:
        self._draining_since = self._outlet.turn.clock.seconds()
        if self._cursor is None:
            self._feed.broadcast.pause(self._outlet.response)
        Deferred.fromCoroutine(self._drain()).addErrback(self._drain_failed)

    async def _drain(self) -> None:
        while await self._may_send():
            cursor = self._cursor
            if self._mailbox:
                self._send(self._mailbox.take(SEND_SIZE))
            elif cursor is None:
                self._resume_live()
                return
            elif cursor != [topic.log.last for topic in self._topics]:
                await self._send_pages(cursor)
            else:
                self._go_live(cursor)
                return

    def _resume_live(self) -> None:
        self._draining_since = None
        if self._finishing:
            self._outlet.finish()
        elif self._filter is None:
            self._feed.broadcast.resume(self._outlet.response)

    def _drain_failed(self, failure: Failure) -> None:
        self._fail(cast("BaseException", failure.value))

    def _fail(self, reason: BaseException) -> None:
        self._outlet.stop(reason)
        self.detach()  # The outlet may not know of this yet.

    async def _may_send(self) -> bool:
        """
        Wait until the client takes more, and return whether it is still subscribed.
        """
        while not self._detached and (wait := self._outlet.wait()) is not None:
            await self._result(wait)
        return not self._detached

    async def _result(self, deferred: Deferred[T]) -> T:
        self._waits_for = deferred
        try:
            return await deferred
        finally:
            self._waits_for = None

    async def _send_pages(self, cursor: list[str]) -> None:
        """
        Send the next page of each channel that it is behind in.
        """
        pages: dict[int, Page] = {}
        for index, topic in enumerate(self._topics):
            if cursor[index] != topic.log.last:
                pages[index] = await self._result(topic.log.read(cursor[index]))
        gaps = {index: page.gap for index, page in pages.items() if page.gap is not None}
        if gaps and not self._detached:
            asked = cast("str", self._last_event_id)
            for index in gaps:
                cursor[index] = pages[index].start
            self._last_event_id = compound_id(cursor)
            self._outlet.deliver(Batch([self._gap(asked, self._last_event_id, gaps)]))
        for index, page in pages.items():
            if await self._may_send():
                self._send_page(cursor, index, page)

    def _send_page(self, cursor: list[str], index: int, page: Page) -> None:
        frames: list[Frame] = []
        told = self._last_event_id
        for message in page.messages:
            cursor[index] = message.id
            position = compound_id(cursor)
            passes = self._passes(message, position)
            if self._detached:
                return
            if passes:
                frames.append(Frame(message.encoded(self._feed.format, position)))
                told = position
        if frames:
            self._outlet.deliver(Batch(frames))
            self._last_event_id = told

    # Slow.

    def _overflow(self, delivery: Delivery) -> bool:
        """
        For this one there is no room. Return whether to go on with those after it.
        """
        size = len(delivery.data)
        if self._policy == "disconnect":
            for topic in self._topics:
                topic.cut += 1
            waits = self._mailbox.size + size
            self._outlet.cut(SlowConsumer(waits, self._mailbox.limit))
            return False
        if self._policy == "catchup":
            # This one, and what comes after it, is in the history for the client to read later.
            self._feed.broadcast.discard(self._outlet.response)
            self._last_event_id = delivery.before
            self._cursor = delivery.before.split(SEPARATOR)
            return False
        if self._policy == "latest":
            dropped = self._mailbox.keep_only(delivery, size)
        else:
            dropped = [delivery]
            self._mailbox.drop(delivery)
        self._dropped += len(dropped)
        for index, topic in enumerate(self._topics):
            of_it = sum(topic.log.owns(each.message.id) for each in dropped)
            topic.dropped += of_it
            if of_it:
                self._missed |= {index}
        return True

    # Inside.

    def _positions(self, asked: str) -> list[str]:
        """
        Where a client that has got everything up to `asked` is in each channel.
        """
        parts = asked.split(SEPARATOR, _MOST_PARTS)
        found = [next(filter(topic.log.owns, parts), None) for topic in self._topics]
        # If all of it is understood, a channel that it does not name is new to the client.
        known = len(parts) == sum(part is not None for part in found)
        return [
            part or (topic.log.last if known else asked)
            for part, topic in zip(found, self._topics, strict=True)
        ]

    def _passes(self, message: Message, position: str) -> bool:
        """
        Whether the filter lets a message pass, after which the stream is at `position`.

        Where the filter fails, the subscription has ended.
        """
        if self._filter is None:
            return True
        try:
            passes = bool(self._filter(message))
        except Exception as err:  # noqa: BLE001 - it is somebody else's code
            self._fail(err)
            return False
        self._position = None if passes else position
        self._passed_over = 0 if passes else self._passed_over + 1
        return passes

    def _send(self, items: Sequence[Delivery | Hole[Delivery]]) -> None:
        frames = [self._hole(item) if isinstance(item, Hole) else item for item in items]
        self._outlet.deliver(Batch(frames))

    def _hole(self, hole: Hole[Delivery]) -> Frame:
        reasons: dict[int, Reason] = dict.fromkeys(sorted(self._missed), "dropped")
        self._missed = frozenset()
        return self._gap(hole.first.before, hole.last.id, reasons)

    def _gap(self, requested: str, resumed_from: str, reasons: Mapping[int, Reason]) -> Frame:
        """
        Tell that messages are missing, in the channels of these indexes.
        """
        for index in reasons:
            self._topics[index].gaps += 1
        names = {self._topics[index].name: reason for index, reason in reasons.items()}
        gap = Gap(
            requested=requested,
            resumed_from=resumed_from,
            reason=next(iter(reasons.values())),
            channels=names if len(self._topics) > 1 else None,
        )
        return Frame(self._feed.format.gap(gap))
