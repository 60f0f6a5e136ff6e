"""
MemoryEngine: keeps the messages of channels in this process.
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
Messages, and bytes of them, that are read at once: what is sent in one piece.
"""

_EPOCH_BYTES = 8
"""
Random bytes of an epoch: two lives of a channel never have the same, as far as anybody will
live to see.
"""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")

_SOON = 0.001
"""
Seconds to the next look at messages that are just about to be too old.
"""

_Kept: TypeAlias = tuple[Message, int, float]
"""
A message, its size in bytes, and when it is too old.
"""

_DROPPED: Any = None
"""
In the place of a message, so that it is freed.
"""


class MemoryEngine:
    """
    The engine of a hub that nothing else is said of. Its messages end with the process.
    """

    def open(
        self,
        name: str,
        bounds: Bounds,
        clock: Callable[[], IReactorTime],
        received: Callable[[Message], object],
    ) -> "MemoryLog":
        """
        See `twistream.channels.engine.Engine`.
        """
        return MemoryLog(name, bounds, clock, received)


class MemoryLog:
    """
    The messages of one channel. An id is ``<epoch>-<number>``, with an epoch for each log.
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
        See `twistream.channels.engine.Log`.
        """
        self._expire()
        return self._before_first()

    @property
    def held(self) -> tuple[int, int]:
        """
        See `twistream.channels.engine.Log`.
        """
        self._expire()
        return len(self._history), self._history.size

    def owns(self, id: str) -> bool:
        """
        See `twistream.channels.engine.Log`.
        """
        return self._number(id) is not None

    def behind(self, id: str) -> int:
        """
        See `twistream.channels.engine.Log`.
        """
        number = self._number(id)
        return len(self._history) if number is None else max(0, self.published - number)

    def append(self, event: str | None, payload: Payload) -> Deferred[str]:
        """
        See `twistream.channels.engine.Log`.
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
        )
        if self._bounds.history:
            self._keep(message)
        self._received(message)
        return succeed(id_)

    def read(self, after: str) -> Deferred[Page]:
        """
        See `twistream.channels.engine.Log`.
        """
        self._expire()
        number = self._number(after)
        first = self.published - len(self._history)  # The number before the first held.
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
        See `twistream.channels.engine.Log`.
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
        # So that what nobody asks for does not stay.
        self._timer = None
        self._expire()
        if self._history:
            self._expire_in(max(self._history.expires - self._clock().seconds(), _SOON))

    def _before_first(self) -> str:
        return f"{self._prefix}{self.published - len(self._history)}"

    def _number(self, id: str) -> int | None:
        prefix, digits = id[: len(self._prefix)], id[len(self._prefix) :]
        if prefix != self._prefix or not _NUMBER.fullmatch(digits):
            return None
        return int(digits)


class _History:
    """
    The newest messages, within bounds.

    Attributes:
        size: Bytes of them.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # Those before `_start` are no more. A deque would be slow to read from the middle.
        self._kept: list[_Kept] = []
        self._start = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept) - self._start

    @property
    def expires(self) -> float:
        """
        When the oldest is too old.
        """
        return self._kept[self._start][2]

    def add(self, message: Message, expires: float = inf) -> None:
        """
        Add the newest message, and drop the oldest as the bounds ask for.
        """
        size = message.size
        self._kept.append((message, size, expires))
        self.size += size
        most = inf if self._bounds.history_bytes is None else self._bounds.history_bytes
        while len(self) > self._bounds.history or self.size > most:
            self._drop_oldest()

    def trim(self, now: float) -> None:
        """
        Drop what is too old, or from a future that the clock has been put back from.
        """
        last = now + (self._bounds.history_ttl or inf)
        while len(self) and not now < self.expires <= last:
            self._drop_oldest()

    def page(self, start: int) -> list[Message]:
        """
        The messages from the one at `start`, of which there are so many as make a page.
        """
        messages: list[Message] = []
        size, first = 0, self._start + start
        for message, its, _ in self._kept[first : first + PAGE_COUNT]:
            size += its
            if messages and size > PAGE_SIZE:
                break
            messages.append(message)
        return messages

    def _drop_oldest(self) -> None:
        self.size -= self._kept[self._start][1]
        self._kept[self._start] = _DROPPED
        self._start += 1
        if self._start * 2 > len(self._kept):
            del self._kept[: self._start]
            self._start = 0
