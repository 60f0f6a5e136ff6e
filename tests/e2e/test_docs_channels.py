"""
The program and the commands of docs/channels.rst, run.
"""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from attrs import fields
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.e2e.net import Server, eventually, pause, serving
from tests.e2e.pages import Page, run_curl
from twistream.channels import ChannelStatistics, HubStatistics, SubscriptionStatistics
from twistream.server.outlet import OnSlow
from twistream.wire.messages import Reason

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
async def test_its_curl_lines_print_what_it_says(names: dict[str, Any], tmp_path: Path) -> None:
    async with serving(names["root"]) as server:
        await deferToThread(run_curl, CHANNELS.commands("curl"), server.number, tmp_path)


def test_the_application_that_it_serves_exists(names: dict[str, Any]) -> None:
    for command in CHANNELS.commands("twistd"):
        assert command.line.rpartition(":")[2] in names


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


def test_the_page_names_all_policies_reasons_and_statistics() -> None:
    text = CHANNELS.tables()
    assert set(get_args(OnSlow)) == set(re.findall('^"([a-z]+)"', text, re.MULTILINE))
    assert set(get_args(Reason)) <= set(text.split())
    for kind in (ChannelStatistics, HubStatistics, SubscriptionStatistics):
        names = {field.name for field in fields(kind)}
        assert names <= set(re.findall(r"``(\w+)``", CHANNELS.text))
