"""
Feed: the last messages, kept once for all subscribers, each of which follows at its own pace.

For servers on asyncio whose public API does not tell whether a send would have to wait. Each
subscriber has a task that sends to it, so one that reads nothing holds up that task alone, and
what waits for it is what is kept for all. A bounded queue for each subscriber does the same,
and is no faster anywhere, slower mostly, and larger: publishing is then a step for each of
them, where here it is one event.
"""

import asyncio
from collections import deque
from typing import Final, Generic, Self, TypeVar

from benchmarks.servers import WAITING

T = TypeVar("T")


class Feed(Generic[T]):
    """
    What is published, for those who follow.

    Attributes:
        kept: How many messages are kept at most.
        latest: Those that are kept.
        count: How many were published.
        more: Set when there is a new one, and then another event.
    """

    def __init__(self, kept: int = WAITING) -> None:
        self.kept: Final = kept
        self.latest: Final[deque[T]] = deque(maxlen=kept)
        self.count = 0
        self.more = asyncio.Event()

    def publish(self, message: T) -> None:
        """
        Give a message to all followers. None of them is waited for.
        """
        self.latest.append(message)
        self.count += 1
        # Each event is set once: a follower that comes to wait now waits for what is next.
        more, self.more = self.more, asyncio.Event()
        more.set()

    def follow(self, seen: int | None = None) -> "Follower[T]":
        """
        All messages that are published from now on, or after the first `seen` ones.
        """
        return Follower(self, self.count if seen is None else seen)


class Follower(Generic[T]):
    """
    An iterator that ends when it is behind what is kept.
    """

    __slots__ = ("_feed", "_seen")

    def __init__(self, feed: Feed[T], seen: int) -> None:
        self._feed = feed
        self._seen = seen

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        feed = self._feed
        while self._seen == feed.count:
            await feed.more.wait()
        behind = feed.count - self._seen
        if behind > feed.kept:
            raise StopAsyncIteration
        self._seen += 1
        return feed.latest[-behind]
