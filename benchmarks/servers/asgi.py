"""
The ASGI servers: plain ASGI, Starlette or sse-starlette, on uvicorn or granian, with uvloop.

The fan-out has a task for each subscriber: a loop that awaits one subscriber after the other would
let one slow client delay all others.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from importlib import import_module
from typing import Any, TypeAlias

import uvloop

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, HOST
from benchmarks.servers.history import Feed

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

_TYPE = (b"content-type", MEDIA_TYPE.encode())
_feed: Feed[bytes] = Feed()


async def _start(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def _send_message(send: Send, message: bytes) -> None:
    await send({"type": "http.response.body", "body": message, "more_body": True})


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_messages(send: Send, number: int) -> None:
    await _start(send, 200, _TYPE)
    for _ in range(number):
        await _send_message(send, MESSAGE)
    await _end(send)


async def _send_feed(messages: AsyncIterator[bytes], send: Send) -> None:
    async for message in messages:
        await _send_message(send, message)
    await _end(send)


async def subscribe(_: Message, receive: Receive, send: Send) -> None:
    """
    Send the first message, then everything that is published.
    """
    await _start(send, 200, _TYPE)
    published = _feed.follow(_feed.count)
    await _send_message(send, MESSAGE)
    sending = asyncio.create_task(_send_feed(published, send))
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        sending.cancel()


async def publish(_: Message, receive: Receive, send: Send) -> None:
    """
    Send the body of the request to every subscriber.
    """
    whole, more = b"", True
    while more:
        part = await receive()
        whole += part["body"]
        more = part["more_body"]
    _feed.publish(whole)
    await _start(send, 204)
    await _end(send)


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """
    An application without a framework.
    """
    path = scope["path"]
    if path == "/twelve":
        await _send_messages(send, 12)
    elif path == "/many":
        await _send_messages(send, int(scope["query_string"].removeprefix(b"n=")))
    elif path == "/subscribe":
        await subscribe(scope, receive, send)
    elif path == "/publish":
        await publish(scope, receive, send)
    else:
        await _start(send, 404, (b"content-length", b"0"))
        await _end(send)


def _on_uvicorn(application: Application, port: int) -> None:
    import uvicorn  # noqa: PLC0415 - granian works without

    uvicorn.run(
        application,
        host=HOST,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        backlog=BACKLOG,
    )


def _on_granian(application: Application, port: int) -> None:
    from granian.constants import HTTPModes, Interfaces  # noqa: PLC0415 - uvicorn works without
    from granian.server.embed import Server  # noqa: PLC0415 - as above

    # Embedded it is one process, and as fast as its command line with one worker.
    server = Server(
        application,
        address=HOST,
        port=port,
        interface=Interfaces.ASGINL,  # without the lifespan protocol
        http=HTTPModes.http1,
        websockets=False,
        runtime_threads=1,
        backlog=BACKLOG,
        backpressure=16_384,  # the limit of concurrent requests, streams included
        log_enabled=False,
    )
    uvloop.run(server.serve())


if __name__ == "__main__":
    _name = sys.argv[2]
    _module = {"granian": "asgi", "sse_starlette": "sse_starlette_"}.get(_name, "starlette_")
    _serve = _on_granian if "granian" in _name else _on_uvicorn
    _serve(import_module(f"benchmarks.servers.{_module}").app, int(sys.argv[1]))
