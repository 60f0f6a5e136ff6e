"""
Streams that stay open, and what is published to all of them.
"""

import errno
import select
import socket
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from benchmarks.client import (
    BUFFER,
    EVENTS,
    SIZE,
    Closing,
    Limit,
    Use,
    body_start,
    clock,
    connect,
    request,
)
from benchmarks.errors import NotMeasuredError
from benchmarks.message import CHUNK, MESSAGE
from benchmarks.processes import ServerProcess
from benchmarks.servers import HOST

CONTROLS = 8
"""
Connections that messages are published on, and so the most publishes in flight.
"""

_AT_ONCE = 200
"""
Connections that are being opened: fewer than any backlog of a listener holds.
"""


class Streams(Closing):
    """
    Open streams that each have had their first message, and are read from here on.

    As a context manager it closes them at the end.

    Attributes:
        count: How many are open.
        poller: Tells which have something to read.
        receive: `recv_into` of each socket, by the number of its file.
        total: Bytes that each has had after its first message, by the number of its file.
    """

    def __init__(
        self,
        process: ServerProcess,
        path: str,
        *,
        last_event_id: str | None = None,
        first: bytes = CHUNK,
    ) -> None:
        """
        Args:
            process: Who is asked.
            path: What is asked for, on each connection once.
            last_event_id: What it is asked for with.
            first: The first message, as it comes.
        """
        self.count = 0
        self.poller = select.epoll()
        self.receive: list[Callable[[bytearray], int]] = []
        self.total: list[int] = []
        self._process = process
        self._request = request(path, last_event_id=last_event_id)
        self._first = first
        self._sockets: dict[int, socket.socket] = {}

    def close(self) -> None:
        """
        Close them.
        """
        for sock in self._sockets.values():
            sock.close()
        self.poller.close()

    def open(self, count: int, limit: Limit) -> None:
        """
        Open `count` more, a bounded number at a time.

        Raises:
            NotMeasuredError: A stream did not begin as it should, or time is up.
        """
        target = self.count + count
        opening: dict[int, bytearray] = {}
        connecting: set[int] = set()
        begun = self.count
        buffer = bytearray(BUFFER)
        while self.count < target:
            limit.check()
            while begun < target and len(opening) < _AT_ONCE:
                number = self._begin(limit)
                opening[number] = bytearray()
                connecting.add(number)
                begun += 1
            for number, _ in self.poller.poll(0.25, EVENTS):
                if number in connecting:
                    connecting.discard(number)
                    self._ask(number, limit)
                elif number in opening:
                    if self._read_beginning(number, opening[number], limit):
                        del opening[number]
                        self.count += 1
                else:
                    self.total[number] += self._read(number, buffer, limit)

    def _begin(self, limit: Limit) -> int:
        sock = socket.socket()
        sock.settimeout(0)
        error = sock.connect_ex((HOST, self._process.port))
        number = sock.fileno()
        self._sockets[number] = sock
        if error not in (0, errno.EINPROGRESS):
            limit.lost("a new connection", OSError(error, errno.errorcode[error]))
        while len(self.total) <= number:
            self.total.append(0)
            self.receive.append(_not_open)
        self.poller.register(number, select.EPOLLOUT)
        return number

    def _ask(self, number: int, limit: Limit) -> None:
        sock = self._sockets[number]
        try:
            sock.send(self._request)
        except OSError as err:
            limit.lost("a new connection", err)
        self.poller.modify(number, select.EPOLLIN)

    def _read_beginning(self, number: int, data: bytearray, limit: Limit) -> bool:
        sock = self._sockets[number]
        try:
            more = sock.recv(4096)
        except OSError as err:
            limit.lost("a new stream", err)
        if not more:
            limit.lost("a new stream")
        data += more
        start = body_start(data)
        if start is None or len(data) < (end := start + len(self._first)):
            return False
        if data[start:end] != self._first:
            msg = "a stream does not begin with one message in a chunk of its own"
            raise NotMeasuredError(msg)
        self.total[number] = len(data) - end
        self.receive[number] = sock.recv_into
        return True

    def _read(self, number: int, buffer: bytearray, limit: Limit) -> int:
        try:
            size = self.receive[number](buffer)
        except OSError as err:
            limit.lost("a stream", err)
        if not size:
            limit.lost("a stream")
        return size

    def numbers(self) -> Iterable[int]:
        """
        The numbers of their files.
        """
        return self._sockets.keys()

    def bytes_had(self) -> int:
        """
        Bytes that all of them together have had after their first messages.
        """
        return sum(self.total)

    def read_for(self, seconds: float, limit: Limit) -> None:
        """
        Read what comes, for some time.

        Raises:
            NotMeasuredError: A stream was lost.
        """
        buffer = bytearray(BUFFER)
        end = clock() + seconds
        while (left := end - clock()) > 0:
            for number, _ in self.poller.poll(left, EVENTS):
                self.total[number] += self._read(number, buffer, limit)


