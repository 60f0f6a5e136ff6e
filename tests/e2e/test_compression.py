"""
Compressed streams, as clients of other makers see them: each message when it is sent.
"""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import treq
from playwright.sync_api import Browser
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.web.client import Agent, HTTPConnectionPool

from tests.decoders import decoder
from tests.e2e.browser import SECONDS, launched
from tests.e2e.conftest import Log, program
from tests.e2e.h2client import H2Client
from tests.e2e.net import Server, eventually, pem, reactor, serving
from tests.e2e.test_curl import curl
from twistream import Compression, Context, Hub
from twistream.wire.compression import CODINGS

WORDS = ("one", "two", "three", "four")


class Gated:
    """
    A handler that sends each word when the client has seen the one before.
    """

    def __init__(self) -> None:
        self._gates: list[Deferred[None]] = [Deferred() for _ in WORDS]
        self._opened = iter(self._gates)

    async def __call__(self, ctx: Context) -> None:
        events = ctx.sse(ping=None)
        for word, gate in zip(WORDS, self._gates, strict=True):
            await events.send({"word": word, "and": "always the same"})
            await gate

    def go_on(self) -> None:
        next(self._opened).callback(None)


def event(word: str) -> bytes:
    return b'data: {"word":"%s","and":"always the same"}\n\n' % word.encode()


@cache
def decoded_by_curl() -> frozenset[str]:
    """
    The codings that this curl can decode.
    """
    shown = subprocess.run(
        [program("curl"), "--version"], capture_output=True, check=True, text=True
    ).stdout
    named = {"libz": ("gzip", "deflate"), "brotli": ("br",), "zstd": ("zstd",)}
    features = shown.rpartition("Features:")[2].split()
    return frozenset(coding for name in named if name in features for coding in named[name])


PROTOCOLS = {
    "http/1.1": (False, ["--http1.1"]),
    "http/1.0": (False, ["--http1.0"]),
    "tls": (True, ["--http1.1"]),
    "http/2": (True, ["--http2"]),
}


@pytest.fixture(params=PROTOCOLS)
def protocol(request: Any, tmp_path: Path) -> tuple[bool, list[str]]:
    """
    Whether there is TLS, and the options of curl.
    """
    authority = tmp_path / "authority.pem"
    authority.write_bytes(pem()[1])
    tls, options = PROTOCOLS[request.param]
    return tls, [*options, "--cacert", str(authority), "--compressed"]


@pytest.mark.parametrize("coding", CODINGS)
@ensureDeferred
async def test_curl_prints_each_event_when_it_is_sent(
    coding: str, protocol: tuple[bool, list[str]]
) -> None:
    if coding not in decoded_by_curl():
        pytest.skip(f"this curl cannot decode {coding}")
    tls, options = protocol
    handler = Gated()
    async with serving(handler, tls=tls, compress=Compression(codings=[coding])) as server:
        process = curl(server, "/", *options)
        for word in WORDS:
            await process.holds(event(word))
            assert process.data.endswith(event(word))
            handler.go_on()
        assert await process.status() == 0
        assert process.data == b"".join(map(event, WORDS))


@ensureDeferred
async def test_a_failure_in_mid_stream_is_a_failure_for_curl(
    protocol: tuple[bool, list[str]], log: Log
) -> None:
    async def fails(ctx: Context) -> None:
        ctx.write("sent")
        await ctx.flush()
        raise KeyError("made to fail")

    tls, options = protocol
    async with serving(fails, tls=tls, compress=True) as server:
        process = curl(server, "/", *options)
        assert await process.status() in (18, 56, 92)
        assert process.data == b"sent"
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_head_and_whole_bodies_with_curl(protocol: tuple[bool, list[str]]) -> None:
    tls, options = protocol
    text = "a whole body, all at once. " * 20
    async with serving(lambda ctx: text, tls=tls, compress=True) as server:
        process = curl(server, "/", *options, "--write-out", " %{size_download}")
        assert await process.status() == 0
        body, _, size = process.data.decode().rpartition(" ")
        assert body == text
        assert int(size) < len(text) / 3
        head = curl(server, "/", *options, "--head")
        assert await head.status() == 0
        assert b"ccept-Encoding" in head.data


@pytest.mark.parametrize("coding", CODINGS)
@ensureDeferred
async def test_streams_of_http2(coding: str) -> None:
    handler = Gated()
    async with serving(handler, tls=True, compress=True) as server:
        client = await H2Client.connect(server)
        stream = client.request(headers=[("accept-encoding", coding)])
        reads, seen, read = decoder(coding), b"", 0
        for number, word in enumerate(WORDS, start=1):
            await client.client.until(lambda: len(stream.frames) == number)  # noqa: B023 - awaited in its round
            seen += reads.feed(stream.body[read:])
            read = len(stream.body)
            assert seen.endswith(event(word))
            assert not reads.complete
            handler.go_on()
        await client.over(stream)
        assert stream.ended
        assert reads.feed(stream.body[read:]) == b""
        assert reads.complete
        assert stream.head["content-encoding"] == coding


