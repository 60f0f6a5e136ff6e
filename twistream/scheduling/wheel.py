"""
TimerWheel: coarse timers of many streams on few delayed calls.

An idle or stalled stream needs a check now and then. Ten thousand streams would put ten
thousand delayed calls into the reactor's heap. Here, timers that are due at about the same
time share one.

Layer: scheduling, at the bottom.
"""

from collections.abc import Callable
from math import ceil, frexp

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger


class Timer:
    """
    A scheduled call, returned by `TimerWheel.later`.
    """

    __slots__ = ("_bucket", "call")

    def __init__(self, bucket: "_Bucket", call: Callable[[], object]) -> None:
        self._bucket = bucket
        self.call = call
        bucket.timers[self] = None

    def cancel(self) -> None:
        """
        Drop the call, if it has not run yet.
        """
        self._bucket.remove(self)


class _Bucket:
    """
    The timers that are due at the same time.
    """

    __slots__ = ("_delayed", "_due", "_wheel", "timers")

    _log = Logger()

    def __init__(self, wheel: "TimerWheel", due: float) -> None:
        self._wheel = wheel
        self._due = due
        self.timers: dict[Timer, None] = {}
        clock = wheel.clock
        self._delayed: IDelayedCall = clock.callLater(max(0, due - clock.seconds()), self._run)

    def remove(self, timer: Timer) -> None:
        if timer not in self.timers:
            return
        del self.timers[timer]
        # While `_run` runs the timers, the call is not active, and the bucket is forgotten.
        if not self.timers and self._delayed.active():
            self._delayed.cancel()
            self._wheel.forget(self._due)

    def _run(self) -> None:
        self._wheel.forget(self._due)
        # A copy, because a call may cancel other timers; those must not run any more.
        for timer in list(self.timers):
            if timer in self.timers:
                del self.timers[timer]
                try:
                    timer.call()
                except BaseException:  # noqa: BLE001 - one stream's failure must not stop the others
                    self._log.failure("a timer failed")


class TimerWheel:
    """
    Runs each call at most an eighth of its delay late, and never early.
    """

    __slots__ = ("_buckets", "clock")

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self._buckets: dict[float, _Bucket] = {}

    def later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """
        Run `call` after `seconds`, which must be more than 0.
        """
        # Round up to a multiple of a power of two that is a sixteenth to an eighth of the
        # delay. Powers of two are exact, so equal times are equal keys.
        step = 2.0 ** (frexp(seconds)[1] - 4)
        due = ceil((self.clock.seconds() + seconds) / step) * step
        bucket = self._buckets.get(due)
        if bucket is None:
            bucket = self._buckets[due] = _Bucket(self, due)
        return Timer(bucket, call)

    def forget(self, due: float) -> None:
        """
        Drop the bucket of this time: it is empty, or its timers are running.
        """
        del self._buckets[due]
