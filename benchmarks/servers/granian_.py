"""
granian, with an ASGI application and no framework, on uvloop.

It is embedded, so that it is one process as the other servers are; that is as fast as its
command line with one worker. Without a framework it is faster than with Starlette.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, HOST, MOST_STREAMS
from benchmarks.servers.feed import Feed

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

_TYPE = (b"content-type", MEDIA_TYPE.encode())
_EMPTY = (b"content-length", b"0")

_feed: Feed[bytes] = Feed()


async def start(send: Send) -> None:
    """
    Begin a stream.
    """
    await send({"type": "http.response.start", "status": 200, "headers": [_TYPE]})


async def send_on(send: Send, message: bytes) -> None:
    """
    Send one message of a stream.
    """
    await send({"type": "http.response.body", "body": message, "more_body": True})


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def answer(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    """
    Answer without a body.
    """
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await _end(send)


async def body(receive: Receive) -> bytes:
    """
    The body of a request.
    """
    whole, more = b"", True
    while more:
        part = await receive()
        whole += part["body"]
        more = part["more_body"]
    return whole


async def until_left(receive: Receive) -> None:
    """
    Wait until the client has left.
    """
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_messages(send: Send, number: int) -> None:
    await start(send)
    for _ in range(number):
        await send_on(send, MESSAGE)
    await _end(send)


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
    await start(send)
    left = asyncio.ensure_future(until_left(receive))
    while not left.done():
        await send_on(send, MESSAGE)
        await asyncio.sleep(1.0)


async def subscribe(_: Message, receive: Receive, send: Send) -> None:
    """
    All that is published.
    """
    await start(send)
    published = _feed.follow()
    await send_on(send, MESSAGE)
    sending = asyncio.create_task(_send_all(published, send))
    try:
        await until_left(receive)
    finally:
        sending.cancel()


async def _send_all(messages: AsyncIterator[bytes], send: Send) -> None:
    async for message in messages:
        await send_on(send, message)
    await _end(send)


async def publish(_: Message, receive: Receive, send: Send) -> None:
    """
    Send the body of the request to every subscriber.
    """
    # A loop over the subscribers would have to wait for each send. Of the ways that do not,
    # a task for each message and a queue for each subscriber are slower with eight messages
    # in flight, and no faster with one.
    _feed.publish(await body(receive))
    await answer(send, 204)


ROUTES: Final[Mapping[tuple[str, str], Application]] = {
    ("GET", "/twelve"): twelve,
    ("GET", "/many"): many,
    ("GET", "/ticks"): ticks,
    ("GET", "/subscribe"): subscribe,
    ("POST", "/publish"): publish,
}
"""
What there is, by method and path.
"""


def application(routes: Mapping[tuple[str, str], Application]) -> Application:
    """
    An application of routes.
    """

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        route = routes.get((scope["method"], scope["path"]))
        if route is None:
            await answer(send, 404, _EMPTY)
        else:
            await route(scope, receive, send)

    return app


async def serve(app: Any, port: int) -> None:
    """
    Serve an ASGI application on `port` for ever.

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
    uvloop.run(serve(application(ROUTES), int(sys.argv[1])))
