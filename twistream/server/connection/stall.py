"""
StallWatch: finds slow clients, which accept nothing while data is queued for them.

It only keeps the time: the outbound knows what is queued and what was accepted. When the time
is up, `Response` cuts the client with `SendTimeout`.

Layer: connection, at the bottom.
"""

from collections.abc import Callable
from typing import TypeAlias

from twistream.scheduling.turn import Turn
from twistream.scheduling.wheel import Timer

Mark: TypeAlias = tuple[int, int]

_CHECKS = 8
"""
Checks in each timeout. Timers may be late, so a client is cut at most a sixth of the timeout
late.
"""


class StallWatch:
    """
    Runs a timer only while there is something to watch.
    """

    __slots__ = (
        "_is_queued",
        "_mark",
        "_on_timeout",
        "_progress",
        "_since",
        "_timer",
        "_turn",
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
            seconds: How long the client may accept nothing.
            progress: Returns a mark that grows when the client accepts something.
            on_timeout: Called when the mark has not grown for `seconds`.
        """
        self.seconds = seconds
        self._turn = turn
        self._progress = progress
        self._on_timeout = on_timeout
        self._is_queued: Callable[[], bool] = bool  # Until `start` sets it.
        self._mark: Mark = (0, 0)
        self._since = 0.0
        self._timer: Timer | None = None

    def start(self, is_queued: Callable[[], bool]) -> None:
        """
        Watch until `is_queued`, which is called at each check, returns False.
        """
        self._is_queued = is_queued
        if self._timer is None:
            self._since = self._turn.clock.seconds()
            self._mark = self._progress()
            self._check_later()

    def stop(self) -> None:
        """
        Stop watching.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def moved(self) -> bool:
        """
        Whether the client has accepted something since the last call, or since the start.
        """
        mark = self._progress()
        moved, self._mark = mark > self._mark, mark
        return moved

    def _check_later(self) -> None:
        left = self._since + self.seconds - self._turn.clock.seconds()
        self._timer = self._turn.timers.later(min(self.seconds / _CHECKS, left), self._check)

    def _check(self) -> None:
        self._timer = None
        if not self._is_queued():
            return
        now = self._turn.clock.seconds()
        if self.moved():
            self._since = now
        if now - self._since >= self.seconds:
            self._on_timeout()
        else:
            self._check_later()
