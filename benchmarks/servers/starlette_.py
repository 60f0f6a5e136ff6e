"""
Starlette on uvicorn, with uvloop and httptools.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, HOST

_HEADERS = [(b"content-type", MEDIA_TYPE.encode())]

_subscribers: dict[Send, None] = {}


async def _messages(number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield MESSAGE


async def _ticking() -> AsyncIterator[bytes]:
    while True:
        yield MESSAGE
        await asyncio.sleep(1.0)


async def twelve(_: Request) -> Response:
    """
    Twelve messages.
    """
    return StreamingResponse(_messages(12), media_type=MEDIA_TYPE)


async def many(request: Request) -> Response:
    """
    As many messages as are asked for, as fast as the client takes them.
    """
    return StreamingResponse(_messages(int(request.query_params["n"])), media_type=MEDIA_TYPE)


async def ticks(_: Request) -> Response:
    """
    One message each second.
    """
    return StreamingResponse(_ticking(), media_type=MEDIA_TYPE)


class Subscribe:
    """
    All that is published, as an ASGI application: what is sent to it needs no task.
    """

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        _subscribers[send] = None
        try:
            await send({"type": "http.response.body", "body": MESSAGE, "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            del _subscribers[send]


async def publish(request: Request) -> Response:
    """
    Send the body of the request to every subscriber.
    """
    message = await request.body()
    # A loop over the responses: a queue and a task to wake for each subscriber cost more.
    for send in list(_subscribers):
        await send({"type": "http.response.body", "body": message, "more_body": True})
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/twelve", twelve),
        Route("/many", many),
        Route("/ticks", ticks),
        Route("/subscribe", Subscribe()),
        Route("/publish", publish, methods=["POST"]),
    ]
)


def main(port: int) -> None:
    """
    Serve on `port` until the process is told to end.
    """
    uvicorn.run(
        app,
        host=HOST,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        backlog=BACKLOG,
        # Streams that have no end need not be waited for.
        timeout_graceful_shutdown=0,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
