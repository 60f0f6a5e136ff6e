"""
Values as curl and Chromium read them.
"""

import json
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.sync_api import Page
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource

from tests.e2e.browser import SECONDS, launched
from tests.e2e.conftest import Log
from tests.e2e.net import serving
from tests.e2e.pages import BLANK
from tests.e2e.test_curl import curl
from twistream import Context, StreamResource


class Turns:
    """
    Lets a client decide when a handler goes on.
    """

    def __init__(self) -> None:
        self.taken = 0

    def take(self, _: Context) -> str:
        self.taken += 1
        return "taken"

    async def wait(self, ctx: Context, turn: int) -> None:
        while self.taken < turn:
            await ctx.sleep(0.01)

    def root(self, **handlers: Any) -> Resource:
        """
        A tree with a blank page, ``/next``, and these handlers.
        """
        root = Resource()
        root.putChild(b"", BLANK)
        root.putChild(b"next", StreamResource(self.take))
        for name, handler in handlers.items():
            root.putChild(name.encode(), StreamResource(handler))
        return root


@pytest.mark.parametrize("protocol", ["--http1.1", "--http1.0", "--http2"])
@ensureDeferred
async def test_curl_reads_an_array_value_by_value(protocol: str) -> None:
    turns = Turns()

    async def array(ctx: Context) -> None:
        values = ctx.json_array()
        for number in range(3):
            await values.send({"number": number})
            await turns.wait(ctx, number + 1)

    async with serving(array, tls=protocol == "--http2") as server:
        process = curl(server, "/", protocol, "--insecure")
        for number in range(3):
            data = await process.holds(b'{"number":%d}' % number)
            assert data.endswith(b'{"number":%d}' % number)
            turns.taken += 1
        assert await process.status() == 0
        assert json.loads(process.data) == [{"number": number} for number in range(3)]


async def broken_array(ctx: Context) -> None:
    await ctx.json_array().send(1)
    raise KeyError("made to fail")


async def broken_rows(ctx: Context) -> None:
    async def rows() -> AsyncIterator[list[int]]:
        yield [1, 2]
        await ctx.sleep(0)
        raise KeyError("made to fail")

    await ctx.csv(["a", "b"]).send_all(rows())


@pytest.mark.parametrize(("protocol", "status"), [("--http1.1", 18), ("--http2", 92)])
@pytest.mark.parametrize(
    ("handler", "body"), [(broken_array, b"[1"), (broken_rows, b"a,b\r\n1,2\r\n")]
)
@ensureDeferred
async def test_curl_sees_that_an_aborted_sequence_is_incomplete(
    handler: Any, body: bytes, protocol: str, status: int, log: Log
) -> None:
    async with serving(handler, tls=protocol == "--http2") as server:
        process = curl(server, "/", protocol, "--insecure")
        assert await process.status() == status
        assert process.data == body
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_a_request_that_asks_for_json_gets_a_problem() -> None:
    async with serving(lambda ctx: "never") as server:
        process = curl(server, "/", "--fail-with-body", "--json", "{}")
        assert await process.status() == 22
        assert json.loads(process.data) == {"title": "Method Not Allowed", "status": 405} | {
            "detail": "Only GET, HEAD can be used here."
        }


def run(chromium: str, url: str, script: str) -> Any:
    """
    The result of a script on a page.
    """
    with launched(chromium) as browser:
        page: Page = browser.new_page()
        page.goto(url)
        return page.evaluate(LIMITED % {"script": script, "limit": SECONDS * 1000})


LIMITED = """() => Promise.race([
    (async () => { %(script)s })(),
    new Promise(resolve => setTimeout(resolve, %(limit)d, "too late")),
])"""


FETCHES = """
const read = path => fetch(path).then(response => response.json()).catch(error => error.name);
return [await read("/whole"), await read("/empty"), await read("/broken")];
"""


@ensureDeferred
async def test_a_browser_parses_a_whole_array_and_refuses_an_aborted_one(
    chromium: str, log: Log
) -> None:
    def empty(ctx: Context) -> None:
        ctx.json_array()

    async def whole(ctx: Context) -> None:
        await ctx.json_array().send_all([1, {"a": None}])

    root = Turns().root(whole=whole, empty=empty, broken=broken_array)
    async with serving(root) as server:
        results = await deferToThread(run, chromium, server.url(), FETCHES)
    assert results == [[1, {"a": None}], [], "TypeError"]
    assert log.failures(KeyError) == 1


JSONP = r"""
window.app = {seen: []};
app.receive = value => app.seen.push(value);
const load = path => new Promise(resolve => {
    const script = document.createElement("script");
    script.onload = () => resolve("loaded");
    script.onerror = () => resolve("refused");
    script.src = path;
    document.head.append(script);
});
const loaded = [await load("/jsonp?callback=app.receive"), await load("/jsonp?callback=alert(1)")];
return [loaded, app.seen];
"""


@ensureDeferred
async def test_a_script_tag_calls_the_function(chromium: str) -> None:
    value = {"text": "</script><!--\u2028\u2029", "list": [1, None, 1.5]}
    root = Turns().root(jsonp=lambda ctx: ctx.jsonp(ctx.query("callback"), value))
    async with serving(root) as server:
        loaded, seen = await deferToThread(run, chromium, server.url(), JSONP)
    assert loaded == ["loaded", "refused"]
    assert seen == [value]


def png(width: int) -> bytes:
    """
    An image of one colour, one pixel high.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" + b"\x80" * width)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def quick_film(ctx: Context) -> None:
    parts = ctx.multipart()
    for turn in range(3):
        await parts.send(png(10 + turn), content_type="image/png", headers={"X-Turn": str(turn)})


LAST_IMAGE = """
const image = new Image();
image.src = "/film";
document.body.append(image);
while (image.naturalWidth !== 12) await new Promise(r => setTimeout(r, 10));
return image.complete;
"""


@ensureDeferred
async def test_a_browser_shows_the_last_of_parts_with_headers_of_their_own(chromium: str) -> None:
    async with serving(Turns().root(film=quick_film)) as server:
        assert await deferToThread(run, chromium, server.url(), LAST_IMAGE) is True


FILM = """
const image = new Image();
const widths = [];
image.src = "/film";
document.body.append(image);
for (let turn = 0; turn < 3; turn++) {
    while (image.naturalWidth !== 10 + turn) await new Promise(r => setTimeout(r, 10));
    widths.push(image.naturalWidth);
    await fetch("/next");
}
while (!image.complete) await new Promise(r => setTimeout(r, 10));
return [...widths, image.naturalWidth];
"""


@ensureDeferred
async def test_a_browser_shows_each_part_before_the_next_is_sent(chromium: str) -> None:
    turns = Turns()

    async def film(ctx: Context) -> None:
        parts = ctx.multipart("image/png")
        for turn in range(3):
            await parts.send(png(10 + turn))
            await turns.wait(ctx, turn + 1)

    async with serving(turns.root(film=film)) as server:
        widths = await deferToThread(run, chromium, server.url(), FILM)
    assert widths == [10, 11, 12, 12]
