"""
Streams from real threads: databases, slow clients, and the end of the process.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.python.threadpool import ThreadPool

from tests.e2e.blocking import FIRST, PEAK, ROWS
from tests.e2e.conftest import Log
from tests.e2e.h2client import H2Client
from tests.e2e.net import Server, eventually, reactor, serving
from twistream import ClientDisconnected, Context, HTTPError
from twistream.scheduling.jobs import JobQueue

ROOT = Path(__file__).parents[2]
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


FAST = REQUEST.replace(b"/", b"/fast", 1)


def run(*args: str) -> dict[str, Any]:
    """
    What ``tests/e2e/blocking.py`` prints.
    """
    result = subprocess.run(
        [sys.executable, "-m", "tests.e2e.blocking", *args],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=100,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    printed: dict[str, Any] = json.loads(result.stdout)
    assert not printed["failures"]
    return printed


@pytest.mark.skipif(not PEAK.exists(), reason="the peak of the memory is read from Linux")
@pytest.mark.parametrize("options", [{}, {"pin": False}])
def test_a_million_rows_for_a_slow_client_need_little_memory(options: dict[str, Any]) -> None:
    printed = run("rows", json.dumps(options))
    # All rows are 88 MB. The sockets hold a few of them.
    assert FIRST // 100 < printed["slow"]["made"] < ROWS / 4
    assert printed["last"] == str(ROWS)
    assert printed["grown"] < 16 * 1024


@pytest.mark.parametrize("state", ["waiting", "parked", "inside", "queued"])
def test_a_process_ends_while_a_stream_is(state: str) -> None:
    printed = run("shutdown", state)
    assert printed["code"] == 0
    assert printed["closed"] == "thread"
    assert printed["same thread"] or state in ("parked", "queued")
    assert (printed["made"] == 0) == (state == "queued")


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    """
    A pool of ten threads.
    """
    pool = ThreadPool(0, 10)
    pool.start()
    yield pool
    pool.stop()


def numbers(count: int) -> Iterator[str]:
    """
    Rows of a connection that only its thread can use.
    """
    connection = sqlite3.connect(":memory:")
    connection.execute("create table numbers (n)")
    connection.executemany("insert into numbers values (?)", ((n,) for n in range(count)))
    for (number,) in connection.execute("select n from numbers order by n"):
        yield f"{number}\n"
    connection.close()


@pytest.mark.parametrize("own", [True, False])
@ensureDeferred
async def test_fifty_streams_share_ten_threads(pool: ThreadPool, own: bool) -> None:
    def handler(ctx: Context) -> Deferred[None]:
        return ctx.stream_blocking(partial(numbers, 2000), pool=pool if own else None)

    async with serving(handler) as server:
        clients = [await server.get(REQUEST) for _ in range(50)]
        await gatherResults([Deferred.fromCoroutine(client.end()) for client in clients])
    expected = "".join(f"{n}\n" for n in range(2000)).encode()
    assert all(client.response().body == expected for client in clients)


@asynccontextmanager
async def slow(server: Server, count: int) -> AsyncIterator[None]:
    """
    Clients that read nothing.
    """
    clients = []
    for _ in range(count):
        client = await server.connect()
        client.transport.pauseProducing()  # type: ignore[union-attr]  # a connected TCP transport has it
        client.send(REQUEST)
        clients.append(client)
    await eventually(lambda: len(server.contexts) == count)
    yield
    for client in clients:
        client.reset()


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 10_000


@ensureDeferred
async def test_slow_clients_leave_threads_of_the_reactor_to_others() -> None:
    async with serving(lambda ctx: ctx.stream_blocking(endless)) as server, slow(server, 15):
        assert await deferToThread(current_thread) is not main_thread()
    await eventually(lambda: all(context.is_cancelled for context in server.contexts))


@pytest.mark.parametrize("pin", [True, False])
@ensureDeferred
async def test_slow_clients_do_not_occupy_threads_for_ever(pin: bool) -> None:
    pool = ThreadPool(0, 3)
    pool.start()

    def handler(ctx: Context) -> Deferred[None]:
        items = ["fast"] if ctx.path == "/fast" else endless
        return ctx.stream_blocking(items, pool=pool, pin=pin)

    # With a pin, only the timeout cuts them.
    try:
        async with serving(handler, send_timeout=0.2 if pin else 60) as server, slow(server, 8):
            client = await server.get(FAST)
            await client.end()
            assert client.response().body == b"fast"
    finally:
        pool.stop()


def test_beside_a_clock_that_is_no_reactor_threads_are_those_of_the_reactor() -> None:
    assert JobQueue.of(None, Clock()) is JobQueue.of(reactor.getThreadPool(), reactor)


@pytest.mark.parametrize("leave", ["leave", "reset"])
@pytest.mark.parametrize("in_thread", [True, False])
@ensureDeferred
async def test_a_disconnect_closes_the_generator_in_its_thread(leave: str, in_thread: bool) -> None:
    threads: list[Thread] = []
    seen: list[object] = []

    def rows(ctx: Context) -> Iterator[bytes]:
        threads.append(current_thread())
        try:
            yield from endless()
        finally:
            seen.append(ctx.err)
            threads.append(current_thread())

    def handler(ctx: Context) -> Any:
        return rows(ctx) if in_thread else ctx.stream_blocking(lambda: rows(ctx))

    async with serving(handler, in_thread=in_thread) as server:
        client = await server.get(REQUEST)
        await client.until(lambda: len(client.data) > 100_000)
        getattr(client, leave)()
        await eventually(lambda: len(threads) == 2)
    assert threads[0] is threads[1]
    assert threads[0] is not main_thread()
    assert isinstance(seen[0], ClientDisconnected)


@ensureDeferred
async def test_an_item_reaches_the_client_before_the_next_is_made() -> None:
    go_on = Event()

    def rows() -> Iterator[str]:
        for number in range(3):
            yield f"row {number}\n"
            assert go_on.wait(20)
            go_on.clear()

    async with serving(lambda ctx: ctx.stream_blocking(rows)) as server:
        client = await server.get(REQUEST)
        for number in range(3):
            await client.holds(b"row %d\n" % number)
            go_on.set()
        await client.end()


@ensureDeferred
async def test_errors_reach_the_client(log: Log) -> None:
    def rows(ctx: Context) -> Iterator[str]:
        if ctx.path == "/missing":
            raise HTTPError(404, "no such table")
        if ctx.path == "/locked":
            message = "locked"
            raise sqlite3.OperationalError(message)
        yield "row"
        message = "corrupt"
        raise sqlite3.DatabaseError(message)

    async with serving(rows, in_thread=True) as server:
        answers = []
        for path in (b"/missing", b"/locked", b"/rows"):
            client = await server.get(REQUEST.replace(b"/", path, 1))
            await client.end()
            answers.append(client.response())
    assert [answer.status for answer in answers] == [404, 500, 200]
    assert [answer.complete for answer in answers] == [True, True, False]
    assert answers[2].body == b"row"
    assert log.failures(sqlite3.DatabaseError) == 2


@ensureDeferred
async def test_a_thread_counts_its_rows_in_a_trailer() -> None:
    sent: list[bool] = []

    def rows(ctx: Context) -> Iterator[str]:
        yield from numbers(1000)
        sent.append(ctx.trailer("X-Rows", "1000"))

    async with serving(rows, in_thread=True) as server:
        client = await server.get(REQUEST.replace(b"\r\n\r\n", b"\r\nTE: trailers\r\n\r\n"))
        data = await client.end()
    assert sent == [True]
    assert data.endswith(b"\r\n0\r\nX-Rows: 1000\r\n\r\n")


@ensureDeferred
async def test_http2_and_tls() -> None:
    async with serving(lambda ctx: ctx.stream_blocking(partial(numbers, 5000)), tls=True) as server:
        client = await H2Client.connect(server)
        stream = client.request("/")
        await client.client.until(lambda: b"\n4999\n" in stream.body)
        client.client.reset()
        assert bytes(stream.body) == "".join(f"{n}\n" for n in range(5000)).encode()
