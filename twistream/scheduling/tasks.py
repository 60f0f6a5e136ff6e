"""
Task: a running coroutine that records whether it has been notified of the end of its response.

A handler may end its own response: it calls ``abort()``, or flushes where no body is allowed.
Its code is running at that moment, and running code cannot be cancelled. If it then gets the
error from a call or an await, it must not be cancelled as well while it cleans up. If it does
not, it is cancelled in the next turn.

Layer: scheduling. A task knows its response only as a `Scope`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable, iscoroutine
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Protocol, TypeVar, TypeVarTuple

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    FailureGroup,
    FirstError,
    maybeDeferred,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.errors import StreamClosed

T = TypeVar("T")
Args = TypeVarTuple("Args")

_log = Logger()
_NOTHING = object()

_NEEDS_ASYNCIO = (
    "awaiting asyncio's coroutines and futures works only on its reactor: start twistd with "
    "--reactor=asyncio, or use what Twisted has instead (ctx.sleep)"
)

_running: "Task | None" = None
"""
The task whose coroutine is on the stack, the innermost if there are several.
"""


class Scope(Protocol):
    """
    The response that a task belongs to, as far as the task needs it.

    Attributes:
        err: Why it ended, or None.
        notifying: It has ended, and the Deferreds that wait for it are firing.
    """

    @property
    def err(self) -> BaseException | None: ...

    @property
    def notifying(self) -> bool: ...

    def run(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """
        See `twistream.scheduling.execution.ExecutionContext.run`.
        """

    def run_from_anywhere(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """
        See `twistream.scheduling.execution.ExecutionContext.run_from_anywhere`.
        """

    def is_current(self) -> bool:
        """
        See `twistream.scheduling.execution.ExecutionContext.is_current`.
        """


class Awaiting(Protocol):
    """
    A handler or a loop that waits for a Deferred.

    Attributes:
        pending: The Deferred; None if it is not known yet, or nothing is pending any more.
    """

    @property
    def pending(self) -> Deferred[Any] | None: ...


class Task(Deferred[Any]):
    """
    Runs a coroutine, starting at once. It is the Deferred of the coroutine's result.

    It differs from `Deferred.fromCoroutine` in this: it runs in the execution context of its scope;
    it takes a third of the memory; it waits for a Deferred that the coroutine returns; it takes
    asyncio's futures where asyncio's loop runs; and a caller that cancels it waits for the
    coroutine to end.

    Attributes:
        running: Its coroutine is on the stack.
        notified: Its coroutine has been notified of the end of the scope: a call raised the
            error, or it was awaiting something that fired because of the end.
    """

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        scope: Scope,
        *,
        on_suspend: Callable[[], object] | None = None,
    ) -> None:
        """
        Args:
            on_suspend: Called whenever the coroutine, or what it has returned, has to wait.
        """
        super().__init__()
        self._on_suspend = on_suspend
        self._coroutine = coroutine
        self._awaited: Deferred[Any] | None = None
        self._result: object = _NOTHING  # Of an awaited Deferred that had already fired.
        self._scope = scope
        self.running = False
        self.notified = False
        scope.run(self._resume, None)

    def cancel(self) -> None:
        """
        Cancel what the coroutine awaits. The coroutine decides how it ends.
        """
        if self._awaited is not None:
            self._awaited.cancel()
        elif self.called:
            super().cancel()

    def _resume(self, result: object) -> None:
        """
        Run the coroutine until it awaits a Deferred that has not fired yet.
        """
        global _running
        coroutine = self._coroutine
        finish: Callable[[Any], object]
        while True:
            outer, _running, self.running = _running, self, True
            try:
                if isinstance(result, Failure):
                    awaited = result.throwExceptionIntoGenerator(coroutine)
                else:
                    awaited = coroutine.send(result)
            except StopIteration as stop:
                finish, result = self._returned, stop.value
                break
            except BaseException as err:  # noqa: BLE001 - a Deferred catches everything, so does a Task
                finish, result = self.callback, Failure(_explained(err))
                break
            finally:
                _running, self.running = outer, False
            if not isinstance(awaited, Deferred):
                result = awaited = _adopted(awaited)
                if not isinstance(awaited, Deferred):
                    continue
            awaited.addBoth(self._received)
            if self._result is _NOTHING:
                self._awaited = awaited
                if self._on_suspend is not None:
                    self._on_suspend()
                return
            result, self._result = self._result, _NOTHING
        try:
            finish(result)
        finally:
            result = None  # This frame is part of the traceback of a failure.

    def _received(self, result: object) -> None:
        self._look_for_the_end(result)
        if self._awaited is None:
            self._result = result
        else:
            self._awaited = None
            self._scope.run_from_anywhere(self._resume, result)

    def _returned(self, value: object) -> None:
        """
        The coroutine has returned `value`; if that is awaitable, wait for it.
        """
        if value is None or not isawaitable(value):
            self.callback(value)
        else:
            self._awaited = deferred_of(value, self._scope)
            self._awaited.addBoth(self._finish)
            if self._on_suspend is not None and not self.called:
                self._on_suspend()

    def _finish(self, result: object) -> None:
        self._look_for_the_end(result)
        self._awaited = None
        self.callback(result)

    def runs_its_own_code(self) -> bool:
        """
        Whether the caller is the task's own code, and not a coroutine that it has started separately.
        """
        return self._scope.is_current()

    def _look_for_the_end(self, result: object) -> None:
        self.notified |= self._scope.notifying
        if isinstance(result, Failure):
            self.notified |= result.value is self._scope.err


def _adopted(awaited: object) -> object:
    """
    What a task waits for when its coroutine awaits something of another framework: a Deferred, or
    an error to raise in the coroutine. Anything unknown is sent back, which is what Twisted does.
    """
    if awaited is not None and not asyncio.isfuture(awaited):
        return awaited
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if awaited is None and loop is not None:
        awaited = loop.create_future()  # ``asyncio.sleep(0)``: go on in the next turn.
        loop.call_soon(awaited.set_result, None)
    if isinstance(awaited, asyncio.Future) and awaited.get_loop() is loop:
        return Deferred.fromFuture(awaited)
    return Failure(TypeError(_NEEDS_ASYNCIO))


def _explained(error: BaseException) -> BaseException:
    """
    Replace the error with which asyncio reports a missing event loop by one that says what to do.
    """
    # Exact types only: a subclass may override anything.
    text = error.args[0] if type(error) is RuntimeError and error.args else None
    if type(text) is str and "event loop" in text:
        explained = TypeError(f"{text}: {_NEEDS_ASYNCIO}")
        explained.__cause__ = error
        return explained
    return error


def notify_running_task() -> None:
    """
    Mark the running task as notified, if its own code calls this.

    Callbacks, and coroutines that the task has started separately, are not its own code.
    """
    if _running is not None and _running.runs_its_own_code():
        _running.notified = True


def is_end(failure: Failure, *others: type[BaseException]) -> bool:
    """
    Whether the failure is the end of a response or a cancellation, directly or wrapped.

    `gatherResults`, task groups and the like wrap the errors of their members.

    Args:
        others: More classes of errors that count as an end.
    """
    ends: tuple[Any, ...] = (StreamClosed, CancelledError, asyncio.CancelledError, *others)
    errors: list[BaseException | None] = [failure.value]
    while errors:
        match errors.pop():
            case FirstError() as first:
                errors.append(first.subFailure.value)
            case FailureGroup() as group:
                errors.extend(each.value for each in group.failures)
            case BaseExceptionGroup() as group:
                errors.extend(group.exceptions)
            case error if not isinstance(error, ends):
                return False
    return True


def call(
    function: Callable[..., object], *args: object, scope: Scope | None = None
) -> Deferred[Any]:
    """
    Call a function that may raise, return a Deferred, or be ``async``.

    Args:
        scope: It runs in the execution context of this scope. None for that of the caller.
    """
    global _running  # noqa: PLW0603 - a callback is not the code of the task that caused it
    outer, _running = _running, None
    try:
        return maybeDeferred(_called, scope, function, *args)
    finally:
        _running = outer


def _called(scope: Scope | None, function: Callable[..., object], *args: object) -> object:
    result = function(*args) if scope is None else scope.run(function, *args)
    if isinstance(result, GeneratorType | AsyncGeneratorType) and not isawaitable(result):
        msg = "a callback returned a generator, which nobody runs; did you forget @inlineCallbacks?"
        raise TypeError(msg)
    if isinstance(result, Deferred) or not isawaitable(result):
        return result
    return Deferred.fromCoroutine(_await(result)) if scope is None else deferred_of(result, scope)


def deferred_of(awaitable: Awaitable[Any], scope: Scope) -> Deferred[Any]:
    """
    The Deferred of anything that can be awaited. A coroutine starts to run.
    """
    if isinstance(awaitable, Deferred):
        return awaitable
    return Task(awaitable if iscoroutine(awaitable) else _await(awaitable), scope)


async def _await(awaitable: Awaitable[object]) -> object:
    # ``aclose()`` of an async generator is awaitable, but not a coroutine.
    return await awaitable


def is_running(deferred: Deferred[Any] | None) -> bool:
    """
    Whether it is a task whose coroutine is on the stack.
    """
    return isinstance(deferred, Task) and deferred.running


def cancel_unless_notified(awaiting: Awaiting) -> None:
    """
    Cancel what it waits for, unless that is a task that has been notified of the end.

    Other Deferreds do not record that, so they are cancelled.
    """
    pending = awaiting.pending
    if pending is not None and not (isinstance(pending, Task) and pending.notified):
        cancel(pending)


def cancel(deferred: Deferred[Any]) -> None:
    """
    Cancel a Deferred; log an error of its canceller, which may be anybody's code.
    """
    try:
        deferred.cancel()
    except BaseException:  # noqa: BLE001 - a canceller may raise anything, asyncio's error too
        _log.failure("a canceller failed")
