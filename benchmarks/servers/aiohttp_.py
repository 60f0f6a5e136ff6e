"""
aiohttp's server, on uvloop.
"""

import asyncio
import secrets
import sys
import zlib
from collections import deque
from contextlib import suppress
from itertools import cycle, islice
from typing import Final

import uvloop
from aiohttp import web

from benchmarks.message import HISTORY, MEDIA_TYPE, MESSAGE, TRADES, VALUE, Events, encode
from benchmarks.servers import BACKLOG, FORMS, HOST, TICK

_QUEUE: Final = 2**20  # bytes queued for a subscriber
_PAGE: Final = 128  # events that are replayed in one write


async def _started(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE})
    await response.prepare(request)
    return response


async def _messages(request: web.Request) -> web.StreamResponse:
    response = await _started(request)
    with suppress(ConnectionError):  # the client may disconnect
        for _ in range(int(request.query.get("n", 12))):
            await response.write(MESSAGE)
        await response.write_eof()
    return response


async def _json_lines(request: web.Request) -> web.StreamResponse:
    response = await _started(request)
    with suppress(ConnectionError):  # the client may disconnect
        for _ in range(int(request.query.get("n", 12))):
            await response.write(f"{encode(VALUE)}\n".encode())
        await response.write_eof()
    return response


async def _gzip(request: web.Request) -> web.StreamResponse:
    # `enable_compression` does not flush, so an event would wait for later ones.
    response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE, "Content-Encoding": "gzip"})
    await response.prepare(request)
    coder = zlib.compressobj(6, zlib.DEFLATED, 16 + 12, 5)  # the settings of twistream
    with suppress(ConnectionError):  # the client may disconnect
        for trade in islice(cycle(TRADES), int(request.query["n"])):
            await response.write(coder.compress(trade) + coder.flush(zlib.Z_SYNC_FLUSH))
        await response.write(coder.flush())
        await response.write_eof()
    return response


async def _ticks(request: web.Request) -> web.StreamResponse:
    response = await _started(request)
    with suppress(ConnectionError):  # the client may disconnect
        while True:
            await response.write(MESSAGE)
            await asyncio.sleep(TICK)
    return response


class _FanOut:
    def __init__(self) -> None:
        self._subscribers: dict[web.StreamResponse, asyncio.Transport] = {}

    async def subscribe(self, request: web.Request) -> web.StreamResponse:
        response = await _started(request)
        transport = request.transport
        if transport is None:
            return response  # already disconnected
        # Above this limit a write blocks. `send` stays below it: it disconnects a subscriber that
        # has more than _QUEUE queued, and one message is at most that long.
        transport.set_write_buffer_limits(high=3 * _QUEUE)
        with suppress(ConnectionError):  # the client may disconnect
            await self.welcome(request, response)
            self._subscribers[response] = transport
            try:
                await asyncio.Event().wait()
            finally:
                self._subscribers.pop(response, None)
        return response

    async def welcome(self, _: web.Request, response: web.StreamResponse) -> None:
        await response.write(MESSAGE)

    async def publish(self, request: web.Request) -> web.Response:
        await self.send(await request.read())
        return web.Response(status=204)

    async def send(self, message: bytes) -> None:
        # A task for each subscriber is much slower with one message at a time, and no faster with
        # eight in flight.
        for response, transport in list(self._subscribers.items()):
            if transport.get_write_buffer_size() > _QUEUE:
                del self._subscribers[response]
                transport.abort()
                continue
            try:  # faster than `suppress`
                await response.write(message)
            except ConnectionError:
                continue  # its handler is about to be cancelled


class _Channel(_FanOut):
    def __init__(self) -> None:
        super().__init__()
        self._ids = Events(secrets.token_hex(8))  # random: an id from before a restart is unknown
        self._latest: deque[bytes] = deque(maxlen=HISTORY)
        self._count = 0

    async def welcome(self, request: web.Request, response: web.StreamResponse) -> None:
        epoch, _, number = request.headers.get("Last-Event-ID", "").partition("-")
        seen = self._count
        if epoch == self._ids.epoch and number.isdecimal():
            seen = max(int(number), seen - len(self._latest))
        while (behind := self._count - seen) > 0:
            if behind > HISTORY:
                msg = "the client reads more slowly than events are published"
                raise ConnectionAbortedError(msg)
            page = list(self._latest)[-behind:][:_PAGE]
            await response.write(b"".join(page))
            seen += len(page)

    async def publish(self, request: web.Request) -> web.Response:
        self._count += 1
        self._latest.append(self._ids.event(self._count, await request.read()))
        await self.send(self._latest[-1])
        return web.Response(status=204)


if __name__ == "__main__":
    _app = web.Application(client_max_size=_QUEUE)
    for _path in ("twelve", "many", *FORMS):
        _app.router.add_get(f"/{_path}", _json_lines if _path == "json_line" else _messages)
    _app.router.add_get("/ticks", _ticks)
    _app.router.add_get("/gzip", _gzip)
    for _prefix, _fan_out in (("", _FanOut()), ("/channel", _Channel())):
        _app.router.add_get(f"{_prefix}/subscribe", _fan_out.subscribe)
        _app.router.add_post(f"{_prefix}/publish", _fan_out.publish)
    web.run_app(
        _app,
        host=HOST,
        port=int(sys.argv[1]),
        print=None,
        access_log=None,
        backlog=BACKLOG,
        handler_cancellation=True,  # otherwise a waiting handler outlives its client
        loop=uvloop.new_event_loop(),
    )
