"""
The load client: raw sockets that do not block, and `select.epoll`.

It is one process on one core, so it must do less for each message than any server. It
parses the head of a response once, when a stream is opened; from there on it counts bytes,
for a message has the same size each time. That the chunks are whole messages is checked
before anything is measured; see `benchmarks.checks`. Here is what every load has, and whole
responses; streams that stay open are in `benchmarks.fanout`.
"""

import select
import socket
import time
from array import array
from dataclasses import dataclass, field
from types import TracebackType
from typing import NoReturn, Self

from benchmarks.errors import NotMeasuredError
from benchmarks.message import CHUNK, LAST_CHUNK
from benchmarks.processes import ServerProcess, machine_cpu
from benchmarks.servers import HOST

SIZE = len(CHUNK)
"""
Bytes of one message on the wire.
"""

BUFFER = 256 * 1024
"""
Bytes that are read at once.
"""

EVENTS = 1024
"""
Connections that a poll tells of at once.
"""

clock = time.perf_counter


def request(
    path: str, method: str = "GET", body: bytes = b"", *, last_event_id: str | None = None
) -> bytes:
    """
    A request of HTTP/1.1 on a connection that stays open.
    """
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n"
    if method == "POST":
        head += f"Content-Length: {len(body)}\r\n"
    if last_event_id is not None:
        head += f"Last-Event-ID: {last_event_id}\r\n"
    return f"{head}\r\n".encode() + body


def connect(port: int) -> socket.socket:
    """
    A connection that does not block, from here on.
    """
    sock = socket.create_connection((HOST, port), timeout=5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(0)
    return sock


def body_start(data: bytes | bytearray) -> int | None:
    """
    Where the body begins, or None while the head is not complete.

    Raises:
        NotMeasuredError: The response is not a 200.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    status = bytes(data[: data.find(b"\r\n")])
    if not status.startswith(b"HTTP/1.1 200 "):
        msg = f"answered {status.decode(errors='replace')!r}"
        raise NotMeasuredError(msg)
    return end + 4


class Limit:
    """
    When a measurement has taken too long.
    """

    def __init__(self, seconds: float, process: ServerProcess) -> None:
        """
        Args:
            seconds: How long it may take.
            process: The server, which is looked at when time is up or a connection is lost.
        """
        self._seconds = seconds
        self._process = process
        self._end = clock() + seconds

    def check(self) -> None:
        """
        Raises:
            NotMeasuredError: Time is up.
        """
        if clock() > self._end:
            self._process.check_alive()
            msg = f"not done within {self._seconds:g} s"
            raise NotMeasuredError(msg)

    def lost(self, what: str, error: OSError | None = None) -> NoReturn:
        """
        Say that the server has closed or reset a connection.

        Raises:
            NotMeasuredError: Always; with how the server ended, if it did.
        """
        self._process.wait_a_moment(0.5)
        self._process.check_alive()
        how = f"was lost ({error.strerror})" if error else "was closed by the server"
        msg = f"{what} {how}"
        raise NotMeasuredError(msg) from error


@dataclass
class Use:
    """
    What the client and the server used of their cores, from `start` to `stop`.

    Attributes:
        seconds: The time on the clock.
        client: The client's share of its core, 1.0 for all.
        server: The server's share of its core.
        others: What all other programs used, as a share of one core.
        server_seconds: CPU time of the server.
    """

    process: ServerProcess
    seconds: float = 0.0
    client: float = 0.0
    server: float = 0.0
    others: float = 0.0
    server_seconds: float = 0.0
    _before: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def start(self) -> None:
        """
        Begin.
        """
        self._before = self._now()

    def stop(self) -> None:
        """
        End.
        """
        pairs = zip(self._now(), self._before, strict=True)
        self.seconds, client, self.server_seconds, machine = (now - then for now, then in pairs)
        self.client = client / self.seconds
        self.server = self.server_seconds / self.seconds
        self.others = max(0.0, machine / self.seconds - self.client - self.server)

    def _now(self) -> tuple[float, float, float, float]:
        return clock(), time.process_time(), self.process.cpu(), machine_cpu()


@dataclass
class Responses:
    """
    What a closed loop of whole responses gave.

    Attributes:
        use: Over the window of the measurement.
        first: Seconds from each request to the first byte of its response.
        whole: Seconds from each request to the last byte of its response.
    """

    use: Use
    first: "array[float]" = field(default_factory=lambda: array("d"))
    whole: "array[float]" = field(default_factory=lambda: array("d"))


class Closing:
    """
    Closes what it has at the end of a ``with``.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """
        Close it.
        """
        raise NotImplementedError


class Connections(Closing):
    """
    Keep-alive connections, each with one request in flight at any time.

    As a context manager it closes them at the end.
    """

    def __init__(self, process: ServerProcess, path: str, count: int, length: int) -> None:
        """
        Args:
            process: Who is asked.
            path: What is asked for, each time.
            count: How many connections.
            length: The size of each response in bytes, with its head.
        """
        self._process = process
        self._request = request(path)
        self._length = length
        self._sockets = [connect(process.port) for _ in range(count)]

    def close(self) -> None:
        """
        Close them.
        """
        for sock in self._sockets:
            sock.close()

    def measure(  # noqa: C901, PLR0912 - a call for each read would cost as much as the rest
        self, duration: float, limit: Limit
    ) -> Responses:
        """
        Ask again as soon as a response is complete, for `duration` seconds; then wait for
        the last ones, which do not count.

        A response counts if it is complete within the window. The window is from the
        start to the first complete response after `duration`, so that there is one at
        least.

        Raises:
            NotMeasuredError: A response is not as long as it should be, or a connection was
                lost, or time is up.
        """
        result = Responses(Use(self._process))
        buffer = bytearray(BUFFER)
        length, ask, end = self._length, self._request, len(LAST_CHUNK)
        by_number = {sock.fileno(): sock for sock in self._sockets}
        got = dict.fromkeys(by_number, 0)
        sent = dict.fromkeys(by_number, 0.0)
        busy = len(by_number)
        measuring = True
        with select.epoll() as poller:
            for number in by_number:
                poller.register(number, select.EPOLLIN)
            result.use.start()
            start = clock()
            for number, sock in by_number.items():
                sent[number] = clock()
                sock.send(ask)
            while busy:
                limit.check()
                for number, _ in poller.poll(0.25, EVENTS):
                    sock = by_number[number]
                    try:
                        size = sock.recv_into(buffer)
                    except OSError as err:
                        limit.lost("a connection", err)
                    if not size:
                        limit.lost("a connection")
                    before = got[number]
                    after = before + size
                    if not before and measuring:
                        result.first.append(clock() - sent[number])
                    if after < length:
                        got[number] = after
                        continue
                    ended = buffer.endswith(LAST_CHUNK, max(0, size - end), size)
                    if after > length or (size >= end and not ended):
                        msg = f"a response of {after} bytes or more, where {length} were expected"
                        raise NotMeasuredError(msg)
                    now = clock()
                    got[number] = 0
                    if measuring:
                        result.whole.append(now - sent[number])
                        if now - start >= duration:
                            measuring = False
                            result.use.stop()
                    if measuring:
                        sent[number] = now
                        sock.send(ask)
                    else:
                        busy -= 1
        return result
