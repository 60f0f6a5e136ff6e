"""
Feed: what the streams have in common that follow the same channels in the same format.

A message is encoded for all of them once, and goes round in one broadcast.
"""

from typing import Protocol, TypeAlias

from twistream.channels.topic import Topic
from twistream.scheduling.turn import Turn
from twistream.server.broadcast import Broadcast
from twistream.wire.messages import Delivery, Format, Message, compound_id

FeedKey: TypeAlias = tuple[tuple[Topic, ...], Format, Turn]


class Follower(Protocol):
    """
    A stream, as far as a feed knows it.
    """

    def finish(self) -> None:
        """
        The channels are closed, and all that was published has gone round.
        """


class Feed:
    """
    One set of channels in one format, on one clock.

    Attributes:
        broadcast: The streams that get each message as it comes.
        format: The format.
    """

    __slots__ = ("_followers", "_key", "_topics", "_turn", "broadcast", "format")

    def __init__(self, key: FeedKey) -> None:
        self._key = key
        self._topics, self.format, self._turn = key
        self.broadcast = Broadcast(self._turn.clock)
        self._followers: dict[Follower, None] = {}

    @classmethod
    def join(cls, key: FeedKey, follower: Follower) -> "Feed":
        """
        The feed of these channels, with one follower more. It is there for as long as it has any.
        """
        topics = key[0]
        feed = topics[0].feeds.get(key)
        if feed is None:
            feed = cls(key)
            for topic in topics:
                topic.feeds[key] = feed
        feed._followers[follower] = None
        return feed

    def leave(self, follower: Follower) -> None:
        """
        A follower has gone. It must not be in the broadcast any more.
        """
        del self._followers[follower]
        if not self._followers:
            for topic in self._topics:
                del topic.feeds[self._key]

    def publish(self, message: Message) -> None:
        """
        Send a message that is the newest of its channel.
        """
        if self.broadcast:
            ids = [topic.log.last for topic in self._topics]
            after = compound_id(ids)
            ids[ids.index(message.id)] = message.previous
            self.broadcast.send(Delivery(message, self.format, compound_id(ids), after))

    def close_if_all_are_closed(self) -> None:
        """
        One of the channels has been closed.
        """
        if all(topic.closed for topic in self._topics):
            self._turn.at_end(self._finish)

    def _finish(self) -> None:
        self.broadcast.flush()
        for follower in list(self._followers):
            if follower in self._followers:
                follower.finish()
