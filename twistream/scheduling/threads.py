"""
Calls from threads that are not the reactor's: the error for those that would race, and a way to
make them in the reactor's thread.

Methods that run for each message contain the check of `check_thread` themselves, because a call costs
more than the check.

Layer: scheduling, at the bottom.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import get_ident
from typing import Any, NoReturn, TypeVar, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads
from twisted.python import threadable
from twisted.python.failure import Failure

T = TypeVar("T")

CALL = "use reactor.callFromThread"
"""
What to use instead of a call without a result.
"""

READ = "use twisted.internet.threads.blockingCallFromThread"
"""
What to use instead of a call with a result.
"""

_LOOK = 0.1
"""
Seconds after which a waiting thread checks whether the reactor still runs. A result wakes it at once.
"""


def check_thread(call: str, remedy: str = CALL) -> None:
    """
    Refuse a call in a thread that is not the reactor's.

    Args:
        call: The method that was called.
        remedy: What to use instead.

    Raises:
        RuntimeError: A reactor runs, or has run, in another thread.
    """
    if get_ident() != threadable.ioThread is not None:
        refuse_thread(call, remedy)


def refuse_thread(call: str, remedy: str = CALL) -> NoReturn:
    """
    Raise the error of `check_thread`.

    Args:
        call: The method that was called.
        remedy: What to use instead.
    """
    msg = f"{call} was called in a thread that is not the reactor's; {remedy}"
    raise RuntimeError(msg)


def start_in_reactor(reactor: object, function: Callable[[], object]) -> None:
    """
    Call a function: at once in the reactor's thread, and soon from another one.

    Args:
        reactor: The reactor, or a clock, which has no threads.
    """
    if get_ident() != threadable.ioThread is not None and IReactorFromThreads.providedBy(reactor):
        cast("IReactorFromThreads", reactor).callFromThread(function)
    else:
        function()


def call_in_reactor(call: str, function: Callable[..., Deferred[T] | None], *args: Any) -> T | None:
    """
    Call a function in the reactor's thread, and wait for its result.

    `twisted.internet.threads.blockingCallFromThread` waits forever if the reactor stops first.
    The reactor then waits for the threads of its pool, so the process would never end.

    Args:
        call: The method that this is for.

    Raises:
        RuntimeError: This is the reactor's thread, no reactor runs, or it stops before there is
            a result. In the last case, the function may have been called.
        BaseException: The function failed with it.
    """
    if threadable.ioThread == get_ident():
        msg = f"{call} was called in the reactor's thread, where it would wait forever"
        raise RuntimeError(msg)
    if threadable.ioThread is None:
        msg = f"{call} needs a running reactor in another thread"
        raise RuntimeError(msg)
    from twisted.internet import reactor  # noqa: PLC0415 - one runs, so this installs none

    outcome: Future[T | None] = Future()

    def run() -> None:
        if outcome.set_running_or_notify_cancel():
            deferred = maybeDeferred(function, *args)
            deferred.addCallbacks(outcome.set_result, fail).addErrback(lambda _: None)

    def fail(failure: Failure) -> None:
        outcome.set_exception(failure.value)

    cast("IReactorFromThreads", reactor).callFromThread(run)
    try:
        while IReactorCore(reactor).running or outcome.done():
            try:
                return outcome.result(_LOOK)
            except TimeoutError:
                if outcome.done():
                    raise  # The error of the function.
    finally:
        outcome.cancel()
    msg = f"{call} cannot wait for a reactor that has stopped"
    raise RuntimeError(msg)
