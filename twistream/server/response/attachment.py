"""
Attachment: the base of loops and subscriptions, which end when their response does.

Layer: response, above `twistream.server.response.response`.
"""

from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twistream.scheduling.threads import check_thread
from twistream.scheduling.waits import fail_quietly
from twistream.server.response.response import Response


class Loop(Protocol):
    """
    What a handler starts and waits for, such as a `twistream.server.response.loop.StreamLoop`.

    Attributes:
        deferred: Fires when it ends.
    """

    deferred: Deferred[Any]

    def start(self) -> None:
        """
        Called once.
        """


class Attachment:
    """
    The base of loops, pipes and subscriptions.

    Attributes:
        call: The method that started it, for messages: ``stream_writer``.
        deferred: Fires when it ends. Deleted then; take it before.
        detached: The handler may return before it ends.
        ended: It has ended.
        response: The response.
    """

    __slots__ = ("call", "deferred", "detached", "ended", "response")

    def __init__(self, response: Response, call: str, *, detached: bool) -> None:
        self.call = call
        self.detached = detached
        self.response = response
        self.ended = False
        self.deferred: Deferred[Any] = Deferred(self._cancelled)

    def stop(self, reason: BaseException) -> None:
        """
        End it early: its Deferred fails with `reason`.
        """
        if not self.ended:
            deferred = self._end()
            # Code that `_end` cancels may itself have cancelled the Deferred.
            if not deferred.called:
                self.response.life.run(fail_quietly, deferred, reason)

    def _fire(self, result: Failure | None) -> None:
        """
        End it with `result`. The callbacks of its Deferred run in the context of the handler.
        """
        self.response.life.run(self._end().callback, result)

    def _attach(self) -> None:
        self.response.observers.attach(self)

    def _end(self) -> Deferred[None]:
        """
        End it, and return its Deferred, which has not fired.

        The Deferred is deleted here, because this object is its canceller.
        """
        # Its own state first: code that `_release` calls may end the response, or this again.
        self.ended = True
        self.response.observers.detach(self)
        deferred = self.deferred
        del self.deferred
        self._release()
        return deferred

    def _release(self) -> None:
        """
        Stop what is under way. Called once, at the end.
        """
        raise NotImplementedError

    def _cancelled(self, _: Deferred[None]) -> None:
        check_thread("cancel()")
        if self.ended:
            return  # Code that `_end` cancels has cancelled it.
        err = self.response.life.err
        if err is not None:
            self.stop(err)
        else:
            self._end()  # Deferred.cancel fails it with CancelledError.
