"""
Observers: who is notified when a response is over, and in which order.

It cancels the handler and what a loop waits for. The response decides when it is over.

Layer: response, below `twistream.server.response.response`.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from twisted.internet.defer import Deferred, succeed

from twistream.errors import (
    ClientDisconnected,
    SendTimeout,
    SlowConsumer,
    StreamClosed,
    StreamFinished,
)
from twistream.scheduling.tasks import Awaiting, cancel, cancel_unless_notified, is_running
from twistream.scheduling.turn import Turn
from twistream.scheduling.waits import Waits
from twistream.server.response.phase import Life

Callback: TypeAlias = Callable[[], object]
"""
Called at the end. It must not raise.
"""


class Stoppable(Protocol):
    """
    A loop, a subscription, or a member of a broadcast.

    Attributes:
        call: The method that started it; None if no handler waits for it.
        detached: The handler may return before it ends.
    """

    @property
    def call(self) -> str | None: ...

    @property
    def detached(self) -> bool: ...

    def stop(self, reason: BaseException) -> None:
        """
        The response is over, for this reason.
        """


class Observers:
    """
    Everything that is cancelled, stopped or notified at the end of one response.

    Attributes:
        handler: The handler, while it runs.
        keep_running: The handler and its sleeps go on when the client disconnects.
    """

    __slots__ = (
        "_attached",
        "_done_deferreds",
        "_life",
        "_notified",
        "_on_close",
        "_on_disconnect",
        "_sleeps",
        "_turn",
        "handler",
        "keep_running",
    )

    def __init__(self, life: Life, turn: Turn, *, keep_running: bool) -> None:
        self._life = life
        self._turn = turn
        self.handler: Awaiting | None = None
        self.keep_running = keep_running
        self._sleeps: Waits | None = None
        # Tuples, because most have at most one item, and there are many streams.
        self._attached: tuple[Stoppable, ...] = ()
        self._on_close: tuple[Callback, ...] = ()
        self._on_disconnect: tuple[Callback, ...] = ()
        self._notified = False
        self._done_deferreds: tuple[Deferred[StreamClosed | None], ...] = ()

    @property
    def sleeps(self) -> Waits:
        """
        The open Deferreds of ``sleep``.
        """
        if self._sleeps is None:
            self._sleeps = Waits(self._life)
        return self._sleeps

    def attach(self, attached: Stoppable) -> None:
        """
        Stop `attached` when the response is over.
        """
        self._attached += (attached,)

    def detach(self, attached: Stoppable) -> None:
        """
        Forget `attached`, which has ended.
        """
        self._attached = tuple(each for each in self._attached if each is not attached)

    def not_awaited(self) -> list[str]:
        """
        The calls of loops and subscriptions that still run although their handler has returned.
        """
        if not self._attached:
            return []
        return [each.call for each in self._attached if each.call and not each.detached]

    def stop_attached(self) -> None:
        """
        The body is complete: stop loops and subscriptions, though the client may read it for long.
        """
        if self._attached:
            self._life.notifying = True
            self._life.run(self._stop_attached, StreamFinished())
            self._life.notifying = False

    def done(self) -> Deferred[StreamClosed | None]:
        """
        A new Deferred that fires with the error of the response. See ``Context.done``.
        """
        if self._notified:
            return succeed(self._life.err)
        done: Deferred[StreamClosed | None] = Deferred(self._done_cancelled)
        self._done_deferreds += (done,)
        return done

    def on_disconnect(self, callback: Callback) -> None:
        """
        Call `callback` if the client disconnects, at once if it has disconnected.
        """
        if not self._notified:
            self._on_disconnect += (callback,)
        elif _client_disconnected(self._life.err):
            callback()

    def on_close(self, callback: Callback) -> None:
        """
        Call `callback` when the response is over, at once if it is over already.
        """
        if not self._notified:
            self._on_close += (callback,)
        else:
            callback()

    def cancel_pending(self, awaiting: Awaiting) -> None:
        """
        Cancel what a handler or a loop waits for: the one place that does.

        Code that is running cannot be cancelled. Code that has ended the response itself may
        be running too. Such code is cancelled in the next turn, unless it has met the error
        by then.
        """
        pending = awaiting.pending
        if pending is None or is_running(pending) or self._life.ended_from_within:
            self._turn.soon(partial(self._life.run, cancel_unless_notified, awaiting))
        else:
            cancel(pending)

    def notify(self, waits: Waits | None) -> None:
        """
        The response is over: cancel, stop and notify everything. Called once.

        Args:
            waits: The Deferreds that wait to send; None if there never was one.
        """
        self._life.run(self._notify, waits)

    def _notify(self, waits: Waits | None) -> None:
        life, err = self._life, self._life.err
        if err is not None or waits is not None or self._attached or self._sleeps is not None:
            self._stop(StreamFinished() if err is None else err, waits)
        self._notified = True
        for callback in (self._on_disconnect if _client_disconnected(err) else ()) + self._on_close:
            callback()
        self._on_disconnect = self._on_close = ()
        deferreds, self._done_deferreds = self._done_deferreds, ()
        life.notifying = True
        for done in deferreds:
            # A callback may have cancelled it.
            if not done.called:
                done.callback(err)
        life.notifying = False

    def _stop(self, reason: Exception, waits: Waits | None) -> None:
        """
        Cancel the handler, stop loops and subscriptions, and fail all waits.
        """
        life = self._life
        sleeps = self._sleeps if life.err is None or not self.keep_running else None
        # If the handler, which is cancelled first, awaits one of these, that fails with `reason`.
        if waits is not None:
            waits.will_fail_with(reason)
        if sleeps is not None:
            sleeps.will_fail_with(reason)
        # Everything that is notified is dropped, so that no reference cycle remains.
        handler, self.handler = self.handler, None
        if life.err is not None and not self.keep_running and handler is not None:
            self.cancel_pending(handler)
        life.notifying = True
        self._stop_attached(reason)
        if waits is not None:
            waits.fail_all(reason)
        if sleeps is not None:
            sleeps.fail_all(reason)
        life.notifying = False

    def _stop_attached(self, reason: Exception) -> None:
        attached, self._attached = self._attached, ()
        for stoppable in attached:
            stoppable.stop(reason)

    def _done_cancelled(self, done: Deferred[StreamClosed | None]) -> None:
        self._done_deferreds = tuple(each for each in self._done_deferreds if each is not done)
        if self._life.err is not None:
            # A cancelled handler that awaits this gets the error as its result.
            done.callback(self._life.err)


def _client_disconnected(err: StreamClosed | None) -> bool:
    return isinstance(err, ClientDisconnected | SendTimeout | SlowConsumer)