@ensureDeferred
async def test_an_aborted_stream_of_http2_is_reset(log: Log) -> None:
    async def fails(ctx: Context) -> None:
        ctx.write("sent")
        await ctx.flush()
        raise KeyError("made to fail")

    async with serving(fails, tls=True, compress=True) as server:
        client = await H2Client.connect(server)
        stream = client.request(headers=[("accept-encoding", "gzip")])
        await client.over(stream)
        assert stream.reset
        reads = decoder("gzip")
        assert reads.feed(stream.body) == b"sent"
        assert not reads.complete
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_nghttp_inflates_a_stream() -> None:
    async with serving(
        lambda ctx: ctx.stream(f"{word}\n" for word in WORDS), tls=True, compress=True
    ) as server:
        result = await deferToThread(
            subprocess.run,
            [program("nghttp"), "--verbose", "-H", "accept-encoding: gzip", server.url()],
            capture_output=True,
            timeout=SECONDS,
        )
    assert b"content-encoding: gzip" in result.stdout
    assert b"one\ntwo\nthree\nfour\n" in result.stdout, result


@ensureDeferred
async def test_treq_receives_events_while_the_response_is_open() -> None:
    handler = Gated()
    client = treq.client.HTTPClient(Agent(reactor, pool=HTTPConnectionPool(reactor, False)))
    received: list[bytes] = []
    async with serving(handler, compress=True) as server:
        response = await client.get(server.url(), unbuffered=True)
        body = treq.collect(response, received.append)
        for word in WORDS:
            await eventually(lambda: b"".join(received).endswith(event(word)))  # noqa: B023 - awaited in its round
            assert not body.called
            handler.go_on()
        await body
    assert b"".join(received) == b"".join(map(event, WORDS))


FETCH = """
async () => {
    const response = await fetch("/stream");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "", seen = [];
    for (;;) {
        const {value, done} = await reader.read();
        if (done) return seen;
        text += value;
        while (text.includes("\\n\\n")) {
            seen.push(JSON.parse(text.slice(6, text.indexOf("\\n\\n"))).word);
            text = text.slice(text.indexOf("\\n\\n") + 2);
            await fetch("/next");
        }
    }
}
"""
"""
What the body of a response holds, read as it arrives. Each event is acknowledged.
"""

LISTEN = """
() => new Promise(resolve => {
    const source = new EventSource("/stream"), seen = [];
    source.onmessage = async event => {
        seen.push(JSON.parse(event.data).word);
        await fetch("/next");
    };
    source.onerror = () => { source.close(); resolve(seen); };
})
"""
"""
What an EventSource receives. Each event is acknowledged.
"""


def visit(chromium: str, server: Server) -> list[tuple[list[str], str]]:
    """
    What each script has seen, and the content coding that the browser has decoded.
    """
    with launched(chromium) as browser:
        return list(_visits(browser, server))


def _visits(browser: Browser, server: Server) -> Iterator[tuple[list[str], str]]:
    page = browser.new_page(ignore_https_errors=True)
    page.set_default_timeout(SECONDS * 1000)
    page.goto(server.url())
    for script in (FETCH, LISTEN):
        with page.expect_response("**/stream") as info:
            seen = page.evaluate(script)
        yield seen, info.value.headers.get("content-encoding", "")


@pytest.mark.parametrize(
    ("coding", "tls"), [("gzip", False), ("gzip", True), ("br", True), ("zstd", True)]
)
@ensureDeferred
async def test_chromium_reads_each_event_when_it_is_sent(
    chromium: str, coding: str, tls: bool
) -> None:
    handlers: list[Gated] = []

    def serve(ctx: Context) -> Any:
        if ctx.path == "/stream":
            ctx.compress(codings=[coding])
            handlers.append(Gated())
            return handlers[-1](ctx)
        if ctx.path == "/next":
            handlers[-1].go_on()
            return "done"
        ctx.html("<!DOCTYPE html><link rel='icon' href='data:,'>")
        return None

    async with serving(serve, tls=tls) as server:
        seen = await deferToThread(visit, chromium, server)
    # This is what older ones do not offer yet.
    if coding == "zstd" and not seen[0][1]:
        pytest.skip("this Chromium does not decode zstd")
    assert seen == [(list(WORDS), coding)] * 2


@ensureDeferred
async def test_subscribers_with_and_without_compression() -> None:
    news = Hub().channel("news", history=10)

    async def handler(ctx: Context) -> None:
        await ctx.sse(ping=0.05).subscribe(news)

    async with serving(handler, compress=True) as server:
        readers = {
            coding: curl(server, "/", "--compressed", "-H", f"Accept-Encoding: {coding}")
            for coding in ("identity", *sorted(decoded_by_curl()))
        }
        for reader in readers.values():
            await reader.holds(b": ping\n")
        for number in range(3):
            news.publish({"number": number})
            for reader in readers.values():
                await reader.holds(b'data: {"number":%d}\n\n' % number)
        for reader in readers.values():
            before = reader.data.count(b": ping")
            await eventually(lambda: reader.data.count(b": ping") > before)  # noqa: B023 - awaited in its round
        news.close()
        for reader in readers.values():
            assert await reader.status() == 0
