"""
A server in a process of its own, and how much CPU and memory it uses.
"""

import os
import random
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Final, NoReturn

import psutil

from benchmarks.machine import SERVER_CORE, NotMeasuredError, pinned
from benchmarks.servers import HOST, Server

TIMEOUT: Final = 20.0  # seconds that a server may take to start, or to send anything

# Below the ports that the kernel gives to outgoing connections (32768 and up by default).
_PORTS: Final = range(21_000, 31_000)


class ServerProcess:
    """
    A running server. See `serving`.

    Attributes:
        server: The server.
        port: The port of `HOST` that it listens on.
    """

    def __init__(self, server: Server, port: int, output: IO[bytes]) -> None:
        self.server = server
        self.port = port
        self._output = output
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            server.argv(port),
            cwd="/",  # a server must not depend on the current folder
            env={**os.environ, **server.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._tree: list[psutil.Process] = []

    def kill(self) -> None:
        """
        Kill the process and its children. A server has nothing to save.
        """
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def wait_until_ready(self) -> None:
        """
        Wait for an answer. A server may accept connections before it can answer.

        Raises:
            NotMeasuredError: The server ended, or does not answer.
        """
        limit = time.monotonic() + TIMEOUT
        while time.monotonic() < limit:
            self.check_alive()
            try:
                with self.connect() as probe:
                    probe.sendall(f"GET /none HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                    if probe.recv(1):
                        break
            except OSError:
                time.sleep(0.02)
        else:
            msg = f"the server did not answer within {TIMEOUT:.0f} s{self._last_line()}"
            raise NotMeasuredError(msg)
        parent = psutil.Process(self._process.pid)
        self._tree = [parent, *parent.children(recursive=True)]

    def connect(self) -> socket.socket:
        """
        A blocking connection to the server.
        """
        sock = socket.create_connection((HOST, self.port), timeout=TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def check_alive(self) -> None:
        """
        Raises:
            NotMeasuredError: The server has ended.
        """
        status = self._process.poll()
        if status is not None:
            how = f"with status {status}" if status >= 0 else f"by signal {-status}"
            msg = f"the server ended {how}{self._last_line()}"
            raise NotMeasuredError(msg)

    def lost(self, what: str, error: BaseException | None = None) -> NoReturn:
        """
        Report something that ended too early, such as a connection.

        Raises:
            NotMeasuredError: Always. If the server has ended, the message says how.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        self.check_alive()
        msg = f"{what} was lost" + (f": {type(error).__name__}: {error}" if error else "")
        raise NotMeasuredError(msg) from error

    def receive(self, sock: socket.socket) -> bytes:
        """
        Receive at least one byte.

        Raises:
            NotMeasuredError: The connection is closed, or nothing arrives in time.
        """
        try:
            data = sock.recv(256 * 1024)
        except OSError as err:
            self.lost("a connection", err)
        if not data:
            self.lost("a connection")
        return data

    def _last_line(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        printed = [line.strip() for line in lines if line.strip()]
        return f": {printed[-1]}" if printed else ""

    def cpu(self) -> float:
        """
        Seconds of CPU time that the server has used in all its threads and processes.
        """
        try:
            # The clock id that clock_getcpuclockid(3) returns. It counts nanoseconds, where psutil
            # counts steps of 10 ms.
            return sum(time.clock_gettime(~process.pid << 3 | 2) for process in self._tree)
        except OSError as err:
            self.lost("the server", err)

    def memory(self) -> int:
        """
        Bytes of resident memory.
        """
        try:
            return sum(process.memory_info().rss for process in self._tree)
        except psutil.Error as err:
            self.lost("the server", err)


@contextmanager
def serving(server: Server) -> Iterator[ServerProcess]:
    """
    Run a server.

    Raises:
        NotMeasuredError: It does not start.
    """
    with tempfile.TemporaryFile() as output:
        with pinned(SERVER_CORE):
            process = ServerProcess(server, _free_port(), output)
        try:
            process.wait_until_ready()
            yield process
        finally:
            process.kill()


@dataclass
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
        return {"client_cpu": self.client / self.seconds, "server_cpu": self.server / self.seconds}


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


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)  # noqa: S311 - not a secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
