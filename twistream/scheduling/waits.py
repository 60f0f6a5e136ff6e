"""
The Deferreds of one response that handler code may be waiting on.

Every one of them fires: with its result, with the reason why the response ended, or
with `CancelledError` if somebody cancels it while the response goes on.
"""

from collections.abc import Callable, Generator
from typing import TypeAlias

from twisted.internet.defer import DebugInfo, Deferred
from twisted.python.failure import Failure

from twistream.errors import ContentLengthMismatch, StreamClosed, StreamFinished

_Release: TypeAlias = Callable[[Deferred[None]], object]


class _QuietAtTheEnd(DebugInfo):
    """
    Drops the complaint about an unhandled error where the error is the end of a stream.

    A handler may flush without keeping the Deferred. That the response ended meanwhile
    is told to the handler elsewhere, and is no news for the log; nor that a length did
    not fit, which is told at the end if it does not fit then. Any other error that ends
    up unhandled in the same Deferred is reported as ever.
    """

    def __del__(self) -> None:
        if self.failResult is not None and not self.failResult.check(
            StreamClosed, StreamFinished, ContentLengthMismatch
        ):
            super().__del__()


def fail_quietly(deferred: Deferred[None], error: BaseException) -> None:
    """
    Fail `deferred` in such a way that nothing is logged if nobody looks.
    """
    deferred._debugInfo = _QuietAtTheEnd()  # noqa: SLF001 - Deferred offers no other way
    deferred.errback(Failure(error))


class FailedWait(Deferred[None]):
    """
    A Deferred that has failed, and logs nothing if nobody looks.

    An ``await`` of it raises without a word to whoever drives the coroutine.
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


class Waits:
    """
    A set of Deferreds that have not fired yet.
    """

    __slots__ = ("_open", "_reason")

    def __init__(self) -> None:
        # None until somebody waits, which in most responses nobody does.
        self._open: dict[Deferred[None], _Release | None] | None = None
        self._reason: BaseException | None = None

    def add(self, release: _Release | None = None) -> Deferred[None]:
        """
        A new Deferred.

        Args:
            release: Called with it if it ends without `fire`, to give back what it waited for.
        """
        deferred: Deferred[None] = Deferred(self._cancelled)
        if self._open is None:
            self._open = {}
        self._open[deferred] = release
        return deferred

    def __len__(self) -> int:
        """
        How many have not fired.
        """
        return len(self._open or ())

    def fire(self, deferred: Deferred[None]) -> None:
        """
        Let `deferred` succeed, unless it has fired.
        """
        if self._open and deferred in self._open:
            del self._open[deferred]
            deferred.callback(None)

    def will_fail_with(self, reason: BaseException) -> None:
        """
        From now on whoever cancels one of these makes it fail with `reason`.
        """
        self._reason = reason

    def fail_all(self, reason: BaseException) -> None:
        """
        Fail all that remain, those too that are added meanwhile.
        """
        self._reason = reason
        while self._open:
            # By a copy: the first key of a dict that shrinks from the front is slow to find.
            for deferred in list(self._open):
                if deferred in self._open:
                    self._fail(deferred, reason)

    def _cancelled(self, deferred: Deferred[None]) -> None:
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
