"""
The handler of /events: one tick per second, from a channel that keeps the last minute.
"""

from datetime import UTC, datetime

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from twistream import Context, Hub

LINGER = 60
"""
How long the ticker runs after the last client has disconnected, in seconds. The history
keeps as many ticks, so a client that reconnects within this time misses nothing.
"""


class Ticker:
    """
    One tick per second, with its number and the server's time.

    The ticker runs while clients are connected, and for `LINGER` seconds longer.
    """

    def __init__(self, hub: Hub) -> None:
        self._ticks = hub.channel("ticks", history=LINGER)
        self._loop: LoopingCall | None = None
        self._unheard = 0

    def stream(self, ctx: Context) -> Deferred[None]:
        """
        Send ticks as events, starting after ``Last-Event-ID`` if the client has an id.
        """
        # One second: pages are back soon after a restart.
        subscription = ctx.sse(retry=1.0).subscribe(self._ticks)
        # A HEAD request does not subscribe.
        if self._ticks.subscriber_count:
            self._keep_ticking(ctx.clock)
        return subscription

    def _keep_ticking(self, clock: IReactorTime) -> None:
        if self._loop is None or not self._loop.running:
            self._loop = loop = LoopingCall(lambda: self.tick(loop))
            loop.clock = clock
            loop.start(1.0)

    def tick(self, loop: LoopingCall) -> None:
        """
        Publish the next tick, or stop the loop if nobody has listened for `LINGER` seconds.
        """
        self._unheard = 0 if self._ticks.subscriber_count else self._unheard + 1
        if self._unheard > LINGER:
            loop.stop()
        else:
            number = self._ticks.published + 1
            self._ticks.publish({"number": number, "time": datetime.now(UTC)})
