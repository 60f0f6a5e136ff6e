"""
StreamLoop drives ``stream_writer``; ItemLoop and AsyncItemLoop drive ``stream``, and ``pipe`` of
files and iterables.

A loop calls a function and flushes, again and again, until the function stops it or fails, or
the response is over.

Layer: response, at the top.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from inspect import isawaitable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.errors import StopStream, StreamClosed, StreamFinished
from twistream.scheduling.tasks import Task, cancel_unless_notified, deferred_of, is_end
from twistream.server.response.attachment import Attachment
from twistream.server.response.response import Response
from twistream.server.response.writer import Urgency

_NOW, _COALESCE = Urgency

SHORTEST_INTERVAL = 1e-6
"""
Seconds. A shorter interval counts as none.
"""

Encode: TypeAlias = Callable[[Any], bytes]
"""
Makes the bytes of a message from an item.
"""

_STOP_ITERATION = "the writer raised StopIteration; raise StopStream to end the stream"


class StreamLoop(Attachment):
    """
    One loop. Call `start` once.

    Attributes:
        pending: What the loop waits for: a step that is under way, or a flush.
    """

    __slots__ = (
        "_call",
        "_close",
        "_interval",
        "_running",
        "_started",
        "_step",
        "_stopped",
        "pending",
    )

    _log = Logger()

    def __init__(  # noqa: PLR0913 - options, by keyword
        self,
        response: Response,
        step: Callable[[], Any],
        *,
        call: str,
        interval: float | None,
        detached: bool,
        close: Callable[[], object] | None = None,
    ) -> None:
        """
        Args:
            step: Writes one message. May return anything that can be awaited.
            call: See `Attachment`.
            detached: See `Attachment`.
            interval: Seconds from the start of one step to the start of the next, or None.
            close: Called when the loop has ended and no step is under way any more.
        """
        super().__init__(response, call, detached=detached)
        self._step = step
        self._interval = interval
        self._close = close
        self._started = response.turn.clock.seconds()
        self.pending: Deferred[Any] | None = None
        self._call: IDelayedCall | None = None
        self._running = False
        self._stopped = False  # By `StopStream`, in a task.
        self._attach()

    def start(self) -> None:
        """
        Take steps until one has to wait.
        """
        self.response.life.run(self._take_steps)

    def _take_steps(self) -> None:
        self._running = True
        while not self.ended and self._take_step():
            pass
        self._running = False
        self._close_if_idle()

    # Each of these methods returns whether the next step may follow at once. `_take_step` takes
    # steps in a loop of its own, because a call for each would cost as much as sending a message.

    def _take_step(self) -> bool:
        step, flush = self._step, self.response.writer.flush_step
        try:
            while not self.ended:
                result = step()
                if result is not None and (result := _checked(result)) is not None:
                    return self._await_result(result)
                if self.ended:
                    break
                if self._interval is not None:
                    return self._after_step()
                wait = flush(_COALESCE)
                if wait is not None:
                    return self._wait_for(wait, self._after_flush)
        except StopStream:
            return not self.ended and self._flush_rest()
        except BaseException:  # noqa: BLE001 - a Deferred catches everything, so does a loop
            return self._failed(Failure())
        return False

    def _await_result(self, result: Any) -> bool:
        """
        Wait for what a step has returned.
        """
        if type(result) is CoroutineType and self._interval is None:
            return self._run_task(self._await_steps(result), self._after_steps)
        return self._wait_for(deferred_of(result, self.response.life), self._after_step)

    async def _await_steps(self, result: Awaitable[object]) -> object:
        """
        Take steps for as long as they are coroutines, and return the first other result.

        One task for all of them costs a fraction of a task for each.
        """
        step, flush = self._step, self.response.writer.flush_step
        try:
            while True:
                value = await result
                if value is not None and isawaitable(value):
                    await deferred_of(value, self.response.life)
                if self.ended:
                    return None
                wait = flush(_COALESCE)
                if wait is not None:
                    await wait
                    if self.ended:
                        return None
                next_result: Any = step()
                if type(next_result) is not CoroutineType:
                    return _checked(next_result)
                result = next_result
        except StopStream:
            self._stopped = True
            return None
        except StopIteration as err:
            raise RuntimeError(_STOP_ITERATION) from err

    def _after_steps(self) -> bool:
        return self._flush_rest() if self._stopped else self._after_step()

    def _run_task(self, coroutine: Coroutine[Any, Any, object], then: Callable[[], bool]) -> bool:
        response = self.response
        # Flushed data must not wait while the loop waits.
        task = Task(coroutine, response.life, on_suspend=response.writer.push)
        return self._wait_for(task, then)

    def _after_step(self) -> bool:
        urgency = _COALESCE if self._interval is None else _NOW
        return self._flush(self._after_flush, urgency)

    def _flush(self, then: Callable[[], bool], urgency: Urgency) -> bool:
        try:
            wait = self.response.writer.flush_step(urgency)
        except Exception:  # noqa: BLE001 - Twisted may fail to write the head
            return self._failed(Failure())
        return then() if wait is None else self._wait_for(wait, then)

    def _after_flush(self) -> bool:
        if self._interval is None:
            return True
        clock = self.response.turn.clock
        self._call = clock.callLater(self._until_next(self._interval), self._tick)
        return False

    def _wait_for(self, deferred: Deferred[Any], then: Callable[[], bool]) -> bool:
        self.pending = deferred
        go_on: list[bool] = []
        deferred.addBoth(self._received, then, go_on)
        if self.ended:
            cancel_unless_notified(self)
        elif self.pending is not None:
            # The loop may wait for long; what it has flushed must not.
            self.response.writer.push()
        return bool(go_on and go_on[0])

    def _received(self, result: object, then: Callable[[], bool], go_on: list[bool]) -> None:
        self.pending = None
        if self.ended:
            self._log_late_failure(result)
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
        Seconds to the next tick. Late ticks are skipped.
        """
        elapsed = self.response.turn.clock.seconds() - self._started
        # A float may fall slightly short of its tick.
        ticks = int(elapsed / interval + 1e-6) + 1
        return (ticks - 1e-9) * interval - elapsed

    # The end.

    def _failed(self, failure: Failure) -> bool:
        if self.ended:
            self._log_late_failure(failure)
        elif failure.check(StopStream):
            return self._flush_rest()
        elif failure.check(StopIteration):
            error = RuntimeError(_STOP_ITERATION)
            error.__cause__ = failure.value
            self._fire(Failure(error))
        elif isinstance(failure.value, StreamClosed) or (
            # The response has ended, and its last bytes are on their way.
            isinstance(failure.value, StreamFinished) and self.response.life.ended
        ):
            self.stop(failure.value)
        else:
            self._fire(failure)
        return False

    def _flush_rest(self) -> bool:
        # With an empty buffer the handler can still change the head.
        if self.response.writer.buffered:
            return self._flush(self._succeeded, _NOW)
        return self._succeeded()

    def _succeeded(self) -> bool:
        self._fire(None)
        return False

    def _release(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self.pending is not None or self.response.life.ended_from_within:
            self.response.observers.cancel_pending(self)
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self.ended and self.pending is None and not self._running:
            close, self._close = self._close, None
            if close is not None:
                close()

    def _log_late_failure(self, result: object) -> None:
        if isinstance(result, Failure) and not is_end(result, StopStream, StreamFinished):
            self._log.failure("a writer failed after the end of its stream", result)


class ItemLoop(StreamLoop):
    """
    Sends each item of an iterator as a message.

    A `StreamLoop` with a step that writes one item does the same, in twice the time.
    """

    __slots__ = ("_encode", "_items")

    _next = "__next__"  # The method of `items` that makes the next item.

    def __init__(  # noqa: PLR0913 - options, by keyword
        self,
        response: Response,
        items: Iterator[Any] | AsyncIterator[Any],
        encode: Encode,
        *,
        call: str,
        detached: bool,
        close: Callable[[], object],
    ) -> None:
        """
        Args:
            encode: See `Encode`.
            call: See `Attachment`.
            detached: See `Attachment`.
            close: Called when the loop has ended and no item is being made any more.
        """
        super().__init__(
            response,
            getattr(items, self._next),
            call=call,
            interval=None,
            detached=detached,
            close=close,
        )
        self._encode = encode
        self._items = items

    def _take_step(self) -> bool:
        step, send = self._step, self.response.writer.send_step
        while not self.ended:
            try:
                item = step()
            except StopIteration:
                if isinstance(self._items, GeneratorType):
                    self._close = None  # A generator that has ended is closed.
                return not self.ended and self._flush_rest()
            except BaseException:  # noqa: BLE001 - a Deferred catches everything, and so does a loop
                return self._failed(Failure())
            if self.ended:
                break
            try:
                # The check is faster than the call, and this is done for each message.
                wait = send(item if type(item) is bytes else self._encode(item), _COALESCE)
            except BaseException:  # noqa: BLE001 - a Deferred catches everything, and so does a loop
                return self._failed(Failure())
            if wait is not None:
                return self._wait_for(wait, self._after_flush)
        return False


class AsyncItemLoop(ItemLoop):
    """
    Sends each item of an async iterator as a message, all in one task.
    """

    __slots__ = ()

    _next = "__anext__"

    def _take_step(self) -> bool:
        return self._run_task(self._send_items(), self._flush_rest)

    async def _send_items(self) -> None:
        step, send, encode = self._step, self.response.writer.send_step, self._encode
        while not self.ended:
            try:
                item = await step()
            except StopAsyncIteration:
                if isinstance(self._items, AsyncGeneratorType):
                    self._close = None  # A generator that has ended is closed.
                return
            if self.ended:
                return
            wait = send(item if type(item) is bytes else encode(item), _COALESCE)
            if wait is not None:
                await wait


def _checked(result: object) -> object:
    """
    What a step has returned, if that is awaitable, or None.

    Raises:
        TypeError: It is anything else, except what `write` returns.
    """
    if result is None or isawaitable(result):
        return result
    if type(result) is int:
        return None  # Perhaps of a lambda that calls `write`.
    msg = (
        f"a writer returns None or something to await, not {type(result).__name__}; "
        "use ctx.write(), or return ctx.json_line(value)"
    )
    raise TypeError(msg)
