"""
twistream: every way to write a response, a fan-out of raw bytes, and a channel.
"""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

from twisted.web.resource import Resource

from benchmarks.message import HISTORY, MEDIA_TYPE, MESSAGE, PUBLISHED, TEXT, VALUE
from benchmarks.servers.site import Publish, count, serve
from twistream import Context, Hub, StopStream, StreamResource


async def _flush(ctx: Context) -> None:
    ctx.content_type(MEDIA_TYPE)
    for _ in range(count(ctx.request)):
        ctx.write(MESSAGE)
        await ctx.flush()


async def _stream_writer(ctx: Context) -> None:
    ctx.content_type(MEDIA_TYPE)
    left = count(ctx.request)

    def write(ctx: Context) -> None:
        nonlocal left
        if not left:
            raise StopStream
        left -= 1
        ctx.write(MESSAGE)

    await ctx.stream_writer(write)


async def _stream_writer_async(ctx: Context) -> None:
    ctx.content_type(MEDIA_TYPE)
    left = count(ctx.request)

    async def write(ctx: Context) -> None:
        nonlocal left
        if not left:
            raise StopStream
        left -= 1
        ctx.write(MESSAGE)

    await ctx.stream_writer(write)


def _generator(ctx: Context) -> Iterator[bytes]:
    ctx.content_type(MEDIA_TYPE)
    for _ in range(count(ctx.request)):
        yield MESSAGE


async def _async_generator(ctx: Context) -> AsyncIterator[bytes]:
    ctx.content_type(MEDIA_TYPE)
    for _ in range(count(ctx.request)):
        yield MESSAGE


async def _json_line(ctx: Context) -> None:
    for _ in range(count(ctx.request)):
        await ctx.json_line(VALUE)


async def _sse_send(ctx: Context) -> None:
    events = ctx.sse(ping=None)
    for _ in range(count(ctx.request)):
        await events.send(TEXT)


def _twelve(ctx: Context) -> Iterator[bytes]:
    ctx.content_type(MEDIA_TYPE)
    for _ in range(12):
        yield MESSAGE


def _channel(hub: Hub) -> Resource:
    """
    A channel with subscribers, and two channels without.
    """
    events = hub.channel("events", history=HISTORY)

    async def subscribe(ctx: Context) -> None:
        await ctx.sse(ping=None).subscribe(events)

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
    root.putChild(b"publish", Publish(lambda text: events.publish(text.decode())))
    root.putChild(b"text", StreamResource(publisher("text", PUBLISHED.decode())))
    root.putChild(b"json", StreamResource(publisher("json", VALUE)))
    return root


def _add_fan_out(root: Resource) -> None:
    from benchmarks.servers.internals import Members  # noqa: PLC0415 - see the call

    members = Members()

    async def subscribe(ctx: Context) -> None:
        ctx.content_type(MEDIA_TYPE)
        members.add(ctx)
        ctx.write(MESSAGE)
        ctx.flush()
        await ctx.done()

    root.putChild(b"subscribe", StreamResource(subscribe))
    root.putChild(b"publish", Publish(members.send))


if __name__ == "__main__":
    _root = Resource()
    for _form in (
        *(_flush, _stream_writer, _stream_writer_async, _generator, _async_generator),
        *(_json_line, _sse_send, _twelve),
    ):
        _root.putChild(_form.__name__.strip("_").encode(), StreamResource(_form))
    _root.putChild(b"many", StreamResource(_generator))
    _root.putChild(b"channel", _channel(Hub()))
    # Another checkout may keep its internals elsewhere. Everything else can still be compared.
    with suppress(ImportError):
        _add_fan_out(_root)
    serve(_root, int(sys.argv[1]))
