"""
The programs and the commands of docs/client.rst.
"""

import shlex
import subprocess
import sys
from typing import Any

import pytest
import treq
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.web.client import HTTPConnectionPool

from tests.e2e.net import LIMIT, eventually, reactor, serving
from tests.e2e.pages import Page
from twistream import Context
from twistream.client import console

CLIENT = Page("docs/client.rst")


@pytest.fixture
def names(monkeypatch: Any) -> dict[str, Any]:
    """
    The names that the page defines. Its requests keep no connection.
    """
    monkeypatch.setattr(treq.api, "get_global_pool", lambda: HTTPConnectionPool(reactor, False))
    return CLIENT.executed(monkeypatch)


async def numbers(ctx: Context) -> None:
    for number in (1, 2, 3):
        await ctx.json_line({"number": number})


async def events(ctx: Context) -> None:
    """
    The events after the last id, and 204 after the last of them.
    """
    left = [(id, data) for id, data in (("1", "a"), ("2", "b")) if id > (ctx.last_event_id or "")]
    if not left:
        ctx.status_code(204)
        return
    stream = ctx.sse()
    for id, data in left:
        await stream.send(data, id=id, retry=0.01)


@ensureDeferred
async def test_the_sum_is_read(names: dict[str, Any]) -> None:
    async with serving(numbers) as server:
        assert await names["total"](server.url()) == 6


@ensureDeferred
async def test_the_relay_passes_values_on(names: dict[str, Any], monkeypatch: Any) -> None:
    async with serving(numbers) as source:
        get = treq.get
        monkeypatch.setattr(treq, "get", lambda _, **options: get(source.url(), **options))
        async with serving(names["relay"]) as server:
            response = await get(server.url(), unbuffered=True)
            body = await treq.content(response)
    assert body == b'{"square":1}\n{"square":4}\n{"square":9}\n'


@ensureDeferred
async def test_events_are_followed(names: dict[str, Any]) -> None:
    shown: list[str] = []
    async with serving(events) as server:
        following = Deferred.fromCoroutine(names["follow"](server.url(), shown.append))
        await following.addTimeout(LIMIT, reactor)
        assert shown == ["a", "b"]
        source = names["news"](server.url(), "1")
        assert (await anext(source)).data == "b"
        source.close()
    assert server.contexts[-1].request.getHeader("Authorization") == "Bearer secret"


@ensureDeferred
async def test_the_service_stops(names: dict[str, Any]) -> None:
    async def endless(ctx: Context) -> None:
        await ctx.sse().send("a")
        await ctx.sleep(LIMIT * 10)

    shown: list[str] = []
    async with serving(endless) as server:
        service = names["Follower"](server.url(), shown.append)
        service.startService()
        await eventually(lambda: shown)
        await service.stopService()
        await eventually(lambda: server.contexts[0].is_cancelled)


@ensureDeferred
async def test_its_commands_print_what_it_says() -> None:
    async with serving(events) as server:
        for line, output in CLIENT.commands("python"):
            command = shlex.split(line.replace("127.0.0.1:8080", f"127.0.0.1:{server.number}"))
            printed = await deferToThread(
                subprocess.check_output, [sys.executable, *command[1:]], timeout=LIMIT, text=True
            )
            assert printed.rstrip() == output, line


def test_it_names_the_statuses() -> None:
    *_, last = CLIENT.text.split("The exit status")
    for status in (console.COMPLETE, console.REFUSED, console.TRUNCATED, console.UNREACHABLE):
        assert f" {status} " in last
