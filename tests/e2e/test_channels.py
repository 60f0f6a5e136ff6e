"""
Channels on real sockets: many clients, some of which do not read.
"""

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pytest_twisted import ensureDeferred

from tests.e2e.net import Server, eventually, pause, serving
from twistream import Context, EventDecoder, Hub, SlowConsumer
from twistream.server.outlet import OnSlow

ROOT = Path(__file__).parents[2]

READERS, STALLED = 800, 200
MESSAGES, MESSAGE_SIZE = 200, 2_000
MAX_QUEUED = 64 * 1024


def test_ten_thousand_subscribers_come_and_go_and_leave_nothing() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.e2e.churn", "10000"],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    # Connections that are just closing may hold a few; a leak would hold one for each.
    assert all(count <= 5 for count in found["left"].values()), found
    assert found["left"]["Context"] == found["left"]["Subscription"] == 0, found
    assert (found["feeds"], found["presence"]) == (0, 0), found
    gauges = ("subscriptions", "queued")
    assert [found["hub"][gauge] for gauge in gauges] == [0, 0], found
    # A kilobyte for each would be ten megabytes.
    assert found["grown"] < 3_000, found


class Reader:
    """
    A client of a stream of events that reads when it is told to.
    """

    def __init__(self, server: Server, path: str) -> None:
        self.socket = socket.socket()
        # So that the kernel holds little of what it does not read.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", server.number))
        # Without chunks, so that what is read can be decoded as it is.
        self.socket.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        self.socket.setblocking(False)
        self._head = b""
        self._decoder = EventDecoder()
        self.numbers: list[int] = []
        self.gaps = 0

    def read(self) -> None:
        try:
            data = self.socket.recv(1 << 20)
        except (BlockingIOError, ConnectionResetError):
            return
        if not self._head.endswith(b"\r\n\r\n"):
            head, separator, data = (self._head + data).partition(b"\r\n\r\n")
            self._head = head + separator
        for event in self._decoder.feed(data):
            if event.event == "gap":
                self.gaps += 1
            else:
                self.numbers.append(json.loads(event.data or "")["number"])


@contextmanager
def room_for_sockets(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@ensureDeferred
async def test_two_hundred_that_do_not_read_cost_the_other_eight_hundred_nothing() -> None:
    hub = Hub()
    news = hub.channel("news", history=10 * MESSAGES)
    ends: list[BaseException] = []

    async def feed(ctx: Context) -> None:
        on_slow: OnSlow = "disconnect" if ctx.path == "/disconnect" else "catchup"
        try:
            await ctx.sse().subscribe(news, on_slow=on_slow, max_queued=MAX_QUEUED)
        except BaseException as err:
            ends.append(err)
            raise

    with room_for_sockets(4 * (READERS + STALLED)):
        async with serving(feed) as server:
            readers: list[Reader] = []
            stalled: list[Reader] = []
            for number in range(READERS + STALLED):
                stalls = number % 5 == 0
                path = "/disconnect" if number % 10 == 0 else "/catchup"
                reader = Reader(server, path)
                (stalled if stalls else readers).append(reader)
                if number % 20 == 0:
                    await pause(0)  # The server is in this process, and lets but fifty wait.
            await eventually(lambda: news.subscriber_count == READERS + STALLED)
            for protocol in server.protocols:
                transport = protocol._channel.transport
                transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            for number in range(MESSAGES):
                news.publish({"number": number, "padding": "x" * MESSAGE_SIZE})
                await pause(0)
                for reader in readers:
                    reader.read()

            def all_read(these: list[Reader]) -> bool:
                for reader in these:
                    reader.read()
                return all(len(reader.numbers) == MESSAGES for reader in these)

            # Nobody of those who read waits for those who do not.
            await eventually(lambda: all_read(readers))
            assert all(reader.numbers == list(range(MESSAGES)) for reader in readers)
            assert all(reader.gaps == 0 for reader in readers)

            # Those that were to be cut are cut, and their handlers know.
            cut = [end for end in ends if isinstance(end, SlowConsumer)]
            assert len(cut) == len(ends) == STALLED // 2
            assert news.statistics().cut == STALLED // 2
            assert news.subscriber_count == READERS + STALLED // 2

            # The others have cost no more than their bound, and get everything all the same.
            waiting = [each.statistics() for each in news.subscriptions]
            behind = [each for each in waiting if each.lag]
            assert len(behind) == STALLED // 2
            assert all(each.queued < MAX_QUEUED + 2 * 64 * 1024 for each in behind)
            patient = [reader for index, reader in enumerate(stalled) if index % 2]
            await eventually(lambda: all_read(patient))
            assert all(reader.numbers == list(range(MESSAGES)) for reader in patient)
            assert all(reader.gaps == 0 for reader in patient)
            assert not any(each.statistics().lag for each in news.subscriptions)
            for reader in (*readers, *stalled):
                with closing(reader.socket):
                    pass
            await eventually(lambda: news.subscriber_count == 0)
