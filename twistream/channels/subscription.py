"""
Subscription: one stream that follows channels, from older messages to new ones.

A live subscription is a member of its feed's broadcast, and a client that keeps up costs nothing
here. Otherwise the client receives queued messages or the history first: `DrainingSubscription`.
`State` has all states and the transitions between them.

Layer: channels, below `channel`.
"""

from collections.abc import Sequence
from secrets import token_urlsafe
from typing import cast

from twistream.channels.cursor import Cursor
from twistream.channels.draining import DrainingSubscription
from twistream.channels.filtering import MessageFilter
from twistream.channels.selection import SelectedTopics
from twistream.channels.state import Cause, State
from twistream.channels.statistics import SubscriptionStatistics
from twistream.errors import SlowConsumer
from twistream.scheduling.threads import check_thread
from twistream.scheduling.turn import Turn
from twistream.server.base.streaming import BaseContext
from twistream.wire.frames import Batch, Frame
from twistream.wire.messages import SEPARATOR, Delivery

# The states that are compared for each message. A member of an enum is slow to look up.
_LIVE, _ENDED = State.LIVE, State.ENDED

_QUEUED = (State.DRAINING, State.REPLAYING, State.CLOSING)
_IN_BROADCAST = (State.LIVE, State.DRAINING)

_ID_BYTES = 16
"""
Random bytes of an id, enough that nobody can guess the id of another client.
"""


class Subscription(DrainingSubscription["Subscription"]):
    """
    One stream that follows channels. ``Channel.subscriptions`` has those of a channel.
    """

    __slots__ = ()

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

    @property
    def id(self) -> str:
        """
        A token that nobody can guess, new for each subscription.

        It is made when it is first read. ``Hub.subscriptions`` finds the subscription by it.

        Raises:
            RuntimeError: It is first read in a thread that is not the reactor's.
        """
        if self._id is None:
            check_thread("id")
            self._id = token_urlsafe(_ID_BYTES)
            if self._state is not _ENDED:
                for core in self._cores:
                    core.identified[self._id] = self
        return self._id

    @property
    def topics(self) -> SelectedTopics | None:
        """
        The patterns of the topics that it receives; None if it receives every message.

        Add and discard patterns to change what it receives.
        """
        if self._feed.selection is None:
            return None
        return SelectedTopics(self._patterns, self._select)

    def recheck(self) -> None:
        """
        Forget the answers of ``may_see``, so that it is called again for each topic.

        Messages that are queued for a slow client were checked before.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        check_thread("recheck()")
        if self._filter is not None:
            self._filter.forget_answers()

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

        A new client has no id before its first message. A filter and a selection of topics move
        the position without a message.
        """
        unsent, self._unsent_position = self._unsent_position, None
        if self._queue:
            return None
        if self._feed.selection is not None:
            return self._position_update_of_selection()
        position = None if self._filter is None else self._filter.position
        if self._filter is not None:
            self._filter.position_known()
        # If nothing was published meanwhile, the first is as new as that of the filter.
        return unsent if unsent == Cursor.at_end(self._cores).id else position

    def _position_update_of_selection(self) -> str | None:
        if self._cursor is None and self._feed.broadcast.has_unsent:
            return None  # Those messages have ids themselves.
        # Nothing is queued, so the client has received everything for it up to this id.
        position = (self._cursor or Cursor.at_end(self._cores)).id
        if self._filter is not None:
            self._filter.position_known()
        if position == self._last_event_id:
            return None
        self._last_event_id = position
        return position

    # Topics.

    def _patterns(self) -> frozenset[str]:
        selection = self._feed.selection
        return frozenset() if selection is None else selection.patterns

    def _select(self, patterns: frozenset[str]) -> None:
        """
        Receive other topics from now on.
        """
        check_thread("topics")
        response = self._outlet.response
        if self._state is _ENDED or response.life.ended or patterns == self._patterns():
            return
        # The client still receives what the old feed has not sent.
        unsent = self._feed.broadcast.withdraw(response)
        self._feed = self._queue.feed = self._feed.reselected(patterns, self)
        if self._filter is not None:
            self._filter.forget_answers()
        if self._state in _IN_BROADCAST:
            self._join_broadcast()
        self._feed.finish_if_closed()  # The old feed can no longer do it.
        if unsent:
            self._take(unsent)

    # The life.

    def _go_live(self, cause: Cause, cursor: Cursor) -> None:
        """
        Join the broadcast. The client has received everything up to `cursor`, the newest message.
        """
        if self._feed.closed:
            self._finish()
            return
        self._cursor = None
        self._move(cause)
        self._send_announcement()
        # A client that disconnects before the next message has to know where to resume.
        position = cursor.id
        if position != self._last_event_id:
            if self._outlet.pings:
                self._unsent_position = position
            else:
                self._send_position(position)
        self._join_broadcast()

    def _join_broadcast(self) -> None:
        response = self._outlet.response
        self._feed.broadcast.add(response, self._take, hold=self._outlet.holds_head)
        if self._filter is not None or self._state is not _LIVE:
            self._feed.broadcast.pause(response)

    # In the broadcast.

    def _take(self, frames: Sequence[Frame]) -> None:
        """
        Take messages that the broadcast did not send: there is a filter, or the client is slow.
        """
        filter = self._filter
        if filter is None:
            goes_on = all(map(self._put, cast("Sequence[Delivery]", frames)))
        elif filter.taking is not None:
            filter.taking += frames  # The filter itself has changed the topics.
            return
        else:
            goes_on = self._take_filtered(filter, frames)
        if not goes_on or self._state is not _LIVE:
            return
        self._send_queued()
        if filter is not None and filter.update_due and self._is_live():
            self._send_position(cast("str", filter.position))

    def _take_filtered(self, filter: MessageFilter, frames: Sequence[Frame]) -> bool:
        """
        Queue the messages that pass the filter. Return whether to go on after them.
        """
        filter.taking = list(frames)
        try:
            for delivery in cast("Sequence[Delivery]", filter.taking):
                passes = self._passes(filter, delivery.message, delivery.id)
                if self._state is _ENDED:
                    return False  # The filter failed, or it ended the subscription.
                if passes and not self._put(delivery):
                    return False
        finally:
            filter.taking = None
        return True

    def _put(self, delivery: Delivery) -> bool:
        """
        Queue a message. Return whether to go on after it.
        """
        return self._queue.put(delivery, len(delivery.data)) or self._make_room(delivery)

    def _is_live(self) -> bool:
        return self._state is _LIVE

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
