"""
Events by hand in pieces, pings, comments, and messages of threads, all on one stream.
"""

from itertools import cycle
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from tests.e2e.h2client import H2Client
from tests.e2e.net import Server, eventually, pause, serving
from twistream import Context, EventDecoder, Hub

THREADS, MESSAGES = 3, 100

HAND = [f"hand {n}" + "x" * (18_000 if n % 10 == 9 else 0) for n in range(30)]


async def body_of(server: Server, protocol: str, *, slow: bool) -> bytes:
    """
    The body of a response. A slow client has a small window, or stops reading now and then.
    """
    if protocol == "h2":
        client = await H2Client.connect(server, window=3_000 if slow else None)
        stream = client.request()
        await client.over(stream)
        assert stream.ended
        return stream.body
    version = b"1.0" if protocol == "1.0" else b"1.1"
    plain: Any = await server.get(
        b"GET / HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % version
    )
    for _ in range(5 if slow else 0):
        plain.transport.pauseProducing()
        await pause(0.02)
        plain.transport.resumeProducing()
        await pause(0.002)
    await plain.end()
    (response,) = plain.responses("GET")
    assert response.complete or version == b"1.0"
    body: bytes = response.body
    return body


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize("protocol", ["1.0", "1.1", "tls", "h2"])
@ensureDeferred
async def test_nothing_is_lost_or_torn_apart(protocol: str, slow: bool, line_end: str) -> None:
    news = Hub().channel("news", history=THREADS * MESSAGES)
    text = "".join(
        f"data: {data}{line_end}: between{line_end}data: end{line_end * 2}: after{line_end}"
        for data in HAND
    )
    published: list[Deferred[Any]] = []

    async def handler(ctx: Context) -> None:
        events = ctx.sse(ping=0.01, retry=1.0)
        events.subscribe(news, max_queued=3_000, detached=True)
        sizes = cycle((1, 2, 40, 17_500, 5, 200))
        published.extend(deferToThread(publish, number) for number in range(THREADS))
        start = 0
        while start < len(text):
            size = next(sizes)
            ctx.write(text[start : start + size])
            start += size
            await ctx.flush()
            if size == 5:
                events.comment("a comment")
                await ctx.sleep(0.005)
        await gatherResults([each for each in published if not each.called])
        (subscription,) = news.subscriptions
        # The messages of a burst are sent a little later, and are not sent once the handler ends.
        waiting = subscription._feed.broadcast
        await eventually(lambda: not (waiting.has_unsent or subscription.statistics().lag))
        await events.send("the end")

    def publish(thread: int) -> None:
        for n in range(MESSAGES):
            news.publish_from_thread(f"thread {thread}: {n}" + "x" * (n % 7 * 100))

    async with serving(handler, tls=protocol in ("tls", "h2")) as server:
        body = await body_of(server, protocol, slow=slow)
    # What a parser finds that splits the stream at its blank lines.
    blocks = body.decode().replace("\r\n", "\n").split("\n\n")
    assert "\n" not in [block[:1] for block in blocks]
    decoder = EventDecoder()
    events = [event.data or "" for event in decoder.feed(body)]
    assert decoder.retry_ms == 1000
    assert [data for data in events if data.startswith("hand")] == [f"{d}\nend" for d in HAND]
    for thread in range(THREADS):
        mine = [data.rstrip("x") for data in events if data.startswith(f"thread {thread}")]
        assert mine == [f"thread {thread}: {n}" for n in range(MESSAGES)]
    assert len(events) == len(HAND) + THREADS * MESSAGES + 1
