"""
Attachment: what goes on for as long as its response does, a loop or a subscription.

Layer: response, above `twistream.server.response.response`.
"""

from twisted.internet.defer import Deferred

from twistream.scheduling.waits import fail_quietly
from twistream.server.response.response import Response


class Attachment:
    """
    The base of loops and subscriptions.

    Attributes:
        deferred: Fires when it ends. Deleted then; take it before.
        ended: It has ended.
        response: The response.
    """

    __slots__ = ("deferred", "ended", "response")

    def __init__(self, response: Response) -> None:
        self.response = response
        self.ended = False
        self.deferred: Deferred[None] = Deferred(self._cancelled)

    def stop(self, reason: BaseException) -> None:
        """
        End it early: its Deferred fails with `reason`.
        """
        if not self.ended:
            deferred = self._end()
            # Code that `_end` cancels may have cancelled the Deferred in its turn.
            if not deferred.called:
                fail_quietly(deferred, reason)

    def _attach(self) -> None:
        self.response.observers.attach(self)

    def _end(self) -> Deferred[None]:
        """
        End it, and return its Deferred, which has not fired.

        The Deferred is deleted here, because this object is its canceller.
        """
        # First what is ours: code that `_release` calls may end the response, or this again.
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
        if self.ended:
            return  # By code that `_end` cancels.
        err = self.response.life.err
        if err is not None:
            self.stop(err)
        else:
            self._end()  # Deferred.cancel fails it with CancelledError.
