"""
The program and the commands of docs/channels.rst, run. `test_docs` runs the curl commands.
"""

import re
from typing import Any, get_args

import pytest
from attrs import fields
from pytest_twisted import ensureDeferred

from tests.e2e.net import Server, eventually, pause, serving
from tests.e2e.pages import Page
from twistream.channels import ChannelStatistics, HubStatistics, SubscriptionStatistics
from twistream.server.outlet import OnSlow
from twistream.wire.messages import EVENTS, JSON_LINES
from twistream.wire.notices import Reason, Slow

CHANNELS = Page("docs/channels.rst")


@pytest.fixture
def names(monkeypatch: Any) -> dict[str, Any]:
    """
    The names that the page defines.
    """
    return CHANNELS.executed(monkeypatch)


async def get(server: Server, path: bytes) -> Any:
    return await server.get(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)


@ensureDeferred
async def test_presence_counts_subscribers_that_connect_and_disconnect(
    names: dict[str, Any],
) -> None:
    async with serving(names["root"]) as server:
        first = await get(server, b"/news")
        await eventually(lambda: names["people"].published)
        counts = await get(server, b"/people")
        await counts.holds(b"data: 1\n")
        await get(server, b"/news")
        await counts.holds(b"data: 2\n")
        before = len(counts.data)
        first.leave()
        await counts.until(lambda: b"data: 1\n" in counts.data[before:])


@ensureDeferred
async def test_a_slow_client_with_the_policy_latest_skips_to_the_newest_message_with_a_gap(
    names: dict[str, Any],
) -> None:
    weather = names["weather"]
    async with serving(names["root"]) as server:
        client = await get(server, b"/newest")
        await client.holds(b"id: ")
        client.transport.pauseProducing()
        while not weather.statistics().dropped:
            weather.publish("x" * 50_000)
            await pause(0)
        weather.publish("the newest")
        client.transport.resumeProducing()
        data = await client.holds(b"data: the newest\n")
        assert b'"reason":"dropped"' in data


@ensureDeferred
async def test_a_stream_adds_and_removes_topics_through_other_requests(
    names: dict[str, Any],
) -> None:
    builds = names["builds"]
    async with serving(names["root"]) as server:
        stream = await get(server, b"/follow")
        await stream.holds(b"event: subscription\n")
        [id_] = re.findall(rb'data: {"id":"(.+?)"}', stream.data)

        async def post(path: bytes) -> bytes:
            request = b"POST /%b HTTP/1.0\r\nContent-Length: 0\r\n\r\n" % path
            client = await server.get(request)
            return bytes((await client.end()).partition(b"\r\n")[0])

        builds.publish("before", topic="builds/12")
        assert b" 204 " in await post(b"add?id=%b&build=12" % id_)
        builds.publish("first", topic="builds/12/steps/1")
        await stream.holds(b"data: first\n")
        assert b" 204 " in await post(b"add?id=%b&build=13" % id_)
        assert b" 204 " in await post(b"remove?id=%b&build=12" % id_)
        builds.publish("nobody's", topic="builds/12/steps/2")
        builds.publish("second", topic="builds/13")
        data = await stream.holds(b"data: second\n")
        assert b"before" not in data
        assert b"nobody" not in data
        assert b" 404 " in await post(b"add?id=x&build=12")


def test_the_warning_that_it_shows_is_the_one_that_is_sent() -> None:
    slow = Slow(queued=524_412, limit=2**20)
    assert EVENTS.slow(slow).decode().strip() in CHANNELS.blocks("text")
    assert f"``{JSON_LINES.slow(slow).decode().strip()}``" in CHANNELS.text


def test_the_page_names_all_policies_reasons_and_statistics() -> None:
    text = CHANNELS.tables()
    assert set(get_args(OnSlow)) == set(re.findall('^"([a-z]+)"', text, re.MULTILINE))
    assert set(get_args(Reason)) <= set(text.split())
    for kind in (ChannelStatistics, HubStatistics, SubscriptionStatistics):
        names = {field.name for field in fields(kind)}
        assert names <= set(re.findall(r"``(\w+)``", CHANNELS.text))
