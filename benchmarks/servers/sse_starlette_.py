"""
A Starlette application that sends ``EventSourceResponse``.

sse-starlette encodes events itself. Messages are `ServerSentEvent`, which give the same bytes.
"""

from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.message import TEXT
from benchmarks.servers.history import Feed, History

_EVENT = ServerSentEvent(TEXT, sep="\n")
_feed: Feed[ServerSentEvent] = Feed()
_history = History()


def _respond(source: AsyncIterator[ServerSentEvent] | AsyncIterator[bytes]) -> Response:
    return EventSourceResponse(source, sep="\n", ping=0)


async def _events(number: int) -> AsyncIterator[ServerSentEvent]:
    for _ in range(number):
        yield _EVENT


async def _published() -> AsyncIterator[ServerSentEvent]:
    published = _feed.follow(_feed.count)
    yield _EVENT
    async for event in published:
        yield event


async def _replayed(seen: int) -> AsyncIterator[bytes]:
    # Bytes are sent unchanged; events would be encoded again for each subscriber.
    while page := _history.page(seen):
        yield b"".join(page)
        seen += len(page)
    async for event in _history.feed.follow(seen):
        yield event


async def _twelve(_: Request) -> Response:
    return _respond(_events(12))


async def _many(request: Request) -> Response:
    return _respond(_events(int(request.query_params["n"])))


async def _subscribe(_: Request) -> Response:
    return _respond(_published())


async def _publish(request: Request) -> Response:
    text = (await request.body()).decode().removeprefix("data: ").removesuffix("\n\n")
    _feed.publish(ServerSentEvent(text, sep="\n"))
    return Response(status_code=204)


async def _subscribe_to_channel(request: Request) -> Response:
    return _respond(_replayed(_history.seen(request.headers.get("Last-Event-ID"))))


async def _publish_to_channel(request: Request) -> Response:
    _history.publish(await request.body())
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/twelve", _twelve),
        Route("/many", _many),
        Route("/subscribe", _subscribe),
        Route("/publish", _publish, methods=["POST"]),
        Route("/channel/subscribe", _subscribe_to_channel),
        Route("/channel/publish", _publish_to_channel, methods=["POST"]),
    ]
)
