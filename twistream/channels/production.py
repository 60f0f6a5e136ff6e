"""
Production: the producer of a run, while it runs.

Layer: channels, below `run_core`.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from inspect import isawaitable, iscoroutine
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from twistream.scheduling.execution import ExecutionContext
from twistream.scheduling.tasks import Task, cancel, deferred_of, is_running
from twistream.scheduling.turn import Turn


class RunScope(ExecutionContext):
    """
    The execution context of a producer: a copy of the variables that are set when the run starts.

    It is a `twistream.scheduling.tasks.Scope` that never ends: a producer is cancelled like any
    other coroutine.
    """

    __slots__ = ()

    err = None
    notifying = False


class Production:
    """
    One call of a producer.
    """

    __slots__ = ("_cancelled", "_done_deferreds", "_pending", "_scope", "_turn")

    def __init__(self, scope: RunScope, turn: Turn) -> None:
        self._scope = scope
        self._turn = turn
        self._pending: Deferred[Any] | None = None
        self._cancelled = False
        self._done_deferreds: list[Deferred[None]] = []

    def start(
        self, producer: Callable[[], object], publish: Callable[[object], Deferred[str]]
    ) -> Deferred[Any]:
        """
        Call the producer.

        Args:
            publish: Called with each item, if the producer is a generator.

        Returns:
            Fires with the result of the producer.
        """
        pending = self._pending = maybeDeferred(self._called, producer, publish)
        pending.addBoth(self._ended)
        if self._cancelled:
            self._cancel_soon()  # Its own code has stopped the run.
        return pending

    def done(self) -> Deferred[None]:
        """
        Return a new Deferred that fires when the producer has ended.
        """
        done: Deferred[None] = Deferred()
        self._done_deferreds.append(done)
        return done

    def cancel(self) -> None:
        """
        Cancel what the producer awaits. The producer decides how it ends.
        """
        self._cancelled = True
        if self._pending is None:
            return
        if is_running(self._pending):
            self._cancel_soon()  # Running code cannot be cancelled.
        else:
            cancel(self._pending)

    def _called(
        self, producer: Callable[[], object], publish: Callable[[object], Deferred[str]]
    ) -> object:
        result: Any = self._scope.run(producer)
        if iscoroutine(result):
            return Task(result, self._scope)
        if isawaitable(result):
            return deferred_of(result, self._scope)
        if isinstance(result, AsyncIterator):
            return Task(_publish_async(result, publish), self._scope)
        if isinstance(result, Iterator):
            return Task(_publish_each(result, publish), self._scope)
        return result

    def _cancel_soon(self) -> None:
        self._turn.soon(self._cancel_pending)

    def _cancel_pending(self) -> None:
        if self._pending is not None:
            cancel(self._pending)

    def _ended(self, result: object) -> object:
        self._pending = None
        for done in self._done_deferreds:
            done.callback(None)
        return result


async def _publish_each(
    items: Iterator[object], publish: Callable[[object], Deferred[str]]
) -> None:
    try:
        for item in items:
            if isinstance(item, Deferred):
                msg = "the items of a producer are published; did you forget @inlineCallbacks?"
                raise TypeError(msg)
            await publish(item)
    finally:
        if (close := getattr(items, "close", None)) is not None:
            close()  # Generators have it, other iterators may not.


async def _publish_async(
    items: AsyncIterator[object], publish: Callable[[object], Deferred[str]]
) -> None:
    try:
        async for item in items:
            await publish(item)
    finally:
        if (close := getattr(items, "aclose", None)) is not None:
            await close()
