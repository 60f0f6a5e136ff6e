"""
sse-starlette on uvicorn, with uvloop and httptools.

It encodes events itself, so its streams are made of `ServerSentEvent`, which come to the
same bytes.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.message import HISTORY, MESSAGE
from benchmarks.servers import PAGE
from benchmarks.servers.feed import Feed
from benchmarks.servers.ids import Ids
from benchmarks.servers.starlette_ import serve


def _event(message: bytes) -> ServerSentEvent:
    return ServerSentEvent(message[len(b"data: ") : -len(b"\n\n")].decode(), sep="\n")


_EVENT = _event(MESSAGE)

_feed: Feed[ServerSentEvent] = Feed()
_channel: Feed[bytes] = Feed(HISTORY)
_ids = Ids()


def _respond(events: AsyncIterator[ServerSentEvent] | AsyncIterator[bytes]) -> EventSourceResponse:
    return EventSourceResponse(events, sep="\n", ping=0)


async def _events(number: int) -> AsyncIterator[ServerSentEvent]:
    for _ in range(number):
        yield _EVENT


async def _ticking() -> AsyncIterator[ServerSentEvent]:
    while True:
        yield _EVENT
        await asyncio.sleep(1.0)


async def _published() -> AsyncIterator[ServerSentEvent]:
    published = _feed.follow()
    yield _EVENT
    async for event in published:
        yield event


async def _told(seen: int) -> AsyncIterator[bytes]:
    while 0 < (behind := _channel.count - seen) <= HISTORY:
        page = list(_channel.latest)[-behind:][:PAGE]
        yield b"".join(page)
        seen += len(page)
    async for event in _channel.follow(seen):
        yield event


async def twelve(_: Request) -> Response:
    """
    Twelve messages.
    """
    return _respond(_events(12))


async def many(request: Request) -> Response:
    """
    As many messages as are asked for, as fast as the client takes them.
    """
    return _respond(_events(int(request.query_params["n"])))


async def ticks(_: Request) -> Response:
    """
    One message each second.
    """
    return _respond(_ticking())


async def subscribe(_: Request) -> Response:
    """
    All that is published.
    """
    return _respond(_published())


async def subscribe_to_channel(request: Request) -> Response:
    """
    All that was missed, and then all that is published.
    """
    last_event_id = request.headers.get("Last-Event-ID")
    seen = _ids.seen(last_event_id, _channel.count, len(_channel.latest))
    return _respond(_told(seen))


async def publish_to_channel(request: Request) -> Response:
    """
    Send the body of the request, which is text, to every subscriber.
    """
    text = (await request.body()).decode()
    event = ServerSentEvent(text, id=_ids.of(_channel.count + 1), sep="\n")
    # As bytes, which a response sends as they are; an event it would encode for each subscriber.
    _channel.publish(event.encode())
    return Response(status_code=204)


async def publish(request: Request) -> Response:
    """
    Send the body of the request to every subscriber.
    """
    # A response sends what its iterator yields, so there is a task for each in any case; a
    # queue for each as well is no faster, and takes 3 KB more of each stream.
    _feed.publish(_event(await request.body()))
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/twelve", twelve),
        Route("/many", many),
        Route("/ticks", ticks),
        Route("/subscribe", subscribe),
        Route("/publish", publish, methods=["POST"]),
        Route("/channel/subscribe", subscribe_to_channel),
        Route("/channel/replay", subscribe_to_channel),
        Route("/channel/publish", publish_to_channel, methods=["POST"]),
    ]
)


if __name__ == "__main__":
    serve(app, int(sys.argv[1]))
