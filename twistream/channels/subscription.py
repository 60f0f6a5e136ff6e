"""
Subscription: one stream that follows channels, from older messages to new ones.

A live subscription is a member of its feed's broadcast, and a client that keeps up costs nothing
here. Otherwise the client receives queued messages or the history first. `State` has all states
and the transitions between them.

Layer: channels, below `channel`.
"""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twistream.channels.cursor import Cursor
from twistream.channels.deliveries import DeliveryQueue
from twistream.channels.engine import Page
from twistream.channels.feed import ChannelCore, Feed
from twistream.channels.filtering import MessageFilter, decision
from twistream.channels.state import Cause, State, following
from twistream.channels.statistics import SubscriptionStatistics
from twistream.errors import SlowConsumer
from twistream.scheduling.tasks import cancel
from twistream.scheduling.turn import Turn
from twistream.server.base import BaseContext
from twistream.server.outlet import OnSlow, Outlet, SubscribeOptions
from twistream.wire.frames import Batch, Frame
from twistream.wire.messages import SEPARATOR, Delivery, Message

T = TypeVar("T")

# The states that are compared for each message. A member of an enum is slow to look up.
_LIVE, _ENDED = State.LIVE, State.ENDED

_QUEUED = (State.DRAINING, State.REPLAYING, State.CLOSING)


