"""
Code that belongs to somebody else: coroutines under way, calls, cancellers.

A `Task` is a coroutine that knows whether it has been told of the end of its response.
When a response ends from within the code that it belongs to (a handler that calls
``abort()``, a flush where no body may be), that code is just running. Twisted cannot
cancel what runs, and what has been told of the end already must not be cancelled on top
of it while it cleans up.
"""

import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
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

if TYPE_CHECKING:
    from twistream.server.response.writer import ResponseWriter

_log = Logger()
_NOTHING = object()


class Task(Deferred[Any]):
    """
    Runs a coroutine, from now on. It is the Deferred of the coroutine's result.

    It does what `Deferred.fromCoroutine` does, for a third of the memory, and whoever
    cancels it waits for the coroutine to end.

    Attributes:
        running: It is on the stack.
        told: It has learnt of the end of the response: an exception was raised in it, or
            what it waited for was a matter of the end.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], writer: "ResponseWriter") -> None:
        super().__init__()
        self._coroutine = coroutine
        self._variables = copy_context()
        self._waits_for: Deferred[Any] | None = None
        self._result: object = _NOTHING  # Of a wait that was over before it began.
        self._writer = writer
        self.running = False
        self.told = False
        self._drive(None)

    def cancel(self) -> None:
        """
        Cancel what the coroutine waits for. How it ends is its own affair.
        """
        if self._waits_for is not None:
            self._waits_for.cancel()
        elif self.called:
            super().cancel()

    def _drive(self, result: object) -> None:
        """
        Resume the coroutine, until it waits for something that has not come yet.
        """
        coroutine, run = self._coroutine, self._variables.run
        while True:
            self.running = True
            try:
                if isinstance(result, Failure):
                    awaited = run(result.throwExceptionIntoGenerator, coroutine)
                else:
                    awaited = run(coroutine.send, result)
            except StopIteration as stop:
                result = stop.value
                break
            except BaseException:  # noqa: BLE001 - Deferreds take any exception, so does this
                result = Failure()
                break
            finally:
                self.running = False
            if not isinstance(awaited, Deferred):
                result = awaited  # As Twisted has it.
                continue
            awaited.addBoth(self._came)
            if self._result is _NOTHING:
                self._waits_for = awaited
                return
            result, self._result = self._result, _NOTHING
        self.callback(result)

    def _came(self, result: object) -> None:
        self.told |= self._writer.telling
        if isinstance(result, Failure):
            self.told |= result.value is self._writer.err
        if self._waits_for is None:
            self._result = result
        else:
            self._waits_for = None
            self._drive(result)


def tell_running_task() -> None:
    """
    Mark the task whose own code is running as told.

    What somebody has called, or a coroutine that was started beside the task, is not its
    own code.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - in Python's documentation, in spite of its name
    while frame.f_back is not None:
        frame = frame.f_back
        ours = _OWNERS.get(frame.f_code)
        if ours is not None:
            if ours:
                frame.f_locals["self"].told = True
            return


def tells_of_the_end(failure: Failure) -> bool:
    """
    Whether it is the end of a response, as such or wrapped by what waits for several.
    """
    error = failure.value
    if isinstance(error, FirstError):
        return tells_of_the_end(error.subFailure)
    if isinstance(error, FailureGroup):
        return all(map(tells_of_the_end, error.failures))
    return isinstance(error, StreamClosed | CancelledError)


def call(function: Callable[..., object], *args: object) -> Deferred[Any]:
    """
    Call what may raise, return a Deferred, or be ``async``.
    """
    return maybeDeferred(_adapted, function, *args)


def _adapted(function: Callable[..., object], *args: object) -> object:
    result = function(*args)
    if isinstance(result, Deferred) or not isawaitable(result):
        return result
    return Deferred.fromCoroutine(_awaited(result))


async def _awaited(awaitable: Awaitable[object]) -> object:
    # `aclose()` of an async generator is awaitable, and no coroutine.
    return await awaitable


_OWNERS = {
    Task._drive.__code__: True,  # noqa: SLF001 - of this module
    call.__code__: False,
    vars(defer)["_inlineCallbacks"].__code__: False,
}
"""
What runs code, and whether it is a task that does.
"""


def is_running(deferred: Deferred[Any] | None) -> bool:
    """
    Whether it is a task whose code is on the stack.
    """
    return isinstance(deferred, Task) and deferred.running


def cancel_unless_told(deferred: Deferred[Any]) -> None:
    """
    Cancel it, unless it is a task that has learnt of the end.

    Nobody can look into what is no task.
    """
    if not (isinstance(deferred, Task) and deferred.told):
        cancel(deferred)


def cancel(deferred: Deferred[Any]) -> None:
    """
    Cancel what may be somebody else's, and let no failure of that come further.
    """
    try:
        deferred.cancel()
    except Exception:  # noqa: BLE001 - a canceller is somebody else's code
        _log.failure("a canceller failed")
