"""
aiohttp's own server, on uvloop.
"""

import asyncio
import sys
from collections import deque
from contextlib import suppress

import uvloop
from aiohttp import web

from benchmarks.message import HISTORY, MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, BEHIND, HOST, PAGE
from benchmarks.servers.ids import Ids


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
        with suppress(ConnectionError):  # The client may leave in between.
            await self.welcome(request, response)
            self.subscribers[response] = transport
            try:
                await asyncio.Event().wait()
            finally:
                self.subscribers.pop(response, None)
        return response

    async def welcome(self, _: web.Request, response: web.StreamResponse) -> None:
        """
        Write what a subscriber gets before what is published from now on.
        """
        await response.write(MESSAGE)

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


class Channel(FanOut):
    """
    A fan-out of events that have ids, of which the last ones are kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ids = Ids()
        self._count = 0
        self._latest: deque[bytes] = deque(maxlen=HISTORY)

    async def welcome(self, request: web.Request, response: web.StreamResponse) -> None:
        """
        Write all that was missed; when it returns nothing is.
        """
        last_event_id = request.headers.get("Last-Event-ID")
        seen = self._ids.seen(last_event_id, self._count, len(self._latest))
        while behind := self._count - seen:
            if behind > HISTORY:
                msg = "it takes less than is published"
                raise ConnectionAbortedError(msg)
            page = list(self._latest)[-behind:][:PAGE]
            await response.write(b"".join(page))
            seen += len(page)

    async def publish(self, request: web.Request) -> web.Response:
        """
        Send the body of the request, which is text of one line, to every subscriber.
        """
        text = await request.read()
        self._count += 1
        event = b"id: %b\ndata: %b\n\n" % (self._ids.of(self._count).encode(), text)
        self._latest.append(event)
        await self.send(event)
        return web.Response(status=204)


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
    channel = Channel()
    app.router.add_get("/channel/subscribe", channel.subscribe)
    app.router.add_get("/channel/replay", channel.subscribe)
    app.router.add_post("/channel/publish", channel.publish)
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
