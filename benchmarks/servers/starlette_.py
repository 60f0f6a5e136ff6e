"""
Starlette on uvicorn, with uvloop and httptools.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, HOST
from benchmarks.servers.feed import Feed

_HEADERS = [(b"content-type", MEDIA_TYPE.encode())]

_feed: Feed[bytes] = Feed()


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
    All that is published, as an ASGI application: without the tasks and the checks of a
    `StreamingResponse`.
    """

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        published = _feed.follow()
        await send({"type": "http.response.body", "body": MESSAGE, "more_body": True})
        sending = asyncio.create_task(_send_all(published, send))
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            sending.cancel()


async def _send_all(messages: AsyncIterator[bytes], send: Send) -> None:
    async for message in messages:
        await send({"type": "http.response.body", "body": message, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def publish(request: Request) -> Response:
    """
    Send the body of the request to every subscriber.
    """
    # A loop over the subscribers would have to wait for each send. Of the ways that do not,
    # a task for each message and a queue for each subscriber are slower.
    _feed.publish(await request.body())
    return Response(status_code=204)


RESPONSES = [Route("/twelve", twelve), Route("/many", many)]
"""
Routes to responses that have an end.
"""

app = Starlette(
    routes=[
        *RESPONSES,
        Route("/ticks", ticks),
        Route("/subscribe", Subscribe()),
        Route("/publish", publish, methods=["POST"]),
    ]
)


def serve(application: Starlette, port: int) -> None:
    """
    Serve on `port` with uvicorn until the process is told to end.
    """
    import uvicorn  # noqa: PLC0415 - Starlette on granian has no need of it

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
        # Streams that have no end need not be waited for.
        timeout_graceful_shutdown=0,
    )


if __name__ == "__main__":
    serve(app, int(sys.argv[1]))
