"""
The client, with servers of this and of other projects, over TCP, TLS and a proxy.
"""

import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import treq
from pytest_twisted import ensureDeferred
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.ssl import Certificate
from twisted.internet.threads import deferToThread
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from tests.e2e.conftest import Log, program
from tests.e2e.net import LIMIT, Server, eventually, pause, pem, reactor, serving
from tests.e2e.peers import BIG, LAST
from tests.e2e.test_docs_events import NGINX
from tests.e2e.test_docs_events import folder as short_folder
from tests.e2e.twistd import until
from twistream import ClientDisconnected, Context, Hub, StreamResource, StreamTruncated
from twistream.client import (
    EventSource,
    IdleTimeout,
    State,
    iter_bytes,
    iter_events,
    iter_json,
    iter_lines,
)

folder = short_folder

SIZE = 500_000
COUNT = 400
"""
The pieces of a large body: 200 MB.
"""


def agent() -> Agent:
    """
    An agent that keeps no connection, and trusts the certificate of the tests.
    """
    policy = BrowserLikePolicyForHTTPS(trustRoot=Certificate.loadPEM(pem()[1]))
    return Agent(reactor, policy, pool=HTTPConnectionPool(reactor, persistent=False))


@pytest.fixture
def client() -> Any:
    return treq.client.HTTPClient(agent())


async def taken(items: Any, most: int | None = None) -> list[Any]:
    """
    The items, or the first of them.
    """
    found = []

    async def take() -> None:
        async with items:
            async for item in items:
                found.append(item)
                if len(found) == most:
                    break

    await Deferred.fromCoroutine(take()).addTimeout(LIMIT, reactor)
    return found


