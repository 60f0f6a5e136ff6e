"""
Streams that stay open, and messages that are published to all of them.

The client is one process with sockets and `select.epoll`. It compares every byte that each
subscriber receives with the messages that were published, in order.
"""

import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from benchmarks.client import CONTROLS, check_status, request
from benchmarks.machine import NotMeasuredError
from benchmarks.processes import TIMEOUT, ServerProcess, Use, using

_BATCH: Final = 100  # connections opened at once: fewer than the backlog of any server
_EVENTS: Final = 1024

clock = time.perf_counter


class Streams:
    """
    Open streams that have received their first message.

    Attributes:
        process: The server.
        poller: The sockets of all streams.
        receive: `recv_into` of each socket, by its file number.
        total: Bytes that each stream has received after its first message, by file number.
    """

    def __init__(
        self, process: ServerProcess, path: str, first: bytes, last_event_id: str | None = None
    ) -> None:
        """
        Args:
            process: The server.
            path: The path to request on each connection.
            first: The first message on the wire.
            last_event_id: The ``Last-Event-ID`` to send.
        """
        self.process = process
        self.poller = select.epoll()
        self.receive: dict[int, Callable[[bytearray], int]] = {}
        self.total: dict[int, int] = {}
        self._request = request(path, last_event_id=last_event_id)
        self._first = first
        self._sockets: list[socket.socket] = []

    def close(self) -> None:
        """
        Close them.
        """
        for sock in self._sockets:
            sock.close()
        self.poller.close()

    def open(self, count: int) -> None:
        """
        Open `count` more streams.

        Raises:
            NotMeasuredError: A stream does not start with the first message in its own chunk.
        """
        while count > 0:
            opening = [self.process.connect() for _ in range(min(count, _BATCH))]
            self._sockets += opening
            for sock in opening:
                sock.sendall(self._request)
            for sock in opening:
                self._read_first(sock)
                number = sock.fileno()
                self.receive[number] = sock.recv_into
                self.total[number] = 0
                self.poller.register(number, select.EPOLLIN)
            count -= len(opening)

    def _read_first(self, sock: socket.socket) -> None:
        data, end = b"", -1
        while end < 0 or len(data) < end + 4 + len(self._first):
            data += self.process.receive(sock)
            end = data.find(b"\r\n\r\n")
        check_status(data, 200)
        if data[end + 4 :] != self._first:
            msg = f"a stream starts with {data[end + 4 :][:40]!r}, not with one message"
            raise NotMeasuredError(msg)
        sock.settimeout(0)


@dataclass
class Deliveries:
    """
    What was delivered in a window of time.

    Attributes:
        use: CPU time over the window.
        messages: Messages that every subscriber received.
        latencies: Seconds from just before a publish to each receipt.
    """

    use: Use
    messages: int
    latencies: "array[float]" = field(repr=False)


