"""
The servers of the benchmarks: each sends the same bytes, in the same chunks.
"""

import os
import re
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.message import CHUNK, HISTORY, LAST_CHUNK, MEDIA_TYPE, MESSAGE
from benchmarks.servers import HOST, ROOT, SERVERS, Server
from tests.e2e.conftest import program

LIMIT = 20.0
"""
Seconds that anything here may take, on a machine that others use too.
"""

OTHER = MESSAGE.replace(b"x", b"y")
OTHER_CHUNK = CHUNK.replace(b"x", b"y")
THIRD = MESSAGE.replace(b"x", b"z")
THIRD_CHUNK = CHUNK.replace(b"x", b"z")

LARGE = b"data: " + b"l" * 60_000 + b"\n\n"
LARGE_CHUNK = b"%x\r\n%b\r\n" % (len(LARGE), LARGE)

MOST_GROWTH = 64 * 2**20
"""
Bytes of memory that a server may take for a subscriber that reads nothing.
"""


class Client:
    """
    One connection, which is read as bytes.
    """

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(LIMIT)
        if receive_buffer is not None:
            # Before it connects, for the window that it tells the server of.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self._socket.connect((HOST, port))
        except BaseException:
            self._socket.close()
            raise
        self._received = b""

    def send(
        self, method: str, path: str, body: bytes = b"", last_event_id: str | None = None
    ) -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n"
        if method == "POST":
            head += f"Content-Length: {len(body)}\r\n"
        if last_event_id is not None:
            head += f"Last-Event-ID: {last_event_id}\r\n"
        self._socket.sendall(head.encode() + b"\r\n" + body)

    def take(self, end: bytes) -> bytes:
        """
        What comes up to `end`, which is with it.
        """
        while end not in self._received:
            data = self._socket.recv(65536)
            assert data, self._received
            self._received += data
        index = self._received.index(end) + len(end)
        taken, self._received = self._received[:index], self._received[index:]
        return taken

    def take_size(self, size: int) -> bytes:
        """
        As many bytes.
        """
        while len(self._received) < size:
            data = self._socket.recv(65536)
            assert data, self._received
            self._received += data
        taken, self._received = self._received[:size], self._received[size:]
        return taken

    def head(self) -> tuple[int, dict[str, str]]:
        """
        Status and headers of the next response.
        """
        first, *lines = self.take(b"\r\n\r\n").decode().split("\r\n")[:-2]
        headers = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in headers}

    def stream(self, path: str, last_event_id: str | None = None) -> None:
        """
        Ask for a stream, and see that it is one.
        """
        self.send("GET", path, last_event_id=last_event_id)
        status, headers = self.head()
        assert status == 200
        assert headers["transfer-encoding"].lower() == "chunked"
        assert "content-encoding" not in headers
        assert headers["content-type"].partition(";")[0] == MEDIA_TYPE

    def events(self, count: int) -> list[tuple[str, bytes]]:
        """
        Id and text of the next events, in whatever chunks they come.
        """
        body = b""
        while len(fields := re.findall(rb"id: (\S+)\ndata: (.*)\n\n", body)) < count:
            size = int(self.take(b"\r\n"), 16)
            body += self.take_size(size + 2)[:-2]
        # A stream may begin with an id alone.
        assert re.fullmatch(rb"(id: \S+\n\n)?(id: \S+\ndata: .*\n\n){%d}" % count, body), body
        return [(id_.decode(), text) for id_, text in fields]

    def has_nothing(self) -> bool:
        """
        Whether nothing more came for a moment.
        """
        self._socket.settimeout(0.1)
        try:
            self._received += self._socket.recv(65536)
        except TimeoutError:
            return not self._received
        finally:
            self._socket.settimeout(LIMIT)
        return False

    def leave(self) -> None:
        self._socket.close()


