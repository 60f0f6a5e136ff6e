"""
Streams that stay open, and messages that are published to all of them.

The client is one process with sockets and `select.epoll`. It compares every byte that each
subscriber receives with the messages that were published, in order.
"""

import select
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.client import Client, check_status
from benchmarks.machine import NotMeasuredError
from benchmarks.processes import TIMEOUT, ServerProcess, latencies, using

_BATCH: Final = 100  # connections opened at once: fewer than the backlog of any server
_CONTROLS: Final = 8  # connections that publish: the maximum number of publishes in flight

clock = time.perf_counter


class Fanout:
    """
    Subscribers, and connections that publish to them.

    A server may reorder publishes that are in flight at the same time. Their bytes are the same, so
    only their latencies are swapped.
    """

    def __init__(
        self,
        process: ServerProcess,
        subscribe: bytes,
        first: bytes,
        publish: bytes,
        expected: Iterator[bytes],
    ) -> None:
        """
        Args:
            process: The server.
            subscribe: The request of each subscriber.
            first: The message that each stream starts with, as a chunk.
            publish: The request to publish a message.
            expected: The chunk of each published message.
        """
        self._process = process
        self._subscribe, self._first = subscribe, first
        self._publish, self._expected = publish, expected
        self._poller = select.epoll()
        # All by file number: connections, how to receive, bytes after the first message, and
        # complete messages.
        self._clients: dict[int, Client] = {}
        self._receive: dict[int, Callable[[bytearray], int]] = {}
        self._received: dict[int, int] = {}
        self._had: dict[int, int] = {}
        # Everything that was published, and for each message its end, time and missing deliveries.
        self._bytes = bytearray()
        self._ends: list[int] = []
        self._sent: list[float] = []
        self._left: list[int] = []
        self._done = 0  # messages that every subscriber has
        self._allowed = 0  # messages that may be sent so far
        self._more_allowed = 0  # how many more when one is done
        self._latencies = array("d")
        self._buffer = bytearray(256 * 1024)
        self._view = memoryview(self._buffer)
        self._free = deque(self._add(Client(process)) for _ in range(_CONTROLS))

    def close(self) -> None:
        """
        Close all connections.
        """
        for client in self._clients.values():
            client.close()
        self._poller.close()

    def _add(self, client: Client) -> int:
        number = client.socket.fileno()
        client.socket.settimeout(0)
        self._clients[number] = client
        self._poller.register(number, select.EPOLLIN)
        return number

    def open(self, count: int) -> None:
        """
        Open `count` more subscribers, and check their first message.
        """
        for start in range(0, count, _BATCH):
            clients = [Client(self._process) for _ in range(min(count - start, _BATCH))]
            for client in clients:
                client.socket.sendall(self._subscribe)
            for client in clients:
                client.head(200)
                client.expect(self._first)
                number = self._add(client)
                self._receive[number] = client.socket.recv_into
                self._received[number] = len(client.data)
                self._had[number] = 0

    def closed(self, in_flight: int, warm_up: float, duration: float) -> dict[str, float]:
        """
        Keep `in_flight` messages in flight, for `warm_up` and then `duration` seconds.

        The window starts and ends when every subscriber has a message. A slow server works in long
        bursts, and a window of a fixed length would cut one.

        Returns:
            The values for the results. If a subscriber receives something else, or a connection is
            lost, `NotMeasuredError` is raised.
        """
        self._allowed, self._more_allowed = self._done + in_flight, 1
        self._run_until_done(clock() + warm_up)
        self._latencies, before = array("d"), self._done
        with using(self._process) as use:
            self._run_until_done(clock() + duration)
        deliveries = (self._done - before) * len(self._received)
        values = {
            "deliveries/s": deliveries / use.seconds,
            "CPU, microseconds": use.server / deliveries * 1e6,
        }
        values |= latencies(self._latencies) | use.shares()
        # Fewer messages are in flight from here on, so their latencies do not count.
        self._latencies = array("d")
        self._allowed, self._more_allowed = len(self._sent), 0
        self._finish()
        return values

    def paced(self, rate: float, count: int) -> dict[str, float]:
        """
        Publish `count` messages, `rate` a second, however long each of them takes. See `closed`.
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
        return latencies(self._latencies) | use.shares()

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
        while self._done < self._allowed or len(self._free) < _CONTROLS:
            self._poll(TIMEOUT)
        expected = len(self._bytes)
        wrong = sum(received != expected for received in self._received.values())
        if wrong:
            msg = f"{wrong} subscribers do not have the {expected} bytes that were published"
            raise NotMeasuredError(msg)

    def _send(self) -> None:
        while self._free and len(self._sent) < self._allowed:
            self._bytes += next(self._expected)
            self._ends.append(len(self._bytes))
            self._left.append(len(self._received))
            self._sent.append(clock())
            self._clients[self._free.popleft()].socket.send(self._publish)

    def _poll(self, wait: float) -> None:
        """
        Read from every socket that has data.
        """
        ready = self._poller.poll(wait, 1024)
        if not ready and wait >= TIMEOUT:
            self._process.check_alive()
            msg = f"{len(self._sent) - self._done} messages were not delivered in {wait:g} s"
            raise NotMeasuredError(msg)
        receive, received = self._receive, self._received
        for number, _ in ready:
            if number not in receive:
                self._read_answer(number)
                continue
            try:
                size = receive[number](self._buffer)
            except OSError as err:
                self._process.lost(err)
            if not size:
                self._process.lost()
            now = clock()
            before = received[number]
            received[number] = after = before + size
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

    def _read_answer(self, number: int) -> None:
        answer = self._process.receive(self._clients[number].socket)
        check_status(answer, 204)
        if not answer.endswith(b"\r\n\r\n"):
            msg = f"a publish was answered in parts: {answer!r}"
            raise NotMeasuredError(msg)
        self._free.append(number)
        self._send()