@pytest.mark.parametrize("tls", [False, True])
@ensureDeferred
async def test_a_slow_consumer_of_a_large_body_holds_its_server_back(
    client: Any, tls: bool
) -> None:
    written = 0

    async def handler(ctx: Context) -> None:
        nonlocal written
        for _ in range(COUNT):
            written += ctx.write(b"x" * SIZE)
            await ctx.flush()

    async with serving(handler, tls=tls) as server:
        response = await client.get(server.url(), unbuffered=True)
        items = iter_bytes(response)
        received = len(await anext(items))
        held = -1
        while held != written:
            held = written
            await pause(0.3)
        # The sockets take some megabytes, and then nothing moves.
        assert held < 30_000_000
        tracemalloc.start()
        try:
            async for piece in items:
                received += len(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert received == written == SIZE * COUNT
        assert peak < 20_000_000


@pytest.mark.parametrize("tls", [False, True])
@ensureDeferred
async def test_every_way_out_of_a_silent_stream_ends_the_handler(client: Any, tls: bool) -> None:
    async def handler(ctx: Context) -> None:
        ctx.content_type("text/plain")
        ctx.write("first\n")
        await ctx.flush()
        await ctx.sleep(LIMIT * 10)

    async with serving(handler, tls=tls) as server:
        for number, way in enumerate(("break", "aclose", "cancel")):
            response = await client.get(server.url(), unbuffered=True)
            lines = iter_lines(response)
            if way == "break":
                assert await taken(lines, 1) == ["first"]
            else:
                assert await anext(lines) == "first"
                task = Deferred.fromCoroutine(lines.__anext__())
                await pause(0.01)
                if way == "aclose":
                    lines.aclose()
                    with pytest.raises(StopAsyncIteration):
                        await task
                else:
                    task.cancel()
                    with pytest.raises(CancelledError):
                        await task
            await eventually(lambda: server.contexts[number].is_cancelled)  # noqa: B023 - awaited in its round
            assert isinstance(server.contexts[number].err, ClientDisconnected)


@ensureDeferred
async def test_a_silent_server_is_noticed(client: Any) -> None:
    async def handler(ctx: Context) -> None:
        await ctx.flush()
        await ctx.sleep(LIMIT * 10)

    async with serving(handler) as server:
        response = await client.get(server.url(), unbuffered=True)
        with pytest.raises(IdleTimeout):
            await taken(iter_bytes(response, idle_timeout=0.05))
        await eventually(lambda: server.contexts[0].is_cancelled)


@ensureDeferred
async def test_a_failed_handler_is_a_truncation(client: Any, log: Log) -> None:
    async def handler(ctx: Context) -> None:
        await ctx.json_line({"n": 1})
        raise KeyError("made to fail")

    async with serving(handler) as server:
        response = await client.get(server.url(), unbuffered=True)
        values = iter_json(response)
        assert await anext(values) == {"n": 1}
        with pytest.raises(StreamTruncated):
            await anext(values)
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_events_of_this_project(client: Any) -> None:
    async def handler(ctx: Context) -> None:
        events = ctx.sse()
        for number in range(3):
            await events.send({"n": number}, event="tick", id=str(number))

    async with serving(handler) as server:
        response = await client.get(server.url(), unbuffered=True)
        events = await taken(iter_events(response))
    assert [(event.event, event.id, event.data) for event in events] == [
        ("tick", str(n), f'{{"n":{n}}}') for n in range(3)
    ]


@pytest.mark.parametrize("way", ["stream", "loop"])
@ensureDeferred
async def test_a_relay_holds_its_server_back_and_closes_it(client: Any, way: str) -> None:
    written = 0

    async def source(ctx: Context) -> None:
        nonlocal written
        while True:
            written += ctx.write(b"x" * SIZE)
            await ctx.flush()

    async def relay(ctx: Context) -> Any:
        response = await client.get(upstream.url(), unbuffered=True)
        pieces = iter_bytes(response)
        if way == "stream":
            return await ctx.stream(pieces)
        async with pieces:
            async for piece in pieces:
                ctx.write(piece)
                await ctx.flush()
        return None

    async with serving(source) as upstream, serving(relay) as server:
        reader = await client.get(server.url(), unbuffered=True)
        received = iter_bytes(reader)
        await anext(received)
        held = -1
        while held != written:
            held = written
            await pause(0.3)
        assert held < 60_000_000
        received.aclose()
        await eventually(lambda: upstream.contexts[0].is_cancelled)


class Restarting:
    """
    A site that stops and starts on the same port. What it serves stays.
    """

    def __init__(self, resource: Resource) -> None:
        self._site = Site(resource)
        self._number = 0
        self._connections: list[Any] = []
        build = self._site.buildProtocol

        def remember(address: Any) -> Any:
            protocol = build(address)
            self._connections.append(protocol)
            return protocol

        self._site.buildProtocol = remember  # type: ignore[method-assign]  # only this site
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._number}/"

    def start(self) -> None:
        self._port = reactor.listenTCP(self._number, self._site, interface="127.0.0.1")
        self._number = self._port.getHost().port

    async def stop(self) -> None:
        """
        Stop, and reset all connections.
        """
        await self._port.stopListening()
        for protocol in self._connections:
            transport = protocol._channel.transport
            if transport is not None and transport.connected:
                transport.abortConnection()
        await pause(0)


@ensureDeferred
async def test_a_restart_and_resets_lose_and_double_nothing() -> None:
    news = Hub().channel("news", history=1000)

    async def handler(ctx: Context) -> None:
        await ctx.sse().subscribe(news)

    root = Resource()
    root.putChild(b"", StreamResource(handler))
    server = Restarting(root)
    received: list[str | None] = []
    sent = [str(number) for number in range(60)]

    async def follow(source: EventSource) -> None:
        async for event in source:
            received.append(event.data)  # noqa: PERF401 - they are counted meanwhile

    source = EventSource(server.url, retry=0.02, max_delay=0.05, agent=agent())
    task = Deferred.fromCoroutine(follow(source))
    try:
        await eventually(lambda: source.state is State.OPEN)
        for number, text in enumerate(sent):
            await news.publish(text)
            if number % 20 == 9:  # While it reads.
                await eventually(lambda: received)
                await server.stop()
            if number % 20 == 15:
                server.start()
                await eventually(lambda: source.state is State.OPEN)
        await eventually(lambda: len(received) >= len(sent))
        await pause(0.05)
        assert received == sent
    finally:
        source.close()
        await task
        await server.stop()