class Running:
    """
    A server in a process of its own.
    """

    def __init__(self, server: Server, output: Path) -> None:
        self._clients: list[Client] = []
        with socket.create_server((HOST, 0)) as free:
            self._port = free.getsockname()[1]
        with output.open("w") as file:
            self._process = subprocess.Popen(
                server.argv(self._port),
                # Not the folder of the project: what is started must be found from anywhere.
                cwd=output.parent,
                env=os.environ | server.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def connect(self, receive_buffer: int | None = None) -> Client:
        self._clients.append(Client(self._port, receive_buffer))
        return self._clients[-1]

    def memory(self) -> int:
        """
        Bytes of resident memory.
        """
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + LIMIT
        while True:
            assert self._process.poll() is None, "the server has ended"
            try:
                self.connect()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.02)
            else:
                return

    def publish(self, message: bytes, path: str = "/publish") -> None:
        client = self.connect()
        client.send("POST", path, message)
        status, headers = client.head()
        assert status == 204
        assert "content-length" not in headers
        assert "transfer-encoding" not in headers

    def leave(self) -> None:
        """
        Close all connections.
        """
        for client in self._clients:
            client.leave()
        self._clients.clear()

    def stop(self) -> int:
        """
        End the process as the benchmarks do, and return its status.
        """
        self._process.terminate()
        try:
            return self._process.wait(LIMIT)
        finally:
            self._process.kill()
            self._process.wait()
            self.leave()


def those_with(*paths: str) -> pytest.MarkDecorator:
    """
    Run a test with each of the servers that answer all these paths.
    """
    return pytest.mark.parametrize(
        "server",
        [name for name, server in SERVERS.items() if server.paths.issuperset(paths)],
        indirect=True,
    )


every_server = those_with()
with_subscribers = those_with("/subscribe", "/publish")
with_channels = those_with("/channel/subscribe", "/channel/publish")
with_histories = those_with("/channel/replay")
isolating = pytest.mark.parametrize(
    "server",
    [
        name
        for name, server in SERVERS.items()
        if server.isolates and server.paths.issuperset({"/subscribe", "/publish"})
    ],
    indirect=True,
)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Server:
    """
    A server by its name, ready to be started.
    """
    server = SERVERS[request.param]
    if server.name == "go":
        program("go")
    assert server.missing() is None
    server.prepare()
    return server


