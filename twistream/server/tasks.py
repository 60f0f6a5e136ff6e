"""
Code that belongs to somebody else: coroutines under way, calls, cancellers.

A `Task` is a coroutine that knows whether it has been told of the end of its response.
When a response ends from within the code that it belongs to (a handler that calls
``abort()``, a flush where no body may be), that code is just running. Twisted cannot
cancel what runs, and what has been told of the end already must not be cancelled on top
of it while it cleans up.
"""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
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
    from twistream.server.writer import ResponseWriter

_log = Logger()


class Task:
    """
    Runs a coroutine, from now on.

    Attributes:
        deferred: Its result.
        running: It is on the stack.
        told: It has learnt of the end of the response: an exception was raised in it, or
            what it waited for was a matter of the end.
    """

    __slots__ = ("_coroutine", "_writer", "deferred", "running", "told")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], writer: "ResponseWriter") -> None:
        self._coroutine = coroutine
        self._writer = writer
        self.running = False
        self.told = False
        self.deferred: Deferred[Any] = Deferred.fromCoroutine(self._drive())

    def _drive(self) -> Generator[Any, Any, Any]:
        # What `yield from` does (PEP 380), with a look at when it is resumed.
        coroutine, writer = self._coroutine, self._writer
        result: Any = None
        error: BaseException | None = None
        while True:
            self.running = True
            try:
                waits_for = coroutine.send(result) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                self.running = False
            result = error = None
            try:
                result = yield waits_for
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as err:  # noqa: BLE001 - a Deferred may fail with any
                error = err
                self.told |= err is writer.err
            self.told |= writer.telling


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


def cancel(deferred: Deferred[Any]) -> None:
    """
    Cancel what may be somebody else's, and let no failure of that come further.
    """
    try:
        deferred.cancel()
    except Exception:  # noqa: BLE001 - a canceller is somebody else's code
        _log.failure("a canceller failed")
