"""
BlockingLoop drives ``stream_blocking``: it sends the items of a thread.

Layer: response, at the top.
"""

from twisted.python.failure import Failure

from twistream.scheduling.iteration import ThreadIteration
from twistream.server.response.loop import StreamLoop
from twistream.server.response.response import Response
from twistream.server.response.writer import Urgency

_COALESCE = Urgency.COALESCE


class BlockingLoop(StreamLoop):
    """
    Sends each item of an iteration as a message.
    """

    __slots__ = ("_items",)

    def __init__(self, response: Response, items: ThreadIteration, *, detached: bool) -> None:
        """
        Args:
            items: An iteration that has been started. It is cancelled when the loop ends.
        """
        super().__init__(
            response,
            items.take,
            call="stream_blocking",
            interval=None,
            detached=detached,
            close=items.cancel,
        )
        self._items = items

    def _take_step(self) -> bool:
        take, send = self._step, self.response.writer.send_step
        while not self.ended:
            try:
                item = take()
            except StopIteration:
                failure = self._items.pop_failure()
                return self._flush_rest() if failure is None else self._failed(failure)
            if item is None:
                return self._wait_for(self._items.wait(), self._after_flush)
            try:
                wait = send(item, _COALESCE)
            except BaseException:  # noqa: BLE001 - a Deferred catches everything, and so does a loop
                return self._failed(Failure())
            if wait is not None:
                return self._wait_for(wait, self._after_flush)
        return False
