"""
What curl sees: messages one by one, and ends that it can tell apart.
"""

from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol

from tests.e2e.conftest import Log, program
from tests.e2e.net import Client, Server, pem, reactor, serving
from twistream import Context, HTTPError
from twistream.demo import make_root


class Curl(Client, ProcessProtocol):
    """
    A curl that runs, and what it has printed so far.
    """

    def outReceived(self, data: bytes) -> None:
        self.dataReceived(data)

    def processEnded(self, reason: Any) -> None:
        self.connectionLost(reason)

    async def status(self) -> int:
        """
        Its exit status, once it has ended.
        """
        await self.end()
        ended: Any = self.reason and self.reason.value
        assert isinstance(ended, ProcessDone | ProcessTerminated)
        return ended.exitCode or 0


def curl(server: Server, path: str, *options: str) -> Curl:
    process = Curl()
    reactor.spawnProcess(
        process,
        program("curl"),
        ["curl", "--silent", "--no-buffer", "--max-time", "20", *options, server.url(path)],
        env={},
    )
    return process


@ensureDeferred
async def test_numbers_arrive_one_by_one() -> None:
    async with serving(make_root()) as server:
        process = curl(server, "/numbers?interval=0.1")
        for number in (1, 2, 3, 5, 7, 9, 11, 13, 15, 17, 23, 29):
            await process.holds(b"Message number %d<br>" % number)
            following = process.data.partition(b"Message number %d<br>" % number)[2]
            # Each is there before the next is made.
            assert following == b""
        assert await process.status() == 0


@ensureDeferred
async def test_json_arrives_line_by_line() -> None:
    async with serving(make_root()) as server:
        process = curl(server, "/json?interval=0.05")
        for number in (1, 2, 3):
            data = await process.holds(b'{"number":%d}\n' % number)
            assert data.endswith(b'{"number":%d}\n' % number)
        assert await process.status() == 0
        assert process.data.count(b"\n") == 12


@ensureDeferred
async def test_a_bad_interval_is_a_400_with_a_reason() -> None:
    async with serving(make_root()) as server:
        process = curl(server, "/clock?interval=nan", "--fail-with-body")
        assert await process.status() == 22
        assert process.data.startswith(b"400 Bad Request\ninterval must be ")


@ensureDeferred
async def test_what_is_posted_to_the_chat_arrives_there() -> None:
    async with serving(make_root()) as server:
        reader = curl(server, "/chat")
        await reader.holds(b"event: presence\ndata: 1\n")
        for number, (option, text) in enumerate((("-d", "hello"), ("--json", "hello again")), 1):
            writer = curl(server, "/chat", "--fail-with-body", option, text)
            assert await writer.status() == 0
            assert writer.data.endswith(b"-%d\n" % number)  # its id
            await reader.holds(b'"text":"%s"}\n\n' % text.encode())
        refused = curl(server, "/chat", "--fail-with-body", "-d", " ")
        assert await refused.status() == 22
        assert refused.data.startswith(b"400 Bad Request\nThe message ")
        await curl(server, "/events").holds(b'data: {"number":1,')


async def fails(ctx: Context) -> None:
    ctx.write("sent")
    await ctx.flush()
    raise KeyError("made to fail")


async def falls_short(ctx: Context) -> None:
    ctx.header("Content-Length", "9")
    await fails(ctx)


# curl(1), EXIT CODES: 18 is a partial file, 56 a failure in receiving, 92 a stream error
# in HTTP/2.
@pytest.mark.parametrize(
    ("handler", "options", "status"),
    [
        (fails, ["--http1.1"], 18),
        (fails, ["--http1.0"], 56),
        (falls_short, ["--http1.1"], 18),
        (falls_short, ["--http1.0"], 18),
        (fails, ["--http2"], 92),
        (fails, ["--http1.1", "--tlsv1.2"], 18),
        (fails, ["--http1.0", "--tlsv1.2", "--no-alpn"], 56),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@ensureDeferred
async def test_a_failure_in_mid_stream_is_a_failure_for_curl(
    handler: Any, options: list[str], status: int, log: Log, tmp_path: Any
) -> None:
    tls = "--http2" in options or "--tlsv1.2" in options
    authority = tmp_path / "authority.pem"
    authority.write_bytes(pem()[1])
    async with serving(handler, tls=tls) as server:
        process = curl(server, "/", "--cacert", str(authority), *options)
        assert await process.status() == status
        assert process.data == b"sent"
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_the_status_of_an_error_before_the_head() -> None:
    def handler(ctx: Context) -> None:
        raise HTTPError(404, "no such room")

    async with serving(handler) as server:
        process = curl(server, "/", "--fail-with-body")
        assert await process.status() == 22
        assert process.data == b"404 Not Found\nno such room\n"


@ensureDeferred
async def test_head_on_an_endless_stream() -> None:
    async with serving(make_root()) as server:
        process = curl(server, "/clock", "--head")
        assert await process.status() == 0
        assert process.data.startswith(b"HTTP/1.1 200 OK\r\n")
