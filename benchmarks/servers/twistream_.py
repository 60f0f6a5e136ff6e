"""
twistream: every way to write a response, a fan-out of raw bytes, and a channel.
"""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from itertools import count as counter
from itertools import cycle, islice, repeat
from typing import Any

from twisted.internet.task import deferLater
from twisted.web.resource import Resource

from benchmarks.message import HISTORY, MEDIA_TYPE, MESSAGE, PUBLISHED, TEXT, TRADES, VALUE
from benchmarks.servers import TICK
from benchmarks.servers.twisted_ import Publish, count, reactor, serve
from twistream import Channel, Context, Hub, Message, StopStream, StreamResource


async def _stream(ctx: Context) -> None:
    ctx.content_type(MEDIA_TYPE)
    await ctx.stream(repeat(MESSAGE, count(ctx.request)))


async def _pipe(ctx: Context) -> None:
    ctx.content_type(MEDIA_TYPE)
    await ctx.pipe(repeat(MESSAGE, count(ctx.request)))


async def _flush(ctx: Context) -> None:
    ctx.content_type(MEDIA_TYPE)
    for _ in range(count(ctx.request)):
        ctx.write(MESSAGE)
        await ctx.flush()


def _writer(ctx: Context) -> Callable[[Context], None]:
    left = count(ctx.request)
    ctx.content_type(MEDIA_TYPE)

    def write(ctx: Context) -> None:
        nonlocal left
        if not left:
            raise StopStream
        left -= 1
        ctx.write(MESSAGE)

    return write


async def _stream_writer(ctx: Context) -> None:
    await ctx.stream_writer(_writer(ctx))


async def _stream_writer_async(ctx: Context) -> None:
    writer = _writer(ctx)

    async def write(ctx: Context) -> None:
        writer(ctx)

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


async def _gzip(ctx: Context) -> None:
    ctx.compress()
    ctx.content_type(MEDIA_TYPE)
    for trade in islice(cycle(TRADES), count(ctx.request)):
        ctx.write(trade)
        await ctx.flush()


async def _open(ctx: Context) -> None:
    await _gzip(ctx)
    await ctx.done()


async def _ticks(ctx: Context) -> None:
    def write(ctx: Context) -> None:
        ctx.write(MESSAGE)

    ctx.content_type(MEDIA_TYPE)
    await ctx.stream_writer(write, TICK)


def _channel(hub: Hub) -> Resource:
    """
    A channel with subscribers, and two channels without.
    """
    events = hub.channel("events", history=HISTORY)

    async def subscribe(ctx: Context) -> None:
        await ctx.sse(ping=None).subscribe(events)

    async def subscribe_compressed(ctx: Context) -> None:
        ctx.compress()
        await subscribe(ctx)

    def publish(name: str, value: Any) -> StreamResource:
        unheard = hub.channel(name, history=HISTORY)

        def respond(ctx: Context) -> Iterator[bytes]:
            for _ in range(count(ctx.request)):
                unheard.publish(value)
            ctx.content_type(MEDIA_TYPE)
            yield MESSAGE

        return StreamResource(respond)

    root = Resource()
    root.putChild(b"subscribe", StreamResource(subscribe))
    root.putChild(b"compressed", StreamResource(subscribe_compressed))
    root.putChild(b"publish", Publish(lambda text: events.publish(text.decode())))
    root.putChild(b"text", publish("text", PUBLISHED.decode()))
    root.putChild(b"json", publish("json", VALUE))
    return root


def _selecting(channel: Channel, *, by_topics: bool) -> Resource:
    """
    A channel with a topic for each subscriber. The subscribers are numbered from 0.
    """
    publishes = counter()

    async def subscribe(ctx: Context) -> None:
        build = f"builds/{count(ctx.request)}/"

        def is_selected(message: Message) -> bool:
            return message.topic is not None and message.topic.startswith(build)

        options: dict[str, Any] = (
            {"topics": [f"{build}#"]} if by_topics else {"filter": is_selected}
        )
        await ctx.sse(ping=None).subscribe(channel, **options)

    async def publish(ctx: Context) -> bytes:
        ctx.content_type(MEDIA_TYPE)
        for _ in range(count(ctx.request)):
            number = next(publishes) % channel.subscriber_count
            channel.publish(PUBLISHED.decode(), topic=f"builds/{number}/steps/1")
            await deferLater(reactor, 0)  # In a turn of its own.
        ctx.write(MESSAGE)
        await ctx.flush()
        return b""

    root = Resource()
    root.putChild(b"subscribe", StreamResource(subscribe))
    root.putChild(b"publish", StreamResource(publish))
    return root


def _add_fan_out(root: Resource) -> None:
    """
    Add the fan-out of the bytes that other servers send. A channel would add ids.
    """
    # No other benchmark uses private parts of twistream.
    from twistream.server.broadcast import Broadcast  # noqa: PLC0415 - see the call
    from twistream.wire.frames import Frame  # noqa: PLC0415 - see the call

    broadcast = Broadcast(reactor)

    async def subscribe(ctx: Context) -> None:
        ctx.content_type(MEDIA_TYPE)
        broadcast.add(ctx._response)  # noqa: SLF001 - what channels do one layer below
        ctx.write(MESSAGE)
        ctx.flush()
        await ctx.done()

    root.putChild(b"subscribe", StreamResource(subscribe))
    root.putChild(b"publish", Publish(lambda message: broadcast.send(Frame(message))))


if __name__ == "__main__":
    _root = Resource()
    for _form in (
        *(_generator, _async_generator, _stream, _pipe, _flush),
        *(_stream_writer, _stream_writer_async, _json_line, _sse_send, _ticks, _gzip, _open),
    ):
        _root.putChild(_form.__name__.strip("_").encode(), StreamResource(_form))
    _root.putChild(b"twelve", StreamResource(_generator))
    _root.putChild(b"many", StreamResource(_generator))
    _hub = Hub()
    _root.putChild(b"channel", _channel(_hub))
    _root.putChild(b"topics", _selecting(_hub.channel("topics", history=HISTORY), by_topics=True))
    _root.putChild(b"filter", _selecting(_hub.channel("filter", history=HISTORY), by_topics=False))
    # Another checkout may keep its internals elsewhere. Everything else can still be compared.
    with suppress(ImportError):
        _add_fan_out(_root)
    serve(_root, int(sys.argv[1]))