class Fanout:
    """
    Publishes messages to open streams, and checks what each stream receives.

    A server may reorder publishes that are in flight at the same time. Their bytes are the same, so
    only their latencies are swapped.
    """

    def __init__(self, streams: Streams, path: str, body: bytes, expected: Iterator[bytes]) -> None:
        """
        Args:
            streams: The subscribers.
            path: The path to publish on.
            body: The message to publish.
            expected: Each message as the subscribers should receive it.
        """
        self._streams = streams
        self._process = streams.process
        self._publish = request(path, body)
        self._expected = expected
        self._bytes = bytearray()
        self._ends: list[int] = []
        self._sent: list[float] = []
        self._left: list[int] = []
        self._had = dict.fromkeys(streams.total, 0)
        self._done = 0
        self._allowed = 0
        self._more_allowed = 0
        self._latencies = array("d")
        self._buffer = bytearray(256 * 1024)
        self._view = memoryview(self._buffer)
        self._controls: dict[int, socket.socket] = {}
        for _ in range(CONTROLS):
            sock = self._process.connect()
            sock.settimeout(0)
            self._controls[sock.fileno()] = sock
            streams.poller.register(sock, select.EPOLLIN)
        self._free = deque(self._controls.values())

    def close(self) -> None:
        """
        Close the connections that publish. The streams stay open.
        """
        for sock in self._controls.values():
            sock.close()

    def closed(self, in_flight: int, warm_up: float, duration: float) -> Deliveries:
        """
        Keep `in_flight` messages in flight, for `warm_up` and then `duration` seconds.

        The window starts and ends when every subscriber has a message. A slow server works in long
        bursts, and a window of a fixed length would cut one.

        Raises:
            NotMeasuredError: A subscriber received something else, or a connection was lost.
        """
        self._allowed, self._more_allowed = self._done + in_flight, 1
        self._run_until_done(clock() + warm_up)
        self._latencies, before = array("d"), self._done
        with using(self._process) as use:
            self._run_until_done(clock() + duration)
        result = Deliveries(use, self._done - before, self._latencies)
        # Fewer messages are in flight from here on, so their latencies do not count.
        self._latencies = array("d")
        self._allowed, self._more_allowed = len(self._sent), 0
        self._finish()
        return result

    def paced(self, rate: float, count: int) -> Deliveries:
        """
        Publish `count` messages, `rate` a second, however long each of them takes.

        Raises:
            NotMeasuredError: As `closed`.
        """
        self._latencies = array("d")
        with using(self._process) as use:
            start = clock()
            for number in range(count):
                while (wait := start + number / rate - clock()) > 0:
                    self._poll(wait)
                self._allowed += 1
                self._send()
            self._finish()
        return Deliveries(use, count, self._latencies)

    def _run_until_done(self, end: float) -> None:
        """
        Run until `end`, and then until every subscriber has one message more.
        """
        done = None
        while done is None or self._done == done:
            self._send()
            self._poll(TIMEOUT)
            if done is None and clock() >= end:
                done = self._done

    def _finish(self) -> None:
        """
        Wait for everything that is in flight, and check that nothing else arrived.
        """
        while self._done < self._allowed or len(self._free) < CONTROLS:
            self._poll(TIMEOUT)
        expected = len(self._bytes)
        wrong = sum(total != expected for total in self._streams.total.values())
        if wrong:
            msg = f"{wrong} subscribers do not have the {expected} bytes that were published"
            raise NotMeasuredError(msg)

    def _send(self) -> None:
        while self._free and len(self._sent) < self._allowed:
            self._bytes += next(self._expected)
            self._ends.append(len(self._bytes))
            self._left.append(len(self._streams.total))
            self._sent.append(clock())
            self._free.popleft().send(self._publish)

    def _poll(self, wait: float) -> None:
        """
        Read from every socket that has data.
        """
        streams, controls = self._streams, self._controls
        ready = streams.poller.poll(wait, _EVENTS)
        if not ready and wait >= TIMEOUT:
            self._process.check_alive()
            msg = f"{len(self._sent) - self._done} messages were not delivered in {wait:g} s"
            raise NotMeasuredError(msg)
        for number, _ in ready:
            if number in controls:
                self._read_answer(controls[number])
                continue
            try:
                size = streams.receive[number](self._buffer)
            except OSError as err:
                self._process.lost("a subscriber's connection", err)
            if not size:
                self._process.lost("a subscriber's connection")
            now = clock()
            before = streams.total[number]
            streams.total[number] = after = before + size
            if not self._bytes.startswith(self._view[:size], before):
                msg = f"a subscriber received {bytes(self._view[:60])!r}, which was not expected"
                raise NotMeasuredError(msg)
            self._count(number, after, now)

    def _count(self, number: int, after: int, now: float) -> None:
        """
        Record the messages that a subscriber has received completely.
        """
        ends, sent, left = self._ends, self._sent, self._left
        had = self._had[number]
        while had < len(ends) and ends[had] <= after:
            self._latencies.append(now - sent[had])
            left[had] = rest = left[had] - 1
            had += 1
            if not rest:
                self._done += 1
                self._allowed += self._more_allowed
                self._send()
        self._had[number] = had

    def _read_answer(self, sock: socket.socket) -> None:
        answer = self._process.receive(sock)
        check_status(answer, 204)
        if not answer.endswith(b"\r\n\r\n"):
            msg = f"a publish was answered in parts: {answer!r}"
            raise NotMeasuredError(msg)
        self._free.append(sock)
        self._send()