def _not_open(_buffer: bytearray) -> int:
    msg = "nothing is open at this number"
    raise AssertionError(msg)


@dataclass
class Deliveries:
    """
    What a window of publishing gave.

    Attributes:
        use: Over the window.
        messages: Messages that every subscriber got within the window.
        latencies: Seconds from just before a message is published to each of its receipts.
    """

    use: Use
    messages: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))


class Fanout(Closing):
    """
    Publishes to subscribers, and counts what each of them gets.

    All subscribers get all messages in the same order, so the message that a delivery is of
    is known from the bytes that the subscriber has had. Publishes that are in flight at the
    same time may be swapped by the server; then two of their latencies are swapped too.

    As a context manager it closes its own connections at the end, not the subscribers'.
    """

    _publish = request("/publish", "POST", MESSAGE)

    def __init__(self, process: ServerProcess, streams: Streams) -> None:
        """
        Args:
            process: Who is published to.
            streams: The subscribers.
        """
        self._process = process
        self._streams = streams
        self._controls: dict[int, socket.socket] = {}
        self._answers: dict[int, bytes] = {}
        self._free: deque[socket.socket] = deque()
        self._sent: list[float] = []
        self._left: list[int] = []
        self._done = 0
        for _ in range(CONTROLS):
            sock = connect(process.port)
            number = sock.fileno()
            self._controls[number] = sock
            self._answers[number] = b""
            self._free.append(sock)
            streams.poller.register(number, select.EPOLLIN)

    def close(self) -> None:
        """
        Close them.
        """
        for number, sock in self._controls.items():
            self._streams.poller.unregister(number)
            sock.close()

    def closed(self, in_flight: int, warm_up: float, duration: float, limit: Limit) -> Deliveries:
        """
        Keep `in_flight` messages on their way, for `duration` seconds after `warm_up`.

        The window is from the first message that every subscriber has after `warm_up` to the
        first one `duration` seconds later, however long that takes: a slow server joins
        what it does into long bursts, and a window of a fixed length would cut one.

        Raises:
            NotMeasuredError: A subscriber got what was not published, or a connection was
                lost, or time is up.
        """
        pace = _Closed(Deliveries(Use(self._process)), in_flight, warm_up, duration)
        self._run(pace, limit)
        # The last messages on their way had fewer others beside them.
        del pace.result.latencies[pace.recorded :]
        return pace.result

    def paced(self, rate: float, count: int, limit: Limit) -> Deliveries:
        """
        Publish `count` messages, `rate` a second, however long each of them takes.

        Raises:
            NotMeasuredError: As `closed`.
        """
        pace = _Paced(Deliveries(Use(self._process)), rate, count)
        self._run(pace, limit)
        return pace.result

    def _run(self, pace: "_Closed | _Paced", limit: Limit) -> None:
        poll, receive = self._streams.poller.poll, self._streams.receive
        total, controls = self._streams.total, self._controls
        sent, left = self._sent, self._left
        buffer = bytearray(BUFFER)
        record = pace.result.latencies.append
        pace.start(clock())
        while not pace.over or self._done < len(sent) or len(self._free) < CONTROLS:
            limit.check()
            wait = pace.wait(clock())
            self._send(pace)
            for number, _ in poll(wait, EVENTS):
                if number in controls:
                    self._read_answer(number, limit)
                    self._send(pace)
                    continue
                try:
                    size = receive[number](buffer)
                except OSError as err:
                    limit.lost("a subscriber's connection", err)
                now = clock()
                if not size:
                    limit.lost("a subscriber's connection")
                before = total[number]
                total[number] = after = before + size
                for message in self._messages(before, after, buffer):
                    try:
                        left[message] = rest = left[message] - 1
                    except IndexError:
                        msg = "a subscriber got more than was published"
                        raise NotMeasuredError(msg) from None
                    record(now - sent[message])
                    if not rest:
                        self._done += 1
                        pace.complete(now)
                        self._send(pace)
        self._check_totals()

    def _messages(self, before: int, after: int, _data: bytearray) -> range:
        """
        Which messages a subscriber has the last bytes of now.

        Args:
            before: Bytes that it had, after its first message.
            after: Bytes that it has.
            _data: Begins with those that came.
        """
        return range(before // SIZE, after // SIZE)

    def _bytes_of(self, messages: int) -> int:
        """
        The size of the first so many messages.
        """
        return messages * SIZE

    def _send(self, pace: "_Closed | _Paced") -> None:
        while pace.wanted and self._free:
            pace.wanted -= 1
            self._left.append(self._streams.count)
            self._sent.append(clock())
            self._free.popleft().send(self._publish)

    def _read_answer(self, number: int, limit: Limit) -> None:
        sock = self._controls[number]
        try:
            more = sock.recv(4096)
        except OSError as err:
            limit.lost("a publisher's connection", err)
        if not more:
            limit.lost("a publisher's connection")
        answer = self._answers[number] + more
        if answer.endswith(b"\r\n\r\n"):
            if not answer.startswith(b"HTTP/1.1 204 "):
                msg = f"a publish was answered {answer[:40]!r}"
                raise NotMeasuredError(msg)
            self._answers[number] = b""
            self._free.append(sock)
        else:
            self._answers[number] = answer

    def _check_totals(self) -> None:
        expected = self._bytes_of(len(self._sent))
        wrong = sum(self._streams.total[number] != expected for number in self._streams.numbers())
        if wrong:
            msg = f"{wrong} subscribers do not have the {expected} bytes that were published"
            raise NotMeasuredError(msg)


class _Closed:
    """
    When the next message is due: when an earlier one has come to every subscriber.
    """

    def __init__(self, result: Deliveries, in_flight: int, warm_up: float, duration: float) -> None:
        self.result = result
        self.wanted = in_flight
        self.over = False
        self._warm_up = warm_up
        self._duration = duration
        self._begin = 0.0
        self._end: float | None = None
        self._done = 0
        self._first = 0
        self.recorded = 0

    def start(self, now: float) -> None:
        self._begin = now + self._warm_up

    def wait(self, _now: float) -> float:
        return 0.25

    def complete(self, now: float) -> None:
        self._done += 1
        if self.over:
            return
        if self._end is None:
            if now >= self._begin:
                self._end = now + self._duration
                self._first = self._done
                del self.result.latencies[:]
                self.result.use.start()
        elif now >= self._end:
            self.over = True
            self.wanted = 0
            self.recorded = len(self.result.latencies)
            self.result.use.stop()
            self.result.messages = self._done - self._first
            return
        self.wanted += 1


class _Paced:
    """
    When the next message is due: by the clock.
    """

    def __init__(self, result: Deliveries, rate: float, count: int) -> None:
        self.result = result
        self.wanted = 0
        self.over = False
        self._period = 1 / rate
        self._due = 0.0
        self._to_come = count
        self._count = count

    def start(self, now: float) -> None:
        self._due = now
        self.result.use.start()

    def wait(self, now: float) -> float:
        while self._to_come and now >= self._due:
            self._to_come -= 1
            self._due += self._period
            self.wanted += 1
        return min(0.25, max(0.0, self._due - now)) if self._to_come else 0.25

    def complete(self, _now: float) -> None:
        self.result.messages += 1
        if self.result.messages == self._count:
            self.over = True
            self.result.use.stop()
