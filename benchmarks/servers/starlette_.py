"""
A Starlette application that sends ``StreamingResponse``.

Its fan-out is plain ASGI, without the tasks and checks of a `StreamingResponse`.
"""

from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers.asgi import Application, Message, Receive, Send, publish, subscribe


async def _messages(number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield MESSAGE


async def _twelve(_: Request) -> StreamingResponse:
    return StreamingResponse(_messages(12), media_type=MEDIA_TYPE)


async def _many(request: Request) -> StreamingResponse:
    return StreamingResponse(_messages(int(request.query_params["n"])), media_type=MEDIA_TYPE)


class _Endpoint:
    """
    An ASGI application as an endpoint. Starlette would wrap a function.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)


app = Starlette(
    routes=[
        Route("/twelve", _twelve),
        Route("/many", _many),
        Route("/subscribe", _Endpoint(subscribe)),
        Route("/publish", _Endpoint(publish), methods=["POST"]),
    ]
)
