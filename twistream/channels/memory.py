"""
MemoryLog: keeps the messages of one channel in this process.

Layer: channels, above `engine`.
"""

import re
import secrets
from collections.abc import Callable
from math import inf
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from twistream.channels.engine import Bounds, Page
from twistream.scheduling.turn import Turn
from twistream.scheduling.wheel import Timer
from twistream.wire.messages import Message, Payload, Reason

PAGE_COUNT = 128
PAGE_SIZE = 64 * 1024
"""
The number of messages in a page, and their size in bytes: what one send takes.
"""

_EPOCH_BYTES = 8
"""
Random bytes of an epoch, enough that no two logs ever have the same.
"""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")

_MIN_WAIT = 0.001
"""
Seconds. The shortest time after which the timer looks for expired messages again.
"""

_Entry: TypeAlias = tuple[Message, int, float]
"""
A message, its size in bytes, and the time when it expires.
"""

_DROPPED: Any = None
"""
Replaces an entry, so that its message is freed.
"""


class MemoryLog:
    """
    The messages of one channel. An id is ``<epoch>-<number>``; each log has its own epoch.
    """

    def __init__(
        self,
        name: str,
        bounds: Bounds,
        clock: Callable[[], IReactorTime],
        received: Callable[[Message], object],
    ) -> None:
        self._name = name
        self._bounds = bounds
        self._clock = clock
        self._received = received
        self._prefix = f"{secrets.token_hex(_EPOCH_BYTES)}-"
        self._history = _History(bounds)
        self._timer: Timer | None = None
        self.published = 0
        self.last = f"{self._prefix}0"

    @property
    def oldest(self) -> str:
        """
        The id that precedes the history.
        """
        self._expire()
        return self._before_first()

    @property
    def history(self) -> int:
        """
        The number of messages in the history.
        """
        self._expire()
        return len(self._history)

    @property
    def history_bytes(self) -> int:
        """
        The size of the history in bytes.
        """
        self._expire()
        return self._history.size

    def owns(self, id: str) -> bool:
        """
        Return whether `id` is one of this log's ids.
        """
        return self._number(id) is not None

    def behind(self, id: str) -> int:
        """
        Return the number of messages after `id`. For a foreign id, that of the history.
        """
        number = self._number(id)
        return len(self._history) if number is None else max(0, self.published - number)

    def append(
        self, event: str | None, payload: Payload, topic: str | None = None
    ) -> Deferred[str]:
        """
        Append a message. The returned Deferred has fired with its id.
        """
        previous = self.last
        self.published += 1
        self.last = id_ = f"{self._prefix}{self.published}"
        message = Message(
            channel=self._name,
            id=id_,
            previous=previous,
            event=event,
            payload=payload,
            topic=topic,
        )
        if self._bounds.history:
            self._keep(message)
        self._received(message)
        return succeed(id_)

    def read(self, after: str) -> Deferred[Page]:
        """
        Return a page of the messages after an id. The returned Deferred has fired.
        """
        self._expire()
        number = self._number(after)
        first = self.published - len(self._history)  # The one that precedes the history.
        gap: Reason | None = None
        if number is None:
            gap = "unknown"
        elif number > self.published:
            gap = "rewound"
        elif number < first:
            gap = "trimmed"
        if number is None or gap is not None:
            return succeed(Page(self._history.page(0), self._before_first(), gap))
        return succeed(Page(self._history.page(number - first), after))

    def close(self) -> None:
        """
        Accept no more messages, and stop the timer.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _keep(self, message: Message) -> None:
        seconds = self._bounds.history_ttl
        if seconds is None:
            self._history.add(message)
            return
        clock = self._clock()
        self._history.trim(clock.seconds())
        self._history.add(message, clock.seconds() + seconds)
        if self._timer is None:
            self._expire_in(seconds)

    def _expire(self) -> None:
        if self._bounds.history_ttl is not None and self._history:
            self._history.trim(self._clock().seconds())

    def _expire_in(self, seconds: float) -> None:
        self._timer = Turn.of(self._clock()).timers.later(seconds, self._expire_now)

    def _expire_now(self) -> None:
        # Frees expired messages even if nobody reads the log.
        self._timer = None
        self._expire()
        if self._history:
            self._expire_in(max(self._history.expires - self._clock().seconds(), _MIN_WAIT))

    def _before_first(self) -> str:
        return f"{self._prefix}{self.published - len(self._history)}"

    def _number(self, id: str) -> int | None:
        prefix, digits = id[: len(self._prefix)], id[len(self._prefix) :]
        if prefix != self._prefix or not _NUMBER.fullmatch(digits):
            return None
        return int(digits)


class _History:
    """
    The newest messages within the limits.

    Attributes:
        size: Their total size in bytes.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # Entries before `_start` are dropped. A list, because reading the middle of a deque
        # is slow.
        self._entries: list[_Entry] = []
        self._start = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries) - self._start

    @property
    def expires(self) -> float:
        """
        The time when the oldest message expires.
        """
        return self._entries[self._start][2]

    def add(self, message: Message, expires: float = inf) -> None:
        """
        Add the newest message, and drop the oldest ones until all limits are met.
        """
        size = message.size
        self._entries.append((message, size, expires))
        self.size += size
        limit = inf if self._bounds.history_bytes is None else self._bounds.history_bytes
        while len(self) > self._bounds.history or self.size > limit:
            self._drop_oldest()

    def trim(self, now: float) -> None:
        """
        Drop expired messages, and those from the future if the clock was set back.
        """
        latest = now + (self._bounds.history_ttl or inf)
        while len(self) and not now < self.expires <= latest:
            self._drop_oldest()

    def drops(self, count: int, size: int) -> int:
        """
        Return how many messages `count` new ones of together `size` bytes would drop.
        """
        limit = inf if self._bounds.history_bytes is None else self._bounds.history_bytes
        number, total, dropped = len(self) + count, self.size + size, 0
        while dropped < len(self) and (number > self._bounds.history or total > limit):
            number -= 1
            total -= self._entries[self._start + dropped][1]
            dropped += 1
        return dropped

    def page(self, start: int) -> list[Message]:
        """
        Return the messages from index `start`, as many as fit into a page.
        """
        messages: list[Message] = []
        total, first = 0, self._start + start
        for message, size, _ in self._entries[first : first + PAGE_COUNT]:
            total += size
            if messages and total > PAGE_SIZE:
                break
            messages.append(message)
        return messages

    def _drop_oldest(self) -> None:
        self.size -= self._entries[self._start][1]
        self._entries[self._start] = _DROPPED
        self._start += 1
        if self._start * 2 > len(self._entries):
            del self._entries[: self._start]
            self._start = 0
