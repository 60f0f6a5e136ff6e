"""
Pipes and registered producers on real sockets: large files, and responses of other servers.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, Self

import pytest
import treq
from h2.errors import ErrorCodes
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.protocols.basic import FileSender
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool

from tests.e2e.conftest import Log, program
from tests.e2e.h2client import H2Client
from tests.e2e.net import Server, eventually, pause, pem, reactor, serving
from tests.e2e.test_backpressure import Reader
from twistream import ClientDisconnected, Context, StreamTruncated

MEBIBYTE = 2**20
SIZE = 200 * MEBIBYTE

CURL = {"tcp": [], "tls": ["--insecure", "--http1.1"], "h2": ["--insecure", "--http2"]}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """
    A file of 200 MiB.
    """
    path = tmp_path_factory.mktemp("large") / "file"
    block = os.urandom(MEBIBYTE)
    with path.open("wb") as file:
        for number in range(SIZE // MEBIBYTE):
            file.write(number.to_bytes(4, "big") + block[4:])
    yield path
    path.unlink()


@pytest.fixture
def client() -> Any:
    """
    A client that keeps no connection, and trusts the certificate of these tests.
    """
    policy = BrowserLikePolicyForHTTPS(trustRoot=Certificate.loadPEM(pem()[1]))
    pool = HTTPConnectionPool(reactor, persistent=False)
    return treq.client.HTTPClient(Agent(reactor, policy, pool=pool))


def sha_of(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while piece := file.read(MEBIBYTE):
            digest.update(piece)
    return digest.hexdigest()


def sha_by_curl(url: str, options: list[str]) -> str:
    """
    The digest of what curl receives. It fails if the response is incomplete.
    """
    command = [program("curl"), "--silent", "--fail", *options, url]
    digest = sha256()
    with Popen(command, stdout=PIPE) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(MEBIBYTE):
            digest.update(piece)
    assert process.returncode == 0
    return digest.hexdigest()


class Memory:
    """
    The memory of this process, which is looked at while the reactor runs.

    Attributes:
        growth: By how many bytes it was larger than at the start, at most.
    """

    def __init__(self) -> None:
        self.growth = 0
        self._start = self._resident()
        self._call = LoopingCall(self._look)

    def __enter__(self) -> Self:
        self._call.start(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._call.stop()

    def _look(self) -> None:
        self.growth = max(self.growth, self._resident() - self._start)

    @staticmethod
    def _resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


async def by_file_sender(path: Path, ctx: Context) -> None:
    with path.open("rb") as file:
        await FileSender().beginFileTransfer(file, ctx)


def by_pipe(path: Path, ctx: Context) -> Deferred[None]:
    ctx.header("Content-Length", str(SIZE))
    return ctx.pipe(path.open("rb"))


@pytest.mark.parametrize("handler", [by_file_sender, by_pipe])
@pytest.mark.parametrize("protocol", CURL)
@ensureDeferred
async def test_a_large_file_arrives_unchanged_and_takes_no_memory(
    large: Path, protocol: str, handler: Any
) -> None:
    async with serving(partial(handler, large), tls=protocol != "tcp") as server:
        with Memory() as memory:
            received = await deferToThread(sha_by_curl, server.url(), CURL[protocol])
    assert received == sha_of(large)
    assert memory.growth < SIZE / 4


@pytest.mark.parametrize("tls", [False, True])
@ensureDeferred
async def test_a_slow_reader_holds_the_other_server_back(client: Any, tls: bool) -> None:
    pieces = 1500
    made = 0

    def upstream(ctx: Context) -> Iterator[bytes]:
        nonlocal made
        for made in range(1, pieces + 1):
            yield b"%08d" % made * 8192

    async def relay(ctx: Context) -> None:
        await ctx.pipe(await client.get(source.url(), unbuffered=True))

    async with serving(upstream, tls=tls) as source, serving(relay) as server:
        with closing(Reader(server, b"GET / HTTP/1.0\r\n\r\n")) as reader:
            await eventually(lambda: made > 10)
            held = 0
            while held != made:
                held = made
                await pause(0.3)
            # The kernel takes some megabytes for each connection, and then nothing moves.
            assert held < pieces / 2
            _, body = (await reader.read_all()).split(b"\r\n\r\n", 1)
    assert body == b"".join(b"%08d" % number * 8192 for number in range(1, pieces + 1))


@pytest.mark.parametrize("tls", [False, True])
@ensureDeferred
async def test_a_client_that_leaves_ends_the_silent_request_to_the_other_server(
    client: Any, tls: bool
) -> None:
    async def upstream(ctx: Context) -> None:
        ctx.write("first")
        await ctx.flush()
        await ctx.sleep(3600)

    async def relay(ctx: Context) -> None:
        await ctx.pipe(await client.get(source.url(), unbuffered=True))

    async with serving(upstream, tls=tls) as source, serving(relay) as server:
        reader = await server.get(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.holds(b"first")
        reader.leave()
        await eventually(lambda: source.contexts[0].err)
        assert isinstance(source.contexts[0].err, ClientDisconnected)
        assert isinstance(server.contexts[0].err, ClientDisconnected)


@ensureDeferred
async def test_a_stream_of_http2_that_is_reset_ends_the_request_to_the_other_server(
    client: Any,
) -> None:
    async def upstream(ctx: Context) -> None:
        ctx.write("first")
        await ctx.flush()
        await ctx.sleep(3600)

    async def relay(ctx: Context) -> None:
        await ctx.pipe(await client.get(source.url(), unbuffered=True))

    async with serving(upstream) as source, serving(relay, tls=True) as server:
        reader = await H2Client.connect(server)
        stream = reader.request()
        await reader.client.until(lambda: stream.body == b"first")
        reader.reset(stream)
        await eventually(lambda: source.contexts[0].err)
        assert not reader.gone


@ensureDeferred
async def test_a_closed_window_of_http2_holds_the_other_server_back(client: Any) -> None:
    made = 0

    def upstream(ctx: Context) -> Iterator[bytes]:
        nonlocal made
        while made < 1000:
            made += 1
            yield b"x" * 65536

    async def relay(ctx: Context) -> None:
        await ctx.pipe(await client.get(source.url(), unbuffered=True))

    async with serving(upstream) as source, serving(relay, tls=True) as server:
        reader = await H2Client.connect(server)
        reader.reading = False
        stream = reader.request()
        await reader.client.until(lambda: len(stream.body) == 65535)
        held = 0
        while held != made:
            held = made
            await pause(0.3)
        assert held < 500
        reader.reading = True
        reader.open_window(65535)
        reader.open_window(65535, stream)
        await reader.over(stream)
        assert stream.ended
        assert len(stream.body) == 1000 * 65536


class Breaks(Protocol):
    """
    A server that sends part of a response. The test then closes its connection.
    """

    made: "list[Breaks]" = []  # noqa: RUF012 - each test clears it

    def connectionMade(self) -> None:
        self.made.append(self)

    def dataReceived(self, _: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/1.0", "h2"])
@pytest.mark.parametrize("reset", [False, True])
@ensureDeferred
async def test_a_client_sees_that_the_other_server_broke_off(
    client: Any, log: Log, protocol: str, reset: bool
) -> None:
    Breaks.made.clear()
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await endpoint.listen(Factory.forProtocol(Breaks))
    url = f"http://127.0.0.1:{port.getHost().port}/"

    async def relay(ctx: Context) -> None:
        await ctx.pipe(await client.get(url, unbuffered=True))

    def break_off() -> None:
        transport: Any = Breaks.made[0].transport
        transport.abortConnection() if reset else transport.loseConnection()

    async with serving(relay, tls=protocol == "h2") as server:
        if protocol == "h2":
            await assert_h2_is_reset(server, break_off)
        else:
            reader = await server.get(f"GET / {protocol}\r\nHost: a\r\n\r\n".encode())
            await reader.holds(b"x" * 500)
            break_off()
            await reader.end()
            response = reader.response()
            assert response.body == b"x" * 500
            assert response.aborted if protocol == "HTTP/1.0" else response.truncated
    await port.stopListening()
    assert log.failures(StreamTruncated) == 1


async def assert_h2_is_reset(server: Server, break_off: Any) -> None:
    client = await H2Client.connect(server)
    stream = client.request()
    await client.client.until(lambda: stream.body == b"x" * 500)
    break_off()
    await client.over(stream)
    assert stream.reset == ErrorCodes.INTERNAL_ERROR