@asynccontextmanager
async def running(name: str) -> AsyncIterator[str]:
    """
    A server of another project, and its URL.
    """
    with subprocess.Popen(  # noqa: ASYNC220 - it starts at once
        [sys.executable, "-m", "tests.e2e.peers", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = await deferToThread(process.stdout.readline)
            yield f"http://127.0.0.1:{port.strip()}"
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["aiohttp", "starlette", "fastapi"])
@ensureDeferred
async def test_servers_of_other_projects(client: Any, name: str) -> None:
    async with running(name) as url:
        response = await client.get(f"{url}/lines", unbuffered=True)
        assert await taken(iter_lines(response)) == ["one", "two", "\u017cthree"]

        values = iter_json(await client.get(f"{url}/broken", unbuffered=True))
        assert await anext(values) == {"n": 1}
        with pytest.raises(StreamTruncated):
            await anext(values)

        pieces = iter_bytes(await client.get(f"{url}/endless", unbuffered=True))
        received = 0
        async with pieces:
            async for piece in pieces:
                received += len(piece)
                if received > 100 * BIG:
                    break

        source = EventSource(f"{url}/events", agent=agent())
        events = await taken(source)
        assert [(event.id, event.data) for event in events] == [
            (str(n), f"event {n}") for n in range(1, LAST + 1)
        ]
        assert source.retry == 0.01


@implementer(IAgentEndpointFactory)
class AtSocket:
    """
    Connects to a Unix socket, whatever the URL says.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def endpointForURI(self, uri: Any) -> UNIXClientEndpoint:  # noqa: ARG002 - IAgentEndpointFactory
        return UNIXClientEndpoint(reactor, str(self._path))


@pytest.fixture
def nginx(folder: Path) -> Iterator[Any]:
    """
    Starts nginx as a proxy of a server, and returns an agent for it.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start(server: Server) -> Agent:
        lines = f"""location / {{
            proxy_pass http://127.0.0.1:{server.number};
            proxy_buffering off;
        }}"""
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, lines=lines))
        command = [program("nginx", "/usr/sbin/nginx"), "-p", str(folder), "-c", "nginx.conf"]
        started.append(subprocess.Popen([*command, "-e", "stderr"], stderr=subprocess.DEVNULL))
        path = folder / "nginx.sock"
        until(path.exists, "nginx listens")
        pool = HTTPConnectionPool(reactor, persistent=False)
        proxied: Agent = Agent.usingEndpointFactory(reactor, AtSocket(path), pool)
        return proxied

    yield start
    for process in started:
        process.terminate()
        process.wait(LIMIT)


@ensureDeferred
async def test_a_source_behind_nginx(nginx: Any, log: Log) -> None:
    async def handler(ctx: Context) -> None:
        last = int(ctx.last_event_id or 0)
        if last >= 6:
            ctx.status_code(204)
            return
        events = ctx.sse()
        await events.send(f"event {last + 1}", id=str(last + 1), retry=0.01)
        await events.send(f"event {last + 2}", id=str(last + 2))
        if last == 2:
            raise KeyError("made to fail")

    async with serving(handler) as server:
        source = EventSource("http://test/", agent=nginx(server))
        events = await taken(source)
    # An abort may take the last event before it away, which is then sent again.
    assert len(events) >= 6
    assert [event.data for event in events] == [f"event {n + 1}" for n in range(len(events))]
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_nginx_without_its_server(nginx: Any) -> None:
    async def handler(ctx: Context) -> None:
        await ctx.sse().send("a", retry=0.01)
        await ctx.sleep(LIMIT * 10)

    async with serving(handler) as server:
        source = EventSource("http://test/", agent=nginx(server), retry_statuses=(502,))
        assert (await anext(source)).data == "a"
    # The server is gone, and nginx answers with 502.
    task = Deferred.fromCoroutine(source.__anext__())
    await eventually(lambda: source.state is State.CONNECTING)
    await pause(0.1)
    assert not task.called
    source.close()
    with pytest.raises(StopAsyncIteration):
        await task
