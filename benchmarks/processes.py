"""
A server in a process of its own, and how much CPU and memory it uses.
"""

import os
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Final, NoReturn

import psutil
from attrs import define

from benchmarks.machine import CLIENT_CORE, SERVER_CORE, NotMeasuredError
from benchmarks.servers import HOST, Server

TIMEOUT: Final = 20.0  # seconds that a server may take to start, or to send anything
_WINDOW: Final = 64 * 1024  # bytes that a lagging client asks the kernel to hold; it doubles them
_SEGMENT: Final = 1448  # bytes in a packet of Ethernet


class ServerProcess:
    """
    A running `server`, on a `port` of `HOST`. See `serving`.
    """

    def __init__(self, server: Server, output: IO[bytes]) -> None:
        self.server = server
        with socket.create_server((HOST, 0)) as free:
            self.port: int = free.getsockname()[1]
        self._output = output
        os.sched_setaffinity(0, {SERVER_CORE})  # the server inherits it
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            server.argv(self.port),
            cwd="/",  # a server must not depend on the current folder
            env=os.environ | server.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C ends only the client
        )
        os.sched_setaffinity(0, {CLIENT_CORE})
        self._pids = [self._process.pid]

    def kill(self) -> None:
        """
        Kill the process. A server has nothing to save.
        """
        self._process.kill()
        self._process.wait()

    def wait_until_ready(self) -> None:
        """
        Wait for an answer. A server may accept connections before it can answer.
        """
        limit = time.monotonic() + TIMEOUT
        while time.monotonic() < limit:
            self.check_alive()
            with suppress(OSError), self.connect() as probe:
                probe.sendall(f"GET /none HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                if probe.recv(65536):
                    children = psutil.Process(self._process.pid).children(recursive=True)
                    self._pids += [child.pid for child in children]
                    return
            time.sleep(0.02)
        msg = f"the server did not answer within {TIMEOUT:.0f} s{self._last_line()}"
        raise NotMeasuredError(msg)

    def connect(self, *, lagging: bool = False) -> socket.socket:
        """
        A blocking connection to the server.

        With `lagging`, the client takes only little at a time, as over a real network. Between
        programs on one machine, segments of 64 KB let the server's socket grow to megabytes.
        """
        sock = socket.socket()
        try:
            sock.settimeout(TIMEOUT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if lagging:  # before it connects: both are part of the handshake
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
            sock.connect((HOST, self.port))
        except OSError:
            sock.close()
            raise
        return sock

    def check_alive(self) -> None:
        """
        Raise `NotMeasuredError` if the server has ended.
        """
        status = self._process.poll()
        if status is not None:
            msg = f"the server ended with status {status}{self._last_line()}"
            raise NotMeasuredError(msg)

    def lost(self, error: BaseException | None = None) -> NoReturn:
        """
        Raise `NotMeasuredError` for a connection that ended too early, or a server that did.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        self.check_alive()
        msg = f"a connection was lost: {error or 'closed by the server'}"
        raise NotMeasuredError(msg) from error

    def receive(self, sock: socket.socket) -> bytes:
        """
        Receive at least one byte, or raise `NotMeasuredError`.
        """
        try:
            data = sock.recv(256 * 1024)
        except OSError as err:
            self.lost(err)
        return data or self.lost()

    def _last_line(self) -> str:
        self._output.seek(0)
        printed = self._output.read().decode(errors="replace").strip()
        return f": {printed.splitlines()[-1]}" if printed else ""

    def cpu(self) -> float:
        """
        Seconds of CPU time, user and system, of all threads of the server and its child processes.
        """
        self.check_alive()
        # The clock id that clock_getcpuclockid(3) returns. It counts nanoseconds, where psutil
        # counts steps of 10 ms.
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self._pids)

    def memory(self) -> int:
        """
        Bytes of resident memory.
        """
        self.check_alive()
        size: int = psutil.Process(self._process.pid).memory_info().rss
        return size


@contextmanager
def serving(server: Server) -> Iterator[ServerProcess]:
    """
    Run a server, or raise `NotMeasuredError` if it does not start.
    """
    with tempfile.TemporaryFile() as output:
        process = ServerProcess(server, output)
        try:
            process.wait_until_ready()
            yield process
        finally:
            process.kill()


@define
class Use:
    """
    Seconds by the clock, and seconds of CPU time of the client and the server. See `using`.
    """

    seconds: float = 0.0
    client: float = 0.0
    server: float = 0.0

    def shares(self) -> dict[str, float]:
        """
        The shares of the two cores, as they are kept in results.
        """
        percent = 100 / self.seconds
        return {"server CPU, %": self.server * percent, "client CPU, %": self.client * percent}


@contextmanager
def using(process: ServerProcess) -> Iterator[Use]:
    """
    Measure what happens inside a ``with``. The result is complete at its end.
    """

    def now() -> tuple[float, float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        client = time.process_time() + children.ru_utime + children.ru_stime
        return time.perf_counter(), client, process.cpu()

    use, before = Use(), now()
    yield use
    use.seconds, use.client, use.server = (
        after - at for after, at in zip(now(), before, strict=True)
    )


def latencies(seconds: Iterable[float]) -> dict[str, float]:
    """
    Percentiles of times, as they are kept in results.
    """
    ordered = sorted(seconds)
    return {f"p{share}, ms": ordered[len(ordered) * share // 100] * 1e3 for share in (99, 50)}
