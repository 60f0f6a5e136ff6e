"""
Every way a client can leave, and every way a handler can be waiting when it does.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import CancelledError, Deferred

from tests.e2e.h2client import H2Client
from tests.e2e.net import Server, eventually, serving
from twistream import ClientDisconnected, Context

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def open_stream(server: Server) -> Any:
    client = await server.get(REQUEST)
    await client.holds(b"start")
    return client


async def open_h2_stream(server: Server) -> Any:
    client = await H2Client.connect(server)
    # A handler that sends without end fills the window.
    client.reading = False
    stream = client.request()
    await client.client.until(lambda: b"start" in stream.body)
    return client, stream


async def open_h2_reading(server: Server) -> Any:
    # A handler that sends without end fills the transport.
    client = await H2Client.connect(server, window=2**31 - 1)
    client.open_window(2**30)
    stream = client.request()
    await client.client.until(lambda: b"start" in stream.body)
    return client, stream


# How to open a stream, and how to leave it. A client that reads nothing more leaves data
# unread, and its kernel says so with RST.
WAYS: dict[str, tuple[bool, Callable[[Server], Any], Callable[[Any], None]]] = {
    "fin": (False, open_stream, lambda client: client.leave()),
    "rst": (False, open_stream, lambda client: client.reset()),
    "half-close": (False, open_stream, lambda client: client.half_close()),
    "tls close_notify": (True, open_stream, lambda client: client.leave()),
    "tls rst": (True, open_stream, lambda client: client.reset()),
    "h2 rst_stream": (True, open_h2_stream, lambda opened: opened[0].reset(opened[1])),
    "h2 close": (True, open_h2_stream, lambda opened: opened[0].client.leave()),
    "h2 close while reading": (True, open_h2_reading, lambda opened: opened[0].client.leave()),
    "h2 rst": (True, open_h2_stream, lambda opened: opened[0].client.reset()),
}


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 5000


async def silent() -> AsyncIterator[bytes]:
    yield b"x"
    await Deferred()


def endless_generator() -> Iterator[bytes]:
    while True:
        yield b"x" * 5000


def write_some(ctx: Context) -> None:
    ctx.write(b"x" * 5000)


async def fill(ctx: Context) -> None:
    while True:
        ctx.write(b"x" * 5000)
        await ctx.flush()


# What the handler waits for, and what it sees when the client leaves.
WAITS: dict[str, tuple[Callable[[Context], Any], type[BaseException]]] = {
    "sleep": (lambda ctx: ctx.sleep(60), ClientDisconnected),
    "flush": (fill, ClientDisconnected),
    "stream_writer": (
        lambda ctx: ctx.stream_writer(write_some),
        ClientDisconnected,
    ),
    "stream_writer with interval": (
        lambda ctx: ctx.stream_writer(lambda w: None, interval=60),
        ClientDisconnected,
    ),
    "stream_writer with a deferred": (
        lambda ctx: ctx.stream_writer(lambda w: Deferred()),
        ClientDisconnected,
    ),
    "generator": (lambda ctx: ctx.stream(endless_generator()), ClientDisconnected),
    "async generator": (lambda ctx: ctx.stream(endless()), ClientDisconnected),
    "silent async generator": (lambda ctx: ctx.stream(silent()), ClientDisconnected),
    "foreign deferred": (lambda ctx: Deferred(), CancelledError),
}


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("way", WAYS)
@ensureDeferred
async def test_the_handler_ends_with_exactly_one_exception(way: str, wait: str) -> None:
    tls, connect, leave = WAYS[way]
    waits_for, expected = WAITS[wait]
    seen: list[type[BaseException]] = []
    order: list[str] = []

    async def handler(ctx: Context) -> None:
        ctx.on_connection_close(lambda c: order.append("on_connection_close"))
        ctx.on_close(lambda c: order.append("on_close"))
        ctx.done().addCallback(lambda err: order.append(type(err).__name__))
        ctx.write("start")
        await ctx.flush()
        try:
            await waits_for(ctx)
        except BaseException as err:
            assert ctx.is_cancelled
            seen.append(type(err))
            order.append("handler")
            raise

    async with serving(handler, tls=tls) as server:
        leave(await connect(server))
        await eventually(lambda: len(order) == 4)
        assert seen == [expected]
        assert order == ["handler", "on_connection_close", "on_close", "ClientDisconnected"]
        assert isinstance(server.contexts[0].err, ClientDisconnected)
