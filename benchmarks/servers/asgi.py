"""
The ASGI servers: Starlette and plain ASGI on uvicorn, and plain ASGI on granian.

All share a fan-out in plain ASGI, with a task for each subscriber: a loop that awaits one
subscriber after the other would let one slow client delay all others.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from itertools import cycle, islice
from typing import Any, Final, TypeAlias

import uvloop

from benchmarks.message import MEDIA_TYPE, MESSAGE, TRADES, VALUE, encode
from benchmarks.servers import BACKLOG, FORMS, HOST, TICK

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_Application: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]

_QUEUE: Final = 64  # messages kept for a slow subscriber
_TYPE = (b"content-type", MEDIA_TYPE.encode())
_MESSAGES: Final = frozenset({"/twelve", "/many"} | {f"/{form}" for form in FORMS})


class _Feed:
    """
    The last messages, kept once for all subscribers.

    A subscriber that does not read blocks only its own task, and ends when it falls too far behind.
    A bounded queue for each subscriber does the same, but is larger and no faster.
    """

    def __init__(self) -> None:
        self._latest: deque[bytes] = deque(maxlen=_QUEUE)
        self._more = asyncio.Event()
        self.count = 0

    def publish(self, message: bytes) -> None:
        self._latest.append(message)
        self.count += 1
        # Each event is set once: a follower that starts to wait now waits for the next message.
        more, self._more = self._more, asyncio.Event()
        more.set()

    async def follow(self, seen: int) -> AsyncIterator[bytes]:
        while (behind := self.count - seen) <= _QUEUE:
            if behind:
                seen += 1
                yield self._latest[-behind]
            else:
                await self._more.wait()


_feed = _Feed()


async def _start(send: _Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def _send_message(send: _Send, message: bytes) -> None:
    await send({"type": "http.response.body", "body": message, "more_body": True})


async def _end(send: _Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _subscribe(receive: _Receive, send: _Send) -> None:
    async def send_published() -> None:
        async for message in published:
            await _send_message(send, message)
        await _end(send)

    await _start(send, 200, _TYPE)
    published = _feed.follow(_feed.count)
    await _send_message(send, MESSAGE)
    sending = asyncio.create_task(send_published())
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        sending.cancel()


async def _publish(receive: _Receive, send: _Send) -> None:
    whole = b""
    while (part := await receive())["more_body"]:
        whole += part["body"]
    _feed.publish(whole + part["body"])
    await _start(send, 204)
    await _end(send)


async def _messages(scope: _Message, send: _Send) -> None:
    number = int(scope["query_string"].removeprefix(b"n=") or 12)
    await _start(send, 200, _TYPE)
    # A coroutine of our own for each message would be slower.
    if scope["path"] == "/json_line":
        for _ in range(number):
            line = f"{encode(VALUE)}\n".encode()
            await send({"type": "http.response.body", "body": line, "more_body": True})
    else:
        for _ in range(number):
            await send({"type": "http.response.body", "body": MESSAGE, "more_body": True})
    await _end(send)


async def _ticks(send: _Send) -> None:
    await _start(send, 200, _TYPE)
    while True:
        await _send_message(send, MESSAGE)
        await asyncio.sleep(TICK)


async def _plain(scope: _Message, receive: _Receive, send: _Send) -> None:
    path = scope["path"]
    if path in _MESSAGES:
        await _messages(scope, send)
    elif path == "/ticks":
        await _ticks(send)
    elif path == "/subscribe":
        await _subscribe(receive, send)
    elif path == "/publish":
        await _publish(receive, send)
    else:
        await _start(send, 404, (b"content-length", b"0"))
        await _end(send)


def _starlette() -> _Application:
    # granian works without these.
    from starlette.applications import Starlette  # noqa: PLC0415 - see above
    from starlette.middleware import Middleware  # noqa: PLC0415 - see above
    from starlette.middleware.gzip import GZipMiddleware  # noqa: PLC0415 - see above
    from starlette.requests import Request  # noqa: PLC0415 - see above
    from starlette.responses import StreamingResponse  # noqa: PLC0415 - see above
    from starlette.routing import Route  # noqa: PLC0415 - see above

    async def messages(number: int) -> AsyncIterator[bytes]:
        for _ in range(number):
            yield MESSAGE

    async def respond(request: Request) -> StreamingResponse:
        number = int(request.query_params.get("n", 12))
        return StreamingResponse(messages(number), media_type=MEDIA_TYPE)

    async def trades(number: int) -> AsyncIterator[bytes]:
        for trade in islice(cycle(TRADES), number):
            yield trade

    async def respond_in_gzip(request: Request) -> StreamingResponse:
        return StreamingResponse(trades(int(request.query_params["n"])), media_type=MEDIA_TYPE)

    # It flushes after each item. By default it leaves out events, and its level is 9.
    gzip = Middleware(GZipMiddleware, compresslevel=6, exclude_content_types=())
    routes = [Route("/twelve", respond), Route("/many", respond)]
    app = Starlette(routes=[*routes, Route("/gzip", respond_in_gzip, middleware=[gzip])])
    app.router.default = _plain  # the fan-out, without the tasks of a `StreamingResponse`
    return app


def _on_uvicorn(application: _Application, port: int) -> None:
    import uvicorn  # noqa: PLC0415 - granian works without

    options: dict[str, Any] = {"ws": "none", "lifespan": "off", "log_level": "critical"}
    options |= {"loop": "uvloop", "http": "httptools", "access_log": False}
    uvicorn.run(application, host=HOST, port=port, backlog=BACKLOG, **options)


def on_granian(application: Any, port: int, interface: str) -> None:
    """
    Serve `application` on granian until the process ends.
    """
    from granian.constants import HTTPModes, Interfaces  # noqa: PLC0415 - uvicorn works without
    from granian.server.embed import Server  # noqa: PLC0415 - as above

    # Embedded it is one process, and as fast as its command line with one worker.
    server = Server(
        application,
        address=HOST,
        port=port,
        interface=Interfaces(interface),
        http=HTTPModes.http1,
        websockets=False,
        runtime_threads=1,
        backlog=BACKLOG,
        backpressure=16_384,  # the limit of concurrent requests, streams included
        log_enabled=False,
    )
    uvloop.run(server.serve())


if __name__ == "__main__":
    if sys.argv[2] == "granian":
        on_granian(_plain, int(sys.argv[1]), "asginl")  # without the lifespan protocol
    else:
        _on_uvicorn(_plain if sys.argv[2] == "uvicorn" else _starlette(), int(sys.argv[1]))
