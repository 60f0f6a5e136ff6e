"""
Clients that leave in mid-stream, counted: run as a program, it prints what they left.

Not a test by itself: pytest-twisted keeps the frames of failures alive, so what leaks
can only be seen in a process without it.
"""

import gc
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import react
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure
from twisted.web.server import Request

from tests.e2e.h2client import H2Client
from tests.e2e.net import Server, pause, serving
from tests.server.producers import ENDLESS, Push
from twistream import Context
from twistream.scheduling.iteration import ThreadIteration
from twistream.server.response.coding import Coding, CodingStage
from twistream.server.response.delivery import MessageWriter
from twistream.server.response.loop import StreamLoop
from twistream.server.response.producers import Registration

AT_ONCE = 50
COUNTED = (
    Coding,
    CodingStage,
    Context,
    Deferred,
    DelayedCall,
    Failure,
    MessageWriter,
    Push,
    Registration,
    Request,
    StreamLoop,
    ThreadIteration,
)


async def foreign(ctx: Context) -> None:
    ctx.write("start")
    await ctx.flush()
    await Deferred()


async def sleeping(ctx: Context) -> None:
    ctx.on_close(lambda c: None)
    ctx.write("start")
    await ctx.flush()
    ctx.sleep(3600)
    await ctx.sleep(3600)


async def sending(ctx: Context) -> AsyncIterator[bytes]:
    yield b"start"
    while True:
        yield b"x" * 30_000


def looping(ctx: Context) -> Deferred[None]:
    def step(w: Context) -> None:
        w.write("start")

    return ctx.stream_writer(step, interval=3600)


async def valuing(ctx: Context) -> None:
    async def values() -> AsyncIterator[str]:
        yield "start"
        await Deferred()

    await ctx.json_array().send_all(values())


async def compressed(ctx: Context) -> None:
    ctx.compress(codings=["gzip"], level=0)  # Which leaves the text as it is.
    await foreign(ctx)


def piping(ctx: Context) -> Deferred[None]:
    def start(consumer: IConsumer) -> Deferred[None]:
        producer = Push(consumer)
        producer.register()
        producer.write(b"start")
        return Deferred()

    return ctx.pipe(start)


def registered(ctx: Context) -> Deferred[None]:
    producer = Push(ctx, size=10_000, total=ENDLESS)
    ctx.write("start")
    producer.register()
    return Deferred()


def rows() -> Iterator[bytes]:
    yield b"start"
    while True:
        yield b"x" * 30_000


def blocking(ctx: Context) -> Deferred[None]:
    return ctx.stream_blocking(rows)


def parking(ctx: Context) -> Deferred[None]:
    return ctx.stream_blocking(rows, pin=False)


HANDLERS: list[Callable[[Context], Any]] = [
    foreign,
    sleeping,
    sending,
    looping,
    piping,
    registered,
    valuing,
    compressed,
    blocking,
    parking,
]


def serve(ctx: Context) -> Any:
    return HANDLERS[int(ctx.path[1:]) % len(HANDLERS)](ctx)


async def visit(server: Server, number: int) -> None:
    """
    One client that comes, sees the start and leaves.
    """
    way = number % 3
    if server.tls:
        client = await H2Client.connect(server)
        client.reading = False
        stream = client.request(f"/{number // 3}", headers=[("accept-encoding", "gzip")])
        await client.client.until(lambda: b"start" in stream.body)
        (lambda: client.reset(stream), client.client.leave, client.client.reset)[way]()
        client.client.reset()
    else:
        head = b"GET /%d HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
        raw = await server.get(head % (number // 3))
        await raw.holds(b"start")
        (raw.leave, raw.reset, raw.half_close)[way]()
        await raw.end()


async def visits(server: Server, count: int) -> None:
    numbers = iter(range(count))
    while batch := list(islice(numbers, AT_ONCE)):
        await gatherResults([Deferred.fromCoroutine(visit(server, n)) for n in batch])
    for context in server.contexts:
        assert not context.is_cancelled or context.err is not None
    while not all(context.is_cancelled for context in server.contexts):
        await pause(0.01)
    server.contexts.clear()
    await pause(0.05)


def census() -> Counter[str]:
    gc.collect()
    return Counter(
        kind.__name__
        for each in gc.get_objects()
        for kind in COUNTED
        # The reactor keeps up to fifty that are cancelled.
        if isinstance(each, kind) and not getattr(each, "cancelled", False)
    )


async def main(reactor: Any, count: str, tls: str) -> None:
    async with serving(serve, tls=tls == "tls") as server:
        await visits(server, AT_ONCE)  # What is made once and kept is made now.
        before = census()
        await visits(server, int(count))
        after = census()
    json.dump({name: after[name] - before[name] for name in after}, sys.stdout)


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)  # Else it keeps its history.
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
