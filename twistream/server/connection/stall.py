"""
SendWatch: notices a client that takes nothing while data waits for it.

It keeps the time and nothing else. What waiting is, and what counts as progress, it asks.
"""

from collections.abc import Callable
from typing import TypeAlias

from twistream.scheduling.turn import Turn
from twistream.scheduling.wheel import Timer

Mark: TypeAlias = tuple[int, int]

_LOOKS = 8
"""
Looks in each timeout. With what the timers may be late, a client is cut at most a sixth of
the timeout late.
"""


class SendWatch:
    """
    A timer that exists only while it is needed.
    """

    __slots__ = (
        "_mark",
        "_on_timeout",
        "_progress",
        "_since",
        "_timer",
        "_turn",
        "_waiting",
        "seconds",
    )

    def __init__(
        self,
        turn: Turn,
        seconds: float,
        progress: Callable[[], Mark],
        on_timeout: Callable[[], object],
    ) -> None:
        """
        Args:
            seconds: For how long nothing may move.
            progress: A mark that grows when the client takes something.
            on_timeout: Called when it has not grown for so long.
        """
        self.seconds = seconds
        self._turn = turn
        self._progress = progress
        self._on_timeout = on_timeout
        self._waiting: Callable[[], bool] = bool
        self._mark: Mark = (0, 0)
        self._since = 0.0
        self._timer: Timer | None = None

    def start(self, waiting: Callable[[], bool]) -> None:
        """
        Watch for as long as `waiting` says, asked now and then, that something waits.
        """
        self._waiting = waiting
        if self._timer is None:
            self._since = self._turn.clock.seconds()
            self._mark = self._progress()
            self._look_later()

    def stop(self) -> None:
        """
        Watch no more.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def moved(self) -> bool:
        """
        Whether the client took something since this was asked last, or since the start.
        """
        mark = self._progress()
        moved, self._mark = mark > self._mark, mark
        return moved

    def _look_later(self) -> None:
        left = self._since + self.seconds - self._turn.clock.seconds()
        self._timer = self._turn.timers.later(min(self.seconds / _LOOKS, left), self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._waiting():
            return
        now = self._turn.clock.seconds()
        if self.moved():
            self._since = now
        if now - self._since >= self.seconds:
            self._on_timeout()
        else:
            self._look_later()
