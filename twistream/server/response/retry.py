"""
Retry: tries something again until it succeeds, less and less often.

Layer: response, at the bottom.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

_FIRST, _LAST = 0.01, 1.0
"""
Seconds between two attempts: the first, about the round-trip time of a network, and the longest.
"""


class Retry:
    """
    One attempt now, and more until one succeeds or `stop` is called.
    """

    __slots__ = ("_attempt", "_call", "_clock", "_delay")

    def __init__(self, clock: IReactorTime, attempt: Callable[[], bool]) -> None:
        """
        Args:
            attempt: Returns whether it has succeeded.
        """
        self._clock = clock
        self._attempt: Callable[[], bool] | None = attempt
        self._call: IDelayedCall | None = None
        self._delay = _FIRST
        self._try()

    def stop(self) -> None:
        """
        Try no more.
        """
        self._attempt = None  # No reference cycle remains.
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _try(self) -> None:
        self._call = None
        if self._attempt is None:
            return
        if self._attempt():
            self._attempt = None
        else:
            self._call = self._clock.callLater(self._delay, self._try)
            self._delay = min(2 * self._delay, _LAST)
