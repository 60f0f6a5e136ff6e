"""
StreamLoop: what drives ``stream_writer``, and ItemLoop, which drives ``stream``.

It calls a function again and again, each time followed by a flush, until the function
says stop, fails, or the response is over.
"""

from collections.abc import Callable, Coroutine, Iterator
from inspect import iscoroutine
from types import GeneratorType
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.errors import StopStream, StreamClosed, StreamFinished
from twistream.scheduling.tasks import (
    Task,
    cancel,
    cancel_unless_told,
    is_running,
    tells_of_the_end,
)
from twistream.scheduling.waits import fail_quietly
from twistream.server.response.writer import ResponseWriter

if TYPE_CHECKING:
    from twistream.server.context import Context

Step: TypeAlias = Callable[["Context"], Deferred[Any] | Coroutine[Any, Any, Any] | None]
"""
What ``stream_writer`` takes: called with the context, it writes one message.
"""

SHORTEST_INTERVAL = 1e-6
"""
Seconds. A shorter interval is none.
"""


class StreamLoop:
    """
    One loop. `start` it once.

    Attributes:
        deferred: Fires when the loop ends, see ``Context.stream_writer``. Take it before
            the start.
    """

    __slots__ = (
        "_call",
        "_close",
        "_context",
        "_ended",
        "_interval",
        "_on_end",
        "_pending",
        "_running",
        "_started",
        "_step",
        "_writer",
        "deferred",
    )

    _log = Logger()

    def __init__(  # noqa: PLR0913 - keyword arguments, from one caller
        self,
        step: Callable[..., Any],
        *,
        context: "Context",
        writer: ResponseWriter,
        interval: float | None,
        on_end: "Callable[[StreamLoop], object]",
        close: Callable[[], object] | None = None,
    ) -> None:
        """
        Args:
            step: Called with the context.
            interval: Seconds from start to start of the steps, None for no wait.
            on_end: Called when the loop has ended, before the Deferred fires.
            close: Called when it has ended and no step is under way any more.
        """
        self.deferred: Deferred[None] = Deferred(self._cancelled)
        self._ended = False
        self._step = step
        self._context = context
        self._writer = writer
        self._interval = interval
        self._on_end = on_end
        self._close = close
        self._started = context.clock.seconds()
        self._pending: Deferred[None] | None = None
        self._call: IDelayedCall | None = None
        self._running = False

    def start(self) -> None:
        """
        Take steps until one has to wait.
        """
        self._running = True
        while not self._ended and self._take_step():
            pass
        self._running = False
        self._close_if_idle()

    def stop(self, reason: BaseException) -> None:
        """
        End the loop with `reason`, wherever it waits.
        """
        if not self._ended:
            deferred = self._end()
            # What was cancelled may have cancelled the loop in its turn.
            if not deferred.called:
                fail_quietly(deferred, reason)

    def _cancelled(self, _: Deferred[None]) -> None:
        if self._ended:
            return  # By what `_end` cancels.
        if self._writer.err is not None:
            self.stop(self._writer.err)
        else:
            self._end()  # Deferred.cancel fails it with CancelledError.

    # Each of these does one thing and returns whether the next step may follow at once.

    def _take_step(self) -> bool:
        try:
            result = self._step(self._context)
            if iscoroutine(result):
                result = Task(result, self._writer)
        except BaseException:  # noqa: BLE001 - Deferreds take any exception, so does this
            return self._failed(Failure())
        if result is None:
            return not self._ended and self._after_step()
        if isinstance(result, Deferred):
            return self._wait_for(result, self._after_step)
        msg = f"a writer returns None, a Deferred or a coroutine, not {type(result).__name__}"
        return self._failed(Failure(TypeError(msg)))

    def _after_step(self) -> bool:
        return self._flush(self._after_flush, at_once=self._interval is not None)

    def _flush(self, then: Callable[[], bool], *, at_once: bool) -> bool:
        try:
            wait = self._writer.flush_step(at_once=at_once)
        except Exception:  # noqa: BLE001 - the head is Twisted's to write, with all that is on it
            return self._failed(Failure())
        return then() if wait is None else self._wait_for(wait, then)

    def _after_flush(self) -> bool:
        if self._interval is None:
            return True
        self._call = self._context.clock.callLater(self._until_next(self._interval), self._tick)
        return False

    def _wait_for(self, deferred: Deferred[None], then: Callable[[], bool]) -> bool:
        self._pending = deferred
        go_on: list[bool] = []
        deferred.addBoth(self._arrived, then, go_on)
        if self._ended:
            self._cancel_pending_unless_told()
        elif self._pending is not None:
            # Whatever it waits for, what has been flushed does not wait with it.
            self._writer.push()
        return bool(go_on and go_on[0])

    def _arrived(self, result: object, then: Callable[[], bool], go_on: list[bool]) -> None:
        self._pending = None
        if self._ended:
            self._report_late(result)
            self._close_if_idle()
        elif isinstance(result, Failure):
            self._failed(result)
        elif self._running:
            go_on.append(then())
        elif then():
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
        if self._ended:
            self._report_late(failure)
        elif failure.check(StopStream):
            return self._flush_rest()
        elif failure.check(StopIteration):
            msg = "the writer raised StopIteration; raise StopStream to end the stream"
            error = RuntimeError(msg)
            error.__cause__ = failure.value
            self._end().errback(Failure(error))
        elif isinstance(failure.value, StreamClosed):
            self.stop(failure.value)
        else:
            self._end().errback(failure)
        return False

    def _flush_rest(self) -> bool:
        # With nothing to flush the head stays open to the handler.
        if self._writer.gathered:
            return self._flush(self._succeeded, at_once=True)
        return self._succeeded()

    def _succeeded(self) -> bool:
        self._end().callback(None)
        return False

    def _end(self) -> Deferred[None]:
        """
        Stop, and return the Deferred, which is let go: it has the loop as its canceller.
        """
        # All that is ours first: what is cancelled may end the response, or the loop again.
        self._ended = True
        self._on_end(self)
        deferred = self.deferred
        del self.deferred
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if is_running(self._pending) or self._writer.ended_from_within:
            # It may be the step that it waits for that brought the end, and is running.
            self._writer.turn.soon(self._cancel_pending_unless_told)
        elif self._pending is not None:
            cancel(self._pending)
        self._close_if_idle()
        return deferred

    def _cancel_pending_unless_told(self) -> None:
        if self._pending is not None:
            cancel_unless_told(self._pending)

    def _close_if_idle(self) -> None:
        if self._ended and self._pending is None and not self._running:
            close, self._close = self._close, None
            if close is not None:
                close()

    def _report_late(self, result: object) -> None:
        if isinstance(result, Failure) and not (
            tells_of_the_end(result) or result.check(StopStream, StreamFinished)
        ):
            self._log.failure("a writer failed after the end of its stream", result)


class ItemLoop(StreamLoop):
    """
    Sends what an iterator gives, each item as a message.

    As a `StreamLoop` with a step that writes one, in half the time.
    """

    __slots__ = ("_encode", "_items")

    def __init__(
        self,
        items: Iterator[Any],
        encode: Callable[[Any], bytes],
        **options: Any,
    ) -> None:
        """
        Args:
            encode: Makes the bytes of a message from an item.
            options: As `StreamLoop`.
        """
        super().__init__(items.__next__, interval=None, **options)
        self._encode = encode
        self._items = items

    def _take_step(self) -> bool:
        try:
            item = self._step()
        except StopIteration:
            if isinstance(self._items, GeneratorType):
                self._close = None  # What has ended is closed.
            return not self._ended and self._flush_rest()
        except BaseException:  # noqa: BLE001 - as in StreamLoop
            return self._failed(Failure())
        if self._ended:
            return False
        try:
            wait = self._writer.send_step(self._encode(item))
        except BaseException:  # noqa: BLE001 - as in StreamLoop
            return self._failed(Failure())
        return True if wait is None else self._wait_for(wait, self._after_flush)
