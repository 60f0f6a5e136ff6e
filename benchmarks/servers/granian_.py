"""
granian, with an ASGI application and no framework, on uvloop.

It is embedded, so that it is one process as the other servers are; that is as fast as its
command line with one worker. Without a framework it is faster than with Starlette.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, HOST, MOST_STREAMS

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_TYPE = (b"content-type", MEDIA_TYPE.encode())
_EMPTY = (b"content-length", b"0")

_subscribers: dict[Send, None] = {}


async def _start(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [_TYPE]})


async def _continue(send: Send, message: bytes) -> None:
    await send({"type": "http.response.body", "body": message, "more_body": True})


async def _answer(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_messages(send: Send, number: int) -> None:
    await _start(send)
    for _ in range(number):
        await _continue(send, MESSAGE)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def twelve(_: Message, __: Receive, send: Send) -> None:
    """
    Twelve messages.
    """
    await _send_messages(send, 12)


async def many(scope: Message, _: Receive, send: Send) -> None:
    """
    As many messages as are asked for, as fast as the client takes them.
    """
    await _send_messages(send, int(scope["query_string"].removeprefix(b"n=")))


async def ticks(_: Message, receive: Receive, send: Send) -> None:
    """
    One message each second.
    """
    await _start(send)
    left = asyncio.ensure_future(_until_left(receive))
    while not left.done():
        await _continue(send, MESSAGE)
        await asyncio.sleep(1.0)


async def subscribe(_: Message, receive: Receive, send: Send) -> None:
    """
    All that is published.
    """
    await _start(send)
    _subscribers[send] = None
    try:
        await _continue(send, MESSAGE)
        await _until_left(receive)
    finally:
        del _subscribers[send]


async def publish(_: Message, receive: Receive, send: Send) -> None:
    """
    Send the body of the request to every subscriber.
    """
    message, more = b"", True
    while more:
        part = await receive()
        message += part["body"]
        more = part["more_body"]
    # A loop over the responses: a queue and a task to wake for each subscriber cost more.
    for subscriber in list(_subscribers):
        await _continue(subscriber, message)
    await _answer(send, 204)


_ROUTES = {
    ("GET", "/twelve"): twelve,
    ("GET", "/many"): many,
    ("GET", "/ticks"): ticks,
    ("GET", "/subscribe"): subscribe,
    ("POST", "/publish"): publish,
}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """
    The application.
    """
    route = _ROUTES.get((scope["method"], scope["path"]))
    if route is None:
        await _answer(send, 404, _EMPTY)
    else:
        await route(scope, receive, send)


async def serve(port: int) -> None:
    """
    Serve on `port` for ever.

    SIGTERM ends the process as it is: a graceful end would wait for streams without one.
    """
    await Server(
        app,
        address=HOST,
        port=port,
        # Without the lifespan protocol, which has nothing to start here.
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        runtime_threads=1,
        backlog=BACKLOG,
        # It takes no more requests than this at the same time, streams included.
        backpressure=MOST_STREAMS,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
