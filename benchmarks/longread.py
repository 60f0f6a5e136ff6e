"""
One long response, read by a client that keeps up or by one that lags behind.

What a server does for a message depends on the client. While the socket takes everything, many
servers send each message by itself; once it is full, they join the messages that queue up.
"""

import time
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from typing import Final

from benchmarks.client import Client
from benchmarks.machine import NotMeasuredError
from benchmarks.message import CHUNK, as_chunk
from benchmarks.processes import TIMEOUT, ServerProcess, using
from benchmarks.servers import TICK

OTHERS: Final = 50  # streams beside a crowded response
IN_TIME: Final = "messages of others in time, %"
_ENDLESS: Final = 10**12  # messages
_BLOCK: Final = 256 * 1024  # bytes of the largest read
_PAUSE: Final = 0.002  # seconds over which a server must be idle before a lagging client reads
_IDLE: Final = 0.05  # the share of a core that an idle server uses at most

clock = time.perf_counter


class _Reader:
    """
    Reads an endless response that repeats one message, and compares every byte.
    """

    def __init__(
        self, process: ServerProcess, client: Client, message: bytes, *, lagging: bool
    ) -> None:
        self._process, self._client, self._lagging = process, client, lagging
        self._chunk = as_chunk(message)
        self._expected = self._chunk * (_BLOCK // len(self._chunk) + 2)
        self._view = memoryview(bytearray(_BLOCK))
        self._at = 0  # in the chunk
        self._client.expect(self._chunk)
        # A client that sleeps until data arrives is late for the next message.
        self._client.socket.setblocking(False)  # noqa: FBT003 - Python's signature
        self._check(self._client.data)

    def _check(self, data: bytes | memoryview) -> None:
        if not self._expected.startswith(data, self._at):
            msg = f"messages are joined, split or changed: {bytes(data[:300])!r}"
            raise NotMeasuredError(msg)
        self._at = (self._at + len(data)) % len(self._chunk)

    def _wait_until_full(self) -> None:
        """
        Wait until the server cannot send more: it does nothing, with a response that never ends.
        """
        cpu, limit = self._process.cpu, clock() + TIMEOUT
        while clock() < limit:
            start, before = clock(), cpu()
            time.sleep(_PAUSE)
            if cpu() - before < _IDLE * (clock() - start):
                return
        msg = f"the server was not idle within {TIMEOUT:.0f} s, although its client reads nothing"
        raise NotMeasuredError(msg)

    def read(self, seconds: float) -> tuple[float, int]:
        """
        Read for some seconds, and return the number of messages and of reads.
        """
        receive, view, end = self._client.socket.recv_into, self._view, clock() + seconds
        size = reads = 0
        while clock() < end:
            if self._lagging:
                self._wait_until_full()
            try:
                received = receive(view)
            except BlockingIOError:
                continue
            except OSError as err:
                self._process.lost(err)
            if not received:
                self._process.lost()
            self._check(view[:received])
            size += received
            reads += 1
        if not reads:
            msg = f"nothing arrived in {seconds:g} s"
            raise NotMeasuredError(msg)
        return size / len(self._chunk), reads


def measure(  # noqa: PLR0913 - the flags have names where this is called
    process: ServerProcess,
    path: str,
    message: bytes,
    seconds: Iterable[float],
    *,
    lagging: bool,
    crowded: bool,
) -> dict[str, float]:
    """
    Read the middle of a response that never ends.

    Args:
        process: The server.
        path: The response.
        message: The message that it repeats.
        seconds: How long to read. Only the last time counts.
        lagging: Read a block only when the server waits for the client, with its socket full.
        crowded: Keep `OTHERS` more streams open, which get a message now and then. What they cost
            is part of the figure.

    Returns:
        The values for the results. `NotMeasuredError` is raised if a byte differs.
    """
    with ExitStack() as stack:
        others = [
            stack.enter_context(closing(Client(process))) for _ in range(OTHERS if crowded else 0)
        ]
        for other in others:
            other.get("/ticks")
            other.expect(CHUNK)
        opened = clock()
        client = stack.enter_context(closing(Client(process, lagging=lagging)))
        client.get(f"{path}?n={_ENDLESS}")
        reader = _Reader(process, client, message, lagging=lagging)
        for time_to_read in seconds:
            with using(process) as use:
                messages, reads = reader.read(time_to_read)
        # A message is late after half of the time to the next one.
        due = len(others) * int((clock() - opened) / TICK - 0.5)
        had = sum(map(arrived, others))
    cost = use.server / messages * 1e6
    values = {"CPU, microseconds": cost, "messages/s": messages / use.seconds}
    values |= {"messages in a read": messages / reads} | use.shares()
    if due > 0:
        values[IN_TIME] = 100 * min(1.0, had / due)
    return values


def arrived(other: Client) -> int:
    """
    The number of messages that have arrived on another stream after its first one.
    """
    other.socket.setblocking(False)  # noqa: FBT003 - Python's signature
    with suppress(BlockingIOError):
        other.data += other.socket.recv(_BLOCK)
    number = len(other.data) // len(CHUNK)
    other.expect(CHUNK * number)
    return number
