"""
Clients that send more requests than are answered, and leave.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

from tests.e2e.net import eventually, pause, serving
from twistream import ClientDisconnected, Context
from twistream.server.connection import hangup

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MANY = REQUEST * 3000

LEAVING: dict[str, Callable[[Any], None]] = {
    "fin": lambda client: client.leave(),
    "rst": lambda client: client.reset(),
    "half-close": lambda client: client.half_close(),
}


async def silent(ctx: Context) -> None:
    ctx.write("start")
    await ctx.flush()
    await ctx.sleep(60)


# On TLS a client that says goodbye waits for the answer, and has not left.
@pytest.mark.parametrize(
    ("tls", "way"), [(False, "fin"), (False, "rst"), (False, "half-close"), (True, "rst")]
)
@ensureDeferred
async def test_who_leaves_behind_many_requests_is_noticed(
    way: str, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hangup, "_BETWEEN_CHECKS", 0.05)
    async with serving(silent, tls=tls) as server:
        client = await server.connect()
        client.send(MANY)
        await client.holds(b"start")
        await pause(0.2)
        assert server.contexts[0].err is None
        LEAVING[way](client)
        await eventually(lambda: server.contexts[0].is_cancelled)
        assert isinstance(server.contexts[0].err, ClientDisconnected)
        assert len(server.contexts) == 1


@ensureDeferred
async def test_many_requests_are_answered_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangup, "_BETWEEN_CHECKS", 0.01)

    async def handler(ctx: Context) -> None:
        number = len(server.contexts)
        if number % 500 == 1:
            await ctx.sleep(0.05)
        ctx.writef("%d;", number)

    async with serving(handler) as server:
        client = await server.connect()
        client.send(MANY)
        await client.holds(b"3000;")
        responses = client.responses(*["GET"] * 3000)
        assert all(response.complete for response in responses)
        assert [response.body for response in responses] == [b"%d;" % n for n in range(1, 3001)]
