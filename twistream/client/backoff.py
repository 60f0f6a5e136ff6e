"""
Backoff: how long an event source waits before it reconnects.

Layer: client, at the bottom. It knows no HTTP and no reactor.
"""

from random import Random
from typing import Final

_STEP: Final = 1.0
"""
Seconds: the least time that is doubled, because the server may ask for none.
"""

_SPREAD: Final = 1.5
"""
The factor by which the time varies, so that the clients of a restarted server do not all reconnect at once.
"""

_MAX_DOUBLINGS: Final = 30


class Backoff:
    """
    The time before the next attempt (WHATWG HTML 9.2.3): at least the server's reconnection time, and
    more after each failure.

    Attributes:
        retry: The reconnection time in seconds.
        failures: The number of attempts since the last event.
    """

    __slots__ = ("_max_delay", "_random", "failures", "retry")

    def __init__(self, retry: float, max_delay: float, random: Random) -> None:
        """
        Args:
            max_delay: The limit of the time in seconds, unless `retry` is longer.
            random: The source of the random part.
        """
        self.retry = retry
        self.failures = 0
        self._max_delay = max_delay
        self._random = random

    def succeeded(self) -> None:
        """
        An event arrived: the next failure is the first one again.
        """
        self.failures = 0

    def next_delay(self) -> float:
        """
        Count a failure, and return the number of seconds to wait.
        """
        least = self.retry
        longest = _SPREAD * least
        if self.failures:
            doubled = max(least, _STEP) * 2.0 ** min(self.failures, _MAX_DOUBLINGS)
            longest = max(longest, min(_SPREAD * doubled, self._max_delay))
        self.failures += 1
        return least + self._random.random() * (longest - least)
