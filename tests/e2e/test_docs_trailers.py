"""
The program and the commands of docs/trailers.rst, and what it says about clients.
"""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest
import treq
from docutils.nodes import literal, table
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutput
from twisted.web.client import HTTPConnectionPool
from twisted.web.resource import Resource

from tests.e2e.browser import launched
from tests.e2e.conftest import program
from tests.e2e.net import pem, reactor, serving
from tests.e2e.pages import BLANK, Page
from twistream import Context, StreamResource
from twistream.wire.digest import Algorithm
from twistream.wire.trailers import trailer_name

TRAILERS = Page("docs/trailers.rst")


@pytest.fixture
def names(monkeypatch: Any) -> dict[str, Any]:
    """
    The names that the page defines.
    """
    return TRAILERS.executed(monkeypatch)


def test_it_names_all_algorithms_and_only_fields_that_are_refused() -> None:
    for algorithm in get_args(Algorithm):
        assert f"``{algorithm}``" in TRAILERS.text
    _, refused, _ = TRAILERS.tree().findall(table)
    names = [name.astext() for name in refused.findall(literal)]
    assert names
    for name in names:
        with pytest.raises(ValueError, match="cannot be a trailer"):
            trailer_name(name)


def test_the_fields_that_it_says_are_accepted_are() -> None:
    (paragraph,) = [line for line in TRAILERS.text.split("\n\n") if "are accepted" in line]
    names = re.findall("``(.*?)``", paragraph)
    assert names
    for name in names:
        assert trailer_name(name) == name.encode()


@pytest.mark.parametrize("tls", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@ensureDeferred
async def test_curl_prints_them_after_the_body(
    names: dict[str, Any], tls: bool, tmp_path: Path
) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_bytes(pem()[1])
    options = ["-sS", "-i", "--http2", "--cacert", str(authority)]
    if not tls:
        options = ["-sS", "-i", "-H", "TE: trailers"]
    async with serving(names["root"], tls=tls) as server:
        output = await getProcessOutput(
            program("curl"), [*options, server.url("/squares")], reactor=reactor, errortoo=True
        )
    head, body = output.split(b"\r\n\r\n", 1)
    name = b"content-digest" if tls else b"Content-Digest"
    assert head.lower().count(b"\r\ntrailer: content-digest") == 1
    digest = b64encode(sha256(b"0\n1\n4\n").digest())
    assert body.rstrip() == b"0\n1\n4\n%b: sha-256=:%b:" % (name, digest)


@ensureDeferred
async def test_treq_ignores_them() -> None:
    async def handler(ctx: Context) -> None:
        await ctx.stream(["a", "b"])
        ctx.trailer("X-A", "1")

    pool = HTTPConnectionPool(reactor)
    async with serving(handler, trailers="always") as server:
        for _ in range(2):
            response = await treq.get(server.url(), pool=pool)
            assert await response.content() == b"ab"
            assert not response.headers.hasHeader("X-A")
        assert len(server.protocols) == 1  # The connection goes on.
        await pool.closeCachedConnections()


@ensureDeferred
async def test_a_browser_reads_the_body_before_them(chromium: str) -> None:
    async def handler(ctx: Context) -> None:
        ctx.declare_trailers("Server-Timing")
        await ctx.stream(["a", "b"])
        assert ctx.trailer("Server-Timing", "db;dur=5")

    def fetched(url: str) -> Any:
        with launched(chromium) as browser:
            page = browser.new_page()
            page.goto(url)
            return [page.evaluate("fetch('/timed').then(r => r.text())") for _ in range(2)]

    root = Resource()
    root.putChild(b"", BLANK)
    root.putChild(b"timed", StreamResource(handler, trailers="always"))
    async with serving(root) as server:
        assert await deferToThread(fetched, server.url()) == ["ab", "ab"]
