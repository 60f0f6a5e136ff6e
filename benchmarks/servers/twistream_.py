"""
twistream, by its API, and by `Broadcast`, which channels are built on.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.task import deferLater
from twisted.web.resource import Resource

from benchmarks.message import HISTORY, MEDIA_TYPE, MESSAGE, TEXT, VALUE
from benchmarks.servers.quiet_site import Publish, count, reactor, serve
from twistream import Context, StreamResource
from twistream.channels import Hub
from twistream.server.broadcast import Broadcast
from twistream.wire.frames import Frame


def twelve(ctx: Context) -> Iterator[bytes]:
    """
    Twelve messages.
    """
    ctx.content_type(MEDIA_TYPE)
    for _ in range(12):
        yield MESSAGE


def many(ctx: Context) -> Iterator[bytes]:
    """
    As many messages as are asked for, as fast as the client takes them.
    """
    ctx.content_type(MEDIA_TYPE)
    for _ in range(count(ctx.request)):
        yield MESSAGE


def _write_message(ctx: Context) -> None:
    ctx.write(MESSAGE)


async def ticks(ctx: Context) -> None:
    """
    One message each second.
    """
    ctx.content_type(MEDIA_TYPE)
    await ctx.stream_writer(_write_message, interval=1.0)


async def turns(ctx: Context) -> None:
    """
    As many messages as are asked for, one in each turn of the reactor.
    """
    ctx.content_type(MEDIA_TYPE)
    for _ in range(count(ctx.request)):
        ctx.write(MESSAGE)
        ctx.flush()
        await deferLater(reactor, 0)


def _channels() -> Resource:
    """
    A channel that is listened to, and two that are not.
    """
    hub = Hub()
    heard = hub.channel("heard", history=HISTORY)

    async def subscribe(ctx: Context) -> None:
        await ctx.sse(ping=None).subscribe(heard)

    def publisher(name: str, value: Any) -> Callable[[Context], Iterator[bytes]]:
        unheard = hub.channel(name, history=HISTORY)

        def publish(ctx: Context) -> Iterator[bytes]:
            for _ in range(count(ctx.request)):
                unheard.publish(value)
            ctx.content_type(MEDIA_TYPE)
            yield MESSAGE

        return publish

    root = Resource()
    root.putChild(b"subscribe", StreamResource(subscribe))
    root.putChild(b"replay", StreamResource(subscribe))
    root.putChild(b"publish", Publish(lambda text: heard.publish(text.decode())))
    root.putChild(b"text", StreamResource(publisher("text", TEXT.decode())))
    root.putChild(b"json", StreamResource(publisher("json", VALUE)))
    return root


def main(port: int) -> None:
    """
    Serve on `port` until the process is told to end.
    """
    broadcast = Broadcast(reactor)

    async def subscribe(ctx: Context) -> None:
        ctx.content_type(MEDIA_TYPE)
        broadcast.add(ctx._response)  # noqa: SLF001 - one layer below, like channels
        ctx.write(MESSAGE)
        ctx.flush()
        await ctx.done()

    root = Resource()
    root.putChild(b"twelve", StreamResource(twelve))
    root.putChild(b"many", StreamResource(many))
    root.putChild(b"subscribe", StreamResource(subscribe))
    root.putChild(b"publish", Publish(lambda message: broadcast.send(Frame(message))))
    root.putChild(b"channel", _channels())
    root.putChild(b"ticks", StreamResource(ticks))
    root.putChild(b"turns", StreamResource(turns))
    serve(root, port)


if __name__ == "__main__":
    main(int(sys.argv[1]))
