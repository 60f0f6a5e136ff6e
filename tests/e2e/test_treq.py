"""
What a treq client sees.
"""

from typing import Any

import pytest
import treq
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed

from tests.e2e.conftest import Log
from tests.e2e.net import eventually, reactor, serving
from twistream import ClientDisconnected, Context


@pytest.fixture
def client() -> Any:
    """
    A client that keeps no connection.
    """
    return treq.client.HTTPClient(Agent(reactor, pool=HTTPConnectionPool(reactor, False)))


@ensureDeferred
async def test_messages_arrive_while_the_response_is_open(client: Any) -> None:
    gates: list[Deferred[None]] = [Deferred() for _ in range(3)]

    async def handler(ctx: Context) -> None:
        for number, gate in enumerate(gates):
            await ctx.json_line({"number": number})
            await gate

    received: list[bytes] = []

    async with serving(handler) as server:
        response = await client.get(server.url(), unbuffered=True)
        assert response.code == 200
        assert response.headers.getRawHeaders("Content-Type") == ["application/jsonl"]
        body = treq.collect(response, received.append)
        for number, gate in enumerate(gates):
            await eventually(lambda: b'{"number":%d}\n' % number in b"".join(received))  # noqa: B023 - awaited in its round
            assert not body.called
            gate.callback(None)
        await body


@ensureDeferred
async def test_a_body_that_breaks_off_is_a_failure(client: Any, log: Log) -> None:
    async def handler(ctx: Context) -> None:
        ctx.write("sent")
        await ctx.flush()
        raise KeyError("made to fail")

    async with serving(handler) as server:
        response = await client.get(server.url(), unbuffered=True)
        with pytest.raises(ResponseFailed):
            await treq.content(response)
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_a_client_that_drops_the_response_ends_the_handler(client: Any) -> None:
    async def handler(ctx: Context) -> None:
        await ctx.flush()
        await ctx.sleep(60)

    async with serving(handler) as server:
        response = await client.get(server.url(), unbuffered=True)
        response.original._transport.loseConnection()
        await eventually(lambda: server.contexts[0].is_cancelled)
        assert isinstance(server.contexts[0].err, ClientDisconnected)


@ensureDeferred
async def test_a_post_is_read_and_answered_by_a_stream(client: Any) -> None:
    def handler(ctx: Context) -> Any:
        content: Any = ctx.request.content
        return ctx.stream(line[::-1] for line in content.read().split(b","))

    async with serving(handler, methods=("POST",)) as server:
        response = await client.post(server.url(), data=b"ab,cd")
        assert await treq.content(response) == b"badc"
        refused = await client.get(server.url())
        assert refused.code == 405
        await treq.content(refused)
