"""
Whole responses, requested and counted by h2load.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.machine import NotMeasuredError
from benchmarks.processes import ServerProcess, Use, using
from benchmarks.servers import HOST


@dataclass(frozen=True)
class Load:
    """
    The result of one run.

    Attributes:
        use: CPU time over the run.
        requests: The number of responses.
        seconds: The duration that h2load reports.
        latencies: Seconds from each request to the end of its response.
    """

    use: Use
    requests: int
    seconds: float
    latencies: Sequence[float]

    def cpu_us(self, parts: int = 1) -> float:
        """
        The server's CPU time in microseconds for each of the `parts` of a response.
        """
        return self.use.server / (self.requests * parts) * 1e6


def measure(
    process: ServerProcess, path: str, connections: int, size: int, duration: float
) -> Load:
    """
    Warm up, then send as many requests as take about `duration` seconds.

    Each connection stays open, with one request in flight.

    Args:
        process: The server.
        path: The response.
        connections: The number of connections.
        size: The size of the body of each response in bytes.
        duration: Seconds.

    Raises:
        NotMeasuredError: A response failed or had another size, or h2load is not installed.
    """
    load = _run(process, path, connections, connections, size)
    # The first run includes what a server does only once, so its rate is too low to plan with.
    for share in (0.15, 1.0):
        requests = round(load.requests / load.seconds * share * duration)
        load = _run(process, path, max(connections, requests), connections, size)
    return load


def _run(process: ServerProcess, path: str, requests: int, connections: int, size: int) -> Load:
    with tempfile.NamedTemporaryFile("r") as log:
        command = ["h2load", "--h1", "-t1", f"-n{requests}", f"-c{connections}"]
        command += [f"--log-file={log.name}", f"http://{HOST}:{process.port}{path}"]
        with using(process) as use:
            output = _output(command)
        # Start time, status, and microseconds to the end of the response.
        latencies = [int(line.split("\t")[2]) / 1e6 for line in log]
    process.check_alive()
    expected = (
        rf"finished in ([\d.]+)(us|ms|s),.* {requests} succeeded,"
        rf".*status codes: {requests} 2xx,.*\({requests * size}\) data"
    )
    found = re.search(expected, output, re.DOTALL)
    if found is None:
        results = " ".join(output.partition("finished")[2].split())
        msg = f"{path}: {requests} responses of {size} bytes were expected, but {results}"
        raise NotMeasuredError(msg)
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[found[2]]
    return Load(use, requests, float(found[1]) * unit, latencies)


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, capture_output=True, text=True, timeout=120, check=True
        )
    except FileNotFoundError as err:
        msg = "h2load is not on PATH: scripts/bench-deps installs it"
        raise NotMeasuredError(msg) from err
    except subprocess.SubprocessError as err:
        msg = f"h2load failed: {err}"
        raise NotMeasuredError(msg) from err
    return done.stdout
