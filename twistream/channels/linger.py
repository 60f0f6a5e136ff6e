"""
Linger: closes a channel that nobody has used for some time.

Layer: channels, below `hub`.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from twistream.channels.feed import ChannelCore
from twistream.scheduling.turn import Turn
from twistream.scheduling.wheel import Timer

_LOOKS = 8
"""
The number of checks in the time that a channel lingers. Messages do not record their time, which would
cost something for each. Instead, each check looks for new messages, so a channel closes up to an eighth
of that time late.
"""


class Linger:
    """
    Closes one channel when nobody was subscribed, and nothing was published, for `seconds`.

    Attributes:
        seconds: That time.
    """

    __slots__ = ("_close", "_core", "_published", "_timer", "_turn", "_unused_since", "seconds")

    def __init__(
        self,
        seconds: float,
        core: ChannelCore[Any],
        clock: IReactorTime,
        close: Callable[[], object],
    ) -> None:
        """
        Args:
            close: Closes the channel.
        """
        self.seconds = seconds
        self._core = core
        self._turn = Turn.of(clock)
        self._close: Callable[[], object] | None = close
        self._timer: Timer | None = None
        self._published = 0
        self._unused_since = 0.0

    def start(self) -> None:
        """
        Start to measure the time without use. Called when nobody is subscribed.
        """
        self._published = self._core.log.published
        self._unused_since = self._turn.clock.seconds()
        if self._timer is None and self._close is not None:
            self._look_in(self.seconds)

    def stop(self) -> None:
        """
        Stop the checks. Called when the channel closes.
        """
        self._close = None  # No reference cycle remains.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_in(self, seconds: float) -> None:
        delay = min(seconds, self.seconds / _LOOKS)
        self._timer = self._turn.timers.later(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._core.followers:
            return  # When the last one leaves, `start` is called.
        published, now = self._core.log.published, self._turn.clock.seconds()
        if published != self._published:
            self._published, self._unused_since = published, now
        left = self._unused_since + self.seconds - now
        if left > 0:
            self._look_in(left)
        elif self._close is not None:
            self._close()
