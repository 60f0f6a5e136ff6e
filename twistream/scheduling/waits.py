"""
Waits: the Deferreds of one response on which handler code may be waiting.

Every one of them fires: with its result, with the reason why the response ended, or
with `CancelledError` if it is cancelled while the response goes on.

Layer: scheduling, above `execution` and `threads`.
"""

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, cast

from twisted.internet.defer import DebugInfo, Deferred
from twisted.python.failure import Failure

from twistream.errors import ContentLengthMismatch, RunEnded, StreamClosed, StreamFinished
from twistream.scheduling.execution import ExecutionContext
from twistream.scheduling.threads import check_thread

_Release: TypeAlias = Callable[[Deferred[None]], object]


class _QuietAtTheEnd(DebugInfo):
    """
    Suppresses "Unhandled error in Deferred" where the error is the end of a stream or of a run.

    A handler may call ``flush()`` and drop the Deferred. If the response then ends, the
    handler is notified in other ways, and a length mismatch is reported at the end of the
    body. Any other unhandled error of the same Deferred is logged as usual.
    """

    def __del__(self) -> None:
        if self.failResult is not None and not self.failResult.check(
            StreamClosed, StreamFinished, ContentLengthMismatch, RunEnded
        ):
            super().__del__()


def fail_quietly(deferred: Deferred[Any], error: BaseException) -> None:
    """
    Fail `deferred` without a log entry if nobody handles the error.
    """
    deferred._debugInfo = _QuietAtTheEnd()  # noqa: SLF001 - Deferred has no public way
    deferred.errback(Failure(error))


class FailedWait(Deferred[None]):
    """
    A Deferred that has already failed, and logs nothing if nobody handles the error.

    Awaiting it raises at once; the Deferred is not passed to what drives the coroutine.
    """

    def __init__(self, error: BaseException, on_await: Callable[[], object]) -> None:
        """
        Args:
            on_await: Called when it is awaited, before it raises.
        """
        super().__init__()
        self._on_await = on_await
        fail_quietly(self, error)

    def __await__(self) -> Generator[Deferred[None], None, None]:
        self._on_await()
        return super().__await__()


class Fired(Deferred[None]):
    """
    A Deferred that has fired, with the result None.

    Most flushes return one, and most code only awaits it. So awaiting it costs nothing, and
    the attributes of an instance are created only if something else uses it.
    """

    called = True
    result = None
    _is_new = True

    def __init__(self) -> None:
        # `__getattr__` calls that of Deferred, on the first access to an attribute that it sets.
        pass

    def __getattr__(self, name: str) -> object:
        if not self._is_new:
            raise AttributeError(name=name, obj=self)
        self._is_new = False
        super().__init__()
        return getattr(self, name)

    def __await__(self) -> Generator[Deferred[None], None, None]:
        return _NOTHING_TO_WAIT_FOR if self._is_new else super().__await__()


# An exhausted iterator: an await of it gives None at once.
_NOTHING_TO_WAIT_FOR = cast("Generator[Deferred[None], None, None]", iter(()))


class Waits:
    """
    A set of Deferreds that have not fired yet.
    """

    __slots__ = ("_context", "_open", "_reason")

    def __init__(self, context: ExecutionContext) -> None:
        """
        Args:
            context: The Deferreds fire in it.
        """
        self._context = context
        # None until somebody waits, which never happens in most responses.
        self._open: dict[Deferred[None], _Release | None] | None = None
        self._reason: BaseException | None = None

    def add(self, release: _Release | None = None) -> Deferred[None]:
        """
        Return a new Deferred.

        Args:
            release: Called with the Deferred if it fails or is cancelled, to release what
                would have fired it.
        """
        deferred: Deferred[None] = Deferred(self._cancelled)
        if self._open is None:
            self._open = {}
        self._open[deferred] = release
        return deferred

    def __len__(self) -> int:
        """
        The number of Deferreds that have not fired.
        """
        return len(self._open or ())

    def fire(self, deferred: Deferred[None]) -> None:
        """
        Fire `deferred` with None, unless it has fired.
        """
        if self._open and deferred in self._open:
            del self._open[deferred]
            self._context.run(deferred.callback, None)

    def will_fail_with(self, reason: BaseException) -> None:
        """
        From now on, a Deferred of this set that is cancelled fails with `reason`.
        """
        self._reason = reason

    def fail_all(self, reason: BaseException) -> None:
        """
        Fail all Deferreds that remain, including those that are added meanwhile.
        """
        self._reason = reason
        while self._open:
            # A copy: finding the first key of a dict that shrinks from the front is slow.
            for deferred in list(self._open):
                if deferred in self._open:
                    self._fail(deferred, reason)

    def _cancelled(self, deferred: Deferred[None]) -> None:
        check_thread("cancel()")
        if self._reason is not None:
            self._fail(deferred, self._reason)
        else:
            self._release(deferred)

    def _fail(self, deferred: Deferred[None], reason: BaseException) -> None:
        self._release(deferred)
        fail_quietly(deferred, reason)

    def _release(self, deferred: Deferred[None]) -> None:
        release = self._open and self._open.pop(deferred)
        if release:
            release(deferred)


class Gate:
    """
    Deferreds of a `Waits` that wait for the same thing, and fire together.
    """

    __slots__ = ("_waiting", "_waits")

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._waiting: dict[Deferred[None], None] = {}  # In order.

    def wait(self) -> Deferred[None]:
        """
        Return a new Deferred.
        """
        wait = self._waits.add(release=self._forget)
        self._waiting[wait] = None
        return wait

    def open(self) -> None:
        """
        Fire all Deferreds. One that is added meanwhile waits for the next time.
        """
        waiting, self._waiting = self._waiting, {}
        for wait in waiting:
            self._waits.fire(wait)

    def _forget(self, wait: Deferred[None]) -> None:
        self._waiting.pop(wait, None)
