"""
ChannelCore and Feed: how a message gets from the log of a channel to the streams that follow it.

Each channel has a `ChannelCore`: its log, its followers and its counters. Streams that follow the same
channels and topics in the same format share a `Feed`, which encodes each message once and sends it
to all of them in one broadcast. Both know a stream only as a `Follower`.

Layer: channels, above `engine`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.channels.engine import Bounds, Engine, Log
from twistream.channels.pages import PageCache
from twistream.channels.presence import Presence
from twistream.channels.topics import Selection, TopicIndex
from twistream.scheduling.pacing import Pacer
from twistream.scheduling.turn import Turn
from twistream.server.broadcast import Broadcast
from twistream.wire.frames import Frame
from twistream.wire.messages import Delivery, Format, Message, compound_id
from twistream.wire.notices import Gap, Reason


class Follower(Protocol):
    """
    A stream that follows channels.
    """

    @property
    def turn(self) -> Turn:
        """
        The turn of its clock.
        """

    @property
    def unread(self) -> int:
        """
        The number of messages that it still has to read from the histories.
        """

    def finish(self) -> None:
        """
        End the stream: its channels are closed, and all messages were sent to the broadcast.
        """


F = TypeVar("F", bound=Follower)

OnDrained: TypeAlias = Callable[[], object]
"""
Called when the last follower of a closed channel has left.
"""


class ChannelCore(Generic[F]):
    """
    The messages of one channel, and the streams that follow it.

    Attributes:
        bounds: The limits of its history.
        closed: The channel is closed.
        cut: The number of followers that were disconnected because they were too slow.
        dropped: The number of messages that were dropped because followers were too slow.
        feeds: Its feeds.
        followers: Its followers.
        identified: The followers of all channels of the hub that have an id, by this id.
        gaps: The number of gaps that were reported to followers.
        log: Its messages.
        name: The name of the channel.
        on_unused: Called when the last follower has left.
        on_progress: Called when a follower has joined, has read from the history, or has left.
        presence: Who follows it, by the metadata of the followers; None as long as none has any.
        topics: The feeds of streams that selected topics, by their patterns.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        bounds: Bounds,
        engine: Engine,
        clock: Callable[[], IReactorTime],
        identified: dict[str, F] | None = None,
    ) -> None:
        self.name = name
        self.bounds = bounds
        self.closed = False
        self.cut = self.dropped = self.gaps = 0
        self.feeds: dict[FeedKey[F], Feed[F]] = {}
        self.topics: TopicIndex[Feed[F]] = TopicIndex()
        self.followers: dict[F, bytes | None] = {}  # With their metadata.
        self.presence: Presence | None = None
        self.identified: dict[str, F] = {} if identified is None else identified
        self.on_unused: Callable[[], object] | None = None
        self.on_progress: Callable[[], object] | None = None
        self._unselective: dict[Feed[F], None] = {}  # The feeds that receive every message.
        self._on_drained: OnDrained | None = None
        self._on_presence: tuple[Callable[[int], Deferred[Any]], ...] = ()
        self._reported_count = 0
        self._members_changed = False
        self._report_is_due = False
        self.log: Log = engine.open(name, bounds, clock, self._received)

    def close(self, on_drained: OnDrained) -> None:
        """
        Close the channel. Followers receive the messages that were published before.
        """
        self.closed = True
        self._on_drained = on_drained
        self._notify_if_drained()
        self.log.close()
        for feed in list(self.feeds.values()):
            feed.finish_if_closed()

    def add_feed(self, key: "FeedKey[F]", feed: "Feed[F]") -> None:
        """
        Send messages to a feed from now on.
        """
        self.feeds[key] = feed
        if feed.selection is None:
            self._unselective[feed] = None
            return
        for pattern in feed.selection.patterns:
            self.topics.add(pattern, feed)

    def remove_feed(self, key: "FeedKey[F]") -> None:
        """
        Send nothing more to a feed.
        """
        feed = self.feeds.pop(key)
        if feed.selection is None:
            del self._unselective[feed]
            return
        for pattern in feed.selection.patterns:
            self.topics.discard(pattern, feed)

    def add(self, follower: F, metadata: bytes | None) -> None:
        """
        Add a follower.

        Args:
            metadata: What `presence` shows of it.
        """
        self.followers[follower] = metadata
        self.progressed()
        self._presence_changed(follower.turn)
        if metadata is not None and self.presence is not None:
            self.presence.join(metadata, follower.turn)

    def remove(self, follower: F) -> None:
        """
        Remove a follower.
        """
        metadata = self.followers.pop(follower)
        self.progressed()
        self._presence_changed(follower.turn)
        if metadata is not None and self.presence is not None:
            self.presence.leave(metadata, follower.turn)
        self._notify_if_drained()
        if self.on_unused is not None and not self.followers:
            self.on_unused()

    def progressed(self) -> None:
        """
        A follower has joined, has read from the history, or has left.
        """
        if self.on_progress is not None:
            self.on_progress()

    def flush(self) -> bool:
        """
        Send the messages that wait for the end of the turn to the followers now.

        Returns:
            False if messages are being sent, so that these have to come after them. A filter or the
            end of a follower has called this.
        """
        feeds = list(self.feeds.values())
        if any(feed.broadcast.is_sending for feed in feeds):
            return False
        for feed in feeds:
            feed.broadcast.flush()
        return True

    def on_presence(self, callback: Callable[[int], Deferred[Any]]) -> None:
        """
        Call `callback` when the number of followers, or `presence`, has changed.

        Its failures are logged.
        """
        if not self._on_presence:
            self._reported_count = len(self.followers)
        self._on_presence += (callback,)

    def _received(self, message: Message) -> None:
        for feed in self._unselective:
            feed.publish(message)
        if message.topic is not None:
            for feed in self.topics.match(message.topic):
                feed.publish(message)

    def _notify_if_drained(self) -> None:
        if self._on_drained is not None and not self.followers:
            on_drained, self._on_drained = self._on_drained, None
            on_drained()

    def members_changed(self, turn: Turn) -> None:
        """
        What `presence` shows has changed.
        """
        self._members_changed = True
        self._presence_changed(turn)

    def _presence_changed(self, turn: Turn) -> None:
        if self._on_presence and not self._report_is_due:
            self._report_is_due = True
            turn.at_end(self._report_presence)

    def _report_presence(self) -> None:
        self._report_is_due = False
        count = len(self.followers)
        if count != self._reported_count or self._members_changed:
            self._members_changed = False
            self._reported_count = count
            for callback in self._on_presence:
                callback(count).addErrback(self._log_failure)

    def _log_failure(self, failure: Failure) -> None:
        self._log.failure("a presence callback of {name!r} failed", failure, name=self.name)


