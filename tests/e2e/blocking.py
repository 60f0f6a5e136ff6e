"""
Streams from threads, in a process of their own: run as a program, it prints what happened.

Not a test by itself: pytest-twisted keeps the frames of failures alive, and its reactor must not stop.
"""

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread, current_thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.web.server import Site
from zope.interface import implementer

from tests.e2e.net import Client, eventually, pause, reactor, serving
from twistream import Context, StreamResource

STATUS = Path("/proc/self/status")
PEAK = Path("/proc/self/clear_refs")

ROWS = 1_000_000

QUERY = """
with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ?)
select n from numbers
"""

REQUEST = b"GET / HTTP/1.0\r\n\r\n"

FIRST = 2**20
"""
Bytes that the client reads slowly.
"""


def memory(name: str) -> int:
    """
    A figure of this process in KiB: ``VmRSS`` is its memory, ``VmHWM`` the most that it has had.
    """
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def reset_peak() -> int:
    """
    Let the peak be the present memory, and return that.
    """
    PEAK.write_text("5")
    return memory("VmRSS")


class Counter(Client):
    """
    A client that counts, and keeps only the end.

    Attributes:
        size: The bytes so far.
        lines: The lines so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size = self.lines = 0

    def dataReceived(self, data: bytes) -> None:
        self.size += len(data)
        self.lines += data.count(b"\n")
        super().dataReceived(data)
        self.data = self.data[-200:]


async def rows(options: dict[str, Any]) -> dict[str, object]:
    """
    A slow client of a million rows, which then reads all of them.
    """
    made = 0
    padding = "x" * 80

    def table() -> Iterator[str]:
        nonlocal made
        # It can be used in this thread only.
        connection = sqlite3.connect(":memory:", check_same_thread=options.get("pin", True))
        for (number,) in connection.execute(QUERY, (ROWS,)):
            made += 1
            yield f"{number} {padding}\n"
        connection.close()

    def handler(ctx: Context) -> Deferred[None]:
        return ctx.stream_blocking(table, **options)

    async with serving(handler) as server:
        client = Counter()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", server.number)
        await connectProtocol(endpoint, client)
        client.send(REQUEST)
        await client.holds(b"x\n")
        before = reset_peak()
        transport: Any = client.transport
        while client.size < FIRST:
            transport.pauseProducing()
            await pause(0.002)
            transport.resumeProducing()
            await pause(0)
        transport.pauseProducing()
        last = -1
        while made != last:
            last = made
            await pause(0.1)
        slow = {"made": made, "grown": memory("VmHWM") - before}
        transport.resumeProducing()
        await client.end()
        return {
            "slow": slow,
            "lines": client.lines,
            "last": client.data.decode()[-100:].split()[-2],
            "grown": memory("VmHWM") - before,
        }


class Closing:
    """
    An iterator that says in which thread it is closed.
    """

    def __init__(self, step: Callable[[], bytes]) -> None:
        self.step = step
        self.thread: Thread | None = None
        self.closed: Thread | None = None
        self.made = 0

    def __iter__(self) -> "Closing":
        return self

    def __next__(self) -> bytes:
        self.thread = current_thread()
        self.made += 1
        return self.step()

    def close(self) -> None:
        self.closed = current_thread()


def is_long(streams: list[Deferred[None]], length: int) -> bool:
    return len(streams) == length


async def shutdown(state: str) -> Closing:
    """
    Return while a stream is in this state, so that the reactor stops. The server is still there.
    """
    inside = Event()

    def step() -> bytes:
        if state == "inside" and not inside.is_set():
            inside.set()
            # Longer than the reactor needs to reach the end of its pool, where it waits.
            Event().wait(0.5)
        return b"x" * 10_000

    items = Closing(step)
    streams: list[Deferred[None]] = []
    if state == "queued":
        reactor.suggestThreadPoolSize(1)

    def handler(ctx: Context) -> Deferred[None]:
        if state == "queued" and not streams:
            stream = ctx.stream_blocking(Closing(lambda: b"x" * 10_000))
        else:
            stream = ctx.stream_blocking(items, pin=state != "parked")
        streams.append(stream)
        return stream

    port = reactor.listenTCP(0, Site(StreamResource(handler)), interface="127.0.0.1")
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    for count in (1, 2) if state == "queued" else (1,):
        client: Any = await endpoint.connect(Factory.forProtocol(Client))
        client.send(REQUEST)
        client.transport.pauseProducing()
        await eventually(partial(is_long, streams, count))
    if state == "inside":
        await eventually(inside.is_set)
    elif state != "queued":
        made = -1
        while made != items.made:
            made = items.made
            await pause(0.1)
    return items


def main() -> None:
    what, options = sys.argv[1:]
    failures: list[str] = []
    result: dict[str, object] = {"failures": failures}
    streams: list[Closing] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(str(event["log_failure"]))

    globalLogPublisher.addObserver(observe)

    async def run() -> None:
        if what == "rows":
            result.update(await rows(json.loads(options)))
        else:
            streams.append(await shutdown(options))

    try:
        react(lambda _: Deferred.fromCoroutine(run()))
    except SystemExit as err:
        result["code"] = err.code
    for items in streams:
        result["made"] = items.made
        result["closed"] = "nowhere"
        if items.closed is not None:
            result["closed"] = "reactor" if items.closed is current_thread() else "thread"
        result["same thread"] = items.closed is items.thread
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
