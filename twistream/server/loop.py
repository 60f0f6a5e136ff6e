"""
StreamLoop: what drives ``stream_writer``.

It calls a function again and again, each time followed by a flush, until the function
says stop, fails, or the response is over.
"""

from collections.abc import Callable, Coroutine
from inspect import iscoroutine
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.errors import StopStream, StreamClosed
from twistream.server.waits import fail
from twistream.server.writer import ResponseWriter

if TYPE_CHECKING:
    from twistream.server.context import Context

Step: TypeAlias = "Callable[[Context], Deferred[None] | Coroutine[Deferred[Any], Any, None] | None]"
"""
What ``stream_writer`` takes: called with the context, it writes one message.
"""


def seconds_between(interval: float | None) -> float | None:
    """
    Check an interval; 0 is no interval.

    Raises:
        TypeError: It is no number.
        ValueError: It is negative, NaN or infinite.
    """
    if interval is None:
        return None
    if isinstance(interval, bool) or not isinstance(interval, int | float):
        msg = f"an interval is a number of seconds, not {type(interval).__name__}"
        raise TypeError(msg)
    if not isfinite(interval) or interval < 0:
        msg = f"an interval is a number of seconds from 0, not {interval}"
        raise ValueError(msg)
    return interval or None


class StreamLoop:
    """
    One loop. `start` it once.

    Attributes:
        deferred: Fires when the loop ends, see ``Context.stream_writer``.
        ended: No further step will be taken.
    """

    __slots__ = (
        "_call",
        "_close",
        "_context",
        "_interval",
        "_on_end",
        "_pending",
        "_running",
        "_started",
        "_step",
        "_then",
        "_writer",
        "deferred",
        "ended",
    )

    _log = Logger()

    def __init__(  # noqa: PLR0913 - keyword arguments, from one caller
        self,
        step: Step,
        *,
        context: "Context",
        writer: ResponseWriter,
        interval: float | None,
        on_end: "Callable[[StreamLoop], object]",
        close: Callable[[], object],
    ) -> None:
        """
        Args:
            interval: Seconds from start to start of the steps, as `seconds_between` gives.
            on_end: Called when the loop has ended, before the Deferred fires.
            close: Called when it has ended and no step is under way any more.
        """
        self.deferred: Deferred[None] = Deferred(self._cancelled)
        self.ended = False
        self._step = step
        self._context = context
        self._writer = writer
        self._interval = interval
        self._on_end = on_end
        self._close = close
        self._started = context.clock.seconds()
        self._pending: Deferred[None] | None = None
        self._then: Callable[[], bool] = self._after_step
        self._call: IDelayedCall | None = None
        self._running = False

    def start(self) -> None:
        """
        Take steps until one has to wait.
        """
        self._running = True
        while not self.ended and self._take_step():
            pass
        self._running = False
        self._close_if_idle()

    def stop(self, reason: BaseException) -> None:
        """
        End the loop with `reason`, wherever it waits.
        """
        if not self.ended:
            self._end()
            fail(self.deferred, reason)

    def _cancelled(self, _: "Deferred[None]") -> None:
        if self._writer.err is not None:
            self.stop(self._writer.err)
        else:
            self._end()  # Deferred.cancel fails it with CancelledError.

    # Each of these does one thing and returns whether the next step may follow at once.

    def _take_step(self) -> bool:
        try:
            result = self._step(self._context)
            if iscoroutine(result):
                result = Deferred.fromCoroutine(result)
        except BaseException:  # noqa: BLE001 - Deferreds take any exception, so does this
            return self._failed(Failure())
        if result is None:
            return not self.ended and self._after_step()
        if isinstance(result, Deferred):
            return self._wait_for(result, self._after_step)
        msg = f"a writer returns None, a Deferred or a coroutine, not {type(result).__name__}"
        return self._failed(Failure(TypeError(msg)))

    def _after_step(self) -> bool:
        wait = self._writer.flush_step(at_once=self._interval is not None)
        return self._after_flush() if wait is None else self._wait_for(wait, self._after_flush)

    def _after_flush(self) -> bool:
        if self._interval is None:
            return True
        self._call = self._context.clock.callLater(self._until_next(self._interval), self._tick)
        return False

    def _wait_for(self, deferred: "Deferred[None]", then: Callable[[], bool]) -> bool:
        self._pending, self._then = deferred, then
        go_on: list[bool] = []
        deferred.addBoth(self._arrived, go_on)
        if self.ended and self._pending is not None:
            self._pending.cancel()
        return bool(go_on and go_on[0])

    def _arrived(self, result: object, go_on: list[bool]) -> None:
        self._pending = None
        if self.ended:
            self._report_late(result)
            self._close_if_idle()
        elif isinstance(result, Failure):
            self._failed(result)
        elif self._running:
            go_on.append(self._then())
        elif self._then():
            self.start()

    def _tick(self) -> None:
        self._call = None
        self.start()

    def _until_next(self, interval: float) -> float:
        """
        Seconds to the next tick that is not past.
        """
        elapsed = self._context.clock.seconds() - self._started
        # Times are floats that may fall a little short of the tick that they stand for.
        ticks = int(elapsed / interval + 1e-6) + 1
        return (ticks - 1e-9) * interval - elapsed

    # The end.

    def _failed(self, failure: Failure) -> bool:
        if self.ended:
            self._report_late(failure)
        elif failure.check(StopStream):
            return self._flush_rest()
        elif failure.check(StopIteration):
            msg = "the writer raised StopIteration; raise StopStream to end the stream"
            error = RuntimeError(msg)
            error.__cause__ = failure.value
            self._end()
            self.deferred.errback(Failure(error))
        elif isinstance(failure.value, StreamClosed):
            self.stop(failure.value)
        else:
            self._end()
            self.deferred.errback(failure)
        return False

    def _flush_rest(self) -> bool:
        # With nothing to flush the head stays open to the handler.
        wait = self._writer.flush_step(at_once=True) if self._writer.gathered else None
        return self._succeeded() if wait is None else self._wait_for(wait, self._succeeded)

    def _succeeded(self) -> bool:
        self._end()
        self.deferred.callback(None)
        return False

    def _end(self) -> None:
        self.ended = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._pending is not None:
            self._pending.cancel()
        self._close_if_idle()
        self._on_end(self)

    def _close_if_idle(self) -> None:
        if self.ended and self._pending is None and not self._running:
            close, self._close = self._close, bool
            close()

    def _report_late(self, result: object) -> None:
        if isinstance(result, Failure) and not result.check(
            CancelledError, StreamClosed, StopStream
        ):
            self._log.failure("a writer failed after the end of its stream", result)
