"""
Thousands of subscribers that come and go, counted: run as a program, it prints what is left.

Not a test by itself, for the reason in `tests.e2e.leaks`.
"""

import gc
import json
import resource
import socket
import struct
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import asdict
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.logger import globalLogBeginner

from tests.e2e.net import Server, eventually, pause, serving
from twistream import Context, EventStream, Hub
from twistream.channels import Channel, Message, Subscription
from twistream.channels.feed import Feed
from twistream.channels.mailbox import Mailbox
from twistream.server.outlet import Outlet

AT_ONCE = 100
WARM_UP = 1_000
COUNTED: tuple[type, ...] = (
    Context,
    DelayedCall,
    Deferred,
    EventStream,
    Feed,
    Mailbox,
    Message,
    Outlet,
    Subscription,
)
RESET = struct.pack("ii", 1, 0)
"""
SO_LINGER: the connection is reset when it is closed.
"""


async def clients(server: Server, last_event_id: str) -> list[socket.socket]:
    """
    So many clients, of which every third asks for what it missed.
    """
    made = []
    for number in range(AT_ONCE):
        client = socket.create_connection(("127.0.0.1", server.number))
        asks = f"Last-Event-ID: {last_event_id}\r\n" if number % 3 == 0 else ""
        client.sendall(f"GET /{number % 4} HTTP/1.1\r\nHost: a\r\n{asks}\r\n".encode())
        client.setblocking(False)
        made.append(client)
        if number % 20 == 0:
            await pause(0)  # The server is in this process, and lets but fifty wait.
    return made


def received(client: socket.socket) -> bytes:
    try:
        return client.recv(65536)
    except BlockingIOError:
        return b""


async def visits(server: Server, channel: Channel, count: int) -> None:
    for _ in range(count // AT_ONCE):
        asked = channel.last
        channel.publish({"before": True})
        came = await clients(server, asked)
        await eventually(lambda: channel.subscriber_count == AT_ONCE)
        channel.publish({"after": True})
        waiting = dict.fromkeys(came, b"")
        while any(b'"after"' not in data for data in waiting.values()):
            await pause(0.001)
            for client in came:
                waiting[client] += received(client)
        for number, client in enumerate(came):
            if number % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
        await eventually(lambda: channel.subscriber_count == 0)
        server.contexts.clear()
    await pause(0.05)


def census(kinds: tuple[type, ...] = COUNTED) -> Counter[str]:
    gc.collect()
    return Counter(
        kind.__name__
        for each in gc.get_objects()
        for kind in kinds
        if isinstance(each, kind) and not getattr(each, "cancelled", False)
    )


def kilobytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


async def main(reactor: Any, count: str) -> None:
    hub = Hub()
    channel = hub.channel("news", history=10)
    presence: list[int] = []
    channel.on_presence(lambda _, present: presence.append(present))

    async def feed(ctx: Context) -> None:
        kind = int(ctx.path[1:])
        if kind == 3:
            await ctx.subscribe(channel)
        else:
            passes = (lambda message: True) if kind == 2 else None
            await ctx.sse().subscribe(channel, filter=passes)

    async with serving(feed) as server:
        await visits(server, channel, WARM_UP)
        before, memory = census(), kilobytes()
        await visits(server, channel, int(count))
        after, grown = census(), kilobytes() - memory
    json.dump(
        {
            "left": {
                kind.__name__: after[kind.__name__] - before[kind.__name__] for kind in COUNTED
            },
            "feeds": len(channel._core.feeds),
            "grown": grown,
            "hub": asdict(hub.statistics()),
            "presence": presence[-1],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)  # Else it keeps its history.
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
