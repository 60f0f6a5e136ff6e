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


class ServerProcess:
    """
    A running server, on a `port` of `HOST`. See `serving`.
    """

    def __init__(self, server: Server, output: IO[bytes]) -> None:
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
                    return
            time.sleep(0.02)
        msg = f"the server did not answer within {TIMEOUT:.0f} s{self._last_line()}"
        raise NotMeasuredError(msg)

    def connect(self) -> socket.socket:
        """
        A blocking connection to the server.
        """
        sock = socket.create_connection((HOST, self.port), timeout=TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        Seconds of CPU time that the server has used in all its threads.
        """
        self.check_alive()
        # The clock id that clock_getcpuclockid(3) returns. It counts nanoseconds, where psutil
        # counts steps of 10 ms.
        return time.clock_gettime(~self._process.pid << 3 | 2)

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
