"""
aiohttp's own server, on uvloop.
"""

import asyncio
import sys
from contextlib import suppress

import uvloop
from aiohttp import web

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, HOST

_subscribers: dict[web.StreamResponse, None] = {}


async def _started(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE})
    await response.prepare(request)
    return response


async def _write_messages(request: web.Request, number: int) -> web.StreamResponse:
    response = await _started(request)
    with suppress(ConnectionError):  # The client may leave in between.
        for _ in range(number):
            await response.write(MESSAGE)
        await response.write_eof()
    return response


async def twelve(request: web.Request) -> web.StreamResponse:
    """
    Twelve messages.
    """
    return await _write_messages(request, 12)


async def many(request: web.Request) -> web.StreamResponse:
    """
    As many messages as are asked for, as fast as the client takes them.
    """
    return await _write_messages(request, int(request.query["n"]))


async def ticks(request: web.Request) -> web.StreamResponse:
    """
    One message each second.
    """
    response = await _started(request)
    while True:
        await response.write(MESSAGE)
        await asyncio.sleep(1.0)


async def subscribe(request: web.Request) -> web.StreamResponse:
    """
    All that is published.
    """
    response = await _started(request)
    _subscribers[response] = None
    try:
        await response.write(MESSAGE)
        await asyncio.Event().wait()
    finally:
        del _subscribers[response]
    return response


async def publish(request: web.Request) -> web.Response:
    """
    Send the body of the request to every subscriber.
    """
    message = await request.read()
    # A loop over the responses: a queue and a task to wake for each subscriber cost more.
    for subscriber in list(_subscribers):
        try:
            await subscriber.write(message)
        except ConnectionError:
            continue  # It has left, and its handler is about to be cancelled.
    return web.Response(status=204)


def main(port: int) -> None:
    """
    Serve on `port` until the process is told to end.
    """
    app = web.Application()
    app.router.add_get("/twelve", twelve)
    app.router.add_get("/many", many)
    app.router.add_get("/ticks", ticks)
    app.router.add_get("/subscribe", subscribe)
    app.router.add_post("/publish", publish)
    web.run_app(
        app,
        host=HOST,
        port=port,
        print=None,
        access_log=None,
        backlog=BACKLOG,
        # A handler that waits would not learn that its client has left.
        handler_cancellation=True,
        # Streams that have no end need not be waited for.
        shutdown_timeout=0.1,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
