"""
twistream's `Broadcast` with events that have ids, and nothing else of a channel: no history but
the last event, no names, nothing for a client that is slow but to be cut.
"""

import sys

from twisted.web.resource import Resource

from benchmarks.message import MEDIA_TYPE
from benchmarks.servers.ids import Ids
from benchmarks.servers.quiet_site import Publish, reactor, serve
from twistream import Context, StreamResource
from twistream.server.broadcast import Broadcast
from twistream.wire.frames import Frame


class Numbered:
    """
    A broadcast that gives each message a number.
    """

    def __init__(self) -> None:
        self._broadcast = Broadcast(reactor)
        self._ids = Ids()
        self._count = 0
        self._last = b""

    async def subscribe(self, ctx: Context) -> None:
        """
        What is published, after the last event if the client has missed just that one.
        """
        ctx.content_type(MEDIA_TYPE)
        if ctx.request.getHeader("Last-Event-ID") == self._ids.of(self._count - 1):
            ctx.write(self._last)
            ctx.flush()
        self._broadcast.add(ctx._response)  # noqa: SLF001 - one layer below, like channels
        await ctx.done()

    def publish(self, text: bytes) -> None:
        """
        Send text of one line to every subscriber.
        """
        self._count += 1
        self._last = b"id: %b\ndata: %b\n\n" % (self._ids.of(self._count).encode(), text)
        self._broadcast.send(Frame(self._last))


if __name__ == "__main__":
    numbered = Numbered()
    channel, root = Resource(), Resource()
    root.putChild(b"channel", channel)
    channel.putChild(b"subscribe", StreamResource(numbered.subscribe))
    channel.putChild(b"publish", Publish(numbered.publish))
    serve(root, int(sys.argv[1]))
