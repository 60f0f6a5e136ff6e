"""
aiohttp's own server, on uvloop.
"""

import asyncio
import sys
from contextlib import suppress

import uvloop
from aiohttp import web

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, BEHIND, HOST


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


class FanOut:
    """
    Those who listen, and what is sent to all of them.

    Attributes:
        subscribers: The response to each, and the transport that it is written to.
    """

    def __init__(self) -> None:
        self.subscribers: dict[web.StreamResponse, asyncio.Transport] = {}

    async def subscribe(self, request: web.Request) -> web.StreamResponse:
        """
        All that is published.
        """
        response = await _started(request)
        transport = request.transport
        if transport is None:
            return response  # It has left already.
        # Above this a write would wait. `send` never comes to it: a message is BEHIND bytes
        # at most, and is written if no more than that is there before it.
        transport.set_write_buffer_limits(high=3 * BEHIND)
        self.subscribers[response] = transport
        try:
            await response.write(MESSAGE)
            await asyncio.Event().wait()
        finally:
            self.subscribers.pop(response, None)
        return response

    async def publish(self, request: web.Request) -> web.Response:
        """
        Send the body of the request to every subscriber.
        """
        await self.send(await request.read())
        return web.Response(status=204)

    async def send(self, message: bytes) -> None:
        """
        Write a message to every subscriber that takes what it is sent, and cut the others.
        """
        # With a task for each subscriber, which waits for a queue of its own or for a `Feed`,
        # one message at a time takes much longer; eight in flight take about as long.
        for response, transport in list(self.subscribers.items()):
            if transport.get_write_buffer_size() > BEHIND:
                del self.subscribers[response]
                transport.abort()
                continue
            try:
                await response.write(message)
            except ConnectionError:
                continue  # It has left, and its handler is about to be cancelled.


def serve(fan_out: FanOut, port: int) -> None:
    """
    Serve on `port` until the process is told to end.
    """
    app = web.Application(client_max_size=BEHIND)
    app.router.add_get("/twelve", twelve)
    app.router.add_get("/many", many)
    app.router.add_get("/ticks", ticks)
    app.router.add_get("/subscribe", fan_out.subscribe)
    app.router.add_post("/publish", fan_out.publish)
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
    serve(FanOut(), int(sys.argv[1]))
