"""
DrainingSubscription: the part of a subscription that does not depend on the broadcast.

It sends queued messages and the history while the client is behind, decides what the client
receives, and ends the subscription. `Subscription` adds the live part.

Layer: channels, below `subscription`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twistream.channels.cursor import Cursor
from twistream.channels.deliveries import DeliveryQueue, WarningQueue
from twistream.channels.engine import Page
from twistream.channels.feed import ChannelCore, Feed, Follower
from twistream.channels.filtering import MessageFilter, decision
from twistream.channels.state import TRANSITIONS, Cause, State
from twistream.scheduling.tasks import cancel
from twistream.server.outlet import OnSlow, Outlet, SubscribeOptions
from twistream.wire.frames import Batch, Frame
from twistream.wire.messages import Message

T = TypeVar("T")
F = TypeVar("F", bound=Follower)

_ENDED = State.ENDED  # It is compared for each message. A member of an enum is slow to look up.


_MESSAGE_COST = 256
"""
Bytes that a message of a replay counts for in addition to its size: sending many small ones takes
as long as that.
"""


class DrainingSubscription(ABC, Generic[F]):
    """
    The base of `Subscription`.
    """

    __slots__ = (
        "_announce",
        "_cores",
        "_cursor",
        "_feed",
        "_filter",
        "_id",
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
        cores: tuple[ChannelCore[F], ...],
        options: SubscribeOptions,
        policy: OnSlow,
    ) -> None:
        self._outlet = outlet
        self._cores = cores
        self._policy = policy
        self._state = State.NEW
        self._filter: MessageFilter | None = None
        if options.filter is not None or options.may_see is not None:
            self._filter = MessageFilter(options.filter, options.may_see, cores)
        # The id from which the client resumes, as this subscription knows it.
        self._last_event_id = options.after
        # The position in the histories. None unless it is replaying.
        self._cursor: Cursor | None = None
        self._not_live_since = 0.0
        # The id with which a new client resumes, until a ping or an event has told it.
        self._unsent_position: str | None = None
        # What `_drain` awaits.
        self._wait: Deferred[Any] | None = None
        self._id: str | None = None
        # The id of the subscription is still to be sent, before anything else.
        self._announce = options.announce
        follower = cast("F", self)
        key = (cores, outlet.format, outlet.turn, options.topics)
        self._feed = Feed.join(key, follower)
        self._queue = (
            WarningQueue(options.max_queued, self._feed, outlet)
            if options.warn_slow
            else DeliveryQueue(options.max_queued, self._feed)
        )
        for core in cores:
            core.add(follower, options.presence)

    @property
    @abstractmethod
    def id(self) -> str:
        """
        See `Subscription`.
        """

    @abstractmethod
    def detach(self) -> None:
        """
        See `Subscription`.
        """

    @abstractmethod
    def _go_live(self, cause: Cause, cursor: Cursor) -> None:
        """
        Join the broadcast. The client has received everything up to `cursor`, the newest message.
        """

    # The life.

    def _move(self, cause: Cause) -> None:
        self._state = TRANSITIONS[self._state, cause]

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
        follower = cast("F", self)
        self._feed.remove(follower)
        for core in self._cores:
            core.remove(follower)
            if self._id is not None:
                core.identified.pop(self._id, None)
        if self._wait is not None:
            cancel(self._wait)  # It may be of an engine, with any canceller.

    # What the client receives.

    def _passes(self, filter: MessageFilter, message: Message, position: str) -> bool:
        """
        Return whether the client receives `message`. If the filter fails, the subscription ends.
        """
        decide = filter.decide if filter.function is None else filter.function
        try:
            passes = self._outlet.response.life.run(decide, message)
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

    def _send_announcement(self) -> None:
        """
        With ``announce``, send the id of the subscription. Later calls do nothing.
        """
        if self._announce:
            self._announce = False
            frame = Frame(self._feed.format.subscription(self.id))
            self._outlet.deliver(Batch([frame]))

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
        self._not_live_since = self._outlet.turn.clock.seconds()
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
        # All clients that replay share a budget, so that live messages do not wait for them.
        if (wait := self._feed.pacer.wait()) is not None:
            await self._result(wait)
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
            if self._filter is not None:
                self._filter.position_known()  # The id of the gap is newer.
            self._send_announcement()
            self._outlet.deliver(Batch([gap]))
        for index, page in pages.items():
            if await self._may_send():
                self._send_page(cursor, index, page)
                self._cores[index].progressed()

    def _send_page(self, cursor: Cursor, index: int, page: Page) -> None:
        batch = self._batch(cursor, index, page)
        self._feed.pacer.spend(_MESSAGE_COST * len(page.messages) + (batch.size if batch else 0))
        if batch is not None and self._state is not _ENDED:
            self._send_announcement()
            self._outlet.deliver(batch)

    def _batch(self, cursor: Cursor, index: int, page: Page) -> Batch | None:
        """
        What the client receives of a page, if anything. Moves the cursor past it.
        """
        feed = self._feed
        if not page.messages:
            return None
        if self._filter is None and feed.selection is None and len(self._cores) == 1:
            # All clients receive the same.
            self._last_event_id = cursor.ids[0] = page.messages[-1].id
            return feed.pages.batch(page.messages, feed.format)
        frames: list[Frame] = []
        for message in page.messages:
            cursor.ids[index] = message.id
            # The filter may change the selection.
            selection = self._feed.selection
            if selection is not None and not selection.matches(message.topic):
                continue
            position = cursor.id
            if self._filter is not None:
                passes = self._passes(self._filter, message, position)
                if self._state is _ENDED:
                    return None
                if not passes:
                    continue
            frames.append(Frame(message.encoded(self._feed.format, position)))
            self._last_event_id = position
        return Batch(frames) if frames else None
