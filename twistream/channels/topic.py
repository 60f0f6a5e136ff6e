"""
Topic: what is behind a channel. Programs see the `twistream.channels.channel.Channel` only.

It joins the log of a channel, which an engine keeps, with those who follow it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.channels.engine import Bounds, Engine, Log
from twistream.scheduling.tasks import call
from twistream.scheduling.turn import Turn
from twistream.wire.messages import Message

if TYPE_CHECKING:
    from twistream.channels.feed import Feed, FeedKey
    from twistream.channels.subscription import Subscription


class Topic:
    """
    The messages of one channel, and those who follow it.

    Attributes:
        bounds: How much of it is kept.
        closed: There will be no more messages.
        cut: How many subscribers were cut because they were too slow.
        dropped: How many messages subscribers did not get because they were too slow.
        feeds: Its followers, by what they have in common.
        gaps: How many gaps subscribers were told of.
        log: Its messages.
        name: The name of the channel.
        subscriptions: Its followers.
    """

    _log = Logger()

    def __init__(
        self, name: str, bounds: Bounds, engine: Engine, clock: Callable[[], IReactorTime]
    ) -> None:
        self.name = name
        self.bounds = bounds
        self.closed = False
        self.cut = self.dropped = self.gaps = 0
        self.feeds: dict[FeedKey, Feed] = {}
        self.subscriptions: dict[Subscription, None] = {}
        self._on_presence: tuple[Callable[[int], object], ...] = ()
        self._presence_told = 0
        self._presence_is_due = False
        self.log: Log = engine.open(name, bounds, clock, self._received)

    def close(self) -> None:
        """
        End it. Who follows it gets what was published before.
        """
        self.closed = True
        self.log.close()
        for feed in list(self.feeds.values()):
            feed.close_if_all_are_closed()

    def add(self, subscription: "Subscription") -> None:
        """
        A stream follows it.
        """
        self.subscriptions[subscription] = None
        self._presence_changed(subscription.turn)

    def remove(self, subscription: "Subscription") -> None:
        """
        A stream follows it no more.
        """
        del self.subscriptions[subscription]
        self._presence_changed(subscription.turn)

    def on_presence(self, callback: Callable[[int], object]) -> None:
        """
        Call `callback` when the number of followers has changed. See ``Channel.on_presence``.
        """
        if not self._on_presence:
            self._presence_told = len(self.subscriptions)
        self._on_presence += (callback,)

    def _received(self, message: Message) -> None:
        for feed in self.feeds.values():
            feed.publish(message)

    def _presence_changed(self, turn: Turn) -> None:
        if self._on_presence and not self._presence_is_due:
            self._presence_is_due = True
            turn.at_end(self._tell_presence)

    def _tell_presence(self) -> None:
        self._presence_is_due = False
        count = len(self.subscriptions)
        if count != self._presence_told:
            self._presence_told = count
            for callback in self._on_presence:
                call(callback, count).addErrback(self._complain)

    def _complain(self, failure: Failure) -> None:
        self._log.failure("a callback for the presence in {name!r} failed", failure, name=self.name)