FeedKey: TypeAlias = tuple[tuple[ChannelCore[F], ...], Format, Turn, frozenset[str] | None]
"""
Streams with the same channels, format, clock and patterns share a feed.
"""


class Feed(Generic[F]):
    """
    The streams that follow the same channels and topics in the same format, on the same clock.

    Attributes:
        broadcast: The streams that receive each message when it is published.
        format: The format of the messages.
        cores: The channels.
        pacer: The budget for replays of all feeds.
        pages: The pages of replays of all feeds.
        selection: The topics; None for every message.
    """

    __slots__ = (
        "_followers",
        "_key",
        "_turn",
        "broadcast",
        "cores",
        "format",
        "pacer",
        "pages",
        "selection",
    )

    def __init__(self, key: FeedKey[F]) -> None:
        self._key = key
        self.cores, self.format, self._turn, patterns = key
        self.selection = None if patterns is None else Selection(patterns)
        self.broadcast = Broadcast(self._turn.clock)
        self.pacer = Pacer.of(self._turn)
        self.pages = PageCache.of(self._turn)
        self._followers: dict[F, None] = {}

    @classmethod
    def join(cls, key: FeedKey[F], follower: F) -> "Feed[F]":
        """
        Return the feed with this key, after adding `follower` to it. The first one makes it.
        """
        cores = key[0]
        feed = cores[0].feeds.get(key)
        if feed is None:
            feed = cls(key)
            for core in cores:
                core.add_feed(key, feed)
        feed.add(follower)
        return feed

    def add(self, follower: F) -> None:
        """
        Add a follower. It joins the broadcast itself, when it has received older messages.
        """
        self._followers[follower] = None

    def remove(self, follower: F) -> None:
        """
        Remove a follower, which has left the broadcast. The last one removes the feed.
        """
        del self._followers[follower]
        if not self._followers:
            for core in self.cores:
                core.remove_feed(self._key)

    def reselected(self, patterns: frozenset[str], follower: F) -> "Feed[F]":
        """
        Return the feed with other patterns, after moving `follower` to it from this one.
        """
        cores, format, turn, _ = self._key
        feed = Feed.join((cores, format, turn, patterns), follower)
        self.remove(follower)
        return feed

    def publish(self, message: Message) -> None:
        """
        Send the newest message of one of the channels to the broadcast.
        """
        if not self.broadcast:
            return
        if len(self.cores) == 1:
            before, after = message.previous, message.id
        else:
            ids = [core.log.last for core in self.cores]
            after = compound_id(ids)
            ids[ids.index(message.id)] = message.previous
            before = compound_id(ids)
        self.broadcast.send(Delivery(message, self.format, before, after))

    def gap(self, requested: str, resumed_from: str, reasons: Mapping[int, Reason]) -> Frame:
        """
        Count a gap, and return the frame that reports it to a client.

        Args:
            requested: The id after which messages are missing.
            resumed_from: The id after which the stream continues.
            reasons: Why messages are missing, by the index of the channel.
        """
        for index in reasons:
            self.cores[index].gaps += 1
        names = {self.cores[index].name: reason for index, reason in reasons.items()}
        gap = Gap(
            requested=requested,
            resumed_from=resumed_from,
            reason=next(iter(reasons.values())),
            channels=names if len(self.cores) > 1 else None,
        )
        return Frame(self.format.gap(gap))

    @property
    def closed(self) -> bool:
        """
        All of the channels are closed.
        """
        return all(core.closed for core in self.cores)

    def finish_if_closed(self) -> None:
        """
        End all streams if all channels are closed.
        """
        if self.closed:
            self._turn.at_end(self._finish)

    def _finish(self) -> None:
        self.broadcast.flush()
        for follower in list(self._followers):
            if follower in self._followers:
                follower.finish()
