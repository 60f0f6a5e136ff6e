"""
The processes of the benchmarks: a server on one core, the client on another, and what the
server's use of the CPU and of memory is. Linux only, as is the client.
"""

import ctypes
import gc
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
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.errors import NotMeasuredError
from benchmarks.servers import HOST, ROOT, Server

_START_LIMIT = 20.0
"""
Seconds that a server may take from its start to its first answer.
"""

_PAGE = os.sysconf("SC_PAGE_SIZE")

# Below the ports that the kernel gives to connections (32768 and up by default). One of
# those may be in use by the client's own end of an earlier connection, and a client that
# tries such a port before the server listens on it can connect to itself.
_PORTS = range(21_000, 31_000)


@dataclass(frozen=True)
class Cores:
    """
    Which core is whose, or None for both where they cannot be kept apart.
    """

    client: int | None
    server: int | None

    @classmethod
    def here(cls) -> Self:
        """
        Two of the cores that this process may use.
        """
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            return cls(None, None)
        return cls(allowed[0], allowed[-1])


@contextmanager
def _pinned(core: int | None) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def undisturbed(cores: Cores) -> Iterator[None]:
    """
    Keep the client on its core, and the collector of garbage out of its way.
    """
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with _pinned(cores.client):
            yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def allow_files(count: int) -> None:
    """
    Raise the limit of open files as far as it goes, for this process and the servers.

    Raises:
        NotMeasuredError: Fewer than `count` files can be open.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < count:
        msg = (
            f"{count} open files are needed, and the hard limit is {hard}: "
            f"raise it (ulimit -Hn {count}, as root) or ask for fewer subscribers with --sizes"
        )
        raise NotMeasuredError(msg)


class ServerProcess:
    """
    A server that runs, as a context manager. It is killed at the end: it has nothing to save.

    Attributes:
        server: What runs.
        port: The port of `HOST` that it listens on.
    """

    def __init__(self, server: Server, cores: Cores) -> None:
        """
        Args:
            server: What to run.
            cores: The server's one is what all its threads and children run on.
        """
        self.server = server
        self.port = _free_port()
        self._cores = cores
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._clocks: list[int] = []

    def __enter__(self) -> Self:
        # A child inherits the core of its parent; `preexec_fn` would do it too, but not
        # in a process that has threads, such as the one of the tests.
        with _pinned(self._cores.server):
            self._process = subprocess.Popen(  # noqa: S603 - a program of our own
                self.server.argv(self.port),
                cwd=ROOT,
                env={**os.environ, **self.server.environment},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_for_an_answer()
            self._clocks = [_cpu_clock(pid) for pid in self._pids()]
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._kill()

    def _kill(self) -> None:
        # The group, because some servers have a process that starts the one that serves.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def _wait_for_an_answer(self) -> None:
        # An accepted connection is not enough: the process that listens may be another
        # than the one that serves, which is yet to come.
        limit = time.monotonic() + _START_LIMIT
        while time.monotonic() < limit:
            self.check_alive()
            try:
                with socket.create_connection((HOST, self.port), timeout=1) as probe:
                    probe.sendall(
                        b"GET /nothing-is-here HTTP/1.1\r\nHost: %b\r\n\r\n" % HOST.encode()
                    )
                    if probe.recv(1):
                        return
            except OSError:
                time.sleep(0.01)
        msg = f"gave no answer within {_START_LIMIT:.0f} s of its start{self._last_words()}"
        raise NotMeasuredError(msg)

    def check_alive(self) -> None:
        """
        Raises:
            NotMeasuredError: The server has ended.
        """
        status = self._process.poll()
        if status is not None:
            how = f"with status {status}" if status >= 0 else f"by signal {-status}"
            msg = f"the server ended {how}{self._last_words()}"
            raise NotMeasuredError(msg)

    def wait_a_moment(self, seconds: float) -> None:
        """
        Give a server that is about to end the time to do so.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def _last_words(self) -> str:
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - 4096))
        lines = self._output.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1]}" if said else ""

    def cpu(self) -> float:
        """
        Seconds of CPU time of the server so far, user and system, all threads.

        Raises:
            NotMeasuredError: The server has ended.
        """
        try:
            return sum(time.clock_gettime(clock) for clock in self._clocks)
        except OSError:
            self.wait_a_moment(1)
            self.check_alive()
            raise

    def memory(self) -> int:
        """
        Bytes of resident memory.

        Raises:
            NotMeasuredError: The server has ended.
        """
        self.check_alive()
        return sum(
            int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in self._pids()
        )

    def _pids(self) -> list[int]:
        """
        The process and its descendants, which are in its session.
        """
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    # The name of the program is in parentheses, and may have any in it.
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) == self._process.pid:
                        found.append(int(entry.name))
        return found


def machine_cpu() -> float:
    """
    Seconds that all cores together were not idle so far, for whomever: other programs, and
    other machines on the same hardware too.
    """
    fields = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _cpu_clock(pid: int) -> int:
    # Of the same counter as utime and stime of /proc/PID/stat, but in nanoseconds, where
    # those are in steps of 10 ms: as much as a whole second of the smallest load here.
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise OSError(error, os.strerror(error))
    return clock.value


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)  # noqa: S311 - not a secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
