"""
The handler of /events: a tick each second, from a channel that keeps the last minute of them.
"""

from datetime import UTC, datetime

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from twistream import Context, Hub

LINGER = 60
"""
Seconds for which it ticks when nobody listens any more, and so many ticks are kept: whoever
comes again within that time, after a reload or a broken connection, misses nothing.
"""


class Ticker:
    """
    A tick each second: its number and the server's time.

    It ticks while anybody listens and for `LINGER` seconds more, so nothing runs for nobody.
    """

    def __init__(self, hub: Hub) -> None:
        self._ticks = hub.channel("ticks", history=LINGER)
        self._loop: LoopingCall | None = None
        self._unheard = 0

    def stream(self, ctx: Context) -> Deferred[None]:
        """
        The ticks as events: those after ``Last-Event-ID``, or those from now on.
        """
        # A second, so that a page is soon back when the server was started again.
        subscription = ctx.sse(retry=1.0).subscribe(self._ticks)
        # HEAD is answered without a subscription.
        if self._ticks.subscriber_count:
            self._keep_ticking(ctx.clock)
        return subscription

    def _keep_ticking(self, clock: IReactorTime) -> None:
        if self._loop is None or not self._loop.running:
            self._loop = loop = LoopingCall(lambda: self._tick(loop))
            loop.clock = clock
            loop.start(1.0)

    def _tick(self, loop: LoopingCall) -> None:
        self._unheard = 0 if self._ticks.subscriber_count else self._unheard + 1
        if self._unheard > LINGER:
            loop.stop()
        else:
            number = self._ticks.published + 1
            self._ticks.publish({"number": number, "time": datetime.now(UTC)})