class Subscription:
    """
    One stream that follows channels. ``Channel.subscriptions`` has those of a channel.
    """

    __slots__ = (
        "_cores",
        "_cursor",
        "_feed",
        "_filter",
        "_last_event_id",
        "_not_live_since",
        "_outlet",
        "_policy",
        "_queue",
        "_state",
        "_unsent_position",
        "_wait",
    )

    def __init__(
        self,
        outlet: Outlet,
        cores: "tuple[ChannelCore[Subscription], ...]",
        options: SubscribeOptions,
        policy: OnSlow,
    ) -> None:
        self._outlet = outlet
        self._cores = cores
        self._policy = policy
        self._state = State.NEW
        self._filter = None if options.filter is None else MessageFilter(options.filter, cores)
        # The id from which the client resumes, as this subscription knows it.
        self._last_event_id = options.after
        self._cursor: Cursor | None = None  # None unless it is replaying.
        self._not_live_since = 0.0
        # The id with which a new client resumes, until a ping or an event has told it.
        self._unsent_position: str | None = None
        self._wait: Deferred[Any] | None = None  # What `_drain` awaits.
        self._feed = Feed.join((cores, outlet.format, outlet.turn), self)
        self._queue = DeliveryQueue(options.max_queued, self._feed)
        for core in cores:
            core.add(self)

    def __repr__(self) -> str:
        names = ", ".join(core.name for core in self._cores)
        return f"<Subscription {self._state.name} of {self.context!r} to {names}>"

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
        The current figures: how well the client keeps up.
        """
        queued = self._state in _QUEUED
        return SubscriptionStatistics(
            queued=self._queue.size + self._outlet.backlog,
            dropped=self._queue.dropped,
            lag=self._queue.item_count + (0 if self._cursor is None else self._cursor.lag),
            last_drain=self._not_live_since if queued else self.turn.clock.seconds(),
        )

    def start(self) -> None:
        """
        Send the messages that were missed, then new ones. Called once.
        """
        if self._last_event_id is None:
            self._go_live(Cause.FOLLOW, Cursor.at_end(self._cores))
        else:
            self._cursor = Cursor.after(self._cores, self._last_event_id)
            self._move(Cause.RESUME)
            self._start_draining()

    def finish(self) -> None:
        """
        End the stream when the client has received all messages. The channels are closed.
        """
        if self._state is _LIVE:
            self._finish()
        elif self._state is State.DRAINING:
            self._move(Cause.CLOSE)
        # The history ends with the last message, and a replay ends there by itself.

    def detach(self) -> None:
        """
        Send nothing more. It may be called again.
        """
        if self._state is not _ENDED:
            self._end(Cause.DETACH)

    @property
    def unread(self) -> int:
        """
        The number of messages that it still has to read from the histories.
        """
        return 0 if self._cursor is None else self._cursor.lag

    def position_update(self) -> str | None:
        """
        The id from which to resume, if the client does not know it yet; the caller sends it.

        A new client has no id before its first message, and a filter moves the position without
        a message.
        """
        unsent, self._unsent_position = self._unsent_position, None
        if self._queue:
            return None
        position = None if self._filter is None else self._filter.position
        if self._filter is not None:
            self._filter.position_known()
        # If nothing was published since, the first is as new as that of the filter.
        return unsent if unsent == Cursor.at_end(self._cores).id else position

    # The life.

    def _move(self, cause: Cause) -> None:
        self._state = following(self._state, cause)

    def _go_live(self, cause: Cause, cursor: Cursor) -> None:
        """
        Join the broadcast. The client has received everything up to `cursor`, the newest message.
        """
        if self._feed.closed:
            self._finish()
            return
        self._cursor = None
        self._move(cause)
        # A client that disconnects before the next message has to know where to resume.
        position = cursor.id
        if position != self._last_event_id:
            if self._outlet.pings:
                self._unsent_position = position
            else:
                self._send_position(position)
        response, broadcast = self._outlet.response, self._feed.broadcast
        broadcast.add(response, self._take, hold=self._outlet.holds_head)
        if self._filter is not None:
            broadcast.pause(response)

    def _finish(self) -> None:
        """
        The channels are closed, and the client has received everything.
        """
        self._end(Cause.FINISH)
        self._outlet.finish()

    def _fail(self, reason: BaseException) -> None:
        self._outlet.stop(reason)
        self.detach()  # The outlet does not call it if it has ended before.

    def _end(self, cause: Cause) -> None:
        self._move(cause)
        self._feed.broadcast.discard(self._outlet.response)
        self._feed.remove(self)
        for core in self._cores:
            core.remove(self)
        if self._wait is not None:
            cancel(self._wait)  # It may be of an engine, with any canceller.

    # In the broadcast.

    def _take(self, frames: Sequence[Frame]) -> None:
        """
        Take messages that the broadcast did not send: there is a filter, or the client is slow.
        """
        queue, filter = self._queue, self._filter
        for delivery in cast("Sequence[Delivery]", frames):
            if filter is not None:
                passes = self._passes(filter, delivery.message, delivery.id)
                if self._state is _ENDED:
                    return  # The filter failed, or it ended the subscription.
                if not passes:
                    continue
            if not (queue.put(delivery, len(delivery.data)) or self._make_room(delivery)):
                return
        if self._state is not _LIVE:
            return
        self._send_queued()
        if filter is not None and filter.update_due and self._is_live():
            self._send_position(cast("str", filter.position))

    def _is_live(self) -> bool:
        return self._state is _LIVE

    def _passes(self, filter: MessageFilter, message: Message, position: str) -> bool:
        """
        Return whether the client receives `message`. If the filter fails, the subscription ends.
        """
        try:
            passes = self._outlet.response.life.run(filter.function, message)
            if passes is not True and passes is not False:
                passes = decision(passes)
        except Exception as err:  # noqa: BLE001 - it is the program's code
            self._fail(err)
            return False
        if not passes:
            filter.skip(position)
        elif filter.position is not None:
            filter.position_known()
        return passes

    def _make_room(self, delivery: Delivery) -> bool:
        """
        Treat a message that does not fit into the queue. Return whether to go on after it.
        """
        if self._is_live():
            self._send_queued()
            if self._is_live():
                # The client keeps up, so it receives a message of any size.
                self._outlet.deliver(Batch([delivery]))
                return True
            if self._queue.put(delivery, len(delivery.data)):
                return True
        return self._overflow(delivery)

    def _overflow(self, delivery: Delivery) -> bool:
        """
        Apply the policy to a message that does not fit. Return whether to go on after it.
        """
        queue = self._queue
        if self._state is _ENDED:
            return False  # The response has ended, and the attempt to drain the queue noticed it.
        if self._policy == "disconnect":
            for core in self._cores:
                core.cut += 1
            self._outlet.cut(SlowConsumer(queue.size + len(delivery.data), queue.limit))
            return False
        if self._policy == "catchup":
            # This message and those after it will be read from the history.
            self._feed.broadcast.discard(self._outlet.response)
            self._last_event_id = delivery.before
            self._cursor = Cursor(self._cores, delivery.before.split(SEPARATOR))
            self._move(Cause.OVERFLOW)
            return False
        if self._policy == "latest":
            queue.drop_queued(delivery)
        else:
            queue.drop_new(delivery)
        return True

    def _send_queued(self) -> None:
        """
        Send the queue of a live client, or start to drain it if the connection is full.
        """
        while self._queue and not self._outlet.full:
            self._outlet.deliver(Batch(self._queue.take_frames()))
        if self._outlet.full and self._is_live():
            self._move(Cause.FULL)
            self._feed.broadcast.pause(self._outlet.response)
            self._start_draining()

    def _send_position(self, position: str) -> None:
        """
        Send an id from which to resume, without a message, if the format can express it.
        """
        if self._filter is not None:
            self._filter.position_known()
        if data := self._feed.format.position(position):
            self._outlet.deliver(Batch([Frame(data)]))

    # Draining.

    def _start_draining(self) -> None:
        self._not_live_since = self.turn.clock.seconds()
        Deferred.fromCoroutine(self._drain()).addErrback(self._drain_failed)

    def _drain_failed(self, failure: Failure) -> None:
        self._fail(cast("BaseException", failure.value))

    async def _drain(self) -> None:
        """
        Send the queue, then the history, as the client accepts them.
        """
        while await self._may_send():
            cursor = self._cursor
            if self._queue:
                self._outlet.deliver(Batch(self._queue.take_frames()))
            elif cursor is None:
                self._drained()
                return
            elif unread := cursor.unread:
                await self._send_pages(cursor, unread)
            else:
                self._go_live(Cause.CAUGHT_UP, cursor)
                return

    def _drained(self) -> None:
        if self._state is State.CLOSING:
            self._finish()
            return
        self._move(Cause.DRAINED)
        if self._filter is None:
            self._feed.broadcast.resume(self._outlet.response)

    async def _may_send(self) -> bool:
        """
        Wait until the client accepts more, and return whether the subscription goes on.
        """
        while self._state is not _ENDED and (wait := self._outlet.wait()) is not None:
            await self._result(wait)
        return self._state is not _ENDED

    async def _result(self, deferred: Deferred[T]) -> T:
        """
        Await a Deferred that is cancelled when the subscription ends.
        """
        self._wait = deferred
        try:
            return await deferred
        finally:
            self._wait = None

    async def _send_pages(self, cursor: Cursor, unread: Sequence[int]) -> None:
        """
        Send the next page of each channel with unread messages.
        """
        pages: dict[int, Page] = {}
        for index in unread:
            pages[index] = await self._result(self._cores[index].log.read(cursor.ids[index]))
        gaps = {index: page.gap for index, page in pages.items() if page.gap is not None}
        if gaps and self._state is not _ENDED:
            requested = cast("str", self._last_event_id)
            for index in gaps:
                cursor.ids[index] = pages[index].start
            self._last_event_id = cursor.id
            gap = self._feed.gap(requested, self._last_event_id, gaps)
            self._outlet.deliver(Batch([gap]))
        for index, page in pages.items():
            if await self._may_send():
                self._send_page(cursor, index, page)
                self._cores[index].progressed()

    def _send_page(self, cursor: Cursor, index: int, page: Page) -> None:
        frames: list[Frame] = []
        last_event_id, format = self._last_event_id, self._feed.format
        for message in page.messages:
            cursor.ids[index] = message.id
            position = cursor.id
            if self._filter is not None:
                passes = self._passes(self._filter, message, position)
                if self._state is _ENDED:
                    return
                if not passes:
                    continue
            frames.append(Frame(message.encoded(format, position)))
            last_event_id = position
        if frames:
            self._outlet.deliver(Batch(frames))
            self._last_event_id = last_event_id
