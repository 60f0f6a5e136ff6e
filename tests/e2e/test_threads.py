"""
Messages from several threads, published through a real reactor.
"""

from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from tests.e2e.net import pause, serving
from twistream import ChannelClosed, Context, EventDecoder, Hub

THREADS, MESSAGES = 6, 1000


@ensureDeferred
async def test_all_messages_arrive_once_and_in_the_order_of_each_thread() -> None:
    news = Hub().channel("news", history=THREADS * MESSAGES)

    async def handler(ctx: Context) -> None:
        await ctx.sse(ping=None).subscribe(news, after=news.oldest, topics=["threads/*"])

    def publish(thread: int) -> list[str]:
        topic = f"threads/{thread}"
        return [news.publish_from_thread(f"{thread} {n}", topic=topic) for n in range(MESSAGES)]

    async with serving(handler) as server:
        client = await server.get(b"GET / HTTP/1.0\r\n\r\n")
        ids = await gatherResults([deferToThread(publish, number) for number in range(THREADS)])
        news.close()
        await client.end()
    body = client.data.partition(b"\r\n\r\n")[2]
    events = EventDecoder().feed(body)
    assert len(events) == THREADS * MESSAGES
    for thread in range(THREADS):
        mine = [event for event in events if str(event.data).startswith(f"{thread} ")]
        assert [event.data for event in mine] == [f"{thread} {n}" for n in range(MESSAGES)]
        assert [event.id for event in mine] == ids[thread]


@ensureDeferred
async def test_a_thread_makes_a_channel_that_lingers_and_publishes_by_its_name() -> None:
    hub = Hub()

    def work() -> tuple[str | None, str | None]:
        nobody = hub.publish_from_thread("user-5", "x")
        hub.channel("user-5", history=1, linger=0.1)
        return nobody, hub.publish_from_thread("user-5", "y")

    nobody, id_ = await deferToThread(work)
    assert nobody is None
    channel = hub.get("user-5")
    assert channel is not None
    assert channel.last == id_
    while not channel.closed:
        await pause(0.02)
    assert "user-5" not in hub


@ensureDeferred
async def test_its_errors_reach_the_thread() -> None:
    news = Hub().channel("news")
    news.close()
    with pytest.raises(ChannelClosed):
        await deferToThread(news.publish_from_thread, "x")


@ensureDeferred
async def test_a_flush_in_another_thread_is_refused() -> None:
    errors: list[Any] = []

    async def handler(ctx: Context) -> None:
        try:
            await deferToThread(ctx.flush)
        except RuntimeError as err:
            errors.append(err)

    async with serving(handler) as server:
        client = await server.get(b"GET / HTTP/1.0\r\n\r\n")
        await client.end()
    assert "callFromThread" in str(errors[0])
