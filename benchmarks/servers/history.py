"""
A feed and a history for servers on asyncio, which have no channels of their own.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeVar

from benchmarks.message import HISTORY
from benchmarks.servers import QUEUE

T = TypeVar("T")

# Events that are replayed in one write: a client that missed 1,000 gets a few large writes, and a
# client that does not read has only one of them queued.
_PAGE: Final = 128


class Feed(Generic[T]):
    """
    The last messages, kept once for all subscribers.

    For servers that cannot tell whether a send would block. Each subscriber has its own task, so a
    subscriber that does not read blocks only that task. A bounded queue for each subscriber does
    the same, but is larger and no faster.

    Attributes:
        latest: The messages kept.
        count: The number of messages published.
    """

    def __init__(self, kept: int = QUEUE) -> None:
        self.latest: Final[deque[T]] = deque(maxlen=kept)
        self.count = 0
        self._kept = kept
        self._more = asyncio.Event()

    def publish(self, message: T) -> None:
        """
        Wake all followers. This does not wait for any of them.
        """
        self.latest.append(message)
        self.count += 1
        # Each event is set once: a follower that starts to wait now waits for the next message.
        more, self._more = self._more, asyncio.Event()
        more.set()

    async def follow(self, seen: int) -> AsyncIterator[T]:
        """
        Iterate over the messages after the first `seen`, until one is no longer kept.
        """
        while (behind := self.count - seen) <= self._kept:
            if behind:
                seen += 1
                yield self.latest[-behind]
            else:
                await self._more.wait()


class History:
    """
    The last events of a channel, encoded, with ids.

    Attributes:
        feed: The events.
    """

    def __init__(self) -> None:
        self.feed: Final[Feed[bytes]] = Feed(HISTORY)
        # Random, so that an id from before a restart does not match.
        self._epoch = secrets.token_hex(8)

    def publish(self, text: bytes) -> bytes:
        """
        Add an event with one line of text, and return it encoded.
        """
        event = b"id: %b-%d\ndata: %b\n\n" % (self._epoch.encode(), self.feed.count + 1, text)
        self.feed.publish(event)
        return event

    def seen(self, last_event_id: str | None) -> int:
        """
        The number of the event that a client continues after.

        Without a valid id it continues with new events, and with an old one with all that are kept.
        """
        epoch, _, number = (last_event_id or "").partition("-")
        count = self.feed.count
        if epoch != self._epoch or not number.isdecimal() or int(number) > count:
            return count
        return max(int(number), count - len(self.feed.latest))

    def page(self, seen: int) -> list[bytes]:
        """
        The next events after `seen`, or an empty list if there are none or they are lost.
        """
        behind = self.feed.count - seen
        return list(self.feed.latest)[-behind:][:_PAGE] if 0 < behind <= HISTORY else []
