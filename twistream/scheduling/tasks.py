"""
Task: a running coroutine that records whether it has been notified of the end of its response.

A handler may end its own response: it calls ``abort()``, or flushes where no body is allowed.
Its code is running at that moment, and running code cannot be cancelled. If it then gets the
error from a call or an await, it must not be cancelled as well while it cleans up. If it does
not, it is cancelled in the next turn.

Layer: scheduling. A task knows its response only as a `Scope`.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar, copy_context
from inspect import isawaitable
from typing import Any, Protocol

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

_log = Logger()
_NOTHING = object()

_running: "Task | None" = None
"""
The task whose coroutine is on the stack, the innermost if there are several.
"""

_probe: ContextVar[object] = ContextVar("twistream-probe")


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

    It does the work of `Deferred.fromCoroutine` in a third of the memory, and a caller that
    cancels it waits for the coroutine to end.

    Attributes:
        running: Its coroutine is on the stack.
        notified: Its coroutine has been notified of the end of the scope: a call raised the
            error, or it was awaiting something that fired because of the end.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], scope: Scope) -> None:
        super().__init__()
        self._coroutine = coroutine
        self._context = copy_context()
        self._awaited: Deferred[Any] | None = None
        self._result: object = _NOTHING  # Of an awaited Deferred that had already fired.
        self._scope = scope
        self.running = False
        self.notified = False
        self._resume(None)

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
        coroutine, run = self._coroutine, self._context.run
        while True:
            outer, _running, self.running = _running, self, True
            try:
                if isinstance(result, Failure):
                    awaited = run(result.throwExceptionIntoGenerator, coroutine)
                else:
                    awaited = run(coroutine.send, result)
            except StopIteration as stop:
                result = stop.value
                break
            except BaseException:  # noqa: BLE001 - a Deferred catches everything, and so does a Task
                result = Failure()
                break
            finally:
                _running, self.running = outer, False
            if not isinstance(awaited, Deferred):
                result = awaited  # As Twisted does with foreign awaitables.
                continue
            awaited.addBoth(self._received)
            if self._result is _NOTHING:
                self._awaited = awaited
                return
            result, self._result = self._result, _NOTHING
        self.callback(result)

    def _received(self, result: object) -> None:
        self.notified |= self._scope.notifying
        if isinstance(result, Failure):
            self.notified |= result.value is self._scope.err
        if self._awaited is None:
            self._result = result
        else:
            self._awaited = None
            self._resume(result)

    def runs_in_current_context(self) -> bool:
        """
        Whether the code that calls this runs in the task's own context.

        Coroutines that a task starts with `Deferred.fromCoroutine` or ``inlineCallbacks`` run in
        copies of its context: what is set in a copy cannot be seen here.
        """
        mark = object()
        token = _probe.set(mark)
        try:
            return self._context.get(_probe) is mark
        finally:
            _probe.reset(token)


def notify_running_task() -> None:
    """
    Mark the running task as notified, if its own code calls this.

    Callbacks, and coroutines that the task has started separately, are not its own code.
    """
    task = _running
    if task is not None and task.runs_in_current_context():
        task.notified = True


def is_end(failure: Failure) -> bool:
    """
    Whether the failure is the end of a response, directly or wrapped in an error of
    `gatherResults` and the like.
    """
    error = failure.value
    if isinstance(error, FirstError):
        return is_end(error.subFailure)
    if isinstance(error, FailureGroup):
        return all(map(is_end, error.failures))
    return isinstance(error, StreamClosed | CancelledError)


def call(function: Callable[..., object], *args: object) -> Deferred[Any]:
    """
    Call a function that may raise, return a Deferred, or be ``async``.
    """
    global _running  # noqa: PLW0603 - a callback is not the code of the task that caused it
    outer, _running = _running, None
    try:
        return maybeDeferred(_adapted, function, *args)
    finally:
        _running = outer


def _adapted(function: Callable[..., object], *args: object) -> object:
    result = function(*args)
    if isinstance(result, Deferred) or not isawaitable(result):
        return result
    return Deferred.fromCoroutine(_awaited(result))


async def _awaited(awaitable: Awaitable[object]) -> object:
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
    except Exception:  # noqa: BLE001 - a canceller may raise anything
        _log.failure("a canceller failed")