@pytest.fixture(scope="module")
def output(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    What the server prints.
    """
    return tmp_path_factory.mktemp(server.name) / "output.txt"


@pytest.fixture(scope="module")
def process(server: Server, output: Path) -> Iterator[Running]:
    """
    The server, for all tests of it.
    """
    running = Running(server, output)
    try:
        running.wait_until_it_listens()
        yield running
    finally:
        running.stop()


@pytest.fixture
def running(process: Running, output: Path) -> Iterator[Running]:
    """
    The server, without connections of earlier tests; it must have nothing to complain of.
    """
    yield process
    process.leave()
    assert not output.read_text()


@pytest.mark.parametrize(
    ("server", "path", "number"),
    [
        (name, path, number)
        for name, server in SERVERS.items()
        for path, number in (("/twelve", 12), ("/many?n=50", 50), ("/turns?n=5", 5))
        if path.partition("?")[0] in server.paths
    ],
    indirect=["server"],
)
def test_each_message_is_a_chunk_of_its_own(running: Running, path: str, number: int) -> None:
    client = running.connect()
    client.stream(path)
    assert client.take(LAST_CHUNK) == CHUNK * number + LAST_CHUNK


@those_with("/twelve")
def test_the_connection_is_kept(running: Running) -> None:
    client = running.connect()
    for _ in range(3):
        client.stream("/twelve")
        assert client.take(LAST_CHUNK) == CHUNK * 12 + LAST_CHUNK


@those_with("/many")
def test_many_comes_whole_to_a_client_that_reads_late(running: Running) -> None:
    client = running.connect()
    client.send("GET", "/many?n=100000")
    time.sleep(0.3)
    assert client.head()[0] == 200
    assert client.take(LAST_CHUNK) == CHUNK * 100_000 + LAST_CHUNK


@those_with("/many")
def test_a_client_that_leaves_many_does_no_harm(running: Running) -> None:
    client = running.connect()
    client.stream("/many?n=100000")
    client.leave()
    after = running.connect()
    after.stream("/twelve")
    assert after.take(LAST_CHUNK) == CHUNK * 12 + LAST_CHUNK


@with_subscribers
def test_every_subscriber_gets_every_message(running: Running) -> None:
    subscribers = [running.connect() for _ in range(3)]
    for subscriber in subscribers:
        subscriber.stream("/subscribe")
        assert subscriber.take_size(len(CHUNK)) == CHUNK
        assert subscriber.has_nothing()
    running.publish(OTHER)
    running.publish(THIRD)
    for subscriber in subscribers:
        assert subscriber.take_size(2 * len(CHUNK)) == OTHER_CHUNK + THIRD_CHUNK
        assert subscriber.has_nothing()


@with_subscribers
def test_one_connection_publishes_many_times(running: Running) -> None:
    subscriber, publisher = running.connect(), running.connect()
    subscriber.stream("/subscribe")
    for _ in range(5):
        publisher.send("POST", "/publish", OTHER)
        assert publisher.head()[0] == 204
    assert subscriber.take_size(6 * len(CHUNK)) == CHUNK + 5 * OTHER_CHUNK


@with_subscribers
def test_a_subscriber_that_leaves_does_no_harm_to_the_others(running: Running) -> None:
    subscribers = [running.connect() for _ in range(3)]
    for subscriber in subscribers:
        subscriber.stream("/subscribe")
        assert subscriber.take_size(len(CHUNK)) == CHUNK
    subscribers.pop(1).leave()
    running.publish(OTHER)
    # Both while the server may not have noticed yet, and when it has.
    time.sleep(0.2)
    running.publish(THIRD)
    for subscriber in subscribers:
        assert subscriber.take_size(2 * len(CHUNK)) == OTHER_CHUNK + THIRD_CHUNK


@isolating
def test_a_subscriber_that_reads_nothing_costs_the_others_nothing(running: Running) -> None:
    stuck = running.connect(receive_buffer=4096)
    readers = [running.connect() for _ in range(2)]
    for subscriber in (stuck, *readers):
        subscriber.stream("/subscribe")
        assert subscriber.take_size(len(CHUNK)) == CHUNK
    publisher = running.connect()
    before = running.memory()
    # 90 MB, of which the kernel holds some 4 for the one that reads nothing.
    for number in range(1, 1501):
        publisher.send("POST", "/publish", LARGE)
        assert publisher.head()[0] == 204
        for reader in readers:
            # The size of a chunk may be in capitals.
            assert reader.take_size(len(LARGE_CHUNK)).lower() == LARGE_CHUNK
        if number % 100 == 0:
            assert running.memory() - before < MOST_GROWTH, f"after {number} messages"


def numbers(events: list[tuple[str, bytes]]) -> list[int]:
    """
    Those of their ids, which have one epoch.
    """
    parts = [id_.rpartition("-") for id_, _ in events]
    assert len({epoch for epoch, _, _ in parts}) == 1
    return [int(number) for _, _, number in parts]


@with_channels
def test_every_subscriber_of_a_channel_gets_every_event_once_and_in_order(running: Running) -> None:
    subscribers = [running.connect() for _ in range(3)]
    for subscriber in subscribers:
        subscriber.stream("/channel/subscribe")
    texts = [b"%d" % number for number in range(5)]
    for text in texts:
        running.publish(text, "/channel/publish")
    events = subscribers[0].events(5)
    assert [text for _, text in events] == texts
    assert numbers(events) == list(range(numbers(events)[0], numbers(events)[0] + 5))
    assert all(subscriber.events(5) == events for subscriber in subscribers[1:])
    assert all(subscriber.has_nothing() for subscriber in subscribers)


@with_histories
def test_a_client_that_comes_back_gets_what_it_missed_and_then_what_is_live(
    running: Running,
) -> None:
    client = running.connect()
    client.stream("/channel/subscribe")
    for text in (b"one", b"two", b"three"):
        running.publish(text, "/channel/publish")
    last_event_id = client.events(3)[0][0]
    client.leave()
    running.publish(b"four", "/channel/publish")
    client = running.connect()
    client.stream("/channel/replay", last_event_id)
    assert [text for _, text in client.events(3)] == [b"two", b"three", b"four"]
    running.publish(b"five", "/channel/publish")
    assert [text for _, text in client.events(1)] == [b"five"]
    assert client.has_nothing()


@with_histories
def test_nothing_is_lost_or_doubled_between_what_was_missed_and_what_is_live(
    running: Running,
) -> None:
    first, publisher = running.connect(), running.connect()
    first.stream("/channel/subscribe")
    running.publish(b"first", "/channel/publish")
    last_event_id = first.events(1)[0][0]
    clients = []
    for number in range(50):
        # Both at once, so that either may come first.
        clients.append(running.connect())
        publisher.send("POST", "/channel/publish", b"%d" % number)
        clients[-1].send("GET", "/channel/replay", last_event_id=last_event_id)
        assert publisher.head()[0] == 204
    expected = first.events(50)
    assert [text for _, text in expected] == [b"%d" % number for number in range(50)]
    for client in clients:
        assert client.head()[0] == 200
        assert client.events(50) == expected
    assert all(client.has_nothing() for client in clients[::10])


@with_channels
def test_a_subscriber_of_a_channel_that_reads_nothing_costs_the_others_nothing(
    running: Running,
) -> None:
    stuck, reader = running.connect(receive_buffer=4096), running.connect()
    for subscriber in (stuck, reader):
        subscriber.stream("/channel/subscribe")
    publisher = running.connect()
    text = b"l" * 60_000
    # What is kept comes to 60 MB; from there on memory is to stay.
    for number in range(1, 2501):
        publisher.send("POST", "/channel/publish", text)
        assert publisher.head()[0] == 204
        assert reader.events(1)[0][1] == text
        if number == HISTORY:
            before = running.memory()
        if number > HISTORY and number % 100 == 0:
            assert running.memory() - before < MOST_GROWTH, f"after {number} events"


@pytest.mark.parametrize("server", ["aiohttp_loop", "granian_loop"], indirect=True)
def test_one_that_reads_nothing_holds_up_one_loop_for_all(running: Running) -> None:
    stuck, publisher = running.connect(receive_buffer=4096), running.connect()
    stuck.stream("/subscribe")
    for _ in range(1500):
        publisher.send("POST", "/publish", LARGE)
        if all(publisher.has_nothing() for _ in range(5)):
            break
        assert publisher.head()[0] == 204
    else:
        pytest.fail("nothing is held up")


@those_with("/ticks")
def test_ticks_come_at_once_and_then_each_second(running: Running) -> None:
    client = running.connect()
    client.stream("/ticks")
    assert client.take_size(len(CHUNK)) == CHUNK
    assert client.has_nothing()
    assert client.take_size(len(CHUNK)) == CHUNK


@every_server
def test_anything_else_is_not_found(running: Running) -> None:
    client = running.connect()
    client.send("GET", "/elsewhere")
    assert client.head()[0] == 404


@with_subscribers
def test_it_ends_with_streams_open(server: Server, tmp_path: Path) -> None:
    running = Running(server, tmp_path / "output.txt")
    try:
        running.wait_until_it_listens()
        client = running.connect()
        client.stream("/subscribe")
        assert client.take_size(len(CHUNK)) == CHUNK
    finally:
        started = time.monotonic()
        running.stop()
    assert time.monotonic() - started < LIMIT / 2


@every_server
def test_it_tells_its_versions(server: Server) -> None:
    versions = server.versions()
    assert versions
    assert all(re.match(r"\d+\.\d+", version) for version in versions.values()), versions


def test_every_server_is_found_by_its_name() -> None:
    assert all(name == server.name for name, server in SERVERS.items())
    assert all(name.isidentifier() for name in SERVERS)


def test_a_server_says_what_is_not_installed() -> None:
    server = Server(name="a", title="A", module="a_", distributions=("no-such-distribution",))
    assert server.missing() == "no-such-distribution is not installed: pip install -e '.[bench]'"


def test_go_says_that_the_compiler_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(ROOT / "tests"))
    missing = SERVERS["go"].missing()
    assert missing is not None
    assert "Go compiler" in missing


def test_the_message_is_100_bytes_and_106_on_the_wire() -> None:
    assert len(MESSAGE) == 100
    assert CHUNK == b"64\r\n" + MESSAGE + b"\r\n"
    assert len(CHUNK) == 106
