"""
Code that belongs to somebody else: coroutines under way, calls, cancellers.

A `Task` is a coroutine that knows what it has been told. When a response ends from within the code that it belongs to (a handler that calls
``abort()``, a flush where no body may be), that code is just running. Twisted cannot
cancel what runs, and what has been told of the end already, by an exception, must not be
cancelled on top of it while it cleans up.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from twistream.server.writer import ResponseWriter

_log = Logger()


class Task:
    """
    Runs a coroutine, from now on.

    Attributes:
        deferred: Its result.
        running: It is on the stack.
        told: The end of the response has been raised in it.
    """

    __slots__ = ("_coroutine", "_writer", "deferred", "running", "told")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], writer: ResponseWriter) -> None:
        self._coroutine = coroutine
        self._writer = writer
        self.running = False
        self.told = False
        self.deferred: Deferred[Any] = Deferred.fromCoroutine(self._drive())

    def _drive(self) -> Generator[Any, Any, Any]:
        # What `yield from` does (PEP 380), with a look at what is raised on the way.
        coroutine, writer = self._coroutine, self._writer
        result: Any = None
        error: BaseException | None = None
        while True:
            raised = writer.raised
            self.running = True
            try:
                waits_for = coroutine.send(result) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                self.running = False
                self.told |= writer.raised != raised
            result = error = None
            try:
                result = yield waits_for
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as err:  # noqa: BLE001 - a Deferred may fail with any
                self.told |= err is writer.err
                error = err


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


def cancel(deferred: Deferred[Any]) -> None:
    """
    Cancel what may be somebody else's, and let no failure of that come further.
    """
    try:
        deferred.cancel()
    except Exception:  # noqa: BLE001 - a canceller is somebody else's code
        _log.failure("a canceller failed")
