"""
Ending: who is told when a response is over, and in which order.

That it is over is not decided here; the writer knows.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from twistream.errors import (
    ClientDisconnected,
    SendTimeout,
    SlowConsumer,
    StreamClosed,
    StreamFinished,
)
from twistream.scheduling.tasks import call, tells_of_the_end
from twistream.scheduling.waits import Waits
from twistream.server.response.writer import ResponseWriter

if TYPE_CHECKING:
    from twistream.server.context import Context

Callback: TypeAlias = Callable[["Context"], object]


class Cancellable(Protocol):
    """
    A handler under way.
    """

    def cancel(self) -> None:
        """
        The response is over before its time, and the handler is not to go on.
        """


class Stoppable(Protocol):
    """
    What goes on for as long as the response does: a loop, a subscription.
    """

    def stop(self, reason: BaseException) -> None:
        """
        The response is over, for this reason.
        """


class Ending:
    """
    The end of one response, for all who wait for it.

    Attributes:
        handler: What is to be cancelled when the client has left.
        keep_running: The handler and its sleeps go on when the client has left.
        running: The loops and subscriptions that go on.
    """

    __slots__ = (
        "_err",
        "_on_close",
        "_on_connection_close",
        "_over",
        "_sleeps",
        "_waiting",
        "handler",
        "keep_running",
        "running",
    )

    def __init__(self, *, keep_running: bool) -> None:
        self.handler: Cancellable | None = None
        self.keep_running = keep_running
        self._sleeps: Waits | None = None
        self._err: StreamClosed | None = None
        # Tuples, because most are empty or of one, and there are many streams.
        self.running: tuple[Stoppable, ...] = ()
        self._on_close: tuple[Callback, ...] = ()
        self._on_connection_close: tuple[Callback, ...] = ()
        self._over = False
        self._waiting: list[Deferred[StreamClosed | None]] | None = None

    @property
    def sleeps(self) -> Waits:
        """
        The Deferreds of those who sleep.
        """
        if self._sleeps is None:
            self._sleeps = Waits()
        return self._sleeps

    def forget(self, loop: Stoppable) -> None:
        """
        It has ended.
        """
        self.running = tuple(each for each in self.running if each is not loop)

    def wait(self) -> Deferred[StreamClosed | None]:
        """
        A new Deferred that fires with ``err``. See ``Context.done``.
        """
        if self._over:
            return succeed(self._err)
        waiting: Deferred[StreamClosed | None] = Deferred(self._wait_cancelled)
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(waiting)
        return waiting

    def on_connection_close(self, context: "Context", callback: Callback) -> None:
        """
        See ``Context.on_connection_close``.
        """
        _check(callback)
        if not self._over:
            self._on_connection_close += (callback,)
        elif _client_left(self._err):
            self._tell(callback, context)

    def on_close(self, context: "Context", callback: Callback) -> None:
        """
        See ``Context.on_close``.
        """
        _check(callback)
        if not self._over:
            self._on_close += (callback,)
        else:
            self._tell(callback, context)

    def forget_on_close(self, callback: Callback) -> None:
        """
        Whoever registered `callback` with `on_close` does not need it any more.
        """
        self._on_close = tuple(each for each in self._on_close if each != callback)

    def tell_all(self, context: "Context", writer: ResponseWriter) -> None:
        """
        The response is over.
        """
        err = self._err = writer.err
        reason: Exception = StreamFinished() if err is None else err
        sleeps = self._sleeps if err is None or not self.keep_running else None
        # Whatever is cancelled from here on, because the handler is, fails with the reason.
        writer.waits.will_fail_with(reason)
        if sleeps is not None:
            sleeps.will_fail_with(reason)
        # What is told of the end is let go, so that no cycle is left to collect.
        handler, self.handler = self.handler, None
        if err is not None and not self.keep_running and handler is not None:
            handler.cancel()
        writer.telling = True
        running, self.running = self.running, ()
        for loop in running:
            loop.stop(reason)
        writer.waits.fail_all(reason)
        if sleeps is not None:
            sleeps.fail_all(reason)
        writer.telling = False
        self._over = True
        left = self._on_connection_close if _client_left(err) else ()
        for callback in left + self._on_close:
            self._tell(callback, context)
        self._on_connection_close = self._on_close = ()
        writer.telling = True
        waiting, self._waiting = self._waiting, None
        for each in waiting or ():
            # One that was told before may have cancelled it.
            if not each.called:
                each.callback(err)
        writer.telling = False

    def call(
        self, function: Callable[..., object], complaint: str, context: "Context", *args: object
    ) -> None:
        """
        Call what is called because of the end, and let no failure of it come further.
        """
        call(function, *args).addErrback(self._complain, complaint, context)

    def _complain(self, failure: Failure, complaint: str, context: "Context") -> None:
        # That the response is over is no failure of what is called when it is.
        over = tells_of_the_end(failure) or failure.check(StreamFinished)
        if not (self._over and over):
            context.log.failure(complaint, failure)

    def _tell(self, callback: Callback, context: "Context") -> None:
        self.call(callback, "a callback for the end of a stream failed", context, context)

    def _wait_cancelled(self, waiting: Deferred[StreamClosed | None]) -> None:
        if self._waiting is not None:
            self._waiting.remove(waiting)
        if self._err is not None:
            # The handler is cancelled because of `err`, and this is where it asked for it.
            waiting.callback(self._err)


def _check(callback: Callback) -> None:
    if not callable(callback):
        msg = f"a callback is a function, not {type(callback).__name__}"
        raise TypeError(msg)


def _client_left(err: StreamClosed | None) -> bool:
    return isinstance(err, ClientDisconnected | SendTimeout | SlowConsumer)
