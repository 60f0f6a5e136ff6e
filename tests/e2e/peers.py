"""
Servers of other projects that all serve the same streams: ``python -m tests.e2e.peers NAME``.

The first line of the output is the port.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any

LAST = 5
"""
The number of events. Each connection sends two of them at most.
"""

BIG = 2**16
"""
The size of a piece of the endless body.
"""


async def lines() -> AsyncIterator[bytes]:
    for text in ("one\n", "tw", "o\r\n", "\u017c", "three"):
        yield text.encode()
        await asyncio.sleep(0)


async def broken() -> AsyncIterator[bytes]:
    yield b'{"n":1}\n{"n"'
    await asyncio.sleep(0.01)
    raise RuntimeError("made to fail")


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(BIG)
        await asyncio.sleep(0)  # uvicorn would never notice that the client has gone.


def events_after(last: str) -> list[tuple[str, str]]:
    """
    The next events after the last id: their ids and data.
    """
    first = int(last or 0) + 1
    return [(str(n), f"event {n}") for n in range(first, LAST + 1)][:2]


def aiohttp_app() -> Any:
    from aiohttp import web

    def stream(body: Any, kind: str) -> Any:
        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": kind})
            if request.path == "/lines":
                response.enable_compression()
            await response.prepare(request)
            async for piece in body():
                await response.write(piece)
            return response

        return handler

    async def events(request: web.Request) -> web.StreamResponse:
        found = events_after(request.headers.get("Last-Event-ID", ""))
        if not found:
            return web.Response(status=204)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for id, data in found:
            await response.write(f"retry: 10\nid: {id}\ndata: {data}\n\n".encode())
        return response

    app = web.Application()
    app.router.add_get("/lines", stream(lines, "text/plain"))
    app.router.add_get("/broken", stream(broken, "application/jsonl"))
    app.router.add_get("/endless", stream(endless, "application/octet-stream"))
    app.router.add_get("/events", events)
    return app


def starlette_app() -> Any:
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    async def events(request: Request) -> Response:
        found = events_after(request.headers.get("Last-Event-ID", ""))
        if not found:
            return Response(status_code=204)

        async def body() -> AsyncIterator[dict[str, Any]]:
            for id, data in found:
                yield {"id": id, "data": data, "retry": 10}

        return EventSourceResponse(body())

    return Starlette(
        routes=[
            Route("/lines", lambda _: StreamingResponse(lines(), media_type="text/plain")),
            Route("/broken", lambda _: StreamingResponse(broken(), media_type="application/jsonl")),
            Route("/endless", lambda _: StreamingResponse(endless())),
            Route("/events", events),
        ]
    )


def fastapi_app() -> Any:
    from fastapi import FastAPI, Header
    from fastapi.responses import Response, StreamingResponse

    app = FastAPI()

    @app.get("/lines")
    async def text() -> StreamingResponse:
        return StreamingResponse(lines(), media_type="text/plain")

    @app.get("/broken")
    async def fails() -> StreamingResponse:
        return StreamingResponse(broken(), media_type="application/jsonl")

    @app.get("/endless")
    async def forever() -> StreamingResponse:
        return StreamingResponse(endless())

    @app.get("/events")
    async def events(last_event_id: Annotated[str, Header()] = "") -> Response:
        found = events_after(last_event_id)
        if not found:
            return Response(status_code=204)

        async def body() -> AsyncIterator[str]:
            for id, data in found:
                yield f"retry: 10\r\nid: {id}\r\ndata: {data}\r\n\r\n"

        return StreamingResponse(body(), media_type="text/event-stream")

    return app


def main(name: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - for the test that started it
    if name == "aiohttp":
        from aiohttp import web

        web.run_app(aiohttp_app(), sock=listening, print=None, access_log=None)
    else:
        import uvicorn

        app = {"starlette": starlette_app, "fastapi": fastapi_app}[name]()
        config = uvicorn.Config(app, log_level="critical")
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
