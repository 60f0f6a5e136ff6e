"""
What compression costs and saves: ``python -m benchmarks.compression`` prints the tables.

Each coding has the default level and window. The first table is about one stream of events, each of
which is flushed by itself, as in a stream with pauses between the events. The second one is about a
channel with many subscribers.
"""

import argparse
import gc
import resource
import select
import sys
import time
from contextlib import ExitStack, closing
from itertools import cycle, islice
from typing import Final

from benchmarks import machine
from benchmarks.client import Client
from benchmarks.gzipread import decoder
from benchmarks.machine import NotMeasuredError
from benchmarks.message import TRADES
from benchmarks.processes import TIMEOUT, ServerProcess, serving, using
from benchmarks.report import table, text
from benchmarks.servers import SERVERS
from twistream import Compression

_CODINGS: Final = ("identity", *Compression().codings)
_EVENTS: Final = 10_000  # of the stream that is measured
_SETTLE: Final = 0.3  # seconds in which a server finishes what it does after opening streams
_FIRST: Final = 50  # streams that pay for what a server does once


def one_stream(coding: str) -> tuple[int, float]:
    """
    Compress events one by one. Returns the size in bytes, and microseconds of CPU for each event.
    """
    if coding == "identity":
        return sum(map(len, islice(cycle(TRADES), _EVENTS))), 0.0
    best = float("inf")
    for _ in range(3):
        coder = Compression(codings=[coding]).coder(coding)
        size, start = 0, time.process_time()
        for event in islice(cycle(TRADES), _EVENTS):
            size += len(coder.compress(event)) + len(coder.flush())
        best = min(best, time.process_time() - start)
    return size, best / _EVENTS * 1e6


def memory(process: ServerProcess, coding: str, size: int) -> float:
    """
    The growth of the server's memory for each of `size` streams that have sent events, in KB.
    """
    with ExitStack() as stack:

        def open_streams(number: int) -> None:
            for _ in range(number):
                client = stack.enter_context(closing(Client(process)))
                client.get("/open?n=100", accept_encoding=coding)
                decode, decoded = decoder(coding), b""
                while decoded.count(b"\n\n") < 100:
                    decoded += decode(client.take_chunk())
            time.sleep(_SETTLE)

        open_streams(_FIRST)
        before = process.memory()
        open_streams(size)
        return (process.memory() - before) / size / 1024


class Channel:
    """
    Subscribers of the channel, which decode what they receive.
    """

    def __init__(self, process: ServerProcess, coding: str, size: int) -> None:
        self._coding = coding
        self._process = process
        self._poller = select.epoll()
        self._clients: dict[int, Client] = {}
        for _ in range(size):
            client = Client(process)
            client.get("/channel/compressed", accept_encoding=coding)
            client.socket.setblocking(False)  # noqa: FBT003 - Python's signature
            self._clients[client.socket.fileno()] = client
            self._poller.register(client.socket, select.EPOLLIN)
        self._publisher = Client(process)
        time.sleep(_SETTLE)
        self._receive(0.0)

    def close(self) -> None:
        """
        Close all connections.
        """
        self._publisher.close()
        self._poller.close()
        for client in self._clients.values():
            client.close()

    def _receive(self, wait: float) -> int:
        """
        Read from every connection that has data. Returns their number.
        """
        ready = self._poller.poll(wait, len(self._clients))
        for number, _ in ready:
            client = self._clients[number]
            client.data += self._process.receive(client.socket)
        return len(ready)

    def publish(self, number: int) -> float:
        """
        Publish events one by one, and return the microseconds of CPU for each delivery.
        """
        with using(self._process) as use:
            for event in islice(cycle(TRADES), number):
                self._publisher.post("/channel/publish", event)
                left = len(self._clients)
                while left > 0:
                    if not (received := self._receive(TIMEOUT)):
                        msg = f"{left} deliveries did not arrive"
                        raise NotMeasuredError(msg)
                    left -= received
        return use.server / number / len(self._clients) * 1e6

    def check(self, number: int) -> None:
        """
        Check that every subscriber has received so many events.
        """
        time.sleep(_SETTLE)
        self._receive(0.0)
        for client in self._clients.values():
            decode, events = decoder(self._coding), b""
            while client.data:
                events += decode(client.take_chunk())
            if (found := events.count(b"\ndata: id: ")) != number:
                msg = f"a subscriber received {found} of {number} events"
                raise NotMeasuredError(msg)


def deliveries(process: ServerProcess, coding: str, size: int, number: int) -> float:
    """
    The microseconds of CPU for each delivery to `size` subscribers, one publish at a time.
    """
    with closing(Channel(process, coding, size)) as channel:
        warm_up = max(1, number // 5)
        channel.publish(warm_up)
        cost = channel.publish(number)
        channel.check(warm_up + number)
        return cost


def main() -> None:
    """
    Measure everything and print the tables.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compression", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only try it out")
    quick = parser.parse_args().quick
    streams, publishes = (20, 5) if quick else (1_000, 100)
    gc.disable()  # it would interrupt the client
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # of the server too
    plain, _ = one_stream("identity")
    one, many = [], []
    for coding in _CODINGS:
        size, cost = one_stream(coding)
        with serving(SERVERS["twistream"]) as process:
            kilobytes = memory(process, coding, streams)
        bytes_each, share = size / _EVENTS, 100 * size / plain
        cells = [text(bytes_each), f"{share:.0f}%", text(cost), f"{text(kilobytes)} KB"]
        one.append([coding, *cells])
        costs = []
        for _ in range(1 if quick else 3):
            with serving(SERVERS["twistream"]) as process:
                costs.append(deliveries(process, coding, streams, publishes))
        costs.sort()
        many.append([coding, text(costs[len(costs) // 2]), text(costs[0]), text(costs[-1])])
    head = ["coding", "bytes for an event", "share", "microseconds", "memory of a stream"]
    second = ["coding", "microseconds for a delivery", "least", "most"]
    machines = [f"{name}: {value}" for name, value in machine.describe().items()]
    warnings = [f"warning: {line}" for line in machine.cautions()]
    parts = [table(head, one), table(second, many), *machines, *warnings]
    sys.stdout.write("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
